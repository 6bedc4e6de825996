"""Puts together what was found: each root with what is in it, and what this user may have."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from reloaderd.core.diagnosis import Allowance, Checkup, Ignored, Part, Root, Unreadable
from reloaderd.core.paths import is_below, join, parent
from reloaderd.core.reasons import LIMITS
from reloaderd.core.watchtree import Node
from reloaderd.doctor.extent import Extent, extents
from reloaderd.doctor.survey import Survey
from reloaderd.kernel import limits
from reloaderd.kernel.mounts import Mount, needs_polling
from reloaderd.settings import DoctorSettings


def check(settings: DoctorSettings) -> Checkup:
    """Look at everything.  Raises ReloaderdError where a backend that was asked for is missing."""
    with Survey(settings) as survey:
        found = [_Found(survey, path) for path in settings.service.roots]
        paths = dict.fromkeys(path for root in found for path in root.ignored)
        counted = extents(paths, survey.watcher.tree.__contains__)
        roots = [root.root(counted) for root in found]
        needed = _wanted(survey, survey.held)
        source = survey.source.name
    return _allowed(Checkup(settings.backend, source, roots, needed))


def _allowed(checkup: Checkup) -> Checkup:
    """The same with the limits.  To be asked when nothing of ours is open any more."""
    used = limits.used(os.geteuid())
    return checkup._replace(
        watches=Allowance(*limits.limit("ENOSPC"), used.watches),
        instances=Allowance(*limits.limit("EMFILE"), used.instances),
        queue=limits.tightest(limits.QUEUE),
        complete=used.complete,
    )


def _wanted(survey: Survey, watches: Iterable[int]) -> int:
    """How many of the watches are inotify's, or would be if it had room."""
    reasons = [survey.source.reason(watch) for watch in watches]
    return sum(not why or why in LIMITS for why in reasons)


class _Found:
    """What the survey found of one root."""

    def __init__(self, survey: Survey, path: str) -> None:
        self._survey = survey
        self._path = path
        self._anchored = survey.anchored[path]
        self._mounts = self._mounts_below()
        self._parts: list[Part] = []
        self._directories: Counter[int] = Counter()  # of each part
        self._watches: set[int] = set()
        self._files = self._skipped = 0
        self._unreadable: list[Unreadable] = []
        self.ignored: list[str] = []
        if self._anchored.is_dir:
            self._walk()
            self._add_files()
        else:
            self._parts.append(self._part(path, self._anchored.polled))
            self._files = int(self._anchored.identity is not None)

    def root(self, counted: dict[str, Extent]) -> Root:
        """All of it, the largest of what is ignored first."""
        rules = self._survey.watcher.rules
        ignored = [
            Ignored(path, *counted[path], rule.rule, rule.origin)
            for path in self.ignored
            if (rule := rules.verdict(path, is_dir=True)).action == "ignore"
        ]
        ignored += [
            Ignored(path, *counted[path], "made up when read", self._survey.left_out[path])
            for path in self.ignored
            if path in self._survey.left_out
        ]
        parts = [one._replace(directories=self._directories[at]) for at, one in enumerate(self._parts)]
        return Root(
            self._path,
            self._anchored.identity is not None,
            self._anchored.is_dir,
            parts[0],
            parts[1:],
            self._files,
            self._skipped,
            _wanted(self._survey, self._watches),
            _wanted(self._survey, self._on_the_way()),
            sorted(ignored, key=lambda one: (-one.directories, one.path)),
            self._unreadable,
        )

    def _walk(self) -> None:
        """Go through all that is watched below the root, and note which part each directory belongs to."""
        survey = self._survey
        tree = survey.watcher.tree
        todo = [(self._path, -1)]
        while todo:
            path, number = todo.pop()
            node = tree.get(path)
            why = survey.source.reason(node.watch) if node else ""
            if number < 0 or path in self._mounts or why != self._parts[number].polled:
                number = len(self._parts)
                self._parts.append(self._part(path, why))
            if node is None:  # it went away in the meantime
                continue
            self._note(node, number)
            todo += [(below, number) for name in node.dirs if (below := join(path, name)) in tree]

    def _note(self, node: Node, number: int) -> None:
        survey, path = self._survey, node.path
        self._directories[number] += 1
        self._watches.add(node.watch)
        self._files += len(node.files)
        self._skipped += survey.skipped.get(path, 0)
        self.ignored += survey.ignored_in(path)
        self._unreadable += [Unreadable(one, survey.unreadable[one]) for one in survey.unreadable_in(path)]

    def _add_files(self) -> None:
        """Files that are mounted by themselves are parts, too, where they count."""
        tree = self._survey.watcher.tree
        for path in self._mounts:
            node = tree.get(parent(path))
            if path not in tree and node is not None and path.rpartition("/")[2] in node.files:
                why = self._survey.source.polled([node]).get(path, "")
                self._parts.append(self._part(path, why or self._survey.source.reason(node.watch)))

    def _part(self, path: str, why: str) -> Part:
        mount = self._mounts.get(path) or self._survey.mounts.at(path) or Mount(0, 0, "", "", "")
        return Part(path, mount.type, mount.point, why, not why and needs_polling(mount.type), 0)

    def _mounts_below(self) -> dict[str, Mount]:
        """Those that are seen below the root, by the path that they have through it."""
        mounts = self._survey.mounts
        if not self._anchored.is_dir or self._anchored.identity is None:
            return {}
        real = self._anchored.identity[2]
        paths = {
            join(self._path, mount.point[len(real.rstrip("/")) + 1 :]): mount for mount in mounts.below(real)
        }
        # what is mounted there may be covered by another mount
        return {path: mount for path, mount in paths.items() if mounts.at(path) == mount}

    def _on_the_way(self) -> set[int]:
        """The watches that are held for the way to the root, to ignore files above it, and for locks."""
        survey = self._survey
        above = "" if self._anchored.is_dir else parent(self._path)
        found = [
            one for one in survey.repositories.values() if is_below(one.path, self._path) or one.path == above
        ]
        paths = {self._path, *(file.path for one in found for file in one.files)}
        ways = [survey.anchored[path] for path in paths if path in survey.anchored]
        watches = {step.watch for way in ways for step in way.steps}
        watches.update(watch for way in ways for watch in way.ancestors)
        watches.update(one.watch for one in found)
        return {watch for watch in watches if watch in survey.held and watch not in self._watches}
