"""Signals sent to reloaderd itself: caught, turned into events, and died or stopped of in the end.

Facts
- set_wakeup_fd writes the number of each signal that has a Python handler to a pipe, from the C handler:
  nothing is lost between looking and waiting.  The pipe must not block; full means thousands unread.
- SIGCHLD and SIGWINCH merge in the kernel, so one is as good as many; two SIGINTs are two wishes.
- nohup(1) works by having SIGHUP ignored at the start.  With SIGTSTP ignored at the start there is no
  shell to continue us.  Both stay so.  SIGINT, which a shell without job control ignores for `&`, is
  caught all the same: ending with the script that started us is better than staying behind it.
- Ctrl-Z sends SIGTSTP to the foreground group alone.  When that is a child, the shell waits for our group
  (make and sh around us with it): the whole group has to stop for the shell to see that its job did.  A
  second stop signal for a process that is stopped stays pending and SIGCONT discards it (signal(7)).
- The default action of SIGTSTP (and of SIGTTIN, SIGTTOU, not of SIGSTOP) is discarded in an orphaned
  process group, as for pid 1: kill(2) then returns with us still running.  Where it stops us, it does so
  before kill returns, and the handler of the SIGCONT that ended the stop has run as well.
- The kernel never kills pid 1 by a signal's default action (pid_namespaces(7)); a shell shows 128+N for a
  signal.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from reloaderd.events import SignalArrived
from reloaderd.kernel import frames, libc

CAUGHT = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,  # so that nobody ends us by it
    signal.SIGTSTP,
    signal.SIGCONT,
    signal.SIGWINCH,
    signal.SIGCHLD,
)
_STAY_IGNORED = frozenset((signal.SIGHUP, signal.SIGTSTP))
_MERGED = frozenset((signal.SIGCONT, signal.SIGWINCH, signal.SIGCHLD))


class Signals:
    """Catches signals from its making to `close`.  One a process, in the main thread."""

    def __init__(self) -> None:
        self._read, self._write = frames.open_pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before = {}
        # before the handlers: they do nothing, and what came between would be lost
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for signum in CAUGHT:
            ignored = signal.getsignal(signum) == signal.SIG_IGN
            if not (ignored and signum in _STAY_IGNORED):
                self._before[signum] = signal.signal(signum, _note)
        for signum in (signal.SIGTTIN, signal.SIGTTOU):
            self._before[signum] = signal.signal(signum, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when a signal arrived."""
        return self._read

    def read(self) -> list[SignalArrived]:
        """The signals since the last time, in order, without waiting."""
        arrived: list[SignalArrived] = []
        for signum in self._drain():
            event = SignalArrived(signum)
            if signum not in _MERGED or event not in arrived:
                arrived.append(event)
        return arrived

    def stop_self(self) -> None:
        """Stop our process group, as Ctrl-Z does, and come back when continued.

        A SIGCONT can be read after it in any case: also where we could not be stopped, because nobody
        would ever continue us, and so went on at once.
        """
        waiting = bytes(signum for signum in self._drain() if signum not in (signal.SIGTSTP, signal.SIGCONT))
        if signal.SIGTSTP in self._before:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, _note)
        waiting += self._drain()
        if signal.SIGCONT not in waiting:
            waiting += bytes((signal.SIGCONT,))
        os.write(self._write, waiting)

    def close(self) -> None:
        """Put back what was there before."""
        signal.set_wakeup_fd(self._wakeup_before)
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        os.close(self._read)
        os.close(self._write)

    def _drain(self) -> bytes:
        try:
            return os.read(self._read, 65536)
        except BlockingIOError:
            return b""


def _note(signum: int, frame: object) -> None:
    """Nothing: the wakeup pipe has the number already."""


def die_of(signum: int) -> NoReturn:
    """End this process by `signum`, so that whoever waits sees why; without a core file.

    Where the kernel does not let it (pid 1, a signal that does not kill), exit with 128 + `signum`.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # closed, or nobody reads it any more
    try:
        libc.forbid_core_dump()
        signal.set_wakeup_fd(-1)
        if signum not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signum,))
        if signum != signal.SIGSTOP:
            os.kill(os.getpid(), signum)
    finally:
        os._exit(128 + signum)
