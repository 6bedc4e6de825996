"""What the Python processes of a run have loaded, and what counts because of it (DESIGN 6.6).

Rules:
- A file whose code a run has loaded counts, wherever it is and whatever ignores it, unless an `--on` says
  otherwise.  One that the tree does not watch is anchored like a root.
- As soon as it is watched it is compared with how the child saw it: a difference is a change.
- A run that has not told of anything yet has loaded nothing; what the one before it had loaded is held on to
  until the next but one, and counts while no run is alive.
- With `--exact` only what is loaded counts, and what a failed import looked for, while a run is alive that
  tells of itself.  That one will is believed for a while where the one before did; if it does not, what was
  dismissed in the meantime counts after all.
- What was made and dismissed counts after all when an import turns out to have looked for it before.
- Dismissing a change of a file that is not known to be loaded is safe even if the child's word for it is on
  its way: it was sent before the file was read, and tells how the file looked then.
"""

from __future__ import annotations

from collections import Counter

from reloaderd.commands import Command, Report
from reloaderd.core.asks import Asks
from reloaderd.core.changes import Change
from reloaderd.core.directories import Directories
from reloaderd.core.paths import join, parent
from reloaderd.core.roots import Found, Roots
from reloaderd.core.rules import Rules, Verdict
from reloaderd.core.rules.sources import COMMAND_LINE, DEFAULTS
from reloaderd.events import Anchored, Examined, FilesLoaded, Kind, Loaded, Stamp, Why
from reloaderd.settings import ServiceSettings

HELLO = 5.0
"""Seconds in which a run that is followed has said so: Python needs 20 ms, a wrapper that builds more."""

QUIET = 0.1
"""Seconds without news of a run until it is told how much is armed: imports come in bursts."""

MOST = 50_000
"""Paths of files, and of what was missing, that are kept for a run: twice what the largest programs load.  A
child may say anything; with more than that everything counts."""

MOST_AWAITED = 200
"""Places outside the roots that are watched because an import looked there in vain: two of them a module."""

MOST_MADE = 1000
"""New files of a run that were dismissed and are remembered."""

ENDINGS = (".py", ".pyc", ".so")
"""What an import finds: importlib.machinery.all_suffixes() ends in these."""

MODULE, DATA = "module", "data"

LOADED = Verdict("restart", 0, "loaded by the command", "")
LOOKED_FOR = Verdict("restart", 0, "an import looked for it", "")
NOT_LOADED = Verdict("ignore", 0, "--exact: not loaded by the command", COMMAND_LINE)


