"""Hears from the interpreter which files are loaded, and notes what they were before they are read.

Facts
- sys.addaudithook: the hook is called before the operation is done, and for one that fails as well.  So the
  stat is that of before the read, and a module is known before its code runs, whatever the code does.
- A hook cannot be taken out again; an exception that leaves it makes the operation fail.  It is called with
  tracing and profiling off.  What it calls raises audit events in turn: none that is handled here.
- importlib takes the stat of a source (`path_stats`), then opens the compiled file, which has to agree with
  it; the source itself is opened only where it does not.  So the compiled file stands for its source.
- A compiled file names its source's size and the second in which it was changed: of two saves of the same
  size in one second the later would never be loaded, were the earlier compiled in between.  importlib goes on
  without a compiled file that it could not write, whatever OSError that is.
- "exec" is raised for the code of every module, by whichever loader; "import" has the file of an extension
  module; "cpython.run_file" that of the main script.
- A signal handler may run wherever Python code runs, in a hook too.  What it raises is the program's.
"""

import sys
from os import __file__ as _os_file
from os import environ, fsdecode
from os.path import realpath
from posix import O_DIRECTORY, O_PATH, lstat
from time import time

from _reloaderd_follow import Followers  # type: ignore[import-not-found]
from _reloaderd_paths import CHANGED, Places, absolute, entry, is_absent, may_hold, numbers, of_lines, text  # type: ignore[import-not-found]
from _reloaderd_post import Post, quote  # type: ignore[import-not-found]

_PORTER = "RELOADERD_PORTER"

if _PORTER in environ:  # few ask for it
    from _reloaderd_porter import Sockets  # type: ignore[import-not-found]

if "RELOADERD_WARM" in environ:
    from _reloaderd_warm import join  # type: ignore[import-not-found]
else:
    join = None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

MODULES, DATA, MISSING = 20000, 4096, 4096
"""The most that one process names of each: ten times what the largest programs load."""

YOUNG = 2.0
"""Seconds: a source that was last changed earlier did not change between importlib's look and ours."""

SECOND = 1.1
"""Seconds in which a source may be saved again with the same time in seconds, and what the kernel's clock for
files is behind ours: 10 ms at most, CONFIG_HZ=100."""

_NOT_READ = O_PATH | O_DIRECTORY
_WRITING = frozenset("wax+")
_LOOKED_FOR = "reloaderd.missing"
_STANDARD = _os_file.rpartition("/")[0]

_STACK_ENDS = sys.version_info < (3, 10)
"""Here a program that goes deeper after a RecursionError is aborted: the error has to be passed on."""

_getframe = sys._getframe
_CODE = type(_getframe().f_code)
_FILE = _getframe().f_code.co_filename
_IMPORTERS = frozenset(
    [
        "<frozen importlib._bootstrap>",
        "<frozen importlib._bootstrap_external>",
        "<frozen zipimport>",
        "<frozen runpy>",
        _STANDARD + "/runpy.py",
    ]
)
_OURS = frozenset(
    [
        _FILE,
        Post.send.__code__.co_filename,
        Followers.exec.__code__.co_filename,
        Places.look.__code__.co_filename,
        realpath.__code__.co_filename,
        fsdecode.__code__.co_filename,
    ]
)
_BELOW_GET_CODE = frozenset(["get_data", "_write_atomic", "set_data", "_cache_bytecode"])
_CAUSED = ("socket.", "sys._getframe", "object.__getattr__", "os.exec", "os.putenv")
"""The events that this code raises itself."""


