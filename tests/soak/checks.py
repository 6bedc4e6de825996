"""What must be so whenever a soak pauses: nothing is missed, nothing is left, nothing grows."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import inotify_simple

from tests.soak.judge import Judge
from tests.support import procfs
from tests.support.daemon import Daemon
from tests.support.places import Place
from tests.support.waiting import LIMIT, Unfulfilled

PATIENCE = 3 * LIMIT
"""Seconds for a check: git's lock is waited for for 60, a storm of restarts is slowed down to 8."""

WARM_UP = 20
"""Checks until what reloaderd holds is taken for what it needs."""

GROWTH = 4 << 20
"""Bytes that its memory may grow by after that (LI16): what the allocator leaves between the pieces."""

EXPECTED = re.compile(
    "is gone; waiting for it to come back"
    "|the kernel dropped events"
    "|restarts the command right after each start"
    "|the command keeps ending with status 3"
)
"""The warnings that a soak deserves."""


class Watched(Daemon):
    """The daemon under soak: lives long, so it forgets what was read."""

    def __init__(self, place: Place, *options: str, roots: Sequence[str], cwd: Path, manner: Path) -> None:
        super().__init__(
            place,
            "--ignore=*.tmp",
            "--stop-timeout=500ms",
            *options,
            roots=roots,
            cwd=cwd,
            probe=("--looks", "--also", str(manner)),
            read=roots,
            marker=place.scratch / "marker.py",  # there is none
            children=None,
            warnings=True,
        )
        self.source = self.named("watching")[0]["source"]
        self.said: Counter[str] = Counter()  # of what was forgotten

    def forget(self) -> None:
        """Keep what the latest run said, and how often anything was."""
        last = self.starts[-1]
        self.said.update(one["event"] for one in self.events)
        self.said["overflow"] += sum("dropped" in one["text"] for one in self.named("warning"))
        self._records = [one for one in self._records if one.run == last.run]
        self._events = [one for one in self._events if one.get("run") == last.run]
        self.said.subtract(one["event"] for one in self._events)  # they will be counted then

    def ended_by_itself(self, run: int) -> bool:
        return any(one["run"] == run for one in self.named("ended"))


class Checks:
    """Each raises Unfulfilled for what does not become so in good time."""

    def __init__(self, daemon: Watched, judge: Judge) -> None:
        self._daemon = daemon
        self._judge = judge
        self.spare = 0  # watches that may be held though nothing needs them
        self.count = 0
        self.descriptors = 0  # the most that were open
        self.memory = 0  # bytes: the most
        self._settled_descriptors = 0
        self._settled_memory = 0

    def check(self) -> None:
        self.count += 1
        self._last_state_seen()
        self._one_run()
        if self._daemon.source != "poll":
            self._watches()
        self._nothing_grows()
        self._words()
        self._daemon.forget()

    def _wait(self, check: Any, what: str) -> None:
        def alive_and() -> Any:
            if self._daemon.process_ended():
                raise Unfulfilled(f"reloaderd ended\n{self._daemon.report()}")
            return check()

        self._daemon.wait(alive_and, what, PATIENCE)

    def _last_state_seen(self) -> None:
        disk = self._judge.disk()
        judged = -1.0
        differing = ["no start"]

        def seen() -> bool:
            nonlocal judged, differing
            last = self._daemon.starts[-1]
            if last.at != judged:
                judged, differing = last.at, self._judge.differences(last.payload, disk)
            return not differing

        try:
            self._wait(seen, "the last state to be seen")
        except Unfulfilled as error:
            raise Unfulfilled(f"{error}\n--- differs\n" + "\n".join(differing[:20])) from None

    def _one_run(self) -> None:
        """The child of the last run is alive unless it ended by itself, and nothing of an earlier one is."""

        def alone() -> bool:
            last = self._daemon.starts[-1]
            runs = {pid: _run_of(pid) for pid in procfs.marked(self._daemon.place.mark)}
            if any(run not in ("", str(last.run)) for run in runs.values()):
                return False
            return last.pid in runs or self._daemon.ended_by_itself(last.run)

        self._wait(alone, "the child of the last start, and nothing of another run")

    def _watches(self) -> None:
        """As many as the tree needs, and those on the way to it."""
        wanted = _inodes(self._judge.watched())
        allowed = wanted | _inodes(self._judge.allowed())
        wrong = ""

        def right() -> bool:
            nonlocal wrong
            held = set(procfs.watched_inodes(self._daemon.pid).values())
            missing = [path for inode, path in wanted.items() if inode not in held]
            wrong = f"not watched: {missing}\nleaked: {held - allowed.keys()}"
            return not missing and len(held - allowed.keys()) <= self.spare

        try:
            self._wait(right, "the watches that the tree needs")
        except Unfulfilled as error:
            raise Unfulfilled(f"{error}\n--- watches\n{wrong}") from None

    def _nothing_grows(self) -> None:
        pid = self._daemon.pid
        if self.count <= WARM_UP:
            self._settled_descriptors = max(self._settled_descriptors, len(procfs.fds(pid)))
            self._settled_memory = max(self._settled_memory, procfs.rss(pid))
        self._wait(
            lambda: len(procfs.fds(pid)) <= self._settled_descriptors,
            f"no more than {self._settled_descriptors} descriptors, as at first",
        )
        self.descriptors = max(self.descriptors, len(procfs.fds(pid)))
        self.memory = max(self.memory, procfs.rss(pid))
        if self.memory > self._settled_memory + GROWTH:
            megabytes = (self._settled_memory >> 20, self.memory >> 20)
            raise Unfulfilled(
                f"its memory grew from {megabytes[0]} to {megabytes[1]} MB\n{self._daemon.report()}"
            )

    def _words(self) -> None:
        if self._daemon.noise:
            raise Unfulfilled(f"said out of turn: {self._daemon.noise[:20]}\n{self._daemon.report()}")
        for one in self._daemon.events:
            if one["event"] == "error" or (one["event"] == "warning" and not EXPECTED.search(one["text"])):
                raise Unfulfilled(f"unexpected: {one}\n{self._daemon.report()}")


def _run_of(pid: int) -> str:
    """Which run a process is of; '' for reloaderd and its keeper."""
    return procfs.environ(pid).get("RELOADERD_RUN", "")


def _inodes(paths: set[str]) -> dict[tuple[str, str], str]:
    """How the kernel tells of watches on these directories, whatever their file system makes of stat(2)."""
    watched = {}
    with inotify_simple.INotify() as inotify:
        for path in paths:
            try:
                flags = inotify_simple.flags.DELETE_SELF | inotify_simple.flags.ONLYDIR
                watched[inotify.add_watch(os.fsencode(path), flags)] = path
            except OSError:
                continue
        return {inode: watched[watch] for watch, inode in procfs.watched_inodes(os.getpid()).items()}
