"""SG: signals to reloaderd: what each means, what the child gets of it, and what reloaderd dies of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from signal import SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.places import REPOSITORY, Place
from tests.support.terminal import CTRL_BACKSLASH, CTRL_C, CTRL_Z, PROMPT

Kill = Callable[[Daemon], object]


def send(signum: int) -> Kill:
    return lambda daemon: os.kill(daemon.pid, signum)


def press(key: bytes) -> Kill:
    def typed(daemon: Daemon) -> None:
        assert daemon.terminal is not None
        daemon.terminal.send(key)

    return typed


# The end


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("how", "signum", "told", "terminal"),
    [
        pytest.param(send(SIGTERM), SIGTERM, SIGTERM, False, id="sg01_term"),
        pytest.param(send(SIGTERM), SIGTERM, SIGTERM, True, id="sg01_term_with_terminal"),
        pytest.param(send(SIGINT), SIGINT, SIGINT, False, id="sg02_int"),
        pytest.param(send(SIGINT), SIGINT, SIGINT, True, id="sg02_int_with_terminal"),
        pytest.param(press(CTRL_C), SIGINT, SIGINT, True, id="sg03_ctrl_c"),
        pytest.param(send(SIGHUP), SIGHUP, SIGTERM, True, id="sg05_hup_with_terminal"),
        pytest.param(send(SIGQUIT), SIGQUIT, SIGQUIT, False, id="sg11_quit"),
        pytest.param(press(CTRL_BACKSLASH), SIGQUIT, SIGQUIT, True, id="sg11_ctrl_backslash"),
    ],
)
def test_it_ends_after_the_child_and_by_that_signal(
    how: Kill, signum: int, told: int, terminal: bool, watch: Watch
) -> None:
    """The child gets exactly one signal and the time for its clean-up."""
    daemon = watch(probe=("--slow", "0.3"), terminal=terminal)
    how(daemon)
    assert daemon.wait_exit() == -signum
    assert [one.word for one in daemon.records] == ["START", "SIGNAL", "BYE"]
    assert daemon.signals() == [told]
    assert [one["event"] for one in daemon.events[-4:]] == ["closing", "stopping", "ended", "closed"]


def test_sg01_child_that_does_not_obey_is_killed(watch: Watch) -> None:
    daemon = watch("--stop-timeout=300ms", probe=("--ignore", "TERM", "--spawn", "daemon"))
    send(SIGTERM)(daemon)
    assert daemon.wait_exit() == -SIGTERM
    assert daemon.wait_event("killed")["run"] == 1
    assert daemon.signals() == [SIGTERM]


def test_sg01_status_that_a_shell_shows(place: Place, watch: Watch) -> None:
    daemon = watch(prefix=("sh", "-c", '"$@"; echo "status=$?"', "sh"))
    (first,) = procfs.children(daemon.pid)
    os.kill(first, SIGTERM)
    assert daemon.wait_exit() == 0
    assert daemon.stdout.read_text() == "status=143\n"


@pytest.mark.parametrize(
    ("first", "second", "terminal"),
    [
        pytest.param(press(CTRL_C), press(CTRL_C), True, id="sg04_ctrl_c_twice"),
        pytest.param(send(SIGTERM), send(SIGTERM), False, id="sg01_term_twice"),
        pytest.param(send(SIGHUP), send(SIGINT), True, id="sg05_hup_then_int"),
    ],
)
def test_a_second_one_does_not_wait(first: Kill, second: Kill, terminal: bool, watch: Watch) -> None:
    ignore = ("--ignore", "TERM", "--ignore", "INT", "--spawn", "setsid", "--spawn", "group")
    daemon = watch("--stop-timeout=10min", probe=ignore, terminal=terminal)
    daemon.wait(lambda: len(daemon.words("CHILD")) == 2, "its kin")
    first(daemon)
    daemon.wait_record("SIGNAL", run=1)
    assert not daemon.process_ended()
    second(daemon)
    assert daemon.wait_exit() in (-SIGINT, -SIGTERM, -SIGHUP)
    assert daemon.wait_event("killed")["run"] == 1
    assert len(daemon.signals()) == 1


@pytest.mark.parametrize("state", ["waiting", "backoff", "stopping", "killing"])
def test_sg01_in_every_state(state: str, watch: Watch) -> None:
    options: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "waiting": ((), ("--exit", "0")),
        "backoff": (("--on-exit=restart",), ("--exit", "1")),
        "stopping": (("--stop-timeout=10min",), ("--slow", "0.5")),
        "killing": (("--stop-timeout=0",), ("--spawn", "forking")),
    }
    ours, probe = options[state]
    daemon = watch(*ours, probe=probe)
    if state in ("waiting", "backoff"):
        daemon.wait_event("waiting")
    else:
        edits.mark(daemon.marker, 1)
        daemon.wait_event("stopping" if state == "stopping" else "killed")
    send(SIGTERM)(daemon)
    assert daemon.wait_exit() == -SIGTERM
    assert daemon.named("closed")
    if state == "stopping":
        assert daemon.words("BYE")


def test_sg01_at_any_moment_of_its_start(watch: Watch) -> None:
    """Also before it can answer to signals: nothing is left, and it died of the signal."""
    for number in range(12):
        daemon = watch("--stop-timeout=100ms", probe=("--spawn", "daemon"), ready=False, children=None)
        time.sleep(number * 0.012)  # the moment, nothing is waited for
        send(SIGTERM)(daemon)
        assert daemon.wait_exit() == -SIGTERM
        daemon.finish()


INTERRUPTED = """import os, signal, sys
sys.path[0] = {repository!r}
before = set(sys.modules)
from reloaderd.__main__ import main
ours = {{"reloaderd", "reloaderd.__main__", "reloaderd.errors"}}
assert set(sys.modules) - before - ours <= {{"__future__"}}
class Finder:
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv[1:] = ["watch", "--", "true"]
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["typing", "reloaderd.cli", "reloaderd.loop"])
def test_sg02_while_it_is_imported(module: str, place: Place) -> None:
    """Whoever presses Ctrl-C at once does not see where it was; next to nothing is imported before that."""
    code = INTERRUPTED.format(repository=str(REPOSITORY), module=module)
    command = [sys.executable, "-S", "-c", code]
    packages = os.pathsep.join(one for one in sys.path if one.endswith("site-packages"))
    environ = place.environ(PYTHONPATH=packages)
    done = subprocess.run(command, cwd=place.tree, env=environ, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-SIGINT, b"", b"")


