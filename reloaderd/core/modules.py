"""What the Python processes of a run have loaded, and what counts because of it (DESIGN 6.6).

Rules:
- A file whose code a run has loaded counts, wherever it is and whatever ignores it, unless an `--on` says
  otherwise.  One that the tree does not watch is anchored like a root.
- As soon as it is watched it is compared with how the child saw it: a difference is a change.
- A run that has not told of anything yet has loaded nothing; what the one before it had loaded is held on to
  until the next but one, and counts while no run is alive.
- With `--exact` nothing else does: core.exact.
- The configuration file is of no concern to the run, unless it is a root or was loaded.
"""

from __future__ import annotations

from collections import Counter

from reloaderd.commands import Command, Report
from reloaderd.core.asks import Asks
from reloaderd.core.changes import Change
from reloaderd.core.directories import Directories
from reloaderd.core.exact import Exact
from reloaderd.core.paths import parent
from reloaderd.core.roots import Found, Roots
from reloaderd.core.rules import Rules, Verdict
from reloaderd.events import Anchored, Examined, FilesLoaded, Kind, Loaded, Stamp, Why
from reloaderd.settings import COMMAND_LINE, ServiceSettings

QUIET = 0.1
"""Seconds without news of a run until it is told how much is armed: imports come in bursts."""

MOST = 50_000
"""Paths of files, and of what was missing, that are kept for a run: twice what the largest programs load.  A
child may say anything; with more than that everything counts."""

MOST_AWAITED = 200
"""Places outside the roots that are watched because an import looked there in vain: two of them a module."""

MODULE, DATA = "module", "data"

LOADED = Verdict("restart", 0, "loaded by the command", "")
LOOKED_FOR = Verdict("restart", 0, "an import looked for it", "")
CONFIGURATION = Verdict("ignore", 0, "the configuration file: it is read again", "")
NOT_LOADED = Verdict("ignore", 0, "--exact: not loaded by the command", COMMAND_LINE)


