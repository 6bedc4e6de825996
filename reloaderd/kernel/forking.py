"""Executes a program by fork and exec: with descriptors from 3 on, which posix_spawn cannot give.

Facts
- LISTEN_PID has to be the pid of the program itself (sd_listen_fds(3)): it is known after the fork alone.
- dup2(2) leaves close-on-exec off, but not where both numbers are the same, and closes what was there.  So
  all are copied to numbers above first, and whatever else is open is close-on-exec.
- The write end of a pipe that is close-on-exec is closed by a successful execve(2): the read end says how it
  went, as posix_spawn(3) does.
- Dispositions that are caught are reset by execve(2), those that are ignored are not.  All signals are
  blocked until all have their default: none of them can reach our handlers in the new process.
- It takes 2 ms longer than posix_spawn(3), for pages of the keeper that are mapped and copied.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from reloaderd.kernel import frames

FIRST = 3
"""SD_LISTEN_FDS_START."""

_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Forking:
    """Starts programs, each with the same `handed` descriptors, of which each has a name."""

    def __init__(self, handed: Sequence[tuple[int, str]], fork: Callable[[], int] = os.fork) -> None:
        self._descriptors = [fd for fd, _ in handed]
        self._fork = fork
        self._environ = {}
        if handed:
            names = ":".join(name.replace(":", "_") for _, name in handed)
            self._environ = {"LISTEN_FDS": str(len(handed)), "LISTEN_FDNAMES": names}

    def __call__(self, file: str, command: tuple[str, ...], environ: Mapping[str, str]) -> int:
        """Execute `file` as the leader of a new group; returns its pid.  Raises OSError."""
        environ = {**environ, **self._environ}
        read, write = frames.open_pipe()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = self._fork()
            if pid == 0:
                self._become(file, command, environ, write)
        except OSError:
            os.close(write)
            os.close(read)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(write)
        try:
            told = os.read(read, 4)
        finally:
            os.close(read)
        if told:
            os.waitpid(pid, 0)
            number = int.from_bytes(told, "little")
            raise OSError(number, os.strerror(number))
        return pid

    def _become(self, file: str, command: tuple[str, ...], environ: dict[str, str], write: int) -> None:
        number = errno.EINVAL  # a NUL in an argument, a "=" in a name: what execve has no errno for
        try:
            os.setpgid(0, 0)
            end = FIRST + len(self._descriptors)
            write = fcntl.fcntl(write, fcntl.F_DUPFD_CLOEXEC, end)
            copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, end) for fd in self._descriptors]
            for at, copy in enumerate(copies):
                os.dup2(copy, FIRST + at)
            if copies:
                environ["LISTEN_PID"] = str(os.getpid())
            for signum in _SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(file, command, environ)
        except OSError as error:
            number = error.errno or number
        finally:
            os.write(write, number.to_bytes(4, "little"))
            os._exit(127)
