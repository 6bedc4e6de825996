"""What would be watched, as it was found, and what of that needs a mend.

Rules:
- A problem is what `watch` would warn of, or could not even know of: what does not fit the limits, cannot be
  read, changes without a word to inotify, or is polled though nobody asked for that.
- A file system that others write to is polled as it should be: no problem.
- Every problem has a mend.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reloaderd.core.paths import is_below
from reloaderd.core.reasons import (
    ASKED_FOR,
    LIMITS,
    MADE_UP,
    NO_INOTIFY,
    NO_PACKAGE,
    more_instances,
    more_watches,
)

NAMED = 3
"""Paths that a problem names at most."""

PLAIN = re.compile(r"[\w./+@-]+", re.ASCII)
"""What means itself, to a shell and in a pattern."""


class Part(NamedTuple):
    """A root, or what is below it on another mount or learnt of by another source.

    `type` and `mount` are of its file system, '' where that is not known.  `polled` says why it is polled,
    as in `Armed`.  `blind`: it is not, though inotify misses what happens there.
    """

    path: str
    type: str
    mount: str
    polled: str
    blind: bool
    directories: int


class Ignored(NamedTuple):
    """A directory that is ignored, in one that is not, and how many that would cost, itself included.

    Not `complete`: there was no time to count them all.
    """

    path: str
    directories: int
    complete: bool
    rule: str
    origin: str


class Unreadable(NamedTuple):
    """A directory that cannot be watched, and the errno of that."""

    path: str
    error: int


class Root(NamedTuple):
    """A root and what counts in it.  `skipped` are the files that do not, in directories that do.

    `below` are the watches of its directories, `way` those that are held besides for its sake.
    """

    path: str
    here: bool
    is_dir: bool
    part: Part
    parts: Sequence[Part]
    files: int
    skipped: int
    below: int
    way: int
    ignored: Sequence[Ignored]
    unreadable: Sequence[Unreadable]

    @property
    def directories(self) -> int:
        """All that are watched below it, by whatever means."""
        return self.part.directories + sum(part.directories for part in self.parts)


class Allowance(NamedTuple):
    """A limit of this user, by its sysctl ('' where there is none), and what is taken of it."""

    name: str = ""
    value: int = 0
    used: int = 0


class Checkup(NamedTuple):
    """All that was found.  `source` is the name of what is not polled, `needed` the watches that it takes.

    `queue` is the limit of unread events.  `complete`: nothing that this user has taken is out of sight.
    """

    backend: str
    source: str
    roots: Sequence[Root]
    needed: int
    watches: Allowance = Allowance()
    instances: Allowance = Allowance()
    queue: tuple[str, int] = ("", 0)
    complete: bool = True

    @property
    def missing(self) -> int:
        """How many more watches are needed than there are."""
        _, value, used = self.watches
        return min(self.needed, max(0, used + self.needed - value)) if self.watches.name else 0


class Problem(NamedTuple):
    """What is wrong, and what to do about it."""

    text: str
    mend: str


def source_of(part: Part, checkup: Checkup) -> str:
    """The source that would watch it."""
    return "poll" if part.polled else checkup.source


def reason_of(part: Part, checkup: Checkup) -> str:
    """Why it would be that source."""
    why = part.polled
    if why in LIMITS:
        return f"no inotify instance is left ({why})"
    if why == NO_PACKAGE:
        return "no inotify package is installed"
    if why == NO_INOTIFY:
        return "this kernel or sandbox has no inotify"
    if checkup.backend != "auto":
        return ASKED_FOR
    if not why:
        return "the kernel sees all writers"
    if why in MADE_UP:
        return f"{why}: made up when read"
    return f"{why}: others write to it" if why == part.type else why


def problems(checkup: Checkup) -> list[Problem]:
    """All that needs a mend, the gravest first."""
    return [*_room(checkup), *_absent(checkup), *_unreadable(checkup), *_sources(checkup)]


def _room(checkup: Checkup) -> Iterator[Problem]:
    refused = next((root.part.polled for root in checkup.roots if root.part.polled in LIMITS), "")
    name, value, used = checkup.instances
    if refused == "EMFILE" and name:
        text = f"this user may have no more inotify instances: {name} is {value:,}, {_taken(used)}"
        yield Problem(f"{text}; everything would be polled", more_instances(name, value))
    elif refused:
        text = f"inotify has no room ({refused}): everything would be polled"
        yield Problem(text, "end what needs much memory")
    if checkup.missing:
        name, value, used = checkup.watches
        text = f"this user may have too few inotify watches: {name} is {value:,}, {_taken(used)}"
        text += f", {checkup.needed:,} are needed; {_directories(checkup.missing)} would be polled"
        yield Problem(text, more_watches(name, used + checkup.needed))


def _absent(checkup: Checkup) -> Iterator[Problem]:
    for root in checkup.roots:
        if not root.here:
            yield Problem(f"{root.path} went away while it was looked at", "look again when it is back")


def _unreadable(checkup: Checkup) -> Iterator[Problem]:
    parts = [part for root in checkup.roots for part in (root.part, *root.parts)]
    made_up = [part.path for part in parts if part.polled in MADE_UP]
    found = {
        one.path: (one.error, root)
        for root in checkup.roots
        for one in root.unreadable
        if not any(is_below(one.path, above) for above in made_up)  # which have a mend of their own
    }
    refused = [(path, root) for path, (error, root) in found.items() if error == errno.EACCES]
    if refused:
        them = "it" if len(refused) == 1 else "them"
        yield Problem(
            f"{_directories(len(refused))} may not be read by this user, and so not be watched",
            f"allow that (chmod u+rx), or leave {them} out: {_leaving_out(refused)}",
        )
    others = [(path, root) for path, (error, root) in found.items() if error != errno.EACCES]
    if others:
        text = f"{_directories(len(others))} cannot be watched, for the reason above"
        yield Problem(text, _leaving_out(others))


def _sources(checkup: Checkup) -> Iterator[Problem]:
    parts = {part.path: (part, root) for root in checkup.roots for part in (root.part, *root.parts)}
    if any(part.polled == NO_PACKAGE for part, _ in parts.values()):
        text = "no inotify package is installed: everything would be polled"
        yield Problem(text, "python -m pip install inotify_simple")
    made_up = _topmost([(part.path, root) for part, root in parts.values() if part.polled in MADE_UP])
    if made_up:
        text = f"files in {_listed(made_up)} are made up when read, and few tell that they changed"
        yield Problem(text, _leaving_out(made_up))
    blind = _topmost([(part.path, root) for part, root in parts.values() if part.blind])
    if blind:
        mend = f"leave out --backend {checkup.backend}" if checkup.backend != "auto" else "--backend poll"
        yield Problem(f"inotify does not tell of all that changes in {_listed(blind)}", mend)


def _topmost(found: Sequence[tuple[str, Root]]) -> list[tuple[str, Root]]:
    """Without what is below another."""
    kept: list[tuple[str, Root]] = []
    for path, root in sorted(found, key=lambda one: one[0]):
        if not any(is_below(path, above) for above, _ in kept):
            kept.append((path, root))
    return kept


def _listed(found: Sequence[tuple[str, Root]]) -> str:
    paths = ", ".join(path for path, _ in found[:NAMED])
    return paths + (f" (+{len(found) - NAMED})" if len(found) > NAMED else "")


def _leaving_out(found: Sequence[tuple[str, Root]]) -> str:
    """What to type to do without these directories."""
    patterns = []
    for path, root in found[:NAMED]:
        pattern = f"{path[len(root.path.rstrip('/')) :]}/"
        if path == root.path:
            return "name another PATH"
        if not PLAIN.fullmatch(pattern):
            return "--ignore"
        patterns.append(f"--ignore {pattern}")
    return " ".join(patterns) + (" ..." if len(found) > NAMED else "")


def _taken(count: int) -> str:
    return f"{count:,} {'is' if count == 1 else 'are'} taken"


def _directories(count: int) -> str:
    return "1 directory" if count == 1 else f"{count:,} directories"
