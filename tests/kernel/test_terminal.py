"""Lending the terminal to a child that asks for it and taking it back, on a real pty."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.terminal import CTRL_Z, Terminal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_stays")

LENDER = """
import os, select, signal, sys, termios
from reloaderd.events import ChildEnded, ChildStarted, ChildStopped, RunGone
from reloaderd.kernel.child import Child
from reloaderd.kernel.signals import Signals
from reloaderd.kernel.terminal import Terminal, TerminalGone
child = Child("web", sys.argv[1:], None, os.environ)
signals, terminal = Signals(), Terminal()
out = os.open(os.environ["SAYS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def say(*words):
    os.write(out, (" ".join(map(str, words)) + "\\n").encode())
say("has", bool(terminal), terminal.is_foreground(), terminal.reclaim())
child.start(1, {})
while True:
    ready = select.select([child, signals], [], [])[0]
    for event in [*(child.read() if child in ready else ()), *(signals.read() if signals in ready else ())]:
        match event:
            case ChildStarted():
                pid = event.pid
                say("started", pid)
            case ChildStopped(signum=signal.SIGTTIN | signal.SIGTTOU):
                try:
                    say("lent", terminal.lend(pid), terminal.is_foreground())
                    child.signal(1, signal.SIGCONT, "tree")
                except TerminalGone:
                    say("gone")
            case ChildStopped():
                say("stopped", event.signum)
                say("back", terminal.reclaim())
                signals.stop_self()
            case ChildEnded():
                say("ended", event.status)
            case RunGone():
                try:
                    say("back", terminal.reclaim(), terminal.is_foreground())
                except TerminalGone:
                    say("gone")
                child.close()
                sys.exit()
            case _ if event.signum == signal.SIGCONT:
                try:
                    say("continued", terminal.lend(pid))
                    child.signal(1, signal.SIGCONT, "tree")
                except TerminalGone:
                    say("gone when continued")  # the kernel sends both with a hang-up
            case _ if event.signum == signal.SIGTERM:
                child.kill(1)
            case _ if event.signum == signal.SIGUSR1:
                try:
                    say("asked", terminal.lend(pid), terminal.reclaim())
                except TerminalGone:
                    say("gone")
            case _ if event.signum != signal.SIGCHLD:
                say("signal", event.signum)
"""
"""A daemon reduced to its terminal: starts its arguments as the child and says what it sees."""

READER = "import sys; print('got', sys.stdin.readline().strip(), flush=True); sys.exit(7)"
RAW = """
import os, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
print("raw", flush=True)
os.read(0, 1)
"""


class Lender:
    """LENDER on a terminal of its own; `shell`: as a job of an interactive shell there."""

    def __init__(self, place: Path, program: str, *, shell: bool = False) -> None:
        self.says = place / "says"
        environ = {**os.environ, "SAYS": str(self.says)}
        self.command = [sys.executable, "-c", LENDER, sys.executable, "-c", program]
        if shell:
            self.terminal = Terminal.shell(cwd=Path.cwd(), environ=environ)
            script = place / "run.py"
            script.write_text(f"import os\nos.execv({self.command[0]!r}, {self.command!r})\n")
            self.terminal.send(f"{sys.executable} {script}\n")
        else:
            self.terminal = Terminal(self.command, cwd=Path.cwd(), environ=environ)

    def lines(self) -> list[str]:
        self.terminal.pump()
        return self.says.read_text().splitlines() if self.says.exists() else []

    def wait(self, line: str, times: int = 1) -> None:
        wait_until(lambda: self.lines().count(line) >= times, line, explain=self.report)

    def reads(self) -> None:
        """Wait until the child, which was stopped when it first asked, waits for input."""
        wait_until(lambda: procfs.state(self.pid) == "S", "a child that reads", explain=self.report)

    def report(self) -> str:
        return f"{self.lines()}\n{self.terminal.report()}"

    @property
    def pid(self) -> int:
        (line,) = (line for line in self.lines() if line.startswith("started "))
        return int(line.split()[1])


@pytest.fixture
def lender(tmp_path: Path) -> Iterator[Callable[..., Lender]]:
    lenders: list[Lender] = []

    def make(program: str, **keywords: bool) -> Lender:
        lenders.append(Lender(tmp_path, program, **keywords))
        return lenders[-1]

    yield make
    for one in lenders:
        one.terminal.close()


def test_TT01_TT02_a_child_that_reads_gets_the_terminal(lender: Callable[..., Lender]) -> None:
    daemon = lender(READER)
    daemon.wait("lent True False")
    assert daemon.terminal.foreground() == daemon.pid
    daemon.terminal.send("hello\n")
    daemon.terminal.wait_output("got hello")
    daemon.wait("back True True")
    assert daemon.lines()[0] == "has True True False"
    assert "ended 7" in daemon.lines()


def test_modes_are_put_back_after_a_child_that_was_killed(lender: Callable[..., Lender]) -> None:
    daemon = lender(RAW)
    before = daemon.terminal.modes()
    daemon.wait("lent True False")
    daemon.terminal.wait_output("raw")
    assert daemon.terminal.modes() != before
    os.kill(daemon.terminal.pid, signal.SIGTERM)
    daemon.wait("back True True")
    assert daemon.terminal.modes() == before


@pytest.mark.needs("bash")
def test_SG07_a_stop_in_the_child_gives_the_shell_its_prompt_and_fg_brings_both_back(
    lender: Callable[..., Lender],
) -> None:
    daemon = lender(READER, shell=True)
    daemon.wait("lent True False")
    for times in (1, 2):
        daemon.reads()
        mark = daemon.terminal.mark()
        daemon.terminal.send(CTRL_Z)
        daemon.terminal.wait_output("READY> ", after=mark)
        daemon.wait("back True", times)
        assert daemon.terminal.foreground() == daemon.terminal.pid
        daemon.terminal.send("fg\n")
        daemon.wait("continued True", times)
    daemon.terminal.send("hello\n")
    daemon.terminal.wait_output("got hello")
    daemon.wait("back True True")
    daemon.terminal.wait_output("READY> $")


@pytest.mark.needs("bash")
def test_TT04_in_the_background_the_terminal_is_left_alone(lender: Callable[..., Lender]) -> None:
    daemon = lender(READER, shell=True)
    daemon.wait("lent True False")
    daemon.reads()
    daemon.terminal.send(CTRL_Z)
    daemon.wait("back True")
    daemon.terminal.wait_output(r"(?s)Stopped.*READY> $")
    daemon.terminal.send("bg\n")
    daemon.wait("continued False")
    daemon.wait("lent False False")
    assert daemon.terminal.foreground() == daemon.terminal.pid
    daemon.terminal.send("kill %1\n")
    daemon.wait("back False False")
    assert daemon.terminal.foreground() == daemon.terminal.pid


def test_what_another_group_took_is_not_taken_from_it(lender: Callable[..., Lender]) -> None:
    """The reader hands the terminal to a group of its own; reclaimed only once that is gone."""
    daemon = lender("""
import os, signal, sys
sys.stdin.readline()
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    print("job", flush=True)
    while True:
        signal.pause()
signal.pause()
""")
    daemon.wait("lent True False")
    daemon.terminal.send("\n")
    daemon.terminal.wait_output("job")
    job = daemon.terminal.foreground()
    os.kill(daemon.terminal.pid, signal.SIGUSR1)
    daemon.wait("asked False False")
    assert daemon.terminal.foreground() == job != daemon.pid
    os.kill(daemon.terminal.pid, signal.SIGTERM)
    daemon.wait("back True True")


def test_a_terminal_that_is_hung_up_is_told_as_gone(lender: Callable[..., Lender]) -> None:
    daemon = lender(READER)
    daemon.wait("lent True False")
    daemon.reads()
    daemon.terminal.hang_up()  # SIGHUP comes too, before or after the child's end is noticed
    daemon.wait("gone")
    assert [line for line in daemon.lines() if line.startswith("ended ")]


def test_without_a_terminal_nothing_is_lent() -> None:
    program = """
import os
from reloaderd.kernel.terminal import Terminal
with Terminal() as terminal:
    print(bool(terminal), terminal.is_foreground(), terminal.lend(os.getpid()), terminal.reclaim())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert done.stdout == "False False False False\n"
