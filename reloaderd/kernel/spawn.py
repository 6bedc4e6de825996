"""Executes a command as the leader of a new process group: the one place where a child starts.

Facts
- posix_spawn(3) of glibc is clone(CLONE_VM | CLONE_VFORK): its cost does not grow with our memory, and
  the errno of a failed execve comes back as its own, nothing is left to reap.
- Dispositions that are ignored and the signal mask survive execve(2); Python ignores SIGPIPE and
  SIGXFSZ.  So every signal is set to its default and the mask is emptied.  glibc leaves its two internal
  signals, 32 and 33, ignored in what posix_spawn starts; it sets them before it uses them, as musl does.
- posix_spawnp(3) searches the PATH of the caller.  execvp(3) searches that of the process; it goes on
  after ENOENT, ENOTDIR, ESTALE, ENODEV and ETIMEDOUT, and after EACCES too, which it then reports in the
  end.  An empty element is the current directory; without PATH it is /bin:/usr/bin.  The old rule that a
  file without a #! line is given to /bin/sh is the shell's business: here it is ENOEXEC.
- execve(2) says ENOENT for a script whose interpreter is missing.
- A working directory keeps its file system busy, and one that was deleted stays deleted for whoever is in
  it: the path is resolved anew at each start, and we go back to / right after it.
- In the C locale Python sets LC_CTYPE in its own environment (PEP 538): a child of its would sort and
  print otherwise than without us.
- Descriptors above 2 are close-on-exec here: Python makes them so, and the keeper closed what it
  inherited.  posix_spawn could give some on by file_actions, but not tell the program its own pid, which
  goes with them: see kernel.forking.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence

_SEARCH_ON = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT, errno.EACCES)
)

_SIGNALS = tuple(signal.valid_signals())

Begin = Callable[[str, tuple[str, ...], Mapping[str, str]], int]
"""Executes the file, with these arguments and this environment: returns the pid or raises OSError."""


def by_posix_spawn(file: str, command: tuple[str, ...], environ: Mapping[str, str]) -> int:
    """The way for a program that gets no descriptors but 0, 1 and 2."""
    return os.posix_spawn(file, command, environ, setpgroup=0, setsigmask=(), setsigdef=_SIGNALS)


def given_environment() -> dict[str, str]:
    """The environment that this process was executed with, as far as it still holds."""
    environ = dict(os.environ)
    if "LC_CTYPE" in environ:
        try:
            with open("/proc/self/environ", "rb") as file:
                given = dict(item.partition(b"=")[::2] for item in file.read().split(b"\0"))
        except OSError:
            return environ
        if b"LC_CTYPE" not in given:
            del environ["LC_CTYPE"]
        else:
            environ["LC_CTYPE"] = os.fsdecode(given[b"LC_CTYPE"])
    return environ


def spawn(
    command: Sequence[str], directory: str, environ: Mapping[str, str], begin: Begin = by_posix_spawn
) -> int:
    """Start `command` in `directory` with exactly `environ` (and PWD, which names the directory).

    Returns the pid, which is the number of its process group too.  Raises OSError: `filename` is the
    file or directory at fault.
    """
    os.chdir(directory)
    try:
        return _execute(tuple(command), {**environ, "PWD": directory}, begin)
    except ValueError as error:  # a NUL in an argument, a "=" in a variable's name
        raise OSError(errno.EINVAL, str(error), command[0]) from error
    finally:
        os.chdir("/")


def _execute(command: tuple[str, ...], environ: Mapping[str, str], begin: Begin) -> int:
    fault = OSError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    for file in candidates(command[0], environ.get("PATH")):
        try:
            return begin(file, command, environ)
        except OSError as error:
            if error.errno not in _SEARCH_ON:
                raise OSError(error.errno, error.strerror, file) from None
            if fault.errno != errno.EACCES:
                fault = OSError(error.errno, error.strerror, _missing(file) or file)
    raise fault


def candidates(name: str, path: str | None) -> Iterator[str]:
    """The files that execvp would try; in PATH only those that are there, which saves a fork for each."""
    if "/" in name:
        yield name
    elif name:
        for directory in (os.defpath if path is None else path).split(":"):
            file = os.path.join(directory, name)
            if os.access(file, os.F_OK):
                yield file


def _missing(file: str) -> str | None:
    """The interpreter that the script `file` names and that is not there."""
    words = interpreted_by(file)
    return words[0] if words and not os.path.exists(words[0]) else None


def interpreted_by(file: str) -> list[str]:
    """The words of the `#!` line of a script; none of what is no script or cannot be read."""
    try:
        with open(file, "rb") as script:
            line = script.readline(256)  # BINPRM_BUF_SIZE
    except OSError:
        return []
    return [os.fsdecode(word) for word in line[2:].split()] if line.startswith(b"#!") else []
