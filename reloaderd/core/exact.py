"""What does not count while a run is alive that tells of itself: `--exact` (DESIGN 6.6).

Rules:
- Only what is loaded counts, and what was looked for and not found.
- A new file of the name of one that was to be read counts wherever it is: Django, for one, looks for
  templates in the directories that it found when it started, and never in one that is made later.
- A run is believed to tell of itself for a while where the one before did; if it does not, what was dismissed
  in the meantime counts after all.
- What was made and dismissed counts after all when it turns out to have been looked for before.
- Dismissing a change of a file that is not known to be loaded is safe even if the child's word for it is on
  its way: it was sent before the file was read, and tells how the file looked then.
"""

from __future__ import annotations

from reloaderd.commands import Command, Report
from reloaderd.core.changes import Change
from reloaderd.core.paths import join, parent
from reloaderd.events import Kind

HELLO = 5.0
"""Seconds in which a run that is followed has said so: Python needs 20 ms, a wrapper that builds more."""

MOST_MADE = 1000
"""New files of a run that were dismissed and are remembered."""

ENDINGS = (".py", ".pyc", ".so")
"""What an import finds: importlib.machinery.all_suffixes() ends in these."""

NOT_FOLLOWED = (
    "--exact: the command does not tell what it loads, so every file counts"
    " (it is no Python of 3.8 or later, runs with -I, -E or -S, or lost PYTHONPATH on its way)"
)


class Exact:
    """Whether the present run is known well enough to dismiss what it has not loaded."""

    def __init__(self, service: str, on: bool) -> None:
        self.on = on
        self.alive = False
        """Whether there is a run; kept by the service."""
        self.followed = False
        """Whether the present run told of itself."""
        self.full = False
        """Whether there is more than it could tell."""
        self._service = service
        self._begun = 0.0
        self._believed = False  # the run before told of itself
        self._missing: set[str] = set()  # modules without their endings
        self._absent: set[str] = set()  # data that was to be read
        self._absent_names: set[str] = set()
        self._dismissed: dict[str, Change] = {}  # before the run told of itself
        self._made: dict[str, Change] = {}  # dismissed, too, but new
        self._warned = not on

    def begin(self, now: float) -> None:
        """A run is about to start."""
        self._begun, self.followed, self.full = now, False, False
        self._missing.clear()
        self._absent.clear()
        self._absent_names.clear()
        self._dismissed.clear()
        self._made.clear()

    def told(self) -> None:
        """The run told of itself."""
        self.followed = self._believed = True
        self._dismissed.clear()

    def missed(self, prefix: str) -> None:
        """An import looked here in vain."""
        self._missing.add(prefix)

    def lacked(self, path: str) -> None:
        """The run would have read that."""
        self._absent.add(path)
        self._absent_names.add(path.rpartition("/")[2])

    def is_absent(self, path: str) -> bool:
        """Whether it would have."""
        return path in self._absent

    def found(self, path: str) -> None:
        """It was loaded, or is the run's own."""
        self._missing.discard(prefix(path))
        if path in self._absent:
            self._absent.discard(path)
            self._absent_names.discard(path.rpartition("/")[2])

    def remembered(self) -> list[Change]:
        """What was made before it was known that it was looked for, and so was dismissed."""
        found = [path for path in self._made if self.is_looked_for(path) or self.is_sought(path)]
        return [self._made.pop(path) for path in found]

    @property
    def looked_for(self) -> int:
        """In how many places it was looked in vain."""
        return len(self._missing) + len(self._absent)

    def dismisses(self, now: float) -> bool:
        """Whether what is not loaded does not count."""
        known = self.followed or (self._believed and now < self._begun + HELLO)
        return self.on and self.alive and not self.full and known

    def is_looked_for(self, path: str) -> bool:
        """Whether it was to be read, or an import that failed would have found it or what it is in."""
        if path in self._absent:
            return True
        if not self._missing:
            return False
        if path.endswith(ENDINGS) and prefix(path) in self._missing:
            return True
        while path != "/":
            path = parent(path)
            if path in self._missing:
                return True
        return False

    def is_sought(self, path: str) -> bool:
        """Whether a file of that name was to be read anywhere: a place that is not there is not looked in."""
        return path.rpartition("/")[2] in self._absent_names

    def dismiss(self, change: Change) -> None:
        """It does not count, as far as is known."""
        if not self.followed:
            self._dismissed[change.path] = change
        if change.kind is Kind.DELETED:
            self._made.pop(change.path, None)
        elif not change.existed and len(self._made) < MOST_MADE:
            self._made[change.path] = change

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        waits = self.alive and not self.followed and (self._dismissed or not self._warned)
        return self._begun + HELLO if waits else None

    def tick(self, now: float) -> tuple[list[Change], list[Command]]:
        """A run that was to tell of itself may not have: what counts after all, and what to say of it."""
        if not self.alive or self.followed or now < self._begun + HELLO:
            return [], []
        self._believed = False
        changes = [*self._dismissed.values()]
        self._dismissed.clear()
        if self._warned:
            return changes, []
        self._warned = True
        return changes, [Report("warning", self._service, {"text": NOT_FOLLOWED})]


def prefix(path: str) -> str:
    """A module's file, or the `__init__` of a package, without its endings."""
    directory, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return directory if stem == "__init__" else join(directory or "/", stem)
