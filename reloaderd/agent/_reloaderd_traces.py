"""Sees what libraries leave behind in a process, beside their modules, when they are imported.

Facts
- /proc/self/task has as many links as there are threads, and two more (proc(5)).  dup(2) gives the lowest
  free number: another one than before if a descriptor was opened and kept.
- A text file takes another `write` as an attribute of its own, which hides that of its type.
- Who asks whether an output is a terminal must get the same answer: only those that are none are replaced.
- OpenBLAS ends its threads before a fork (pthread_atfork(3)) and starts them anew when it needs them.  So a
  fork tells whether threads are of that kind.
- CPython from 3.12 on warns of a fork with threads, which it counts after the fork in the parent.
"""

import _signal  # type: ignore[import-not-found]
import sys
from posix import _exit, close, dup, dup2, fork, getpid, readlink, stat, umask, waitpid
from posix import open as posix_open
from time import monotonic, time

from _reloaderd_descriptors import look  # type: ignore[import-not-found]
from _reloaderd_order import content, names_of  # type: ignore[import-not-found]
from _reloaderd_values import is_now, values  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TERMINALS = ("/dev/pts/", "/dev/tty", "/dev/console", "/dev/null")
ONE_THREAD = 3
"""Links of /proc/self/task: it, the directory above, and that of the thread."""

_THREADS = "it starts a thread"
_SIGNALS = range(1, _signal.NSIG)
GENERATORS = ("random", "numpy.random")
"""Modules with a generator that all share."""

TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
_DRAWS = "it seeds, or takes from, the random numbers that all share"

SET_ANEW = {"logging": "_startTime", "numpy.f2py.rules": "generationtime"}
"""Times that are set anew in each run."""

_LOOKS_AGAIN = "_name_sequence._rng_pid"
"""Of tempfile, which compares it with the number of the process before it uses what belongs to it."""


