"""What the Python processes of a run have loaded, and what counts because of it (DESIGN 6.6).

Rules:
- A file whose code a run has loaded counts, wherever it is and whatever ignores it, unless an `--on` says
  otherwise.  One that the tree does not watch is anchored like a root.
- As soon as it is watched it is compared with how the child saw it: a difference is a change.
- A run that has not told of anything yet has loaded nothing; what the one before it had loaded is held on to
  until the next but one, and counts while no run is alive.
- With `--exact` nothing else does: core.exact.
- The configuration file is of no concern to the run, unless it is a root or was loaded.
- What was absent and is made by the run itself is told as its own before it is there; so what was made before
  it was known to be absent waits for that word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reloaderd.commands import Command, Report
from reloaderd.core.asks import Asks
from reloaderd.core.changes import Change
from reloaderd.core.directories import Directories
from reloaderd.core.exact import Exact
from reloaderd.core.links import Links
from reloaderd.core.paths import parent
from reloaderd.core.pythons import Pythons
from reloaderd.core.roots import Found, Roots
from reloaderd.core.rules import Rules, Verdict
from reloaderd.core.rules.verdicts import is_explicit, is_of_git, is_overruled
from reloaderd.events import Anchored, Examined, FilesLoaded, Kind, Loaded, Stamp, Why
from reloaderd.settings import COMMAND_LINE, ServiceSettings

QUIET = 0.1
"""Seconds without news of a run until it is told how much is armed: imports come in bursts."""

MOST = 50_000
"""Paths of files, and of what was missing, that are kept for a run: twice what the largest programs load.  A
child may say anything; with more than that everything counts."""

MOST_AWAITED = 200
"""Places of which the trees do not tell that are watched because something was looked for there in vain."""

MODULE, DATA = "module", "data"

LOADED = Verdict("restart", 0, "loaded by the command", "")
LOOKED_FOR = Verdict("restart", 0, "looked for by the command", "")
CONFIGURATION = Verdict("ignore", 0, "the configuration file: it is read again", "")
NOT_LOADED = Verdict("ignore", 0, "--exact: not loaded by the command", COMMAND_LINE)


class Modules:
    """The loaded files of one service's present run, and of the one before."""

    def __init__(
        self, settings: ServiceSettings, directories: Directories, roots: Roots, rules: Rules, asks: Asks
    ) -> None:
        self.exact = Exact(settings.name, settings.exact)
        self._name = settings.name
        self._config = settings.config
        self._directories = directories
        self._tree = directories.tree
        self._stamps = directories.stamps
        self._roots = roots
        self._rules = rules
        self._asks = asks
        self._run = 0
        self._loaded: dict[str, str] = {}  # path, as whoever spells it -> MODULE or DATA
        self._former: dict[str, str] = {}
        self._own: set[str] = set()  # what it writes by itself
        self.pythons = Pythons()
        self._count: Counter[str] = Counter()
        self._libraries = 0
        self._awaited: set[str] = set()  # what would be there if they were found, where no tree tells of it
        self._former_awaited: set[str] = set()
        self._anchored: set[str] = set()
        self._links = Links()  # some of the anchored
        self._saw: dict[str, Stamp | None] = {}  # how the run saw what is watched
        self._tell_at: float | None = None
        self._remember_at: float | None = None

    def __contains__(self, path: str) -> bool:
        return path in self._anchored

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many modules, other files and files of libraries the run has loaded."""
        return self._count[MODULE], self._count[DATA], self._libraries

    def loaded_as(self, path: str) -> str:
        """Whether the run has loaded it as code (`module`) or otherwise (`data`); empty where it has not."""
        return self._loaded.get(path, "")

    # A run

    def begin(self, run: int, now: float) -> list[Command]:
        """A run is about to start; let go of what neither it nor the one before has loaded."""
        if self.exact.followed:
            self._former, self._former_awaited = self._loaded, self._awaited
            self._loaded, self._awaited = {}, set()
        self.exact.begin(now)
        self._run = run
        self._saw.clear()
        self._links.begin()
        self._count.clear()
        self._own.clear()
        self.pythons.begin()
        self._libraries, self._tell_at, self._remember_at = 0, None, None
        commands: list[Command] = []
        for path in [path for path in self._anchored if not self._needs(path)]:
            self._anchored.discard(path)
            self._links.let_go(path)
            self._stamps.remove_root(path)
            commands += self._asks.drop(self._roots.anchors.let_go(path))
        return commands

    def _needs(self, path: str) -> bool:
        return any(path in one for one in (self._loaded, self._former, self._awaited, self._former_awaited))

    def loaded(self, event: FilesLoaded, now: float) -> list[Command]:
        """A process of the present run told of itself."""
        if event.python:
            self.pythons.tell(event.pid, event.python)
        self.exact.told()
        self._libraries += event.libraries
        too_much = len(self._loaded) + len(self._own) + self.exact.looked_for > MOST
        self.exact.full = self.exact.full or event.full or too_much
        if too_much:
            return []
        if event.modules or event.data:
            self._tell_at = now + QUIET
        if event.absent:
            self._remember_at = now + QUIET
        return self._take_in(event)

    def _take_in(self, event: FilesLoaded) -> list[Command]:
        commands: list[Command] = []
        compare: list[str] = []
        for file in event.modules:
            spelled = self._roots.spelled(file.real)
            self.pythons.load(event.pid, spelled or file.path)
            commands += self._take(file, spelled, MODULE, compare)
        for file in event.data:
            commands += self._take(file, self._roots.spelled(file.real), DATA, compare)
        for prefix in event.missing:
            commands += self._miss(prefix)
        for path in event.absent:
            commands += self._lack(path)
        if event.missing:
            self._directories.changes += self.exact.remembered()
        if compare:
            commands.append(self._asks.examine(Why.LOADED, compare))
        return commands

    def _take(self, file: Loaded, spelled: str, kind: str, compare: list[str]) -> list[Command]:
        """Take in one file, `spelled` as its root has it; adds to `compare` what is watched already."""
        if kind is DATA and not self._own.isdisjoint((file.path, file.real, spelled)):
            return []
        if file.real not in self._loaded:
            self._count[kind] += 1
        for path in {file.path, file.real, spelled or file.path}:
            if kind is MODULE or path not in self._loaded:
                self._loaded[path] = kind
            self.exact.found(path)
        in_tree = self._tree.has_file(spelled)
        watched = spelled if in_tree else file.path
        commands = self._take_link(file, spelled) if in_tree else []
        if watched in self._saw:  # another process of the run, or again
            if not _alike(self._saw[watched], file.stamp):
                self._change(watched, Kind.REWRITTEN, existed=True)
            return commands
        if watched in self._links:  # which led into the tree before
            self._links.let_go(watched)
            self._stamps.add_root(watched)
        if in_tree or watched in self._anchored or watched in self._roots:
            self._saw[watched] = file.stamp
            compare.append(watched)
            return commands
        if kind is DATA and self._verdict(spelled or file.path, DATA).action == "ignore":
            return []
        self._saw[watched] = file.stamp
        self._anchored.add(watched)
        return [self._asks.anchor(watched)]

    def disowned(self, own: Iterable[str]) -> list[str]:
        """The run writes these by itself: that it read them, too, is its own business.

        Returns what does not count any more because of that.
        """
        paths = {spelling for path in own for spelling in (path, self._roots.spelled(path)) if spelling}
        self._own |= paths
        taken = [path for path in paths if self._loaded.get(path) is DATA or self.exact.is_absent(path)]
        for path in taken:
            self._loaded.pop(path, None)
            self._awaited.discard(path)
            self.exact.found(path)
        return taken if self.exact.on else []

    def _take_link(self, file: Loaded, spelled: str) -> list[Command]:
        """Take in the way by which a file of the tree was found, if that leads through links."""
        link = file.path
        if link in (file.real, spelled):
            return []
        known = self._links.led(link) is not None
        if self._links.saw(link, file.real):
            self._change(link, Kind.ARRIVED, existed=True)
        if known:
            return []
        self._anchored.add(link)
        return [self._asks.anchor(link)]

    def _miss(self, prefix: str) -> list[Command]:
        """An import found nothing here."""
        known_as = self._roots.spelled(prefix) or prefix
        self.exact.missed(known_as)
        source = known_as + ".py"
        if parent(source) in self._tree and not is_overruled(self._rules.verdict(source)):
            return []
        return self._await(prefix, prefix + ".py")

    def _lack(self, path: str) -> list[Command]:
        """The run would have read that."""
        path = self._roots.spelled(path) or path
        self.exact.lacked(path)
        is_ignored = self.exact.on and is_of_git(self._rules.verdict(path))
        return self._await(path) if is_ignored and parent(path) in self._tree else []

    def _await(self, *paths: str) -> list[Command]:
        """Hold on to what the tree would not tell of."""
        if len(self._awaited) >= MOST_AWAITED:
            return []
        commands: list[Command] = []
        for path in paths:
            self._awaited.add(path)
            if path not in self._anchored:
                self._anchored.add(path)
                commands.append(self._asks.anchor(path))
        return commands

    # Answers

    def found(self, event: Anchored, found: Found) -> list[Command]:
        """One of the paths that are held on to here was found, or found missing."""
        path = event.path
        if path in self._links:
            return self._link_found(event, found)
        loaded = path in self._loaded or path in self._former
        is_file = path.endswith(".py") or self.exact.is_absent(path)
        here = event.identity is not None and (loaded or event.is_dir is not is_file)
        if found is Found.FIRST and here and loaded:
            self._stamps.add_root(path)
            return [self._asks.examine(Why.LOADED, [path])]
        if found is Found.SAME or (found is Found.FIRST and here is loaded):
            return []
        if here and not event.is_dir:
            self._stamps.add_root(path)
        elif self._stamps.is_root(path):
            self._stamps.lose(path)
        existed = found is not Found.BACK and (loaded or found is not Found.FIRST)
        self._change(path, Kind.ARRIVED if here else Kind.DELETED, existed)
        return []

    def _link_found(self, event: Anchored, found: Found) -> list[Command]:
        path, led = event.path, self._links.led(event.path)
        real = event.identity[2] if event.identity is not None else ""
        if led is None:
            changed = found not in (Found.FIRST, Found.SAME)
        elif not real and not self._tree.has_file(self._roots.spelled(led)):
            changed = False  # it is gone itself, which counts as such
        else:
            changed = self._links.differs(path, real)
        if changed:
            self._change(path, Kind.ARRIVED if real else Kind.DELETED, existed=True)
        return []

    def examined(self, event: Examined) -> None:
        """How files look that were loaded."""
        for path, stamp in event.stamps.items():
            if path not in self._saw:  # it was of a run that is over
                continue
            if stamp is None or not _alike(self._saw[path], stamp):
                self._stamps.lose(path)
                self._change(path, Kind.REWRITTEN, existed=True)
            else:
                self._stamps.know(path, stamp.value)

    def _change(self, path: str, kind: Kind, existed: bool) -> None:
        self._directories.changes.append(Change(path, kind, existed))

    # What counts

    def judge(self, change: Change, now: float) -> Verdict:
        """What a change does; what is dismissed too early is remembered."""
        verdict = self.verdict(change.path, now)
        if verdict is NOT_LOADED and not change.existed and self.exact.is_sought(change.path):
            return LOOKED_FOR
        if verdict is NOT_LOADED:
            self.exact.dismiss(change)
        return verdict

    def verdict(self, path: str, now: float) -> Verdict:
        """What a change of `path` does by now."""
        if path == self._config and path not in self._roots and path not in self._loaded:
            return CONFIGURATION
        kind = self._loaded.get(path) or ("" if self.exact.alive else self._former.get(path, ""))
        verdict = self._verdict(path, kind)
        if verdict.action == "ignore" or not self.exact.dismisses(now):
            return verdict
        if kind or path in self._roots or is_explicit(verdict) or self.exact.is_looked_for(path):
            return verdict
        return NOT_LOADED

    def _verdict(self, path: str, kind: str) -> Verdict:
        """By the rules, and by what it is loaded as."""
        verdict = self._rules.verdict(path)
        if not is_overruled(verdict):
            return verdict
        if kind is MODULE or (kind is DATA and self.exact.on and is_of_git(verdict)):
            return LOADED
        return LOOKED_FOR if path in self._awaited or path in self._former_awaited else verdict

    # Time

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        instants = (self._tell_at, self._remember_at, self.exact.deadline)
        return min((at for at in instants if at is not None), default=None)

    def tick(self, now: float) -> list[Command]:
        """Tell how much is armed; and that a run which was believed to tell of itself does not."""
        commands: list[Command] = []
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = None
            fields = {"run": self._run, "modules": self._count[MODULE], "data": self._count[DATA]}
            commands.append(Report("armed", self._name, {**fields, "libraries": self._libraries}))
        if self._remember_at is not None and now >= self._remember_at:
            self._remember_at = None
            self._directories.changes += self.exact.remembered()
        changes, told = self.exact.tick(now)
        self._directories.changes += changes
        return commands + told


def _alike(seen: Stamp | None, stamp: Stamp | None) -> bool:
    """Whether a file looked the same both times; what could not be looked at may be anything."""
    return seen is not None and stamp is not None and seen.whole == stamp.whole
