"""The daemon's side of one keeper: asks it to start, signal and kill runs, and makes events of its reports.

Facts
- An epoll descriptor can be watched by another (epoll(7)), so `fileno` stays the same while what is
  waited for changes.
- A descriptor 0, 1 or 2 that was closed is the first that open(2) gives away.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from reloaderd.events import (
    CheckpointGone,
    CheckpointReady,
    ChildEnded,
    ChildStarted,
    ChildStopped,
    Event,
    KeeperDied,
    RunGone,
    StartFailed,
    ZygoteGone,
    ZygoteReady,
)
from reloaderd.kernel.helpers import Helper, sweep_strays
from reloaderd.kernel.keeper import Kept, keep

_EVENTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(ChildStarted, StartFailed, ChildStopped, ChildEnded, RunGone),
        *(ZygoteReady, ZygoteGone, CheckpointReady, CheckpointGone),
    )
}


def hold_standard_descriptors() -> None:
    """Occupy those of 0, 1 and 2 that are closed, close-on-exec, so that nothing else gets these numbers.

    A child finds them as closed as they were.  To be called before anything else opens a descriptor.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(fd)


def working_directory() -> str:
    """The current directory as a path that can be gone to again, by the name that the person used."""
    logical = os.environ.get("PWD", "")
    try:
        physical = os.getcwd()
    except FileNotFoundError:  # deleted under us
        return logical or os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
    try:
        return logical if logical.startswith("/") and os.path.samefile(logical, ".") else physical
    except OSError:
        return physical


class Door(Protocol):
    """Who wants to know of the runs in a slot before they do anything (kernel.porters)."""

    def started(self, slot: int, run: int, keeper: int) -> None:
        """A run is about to be started, by this keeper."""

    def leaving(self, slot: int) -> bool:
        """It is to accept no more, and to be told of when it has answered all; False: nobody will."""

    def stopping(self, slot: int) -> None:
        """It is about to be told to end."""

    def gone(self, slot: int) -> None:
        """Nothing of it is left."""


class Child:
    """One service's keeper, and through it the child of its runs.

    A keeper that died is replaced by the next `start`; so is one that has not what is handed on by now.
    """

    def __init__(
        self,
        service: str,
        command: Sequence[str],
        chdir: str | None,
        environ: Mapping[str, str],
        early: bool = True,
        handed: Sequence[tuple[int, str]] = (),
        cgroup: str = "",
        door: Door | None = None,
        slot: int = 0,
        shared: bool = False,
        warm: bool = False,
        checkpoints: bool = False,
        order: int = -1,
    ) -> None:
        """Forks the keeper, or leaves that to the first `start` where it is not `early`.

        `environ` is what every run gets, `chdir` None the present directory; `handed` and `cgroup` are as in
        `Kept`, and the descriptors stay open until this is closed.  `door` is told of the runs, which are in
        `slot`; with `shared`, runs in other slots have the same descriptors.  Raises OSError when there is no
        descriptor or process to be had.
        """
        self._service = service
        directory = working_directory() if chdir is None else chdir
        what = service, tuple(command), directory, dict(environ), handed, cgroup
        self._kept = Kept(*what, slot, shared, warm, checkpoints, order)
        self._door, self._slot = door, slot
        self._stray = -1
        self._environ: Mapping[str, str] = {}  # of the latest run
        self._failed: list[Event] = []  # made here, not by the keeper
        hold_standard_descriptors()
        self._epoll = select.epoll()
        self._failure = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # makes them readable
        self._epoll.register(self._failure, select.EPOLLIN)
        self._keeper = Helper(lambda requests, reports: keep(self._kept, requests, reports), self._epoll)
        if early:
            self._fork()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when `read` has something; stays the same from keeper to keeper."""
        return self._epoll.fileno()

    def read(self) -> list[Event]:
        """What happened, without waiting.  Between `KeeperDied` and the next `start` nothing does."""
        events = self._read_failed()
        if self._stray >= 0:
            return events + self._sweep()
        told = self._keeper.read()
        events += [_EVENTS[kind](self._service, *fields) for kind, *fields in told or ()]
        if self._door is not None and (
            told is None or any(isinstance(event, RunGone | StartFailed) for event in events)
        ):
            self._door.gone(self._slot)
        return events if told is not None else events + self._sweep()

    def start(
        self,
        run: int,
        environ: Mapping[str, str],
        warm: bool = False,
        checkpoint: int = 0,
        edited: Sequence[str] = (),
    ) -> None:
        """Start the command as `run`, with `environ` added to what every run gets; `warm`: of a copy.

        It may be this `checkpoint`, and leaves one before it imports what is `edited`.  Answered by
        `ChildStarted` or `StartFailed`; a run that failed to start is over.
        """
        if self._keeper.pid and self._forked_with != self._handed():
            self._keeper.end()
        if not self._keeper.pid:
            try:
                self._fork()
            except OSError as error:
                self._fail(StartFailed(self._service, run, error.errno or 0, self._kept.command[0]))
                return
        if self._door is not None:
            self._door.started(self._slot, run, self._keeper.pid)
        self._environ = environ
        if warm:
            self._keeper.ask("resume", run, dict(environ), checkpoint, list(edited))
        else:
            self._keeper.ask("start", run, dict(environ))

    def prepare(self, environ: Mapping[str, str] | None = None) -> None:
        """Have a copy of the command's interpreter ready: answered by `ZygoteReady` or `ZygoteGone`.

        Not answered where all is ready by now.  `environ` is that of the latest run, if it was another's.
        """
        self._keeper.ask("prepare", dict(self._environ if environ is None else environ))

    def signal(self, run: int, signum: int, scope: str, ends: bool = False) -> None:
        """Send `signum` to `scope` of the run: `tree`, `group` or `child`.

        With `ends`, what is stopped there is then continued, so that it can act on it.
        """
        if ends and self._door is not None:
            self._door.stopping(self._slot)
        self._keeper.ask("signal", run, int(signum), scope, ends)

    def relieve(self) -> bool:
        """Have the run accept no more: answered by `ChildAnswered`.  False: nobody can tell it."""
        return self._door is not None and self._door.leaving(self._slot)

    def kill(self, run: int) -> None:
        """SIGKILL all that is left of the run, until nothing is: answered by `RunGone`."""
        if self._door is not None:
            self._door.stopping(self._slot)
        self._keeper.ask("kill", run)

    def close(self) -> None:
        """Have the keeper kill what it keeps and end; waits for that (`Helper.end`)."""
        for fd in (self._stray, self._failure):
            if fd >= 0:
                os.close(fd)
        self._stray = self._failure = -1
        self._keeper.end()
        self._epoll.close()

    def _handed(self) -> list[int]:
        """Which sockets are handed on: another one may have got the descriptor of one."""
        return [os.fstat(fd).st_ino for fd, _ in self._kept.handed]

    def _fork(self) -> None:
        self._keeper.start()
        self._forked_with = self._handed()

    def _sweep(self) -> list[Event]:
        """Kill what the dead keeper left, waking again for each that ends; its death is told when all did."""
        if self._stray >= 0:
            os.close(self._stray)
            self._stray = -1
        for pid in sweep_strays():
            try:
                self._stray = os.pidfd_open(pid)
            except OSError:
                continue
            self._epoll.register(self._stray, select.EPOLLIN)
            return []
        return [KeeperDied(self._service)]

    def _fail(self, event: Event) -> None:
        self._failed.append(event)
        os.eventfd_write(self._failure, 1)

    def _read_failed(self) -> list[Event]:
        events, self._failed = self._failed, []
        if events:
            os.eventfd_read(self._failure)
        return events