# Hang-ups, and signals that ask for something


def test_sg05_hup_without_a_terminal_restarts(watch: Watch) -> None:
    daemon = watch()
    send(SIGHUP)(daemon)
    daemon.wait_starts(2)
    daemon.settle(2)
    assert daemon.signals(1) == [SIGTERM]


def test_sg05_nohup(watch: Watch) -> None:
    """A hang-up that was ignored from the start stays so."""
    daemon = watch(prefix=("env", "--ignore-signal=HUP"), terminal=True)
    send(SIGHUP)(daemon)
    daemon.settle(1)
    assert daemon.signals(1) == [SIGTERM]


@pytest.mark.smoke
def test_sg11_usr1_restarts_now(watch: Watch) -> None:
    daemon = watch()
    for number in (2, 3):
        send(SIGUSR1)(daemon)
        daemon.wait_starts(number)
        assert daemon.signals(number - 1) == [SIGTERM]
    assert daemon.named("changed") == []


def test_sg11_usr1_starts_what_has_ended(watch: Watch) -> None:
    daemon = watch(probe=("--exit", "0"), children=0)
    daemon.wait_event("waiting")
    send(SIGUSR1)(daemon)
    daemon.wait_starts(2)


def test_sg11_usr2_means_nothing(watch: Watch) -> None:
    daemon = watch()
    send(SIGUSR2)(daemon)
    daemon.settle(1)
    assert daemon.signals(1) == [SIGTERM]


# Ctrl-Z


def in_state(daemon: Daemon, state: str, *pids: int) -> None:
    daemon.wait(lambda: all(procfs.state(pid) == state for pid in pids), f"{pids} in state {state}")


@pytest.mark.smoke
@pytest.mark.needs("bash")
def test_sg07_ctrl_z_and_fg(watch: Watch) -> None:
    daemon = watch("--stop-timeout=100ms", terminal="shell", probe=("--spawn", "group"))
    terminal = daemon.terminal
    assert terminal is not None
    child, kin = daemon.starts[0].pid, daemon.wait_record("CHILD").payload[1]
    for _ in range(2):
        at = terminal.mark()
        terminal.send(CTRL_Z)
        terminal.wait_output(f"(?s)Stopped.*{PROMPT}", after=at)
        in_state(daemon, "T", daemon.pid, child, kin)
        at = len(daemon.records)
        terminal.send("fg\n")
        daemon.wait_record("SIGNAL", run=1, payload=SIGCONT, after=at)
        in_state(daemon, "S", daemon.pid, child, kin)
    daemon.settle(1)
    terminal.send(CTRL_C)
    daemon.wait_exit()
    terminal.send("echo status=$?\n")
    terminal.wait_output("status=130")
    assert daemon.signals(2) == [SIGINT]


@pytest.mark.needs("bash")
def test_sg07_change_made_meanwhile_restarts_once(watch: Watch) -> None:
    daemon = watch(terminal="shell")
    terminal = daemon.terminal
    assert terminal is not None
    at = terminal.mark()
    terminal.send(CTRL_Z)
    terminal.wait_output(PROMPT, after=at)
    in_state(daemon, "T", daemon.pid, daemon.starts[0].pid)
    for number in range(1, 4):
        edits.mark(daemon.marker, number)
    daemon.marks = 3
    terminal.send("fg\n")
    daemon.wait_starts(2)
    daemon.final_state_seen()
    daemon.settle(2)


@pytest.mark.needs("bash")
def test_sg07_bg_goes_on_in_the_background(watch: Watch) -> None:
    daemon = watch(terminal="shell")
    terminal = daemon.terminal
    assert terminal is not None
    at = terminal.mark()
    os.kill(daemon.pid, SIGTSTP)
    terminal.wait_output(PROMPT, after=at)
    in_state(daemon, "T", daemon.pid, daemon.starts[0].pid)
    terminal.send("bg\n")
    daemon.wait_record("SIGNAL", run=1, payload=SIGCONT)
    daemon.settle(1)
    assert terminal.foreground() == terminal.pid