class Agent:
    """What is known of one process.  Paths are absolute and normalised, without a slash at their end."""

    def __init__(self, post: Post, roots: "list[str]") -> None:
        self.post = post
        self.handlers: dict[str, Callable[[tuple[Any, ...]], object]] = {}
        self.modules: set[str] = set()
        self.data: dict[str, tuple[str, str]] = {}  # by real path: the path as it was seen, its stat
        self.own: set[str] = set()
        self.missing: set[str] = set()
        self.absent: set[str] = set()  # real paths of data that was not there to be read
        self.ahead: dict[str, str] = {}  # libraries by name that were imported ahead of the program
        self.full = False
        self.places = Places(roots, _STANDARD)
        self.tag = "." + (sys.implementation.cache_tag or "/")

    def listen(self, followers: Followers) -> None:
        """Make the handlers known to the hook."""
        self.handlers.update(
            {
                "open": self.opened,
                "exec": self.executed,
                "import": self.imported,
                "cpython.run_file": self.run,
                "os.rename": self.renamed,
                _LOOKED_FOR: self.looked_for,
                **followers.handlers(),
            }
        )

    def tell_order(self, order: "Any") -> None:
        """Have the keeper know what is imported when."""

        def both(handler: "Any", also: "Any") -> "Callable[[tuple[Any, ...]], None]":
            def handle(args: "tuple[Any, ...]") -> None:
                if handler is not None:
                    handler(args)
                also(args)

            return handle

        handlers = self.handlers
        for name in ("exec", "import", "open", "socket.bind"):
            handlers[name] = both(handlers.get(name), lambda args: order.tell())
        for name in ("os.putenv", "os.unsetenv"):
            handlers[name] = both(handlers[name], order.set)

    def lacked_module(self, path: str) -> None:
        """Note where a library that was imported ahead would have found what it did not."""
        self._name("missing", path, self.missing, MISSING)

    def stop(self) -> None:
        """Hear nothing any more."""
        self.handlers.clear()
        self.post.pending = []

    def loaded(self) -> None:
        """Note the modules that were loaded before the agent, by .pth files and the like."""
        for name, module in list(sys.modules.items()):
            if name in self.ahead or type(module) is not type(sys):
                continue
            file = module.__dict__.get("__file__")
            loader = module.__dict__.get("__loader__")
            if type(loader).__name__ == "zipimporter":
                file = getattr(loader, "archive", None)
            if type(file) is str and file[:1] == "/":
                path = absolute(file)
                if not self.places.directory(path.rpartition("/")[0])[1]:
                    self._module(path)

    # Handlers: each is called by the hook, which is called by what raised the event.

    def opened(self, args: "tuple[Any, ...]") -> None:
        """open(path, mode, flags)."""
        path, mode, flags = args
        if type(path) is not str:
            path = text(path)
            if path is None:
                return
        named, _, name = path.rpartition("/")
        if named in self.places.libraries:
            if name[-4:] == ".pyc":
                self.post.libraries += 1
            elif path[:1] == "/" and not flags & 3:
                self._lacked(path)
            return
        if flags & _NOT_READ:
            return
        writing = flags & 3 or (mode and not _WRITING.isdisjoint(mode))
        path = absolute(path)
        directory, _, name = path.rpartition("/")
        if name[-4:] == ".pyc":
            source = self._source(directory, name)
            if source is not None:
                if not writing:
                    self._compiled(source, named)
                return
        real, library, rooted = self.places.directory(directory)
        if library:
            if named[:1] == "/":
                self.places.libraries.add(named)
            if name[-4:] == ".pyc":
                self.post.libraries += 1
            elif not writing:
                self._lacked(path)
        elif writing:
            if ".pyc." in name and _is_too_early():
                raise _TooEarly(11, "its source may be saved again within the second", path)
            if rooted or path in self.places.roots:
                self._written(real + "/" + name)
        elif path not in self.modules:
            try:
                caller = _getframe(2).f_code.co_filename
            except ValueError:  # the interpreter itself
                caller = ""
            if caller in _IMPORTERS:
                self._module(path)
            elif rooted or path in self.places.roots:
                self._read(path)

    def executed(self, args: "tuple[Any, ...]") -> None:
        """exec(code)."""
        code = args[0]
        if type(code) is not _CODE or code.co_name != "<module>":
            return
        path = code.co_filename
        directory = path.rpartition("/")[0]
        if directory in self.places.libraries or path in self.modules or path[:1] in ("<", ""):
            return
        if self._load(path) and directory[:1] == "/" and self.places.directory(directory)[1]:
            self.places.libraries.add(directory)

    def imported(self, args: "tuple[Any, ...]") -> None:
        """import(name, filename, …): the file is that of an extension module; mostly there is none."""
        path = args[1]
        if type(path) is not str:
            return
        if path.rpartition("/")[0] in self.places.libraries or not self._load(path):
            self.post.libraries += 1

    def run(self, args: "tuple[Any, ...]") -> None:
        """cpython.run_file(filename)."""
        self._load(args[0])

    def renamed(self, args: "tuple[Any, ...]") -> None:
        """os.rename(src, dst, src_dir_fd, dst_dir_fd)."""
        path = text(args[1])
        if path is None or (path[:1] != "/" and args[3] != -1):
            return
        path = absolute(path)
        directory, _, name = path.rpartition("/")
        if directory[-12:] != "/__pycache__":
            real, library, rooted = self.places.directory(directory)
            if not library and (rooted or path in self.places.roots):
                self._written(real + "/" + name)

    def looked_for(self, args: "tuple[Any, ...]") -> None:
        """find_spec(name, path, target) of the finder that is asked last: nobody found `name`."""
        places = sys.path if len(args) < 2 or args[1] is None else getattr(args[1], "_path", args[1])
        if type(places) is not list:
            return
        last = "/" + args[0].rpartition(".")[2]
        for place in places[:]:
            if type(place) is not str or place in self.places.libraries:
                continue
            path = absolute(place or ".")
            if path + last in self.missing:
                continue
            real, library, _ = self.places.directory(path.rstrip("/"))
            if library:
                if place[:1] == "/":
                    self.places.libraries.add(place)
                continue
            if not may_hold(real, place):
                continue
            if not self._name("missing", path + last, self.missing, MISSING):
                return

    def _load(self, path: str) -> bool:
        """Note a module by the file that it is said to be from.  False: of a library."""
        if path[:1] != "/":
            try:
                lstat(path)  # many a name of code is not one of a file
            except (OSError, ValueError):
                return True
        path = absolute(path)
        if self.places.directory(path.rpartition("/")[0])[1]:
            return False
        self._module(path)
        return True

    def _compiled(self, source: str, named: str) -> None:
        """Note the module whose compiled file in the directory `named` is to be read."""
        if source in self.modules:
            return
        directory = source.rpartition("/")[0]
        if self.places.directory(directory)[1]:
            self.post.libraries += 1
            if named[:1] == "/":
                self.places.libraries.update((named, directory))
            return
        self._module(source, True)

    def _source(self, directory: str, name: str) -> "str | None":
        """The source of the compiled file `name` in `directory`, if its name is one of ours."""
        base, tag, rest = name.partition(self.tag)
        if not tag or rest[:1] not in (".", "-"):
            return None
        if directory[-12:] == "/__pycache__":
            return directory[:-11] + base + ".py"
        prefix = sys.pycache_prefix
        if prefix:
            prefix = absolute(prefix)
            if directory[: len(prefix) + 1] in (prefix, prefix + "/"):
                return directory[len(prefix) :] + "/" + base + ".py"
        return None

    def _module(self, path: str, compiled: bool = False) -> None:
        """Put a module on the list of what is to be sent, once."""
        if path in self.modules:
            return
        found = self.places.look(path)
        if found is None:
            return
        if len(self.modules) >= MODULES:
            self._overflow()
            return
        real, state = found
        known = self.data.get(real)
        figures = numbers(state) if known is None else known[1]
        if compiled and state.st_ctime > time() - YOUNG:
            seen = _of_get_code("st")
            if seen and (seen["mtime"] != state.st_mtime or seen.get("size", state.st_size) != state.st_size):
                figures = CHANGED
        self.post.pending.append(("modules", entry(path, real, figures)))
        self.modules.add(path)

    def _read(self, path: str) -> None:
        found = self.places.look(path)
        if found is None:
            self._lacked(path)
            return
        if found[0] in self.data or found[0] in self.own:
            return
        if len(self.data) >= DATA:
            self._overflow()
            return
        real, state = found
        figures = numbers(state)
        self.post.pending.append(("data", entry(path, real, figures)))
        self.data[real] = path, figures

    def _lacked(self, path: str) -> None:
        """Note data that is not there: a program may remember that for as long as it runs."""
        directory, _, name = path.rpartition("/")
        real = self.places.directory(directory)[0] + "/" + name
        if real in self.absent or real in self.own or not is_absent(real):
            return
        self._name("absent", real, self.absent, MISSING)

    def _written(self, real: str) -> None:
        real = self.places.end(real)
        if real in self.own:
            return
        known = self.data.get(real)  # and if not by this process, then maybe by another of the run
        self._name("own", real, self.own, DATA, known[0] if known is not None else real)

    def _name(self, kind: str, path: str, known: "set[str]", most: int, shown: "str | None" = None) -> bool:
        """Put a path that is not `known` on a list of what is to be sent; False where that is full."""
        if len(known) >= most:
            self._overflow()
            return False
        self.post.pending.append((kind, quote(path if shown is None else shown)))
        known.add(path)
        return True

    def _overflow(self) -> None:
        """Say once that not everything is said."""
        if not self.full:
            self.full = True
            self.post.pending.append(("full", ""))

    def fault(self, error: Exception) -> bool:
        """Whether it is ours, which ends the agent; else it was raised by what the program called in us.

        CPython 3.8 makes a SystemError of what a signal handler raised as a built-in function returned: the
        cause of that is the program's.
        """
        if isinstance(error, SystemError) and error.__cause__ is not None:
            raise error.__cause__
        if not _is_ours(error) or (_STACK_ENDS and isinstance(error, RecursionError)):
            return False
        if not isinstance(error, (MemoryError, RecursionError)):  # the program is at its end, not the agent
            try:
                self._overflow()
                self.post.send()
            except Exception:
                pass
            self.stop()
        return True


