"""A keeper's paused copies of the command's Python: begins them, and has runs come of them.

The first is the *zygote*: the command as it is, whose agent imports libraries ahead and then waits.  Asked
to, it makes a *spare* that waits, too, as our own child, until a run is to be.  What they say to each other
is in agent/_reloaderd_pause; the zygote says

    b"paused MODULES BYTES"   it waits, and has gone by so much of the order
    b"again"                  it ends, and wants to be begun anew: the order has what is to be left out now
    b"aside WHY"              it ends: there can be no copies

Facts
- A memfd (memfd_create(2)) can be opened by /proc/PID/fd/N for as long as PID has it open, by its user: so
  runs tell into it which libraries they import when, and nothing is left behind.
- A child stays in the list of /proc/self/task/TID/children until we reap it, and an orphan is put at its end
  (kernel/exit.c): while we do not reap, one look misses none of our children, and every process of a run is
  one of them or below one.
- posix_spawn(3) carries out its file actions in their order.  dup2(2) leaves close-on-exec off where the two
  numbers differ.
- A message of a SOCK_SEQPACKET socket is whole; an empty one is the end of the other side.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence

from reloaderd.kernel import proctree
from reloaderd.kernel.spawn import candidates, interpreted_by, spawn

VARIABLE = "RELOADERD_WARM"

PATIENCE = 1.0
"""Seconds that a start waits for a copy, which takes a few ms: with more than that something is stuck."""

ROUNDS = 8
"""So often a zygote may begin anew without what cannot be imported ahead; two or three are usual."""

LARGEST = 4096
"""Bytes of what a copy says."""

FIRST = 3
"""SD_LISTEN_FDS_START."""

_SIGNALS = tuple(signal.valid_signals())

Report = Callable[..., None]
Handed = Sequence[tuple[int, str]]


class Copy:
    """One of our children that waits: its process (0: not known, or gone) and our end of the line to it."""

    def __init__(self, poll: select.poll, pid: int = 0) -> None:
        self._poll = poll
        self.pid = pid
        self.waits = False
        self._line, self.theirs = _socket.socketpair(_socket.AF_UNIX, _SEQPACKET)
        poll.register(self._line.fileno(), select.POLLIN)

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

    def close(self, kill: bool) -> None:
        """Let go of it, by SIGKILL unless it is a run from now on."""
        self._poll.unregister(self._line.fileno())
        self._line.close()
        self.theirs.close()
        if kill and self.pid:
            os.kill(self.pid, signal.SIGKILL)


_SEQPACKET = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC


class Warm:
    """The zygote of one keeper, the one that is to take its place, and the spare."""

    def __init__(
        self,
        command: Sequence[str],
        directory: str,
        environ: Mapping[str, str],
        handed: Handed,
        report: Report,
        poll: select.poll,
    ) -> None:
        self._command = tuple(command)
        self._directory = directory
        self._environ = environ
        self._handed = handed
        self._report = report
        self._poll = poll
        self._order = os.memfd_create("order", os.MFD_CLOEXEC)
        self._address = f"/proc/{os.getpid()}/fd/{self._order}"
        self._zygote: Copy | None = None
        self._next: Copy | None = None
        self._spare: Copy | None = None
        self._planned = 0  # bytes of the order that the zygote has gone by
        self._rounds = 0
        self._words: list[str] = []  # what is executed for the command
        self._given: dict[str, str] = {}  # the variables of the latest run
        self._ending: set[int] = set()  # those that we have killed

    @property
    def pids(self) -> set[int]:
        """Our children that are no part of a run."""
        copies = (self._zygote, self._next, self._spare)
        return self._ending | {one.pid for one in copies if one is not None and one.pid}

    @property
    def waiting(self) -> tuple[int, int]:
        """The zygote, and its copy that will be the next run, once that waits; else zeros."""
        if self._zygote is None or self._spare is None or not self._spare.waits:
            return 0, 0
        return self._zygote.pid, self._spare.pid

    def spared(self) -> set[int]:
        """The same, before all of a run is signalled: one that is just being made is waited for."""
        if self._spare is not None and not self._spare.waits:
            _greet(self._spare, self._spare.hear(PATIENCE))
        return self.pids

    def are_all(self) -> bool:
        """Whether we have no other children."""
        return set(proctree.children(os.getpid())) <= self.pids

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """What a run is to be given that is executed, to have it tell what it imports when."""
        self._given = dict(given)
        return {**given, VARIABLE: self._address}

    # In idle time

    def prepare(self) -> None:
        """Have ready what the next start takes, as far as it is not."""
        if proctree.children is not proctree.listed_children:
            self._give_up("/proc does not show the children of a process here")
        elif why := _unfit(self._command, self._directory, self._environ):
            self._give_up(why)
        elif self._next is not None:
            pass  # at work
        elif self._zygote is not None and self._order_size() == self._planned:
            self._fork()
        elif self._order_size():
            self._rounds = 0
            self._begin()
        else:
            self._aside("the command told of nothing that it imports")

    def _order_size(self) -> int:
        return os.fstat(self._order).st_size

    def _begin(self) -> None:
        """Execute the command as one that is to be paused."""
        copy = self._next = Copy(self._poll)
        self._words = _words(self._command, self._directory, self._environ)
        environ = {**self._environ, **self._given}
        if self._handed:
            names = ":".join(name.replace(":", "_") for _, name in self._handed)
            environ |= {"LISTEN_FDS": str(len(self._handed)), "LISTEN_FDNAMES": names, "LISTEN_PID": "0"}
        environ[VARIABLE] = f"{self._address} {FIRST + len(self._handed)}"
        try:
            copy.pid = spawn(self._command, self._directory, environ, self._execute)
        except OSError as error:
            self._aside(f"{error.filename}: {error.strerror}")
        finally:
            copy.theirs.close()  # else its end would not be seen

    def _execute(self, file: str, command: tuple[str, ...], environ: Mapping[str, str]) -> int:
        assert self._next is not None
        given = [*(fd for fd, _ in self._handed), self._next.theirs.fileno()]
        high = FIRST + len(given)
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high) for fd in given]
        try:
            return os.posix_spawn(
                file,
                command,
                environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, FIRST + at) for at, fd in enumerate(copies)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=_SIGNALS,
            )
        finally:
            for fd in (*copies,):
                os.close(fd)

    def _fork(self) -> None:
        """Have the zygote make a spare."""
        if self._spare is None and self._zygote is not None:
            spare = Copy(self._poll)
            self._zygote.say(b"fork", spare.theirs.fileno())
            spare.theirs.close()
            self._spare = spare

    # A start

    def start(self, environ: Mapping[str, str], take_in: Callable[[int], None] = lambda pid: None) -> int:
        """Have a run come of a copy, with these variables more; 0: it has to be executed.

        `take_in` is told its pid before it goes on.
        """
        self._given = dict(environ)
        self._end("_next")  # it would be in the way
        if self._zygote is None:
            return 0
        self._fork()
        assert self._spare is not None
        if why := self._go(self._spare, environ, take_in):
            self.reset()
            self._report("ZygoteGone", why, False)
            return 0
        spare, self._spare = self._spare, None
        spare.close(kill=False)
        return spare.pid

    def _go(self, spare: Copy, environ: Mapping[str, str], take_in: Callable[[int], None]) -> str:
        """Have the spare be the run; why it is none, if so."""
        if _words(self._command, self._directory, self._environ) != self._words:
            return f"{self._command[0]} is another program now"
        if not spare.waits:
            _greet(spare, spare.hear(PATIENCE))
        if not spare.waits:
            return "it could not be copied in time"
        take_in(spare.pid)
        pairs = [os.fsencode(f"{key}={value}") for key, value in environ.items()]
        said = b"\0".join([b"go", os.fsencode(self._directory), *pairs])
        answer = spare.hear(PATIENCE) if spare.say(said) else b""
        if answer == b"going":
            return ""
        if answer is None:
            return "it did not answer in time"
        return answer.removeprefix(b"stale ").decode("utf-8", "replace") or "the copy has ended"

    # What they say, and their ends

    def owns(self, fd: int) -> bool:
        """Whether it is the line to one of them."""
        copies = (self._zygote, self._next, self._spare)
        return any(one is not None and one.fileno() == fd for one in copies)

    def read(self, fd: int) -> None:
        """One of them said something, or is gone."""
        if self._spare is not None and self._spare.fileno() == fd:
            said = self._spare.hear()
            _greet(self._spare, said)
            if said == b"":
                self._end("_spare")
        elif self._zygote is not None and self._zygote.fileno() == fd:
            self.drop()
            self._report("ZygoteGone", "the copy has ended", False)
        elif self._next is not None and (said := self._next.hear()) is not None:
            self._heard(*said.decode("utf-8", "replace").partition(" ")[::2])

    def _heard(self, word: str, rest: str) -> None:
        """What the one said that imports."""
        if word == "paused":
            self._paused(*map(int, rest.split()))
        elif word == "again" and self._rounds < ROUNDS:
            self._rounds += 1
            self._end("_next")
            self._begin()
        elif word == "aside":
            self._aside(rest)
        else:
            self._aside("too much cannot be imported ahead of the program" if word else "the copy has ended")

    def _paused(self, modules: int, size: int) -> None:
        copy, self._next = self._next, None
        self.drop()
        self._zygote = copy
        self._planned = size
        self._report("ZygoteReady", modules, self._left())
        self._fork()

    def _left(self) -> dict[str, str]:
        """What is left to each run, by name, and why."""
        lines = os.pread(self._order, self._planned, 0).decode("utf-8", "replace").split("\n")
        return dict(line[1:].split("\t", 1) for line in lines if line[:1] == "!" and "\t" in line)

    def ended(self, pid: int, status: int) -> bool:
        """A child of ours ended or stopped: whether it is none of a run.

        That it is gone is told by its line, too, after all that it said.
        """
        if pid not in self.pids:
            return False
        if not os.WIFSTOPPED(status):
            self._ending.discard(pid)
            for copy in (self._zygote, self._next, self._spare):
                if copy is not None and copy.pid == pid:
                    copy.pid = 0
        elif self._next is not None and self._next.pid == pid:
            self._aside("a library asks for the terminal when it is imported")
        return True

    def _aside(self, why: str) -> None:
        self.drop()
        self._report("ZygoteGone", why, False)

    def _give_up(self, why: str) -> None:
        self.drop()
        self._report("ZygoteGone", why, True)

    def reset(self) -> None:
        """Forget all: the next run is to be executed, and to tell anew what it imports."""
        self.drop()
        os.ftruncate(self._order, 0)

    def drop(self) -> None:
        """Have no copies any more."""
        for name in ("_spare", "_next", "_zygote"):
            self._end(name)

    def _end(self, name: str) -> None:
        copy: Copy | None = getattr(self, name)
        if copy is not None:
            setattr(self, name, None)
            copy.close(kill=True)
            self._ending.update({copy.pid} if copy.pid else ())


def _greet(spare: Copy, said: bytes | None) -> None:
    """The spare is ready, and our child by now."""
    if said is not None and said.startswith(b"ready "):
        spare.pid, spare.waits = int(said[6:]), True


def _words(command: Sequence[str], directory: str, environ: Mapping[str, str]) -> list[str]:
    """What is executed for a command: that of the `#!` line of a script, else the file with its arguments."""
    file = next(iter(candidates(command[0], environ.get("PATH"))), command[0])
    return interpreted_by(os.path.join(directory, file)) or [file, *command[1:]]


def _unfit(command: Sequence[str], directory: str, environ: Mapping[str, str]) -> str:
    """Why this command is none whose interpreter can be copied; empty where it may be one."""
    if "RELOADERD_AGENT" not in environ or "PYTHONPATH" not in environ:
        return "what the command imports is not followed"
    words = _words(command, directory, environ)
    if os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if "=" not in word and word != "-S"] or [""]
    name = os.path.basename(words[0])
    if not name.startswith("python"):
        return f"{command[0]} is run by {name}, and not by Python itself"
    for word in words[1:]:
        letters = word[1:].partition("c")[0].partition("m")[0]
        if not word.startswith("-") or set("EIS") & set(letters):
            return f"python {word} leaves out what would pause it" if word.startswith("-") else ""
        if letters != word[1:]:
            break
    return ""
