"""Imports the libraries of a program ahead of it, and finds those that must be left to the program.

Left to it is what cannot be imported here as it would be there, and what leaves more behind than modules: a
thread, a descriptor, a child, a handler, a line of output, a variable, something read of the person's files.
What was imported already cannot be taken back: the process ends, and another one begins without those.

Facts
- importlib asks the loader of a spec for a module, and has it run the module's code (PEP 451).  So a loader
  that stands for another one sees when code begins and ends: whoever imports what cannot be imported is found
  by that, however its code goes on after the ImportError.
- The audit events of what a process does to others and to the outside are in the table of sys.audit.
"""

import sys
from os import environ, fsdecode
from os.path import isdir, lexists
from posix import getcwd, getpid

from _reloaderd_asked import Asked  # type: ignore[import-not-found]
from _reloaderd_order import Order, directory_of, names_of, where  # type: ignore[import-not-found]
from _reloaderd_paths import absolute, text  # type: ignore[import-not-found]
from _reloaderd_plan import Stamps  # type: ignore[import-not-found]
from _reloaderd_traces import Traces  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NEVER = frozenset(["gevent", "eventlet"])
"""What changes the standard library below those that have imported it already."""

ANYBODYS = ("/proc/", "/dev/", "/sys/", "/etc/", "/usr/", "/lib", "/run/", "/var/lib/", "/opt/")
"""Directories whose files are no more the person's than those of libraries."""

_METADATA = ("importlib/metadata/__init__.py", "importlib_metadata/__init__.py")
_getframe = sys._getframe
_HERE = _getframe().f_code.co_filename.rpartition("/")[0] + "/"
_REMOVES = ("os.remove", "os.rmdir")
_CHANGES = (*_REMOVES, "os.mkdir", "os.rename", "os.link", "os.symlink", "os.chmod", "os.chown", "os.utime")
_LISTING = ("<frozen importlib._bootstrap_external>", "<frozen zipimport>")


class Guard:
    """The first of sys.meta_path."""

    def __init__(self, ahead: "Ahead") -> None:
        self.ahead = ahead

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """What the others find, if the program found it there, too."""
        return self.ahead.find(name, path, target)


class Loader:
    """Stands for the loader of a spec until the module's code runs."""

    def __init__(self, ahead: "Ahead", spec: "Any") -> None:
        self.ahead = ahead
        self.spec = spec
        self.loader = spec.loader

    def create_module(self, spec: "Any") -> "Any":
        """As the other one does."""
        return self.loader.create_module(spec)

    def exec_module(self, module: "Any") -> None:
        """The same, and see what it leaves behind."""
        self.spec.loader = self.loader
        if names_of(module).get("__loader__") is self:
            module.__loader__ = self.loader
        with self.ahead.running(self.spec.name):
            self.loader.exec_module(module)
        self.ahead.fresh.loaded(self.spec.name)
        self.ahead.traces.loaded(self.spec.name)


class Running:
    """While the code of a module runs."""

    def __init__(self, ahead: "Ahead", name: str) -> None:
        self.ahead = ahead
        self.name = name

    def __enter__(self) -> None:
        self.ahead.stack.append(self.name)

    def __exit__(self, *_: object) -> None:
        self.ahead.traces.check()
        self.ahead.stack.pop()


