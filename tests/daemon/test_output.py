"""OUT: what a person and a script see: who writes where, escaped names, colours, JSON, and quiet."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build
from tests.support.waiting import wait_until

ODD_NAMES = (
    b"\x1b[31mred\x1b[2J\x1b]0;title\x07.py",
    b"new\nline\r[reloaderd] closed.py",
    b"\xff\xfe\x80.py",
    b'quote"back\\slash\t.py',
    "größe\u202eyp.exe \U0001f600.py".encode(),
    b"\x9b2J\x7f.py",
    b"--config=x",
    b"$(touch executed) `touch executed`; touch executed.py",
    b" ",
)
"""Names that a terminal obeys, that are no UTF-8, that a shell or a parser would act on."""

ANY_ESCAPE = re.compile(rb"\x1b")


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


# Who writes where


@pytest.mark.smoke
def test_out01_stdout_is_the_childs_alone(watch: Watch) -> None:
    daemon = watch(probe=("--print", "one line of the child", "--say-bye", "bye"))
    for _ in range(2):
        daemon.change_marker()
    daemon.finish()
    assert lines(daemon.stdout) == [b"one line of the child", b"bye"] * 3
    assert all(line.startswith(b'{"event": ') for line in lines(daemon.stderr))


def test_out01_text_goes_to_stderr_too(watch: Watch) -> None:
    daemon = watch(log_format="text", probe=("--print", "one line of the child"))
    daemon.change_marker()
    daemon.finish()
    assert lines(daemon.stdout) == [b"one line of the child"] * 2
    assert all(line.startswith(b"[reloaderd] ") for line in lines(daemon.stderr))


WRITER = """
import os
block = b"x" * 65536
while True:
    os.write(1, block)
