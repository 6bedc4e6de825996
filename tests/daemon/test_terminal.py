"""TT: the terminal is lent to a child that asks for it, taken back in order, and left alone otherwise."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build
from tests.support.terminal import CTRL_C, CTRL_D, CTRL_Z, PROMPT, Terminal

PREVIOUS = b"\x10"
"""Ctrl-P, the last line again: to readline and to the prompt of Python 3.13."""

ASKS = ("--ask", "--stdin")
"""A probe that changes the terminal's modes right after its start, and then reads lines.

With `--stdin` alone it only polls, as event loops do, and so asks when there is something to read.
"""

RAW = """
import os, signal, sys, time, tty
for ignored in map(int, sys.argv[1:]):
    signal.signal(ignored, signal.SIG_IGN)
tty.setraw(0)
os.write(1, b"raw\\r\\n")
time.sleep(1000)
"""
"""A program that turns the terminal's echo and line editing off and does not turn them on again."""


def started(watch: Watch, *options: str, **keywords: Any) -> tuple[Daemon, Terminal]:
    """reloaderd on a terminal of its own; keywords of `Daemon`."""
    daemon = watch(*options, **{"terminal": True, **keywords})
    assert daemon.terminal is not None
    return daemon, daemon.terminal


def on_terminal(*command: str) -> list[str]:
    """The command with its stderr on the terminal, though reloaderd's own is a file here."""
    return ["sh", "-c", f"exec {shlex.join(command)} 2>/dev/tty"]


def told(daemon: Daemon, run: int) -> list[int]:
    """The signals that the child of this run got, but for that which ended its stop."""
    return [signum for signum in daemon.signals(run) if signum != signal.SIGCONT]


def running(daemon: Daemon, run: int) -> int:
    """The pid of the child of this run."""
    pid: int = daemon.wait_event("started", run=run)["pid"]
    return pid


def lent(daemon: Daemon, pid: int) -> None:
    """Wait until the child's group is in the foreground and the child goes on."""
    terminal = daemon.terminal
    assert terminal is not None
    daemon.wait(lambda: terminal.foreground() == pid, f"the terminal to be lent to {pid}")
    daemon.wait(lambda: procfs.state(pid) in ("S", "R"), f"{pid} to go on")


def taken_back(daemon: Daemon) -> None:
    """Wait until reloaderd has the terminal, with the modes of a sane one."""
    terminal = daemon.terminal
    assert terminal is not None
    stat = procfs.stat(daemon.pid)
    assert stat is not None
    daemon.wait(lambda: terminal.foreground() == stat.pgid, "the terminal to come back")
    daemon.wait(terminal.echoes, "the echo to come back")


def to_background(daemon: Daemon) -> None:
    """Ctrl-Z, and `bg` at the shell."""
    terminal = daemon.terminal
    assert terminal is not None
    at = terminal.mark()
    terminal.send(CTRL_Z)
    terminal.wait_output(f"(?s)Stopped.*{PROMPT}", after=at)
    terminal.send("bg\n")
    daemon.wait(lambda: procfs.state(daemon.pid) in ("S", "R"), "reloaderd in the background")


# Children that talk


@pytest.mark.smoke
@pytest.mark.parametrize("probe", [ASKS, ("--stdin",)], ids=["asks", "polls"])
def test_tt01_tt02_child_that_reads_lines(probe: tuple[str, ...], watch: Watch) -> None:
    """Each run is lent the terminal when it asks, and what is typed reaches it."""
    daemon, terminal = started(watch, probe=probe)
    for run in (1, 2, 3):
        start = daemon.wait_record("START", run=run)
        terminal.send(f"line {run}\n")
        daemon.wait_record("LINE", run=run, payload=f"line {run}".encode())
        lent(daemon, start.pid)
        edits.mark(daemon.marker, run)
    daemon.marks = 3


