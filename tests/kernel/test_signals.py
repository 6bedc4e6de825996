"""Signals to the daemon itself, in processes of their own: read, died of, stopped by."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import procfs
from tests.support.places import REPOSITORY
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_stays")

LISTEN = """
import os, select, signal, sys
from reloaderd.kernel.signals import Signals, die_of
signals = Signals()
print("ready", flush=True)
while True:
    select.select([signals], [], [])
    for event in signals.read():
        name = signal.Signals(event.signum).name
        print(name, flush=True)
        if name == "SIGTSTP":
            signals.stop_self()
            print("back", flush=True)
        if name in ("SIGTERM", "SIGQUIT"):
            die_of(event.signum)
"""


class Listener:
    """A process with `Signals`, that says what it reads."""

    def __init__(self, *before: str, **keywords: Any) -> None:
        command: Sequence[str] = [*before, sys.executable, "-c", LISTEN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **keywords)
        self.expect("ready")
        self.pid = self.process.pid

    def expect(self, *lines: str) -> None:
        assert self.process.stdout
        for line in lines:
            assert self.process.stdout.readline() == line + "\n"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def listen() -> Iterator[Any]:
    listeners: list[Listener] = []

    def make(*before: str, **keywords: Any) -> Listener:
        listeners.append(Listener(*before, **keywords))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.end()


def test_every_signal_is_read_and_repeats_count(listen: Any) -> None:
    listener = listen()
    for name in ("SIGINT", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCHLD", "SIGCONT"):
        os.kill(listener.pid, signal.Signals[name])
        listener.expect(name)


def test_what_came_at_once_is_in_order_and_merged_where_one_is_as_good_as_many() -> None:
    program = """
import os, signal
from reloaderd.kernel.signals import Signals
signals = Signals()
for name in ("SIGINT", "SIGWINCH", "SIGINT", "SIGWINCH", "SIGTERM"):
    os.kill(os.getpid(), signal.Signals[name])
print(*[signal.Signals(event.signum).name for event in signals.read()], signals.read())
signals.close()
print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.set_wakeup_fd(-1))
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "SIGINT SIGWINCH SIGINT SIGTERM []\nTrue -1\n"


@pytest.mark.needs("nohup")
def test_a_hangup_that_was_ignored_stays_so(listen: Any) -> None:
    listener = listen("nohup", stderr=subprocess.DEVNULL)
    os.kill(listener.pid, signal.SIGHUP)
    os.kill(listener.pid, signal.SIGUSR1)
    listener.expect("SIGUSR1")


def test_signals_that_were_blocked_are_heard(listen: Any) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        listener = listen()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.kill(listener.pid, signal.SIGINT)
    listener.expect("SIGINT")


def test_background_reads_and_writes_do_not_stop_us(listen: Any) -> None:
    ignored = procfs.signal_sets(listen().pid).ignored
    assert {signal.SIGTTIN, signal.SIGTTOU} <= ignored


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_SG01_SG11_the_death_is_the_signals(listen: Any, signum: signal.Signals, tmp_path: Path) -> None:
    """And no core is left, where one is allowed."""
    allow = 'ulimit -c "$(ulimit -Hc)"; exec "$@"'
    listener = listen("sh", "-c", allow, "sh", cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})
    os.kill(listener.pid, signum)
    listener.expect(signum.name)
    _, status = os.waitpid(listener.pid, 0)
    listener.process.returncode = 0
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signum
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("unshare")
def test_PR18_where_the_signal_does_not_kill_the_status_tells_it() -> None:
    program = "from reloaderd.kernel.signals import die_of; print('said'); die_of(15)"
    user = [] if os.getuid() == 0 else ["-Ur"]
    command = ["unshare", *user, "--pid", "--fork", "--kill-child", sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (128 + 15, "said\n")


def test_SG07_the_whole_group_stops_and_is_continued(listen: Any) -> None:
    listener = listen(process_group=0)
    sibling = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setpgroup=listener.pid)
    try:
        for _ in range(2):
            os.kill(listener.pid, signal.SIGTSTP)
            _, status = os.waitpid(listener.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGTSTP
            wait_until(lambda: procfs.state(sibling) == "T", "a stop of the group")
            os.killpg(listener.pid, signal.SIGCONT)
            listener.expect("SIGTSTP", "back", "SIGCONT")
        os.kill(listener.pid, signal.SIGUSR1)
        listener.expect("SIGUSR1")
    finally:
        os.kill(sibling, signal.SIGKILL)
        os.waitpid(sibling, 0)


def test_SG07_a_stop_that_nobody_would_end_is_none(listen: Any) -> None:
    """An orphaned process group: SIGTSTP is discarded, and we go on as if continued."""
    listener = listen(start_new_session=True)
    os.kill(listener.pid, signal.SIGTSTP)
    listener.expect("SIGTSTP", "back", "SIGCONT")


def test_SG07_nor_where_the_stop_was_ignored_from_the_start() -> None:
    program = """
import signal
signal.signal(signal.SIGTSTP, signal.SIG_IGN)
from reloaderd.kernel.signals import Signals
signals = Signals()
signals.stop_self()
print([event.signum for event in signals.read()] == [signal.SIGCONT], signal.getsignal(signal.SIGTSTP))
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, process_group=0)
    assert done.stdout == "True 1\n"


AT_ONCE = """import _signal, os, signal, sys
from reloaderd.kernel.signals import Signals
def look(frame, event, function):
    if event == "c_return" and function is _signal.signal and callable(signal.getsignal(signal.SIGTERM)):
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGTERM)
sys.setprofile(look)
signals = Signals()
assert sys.getprofile() is None
print([one.signum for one in signals.read()])
"""


def test_a_signal_is_told_as_soon_as_it_is_caught() -> None:
    """Not only when all of them are: it would be nobody's until then."""
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", AT_ONCE], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"[{int(signal.SIGTERM)}]\n", "")
