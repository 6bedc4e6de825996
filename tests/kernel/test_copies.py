"""What the keeper says to a copy that waits, and when."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from reloaderd.kernel import copies
from reloaderd.kernel.copies import Line, Paused

NOBODY = (1 << 22) + 1
"""No process has this number: PID_MAX_LIMIT."""

GO = b"go\0/\0\0A=1"


class Copy:
    """A paused process and a copy of it that waits.  Neither is one: we have the other end of each line."""

    def __init__(self) -> None:
        poll = select.poll()
        line, theirs = Line.pair(poll)
        self.paused = Paused(line, set())
        self.paused.fork(poll)
        self._process = socket.socket(fileno=theirs.detach())
        request, (given,), _, _ = socket.recv_fds(self._process, 64, 1)
        assert request == b"fork"
        self._copy = socket.socket(fileno=given)
        self._copy.send(b"ready %d" % NOBODY)

    def go(self) -> list[bytes]:
        """All that the copy is told until a run comes of it."""
        self._copy.send(b"going")
        assert self.paused.go("/", [], {"A": "1"}, lambda pid: None) == (NOBODY, "")
        return [*iter(lambda: self._copy.recv(4096), b"")]

    def close(self) -> None:
        self.paused.line.close()
        self._process.close()
        self._copy.close()


@pytest.fixture
def copy() -> Iterator[Copy]:
    copy = Copy()
    yield copy
    copy.close()


def test_one_that_has_looked_goes_by_that(copy: Copy) -> None:
    assert not copy.paused.look()  # it is not known to wait yet
    copy.paused.settle()
    assert copy.paused.look()
    assert copy.go() == [b"look", GO]


def test_one_that_has_looked_too_long_ago_looks_again(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.paused.settle()
    assert copy.paused.look()
    monkeypatch.setattr(copies, "FRESH", 0.0)
    assert copy.go() == [b"look", b"look", GO]


def test_one_that_was_not_asked_to_look_is_told_to_go(copy: Copy) -> None:
    assert copy.go() == [GO]