def test_sg07_stop_that_nobody_would_end_is_none(watch: Watch) -> None:
    """Without a shell around it SIGTSTP cannot stop it; the child goes on as well."""
    daemon = watch()
    send(SIGTSTP)(daemon)
    daemon.wait_record("SIGNAL", run=1, payload=SIGCONT)
    daemon.settle(1)


def test_sg07_stopped_for_good_and_continued(watch: Watch) -> None:
    """SIGSTOP, as a debugger or a container's pause sends it, to reloaderd alone."""
    daemon = watch()
    send(signal.SIGSTOP)(daemon)
    in_state(daemon, "T", daemon.pid)
    edits.mark(daemon.marker, 1)
    daemon.marks = 1
    send(SIGCONT)(daemon)
    daemon.wait_starts(2)
    daemon.settle(2)


# The window


def test_sg09_a_resized_window_is_passed_on(watch: Watch) -> None:
    daemon = watch(terminal=True)
    assert daemon.terminal is not None
    for rows, columns in ((30, 100), (10, 20)):
        at = len(daemon.records)
        daemon.terminal.resize(rows, columns)
        daemon.wait_record("SIGNAL", run=1, payload=SIGWINCH, after=at)
    daemon.settle(1)


def test_sg09_by_kill(watch: Watch) -> None:
    daemon = watch()
    send(SIGWINCH)(daemon)
    daemon.wait_record("SIGNAL", run=1, payload=SIGWINCH)
    daemon.settle(1)


# Who reads it has gone


def test_sg10_stdout_is_head(place: Place, watch: Watch) -> None:
    """It writes nothing there itself, so `| head -1` is the child's affair alone."""
    reading, writing = os.pipe()
    with open(writing, "wb") as stdout:
        daemon = watch(stdout=stdout, probe=("--print", "one", "--print", "two"), tracebacks=True)
    assert os.read(reading, 4) == b"one\n"
    os.close(reading)
    edits.mark(daemon.marker, 1)
    daemon.marks = 1
    ended = daemon.wait_event("ended", run=2)  # the probe does not survive its own EPIPE
    assert ended["status"] == 1
    daemon.wait_event("waiting")
    daemon.children = None


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_sg10_stderr_is_a_pipe_that_nobody_reads_any_more(
    log_format: str, place: Place, watch: Watch
) -> None:
    fifo = place.scratch / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        daemon = watch(
            f"--log-format={log_format}",
            prefix=("sh", "-c", f'exec "$@" 2>{fifo}', "sh"),
            log_format="text",
        )
        daemon.wait(lambda: said(reading), "a word from reloaderd")
    finally:
        os.close(reading)
    for number in range(2, 4):
        edits.append(daemon.place.tree / "a.py")
        daemon.wait_starts(number)
        daemon.final_state_seen()
    send(SIGTERM)(daemon)
    assert daemon.wait_exit() == -SIGTERM


def said(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_sg10_standard_descriptors_that_are_closed(closed: str, watch: Watch) -> None:
    """Nothing that is opened later takes their place: no file of ours gets the child's output."""
    daemon = watch(prefix=("sh", "-c", f'exec "$@" {closed}', "sh"), log_format="text", probe=("--dump",))
    daemon.change_marker()
    dump = daemon.wait_record("DUMP", run=2).payload
    assert {fd for fd, target in dump["fds"].items() if target != "/dev/null"} <= {0, 1}
    send(SIGTERM)(daemon)
    assert daemon.wait_exit() == -SIGTERM


# A terminal that goes


@pytest.mark.parametrize("obeys", [True, False])
def test_sg05_the_window_is_closed(obeys: bool, place: Place, watch: Watch) -> None:
    daemon = watch(
        "--stop-timeout=300ms",
        terminal=True,
        probe=("--spawn", "daemon", *(() if obeys else ("--ignore", "TERM"))),
    )
    assert daemon.terminal is not None
    daemon.terminal.hang_up()
    assert daemon.wait_exit() == -SIGHUP
    assert daemon.signals()[:1] == [SIGTERM]


@pytest.mark.needs("bash")
@pytest.mark.parametrize("state", ["foreground", "background", "stopped"])
def test_sg05_the_window_is_closed_with_a_shell_in_it(state: str, watch: Watch) -> None:
    daemon = watch("--stop-timeout=300ms", terminal="shell", probe=("--spawn", "daemon"))
    terminal = daemon.terminal
    assert terminal is not None
    if state != "foreground":
        at = terminal.mark()
        terminal.send(CTRL_Z)
        terminal.wait_output(PROMPT, after=at)
    if state == "background":
        terminal.send("bg\n")
        in_state(daemon, "S", daemon.pid, daemon.starts[0].pid)
    terminal.hang_up()
    daemon.wait_exit()
    daemon.wait(lambda: not procfs.marked(daemon.place.mark), "nothing to be left")