class Ahead:
    """One attempt to import what is planned.  `blamed` says of each module why it is to be left."""

    def __init__(
        self, plan: "Any", agent: "Any", channel: int, target: "Iterable[str]", fresh: "Any"
    ) -> None:
        """`channel` is the descriptor to the keeper, `target` what `python -m` is to run."""
        self.plan = plan
        self.stamps = Stamps(plan, agent.places)
        self.fresh = fresh
        self.places = agent.places
        self.is_library = Order(plan.path, agent).is_library
        self.heard = agent.handlers
        persons = {*agent.places.roots, *plan.directories, getcwd()}
        prefixes = (sys.prefix + "/", sys.base_prefix + "/")
        self.persons = tuple(place + "/" for place in persons if place)
        self.installed = tuple(prefix for prefix in prefixes if prefix.startswith(self.persons))
        self.anybodys = (*ANYBODYS, *prefixes)
        self.never = NEVER.union(target)
        self.blamed: dict[str, str] = {}
        self.missing: set[str] = set()
        self.files: dict[str, str] = {}  # of the modules imported here
        self.asked: set[str] = set()
        self.looks = Asked(self)
        self.threaded: list[str] = []
        self.guard = Guard(self)
        self.traces = Traces(self, channel)
        self.process = getpid()
        self.looking = False
        self.setters: dict[bytes, list[str]] = {}  # who changed a variable
        self.stack: list[str] = []  # the modules whose code is running

    def run(self) -> None:
        """Import what is planned, as far as it goes."""
        self.listen()
        self.traces.hold_output()
        sys.meta_path.insert(0, self.guard)
        self.environ = self.looks.begin()
        try:
            self.traces.begin()
            for name in self.plan.modules:
                if name not in sys.modules and not self.is_left(name):
                    self.take(name)
            self.traces.conclude()
        finally:
            self.looks.end()
            sys.meta_path.remove(self.guard)
            self.traces.release_output()
            self.heard.clear()

    def listen(self) -> None:
        """Hear what is done that a run would have to do by itself."""
        said = {
            "os.chdir": "it changes the working directory",
            "socket.connect": "it connects to something",
            "socket.sendto": "it sends something",
            "socket.sendmsg": "it sends something",
            "socket.getaddrinfo": "it asks for an address",
            "socket.gethostbyname": "it asks for an address",
            "subprocess.Popen": "it starts a process",
            "os.posix_spawn": "it starts a process",
            "os.system": "it starts a process",
            "os.fork": "it forks",
            "os.forkpty": "it forks",
            "os.exec": "it executes a program",
            "sys.addaudithook": "it hears of what the interpreter does",
            "signal.pthread_kill": "it sends a signal",
            "os.kill": "it sends a signal",
        }
        for event, reason in said.items():
            self.heard[event] = lambda args, reason=reason: self.notice(reason)
        self.heard.update({"open": self.opened, "os.listdir": self.listed, "os.scandir": self.listed})
        self.heard.update({"os.putenv": self.putenv, "os.unsetenv": self.putenv})
        for event in _CHANGES:
            self.heard[event] = lambda args, event=event: self.changes(event, args)
        self.heard.update({"mmap.__new__": self.mapped, "socket.bind": self.bound})

    def take(self, name: str) -> None:
        """Import one module, and with it what it imports."""
        self.asked.clear()
        try:
            __import__(name)
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            failed = [one for one in self.asked if one not in sys.modules]
            self.blame(failed or [name], f"it cannot be imported ahead: {reason}")
        self.traces.compare(name)
        self.look_at_variables()

    def look_at_variables(self) -> None:
        """Blame those who have changed one and have left it so."""
        for key, names in self.setters.items():
            value = dict.get(environ._data, key)  # type: ignore[attr-defined]
            if value != self.environ.get(key):
                self.blame(names, f"it sets {fsdecode(key)}")
        self.setters.clear()

    def running(self, name: str) -> Running:
        """A module's code begins to run, until the end of a `with`."""
        return Running(self, name)

    def is_left(self, name: str) -> bool:
        """Whether a module, or a package that it is in, is left to the program."""
        parts = name.split(".")
        if parts[0] in self.never or name in self.never:
            return True
        return any(".".join(parts[:end]) in self.plan.left for end in range(1, len(parts) + 1))

    def find(self, name: str, path: "Any", target: "Any") -> "Any":
        """What is imported where, for the guard; raises ImportError for what is left to the program."""
        self.traces.check()
        spec = self.ask_the_others(name, path, target)
        wanted = self.plan.modules.get(name)
        if self.is_left(name) and (spec is not None or wanted is not None or name in self.plan.left):
            reason = "it imports " + name
        elif name in self.plan.own or (wanted is None and "." not in name and self.of_the_person(name)):
            reason = f"it imports {name}, which is no library"
        elif spec is None and wanted is None:
            self.missing.update([] if "." in name else [name])
            return None
        elif spec is None:
            reason = f"it imports {name}, which is not found ahead of the program"
        elif where(spec) != wanted and (wanted is not None or not self.is_library(spec, where(spec))):
            reason = f"{name} is another one ahead of the program"
        else:
            self.asked.add(name)
            if where(spec)[:1] == "/":
                self.files[name] = where(spec)
                self.stamps.add(where(spec))
            if hasattr(spec.loader, "exec_module") and hasattr(spec.loader, "create_module"):
                spec.loader = Loader(self, spec)
            return spec
        self.blame([*self.stack, name], reason)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def ask_the_others(self, name: str, path: "Any", target: "Any") -> "Any":
        for finder in sys.meta_path[:]:
            find_spec = getattr(finder, "find_spec", None)
            if finder is not self.guard and find_spec is not None:
                spec = find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None

    def of_the_person(self, name: str) -> bool:
        self.looking = True
        try:
            return bool(self.plan.holds(name))
        finally:
            self.looking = False

    # Whose fault it is

    def notice(self, reason: str) -> None:
        """What is being imported does something that a run has to do by itself."""
        if not self.looking and getpid() == self.process:
            self.blame(self.stack, reason)
            self.traces.forgive = True

    def blame(self, names: "Iterable[str]", reason: str) -> None:
        """Leave these modules to the program, as far as they are not: a reason once given stays."""
        for name in names:
            if name in self.plan.modules and not self.is_left(name):
                self.blamed.setdefault(name, reason)

    # What the interpreter tells of

    def opened(self, args: "tuple[Any, ...]") -> None:
        """open(path, mode, flags)."""
        path = text(args[0])
        if path is None or ".pyc" in path or self.looking:
            return
        writing = args[2] & 3
        path = absolute(path)
        if path.startswith(("/dev/", _HERE)) or (not writing and self.is_anybodys(path)):
            return  # ours: whoever looks at the source of what has called it
        if writing or not self.places.directory(path.rpartition("/")[0])[1]:
            self.notice(f"it {'writes' if writing else 'reads'} {path}")

    def listed(self, args: "tuple[Any, ...]") -> None:
        """os.listdir(path), os.scandir(path)."""
        caller = _getframe(2).f_code.co_filename
        if caller in _LISTING or self.looking:
            return
        if caller.endswith(_METADATA):
            self.looking = True
            found = self.plan.has_distributions()
            self.looking = False
            self.stamps.alone = True
            if found:
                self.notice("it looks for distributions, and the project is one")
            return
        path = text(args[0] if args[0] is not None else ".")
        if path is None:
            return
        path = directory_of(path)
        if not self.is_anybodys(path) and not self.places.directory(path)[1]:
            self.notice(f"it lists {path}")

    def changes(self, event: str, args: "tuple[Any, ...]") -> None:
        """What is done to a file by its name; importlib does that with what it compiles."""
        path = text(args[0])
        if path is None or "__pycache__" in path or ".pyc" in path:
            return
        if (event == "os.mkdir" and isdir(path)) or (event in _REMOVES and not lexists(path)):
            return  # nothing comes of it
        self.notice(f"it changes {absolute(path)}")

    def mapped(self, args: "tuple[Any, ...]") -> None:
        """mmap(fileno, length, access, offset): of a file, the descriptor is seen."""
        if args[0] == -1:
            self.notice("it shares memory with other processes")

    def bound(self, args: "tuple[Any, ...]") -> None:
        """socket.bind(socket, address): to any port is only to see whether there are such addresses."""
        if type(args[1]) is not tuple or args[1][1:2] != (0,):
            self.notice("it binds a socket")

    def is_anybodys(self, path: str) -> bool:
        """Whether a file is no more the person's than that of a library."""
        if path.startswith(self.persons):
            return path.startswith(self.installed)
        return path.startswith(self.anybodys)

    def putenv(self, args: "tuple[Any, ...]") -> None:
        """os.putenv(key, value), os.unsetenv(key)."""
        self.setters[args[0]] = self.stack[:]
