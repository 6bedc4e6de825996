"""The world around the engine, made up: a clock, an inotify, a keeper a service, and the loop.

`World` drives an engine as loop.Loop does: one item at a time, what a command brings about before
anything else.  Between any two of them, and between the arming and the listing of a directory, it can
let operations happen that were given with `race`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from reloaderd import commands as do
from reloaderd.core.engine import Engine
from reloaderd.core.manager import Informant
from reloaderd.events import (
    Anchored,
    Armed,
    ChildEnded,
    ChildStarted,
    ChildTold,
    ConfigRead,
    Digested,
    Drained,
    EntryChanged,
    Event,
    EventsLost,
    Examined,
    Fault,
    FilesLoaded,
    Kind,
    Listing,
    Loaded,
    PulseMade,
    RepositoryFound,
    RunGone,
    Stamp,
    StartFailed,
    Step,
    SyntaxChecked,
    WatchEnded,
    WatchMoved,
)
from reloaderd.settings import ConfigSettings, ServiceSettings, Settings
from tests.support.disk import LINK_LIMIT, Files, Inode
from tests.support.model import MakeDirs, Operation, Save

YOUNG = 0.020
BROKEN = "broken"
"""A text with this in it does not compile."""

DIGESTED = 2
"""Files that are read at once."""

NEVER = float("inf")
PULSES = "/run/pulse"
IGNORE_FILES = (".gitignore", ".reloaderdignore")

LEAVING = frozenset({Kind.LEFT, Kind.ARRIVED, Kind.DELETED})
COMING = LEAVING | {Kind.CREATED}
EVERYTHING = COMING | {Kind.WRITTEN, Kind.CLOSED, Kind.TOUCHED}


class Inotify:
    """Watches by inode, a queue that can overflow, and equal neighbours merged (inotify(7))."""

    def __init__(self) -> None:
        self.held: dict[int, Inode] = {}
        self.queue: list[Event] = []
        self.flooded = False
        self._masks: dict[int, frozenset[Kind]] = {}
        self._latest = 0

    def arm(self, inode: Inode) -> int:
        watch = self._watch(inode)
        self._masks[watch] = EVERYTHING
        return watch

    def hold(self, inode: Inode, kinds: frozenset[Kind]) -> int:
        watch = self._watch(inode)
        self._masks[watch] |= kinds
        return watch

    def drop(self, watch: int) -> None:
        if self.held.pop(watch, None) is not None:
            self._push(WatchEnded(watch))

    def read(self) -> list[Event]:
        events, self.queue, self.flooded = self.queue, [], False
        return events

    def flood(self) -> None:
        """The queue is full: what comes now is lost until it is read."""
        if not self.flooded:
            self.flooded = True
            self.queue.append(EventsLost())

    def _watch(self, inode: Inode) -> int:
        if not inode.is_dir:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        known = self._of(inode)
        if known is not None:
            return known
        self._latest += 1
        self.held[self._latest] = inode
        self._masks[self._latest] = frozenset()
        return self._latest

    def _of(self, inode: Inode) -> int | None:
        return next((watch for watch, other in self.held.items() if other is inode), None)

    def _push(self, event: Event) -> None:
        last = self.queue[-1] if self.queue else None
        if not self.flooded and not (type(last) is type(event) and last == event):
            self.queue.append(event)

    # What the file system tells

    def entry(self, directory: Inode, name: str, kind: Kind, is_dir: bool) -> None:
        watch = self._of(directory)
        if watch is not None and kind in self._masks[watch]:
            self._push(EntryChanged(watch, name, kind, is_dir))

    def moved(self, directory: Inode) -> None:
        watch = self._of(directory)
        if watch is not None:
            self._push(WatchMoved(watch))

    def ended(self, directory: Inode) -> None:
        watch = self._of(directory)
        if watch is not None:
            self._push(WatchMoved(watch))
            self.drop(watch)


class Manner(NamedTuple):
    """How one run behaves.

    `start` is the errno of its start, `grace` the seconds it takes to obey the stop signal (None: it ignores
    it), `ends` after how many seconds it ends by itself (None: never), with `status`; `leaves`: something of
    it outlives the child; `dies` the seconds that SIGKILL takes.
    """

    start: int = 0
    grace: float | None = 0.0
    ends: float | None = None
    status: int = 0
    leaves: bool = False
    dies: float = 0.0


class Keeper:
    """The processes of one service.  Fails a test that starts a run while another is alive."""

    def __init__(self, service: str, clock: Callable[[], float], manners: Iterable[Manner] = ()) -> None:
        self.service = service
        self.run = 0
        self.child = False  # the child is alive
        self.alive = False  # something of the run is, as far as was told
        self._clock = clock
        self._manners = iter(manners)
        self._manner = Manner()
        self._due: list[tuple[float, Event]] = []

    def start(self, run: int) -> None:
        assert not self.alive, f"run {run} starts while run {self.run} is alive"
        assert run == self.run + 1, f"run {run} follows run {self.run}"
        self.run = run
        self._manner = manner = next(self._manners, Manner())
        if manner.start:
            self._say(0.0, StartFailed(self.service, run, manner.start, "command"))
            return
        self.child = self.alive = True
        self._say(0.0, ChildStarted(self.service, run, 1000 + run))
        if manner.ends is not None:
            self._end(manner.ends, manner.status)

    def signal(self, run: int, scope: str) -> None:
        if run != self.run or not self.alive or self._manner.grace is None:
            return
        if self.child:
            self._end(self._manner.grace, -15)
        if scope == "tree":
            self._say(self._manner.grace, RunGone(self.service, run))

    def kill(self, run: int) -> None:
        if run == self.run and self.alive:
            self._say(self._manner.dies, RunGone(self.service, run))

    def _end(self, after: float, status: int) -> None:
        self._say(after, ChildEnded(self.service, self.run, status, int(self._manner.leaves)))
        if not self._manner.leaves:
            self._say(after, RunGone(self.service, self.run))

    def next(self) -> float | None:
        """When there will be something to tell."""
        return min((at for at, _ in self._due), default=None)

    def read(self) -> list[Event]:
        """What happened by now: each end is told once, and nothing of a run that is gone."""
        now = self._clock()
        told: list[Event] = []
        due = sorted((one for one in self._due if one[0] <= now), key=lambda one: one[0])
        self._due = [one for one in self._due if one[0] > now]
        for _, event in due:
            if isinstance(event, ChildEnded):
                if not self.child:
                    continue
                self.child = False
            elif isinstance(event, RunGone):
                if not self.alive:
                    continue
                if self.child:
                    told.append(ChildEnded(self.service, self.run, -9, 0))
                self.child = self.alive = False
                self._due = []
            told.append(event)
        return told

    def _say(self, after: float, event: Event) -> None:
        self._due.append((self._clock() + after, event))


class Started(NamedTuple):
    """A `StartChild` that was carried out."""

    service: str
    run: int
    now: float
    environ: dict[str, str]


class World:
    """One engine and all around it."""

    def __init__(
        self,
        services: Sequence[ServiceSettings],
        manners: dict[str, Iterable[Manner]] | None = None,
        terminal: bool = False,
        config: ConfigSettings | None = None,
        watchdog: float | None = None,
    ) -> None:
        """`watchdog`: there is a service manager, and it wants a sign of life within that time, if not 0."""
        self.now = 1000.0
        self.files = Files(lambda: self.now)
        self.kernel = Inotify()
        self.files.listener = self.kernel
        self.engine = Engine(Settings(tuple(services), config=config), has_terminal=terminal)
        if watchdog is not None:
            self.engine.informant = Informant(self.engine, watchdog)
        self.keepers: dict[str, Keeper] = {}
        self._former: dict[str, int] = {}  # the last run of a service that went
        self._manners = {name: iter(some) for name, some in (manners or {}).items()}
        for one in services:
            self._add(one.name)
        self.reads = 0
        self.configured: Callable[[], ConfigRead] = lambda: ConfigRead(None, ["no file"])
        """What the configuration file says."""
        self.started: list[Started] = []
        self.reports: list[do.Report] = []
        self.quits: list[do.Quit] = []
        self.notified: list[tuple[float, dict[str, str]]] = []
        """What the service manager was told, and when."""
        self.pulses = 0
        self.deaf = False  # no pulse comes back
        self.on_notify: Callable[[dict[str, str]], None] = lambda variables: None
        self.told: list[do.TellChild] = []
        self.handles: Callable[[Sequence[str]], Sequence[str] | None] = lambda paths: paths
        """What a run leaves unhandled of what it is told of: all, as nobody listens; None: no answer."""
        self.checks: list[do.CheckSyntax] = []
        self.check_takes: float | None = 0.030
        """Seconds; None: such a check never ends."""
        self.trouble = ""  # why nothing can be checked
        self.checking: dict[str, tuple[float, SyntaxChecked]] = {}
        self.on_start: Callable[[str], None] = lambda service: None
        self.on_add: Callable[[ServiceSettings], None] = lambda settings: None
        self.on_remove: Callable[[str], None] = lambda service: None
        self.on_change: Callable[[], None] = lambda: None
        self.allows: Callable[[Operation], bool] = lambda operation: True
        self.said: list[FilesLoaded] = []  # what children said and the loop has not read
        self._racing: list[tuple[int, Operation | float]] = []
        self._locks: set[str] = set()

    def start(self) -> None:
        self.carry(self.engine.start())

    def do(self, *operations: Operation) -> None:
        """Let them happen; one that cannot be done is passed over, as a person's would be."""
        for operation in operations:
            if not self.allows(operation):
                continue
            try:
                self.files.do(operation)
            except OSError:
                continue
            finally:
                self.on_change()

    def race(self, steps: int, operation: Operation | float) -> None:
        """Let it happen when the loop has gone that many steps further; a number: the loop takes so long."""
        self._racing.append((steps, operation))

    def _step(self) -> None:
        while self._racing:
            steps, operation = self._racing[0]
            if steps > 0:
                self._racing[0] = (steps - 1, operation)
                return
            del self._racing[0]
            if isinstance(operation, float):
                self.now += operation
            else:
                self.do(operation)

    # The loop

    def carry(self, items: Sequence[Event | do.Command]) -> None:
        stack = list(reversed(items))
        while stack:
            item = stack.pop()
            self._step()
            if isinstance(item, do.Command):
                stack += reversed(self._perform(item))
            else:
                stack += reversed(self.engine.handle(item, self.now))

    def turn(self) -> None:
        """One round of the loop: read what is there, then serve what is due."""
        self.carry(self.kernel.read())
        for keeper in self.keepers.values():
            self.carry(keeper.read())
        for name, (at, event) in [*self.checking.items()]:
            if at <= self.now:
                del self.checking[name]
                self.carry([event])
        said, self.said = self.said, []
        self.carry(said)
        self.carry(self.engine.tick(self.now))

    def pause(self, seconds: float) -> None:
        """The loop goes on for that long, in real time as it were."""
        until = self.now + seconds
        for _ in range(1000):
            self.turn()
            at = self._next()
            if at is None or at > until:
                break
            self.now = max(self.now, at)
        else:
            raise AssertionError(f"no rest within {seconds} s")
        self.now = until

    def settle(self) -> None:
        """The loop goes on until nothing is due any more, and no operation is waiting for its time."""
        for _ in range(1000):
            self.turn()
            at = self._next()
            if at is not None:
                self.now = max(self.now, at)
            elif self._racing:
                self._racing[0] = (0, self._racing[0][1])
                self._step()
            else:
                return
        raise AssertionError("it does not come to rest")

    def say(
        self,
        service: str = "web",
        *,
        modules: Iterable[str] = (),
        data: Iterable[str] = (),
        own: Iterable[str] = (),
        missing: Iterable[str] = (),
        absent: Iterable[str] = (),
        run: int | None = None,
        full: bool = False,
        python: str = "python",
        pid: int = 1,
    ) -> None:
        """The child of the present run tells what it loaded, and how that looks now."""
        run = self.keepers[service].run if run is None else run
        files = [[self._loaded(path) for path in paths] for paths in (modules, data)]
        paths = [[*own], [*missing], [*absent]]
        event = FilesLoaded(service, run, python, *files, *paths, 0, full, pid)
        self.said.append(event)

    def _loaded(self, path: str) -> Loaded:
        inode = self.files.look_up(path)
        real = _real(self.files, path) if inode is not None else path
        return Loaded(path, real, None if inode is None else _stamp_of(inode, young=False))

    def _next(self) -> float | None:
        if self.kernel.queue or self.said:
            return self.now
        instants = [self.engine.deadline(self.now), *(keeper.next() for keeper in self.keepers.values())]
        instants += [at for at, _ in self.checking.values() if at < NEVER]
        return min((instant for instant in instants if instant is not None), default=None)

    # The commands

    def _perform(self, command: do.Command) -> Sequence[Event]:
        match command:
            case do.Arm():
                return [Armed(command.service, command.why, [self._list(path) for path in command.paths])]
            case do.Anchor():
                return [find_way(self.files, self.kernel, command)]
            case do.FindRepository():
                return [self._find_repository(command)]
            case do.Drop():
                for watch in command.watches:
                    if not self.engine.uses(watch):
                        self.kernel.drop(watch)
            case do.Examine():
                stamps = {path: self._stamp(path) for path in command.paths}
                return [Examined(command.service, command.why, stamps)]
            case do.Digest():
                return [self._digest(command)]
            case do.CheckSyntax():
                self.checks.append(command)
                self._check(command)
            case do.EndCheck():
                self.checking.pop(command.service, None)
            case do.Drain():
                return [*self.kernel.read(), Drained(command.service)]
            case do.StartChild():
                self.keepers[command.service].start(command.run)
                self.started.append(Started(command.service, command.run, self.now, dict(command.environ)))
                self.on_start(command.service)
            case do.SignalChild():
                self.keepers[command.service].signal(command.run, command.scope)
            case do.KillTree():
                self.keepers[command.service].kill(command.run)
            case do.TellChild():
                self.told.append(command)
                keeper = self.keepers[command.service]
                listens = keeper.child and keeper.run == command.run
                unhandled = self.handles(command.paths) if listens else command.paths
                if unhandled is not None:
                    return [ChildTold(command.service, command.run, command.notice, unhandled)]
            case do.ReadConfig():
                self.reads += 1
                return [self.configured()]
            case do.AddService():
                self._add(command.settings.name)
                self.on_add(command.settings)
            case do.RemoveService():
                self.on_remove(command.service)
                former = self.keepers.pop(command.service)
                assert not former.alive, f"run {former.run} is alive without its service"
                self._former[command.service] = former.run
            case do.Notify():
                self.notified.append((self.now, dict(command.variables)))
                self.on_notify(dict(command.variables))
            case do.MakePulse():
                return [self._make_pulse()]
            case do.Report():
                self.reports.append(command)
            case do.Quit():
                self.quits.append(command)
                assert not any(keeper.alive for keeper in self.keepers.values()), "quit with a run alive"
        return ()

    def _make_pulse(self) -> PulseMade:
        self.pulses += 1
        if self.files.look_up(PULSES) is None:
            self.files.do(MakeDirs(PULSES))
        watch = self.kernel.arm(self.files.at(PULSES))
        if not self.deaf:
            self.files.do(Save(f"{PULSES}/pulse"))
        return PulseMade(watch)

    def _add(self, name: str) -> None:
        assert name not in self.keepers, f"two services {name}"
        self.keepers[name] = Keeper(name, lambda: self.now, self._manners.get(name, ()))
        self.keepers[name].run = self._former.get(name, 0)

    def _digest(self, command: do.Digest) -> Digested:
        """A few at a time, as if each were large."""
        digests: dict[str, bytes | None] = {}
        young: list[str] = []
        for path in command.paths[:DIGESTED]:
            self._step()
            inode = self.files.look_up(path)
            if inode is None or inode.is_dir:
                digests[path] = None
            elif not command.number and self.now - inode.changed < YOUNG:
                young.append(path)
            else:
                digests[path] = b"says " + inode.text.encode()
        return Digested(command.service, command.number, digests, command.paths[DIGESTED:], young)

    def _check(self, command: do.CheckSyntax) -> None:
        self._step()
        inodes = [(path, self.files.look_up(path)) for path in command.paths]
        broken = [path for path, inode in inodes if inode is not None and BROKEN in inode.text]
        faults = [Fault(path, 1, 1, BROKEN, "SyntaxError: invalid syntax") for path in broken]
        event = SyntaxChecked(command.service, command.number, faults, len(faults), self.trouble)
        at = NEVER if self.check_takes is None else self.now + self.check_takes
        self.checking[command.service] = at, event

    def _list(self, path: str) -> Listing:
        watch = -1
        try:
            inode = self.files.at(path)
            watch = self.kernel.arm(inode)
            self._step()
            inode = self.files.at(path)
            if inode.entries is None:
                raise OSError(errno.ENOTDIR, path)
        except OSError as error:
            return Listing(path, watch, error.errno or 0, [], [], [], {})
        listing = Listing(path, watch, 0, [], [], [], {})
        for name, entry in inode.entries.items():
            full = os.path.join(path, name)
            if entry.is_dir:
                listing.dirs.append(name)
                continue
            there = self.files.look_up(full)
            (listing.links if there is not None and there.is_dir else listing.files).append(name)
            if name in IGNORE_FILES and there is not None and not there.is_dir:
                listing.texts[name] = there.text
        return listing

    def _stamp(self, path: str) -> Stamp | None:
        self._step()
        inode = self.files.look_up(path) or self.files.look_up(path, follow=False)
        if inode is None:
            return None
        return _stamp_of(inode, self.now - inode.changed < YOUNG)

    def _find_repository(self, command: do.FindRepository) -> RepositoryFound:
        at = command.path
        while True:
            git = self.files.look_up(os.path.join(at, ".git"))
            if git is not None and git.entries is not None:
                watch = self.kernel.hold(git, COMING)
                self._step()
                locked = "index.lock" in git.entries
                return RepositoryFound(command.service, command.path, watch, "index.lock", locked, [])
            if at == "/":
                return RepositoryFound(command.service, command.path, -1, "", False, [])
            at = os.path.dirname(at)


