"""A keeper's paused copies of the command's Python: begins them, and has runs come of them.

The first is the *zygote*: the command as it is, whose agent imports libraries ahead and then waits.  The
others are *checkpoints*, which runs leave behind (kernel.checkpoints).  The zygote says

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
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence

from reloaderd.kernel import proctree
from reloaderd.kernel.checkpoints import Checkpoints
from reloaderd.kernel.copies import Line, Paused, TakeIn
from reloaderd.kernel.interpreters import unfit, words_of
from reloaderd.kernel.spawn import spawn

VARIABLE = "RELOADERD_WARM"

ROUNDS = 8
"""So often a zygote may begin anew without what cannot be imported ahead; two or three are usual."""

FIRST = 3
"""SD_LISTEN_FDS_START."""

_SIGNALS = tuple(signal.valid_signals())

Report = Callable[..., None]
Handed = Sequence[tuple[int, str]]


def new_order() -> int:
    """A file for what runs tell."""
    return os.memfd_create("order", os.MFD_CLOEXEC)


class Warm:
    """The zygote of one keeper, the one that is to take its place, and what runs left behind."""

    def __init__(
        self,
        command: Sequence[str],
        directory: str,
        environ: Mapping[str, str],
        handed: Handed,
        report: Report,
        poll: select.poll,
        checkpoints: bool = False,
        order: int = -1,
    ) -> None:
        """With `checkpoints`, runs leave copies of themselves; `order` is a memfd that is shared, or -1."""
        self._command = tuple(command)
        self._directory = directory
        self._environ = environ
        self._handed = handed
        self._report = report
        self._poll = poll
        self._order = new_order() if order < 0 else order
        self._address = f"/proc/{os.getpid()}/fd/{self._order}"
        self._zygote: Paused | None = None
        self._next: Line | None = None
        self._planned = 0  # bytes of the order that the zygote has gone by
        self._rounds = 0
        self._words: list[str] = []  # what is executed for the command
        self._given: dict[str, str] = {}  # the variables of the latest run
        self._ending: set[int] = set()  # those that we have killed
        self._checkpoints = Checkpoints(report, poll, self._ending) if checkpoints else None

    @property
    def pids(self) -> set[int]:
        """Our children that are no part of a run."""
        known = set(self._ending)
        if self._zygote is not None:
            known |= self._zygote.pids
        if self._next is not None and self._next.pid:
            known.add(self._next.pid)
        return known if self._checkpoints is None else known | self._checkpoints.pids

    def waiting(self) -> dict[int, int]:
        """The spares that wait, each with what it is a copy of."""
        paused = [self._zygote] if self._zygote is not None else []
        paused += [one for _, one in self._checkpoints.all()] if self._checkpoints is not None else []
        return {one.spare.pid: one.line.pid for one in paused if one.spare is not None and one.spare.waits}

    def left_behind(self, number: int) -> int:
        """The pid of what a run has left as this checkpoint."""
        assert self._checkpoints is not None
        return dict(self._checkpoints.all())[number].line.pid

    def spared(self) -> set[int]:
        """The same, before all of a run is signalled: one that is just being made is waited for."""
        if self._zygote is not None:
            self._zygote.settle()
        if self._checkpoints is not None:
            self._checkpoints.settle()
        return self.pids

    def are_all(self) -> bool:
        """Whether we have no other children."""
        return set(proctree.children(os.getpid())) <= self.pids

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """What a run is to be given that is executed, to have it tell what it imports when."""
        return {**given, VARIABLE: self._address}

    # In idle time

    def prepare(self, given: Mapping[str, str]) -> None:
        """Have ready what the next start takes, as far as it is not.

        `given` are the latest run's variables.
        """
        self._given = dict(given)
        if self._checkpoints is not None:
            self._checkpoints.prepare()
        if proctree.children is not proctree.listed_children:
            self._give_up("/proc does not show the children of a process here")
        elif why := unfit(self._command, self._directory, self._environ):
            self._give_up(why)
        elif self._next is not None:
            pass  # at work
        elif self._zygote is not None and self._order_size() == self._planned:
            self._zygote.fork(self._poll)
        elif self._order_size():
            self._rounds = 0
            self._begin()
        else:
            self._aside("the command told of nothing that it imports")

    def _order_size(self) -> int:
        return os.fstat(self._order).st_size

    def _begin(self) -> None:
        """Execute the command as one that is to be paused."""
        self._next, theirs = Line.pair(self._poll)
        self._words = words_of(self._command, self._directory, self._environ)
        environ = {**self._environ, **self._given}
        if self._handed:
            names = ":".join(name.replace(":", "_") for _, name in self._handed)
            environ |= {"LISTEN_FDS": str(len(self._handed)), "LISTEN_FDNAMES": names, "LISTEN_PID": "0"}
        words = [self._address, str(FIRST + len(self._handed))]
        words += [self._checkpoints.address] if self._checkpoints is not None else []
        environ[VARIABLE] = " ".join(words)
        begin = lambda *what: self._execute(theirs, *what)  # noqa: E731
        try:
            self._next.pid = spawn(self._command, self._directory, environ, begin)
        except OSError as error:
            self._aside(f"{error.filename}: {error.strerror}")
        finally:
            theirs.close()  # else its end would not be seen

    def _execute(
        self, line: _socket.socket, file: str, command: tuple[str, ...], environ: Mapping[str, str]
    ) -> int:
        given = [*(fd for fd, _ in self._handed), line.fileno()]
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
            for fd in copies:
                os.close(fd)

    # A start

    def start(
        self,
        environ: Mapping[str, str],
        take_in: TakeIn = lambda pid: None,
        checkpoint: int = 0,
        edited: Sequence[str] = (),
    ) -> tuple[int, str]:
        """Have a run come of a copy, with these variables more: its pid, and the file before whose import it
        goes on, "" for the zygote.  With pid 0 it has to be executed.

        The run goes on from `checkpoint`, or from one before it; it leaves a copy behind before it imports
        what is `edited`.  `take_in` is told its pid before it goes on.
        """
        self._end_next()  # it would be in the way
        if words_of(self._command, self._directory, self._environ) != self._words:
            if self._zygote is not None:
                self._lose(f"{self._command[0]} is another program now")
            return 0, ""
        what = self._directory, edited, environ, take_in
        for number, paused in self._ways(checkpoint):
            if self._checkpoints is not None:
                self._checkpoints.drop_after(number)
            paused.fork(self._poll)
            pid, why = paused.go(*what)
            if pid:
                return pid, paused.before
            if not number:
                self._lose(why)
        return 0, ""

    def _ways(self, checkpoint: int) -> list[tuple[int, Paused]]:
        """What a run may come of, the best first."""
        zygote = [(0, self._zygote)] if self._zygote is not None else []
        if self._checkpoints is None:
            return zygote
        self._checkpoints.settle()
        return [*self._checkpoints.up_to(checkpoint), *zygote]

    def _lose(self, why: str) -> None:
        self.reset()
        self._report("ZygoteGone", why, False)

    # What they say, and their ends

    def owns(self, fd: int) -> bool:
        """Whether it is the line to one of them."""
        zygote = self._zygote is not None and self._zygote.owns(fd)
        coming = self._next is not None and self._next.fileno() == fd
        return zygote or coming or (self._checkpoints is not None and self._checkpoints.owns(fd))

    def read(self, fd: int) -> None:
        """One of them said something, or is gone."""
        if self._zygote is not None and self._zygote.owns(fd):
            if not self._zygote.read(fd):
                self._aside("the copy has ended")
        elif self._next is None or self._next.fileno() != fd:
            assert self._checkpoints is not None
            self._checkpoints.read(fd)
        elif (said := self._next.hear()) is not None:
            self._heard(*said.decode("utf-8", "replace").partition(" ")[::2])

    def _heard(self, word: str, rest: str) -> None:
        """What the one said that imports."""
        if word == "paused":
            self._paused(*map(int, rest.split()))
        elif word == "again" and self._rounds < ROUNDS:
            self._rounds += 1
            self._end_next()
            self._begin()
        elif word == "aside":
            self._aside(rest)
        else:
            self._aside("too much cannot be imported ahead of the program" if word else "the copy has ended")

    def _paused(self, modules: int, size: int) -> None:
        line, self._next = self._next, None
        assert line is not None
        self._end_zygote()
        self._zygote = Paused(line, self._ending)
        self._planned = size
        self._report("ZygoteReady", modules, self._left())
        self._zygote.fork(self._poll)

    def _left(self) -> dict[str, str]:
        """What is left to each run, by name, and why."""
        lines = os.pread(self._order, self._planned, 0).decode("utf-8", "replace").split("\n")
        told = [line[1:].split("\t", 1) for line in lines if line[:1] == "!" and "\t" in line]
        return dict(reversed(told))  # the first reason is the one

    def ended(self, pid: int, status: int) -> bool:
        """A child of ours ended or stopped: whether it is none of a run.

        That it is gone is told by its line, too, after all that it said.
        """
        if pid not in self.pids:
            return False
        if not os.WIFSTOPPED(status):
            self._forget(pid)
        elif self._next is not None and self._next.pid == pid:
            self._aside("a library asks for the terminal when it is imported")
        return True

    def _forget(self, pid: int) -> None:
        self._ending.discard(pid)
        if self._zygote is not None:
            self._zygote.forget(pid)
        if self._next is not None and self._next.pid == pid:
            self._next.pid = 0
        if self._checkpoints is not None:
            self._checkpoints.ended(pid)

    def _aside(self, why: str) -> None:
        self.drop()
        self._report("ZygoteGone", why, False)

    def _give_up(self, why: str) -> None:
        self.drop()
        self._report("ZygoteGone", why, True)

    def reset(self) -> None:
        """Forget all: the next run is to be executed, and to tell anew what it imports."""
        self.drop()
        if self._checkpoints is not None:
            self._checkpoints.drop_after(0)
        os.ftruncate(self._order, 0)

    def drop(self) -> None:
        """Have no zygote any more."""
        self._end_next()
        self._end_zygote()

    def _end_next(self) -> None:
        if self._next is not None:
            self._next.end(self._ending)
            self._next = None

    def _end_zygote(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
