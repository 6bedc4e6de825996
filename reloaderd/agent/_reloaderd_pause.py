"""Pauses a Python process, and lets copies of it go on, each as a run of its own.

    keeper -> paused process  b"fork", with one end of a line for the copy to be made
    copy   -> keeper          b"ready PID": it waits, as the keeper's own child
    keeper -> copy            b"go\\0" DIRECTORY "\\0" EDITED "\\0" KEY=VALUE "\\0" …
    copy   -> keeper          b"going", or b"stale " and why; then it closes the line, and a stale one ends

EDITED are the files before whose import a run is to leave a copy, with a line break between them (as %0A in a
name, and % as %25).

Facts
- An orphan goes to the nearest living ancestor that is a subreaper (prctl(2)), here the keeper: so a process
  whose parent ends at once becomes the keeper's child, whoever forked it.
- SO_PEERCRED of a socketpair tells who made it.  A process keeps its pid over execve(2).
- A socket of SOCK_SEQPACKET keeps the bounds of what is sent, and says its end by an empty message.
- posix.fork runs what was registered by os.register_at_fork, as any fork of the program would: it has the
  module random seed itself, and logging and threading make their locks anew.
- setpgid(2) may be called for oneself at any time; the keeper's session stays that of the copy.
"""

import sys
from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SO_PEERCRED, SOL_SOCKET, socket
from os import environ, fsdecode, fsencode
from posix import _exit, chdir, fork, getpid, getppid, sched_yield, set_inheritable, setpgid, waitpid

from _reloaderd_paths import of_lines  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 1 << 18
"""Bytes of a message: RELOADERD_CHANGED has 32 KiB at most, and a send buffer 208 KiB."""


class Pause:
    """A process that waits, and whose copies go on."""

    def __init__(self, channel: socket) -> None:
        """`channel` is that by which the keeper speaks to it.  Raises OSError."""
        self.channel = channel
        set_inheritable(channel.fileno(), False)
        maker = self.channel.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        self.keeper = int.from_bytes(maker[:4], sys.byteorder)
        if self.keeper != getppid():
            raise OSError(1, "it is not the keeper's own child")

    def say(self, text: str) -> None:
        """Tell the keeper."""
        self.channel.send(fsencode(text)[:4000])

    def wait(self) -> "tuple[socket, bytes]":
        """Until the keeper is gone, which ends the process; returns in each copy that is to go on."""
        try:
            while True:
                line = self.request()
                middle = fork()
                if not middle:
                    return self.go_on(line)
                line.close()
                try:
                    waitpid(middle, 0)
                except ChildProcessError:  # SIGCHLD is ignored
                    pass
        except BaseException:
            _exit(1)

    def request(self) -> socket:
        """The line for one more copy."""
        data, parts, _, _ = self.channel.recvmsg(64, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
        if not data:
            _exit(0)
        for level, kind, content in parts:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                return socket(fileno=int.from_bytes(content[:4], sys.byteorder))
        raise OSError(22, "no line came with the request")

    def go_on(self, line: socket) -> "tuple[socket, bytes]":
        """In a child of the paused process: end, and have one's own child go on as the keeper's."""
        middle = getpid()
        if fork():
            _exit(0)
        self.channel.close()
        while getppid() == middle:
            sched_yield()
        if getppid() != self.keeper:
            _exit(0)
        setpgid(0, 0)
        line.send(b"ready %d" % getpid())
        data = line.recv(LARGEST)
        if data[:3] != b"go\0":
            _exit(0)
        return line, data[3:]


def resume(line: socket, said: bytes, changed: "Callable[[], str]") -> "list[str]":
    """Be the run that the keeper `said`, unless something has `changed`; returns what is EDITED."""
    directory, edited, *pairs = said.split(b"\0")
    why = enter(directory, pairs) or changed()
    line.send(b"going" if not why else b"stale " + why.encode("utf-8", "surrogateescape")[:4000])
    line.close()
    if why:
        _exit(0)
    return of_lines(fsdecode(edited)) if edited else []


def enter(directory: bytes, pairs: "list[bytes]") -> str:
    """Be there, with these variables; returns why that cannot be, if so."""
    try:
        chdir(directory)
    except OSError as error:
        return f"{fsdecode(directory)}: {error.strerror}"
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        environ[fsdecode(key)] = fsdecode(value)
    if "LISTEN_PID" in environ:  # the descriptors are there from the start
        environ["LISTEN_PID"] = str(getpid())
    return ""