def find_way(files: Files, kernel: Inotify, command: do.Anchor) -> Anchored:
    """As kernel.files.find_way, at one instant."""
    path = command.path
    steps: list[Step] = []
    above: list[int] = []
    way: list[tuple[Inode, str]] = []  # the directories gone through, with the name taken in each
    todo = [name for name in path.split("/") if name][::-1]
    current = files.root
    links = 0
    while todo:
        name = todo.pop()
        inode = current.entries.get(name) if current.entries is not None else None
        if inode is None:
            steps += [Step(kernel.hold(directory, LEAVING), one) for directory, one in way]
            if current.is_dir:
                steps.append(Step(kernel.hold(current, COMING), name))
            number = errno.ENOENT if current.is_dir else errno.ENOTDIR
            return Anchored(command.service, path, steps, above, None, False, number)
        if not todo or inode.target is not None:
            content = not todo and not inode.is_dir and inode.target is None
            steps.append(Step(kernel.hold(current, EVERYTHING if content else LEAVING), name))
        if inode.target is not None:
            links += 1
            if links > LINK_LIMIT:
                return Anchored(command.service, path, steps, above, None, False, errno.ELOOP)
            todo += [part for part in inode.target.split("/") if part][::-1]
            if inode.target.startswith("/"):
                current = files.root
            continue
        if todo and inode.is_dir:
            above.append(kernel.hold(inode, frozenset()))
        way.append((current, name))
        current = inode
    text = current.text if command.read else None
    identity = (1, current.number, _real(files, path))
    return Anchored(command.service, path, steps, above, identity, current.is_dir, 0, text)


def _real(files: Files, path: str) -> str:
    """Where the path leads, every link followed."""
    names: list[str] = []
    todo = [name for name in path.split("/") if name][::-1]
    while todo:
        name = todo.pop()
        inode = files.look_up("/" + "/".join([*names, name]), follow=False)
        if inode is not None and inode.target is not None:
            todo += [part for part in inode.target.split("/") if part][::-1]
            names = [] if inode.target.startswith("/") else names
        else:
            names.append(name)
    return "/" + "/".join(names)


def _stamp_of(inode: Inode, young: bool) -> Stamp:
    return Stamp(hash((inode.number, inode.mtime)), young, hash((inode.number, inode.mtime, inode.changed)))
