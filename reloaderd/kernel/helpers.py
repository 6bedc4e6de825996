"""The processes that the daemon forks of itself: how they are asked and heard, and what comes of their end.

A helper is told what is wanted through one pipe, and tells through another what happened (kernel.frames).

Facts
- fork(2) early is cheap: a helper shares the daemon's pages until one of them writes.  A fork later
  works as well, and shares more that it will never use.
- Descriptors are copied by fork, so a helper that kept the daemon's ends of another's pipes would hide
  the daemon's death from that one: each closes all but its own (kernel.keeper).
- A signal that arrives between fork and the helper's own set-up would reach the daemon's handlers in the
  wrong process: all are blocked meanwhile, and a blocked signal that is then ignored is gone.
- The read end of a pipe gives EOF when its last writer is gone: so much for a helper that was killed.
  What a keeper kept comes back to the daemon, as its nearest subreaper.
- A pidfd becomes readable when its process ends (pidfd_open(2)).
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import Any

from reloaderd.kernel import frames, libc, proctree

CLOSE_WAIT = 2.0
"""Seconds that `end` waits for a helper to go: it needs a few ms, unless something cannot be killed."""

_helpers: set[int] = set()
_foreign: set[int] = set()


def become_subreaper() -> None:
    """Have what a killed keeper leaves come to this process.  Raises OSError.

    Children that the process has by now (those of a shell that executed us) are not ours to kill.
    """
    libc.become_subreaper()
    _foreign.update(set(proctree.children(os.getpid())) - _helpers)


def reap_strays() -> int:
    """Reap what ended, orphans that came to us and keepers; returns how many.  For when SIGCHLD arrived.

    This process has no children but helpers, orphans and what it had before `become_subreaper`.  Git, which
    kernel.repository runs, is waited for there before anything else is done, so it is never met here.
    """
    reaped = 0
    try:
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            _helpers.discard(pid)
            _foreign.discard(pid)
            reaped += 1
    except ChildProcessError:
        pass
    return reaped


def sweep_strays() -> list[int]:
    """SIGKILL and reap all that came to us from killed keepers; returns the children that are still there.

    All of these have SIGKILL coming.  To be called again when one of them ended, until it returns none.
    """
    while True:
        strays = proctree.kill_descendants(_helpers | _foreign)
        if not strays or not reap_strays():
            return strays


class Helper:
    """One such process at a time: whoever has it starts another when it is gone."""

    def __init__(
        self, become: Callable[[int, int], object], epoll: select.epoll, may_stand_still: bool = False
    ) -> None:
        """`become` never returns: it serves the read end of the requests and the write end of the reports.

        `epoll` becomes readable when `read` has something.  A helper that `may_stand_still` is not waited for
        when it does not read.
        """
        self.pid = 0
        """0: there is none."""
        self._become = become
        self._epoll = epoll
        self._waits = not may_stand_still
        self._requests = self._reports = -1

    def start(self) -> None:
        """Fork it.  Raises OSError when there is no descriptor or process to be had."""
        fds = list(frames.open_pipe())
        try:
            fds += frames.open_pipe()
            self.pid = self._fork(fds[0], fds[3])
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        os.close(fds[0])
        os.close(fds[3])
        self._requests, self._reports = fds[1], fds[2]
        self._frames = frames.Frames()
        os.set_blocking(self._requests, self._waits)
        os.set_blocking(self._reports, False)
        self._epoll.register(self._reports, select.EPOLLIN)

    def ask(self, *request: Any) -> bool:
        """Tell it; False: there is none, as far as is known."""
        if self._requests < 0:
            return False
        try:
            frames.send(self._requests, request)
        except OSError:  # it is dead, as `read` is about to say, or was stopped: then it is of no use
            pass
        return True

    def read(self) -> list[tuple[Any, ...]] | None:
        """What it told, without waiting; None, once, when it is gone."""
        if self._reports < 0:
            return []
        try:
            data = os.read(self._reports, 65536)
        except BlockingIOError:
            return []
        if not data:
            if self.pid in _helpers:  # else reaped already, by reap_strays
                os.kill(self.pid, signal.SIGKILL)
            self.end()
            return None
        return self._frames.feed(data)

    def end(self) -> None:
        """Have it end, of which it hears by its pipe; waits for that, `CLOSE_WAIT` at most."""
        for fd in (self._requests, self._reports):
            if fd >= 0:
                os.close(fd)
        self._requests = self._reports = -1
        if self.pid in _helpers:
            self._await()
        self.pid = 0

    def _fork(self, requests: int, reports: int) -> int:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    self._become(requests, reports)
                finally:
                    os._exit(os.EX_SOFTWARE)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _helpers.add(pid)
        return pid

    def _await(self) -> None:
        _wait_for_end(self.pid, CLOSE_WAIT)
        try:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                _helpers.discard(self.pid)
        except ChildProcessError:
            _helpers.discard(self.pid)


def _wait_for_end(pid: int, seconds: float) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(seconds * 1000)
    os.close(pidfd)