@pytest.mark.smoke
def test_tt01_python_prompt(watch: Watch) -> None:
    daemon, terminal = started(watch, command=on_terminal(sys.executable, "-i", "-c", "print('he' + 'llo')"))
    at = 0
    for run in (1, 2):
        terminal.wait_output("(?s)hello.*>>> ", after=at)
        for keys, shown in ((b"6 * 7\n", "42"), (PREVIOUS + b"+ 1\n", "43")):
            at = terminal.mark()
            terminal.send(keys)
            terminal.wait_output(rf"(?s){shown}\r\n.*>>> ", after=at)
        at = terminal.mark()
        terminal.send(CTRL_C)  # is its own affair
        terminal.wait_output("(?s)KeyboardInterrupt.*>>> ", after=at)
        if run == 1:
            at = terminal.mark()
            edits.mark(daemon.marker, 1)
    terminal.send(CTRL_D)
    daemon.wait_event("ended", run=2, status=0)
    taken_back(daemon)


def test_tt01_pdb(place: Place, watch: Watch) -> None:
    build(place.tree, {"app.py": "value = 42\nbreakpoint()\nprint('went', 'on')\n"})
    daemon, terminal = started(watch, command=on_terminal(sys.executable, "app.py"))
    terminal.wait_output(r"\(Pdb\) ")
    terminal.send("p value + 1\n")
    terminal.wait_output("43")
    terminal.send("continue\n")
    terminal.wait_output("went on")
    daemon.wait_event("waiting")
    taken_back(daemon)
    at = terminal.mark()
    edits.append(place.tree / "app.py")
    terminal.wait_output(r"\(Pdb\) ", after=at)
    edits.append(place.tree / "marker.py")  # a restart at the prompt
    daemon.wait_event("started", run=3)
    terminal.wait_output(r"(?s)\(Pdb\).*\(Pdb\)", after=at)


@pytest.mark.needs("bash")
def test_tt01_bash(watch: Watch) -> None:
    """A shell has job control of its own: the terminal comes back from its jobs as well."""
    command = on_terminal("env", "PS1=child> ", "bash", "--norc", "--noprofile", "-i")
    daemon, terminal = started(watch, "--stop-timeout=200ms", "--kill=child", command=command)
    terminal.wait_output("child> ")
    terminal.send("echo $((6 * 7))\n")
    terminal.wait_output("42\r\n")
    at = terminal.mark()
    terminal.send("sleep 1000\n")
    daemon.wait(lambda: len(jobs(daemon)) == 1, "the job of the shell")
    terminal.send(CTRL_Z)  # stops the job, not us
    terminal.wait_output("(?s)Stopped.*child> ", after=at)
    terminal.send("fg\n")
    (job,) = jobs(daemon)
    daemon.wait(lambda: terminal.foreground() == job, "the job in the foreground")
    at = terminal.mark()
    edits.mark(daemon.marker, 1)  # bash ignores SIGTERM: both are killed, the job in the foreground
    terminal.wait_output("child> ", after=at)
    assert not procfs.alive(job)
    lent(daemon, running(daemon, 2))
    terminal.send("exit 5\n")
    assert daemon.wait_event("ended", run=2)["status"] == 5
    taken_back(daemon)


@pytest.mark.needs("bash")
def test_tt01_bash_dies_while_its_job_has_the_terminal(watch: Watch) -> None:
    """It comes back when the job is gone, too; else Ctrl-C would reach nobody."""
    command = on_terminal("env", "PS1=child> ", "bash", "--norc", "--noprofile", "-i")
    daemon, terminal = started(watch, command=command)
    terminal.wait_output("child> ")
    terminal.send("sleep 1000\n")
    daemon.wait(lambda: jobs(daemon) == [terminal.foreground()], "the job in the foreground")
    procfs.kill(running(daemon, 1))
    daemon.wait_event("waiting")
    taken_back(daemon)
    terminal.send(CTRL_C)
    assert daemon.wait_exit() == -signal.SIGINT