class _TooEarly(OSError):
    """Keeps importlib from writing a compiled file."""


def _is_too_early() -> bool:
    """Whether importlib compiles a source that may change and look the same to it afterwards."""
    changed = _of_get_code("source_mtime")
    return type(changed) is int and 0 <= time() - changed < SECOND and not _of_get_code("hash_based")


def _of_get_code(name: str) -> "Any":
    """A local variable of importlib's get_code, if that is what opens a file now."""
    frame: FrameType | None = _getframe()
    while frame is not None and frame.f_code.co_filename == _FILE:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_name in _BELOW_GET_CODE:
        frame = frame.f_back
    if frame is None or frame.f_code.co_name != "get_code" or frame.f_code.co_filename not in _IMPORTERS:
        return None
    return frame.f_locals.get(name)


def _is_ours(error: Exception) -> bool:
    """Whether an exception comes of this code, or of an audit hook that refuses what this code does."""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename not in _OURS:
            given = [trace.tb_frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount + 1]]
            given += [one[0] for one in given if type(one) is tuple and one]
            return any(type(one) is str and one.startswith(_CAUSED) for one in given)
        trace = trace.tb_next
    return True


class _Finder:
    """The last of sys.meta_path.

    Its `find_spec` is sys.audit with a first argument: it returns None, as a finder does that found nothing,
    and the hook hears of it.  So there is no frame that a debugger or a measure of coverage would see.
    """

    find_spec: "Any"


