"""Has a run leave a paused copy of itself behind, just before it imports a module that is often edited.

    copy -> keeper   b"checkpoint NUMBER PID BEFORE", over a connection of its own; then b"paused", or
                     b"aside WHY".  The rest is that of any paused process: _reloaderd_pause

The rule: a run goes on from a copy only if nothing that has changed was read before the copy was made.  Who
decides is reloaderd, which is told of the copy in the same row as of what is read; the copy itself looks once
more at all that it has read when it is to go on.

Facts
- importlib asks the finders of sys.meta_path for a module before it looks at any file of it, with the locks
  of those that are being imported taken by this thread, which is the thread of the copy.
- A fork in the course of an import is provided for (PyImport_ReInitLock); timers are not copied (fork(2)),
  and neither are signals that wait.
- The end of a child raises SIGCHLD, which a program may handle.  A signal that is blocked stays until it is
  taken by sigtimedwait(2).  The run has no other children here.
"""

import _signal  # type: ignore[import-not-found]
import sys
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socket
from os import environ, fsdecode, fsencode
from posix import _exit, close, fork, getpid, getppid, pipe, read, sched_yield, setpgid, stat, waitpid
from time import clock_gettime_ns, monotonic, time

from _reloaderd_descriptors import Descriptors, Loop  # type: ignore[import-not-found]
from _reloaderd_order import Order, content, names_of, where  # type: ignore[import-not-found]
from _reloaderd_pause import Pause, resume  # type: ignore[import-not-found]
from _reloaderd_plan import Plan  # type: ignore[import-not-found]
from _reloaderd_post import quote  # type: ignore[import-not-found]
from _reloaderd_seen import Seen  # type: ignore[import-not-found]
from _reloaderd_traces import GENERATORS, ONE_THREAD, TIMERS, state_of  # type: ignore[import-not-found]
from _reloaderd_values import dates, is_now  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ASKED_FOR = "reloaderd.import"
"""The event by which the first of sys.meta_path has the hook know what is about to be imported."""

FILE_CLOCK = 5
"""CLOCK_REALTIME_COARSE (clock_gettime(2)): that by which files get their times."""

_DRAWN = frozenset(["Random", "Generator", "RandomState", "UUID"])
"""Types of what gives or is a random number, which two runs are not to have in common.

One that was begun with a number of the program's own cannot be told from the others.
"""

_SIGNALS = tuple(_signal.valid_signals())