def test_tt_keeper_is_killed_while_lent(watch: Watch) -> None:
    daemon, terminal = started(watch, probe=ASKS, warnings=True)
    lent(daemon, daemon.starts[0].pid)
    procfs.kill(procfs.children(daemon.pid)[0])
    daemon.wait_event("waiting")
    taken_back(daemon)
    lent(daemon, daemon.change_marker().pid)


def jobs(daemon: Daemon) -> list[int]:
    """The pids of all `sleep` below reloaderd."""
    return [pid for pid in procfs.descendants(daemon.pid) if procfs.cmdline(pid)[:1] == ["sleep"]]


def test_tt01_child_that_changes_the_modes(watch: Watch) -> None:
    """stty and getpass write to the terminal's settings: that is asking, too (SIGTTOU)."""
    script = "stty -echo && echo quiet; read line; stty echo; echo got $line; read line"
    daemon, terminal = started(watch, command=("sh", "-c", script))
    terminal.wait_output("quiet")
    assert not terminal.echoes()
    terminal.send("secret\n")
    terminal.wait_output("got secret")
    assert terminal.output.count(b"secret") == 1  # what was typed was not shown
    terminal.send("\n")
    daemon.wait_event("ended", status=0)
    taken_back(daemon)


def test_tt01_as_under_make(watch: Watch) -> None:
    """Started by a program that is in our process group, and waits for us."""
    daemon, terminal = started(
        watch,
        prefix=("sh", "-c", 'trap "" INT; "$@"; echo "status=$?"', "sh"),
        probe=ASKS,
        children=None,
    )
    lent(daemon, daemon.starts[0].pid)
    terminal.send("line\n")
    daemon.wait_record("LINE", payload=b"line")
    edits.mark(daemon.marker, 1)
    lent(daemon, daemon.wait_record("START", run=2).pid)
    terminal.send(CTRL_C)
    assert daemon.wait_exit() == 0
    terminal.wait_output("status=130")
    assert told(daemon, 2) == [signal.SIGINT]


def test_tt07_child_writes_to_the_terminal_itself(watch: Watch) -> None:
    daemon, terminal = started(watch, log_format="text", probe=("--dump", "--print", "\x1b[7mbar\x1b[m"))
    assert daemon.wait_record("DUMP").payload["isatty"] == [True, True, True]
    terminal.wait_output(re.escape("\x1b[7mbar\x1b[m"))
    stat = procfs.stat(daemon.starts[0].pid)
    assert stat is not None and stat.foreground == daemon.pid  # it has not asked


# Keys while it is lent


def test_sg03_ctrl_c_while_lent(watch: Watch) -> None:
    """The kernel sends it to the child alone, and as the child dies of it, so does reloaderd."""
    daemon, terminal = started(watch, probe=ASKS)
    lent(daemon, daemon.starts[0].pid)
    terminal.send(CTRL_C)
    assert daemon.wait_exit() == -signal.SIGINT
    assert told(daemon, 1) == [signal.SIGINT]
    assert terminal.echoes()


def test_sg03_ctrl_c_that_the_child_handles_while_lent(watch: Watch) -> None:
    daemon, terminal = started(watch, probe=(*ASKS, "--ignore", "INT"))
    lent(daemon, daemon.starts[0].pid)
    for number in (1, 2, 3):
        terminal.send(CTRL_C)
        daemon.wait(
            lambda number=number: told(daemon, 1) == number * [signal.SIGINT], "a SIGINT in the child"
        )
    daemon.settle(1)
    lent(daemon, daemon.starts[1].pid)


@pytest.mark.parametrize("signum", ["INT", "QUIT"])
def test_sg03_stop_signal_that_is_a_key_of_the_terminal(signum: str, watch: Watch) -> None:
    """A child that we ended by SIGINT while it had the terminal is no Ctrl-C of the person."""
    daemon, _ = started(watch, f"--stop-signal={signum}", probe=ASKS)
    lent(daemon, daemon.starts[0].pid)
    daemon.settle(1)
    lent(daemon, daemon.starts[1].pid)


