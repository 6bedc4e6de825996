"""Turns a path that a person gave into an absolute one, or says why it cannot be used."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from reloaderd.errors import ReloaderdError


def working_directory() -> str:
    """The absolute path of the working directory."""
    try:
        return os.getcwd()
    except OSError:
        raise ReloaderdError("the current directory is gone", "cd to one that exists") from None


def roots(paths: Iterable[str], cwd: str) -> tuple[str, ...]:
    """The absolute and normal paths of the PATHs, each once; without any, that of `cwd`."""
    return tuple(dict.fromkeys(root(path, cwd) for path in paths or ["."]))


def root(path: str, cwd: str) -> str:
    """The absolute and normal path of a PATH that is there and may be watched.

    Symlinks are kept, as they are followed by name again when they change.
    """
    if not path:
        raise ReloaderdError("an empty PATH", "the current directory is .")
    try:
        there = os.stat(path)
    except OSError as error:
        raise _cannot_use(path, error.errno) from None
    normal = _absolute(path, cwd, there)
    # a file is watched through its directory, which must be readable for that: inotify(7)
    needed, mode = [path, os.path.dirname(normal)], os.R_OK
    if stat.S_ISDIR(there.st_mode):
        needed, mode = [path], os.R_OK | os.X_OK
    for one in needed:
        if not os.access(one, mode, effective_ids=True):
            raise _cannot_use(one, errno.EACCES)
    return normal


def absent(path: str, cwd: str) -> str:
    """The absolute path of a PATH that is to be waited for."""
    return _normal(os.path.join(cwd, path))


def _cannot_use(path: str, number: int | None) -> ReloaderdError:
    reason = os.strerror(number or 0).lower()
    mends = {
        errno.ENOENT: "give a PATH that exists, or create it first",
        errno.EACCES: "EACCES: what is watched must be readable",
        errno.ENOTDIR: "something on the way to it is a file",
        errno.ELOOP: "its symlinks lead in a circle",
    }
    mend = mends.get(number or 0, "")
    if number == errno.ENOENT and any(character in path for character in "*?"):
        mend = "a PATH is no pattern: give a directory, and --filter with the pattern"
    return ReloaderdError(f"{path}: {reason}", mend)


def directory(path: str, cwd: str, asked: str = "--chdir") -> str:
    """The absolute and normal path of a directory to go to; `asked` is who asks for it."""
    try:
        there = os.stat(path)
        if not stat.S_ISDIR(there.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(path, os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReloaderdError(f"{asked} {path}: {reason}", "name a directory that one can cd to") from None
    return _absolute(path, cwd, there)


def _absolute(path: str, cwd: str, there: os.stat_result) -> str:
    """The path made absolute and normal by its letters alone; `there` is what it leads to.

    Only where a `..` climbs out of a symlink, and so elsewhere than its letters say, does the
    real path of that part take its place.
    """
    normal = _normal(os.path.join(cwd, path))
    if ".." in path.split("/") and not _leads_to(normal, there):
        up = path.rindex("..") + 2
        normal = _normal(os.path.realpath(path[:up]) + path[up:])
    return normal


def _normal(path: str) -> str:
    # two slashes in front may mean something else to POSIX, and mean nothing to Linux
    return "/" + os.path.normpath(path).lstrip("/")


def _leads_to(path: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), there)
    except OSError:
        return False
