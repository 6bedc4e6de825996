"""The console on real descriptors: whole lines, in either format, and never a stall."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from typing import Any

import pytest

from reloaderd.commands import Report
from reloaderd.console import CLEAR, Console
from reloaderd.settings import ConsoleSettings

JSON = ConsoleSettings(log_format="json")
TEXT = ConsoleSettings()


class Pipe:
    """A pipe of 64 KiB with its two ends."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 1 << 16)
        os.set_blocking(self.reader, False)

    def read(self) -> bytes:
        """All that is in it now."""
        parts = []
        while part := self._some():
            parts.append(part)
        return b"".join(parts)

    def _some(self) -> bytes:
        try:
            return os.read(self.reader, 1 << 20)
        except BlockingIOError:
            return b""

    def fill(self) -> None:
        """Leave no room for anything."""
        os.set_blocking(self.writer, False)
        for size in (4096, 1):
            try:
                while os.write(self.writer, b"." * size):
                    pass
            except BlockingIOError:
                pass
        os.set_blocking(self.writer, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reader, pipe.writer):
        try:
            os.close(fd)
        except OSError:
            pass


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a raw pseudo terminal: ours and the program's."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def say(console: Console, event: str, **fields: Any) -> None:
    console.report(Report(event, "web", fields))


def test_text(pipe: Pipe) -> None:
    console = Console(TEXT, pipe.writer)
    say(console, "started", run=1, pid=7)
    say(console, "stopping", run=1, signal="SIGTERM")
    say(console, "warning", text="größe\n\x1b[2J\udcff")
    expected = "[reloaderd] started #1 (pid 7)\n[reloaderd] warning: größe\\n\\x1b[2J\\xff\n"
    assert pipe.read().decode() == expected


def test_text_names_the_service_where_there_are_several(pipe: Pipe) -> None:
    say(Console(TEXT, pipe.writer, named=True), "started", run=1)
    assert pipe.read() == b"[reloaderd web] started #1\n"


def test_a_long_text_is_cut_to_one_write(pipe: Pipe) -> None:
    say(Console(TEXT._replace(color="always"), pipe.writer), "warning", text="\U0001f40d" * 9999)
    line = pipe.read()
    assert len(line) <= 4096
    assert line.endswith("…\x1b[0m\n".encode())


def test_json(pipe: Pipe) -> None:
    console = Console(JSON, pipe.writer)
    before = time.time()
    say(console, "changed", paths=["/w/\udcff\udcfe\n.py", "/w/ä"], count=2, rule=None, time=0)
    say(console, "stopping", run=1, signal="SIGTERM")
    say(console, "odd", thing={1, 2}, other=object)
    raw = pipe.read()
    assert raw.isascii()
    first, second, third = map(json.loads, raw.splitlines())
    assert list(first)[:3] == ["event", "time", "service"]
    assert (first["event"], first["service"], first["count"], first["rule"]) == ("changed", "web", 2, None)
    assert before <= first["time"] <= time.time()
    assert os.fsencode(first["paths"][0]) == b"/w/\xff\xfe\n.py"
    assert second["event"] == "stopping"
    assert third["event"] == "odd"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_quiet_leaves_warnings_and_errors(pipe: Pipe, log_format: str) -> None:
    console = Console(ConsoleSettings(log_format=log_format, verbosity=-1), pipe.writer)
    for event in ("watching", "started", "changed", "ended", "killed", "closing", "new"):
        say(console, event, run=1)
    assert pipe.read() == b""
    say(console, "warning", text="a")
    say(console, "error", text="b")
    assert pipe.read().count(b"\n") == 2


def test_verbose_shows_details(pipe: Pipe) -> None:
    say(Console(TEXT._replace(verbosity=1), pipe.writer), "stopping", run=1, signal="SIGTERM")
    assert pipe.read() == b"[reloaderd] stopping #1 with SIGTERM\n"


