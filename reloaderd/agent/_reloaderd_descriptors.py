"""Judges what a process has open, and makes a copy's own what two of them cannot share.

Facts
- Descriptors are copied by fork(2), what they stand for is not: the offset of a file, the list of an
  epoll(7), what waits in a socket.  Only writes at the end (O_APPEND) do not mind.
- /proc/PID/fdinfo/N has the flags, close-on-exec among them, and of an epoll each descriptor with its events
  and its data.  Where Python's `select.epoll` made it, the lower half of that is the number again, and the
  upper half may be anything.
- What was registered with an epoll stays so until nobody has the file open, whoever closes his descriptor.
- An event loop of asyncio has a pair of sockets by which it wakes itself, and nobody else has an end of it.
- dup2(2) is one step: the number is never free.
"""

import sys
from _socket import socketpair
from os import readlink
from posix import O_ACCMODE, O_APPEND, O_CLOEXEC, O_DIRECTORY, close, dup2, listdir, lseek, set_blocking, stat
from posix import open as posix_open

from _reloaderd_order import content  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HARMLESS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
EPOLL = "anon_inode:[eventpoll]"
_TO_KEEP = ~(0o100 | 0o200 | 0o1000)
"""Flags of open(2) without O_CREAT, O_EXCL and O_TRUNC."""


class Descriptors:
    """What is open beyond that with which the run began."""

    def __init__(self) -> None:
        self.known = look()
        self.loop: Any = None  # asyncio's that is running
        self.files: list[tuple[int, int, int]] = []  # to be opened once more: number, flags, offset
        self.polls: list[tuple[int, list[tuple[int, int]]]] = []  # number, what it has with which events
        self.logs: list[tuple[str, int]] = []  # written to at the end: path, inode

    def trouble(self, loop: "Any") -> str:
        """Why two processes cannot have what there is by now; empty where they can.  `loop` is running."""
        self.loop, self.files, self.polls, self.logs = loop, [], [], []
        pair = [] if loop is None else _pair(loop)
        for number, target in look().items():
            if number in pair or self.known.get(number) == target:
                continue
            flags, polled = info(number)
            if target == EPOLL:
                if any(data != one or (one not in pair and one not in self.known) for one, _, data in polled):
                    return "it waits for something to happen"
                self.polls.append((number, [(one, events) for one, events, _ in polled]))
            elif target[:1] != "/" or (target.startswith("/dev/") and target not in HARMLESS):
                return "it has a socket open" if target[:7] == "socket:" else f"it has {target} open"
            elif target in HARMLESS or flags & O_DIRECTORY:
                pass
            elif not flags & O_ACCMODE:
                self.files.append((number, flags, lseek(number, 0, 1)))
            elif flags & O_APPEND:
                self.logs.append((target, stat(f"/proc/self/fd/{number}").st_ino))
            else:
                return f"it has {target} open for writing"
        return ""

    def part(self) -> None:
        """In the copy: have an own one of each that cannot be shared."""
        for number, flags, offset in self.files:
            own = posix_open(f"/proc/self/fd/{number}", flags & _TO_KEEP)
            lseek(own, offset, 0)
            _replace(number, own, not flags & O_CLOEXEC)
        if self.loop is not None:
            ends = [end.detach() for end in socketpair()]
            for number in _pair(self.loop):
                set_blocking(ends[0], False)
                _replace(number, ends.pop(0), False)
        for number, polled in self.polls:
            self.part_poll(number, polled)

    def part_poll(self, number: int, polled: "list[tuple[int, int]]") -> None:
        """An epoll of its own that has the same."""
        poll = sys.modules["select"].epoll()
        for one, events in polled:
            poll.register(one, events)
        dup2(poll.fileno(), number, False)
        poll.close()

    def changed(self) -> str:
        """What is written to and is another file by now, if any."""
        for path, inode in self.logs:
            try:
                if stat(path).st_ino == inode:
                    continue
            except OSError:
                pass
            return f"{path} is another file than the one that it has open"
        return ""


class Loop:
    """The event loop of asyncio that is running, if one is: a fork forgets it.

    From 3.12 on asyncio does that itself, with the descriptor that signals wake and the policy's loop;
    before, a loop was that of the process that had entered it.
    """

    def __init__(self) -> None:
        self.events: Any = sys.modules.get("asyncio.events")
        self.loop = None if self.events is None else self.events._get_running_loop()
        if self.loop is not None:
            signal: Any = sys.modules["_signal"]
            self.wakeup = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
            self.policy = getattr(self.events, "_event_loop_policy", None)
            self.local = getattr(self.policy, "_local", None)

    def restore(self) -> None:
        """In a copy: have it run here."""
        if self.loop is not None:
            self.events._set_running_loop(self.loop)
            if self.policy is not None:
                self.policy._local = self.local
            sys.modules["_signal"].set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)


def _pair(loop: "Any") -> "list[int]":
    """The descriptors by which a loop of asyncio wakes itself; nothing where it is of another kind."""
    ends = [getattr(loop, name, None) for name in ("_ssock", "_csock")]
    return [] if None in ends else [end.fileno() for end in ends if end is not None]


def look() -> "dict[int, str]":
    """What each descriptor is for."""
    found = {}
    for name in listdir("/proc/self/fd"):
        try:
            found[int(name)] = readlink("/proc/self/fd/" + name)
        except OSError:  # that of the listing itself
            pass
    return found


def info(number: int) -> "tuple[int, list[tuple[int, int, int]]]":
    """The flags of a descriptor, and what an epoll has: the number, its events, its data."""
    flags, polled = 0, []
    for line in content(f"/proc/self/fdinfo/{number}").decode("ascii", "replace").split("\n"):
        words = line.replace(":", " ").split()
        if words[:1] == ["flags"]:
            flags = int(words[1], 8)
        elif words[:1] == ["tfd"]:
            polled.append((int(words[1]), int(words[3], 16), int(words[5], 16) & 0xFFFFFFFF))
    return flags, polled


def _replace(number: int, own: int, inheritable: bool) -> None:
    dup2(own, number, inheritable)
    close(own)
