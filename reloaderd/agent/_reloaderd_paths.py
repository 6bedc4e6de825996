"""Knows of each directory where it really is, whether it holds libraries, and whether it is below a root.

Rules
- A library is what is really below the standard library's directory or below one that is named site-packages
  or dist-packages.  A checkout that such a directory has a link to is none.
- A root that the person gave inside of a library is none either.
- A directory is asked for by lstat(2) once, and has the rest from the one that it is in.
"""

from os import fsdecode, fspath
from os.path import normpath, realpath
from posix import getcwd, lstat
from posix import stat_result as Stat

from _reloaderd_post import quote  # type: ignore[import-not-found]

DIRECTORIES = 20000
"""After so many, what is known of directories is forgotten: a program may walk a whole disk."""

CHANGED = "0, 0, 0, 0, 0"
"""The numbers of a file that was changed while it was being loaded: those of no file."""

_S_IFMT, _S_IFDIR, _S_IFREG, _S_IFLNK = 0o170000, 0o040000, 0o100000, 0o120000
_NOTHING = '""'
_NO_PATH = "\0"
_LIBRARY_NAMES = ("site-packages", "dist-packages")


class Places:
    """Paths here are absolute and normalised, directories without a slash at their end."""

    def __init__(self, roots: "list[str]", standard: str) -> None:
        given = [root.rstrip("/") for root in roots]
        self.roots = frozenset(given + [realpath(root) for root in given if root])
        self.standard = realpath(standard)
        self.top = {"": ("", False, "" in self.roots)}
        self.directories = dict(self.top)
        # As the program named them, compiled ones too: what is in one of them costs next to nothing.
        self.libraries: set[str] = set()

    def look(self, path: str) -> "tuple[str, Stat] | None":
        """The real path and the stat of a regular file; None for whatever else."""
        directory, _, name = path.rpartition("/")
        real = self.directory(directory)[0] + "/" + name
        try:
            state = lstat(real)
            if state.st_mode & _S_IFMT == _S_IFLNK:
                real = realpath(real)
                state = lstat(real)
        except (OSError, ValueError):
            return None
        return (real, state) if state.st_mode & _S_IFMT == _S_IFREG else None

    def end(self, real: str) -> str:
        """Where a link leads that has no link above itself; whatever else leads to itself."""
        try:
            if lstat(real).st_mode & _S_IFMT == _S_IFLNK:
                return realpath(real)
        except (OSError, ValueError):  # not there; a NUL, in what was not the name of a file
            pass
        return real

    def directory(self, path: str) -> "tuple[str, bool, bool]":
        """Its real path; whether it is a library; whether it is a root or below one."""
        known = self.directories
        entry = known.get(path)
        if entry is not None:
            return entry
        if len(known) > DIRECTORIES:
            # A new one, since another thread may be at work with that of before.
            known = self.directories = dict(self.top)
            self.libraries.clear()
        ways = [path]
        while True:
            entry = known.get(ways[-1].rpartition("/")[0])
            if entry is not None:
                break
            ways.append(ways[-1].rpartition("/")[0])
        for way in reversed(ways):
            entry = known[way] = self._below(entry, way)
        return entry

    def _below(self, parent: "tuple[str, bool, bool]", path: str) -> "tuple[str, bool, bool]":
        real, library, rooted = parent
        name = path.rpartition("/")[2]
        real = real + "/" + name
        end = self.end(real)
        if end != real:
            real, library, below = self.directory(end.rstrip("/"))
            return real, library and path not in self.roots, rooted or below or path in self.roots
        if path in self.roots or real in self.roots:
            return real, False, True
        return real, library or name in _LIBRARY_NAMES or real == self.standard, rooted


def of_lines(told: str) -> "list[str]":
    """What kernel.frames.in_lines made one text of."""
    return [part.replace("%0A", "\n").replace("%25", "%") for part in told.split("\n")]


def text(path: object) -> "str | None":
    """A path as text; None for a descriptor."""
    if isinstance(path, int):
        return None
    try:
        return str.__str__(fsdecode(fspath(path)))  # type: ignore[call-overload]
    except TypeError:
        return None


def absolute(path: str) -> str:
    """A path as it is, from / on, without `.`, `..`, `//`."""
    if path[:1] != "/":
        try:
            path = getcwd() + "/" + path
        except OSError:  # it was deleted
            return _NO_PATH
    if "/." in path or "//" in path or path[-1:] == "/":
        plain = "/" + normpath(path).lstrip("/")
        if "/../" in path and realpath(plain) != realpath(path):
            return realpath(path)
        return plain
    return path


def is_absent(path: str) -> bool:
    """Whether nothing is there, as opposed to something that may not be looked at."""
    try:
        lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass
    return False


def may_hold(real: str, place: str) -> bool:
    """Whether modules may be found there, now or later: not in an archive, nor in what is no path at all."""
    try:
        return lstat(real).st_mode & _S_IFMT == _S_IFDIR
    except (OSError, ValueError):
        return place[:1] == "/" and place[-4:] != ".zip"


def numbers(state: Stat) -> str:
    """What tells one state of a file from another, as JSON without its brackets."""
    return f"{state.st_dev}, {state.st_ino}, {state.st_size}, {state.st_mtime_ns}, {state.st_ctime_ns}"


def entry(path: str, real: str, figures: str) -> str:
    """A file as JSON; its real path is left out where it is the same."""
    return f"[{quote(path)}, {quote(real) if real != path else _NOTHING}, {figures}]"