class Modules:
    """The loaded files of one service's present run, and of the one before."""

    def __init__(
        self, settings: ServiceSettings, directories: Directories, roots: Roots, rules: Rules, asks: Asks
    ) -> None:
        self.python = ""
        """The interpreter of the process that was the first of its run to tell of itself."""
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
        self._count: Counter[str] = Counter()
        self._libraries = 0
        self._awaited: set[str] = set()  # what would be there if they were found, outside the roots
        self._former_awaited: set[str] = set()
        self._anchored: set[str] = set()
        self._saw: dict[str, Stamp | None] = {}  # how the run saw what is watched
        self._tell_at: float | None = None

    def __contains__(self, path: str) -> bool:
        return path in self._anchored

    # A run

    def begin(self, run: int, now: float) -> list[Command]:
        """A run is about to start; let go of what neither it nor the one before has loaded."""
        if self.exact.followed:
            self._former, self._former_awaited = self._loaded, self._awaited
            self._loaded, self._awaited = {}, set()
        self.exact.begin(now)
        self._run = run
        self._saw.clear()
        self._count.clear()
        self._libraries, self._tell_at = 0, None
        commands: list[Command] = []
        for path in [path for path in self._anchored if not self._needs(path)]:
            self._anchored.discard(path)
            self._stamps.remove_root(path)
            commands += self._asks.drop(self._roots.anchors.let_go(path))
        return commands

    def _needs(self, path: str) -> bool:
        return any(path in one for one in (self._loaded, self._former, self._awaited, self._former_awaited))

    def loaded(self, event: FilesLoaded, now: float) -> list[Command]:
        """A process of the present run told of itself."""
        if event.python and not self.exact.followed:
            self.python = event.python
        self.exact.told()
        self._libraries += event.libraries
        too_much = len(self._loaded) + self.exact.looked_for > MOST
        self.exact.full = self.exact.full or event.full or too_much
        for path in event.own:
            self._disown(path)
        if too_much:
            return []
        if event.modules or event.data:
            self._tell_at = now + QUIET
        return self._take_in(event)

    def _take_in(self, event: FilesLoaded) -> list[Command]:
        commands: list[Command] = []
        compare: list[str] = []
        for file in event.modules:
            commands += self._take(file, MODULE, compare)
        for file in event.data:
            commands += self._take(file, DATA, compare)
        for prefix in event.missing:
            commands += self._miss(prefix)
        if compare:
            commands.append(self._asks.examine(Why.LOADED, compare))
        return commands

    def _take(self, file: Loaded, kind: str, compare: list[str]) -> list[Command]:
        """Take in one file; adds to `compare` the path to look at, where it is watched already."""
        spelled = self._roots.spelled(file.real)
        if file.real not in self._loaded:
            self._count[kind] += 1
        for path in {file.path, file.real, spelled or file.path}:
            if kind is MODULE or path not in self._loaded:
                self._loaded[path] = kind
            self.exact.found(path)
        in_tree = self._tree.has_file(spelled)
        watched = spelled if in_tree else file.path
        if watched in self._saw:  # another process of the run, or again
            if not _alike(self._saw[watched], file.stamp):
                self._change(watched, Kind.REWRITTEN, existed=True)
            return []
        if in_tree or watched in self._anchored or watched in self._roots:
            self._saw[watched] = file.stamp
            compare.append(watched)
            return []
        if kind is DATA and self._verdict(spelled or file.path, DATA).action == "ignore":
            return []
        self._saw[watched] = file.stamp
        self._anchored.add(watched)
        return [self._asks.anchor(watched)]

    def _disown(self, path: str) -> None:
        """The run writes it by itself: what it read in it before is its own business."""
        for one in (path, self._roots.spelled(path)):
            if self._loaded.get(one) is DATA:
                del self._loaded[one]

    def _miss(self, prefix: str) -> list[Command]:
        """An import found nothing here."""
        spelled = self._roots.spelled(prefix)
        self._directories.changes += self.exact.missed(spelled or prefix)
        if parent(spelled or prefix) in self._tree or len(self._awaited) >= MOST_AWAITED:
            return []
        commands: list[Command] = []
        for path in (prefix, prefix + ".py"):
            self._awaited.add(path)
            if path not in self._anchored:
                self._anchored.add(path)
                commands.append(self._asks.anchor(path))
        return commands

    # Answers

    def found(self, event: Anchored, found: Found) -> list[Command]:
        """One of the paths that are held on to here was found, or found missing."""
        path = event.path
        loaded = path in self._loaded or path in self._former
        here = event.identity is not None and (loaded or event.is_dir is not path.endswith(".py"))
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
        if kind or path in self._roots or _is_explicit(verdict) or self.exact.is_looked_for(path):
            return verdict
        return NOT_LOADED

    def _verdict(self, path: str, kind: str) -> Verdict:
        """By the rules, and by what it is loaded as."""
        verdict = self._rules.verdict(path)
        if verdict.action != "ignore" or _is_explicit(verdict):
            return verdict
        if kind is MODULE or (kind is DATA and self.exact.on and _is_of_git(verdict)):
            return LOADED
        return LOOKED_FOR if path in self._awaited or path in self._former_awaited else verdict

    # Time

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((at for at in (self._tell_at, self.exact.deadline) if at is not None), default=None)

    def tick(self, now: float) -> list[Command]:
        """Tell how much is armed; and that a run which was believed to tell of itself does not."""
        commands: list[Command] = []
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = None
            fields = {"run": self._run, "modules": self._count[MODULE], "data": self._count[DATA]}
            commands.append(Report("armed", self._name, {**fields, "libraries": self._libraries}))
        changes, told = self.exact.tick(now)
        self._directories.changes += changes
        return commands + told


def _alike(seen: Stamp | None, stamp: Stamp | None) -> bool:
    """Whether a file looked the same both times; what could not be looked at may be anything."""
    return seen is not None and stamp is not None and seen.whole == stamp.whole


def _is_explicit(verdict: Verdict) -> bool:
    """Whether an `--on` says so that names more than everything."""
    return verdict.rule.startswith("--on ") and not verdict.rule.startswith("--on *=")


def _is_of_git(verdict: Verdict) -> bool:
    """Whether git's ignore files say so: they tell what is not to be committed, not what is of no concern."""
    file, _, line = verdict.origin.rpartition(":")
    return line.isdigit() and not file.endswith(".reloaderdignore")
