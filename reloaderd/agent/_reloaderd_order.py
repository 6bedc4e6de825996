"""Tells the keeper in which order a process imports libraries, and what it makes of its environment.

    +name<TAB>where it is from   a library
    ~name                        one of these whose import failed
    -name<TAB>where it is from   any other module, or what has the name of one
    >directory                   of sys.path, and none of libraries
    =name                        a variable that the program sets or removes

Facts
- importlib puts a module into sys.modules before its code runs, and anew, at the end, when that is done.  One
  that is put there under another's name has a __spec__ of its own name.
- A lazy module (importlib.util.LazyLoader) is loaded by a look at any of its attributes, but not by one that
  passes over its own __getattribute__.
"""

import sys
from os import environ, fsdecode, fsencode
from posix import O_APPEND, O_CLOEXEC, O_RDONLY, O_WRONLY, close, getpid, read, write
from posix import open as posix_open
from time import monotonic

from _reloaderd_paths import absolute  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MOST = 20000
"""Lines that one process tells at most: ten times what the largest programs import."""

PACE = 0.01
"""Seconds between two looks at everything: between them only what was imported last is looked for."""

BUILT_IN, NAMESPACE, MADE = "built-in", "namespace", "made"
"""Where a module is from that is from no file."""

NATIVE: "tuple[str, ...]" = (
    *("OMP_", "OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "KMP_", "NUMEXPR_", "VECLIB_", "CUDA_", "NVIDIA_"),
    *("TF_", "TORCH_", "PYTORCH_", "XLA_", "GRPC_", "MALLOC_", "LD_", "LC_", "LANG", "TZ", "GLIBC_", "SSL_"),
)
"""How variables begin that libraries in C read when they are loaded, which nothing tells of."""

_OF_NAMESPACES = ("NoneType", "NamespaceLoader", "_NamespaceLoader")
_NOT_IN_A_LINE = frozenset("\n\t")
_MODULE = type(sys)
_HERE = sys._getframe().f_code.co_filename.rpartition("/")[0] + "/"


def names_of(module: object) -> "dict[str, Any]":
    """What a module holds by name; nothing where it is none."""
    if not issubclass(type(module), _MODULE):
        return {}
    return _MODULE.__getattribute__(module, "__dict__")  # type: ignore[no-any-return]


def where(spec: "Any") -> str:
    """Where a module is from: a file, or one of the words above."""
    loader = spec.loader
    name = loader.__name__ if isinstance(loader, type) else type(loader).__name__
    if name in ("BuiltinImporter", "FrozenImporter"):
        return BUILT_IN
    if spec.has_location and type(spec.origin) is str:
        return spec.origin
    if spec.submodule_search_locations is not None and name in _OF_NAMESPACES:
        return NAMESPACE
    return MADE


def is_native(origin: str) -> bool:
    """Whether it is written in C, and not the standard library's."""
    return origin[-3:] == ".so" and "/lib-dynload/" not in origin


class Order:
    """What was told by this process.

    `seen` has the variables that were looked up for it before, and their values then; with `all`, whatever is
    none of these was seen not to be there.
    """

    def __init__(self, path: str, agent: "Any") -> None:
        self.path = path
        self.places = agent.places
        self.post = agent.post
        self.process = getpid()
        self.modules = set(sys.modules)
        self.libraries: set[str] = set()  # those that were told
        self.directories: set[str] = set()
        self.variables: set[str] = set()
        self.seen: dict[str, str | None] = {}
        self.all = False
        self.held: dict[
            bytes, tuple[bytes | None, str]
        ] = {}  # set by libraries: what it was before, by which
        self.native = False  # libraries in C were loaded before
        self.lines: list[str] = []
        self.looked_in: list[Any] = []  # sys.path at the last look
        self.known = 0  # how many there were at the last look
        self.told = 0.0
        self.room = MOST

    def know(
        self, modules: "Iterable[str]", directories: "Iterable[str]", variables: "Iterable[str]"
    ) -> None:
        """All of this was told before."""
        self.modules.update(modules)
        self.directories.update(directories)
        self.variables.update(variables)

    def tell(self) -> None:
        """Tell what is new."""
        if (len(sys.modules) == self.known and sys.path == self.looked_in) or getpid() != self.process:
            return
        self.look_at_held()
        new = len(sys.modules) - self.known
        self.known = len(sys.modules)
        now = monotonic()
        if now - self.told < PACE and new > 0:
            self.note(self.newest(new))
        else:
            self.told = now
            self.look()
        self.look_at_path()
        if self.lines and self.room > 0:
            lines, self.lines = self.lines, []
            self.room -= len(lines)
            try:
                append(self.path, lines)
            except OSError:  # no descriptor is left; it is another user by now
                self.room = 0

    def set(self, args: "tuple[Any, ...]") -> None:
        """os.putenv(key, value), os.unsetenv(key): the program is about to set or to remove a variable."""
        name = fsdecode(args[0])
        if name in self.variables or getpid() != self.process or not _NOT_IN_A_LINE.isdisjoint(name):
            return
        importing = self.importing()
        if importing:
            self.held.setdefault(args[0], (environ._data.get(args[0]), importing))  # type: ignore[attr-defined]
            return
        value = fsdecode(args[1]) if len(args) > 1 else None
        if self.seen.get(name, None if self.all else value) != value or (
            self.native and name.startswith(NATIVE)
        ):
            self.post.object(f"it sets {name}, which libraries look at that were imported ahead of it")
        self.variables.add(name)
        self.look()
        self.lines.append("=" + name)

    def importing(self) -> str:
        """The library whose import sets a variable by itself; empty where the program does."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(_HERE):
                frame = frame.f_back
                continue
            if path[:1] != "<" and not self.places.directory(path.rpartition("/")[0])[1]:
                break
            if frame.f_code.co_name == "<module>" and path[:1] != "<":
                return str(frame.f_globals.get("__name__"))
            frame = frame.f_back
        return ""

    def look_at_held(self) -> None:
        """What libraries have set for the time of their import is nothing to tell."""
        for key, (before, module) in list(self.held.items()):
            spec = names_of(sys.modules.get(module)).get("__spec__")
            if getattr(spec, "_initializing", False):
                continue
            del self.held[key]
            if environ._data.get(key) != before and fsdecode(key) not in self.variables:  # type: ignore[attr-defined]
                self.variables.add(fsdecode(key))
                self.lines.append("=" + fsdecode(key))

    def newest(self, count: int) -> "list[str]":
        """So many modules that are new, looked for from the end."""
        found: list[str] = []
        for name in reversed(list(sys.modules)):
            if name not in self.modules:
                found.append(name)
                if len(found) == count:
                    break
        return found[::-1]

    def note(self, names: "Iterable[str]") -> None:
        """Put modules on the list."""
        for name in names:
            self.modules.add(name)
            spec = names_of(sys.modules.get(name)).get("__spec__")
            origin = where(spec) if spec is not None and getattr(spec, "name", None) == name else ""
            if _NOT_IN_A_LINE.isdisjoint(name + origin):
                library = origin and self.is_library(spec, origin)
                self.lines.append(f"{'+' if library else '-'}{name}\t{origin}")
                self.libraries.update([name] if library else [])

    def look(self) -> None:
        """Put all modules on the list that are new."""
        self.note([name for name in list(sys.modules) if name not in self.modules])
        for name in [name for name in self.libraries if name not in sys.modules]:
            self.libraries.discard(name)
            self.lines.append("~" + name)

    def look_at_path(self) -> None:
        """Put the directories of sys.path on the list that are new."""
        if sys.path == self.looked_in:
            return
        self.looked_in = sys.path[:]
        for place in self.looked_in:
            path = directory_of(place) if type(place) is str else ""
            if path[:1] == "/" and path not in self.directories and _NOT_IN_A_LINE.isdisjoint(path):
                self.directories.add(path)
                if not self.places.directory(path)[1]:
                    self.lines.append(">" + path)

    def is_library(self, spec: "Any", origin: str) -> bool:
        """Whether a module is of the standard library or of site-packages."""
        if origin == NAMESPACE:
            return all(self.places.directory(directory_of(one))[1] for one in spec.submodule_search_locations)
        if origin[:1] == "/":
            return bool(self.places.directory(origin.rpartition("/")[0])[1])
        return bool(origin)


def append(path: str, lines: "list[str]") -> None:
    """Add lines to a file."""
    number = posix_open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    try:
        write(number, fsencode("".join([line + "\n" for line in lines])))
    finally:
        close(number)


def content(path: str) -> bytes:
    """What a file holds."""
    number = posix_open(path, O_RDONLY | O_CLOEXEC)
    try:
        data = b""
        while True:
            more = read(number, 1 << 16)
            if not more:
                return data
            data += more
    finally:
        close(number)


def directory_of(place: str) -> str:
    """The directory that an item of sys.path stands for."""
    return absolute(place or ".").rstrip("/")  # type: ignore[no-any-return]
