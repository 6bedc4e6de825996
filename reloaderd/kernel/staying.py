"""The agents whose connections to a porter stay open, as they have to be told when to accept no more.

They are of processes that accept where Python does not see it, so that no agent can look for a notice before
(_reloaderd_uvloop).

Facts
- A connection is closed when nobody has it open any more: a process that has ended may have left a copy of
  it to one that it forked.
"""

from __future__ import annotations

import _socket
import select
from contextlib import suppress

from reloaderd.kernel import proctree
from reloaderd.kernel.callers import LONGEST, Caller

MOST = 256
"""Connections: one for each event loop that listens, more than any server has workers.  A further one is not
told."""


class Staying:
    """All of them; `poll` wakes when one says something or is gone."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._callers: dict[int, Caller] = {}

    def __contains__(self, fd: int) -> bool:
        return fd in self._callers

    def add(self, caller: Caller, leaves: bool) -> bool:
        """Have it stay, and tell it at once if its run leaves already.  False: there are too many."""
        if len(self._callers) >= MOST:
            return False
        self._callers[caller.connection.fileno()] = caller
        if leaves:
            self._tell(caller)
        return True

    def leave(self, slot: int) -> None:
        """Tell those of the slot's run."""
        for one in self._callers.values():
            if one.slot == slot:
                self._tell(one)

    def waits(self, slot: int) -> bool:
        """Whether one of these accepts yet."""
        return any(
            one.slot == slot and proctree.read_stat(one.pid) is not None for one in self._callers.values()
        )

    def hear(self, fd: int) -> None:
        """It accepts no more, or not by this connection."""
        try:
            self._callers[fd].connection.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(fd)

    def gone(self, slot: int) -> None:
        """Nothing of the slot's run is left."""
        for fd in [fd for fd, one in self._callers.items() if one.slot == slot]:
            self._close(fd)

    def _tell(self, caller: Caller) -> None:
        with suppress(OSError):
            caller.connection.send(b"leave", _socket.MSG_NOSIGNAL)

    def _close(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._callers.pop(fd).connection.close()
