"""The copies that the runs of one keeper left behind of themselves, in the order in which they were made.

A copy connects to us and says who it is; it is our child from then on, none of the run's, and says

    b"checkpoint NUMBER PID BEFORE", then b"paused", or b"aside WHY" where it ends since it would be unsound

Those that come of a run that went on from one have that one before them: so the later ones have read all that
the earlier ones have, and more, and once a run goes on from one, all later ones are void.

Facts
- bind(2) of a Unix socket to an address without a name has the kernel choose an abstract one (unix(7),
  autobind), which is gone with the socket.  Anyone in the network namespace may connect: SO_PEERCRED tells
  who.
- /proc/PID/smaps_rollup has the proportional set size (Pss, in kB): what several processes share counts for
  each by its part of it.
"""

from __future__ import annotations

import _socket
import os
import select
from collections.abc import Callable

from reloaderd.core.checkpoints import MOST
from reloaderd.kernel.copies import PATIENCE, Line, Paused
from reloaderd.kernel.runtime import peer

MEMORY = 256 << 20
"""Bytes that all of them may take together."""

_SEQPACKET = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK

Report = Callable[..., None]


class Coming(Line):
    """One that has connected: its number, 0 until it has said who it is, and the file that is next."""

    number = 0
    before = ""


class Checkpoints:
    """What is kept, by number; `report` is told of each that is ready, and of each that is gone."""

    def __init__(self, report: Report, poll: select.poll, ending: set[int]) -> None:
        """Raises OSError."""
        self._report = report
        self._poll = poll
        self._ending = ending
        self._kept: dict[int, Paused] = {}
        self._coming: dict[int, Coming] = {}  # that have not said all yet, by descriptor
        self._listener = _socket.socket(_socket.AF_UNIX, _SEQPACKET)
        self._listener.bind(b"")
        self._listener.listen(MOST)
        self.address = self._listener.getsockname()[1:].decode()
        poll.register(self._listener.fileno(), select.POLLIN)

    @property
    def pids(self) -> set[int]:
        """Our children that are none of a run's."""
        known = {line.pid for line in self._coming.values() if line.pid}
        return known.union(*(one.pids for one in self._kept.values()))

    def all(self) -> list[tuple[int, Paused]]:
        """Those that are kept, the latest first."""
        return sorted(self._kept.items(), reverse=True)

    def up_to(self, number: int) -> list[tuple[int, Paused]]:
        """Those from which a run may go on that may go on from this one: the latest first."""
        return [(one, paused) for one, paused in self.all() if one <= number]

    def owns(self, fd: int) -> bool:
        """Whether it is a matter of this."""
        listens = fd == self._listener.fileno()
        return listens or fd in self._coming or any(one.owns(fd) for one in self._kept.values())

    def settle(self) -> None:
        """Know all that there are: those that have connected have said who they are."""
        self._accept()
        for fd, line in list(self._coming.items()):
            if not line.number:
                self._hear(fd, PATIENCE)
        for one in self._kept.values():
            one.settle()

    def read(self, fd: int) -> None:
        """One of them said something, or is gone; or one connects."""
        if fd == self._listener.fileno():
            self._accept()
        elif fd in self._coming:
            self._hear(fd)
        else:
            number = next(number for number, one in self._kept.items() if one.owns(fd))
            if not self._kept[number].read(fd):
                self._drop(number, "the copy has ended")

    def _accept(self) -> None:
        while True:
            try:
                fd, _ = self._listener._accept()  # type: ignore[attr-defined]
            except OSError:  # EAGAIN: that was all; EMFILE: not now
                return
            connection = _socket.socket(fileno=fd)
            if peer(connection)[1] == os.geteuid():
                self._coming[fd] = Coming(self._poll, connection)
                self._hear(fd)
            else:
                connection.close()

    def _hear(self, fd: int, seconds: float = 0.0) -> None:
        """What one said that is not kept yet."""
        line = self._coming[fd]
        said = line.hear(seconds)
        if said is None:
            return
        word, _, rest = os.fsdecode(said).partition(" ")
        if word == "checkpoint" and not line.number:
            number, pid, line.before = rest.split(" ", 2)
            line.number, line.pid = int(number), int(pid)
            return
        del self._coming[fd]
        if word == "paused" and line.number:
            self._kept[line.number] = Paused(line, self._ending, line.before)
            self._report("CheckpointReady", line.number)
            self._bound()
            return
        line.end(self._ending)
        if line.number:
            self._report("CheckpointGone", line.number, rest if word == "aside" else "the copy has ended")

    def prepare(self) -> None:
        """Have a run come the sooner of the last one, as that of before did."""
        if self._kept:
            self._kept[max(self._kept)].fork(self._poll)
        self._bound()

    def _bound(self) -> None:
        """Keep no more than there may be."""
        sizes = {number: sum(map(_size, one.pids)) for number, one in sorted(self._kept.items())}
        while len(sizes) > MOST or sum(sizes.values()) > MEMORY:
            number = next(iter(sizes))
            taken = sizes.pop(number) >> 20
            self._drop(number, "" if len(sizes) >= MOST else f"it takes {taken} MB")

    def drop_after(self, number: int) -> None:
        """A run is about to go on from this one: the later ones are void."""
        for one in [one for one in self._kept if one > number]:
            self._drop(one, "")
        for line in self._coming.values():
            line.end(self._ending)
        self._coming.clear()

    def ended(self, pid: int) -> None:
        """A child of ours is reaped."""
        for one in self._kept.values():
            one.forget(pid)
        for line in self._coming.values():
            line.pid = 0 if line.pid == pid else line.pid

    def _drop(self, number: int, why: str) -> None:
        self._kept.pop(number).close()
        self._report("CheckpointGone", number, why)


def _size(pid: int) -> int:
    """The bytes that a process takes."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