class Modules:
    """The loaded files of one service's present run, and of the one before."""

    def __init__(
        self, settings: ServiceSettings, directories: Directories, roots: Roots, rules: Rules, asks: Asks
    ) -> None:
        self.python = ""
        """The interpreter of the process that was the first of its run to tell of itself."""
        self.followed = False
        """Whether the present run has."""
        self.alive = False
        """Whether there is one; kept by the service."""
        self._name = settings.name
        self._exact = settings.exact
        self._directories = directories
        self._tree = directories.tree
        self._stamps = directories.stamps
        self._roots = roots
        self._rules = rules
        self._asks = asks
        self._run = 0
        self._begun = 0.0
        self._believed = False  # the run before was followed
        self._loaded: dict[str, str] = {}  # path, as whoever spells it -> MODULE or DATA
        self._former: dict[str, str] = {}
        self._count: Counter[str] = Counter()
        self._libraries = 0
        self._full = False
        self._missing: set[str] = set()  # modules without their endings
        self._awaited: set[str] = set()  # what would be there if they were found, outside the roots
        self._former_awaited: set[str] = set()
        self._anchored: set[str] = set()
        self._saw: dict[str, Stamp | None] = {}  # how the run saw what is watched
        self._dismissed: dict[str, Change] = {}  # before the run told of itself
        self._made: dict[str, Change] = {}  # dismissed, too, but new
        self._warned = not settings.exact
        self._tell_at: float | None = None

    def __contains__(self, path: str) -> bool:
        return path in self._anchored

    # A run

    def begin(self, run: int, now: float) -> list[Command]:
        """A run is about to start; let go of what neither it nor the one before has loaded."""
        if self.followed:
            self._former, self._former_awaited = self._loaded, self._awaited
            self._loaded, self._awaited = {}, set()
        self._believed = self._believed or self.followed
        self._run, self._begun, self.followed = run, now, False
        self._missing.clear()
        self._saw.clear()
        self._dismissed.clear()
        self._made.clear()
        self._count.clear()
        self._libraries, self._full, self._tell_at = 0, False, None
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
        if event.python and not self.followed:
            self.python = event.python
        self.followed = True
        self._believed = True
        self._dismissed.clear()
        self._libraries += event.libraries
        too_much = len(self._loaded) + len(self._missing) > MOST
        self._full = self._full or event.full or too_much
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
            self._missing.discard(_prefix(path))
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
        self._missing.add(spelled or prefix)
        found = [path for path in self._made if self._is_looked_for(path)]
        self._directories.changes += [self._made.pop(path) for path in found]
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
            if not self.followed:
                self._dismissed[change.path] = change
            if not change.existed and len(self._made) < MOST_MADE:
                self._made[change.path] = change
        return verdict

    def verdict(self, path: str, now: float) -> Verdict:
        """What a change of `path` does by now."""
        kind = self._loaded.get(path) or ("" if self.alive else self._former.get(path, ""))
        verdict = self._verdict(path, kind)
        if not self._exact or not self.alive or verdict.action == "ignore" or not self._filters(now):
            return verdict
        if kind or path in self._roots or _is_explicit(verdict) or self._is_looked_for(path):
            return verdict
        return NOT_LOADED

    def _verdict(self, path: str, kind: str) -> Verdict:
        """By the rules, and by what it is loaded as."""
        verdict = self._rules.verdict(path)
        if verdict.action != "ignore" or _is_explicit(verdict):
            return verdict
        if kind is MODULE or (kind is DATA and self._exact and _is_of_git(verdict)):
            return LOADED
        return LOOKED_FOR if path in self._awaited or path in self._former_awaited else verdict

    def _filters(self, now: float) -> bool:
        """Whether what is loaded is known well enough to go by."""
        return not self._full and (self.followed or (self._believed and now < self._begun + HELLO))

    def _is_looked_for(self, path: str) -> bool:
        """Whether an import that failed would have found this, or something that it is in."""
        if not self._missing:
            return False
        if path.endswith(ENDINGS) and _prefix(path) in self._missing:
            return True
        while path != "/":
            path = parent(path)
            if path in self._missing:
                return True
        return False

    # Time

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        waits = self.alive and not self.followed and (self._dismissed or not self._warned)
        instants = (self._tell_at, self._begun + HELLO if waits else None)
        return min((at for at in instants if at is not None), default=None)

    def tick(self, now: float) -> list[Command]:
        """Tell how much is armed; and that a run which was believed to tell of itself does not."""
        commands: list[Command] = []
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = None
            fields = {"run": self._run, "modules": self._count[MODULE], "data": self._count[DATA]}
            commands.append(Report("armed", self._name, {**fields, "libraries": self._libraries}))
        if self.alive and not self.followed and now >= self._begun + HELLO:
            self._believed = False
            self._directories.changes += self._dismissed.values()
            self._dismissed.clear()
            if not self._warned:
                self._warned = True
                commands.append(Report("warning", self._name, {"text": NOT_FOLLOWED}))
        return commands


NOT_FOLLOWED = (
    "--exact: the command does not tell what it loads, so every file counts"
    " (it is no Python of 3.8 or later, runs with -I, -E or -S, or lost PYTHONPATH on its way)"
)


def _alike(seen: Stamp | None, stamp: Stamp | None) -> bool:
    """Whether a file looked the same both times; what could not be looked at may be anything."""
    return seen is not None and stamp is not None and seen.whole == stamp.whole


def _is_explicit(verdict: Verdict) -> bool:
    """Whether an `--on` says so that names more than everything."""
    return verdict.rule.startswith("--on ") and not verdict.rule.startswith("--on *=")


def _is_of_git(verdict: Verdict) -> bool:
    """Whether git's ignore files say so: they tell what is not to be committed, not what is of no concern."""
    origin = verdict.origin
    return bool(origin) and origin not in (COMMAND_LINE, DEFAULTS) and ".reloaderdignore:" not in origin


def _prefix(path: str) -> str:
    """A module's file, or the `__init__` of a package, without its endings."""
    directory, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return directory if stem == "__init__" else join(directory or "/", stem)
