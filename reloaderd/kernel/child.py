"""The daemon's side of one keeper: asks it to start, signal and kill runs, and makes events of its reports.

Facts
- fork(2) early is cheap: the keeper shares the daemon's pages until one of them writes.  A fork later
  works as well, and shares more that it will never use.
- Descriptors are copied by fork, so a keeper that kept the daemon's ends of another's pipes would hide
  the daemon's death from that one: each closes all but its own (kernel.keeper).
- A signal that arrives between fork and the keeper's own set-up would reach the daemon's handlers in the
  wrong process: all are blocked meanwhile, and a blocked signal that is then ignored is gone.
- The read end of a pipe gives EOF when its last writer is gone: so much for a keeper that was killed.
  What it kept comes back to the daemon, as its nearest subreaper.
- A pidfd becomes readable when its process ends (pidfd_open(2)); an epoll descriptor can be watched by
  another (epoll(7)), so `fileno` stays the same while what is waited for changes.
- A descriptor 0, 1 or 2 that was closed is the first that open(2) gives away.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
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
from reloaderd.kernel import frames, libc, proctree
from reloaderd.kernel.keeper import EX_SOFTWARE, Kept, keep

_EVENTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(ChildStarted, StartFailed, ChildStopped, ChildEnded, RunGone),
        *(ZygoteReady, ZygoteGone, CheckpointReady, CheckpointGone),
    )
}

CLOSE_WAIT = 2.0
"""Seconds that `close` waits for a keeper to go: it needs a few ms, unless something cannot be killed."""

_keepers: set[int] = set()
_foreign: set[int] = set()


def become_subreaper() -> None:
    """Have what a killed keeper leaves come to this process.  Raises OSError.

    Children that the process has by now (those of a shell that executed us) are not ours to kill.
    """
    libc.become_subreaper()
    _foreign.update(set(proctree.children(os.getpid())) - _keepers)


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


def reap_strays() -> int:
    """Reap what ended, orphans that came to us and keepers; returns how many.  For when SIGCHLD arrived.

    This process has no children but keepers, orphans and what it had before `become_subreaper`.  Git, which
    kernel.repository runs, is waited for there before anything else is done, so it is never met here.
    """
    reaped = 0
    try:
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            _keepers.discard(pid)
            _foreign.discard(pid)
            reaped += 1
    except ChildProcessError:
        pass
    return reaped


def fork_process(become: Callable[[], object]) -> int:
    """Fork a process of ours that does this and never returns from it; its pid.  Raises OSError.

    It is left alone by `sweep_strays`, and reaped by `reap_strays`.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            try:
                become()
            finally:
                os._exit(EX_SOFTWARE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    _keepers.add(pid)
    return pid


def forget_process(pid: int) -> None:
    """Wait for one of these that is about to end, `CLOSE_WAIT` at most."""
    if pid in _keepers:
        _wait_for_end(pid, CLOSE_WAIT)
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _keepers.discard(pid)
        except ChildProcessError:
            _keepers.discard(pid)


def sweep_strays() -> list[int]:
    """SIGKILL and reap all that came to us from killed keepers; returns the children that are still there.

    All of these have SIGKILL coming.  To be called again when one of them ended, until it returns none.
    """
    while True:
        strays = proctree.kill_descendants(_keepers | _foreign)
        if not strays or not reap_strays():
            return strays


def _wait_for_end(pid: int, seconds: float) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(seconds * 1000)
    os.close(pidfd)


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
        self._keeper = 0
        self._requests = self._reports = self._stray = -1
        self._environ: Mapping[str, str] = {}  # of the latest run
        self._failed: list[Event] = []  # made here, not by the keeper
        hold_standard_descriptors()
        self._epoll = select.epoll()
        self._failure = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # makes them readable
        self._epoll.register(self._failure, select.EPOLLIN)
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
            events += self._sweep()
        elif self._reports >= 0:
            try:
                data = os.read(self._reports, 65536)
            except BlockingIOError:
                return events
            if not data:
                self._lose_keeper()
                return events + self._sweep()
            events += [_EVENTS[kind](self._service, *fields) for kind, *fields in self._frames.feed(data)]
            if self._door is not None and any(isinstance(event, RunGone | StartFailed) for event in events):
                self._door.gone(self._slot)
        return events

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
        if self._keeper and self._forked_with != self._handed():
            self._dismiss()
        if not self._keeper:
            try:
                self._fork()
            except OSError as error:
                self._fail(StartFailed(self._service, run, error.errno or 0, self._kept.command[0]))
                return
        if self._door is not None:
            self._door.started(self._slot, run, self._keeper)
        self._environ = environ
        if warm:
            self._ask("resume", run, dict(environ), checkpoint, list(edited))
        else:
            self._ask("start", run, dict(environ))

    def prepare(self, environ: Mapping[str, str] | None = None) -> None:
        """Have a copy of the command's interpreter ready: answered by `ZygoteReady` or `ZygoteGone`.

        Not answered where all is ready by now.  `environ` is that of the latest run, if it was another's.
        """
        self._ask("prepare", dict(self._environ if environ is None else environ))

    def signal(self, run: int, signum: int, scope: str, ends: bool = False) -> None:
        """Send `signum` to `scope` of the run: `tree`, `group` or `child`.

        With `ends`, what is stopped there is then continued, so that it can act on it.
        """
        if ends and self._door is not None:
            self._door.stopping(self._slot)
        self._ask("signal", run, int(signum), scope, ends)

    def relieve(self) -> bool:
        """Have the run accept no more: answered by `ChildAnswered`.  False: nobody can tell it."""
        return self._door is not None and self._door.leaving(self._slot)

    def kill(self, run: int) -> None:
        """SIGKILL all that is left of the run, until nothing is: answered by `RunGone`."""
        if self._door is not None:
            self._door.stopping(self._slot)
        self._ask("kill", run)

    def close(self) -> None:
        """Have the keeper kill what it keeps and end; waits for that, `CLOSE_WAIT` at most."""
        for fd in (self._stray, self._failure):
            if fd >= 0:
                os.close(fd)
        self._stray = self._failure = -1
        self._epoll.close()
        self._dismiss()

    def _dismiss(self) -> None:
        self._drop_pipes()
        forget_process(self._keeper)
        self._keeper = 0

    def _handed(self) -> list[int]:
        """Which sockets are handed on: another one may have got the descriptor of one."""
        return [os.fstat(fd).st_ino for fd, _ in self._kept.handed]

    def _ask(self, *request: Any) -> None:
        if self._requests >= 0:
            try:
                frames.send(self._requests, request)
            except BrokenPipeError:
                pass  # `read` is about to say so

    def _fork(self) -> None:
        fds = list(frames.open_pipe())
        try:
            fds += frames.open_pipe()
            pid = fork_process(lambda: keep(self._kept, fds[0], fds[3]))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        os.close(fds[0])
        os.close(fds[3])
        self._keeper, self._requests, self._reports = pid, fds[1], fds[2]
        self._forked_with = self._handed()
        self._frames = frames.Frames()
        os.set_blocking(self._reports, False)
        self._epoll.register(self._reports, select.EPOLLIN)

    def _lose_keeper(self) -> None:
        """The keeper closed its end: it is dead, or about to be."""
        self._drop_pipes()
        if self._keeper in _keepers:  # else reaped already, by reap_strays
            os.kill(self._keeper, signal.SIGKILL)
            forget_process(self._keeper)
        self._keeper = 0
        if self._door is not None:
            self._door.gone(self._slot)

    def _drop_pipes(self) -> None:
        for fd in (self._requests, self._reports):
            if fd >= 0:
                os.close(fd)
        self._requests = self._reports = -1

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