def test_sg09_resize_while_lent(watch: Watch) -> None:
    daemon, terminal = started(watch, probe=ASKS)
    lent(daemon, daemon.starts[0].pid)
    terminal.resize(33, 99)
    daemon.wait_record("SIGNAL", run=1, payload=signal.SIGWINCH)
    daemon.settle(1)
    assert told(daemon, 1) == [signal.SIGWINCH, signal.SIGTERM]


@pytest.mark.smoke
@pytest.mark.needs("bash")
def test_sg07_ctrl_z_and_fg_while_lent(watch: Watch) -> None:
    """The shell gets its prompt, and with `fg` the child has the terminal again."""
    daemon, terminal = started(watch, terminal="shell", probe=ASKS)
    child = daemon.starts[0].pid
    for number in (1, 2):
        lent(daemon, child)
        at = terminal.mark()
        terminal.send(CTRL_Z)
        terminal.wait_output(f"(?s)Stopped.*{PROMPT}", after=at)
        daemon.wait(lambda: procfs.state(daemon.pid) == procfs.state(child) == "T", "both stopped")
        terminal.send("fg\n")
        lent(daemon, child)
        terminal.send(f"line {number}\n")
        daemon.wait_record("LINE", run=1, payload=f"line {number}".encode())
    daemon.settle(1)
    lent(daemon, daemon.starts[1].pid)


@pytest.mark.needs("bash")
def test_sg07_change_while_stopped_and_lent(watch: Watch) -> None:
    daemon, terminal = started(watch, terminal="shell", probe=ASKS)
    lent(daemon, daemon.starts[0].pid)
    at = terminal.mark()
    terminal.send(CTRL_Z)
    terminal.wait_output(f"(?s)Stopped.*{PROMPT}", after=at)
    edits.mark(daemon.marker, 1)
    daemon.marks = 1
    terminal.send("fg\n")
    lent(daemon, daemon.wait_starts(2).pid)
    terminal.send("line\n")
    daemon.wait_record("LINE", run=2, payload=b"line")
    daemon.settle(2)


# In the background


@pytest.mark.needs("bash")
def test_tt04_in_the_background_the_terminal_is_left_alone(watch: Watch) -> None:
    """A child that asks waits there, stopped; it is restarted all the same.

    bash says nothing to a job that it moves to the foreground: Ctrl-Z and `fg` give it the terminal.
    """
    daemon, terminal = started(watch, terminal="shell", probe=ASKS)
    lent(daemon, daemon.starts[0].pid)
    to_background(daemon)
    for run in (2, 3):
        edits.mark(daemon.marker, run)
        child = daemon.wait_starts(run).pid
        daemon.wait(lambda child=child: procfs.state(child) == "T", "a stopped child")
        assert terminal.foreground() == terminal.pid
    daemon.marks = 3
    assert procfs.state(daemon.pid) != "T"
    terminal.send("echo $((6 * 7))\n")
    terminal.wait_output("42\r\n")
    terminal.send("fg\n")
    daemon.wait(lambda: terminal.foreground() != terminal.pid, "reloaderd in the foreground")
    at = terminal.mark()
    terminal.send(CTRL_Z)
    terminal.wait_output(f"(?s)Stopped.*{PROMPT}", after=at)
    terminal.send("fg\n")
    lent(daemon, child)
    terminal.send("line\n")
    daemon.wait_record("LINE", run=3, payload=b"line")


@pytest.mark.needs("bash")
def test_tt04_in_the_background_it_ends_and_leaves_the_terminal_alone(watch: Watch) -> None:
    daemon, terminal = started(watch, terminal="shell")
    to_background(daemon)
    daemon.settle(1)
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_exit()
    assert terminal.foreground() == terminal.pid
    terminal.send("echo $((6 * 7))\n")
    terminal.wait_output("42\r\n")


# What a child leaves