"""


def test_out03_what_the_child_prints_does_not_pass_through_us(watch: Watch) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as stdout:
        daemon = watch(command=(sys.executable, "-I", "-S", "-c", WRITER), stdout=stdout, tracebacks=True)
    child = daemon.wait_event("started")["pid"]
    assert procfs.fds(child)[1] == procfs.fds(daemon.pid)[1]
    before = procfs.rss(daemon.pid), procfs.switches(daemon.pid)
    read = 0
    while read < 256 << 20:
        read += len(os.read(reading, 1 << 20))
    assert procfs.rss(daemon.pid) < before[0] + (1 << 20)
    assert procfs.switches(daemon.pid)[0] < before[1][0] + 100  # of 4,096 writes
    os.close(reading)
    daemon.wait_event("waiting")


LAST_WORDS = """
import os, signal, sys
def last(*_):
    for number in range(2000):
        os.write(1, b"last words %06d %s\\n" % (number, b"." * 80))
    os.write(1, b"the end of run " + os.environb[b"RELOADERD_RUN"] + b"\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, last)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def test_out04_the_last_output_is_complete(watch: Watch) -> None:
    """More than a pipe holds, read slowly: the next run waits until all is out."""
    reading, writing = os.pipe()
    with open(writing, "wb") as stdout:
        daemon = watch(command=(sys.executable, "-I", "-S", "-c", LAST_WORDS), stdout=stdout)
    with open(reading, "rb") as output:
        for run in (1, 2):
            assert output.readline() == b"ready\n"
            edits.mark(daemon.marker, run)
            for number in range(2000):
                assert output.readline().startswith(b"last words %06d ." % number)
            assert output.readline() == b"the end of run %d\n" % run
        assert output.readline() == b"ready\n"
        os.kill(daemon.pid, signal.SIGTERM)
        rest = output.read().splitlines()
        assert rest[-1] == b"the end of run 3"
        assert len(rest) == 2001
    assert daemon.wait_exit() == -signal.SIGTERM


# Names


def change_odd_names(daemon: Daemon) -> None:
    for name in ODD_NAMES:
        edits.write(Path(os.fsdecode(os.fsencode(daemon.place.tree) + b"/" + name)))
        daemon.final_state_seen()


def test_names_are_escaped_on_a_terminal(place: Place, watch: Watch) -> None:
    daemon = watch("-v", "--debounce=20ms", terminal=True, log_format="text", environ={"NO_COLOR": "1"})
    assert daemon.terminal is not None
    change_odd_names(daemon)
    daemon.wait(lambda: daemon.terminal.output.count(b"changed: ") >= len(ODD_NAMES), "all names")
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", daemon.terminal.output)
    text = daemon.terminal.output.decode()  # and UTF-8 throughout
    assert "\u202e" not in text and "\x9b" not in text
    assert all(line.startswith("[reloaderd] ") for line in text.splitlines() if line)
    for shown in (r"\x1b[31mred", r"new\nline\r[reloaderd] closed.py", r"\xff\xfe\x80.py", "größe"):
        assert shown in text
    assert not list(place.base.rglob("executed"))


def test_names_in_json_are_what_the_kernel_has(place: Place, watch: Watch) -> None:
    daemon = watch("--debounce=20ms")
    change_odd_names(daemon)
    tree = os.fsencode(place.tree)
    wanted = {tree + b"/" + name for name in ODD_NAMES}
    daemon.wait(lambda: wanted <= {os.fsencode(path) for path in daemon.changed_paths()}, "all names")
    assert daemon.noise == []
    assert not list(place.base.rglob("executed"))
    for line in lines(daemon.stderr):
        line.decode("ascii")
        json.loads(line)


def test_name_of_the_service_is_escaped(place: Place, watch: Watch) -> None:
    """The name comes from the directory unless an option says another one."""
    here = place.tree / "\x1b[2J\n"
    build(here, {"a.py": "a\n"})
    daemon = watch(cwd=here, log_format="text")
    daemon.change_marker()
    daemon.finish()
    assert b"\x1b" not in daemon.stderr.read_bytes()
    assert all(line.startswith(b"[reloaderd] ") for line in lines(daemon.stderr))


# What is shown


def test_json_says_what_its_readers_are_promised(watch: Watch) -> None:
    """The names of DESIGN section 8, with their fields."""
    daemon = watch("--stop-timeout=200ms", probe=("--ignore", "TERM"))
    daemon.change_marker()
    daemon.finish()
    promised: dict[str, dict[str, type | tuple[type, ...]]] = {
        "watching": {"roots": list, "source": str, "watches": int},
        "started": {"run": int, "pid": int},
        "changed": {"paths": list, "count": int, "rule": str},
        "stopping": {"run": int, "signal": str},
        "killed": {"run": int},
        "ended": {"run": int, "signal": str, "seconds": float},
        "restarted": {"run": int, "ms": (int, float)},
        "closing": {},
        "closed": {},
    }
    said = {event["event"]: event for event in daemon.events}
    for name, fields in promised.items():
        assert said[name]["service"] == "tree"
        assert isinstance(said[name]["time"], float)
        assert {key: value for key, value in said[name].items() if key in fields} == {
            key: value for key, value in said[name].items() if isinstance(value, fields.get(key, ()))
        }
        assert fields.keys() <= said[name].keys()
    assert [one["event"] for one in daemon.events] == [
        *("watching", "started", "changed", "stopping", "killed", "ended", "started", "restarted"),
        *("closing", "stopping", "killed", "ended", "closed"),
    ]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_quiet_leaves_warnings_alone(log_format: str, place: Place, watch: Watch) -> None:
    daemon = watch("-q", f"--log-format={log_format}", log_format="text", warnings=True)
    daemon.change_marker()
    assert daemon.stderr.read_bytes() == b""
    os.kill(procfs.children(daemon.pid)[0], signal.SIGKILL)  # the keeper: worth a warning
    line = daemon.wait(lambda: lines(daemon.stderr), "a warning")[0]
    assert b"warning" in line
    daemon.children = None
    daemon.finish()
    assert len(lines(daemon.stderr)) == 1


CLEAR = b"\x1b[H\x1b[2J\x1b[3J"


def test_clear_comes_before_a_restart_and_only_then(watch: Watch) -> None:
    daemon = watch("--clear", terminal=True, log_format="text", probe=("--print", "hello"))
    terminal = daemon.terminal
    assert terminal is not None
    terminal.wait_output("\nhello\r")
    assert CLEAR not in terminal.output
    for number in (1, 2):
        daemon.change_marker()
        daemon.wait(lambda number=number: terminal.output.count(b"\nhello\r") == number + 1, "hello")
        assert terminal.output.count(CLEAR) == number
    assert "restarted #3" in terminal.screen() and "#2" not in terminal.screen()


def test_clear_needs_a_terminal(watch: Watch) -> None:
    daemon = watch("--clear", log_format="text")
    daemon.change_marker()
    daemon.finish()
    assert b"\x1b" not in daemon.stderr.read_bytes()


@pytest.mark.parametrize(
    ("options", "environ", "coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        ((), {"TERM": "dumb"}, False),
        (("--color=never",), {}, False),
        (("--color=always",), {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_on_a_terminal(
    options: tuple[str, ...], environ: dict[str, str], coloured: bool, watch: Watch
) -> None:
    daemon = watch(*options, terminal=True, log_format="text", environ=environ)
    daemon.change_marker()
    assert daemon.terminal is not None
    daemon.terminal.wait_output("restarted #2")
    assert bool(ANY_ESCAPE.search(daemon.terminal.output)) is coloured


@pytest.mark.parametrize(("options", "coloured"), [((), False), (("--color=always",), True)])
def test_colour_in_a_file(options: tuple[str, ...], coloured: bool, watch: Watch) -> None:
    daemon = watch(*options, log_format="text")
    daemon.change_marker()
    daemon.finish()
    assert bool(ANY_ESCAPE.search(daemon.stderr.read_bytes())) is coloured


def test_verbose_names_the_rule_and_the_steps(watch: Watch) -> None:
    daemon = watch("-v", log_format="text")
    daemon.change_marker()
    daemon.finish()
    text = daemon.stderr.read_text()
    assert re.search(r"changed: marker\.py \[every file, .*\]\n.*stopping #1 with SIGTERM\n", text)
    assert text.splitlines()[-1] == "[reloaderd] closed"


def test_line_that_announces_the_start_can_be_run(place: Place, watch: Watch) -> None:
    """The command is shown as one would type it, each word as it was."""
    words = ("sh", "-c", 'echo "$1" >words; exec sleep 1000', "sh", "it's 2 words; $HOME")
    daemon = watch("--ignore=words", command=words, log_format="text")
    line = daemon.wait_line(lambda line: "started #1: " in line)
    typed = line.partition(": ")[2].rpartition(" (pid ")[0]
    written = place.outside / "words"
    shell = subprocess.Popen(["sh", "-c", typed], cwd=place.outside)
    try:
        wait_until(lambda: written.exists() and written.read_text(), "the words")
        assert written.read_text() == "it's 2 words; $HOME\n"
    finally:
        shell.kill()
        shell.wait()


# Nobody reads


def test_sg10_stderr_that_nobody_reads_does_not_hold_it_up(place: Place, watch: Watch) -> None:
    """A full pipe: lines are dropped, restarts are not; once it is read again, it says so."""
    fifo = place.scratch / "fifo"
    os.mkfifo(fifo)
    with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as output:
        fill(fifo)
        daemon = watch(prefix=("sh", "-c", f'exec "$@" 2>{fifo}', "sh"), log_format="text")
        for number in range(2, 6):
            os.kill(daemon.pid, signal.SIGUSR1)
            daemon.wait_starts(number)
        assert set(output.read(1 << 20)) == set(b"x")
        os.kill(daemon.pid, signal.SIGUSR1)
        said = b""

        def told() -> bool:
            nonlocal said
            said += output.read(1 << 20) or b""
            return b"restarted #6" in said

        daemon.wait(told, "a word of it")
        assert re.search(rb"warning: \d+ lines were lost here: stderr was not read\n", said)


def fill(fifo: Path) -> None:
    """Write to a pipe until nothing more goes in."""
    writing = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while os.write(writing, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    finally:
        os.close(writing)
