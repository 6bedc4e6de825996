"""Paused processes of a command's Python, as its keeper has them, and the runs that come of them.

What a `Paused` one is asked for is a *spare*, a copy of it that waits, too, as our own child, until a run is
to be.  What they say to each other is in agent/_reloaderd_pause.

Facts
- A message of a SOCK_SEQPACKET socket is whole; an empty one is the end of the other side.
"""

from __future__ import annotations

import _socket
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from reloaderd.kernel import frames

PATIENCE = 1.0
"""Seconds that a start waits for a copy, which takes a few ms: with more than that something is stuck."""

LARGEST = 4096
"""Bytes of what a copy says."""

_SEQPACKET = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC

TakeIn = Callable[[int], None]


class Line:
    """Our end of the line to one of our children that waits; `pid` is 0 where it is not known, or gone."""

    def __init__(self, poll: select.poll, line: _socket.socket, pid: int = 0) -> None:
        self._poll = poll
        self._line = line
        self.pid = pid
        poll.register(line.fileno(), select.POLLIN)

    @classmethod
    def pair(cls, poll: select.poll) -> tuple[Self, _socket.socket]:
        """A new one, and the other end of it."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _SEQPACKET)
        return cls(poll, ours), theirs

    def fileno(self) -> int:
        """Readable when it has something to say, or is gone."""
        return self._line.fileno()

    def hear(self, seconds: float = 0.0) -> bytes | None:
        """What it said within that time; empty where it is gone, None where it said nothing."""
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        try:
            return bytes(self._line.recv(LARGEST))
        except OSError:
            return b""

    def say(self, message: bytes, hand: int = -1) -> bool:
        """Tell it something, and hand it a descriptor; False where it is gone."""
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, hand.to_bytes(4, "little"))] if hand >= 0 else []
        try:
            self._line.sendmsg([message], rights)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of it."""
        self._poll.unregister(self._line.fileno())
        self._line.close()

    def end(self, ending: set[int]) -> None:
        """Let go of it, and kill who is there: `ending` takes in its pid."""
        self.close()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            ending.add(self.pid)


class Spare(Line):
    """A copy that waits to be a run, or is just being made."""

    waits = False

    def greet(self, seconds: float = 0.0) -> bool:
        """Hear whether it is ready, and our child by now; False where it is gone."""
        said = self.hear(seconds)
        if said is not None and said.startswith(b"ready "):
            self.pid, self.waits = int(said[6:]), True
        return said != b""


class Paused:
    """A process that waits, and its spare.  `ending` takes in the pids of those that are killed."""

    def __init__(self, line: Line, ending: set[int], before: str = "") -> None:
        """`before` is the file that it is about to import."""
        self.line = line
        self.before = before
        self.spare: Spare | None = None
        self._ending = ending

    @property
    def pids(self) -> set[int]:
        """It and its spare, as far as they are known."""
        return {one.pid for one in (self.line, self.spare) if one is not None and one.pid}

    def owns(self, fd: int) -> bool:
        """Whether it is the line to one of the two."""
        return any(one is not None and one.fileno() == fd for one in (self.line, self.spare))

    def fork(self, poll: select.poll) -> None:
        """Have a spare made, if there is none."""
        if self.spare is None:
            self.spare, theirs = Spare.pair(poll)
            self.line.say(b"fork", theirs.fileno())
            theirs.close()

    def settle(self) -> None:
        """Know the spare, if one is just being made."""
        if self.spare is not None and not self.spare.waits:
            self.spare.greet(PATIENCE)

    def read(self, fd: int) -> bool:
        """One of the two said something; False where the paused one itself is gone."""
        if self.spare is None or self.spare.fileno() != fd:
            return False
        lives = self.spare.hear() != b"" if self.spare.waits else self.spare.greet()
        if not lives:
            self.let_go()
        return True

    def go(
        self, directory: str, edited: Sequence[str], environ: Mapping[str, str], take_in: TakeIn
    ) -> tuple[int, str]:
        """Have the spare be a run: its pid, or 0 and why it is none.  `take_in` is told before it goes on."""
        spare = self.spare
        assert spare is not None
        self.settle()
        if not spare.waits:
            return 0, "it could not be copied in time"
        take_in(spare.pid)
        pairs = [f"{key}={value}" for key, value in environ.items()]
        said = b"\0".join([b"go", *map(os.fsencode, (directory, frames.in_lines(edited), *pairs))])
        answer = spare.hear(PATIENCE) if spare.say(said) else b""
        if answer == b"going":
            self.spare = None
            spare.close()
            return spare.pid, ""
        if answer is None:
            return 0, "it did not answer in time"
        return 0, answer.removeprefix(b"stale ").decode("utf-8", "replace") or "the copy has ended"

    def forget(self, pid: int) -> None:
        """A child of ours is reaped."""
        for one in (self.line, self.spare):
            if one is not None and one.pid == pid:
                one.pid = 0

    def let_go(self) -> None:
        """End the spare."""
        if self.spare is not None:
            self.spare.end(self._ending)
            self.spare = None

    def close(self) -> None:
        """End both."""
        self.let_go()
        self.line.end(self._ending)
