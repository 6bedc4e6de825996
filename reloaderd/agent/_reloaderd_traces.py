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
from posix import _exit, close, dup, dup2, fork, getpid, listdir, readlink, stat, umask, waitpid
from posix import open as posix_open
from time import monotonic, time

from _reloaderd_order import content, names_of  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TERMINALS = ("/dev/pts/", "/dev/tty", "/dev/console", "/dev/null")
_ONE_THREAD = 3

SET_ANEW = {"logging": "_startTime"}
"""Times that are set anew in each run."""


class Traces:
    """What there was before, and what there is now."""

    def __init__(self, ahead: "Any", channel: int) -> None:
        self.ahead = ahead
        self.channel = channel
        self.began = time(), monotonic()

    def begin(self) -> None:
        """Take what there is now for what there should be."""
        self.settle()
        self.before = self.state()

    def settle(self) -> None:
        self.tasks = stat("/proc/self/task").st_nlink
        self.lowest = self.lowest_free()
        self.path = list(sys.path)
        self.seen = len(sys.modules)

    def lowest_free(self) -> int:
        number = dup(self.channel)
        close(number)
        return number

    def check(self) -> None:
        """What is quick to see: before each module, and after the last."""
        blame = self.ahead.blame
        if stat("/proc/self/task").st_nlink != self.tasks:
            self.ahead.threaded += self.suspects()
            if len(sys._current_frames()) > 1:
                blame(self.suspects(), "it starts a thread")
        elif self.lowest_free() != self.lowest:
            blame(self.suspects(), "it keeps a file or a socket open")
        elif sys.path != self.path:
            blame(self.suspects(), "it changes sys.path")
        elif len(sys.modules) == self.seen:
            return
        self.settle()

    def suspects(self) -> "list[str]":
        """The modules that were begun since all was as it should be, and those that import them."""
        return [*dict.fromkeys(self.ahead.importing() + list(sys.modules)[self.seen - 1 :])]

    def compare(self, names: "list[str]") -> None:
        """What takes longer: after each import that was asked for."""
        self.ahead.looking = True
        after = self.state()
        for reason, now in after.items():
            if now != self.before[reason]:
                self.ahead.blame(names, reason)
        self.before = after
        self.ahead.looking = False

    def state(self) -> "dict[str, Any]":
        """What a module may change of the process, beside what `check` looks at."""
        descriptors = {}
        for name in listdir("/proc/self/fd"):
            try:
                descriptors[name] = readlink("/proc/self/fd/" + name)
            except OSError:  # that of the listing itself
                pass
        mask = umask(0)
        umask(mask)
        return {
            "it keeps a file or a socket open": descriptors,
            "it handles signals": [_signal.getsignal(number) for number in range(1, _signal.NSIG)],
            "it changes the umask": mask,
            "it changes how modules are found": (list(sys.path_hooks), sys.meta_path[:1]),
            "it replaces what the interpreter calls": (
                *(sys.excepthook, sys.displayhook, sys.breakpointhook, sys.unraisablehook),
                *(sys.stdin, sys.stdout, sys.stderr, sys.gettrace(), sys.getprofile(), __import__),
            ),
            "it changes a limit of the interpreter": (sys.getrecursionlimit(), sys.getswitchinterval()),
            "it starts a process": content(f"/proc/self/task/{getpid()}/children"),
        }

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
            ahead.blame(ahead.threaded, "it starts threads")
        for name in [name for name in ahead.plan.modules if name in sys.modules]:
            for key, value in list(names_of(sys.modules[name]).items()):
                if type(value) is int and value == ahead.process:
                    ahead.blame([name], f"{key} is the number of the process")
                elif type(value) is float and SET_ANEW.get(name) != key and self.is_now(value):
                    ahead.blame([name], f"{key} is the time of its import")

    def is_now(self, value: float) -> bool:
        """Whether it is a time since the imports began, by either clock."""
        return self.began[0] <= value <= time() or self.began[1] <= value <= monotonic()

    def threads_end_with_a_fork(self) -> bool:
        """Whether those who made the threads end them before a fork, and so start them anew after one."""
        self.ahead.looking = True
        child = fork()
        if not child:
            _exit(0)
        waitpid(child, 0)
        self.ahead.looking = False
        return stat("/proc/self/task").st_nlink <= _ONE_THREAD