@pytest.mark.parametrize("how", ["restarted", "killed", "ended"])
def test_modes_are_put_back_after_a_child_in_raw_mode(how: str, watch: Watch) -> None:
    command = (sys.executable, "-I", "-S", "-c", RAW, str(int(signal.SIGTERM)))
    daemon, terminal = started(watch, "--stop-timeout=100ms", command=command)
    before = terminal.first
    terminal.wait_output("raw")
    daemon.wait(lambda: not terminal.echoes(), "raw mode")
    if how == "killed":
        procfs.kill(running(daemon, 1))
        daemon.wait_event("waiting")
    elif how == "restarted":
        edits.mark(daemon.marker, 1)
        terminal.wait_output("(?s)raw.*raw")  # the second run is lent it anew
    if how != "killed":
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.wait_exit()
    daemon.wait(lambda: terminal.modes() == before, "the modes as they were")


def test_modes_are_put_back_before_reloaderd_is_gone(watch: Watch) -> None:
    """Ctrl-C as a raw child does not see it: by SIGINT from elsewhere, and a second one."""
    command = (sys.executable, "-I", "-S", "-c", RAW, str(int(signal.SIGINT)), str(int(signal.SIGTERM)))
    daemon, terminal = started(watch, "--stop-timeout=10min", command=command)
    before = terminal.first
    terminal.wait_output("raw")
    for event in ("stopping", "killed"):
        os.kill(daemon.pid, signal.SIGINT)
        daemon.wait_event(event)
    assert daemon.wait_exit() == -signal.SIGINT
    assert terminal.modes() == before


# A terminal that goes


@pytest.mark.parametrize("deaf", [(), ("HUP", "TERM")], ids=["obeys", "deaf"])
@pytest.mark.parametrize("where", [True, "shell"], ids=["alone", "shell"])
def test_tt_the_window_is_closed_while_lent(deaf: Sequence[str], where: bool | str, watch: Watch) -> None:
    ignore = [word for name in deaf for word in ("--ignore", name)]
    daemon, terminal = started(
        watch, "--stop-timeout=300ms", terminal=where, probe=(*ASKS, "--spawn", "daemon", *ignore)
    )
    lent(daemon, daemon.starts[0].pid)
    terminal.hang_up()
    status = daemon.wait_exit()
    assert where == "shell" or status == -signal.SIGHUP
    daemon.wait(lambda: not procfs.marked(daemon.place.mark), "nothing to be left")


def test_tt_reloaderd_is_killed_while_lent(watch: Watch) -> None:
    """Nothing can put the modes back then, but nothing stays."""
    daemon, terminal = started(watch, probe=(*ASKS, "--spawn", "daemon"))
    lent(daemon, daemon.starts[0].pid)
    procfs.kill(daemon.pid)
    daemon.wait_exit()
    daemon.wait(lambda: not procfs.marked(daemon.place.mark), "nothing to be left")


@pytest.mark.needs("bash")
@pytest.mark.parametrize("signum", ["HUP", "INT", "TERM", "USR1"])
def test_stop_signal_reaches_a_child_that_waits_stopped(signum: str, watch: Watch) -> None:
    """One that asked for the terminal where there is none to lend: it is continued to obey."""
    daemon, _ = started(
        watch, f"--stop-signal={signum}", "--stop-timeout=10min", terminal="shell", probe=ASKS
    )
    lent(daemon, daemon.starts[0].pid)
    to_background(daemon)
    os.kill(daemon.starts[0].pid, signal.SIGKILL)  # the next one asks in the background
    daemon.wait_event("waiting")
    child = daemon.change_marker().pid
    daemon.wait(lambda: procfs.state(child) == "T", "a stopped child")
    edits.mark(daemon.marker, 2)
    daemon.wait_record("SIGNAL", run=2, payload=signal.Signals["SIG" + signum])
    if signum == "USR1":  # the probe lives on
        os.kill(child, signal.SIGKILL)
    daemon.wait_starts(3)
    daemon.marks = 2
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_record("SIGNAL", run=3)
    if signum == "USR1":
        os.kill(daemon.starts[2].pid, signal.SIGKILL)
    daemon.wait_exit()
