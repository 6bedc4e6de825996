"""The journal's socket and the console that writes to it: entries as journald reads them, never a stall."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reloaderd.commands import Report
from reloaderd.journaling import PATHS, JournalConsole
from reloaderd.kernel.journal import Journal, entry, is_journal, prefixed
from reloaderd.settings import ConsoleSettings
from tests.kernel.test_console_output import Pipe
from tests.support.journald import Journald, parse

FULL = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 100
"""More entries than a queue takes."""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A path that is short enough for a socket in it, as `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


Listen = Callable[[], Journald]


@pytest.fixture
def listen(directory: Path) -> Iterator[Listen]:
    """Start one that listens; it takes the place of the one before."""
    made: list[Journald] = []

    def start() -> Journald:
        for one in made:
            one.close()
        (directory / "socket").unlink(missing_ok=True)
        made.append(Journald(str(directory / "socket")))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def journal(directory: Path) -> Iterator[Journal]:
    journal = Journal(str(directory / "socket"))
    yield journal
    journal.close()


@pytest.fixture
def stderr() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)
    os.close(pipe.writer)


Start = Callable[..., JournalConsole]


@pytest.fixture
def console(directory: Path, stderr: Pipe) -> Iterator[Start]:
    """A console of these settings on the socket; `named` as there."""
    made: list[JournalConsole] = []

    def start(named: bool = False, **settings: Any) -> JournalConsole:
        chosen = ConsoleSettings(log_format="journal", **settings)
        made.append(JournalConsole(chosen, stderr.writer, named, str(directory / "socket")))
        return made[-1]

    yield start
    for one in made:
        one._journal.close()


# The socket


def test_an_entry_is_one_datagram(listen: Listen, journal: Journal) -> None:
    journald = listen()
    assert journal.send([("MESSAGE", "hello"), ("PATH", "/a"), ("PATH", "/b\udcff"), ("X", "one\ntwo\n")])
    journald.refresh()
    assert journald.entries == [
        {"MESSAGE": [b"hello"], "PATH": [b"/a", b"/b\xff"], "X": [b"one\ntwo\n"]},
    ]
    assert not journald.large


def test_the_format() -> None:
    assert entry([("A", "x=y"), ("B", "\n"), ("C", "")]) == b"A=x=y\nB\n\1\0\0\0\0\0\0\0\n\nC=\n"
    assert parse(entry([("A", "x=y"), ("B", "\n"), ("C", "")])) == {"A": [b"x=y"], "B": [b"\n"], "C": [b""]}


def test_a_large_entry_goes_as_a_sealed_memfd(listen: Listen, journal: Journal) -> None:
    journald = listen()
    assert journal.send([("MESSAGE", "x" * 1_000_000)])
    assert journal.send([("MESSAGE", "small")])
    assert journald.messages() == ["x" * 1_000_000, "small"]
    assert journald.large == 1


def test_no_journal(journal: Journal) -> None:
    assert journal.send([("MESSAGE", "x")]) is False


def test_one_that_does_not_read_costs_little_and_once(listen: Listen, journal: Journal) -> None:
    journald = listen()
    begin = time.monotonic()
    taken = [journal.send([("MESSAGE", str(number))]) for number in range(FULL)]
    assert time.monotonic() - begin < 5
    assert taken.count(True) == len(journald.messages())
    assert taken[-1] is None
    assert journal.send([("MESSAGE", "again")]) is True


def test_a_large_one_without_room_leaves_no_descriptor(listen: Listen, journal: Journal) -> None:
    listen()
    while journal.send([("MESSAGE", "x")]):
        pass
    before = len(os.listdir("/proc/self/fd"))
    assert journal.send([("MESSAGE", "x" * 1_000_000)]) is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_another_one_listens(listen: Listen, journal: Journal) -> None:
    listen()
    journal.send([("MESSAGE", "one")])
    second = listen()
    assert journal.send([("MESSAGE", "two")]) is True
    assert second.messages() == ["two"]


def test_whether_a_descriptor_is_the_stream(stderr: Pipe) -> None:
    look = os.fstat(stderr.writer)
    assert is_journal(f"{look.st_dev}:{look.st_ino}", stderr.writer)
    assert not is_journal(f"{look.st_dev}:{look.st_ino + 1}", stderr.writer)
    assert not is_journal("", stderr.writer)
    assert not is_journal(f"{look.st_dev}:{look.st_ino}", 12345)


def test_each_line_has_its_priority() -> None:
    assert prefixed("one\ntwo", 3) == "<3>one\n<3>two"


# The console


CHANGED = Report(
    "changed", "web", {"paths": ["/p/a\x1b.py"], "count": 1, "rule": "every file", "origin": "/p/x:3"}
)
BROKEN = Report(
    "held",
    "web",
    {
        "reason": "syntax",
        "path": "/p/a.py",
        "line": 1,
        "column": 4,
        "text": "def \x1b",
        "message": "SyntaxError",
    },
)


def test_an_entry_has_what_it_is_found_by(listen: Listen, console: Start, stderr: Pipe) -> None:
    journald = listen()
    one = console()
    one.report(CHANGED)
    one.report(Report("restarted", "web", {"run": 7, "ms": 12.0}))
    journald.refresh()
    assert journald.entries == [
        {
            "MESSAGE": [b"changed: /p/a\\x1b.py"],
            "PRIORITY": [b"6"],
            "SYSLOG_IDENTIFIER": [b"reloaderd"],
            "RELOADERD_EVENT": [b"changed"],
            "RELOADERD_SERVICE": [b"web"],
            "RELOADERD_RULE": [b"every file"],
            "RELOADERD_ORIGIN": [b"/p/x:3"],
            "RELOADERD_PATH": [b"/p/a\x1b.py"],
        },
        {
            "MESSAGE": [b"restarted #7 in 12 ms"],
            "PRIORITY": [b"6"],
            "SYSLOG_IDENTIFIER": [b"reloaderd"],
            "RELOADERD_EVENT": [b"restarted"],
            "RELOADERD_SERVICE": [b"web"],
            "RELOADERD_RUN": [b"7"],
        },
    ]
    assert not stderr.read()


def test_with_several_services_the_text_names_one(listen: Listen, console: Start) -> None:
    journald = listen()
    console(named=True).report(CHANGED)
    assert journald.messages() == ["web: changed: /p/a\\x1b.py"]


@pytest.mark.parametrize(
    ("event", "fields", "priority"),
    [
        ("error", {"text": "x"}, b"3"),
        ("warning", {"text": "x"}, b"4"),
        ("killed", {"run": 1}, b"4"),
        ("ended", {"run": 1, "status": 1}, b"4"),
        ("ended", {"run": 1, "status": 0}, b"5"),
        ("configured", {"path": "/c", "changed": ["web"]}, b"5"),
        ("closing", {"signal": "SIGTERM"}, b"5"),
        ("started", {"run": 1}, b"6"),
    ],
)
def test_priorities(
    listen: Listen, console: Start, event: str, fields: dict[str, Any], priority: bytes
) -> None:
    journald = listen()
    console(verbosity=1).report(Report(event, "web", fields))
    assert [one["PRIORITY"] for one in journald.of(event)] == [[priority]]


def test_what_does_not_compile_is_one_entry_of_several_lines(listen: Listen, console: Start) -> None:
    journald = listen()
    console().report(BROKEN)
    [message] = journald.messages()
    assert message.splitlines()[0] == "held: /p/a.py:1 does not compile; the old run stays"
    assert message.splitlines()[-1] == "SyntaxError"
    assert "    def ?" in message
    assert journald.entries[0]["PRIORITY"] == [b"4"]
    assert journald.entries[0]["RELOADERD_PATH"] == [b"/p/a.py"]


def test_the_paths_are_bounded(listen: Listen, console: Start) -> None:
    journald = listen()
    paths = [f"/p/{number}" for number in range(100)]
    console().report(Report("changed", "web", {"paths": paths, "count": 100}))
    assert len(journald.wait("changed")["RELOADERD_PATH"]) == PATHS


def test_quiet_and_verbose_mean_what_they_do(listen: Listen, console: Start) -> None:
    journald = listen()
    for verbosity in (-1, 0, 1):
        one = console(verbosity=verbosity)
        for report in (CHANGED, BROKEN, Report("stopping", "web", {"run": 1, "signal": "SIGTERM"})):
            one.report(report)
        one.report(Report("warning", "", {"text": "x"}))
    journald.refresh()
    events = [one["RELOADERD_EVENT"][0].decode() for one in journald.entries]
    quiet, usual = ["held", "warning"], ["changed", "held", "warning"]
    assert events == [*quiet, *usual, "changed", "held", "stopping", "warning"]


def test_without_a_journal_lines_have_their_priority(console: Start, stderr: Pipe) -> None:
    one = console(named=True)
    one.report(CHANGED)
    one.report(BROKEN)
    lines = stderr.read().decode().splitlines()
    assert lines[0] == "<6>[reloaderd] web: changed: /p/a\\x1b.py"
    assert len(lines) > 3
    assert all(line.startswith("<4>[reloaderd] ") for line in lines[1:])


def test_a_journal_that_comes_back_is_used_again(listen: Listen, console: Start, stderr: Pipe) -> None:
    one = console()
    one.report(CHANGED)
    assert stderr.read()
    journald = listen()
    one.report(CHANGED)
    assert len(journald.messages()) == 1
    assert not stderr.read()


def test_what_was_lost_is_counted(listen: Listen, console: Start, stderr: Pipe) -> None:
    journald = listen()
    one = console()
    for _ in range(FULL):
        one.report(CHANGED)
    before = len(journald.messages())
    one.report(CHANGED)
    assert journald.messages()[before:] == [
        f"{FULL - before} lines were lost here: the log was not read",
        "changed: /p/a\\x1b.py",
    ]
    assert not stderr.read()


def test_what_was_lost_is_told_on_stderr_where_the_journal_went(
    listen: Listen, console: Start, stderr: Pipe, directory: Path
) -> None:
    journald = listen()
    one = console()
    for _ in range(FULL):
        one.report(CHANGED)
    before = len(journald.messages())
    journald.close()
    (directory / "socket").unlink()
    one.report(CHANGED)
    lines = stderr.read().decode().splitlines()
    assert lines == [
        f"<4>[reloaderd] {FULL - before} lines were lost here: the log was not read",
        "<6>[reloaderd] changed: /p/a\\x1b.py",
    ]


def test_nobody_to_tell(console: Start, stderr: Pipe) -> None:
    stderr.fill()
    console().report(CHANGED)