class Traces:
    """What there was before, and what there is now."""

    def __init__(self, ahead: "Any", channel: int) -> None:
        self.ahead = ahead
        self.channel = channel
        self.began = time(), monotonic()
        self.doubts: list[tuple[str, str, Any, str]] = []  # what may be of this process, or so by chance
        self.drawn: dict[str, Any] = {}  # the state of each generator that all share

    def begin(self) -> None:
        """Take what there is now for what there should be."""
        self.forgive = self.blamed = False
        self.quick = self.look()
        self.slow = self.look_closer()

    def check(self) -> None:
        """Blame the modules whose code is running for what has changed: asked before it runs, and after."""
        for generator, state in self.drawn.items():
            if state_of(generator) != state:
                self.loaded(generator)
                self.ahead.blame(self.ahead.stack, _DRAWS)
        now, before = self.look(), self.quick
        if now == before:
            return
        self.quick = now
        self.blamed = True
        forgive, self.forgive = self.forgive, False  # the module has been blamed for what brought this about
        for reason, value in now.items():
            if value == before[reason] or forgive:
                continue
            if reason is _THREADS and len(sys._current_frames()) == 1:
                self.ahead.threaded += self.ahead.stack
            else:
                self.ahead.blame(self.ahead.stack, reason)

    def compare(self, name: str) -> None:
        """The same for what takes longer to see, after the import of a module that was asked for."""
        now, before = self.look_closer(), self.slow
        blamed, self.blamed = self.blamed, False
        self.slow = now
        if blamed:
            return
        for reason, value in now.items():
            if value != before[reason]:
                self.ahead.blame([*self.ahead.asked, name], reason)

    def loaded(self, name: str) -> None:
        """A module was imported: it may have a generator."""
        if name in GENERATORS:
            self.drawn[name] = state_of(name)

    def look(self) -> "dict[str, Any]":
        """What a module may change, if that is quick to see."""
        number = dup(self.channel)
        close(number)
        mask = umask(0)
        umask(mask)
        return {
            _THREADS: stat("/proc/self/task").st_nlink,
            "it keeps a file or a socket open": number,
            "it changes sys.path": sys.path[:],
            "it handles signals": [_signal.getsignal(number) for number in _SIGNALS],
            "it changes the umask": mask,
            "it changes how modules are found": (sys.path_hooks[:], sys.meta_path[:1]),
            "it replaces what the interpreter calls": (
                *(sys.excepthook, sys.displayhook, sys.breakpointhook, sys.unraisablehook),
                *(sys.stdin, sys.stdout, sys.stderr, sys.gettrace(), sys.getprofile(), _imports()),
            ),
            "it shares memory with other processes": _semaphores(),
            "it sets a timer": [_signal.getitimer(which)[0] > 0 for which in TIMERS],
            "it changes a limit of the interpreter": (sys.getrecursionlimit(), sys.getswitchinterval()),
        }

    def look_closer(self) -> "dict[str, Any]":
        """What is in /proc."""
        self.ahead.looking = True
        descriptors = look()
        children = content(f"/proc/self/task/{getpid()}/children")
        self.ahead.looking = False
        return {"it keeps a file or a socket open": descriptors, "it starts a process": children}

    # Output and input

    def hold_output(self) -> None:
        """Have what is printed blame who prints it, and nobody read what is typed."""
        streams = [one for one in (sys.stdout, sys.stderr) if one is not None]
        self.writers: list[Any] = [*streams, *[one.buffer for one in streams]]
        for writer in self.writers:
            writer.write = self.printed
        self.kept = []
        for number, mode in ((0, 0), (1, 1), (2, 1)):
            try:
                target = readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if not target.startswith(_TERMINALS):
                self.kept.append((number, dup(number)))
                null = posix_open("/dev/null", mode)
                dup2(null, number)
                close(null)

    def release_output(self) -> None:
        """Have all as it was."""
        for number, kept in self.kept:
            dup2(kept, number)
            close(kept)
        for writer in self.writers:
            writer.__dict__.pop("write", None)

    def printed(self, data: "Any") -> int:
        """Something writes to standard output or standard error."""
        self.ahead.notice("it prints something")
        return len(data)

    # When all is imported

    def conclude(self) -> None:
        """What is seen only when all is done."""
        ahead = self.ahead
        if ahead.threaded and not ahead.blamed and not self.threads_end_with_a_fork():
            ahead.blame(ahead.threaded, _THREADS)
        own = ahead.process, str(ahead.process)
        for name in [name for name in ahead.plan.modules if name in sys.modules]:
            for key, value in values(name):
                if name in ahead.blamed:
                    break
                if value in own and ("." not in key or "pid" in key.lower()) and key != _LOOKS_AGAIN:
                    self.doubts.append((name, key, value, "the number of the process"))
                elif SET_ANEW.get(name) != key and is_now(value, self.began):
                    self.doubts.append((name, key, value, "the time of its import"))

    def settle(self, witness: "Any") -> None:
        """Blame the modules that do remember something of this process: `witness` knows what another has."""
        places = [(name, key) for name, key, _, _ in self.doubts]
        whole = any(type(value) is int and is_now(value, self.began) for _, _, value, _ in self.doubts)
        known = witness.ask(places, whole) if places else []
        for at, (name, key, value, what) in enumerate(self.doubts):
            if value != known[at]:
                self.ahead.blame([name], f"{key} is {what}")
        self.doubts.clear()

    def threads_end_with_a_fork(self) -> bool:
        """Whether those who made the threads end them before a fork, and so start them anew after one."""
        self.ahead.looking = True
        child = fork()
        if not child:
            _exit(0)
        waitpid(child, 0)
        self.ahead.looking = False
        return stat("/proc/self/task").st_nlink <= ONE_THREAD


def _imports() -> "Any":
    return sys.modules["builtins"].__import__


def _semaphores() -> int:
    """How many there are of multiprocessing's, each in memory that a copy would have in common."""
    found = 0
    for name in ("multiprocessing.util", "billiard.util"):
        registered = names_of(sys.modules.get(name)).get("_afterfork_registry", {})
        found += sum(hasattr(one, "_semlock") for one in list(registered.values()))
    return found


def state_of(name: str) -> "Any":
    """What the generator of a module is going to give next."""
    module = names_of(sys.modules[name])
    if name == "random":
        return module["getstate"]()
    state = module["get_state"](legacy=False)
    return state["state"]["pos"], state["state"]["key"].tobytes(), state["has_gauss"], state["gauss"]