def _hook(agent: Agent) -> "Callable[[str, tuple[Any, ...]], None]":
    """What hears of each event.  As every import and open goes through it, it is as short as can be."""
    get, post = agent.handlers.get, agent.post

    def hook(event: str, args: "tuple[Any, ...]") -> None:
        handler = get(event)
        if handler is not None:
            try:
                if handler(args) is None and post.pending and not post.send():
                    agent.stop()
            except _TooEarly:
                raise
            except Exception as error:
                if not agent.fault(error):
                    raise

    return hook


def begin(directory: str) -> None:
    """Start the agent that is in `directory`, if it was reloaderd that put it there."""
    service, run, told = (
        environ.get("RELOADERD"),
        environ.get("RELOADERD_RUN"),
        environ.get("RELOADERD_AGENT"),
    )
    if service is None or run is None or told is None:
        return
    address, *roots = of_lines(told)
    post = Post(address, service, int(run))
    agent = Agent(post, roots)
    hook = _hook(agent)
    order, hooked = join(agent, hook) if join is not None else (None, False)
    sockets, _, words = environ.get(_PORTER, "").partition("\n")
    if sockets:
        agent.handlers["socket.__new__"] = Sockets(sockets, "keep" in words, "accept" in words).made
        if "alone" in words:  # what it loads is not asked for
            agent.handlers.update(Followers(directory).handlers())
            sys.addaudithook(hook)
            return
    agent.loaded()
    if not post.send():
        return
    agent.listen(Followers(directory))
    if order is not None:
        agent.tell_order(order)
    if not hooked:
        sys.addaudithook(hook)
    finder = _Finder()
    bound: Any = type(agent.stop)
    finder.find_spec = bound(sys.audit, _LOOKED_FOR)
    sys.meta_path.append(finder)