class Checkpoints:
    """What one run has to do with the copies of it.  `number` is that of the last which it has left."""

    def __init__(
        self, address: str, agent: "Any", plan: Plan, order: Order, ahead: "Any", fresh: "Any"
    ) -> None:
        """In the zygote.  The keeper listens at `address`; `ahead` is what was imported here."""
        self.address = address
        self.agent = agent
        self.order = order
        self.ahead = ahead
        self.fresh = fresh
        self.number = 0
        self.name = self.before = ""  # what is being looked for, and its file
        self.finder: Any = None
        self.names: dict[str, str] = {}  # modules to stop before, with their files
        self.modules: dict[str, str] = {}  # by their files
        self.told = plan.size  # bytes of the order that are known
        self.know(plan.own)
        self.agent.post.log = []

    def begin(self, edited: "Iterable[str]") -> None:
        """In a run: leave a copy before each of these files is imported."""
        self.descriptors = Descriptors()
        self.agent.handlers[ASKED_FOR] = self.asked
        self.set_out(edited)

    def set_out(self, edited: "Iterable[str]") -> None:
        """A run sets out from here."""
        self.began = clock_gettime_ns(FILE_CLOCK)
        self.since = time(), monotonic()
        self.random = _drawn()
        self.expect(edited)

    def know(self, own: "dict[str, str]") -> None:
        """These modules are the program's own, with their files."""
        self.modules.update({self.agent.places.end(file): name for name, file in own.items()})

    def learn(self) -> None:
        """Know those, too, that runs have imported since the zygote began."""
        try:
            told = content(self.order.path)
        except OSError:  # no descriptor is left; it is another user by now
            return
        lines = fsdecode(told[self.told :]).split("\n")
        self.told = len(told)
        self.know(dict(line[1:].split("\t", 1) for line in lines if line[:1] == "-" and "\t" in line))

    def expect(self, edited: "Iterable[str]") -> None:
        """Stop before these from now on."""
        self.names = {}
        if any(self.agent.places.end(path) not in self.modules for path in edited):
            self.learn()
        for path in edited:
            name = self.modules.get(self.agent.places.end(path))
            if name is not None and name != self.name and name not in sys.modules:
                self.names[name] = path
        if self.names and self.finder is None:
            self.finder = _Finder()
            bound: Any = type(self.begin)
            self.finder.find_spec = bound(sys.audit, ASKED_FOR)
            sys.meta_path.insert(0, self.finder)

    def asked(self, args: "tuple[Any, ...]") -> None:
        """A module is about to be looked for: (name, …)."""
        self.name = args[0]
        path = self.names.pop(self.name, None) if type(self.name) is str else None
        if path is None or getpid() != self.order.process:
            return
        try:
            loop = Loop()
            why = self.trouble(loop.loop)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        number = 0 if why else self.number + 1
        self.agent.post.pending.append(("checkpoint", f"[{number}, {quote(path)}, {quote(why)}]"))
        if not why:
            self.number, self.before = number, path
            self.agent.post.send()  # before the keeper has anything to tell of it
            self.leave(loop)

    def trouble(self, loop: "Any") -> str:
        """Why there cannot be a copy here; empty where there can."""
        if stat("/proc/self/task").st_nlink != ONE_THREAD:
            return "it has threads"
        if content(f"/proc/self/task/{getpid()}/children"):
            return "it has processes of its own"
        if any(_signal.getitimer(which)[0] for which in TIMERS):
            return "it has set a timer"
        if _signal.sigpending():
            return "a signal waits to be handled"
        if sys.gettrace() is not None or sys.getprofile() is not None:
            return "something traces it"
        if _drawn() != self.random:
            return "it has drawn random numbers, or seeded them"
        return str(self.descriptors.trouble(loop))

    def leave(self, loop: Loop) -> None:
        """Fork the copy; returns in the run at once, and in each run that goes on from here."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # none, closed, or nobody reads it
                pass
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)
        try:
            run = getpid()
            middle = fork()
            if not middle:
                self.stand_apart(run, loop)
                return
            try:
                waitpid(middle, 0)
            except ChildProcessError:  # SIGCHLD is ignored
                pass
            _signal.sigtimedwait([_signal.SIGCHLD], 0)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)

    def stand_apart(self, run: int, loop: Loop) -> None:
        """In a child: end once the keeper knows its own child, which waits; returns where that goes on."""
        post = self.agent.post
        post.held = True
        try:
            line = self.be_orphan()
            self.descriptors.part()
            seen = Seen(self.agent, self.ahead, self.began)
            self.fresh.remember()
            why = seen.trouble or _shares_memory() or self.remembers(run)
            line.send(b"aside " + why.encode("utf-8", "surrogateescape")[:4000] if why else b"paused")
            if why:
                _exit(0)
            post.pending[:0], post.log = post.log, []
            post.libraries, post.told = post.libraries + post.told, 0
        except BaseException:
            _exit(1)
        edited = resume(*Pause(line).wait(), lambda: seen.changed() or self.descriptors.changed())
        loop.restore()
        self.go_on(edited)

    def be_orphan(self) -> socket:
        """In a child: have one's own child be the keeper's, which gets its line."""
        middle, (told, tell) = getpid(), pipe()
        if fork():
            close(tell)
            read(told, 1)
            _exit(0)
        close(told)
        line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
        line.setblocking(False)  # with many that wait to be taken in, there is one less
        line.connect(b"\0" + self.address.encode())
        line.setblocking(True)
        line.send(b"checkpoint %d %d %s" % (self.number, getpid(), fsencode(self.before)))
        close(tell)
        while getppid() == middle:
            sched_yield()
        setpgid(0, 0)
        return line

    def go_on(self, edited: "list[str]") -> None:
        """In a run that goes on from here: be a run of its own, before which nothing was told."""
        self.descriptors.part()
        self.fresh.freshen()
        post = self.agent.post
        post.of(environ["RELOADERD"], int(environ["RELOADERD_RUN"]))
        post.introduce()
        post.held = False
        self.order.process = getpid()
        self.set_out(edited)

    def remembers(self, run: int) -> str:
        """What the program's own modules remember of the run that another one would have otherwise."""
        shared = getattr(sys.modules.get("random"), "_inst", None)
        for name, module in list(sys.modules.items()):
            spec = names_of(module).get("__spec__")
            if name != "__main__" and (spec is None or self.order.is_library(spec, where(spec))):
                continue
            for key, value in list(names_of(module).items()):
                if type(value) is int and value == run:
                    return f"{name}.{key} is the number of the process"
                if any(is_now(one, self.since) for _, one in [(key, value), *dates(key, value)]):
                    return f"{name}.{key} is the time at which it was started"
                if type(value).__name__ in _DRAWN and value is not shared:
                    return f"{name}.{key} is random"
        return ""


class _Finder:
    """The first of sys.meta_path: its `find_spec` is sys.audit, which returns None, as for nothing found."""

    find_spec: "Any"


def _drawn() -> "list[Any]":
    """The state of the generators that have one for all: it is another once it was drawn from or seeded."""
    return [state_of(name) if name in sys.modules else None for name in GENERATORS]


def _shares_memory() -> str:
    """What it has mapped so that all who have it see the same, and may write to it, if anything."""
    for line in content("/proc/self/maps").decode("utf-8", "surrogateescape").split("\n"):
        words = line.split(None, 5)
        if words[1:2] == ["rw-s"]:
            return f"it shares memory: {words[5] if len(words) > 5 else 'unnamed'}"
    return ""
