"""What is to be imported ahead of a run, and whether that which was is still what a run would import.

The plan is what the runs told (_reloaderd_order), with a line `!name<TAB>why` for what was left to them,
and a line `?` where it takes a witness to say whether something has to be.
"""

import sys
from os import fsdecode
from posix import listdir, stat

from _reloaderd_order import NATIVE, content, directory_of, is_native  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOTHING = 0, 0, 0
_ENDINGS = (".py", ".pyc", ".so")


class Plan:
    """The lines of a file, by what they say."""

    def __init__(self, path: str) -> None:
        data = content(path)
        self.path = path
        self.size = len(data)
        self.modules: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.own: dict[str, str] = {}  # with their files
        self.directories: set[str] = set()
        self.variables: set[str] = set()
        self.doubted = False
        native = False
        for line in fsdecode(data).split("\n"):
            kind, (name, _, rest) = line[:1], line[1:].partition("\t")
            if kind == "+":
                self.modules[name] = rest
                if native and is_native(rest):
                    self.left.setdefault(name, "the program sets a variable before that it may look at")
            elif kind == "!":
                self.left.setdefault(name, rest)
            elif kind == "-":
                self.own[name] = rest
            elif kind == "~":
                self.modules.pop(name, None)
            elif kind == ">":
                self.directories.add(name)
            elif kind == "=":
                self.variables.add(name)
                native = native or name.startswith(NATIVE)
            elif kind == "?":
                self.doubted = True

    def holds(self, name: str) -> bool:
        """Whether the program would find a module of that name among what is no library."""
        return any(entry.partition(".")[0] == name for place in self.directories for entry in entries(place))

    def has_distributions(self) -> bool:
        """Whether something is installed where the program looks, and is no library."""
        endings = (".egg-info", ".dist-info")
        return any(entry.endswith(endings) for place in self.directories for entry in entries(place))


def stamp(path: str) -> "tuple[int, int, int]":
    """What tells one state of a file or directory from another: its inode, size and ctime.

    Whatever is done to it sets the ctime, and nobody can set it back.  Of a link it is where that leads.
    """
    try:
        state = stat(path)
    except OSError:
        return NOTHING
    return state.st_ino, state.st_size, state.st_ctime_ns


def first_changed(stamps: "list[tuple[str, int, int, int]]") -> str:
    """The first of these files that is not as it was, each with its stamp; empty where all are."""
    for path, inode, size, changed in stamps:
        try:  # as `stamp` does, a thousand times at each start
            now = stat(path)
        except OSError:
            if inode:
                return f"{path} is gone"
            continue
        if now.st_ctime_ns != changed or now.st_ino != inode or now.st_size != size:
            return f"{path} has changed"
    return ""


class Stamps:
    """How everything looked that was imported ahead, and what else would be found in its stead.

    The directories of sys.path are among it: whatever is installed or removed changes one of them.
    """

    def __init__(self, plan: Plan, places: "Any") -> None:
        """Before anything is imported: a file that changes meanwhile is one that has changed."""
        paths = [sys.executable, sys.prefix + "/pyvenv.cfg"]
        for place in [directory_of(place) for place in sys.path if type(place) is str]:
            if places.directory(place)[1]:
                paths += [place, *[f"{place}/{name}" for name in entries(place) if name[-4:] == ".pth"]]
        self.stamps = [(path, *stamp(path)) for path in paths]
        self.names: set[str] = set()
        self.plan = plan
        self.alone = False  # it was looked for distributions, and there were none but in libraries
        self.directories = sorted(plan.directories)
        self.hiding: list[str] = []

    def add(self, path: str) -> None:
        """A file is about to be imported."""
        self.stamps.append((path, *stamp(path)))

    def settle(self, files: "dict[str, str]", missing: "set[str]") -> None:
        """These modules were imported, by name, and these looked for in vain."""
        self.names = {name.partition(".")[0] for name in files} | missing
        self.hiding = self.hidden_by()

    def changed(self) -> str:
        """The first that is not as it was; empty where all is."""
        if why := first_changed(self.stamps):
            return why
        if self.alone and self.plan.has_distributions():
            return "the project is a distribution by now"
        for path in self.hidden_by():
            if path not in self.hiding:
                return f"{path} takes the place of a library"
        return ""

    def hidden_by(self) -> "list[str]":
        """What has the name of something that was imported or looked for, where the program looks first."""
        found = []
        for place in self.directories:
            for entry in entries(place):
                name, dot, _ = entry.partition(".")
                if name not in self.names:
                    continue
                if entry.endswith(_ENDINGS) or (not dot and "__init__.py" in entries(f"{place}/{entry}")):
                    found.append(f"{place}/{entry}")
        return found


def entries(place: str) -> "list[str]":
    """What is in a directory; nothing where that cannot be read."""
    try:
        return listdir(place)
    except OSError:
        return []