@pytest.mark.parametrize(
    ("color", "no_color", "on_terminal", "coloured"),
    [
        *(("auto", "", True, True), ("auto", "1", True, False), ("auto", "", False, False)),
        *(("always", "1", False, True), ("never", "", True, False)),
    ],
)
def test_colour(
    color: str,
    no_color: str,
    on_terminal: bool,
    coloured: bool,
    pipe: Pipe,
    terminal: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = terminal if on_terminal else (pipe.reader, pipe.writer)
    say(Console(TEXT._replace(color=color), writer), "started", run=1)
    line = os.read(reader, 4096)
    assert (b"\x1b[" in line) is coloured
    assert b"[reloaderd]" in line
    assert b"started #1" in line


def test_clear_comes_with_a_change_that_restarts(terminal: tuple[int, int]) -> None:
    reader, writer = terminal
    console = Console(TEXT._replace(clear=True, color="never"), writer)
    clear = CLEAR.encode()
    say(console, "started", run=1)
    assert clear not in os.read(reader, 4096)
    say(console, "changed", paths=["/a"], action="signal:HUP")
    assert clear not in os.read(reader, 4096)
    say(console, "changed", paths=["/a"], action="restart")
    assert os.read(reader, 4096) == clear + b"[reloaderd] changed: /a\n"


def test_clear_needs_a_terminal_and_text(pipe: Pipe, terminal: tuple[int, int]) -> None:
    say(Console(TEXT._replace(clear=True), pipe.writer), "changed", paths=["/a"])
    assert pipe.read() == b"[reloaderd] changed: /a\n"
    say(Console(JSON._replace(clear=True), terminal[1]), "changed", paths=["/a"])
    assert os.read(terminal[0], 4096).startswith(b"{")


# A stderr that takes nothing


@pytest.mark.parametrize("settings", [TEXT, JSON])
def test_a_full_pipe_drops_whole_lines_and_tells_how_many(pipe: Pipe, settings: ConsoleSettings) -> None:
    console = Console(settings, pipe.writer)
    pipe.fill()
    for number in range(3):
        say(console, "warning", text=f"lost {number}")
    assert set(pipe.read()) == {ord(".")}
    say(console, "warning", text="seen")
    lines = pipe.read().splitlines()
    assert len(lines) == 2
    assert b"3 lines were lost here" in lines[0]
    assert b"seen" in lines[1]
    say(console, "warning", text="next")
    assert pipe.read().count(b"\n") == 1


def test_a_line_that_was_begun_is_ended_before_the_next(pipe: Pipe) -> None:
    console = Console(JSON, pipe.writer)
    paths = [f"/{number:04}" + "x" * 1000 for number in range(100)]
    say(console, "changed", paths=paths)  # 100 kB into 64 KiB
    say(console, "warning", text="lost")
    first = pipe.read()
    assert b"\n" not in first
    say(console, "warning", text="seen")
    say(console, "warning", text="last")
    begun, seen, told, last = (first + pipe.read()).splitlines()
    assert json.loads(begun)["paths"] == paths
    assert json.loads(seen)["text"] == "seen"
    assert json.loads(told)["text"].startswith("1 line was lost")
    assert json.loads(last)["text"] == "last"


def test_a_reader_that_has_gone_is_survived(pipe: Pipe) -> None:
    os.close(pipe.reader)
    say(Console(TEXT, pipe.writer), "started", run=1)


def test_a_terminal_that_has_gone_is_survived() -> None:
    ours, theirs = pty.openpty()
    console = Console(TEXT, theirs)
    os.close(ours)
    say(console, "started", run=1)
    os.close(theirs)


def test_a_descriptor_that_is_closed_is_survived() -> None:
    fd = os.open("/dev/null", os.O_WRONLY)
    os.close(fd)
    say(Console(TEXT, fd), "started", run=1)


def test_a_long_line_reaches_a_file_whole(tmp_path: Any) -> None:
    with open(tmp_path / "log", "wb", buffering=0) as file:
        say(Console(JSON, file.fileno()), "changed", paths=["x" * 9000])
        os.write(file.fileno(), b"child\n")
    first, second = (tmp_path / "log").read_bytes().splitlines()
    assert json.loads(first)["paths"] == ["x" * 9000]
    assert second == b"child"


def test_standard_descriptors_that_are_closed_become_dev_null() -> None:
    code = (
        "import os; from reloaderd.__main__ import main; main(['--version'])\n"
        "print([os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 2)], os.get_inheritable(2))"
    )
    argv = ["/bin/sh", "-c", 'exec "$@" <&- 2>&-', "sh", sys.executable, "-c", code]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["['/dev/null', '/dev/null'] True"]
