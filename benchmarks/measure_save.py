"""Measures a save: from just before it to the new child's first instruction, starts and CPU it takes.

All tools run at once, each on a tree of its own, and are saved for in turn (A B C A B C), so that whatever
else the machine does hits them alike.  Between two saves for the same tool lie at least GAP seconds: an
adaptive debounce, as reloaderd's, waits longer after a restart in the last second, and that is not what is
measured here.
"""

from __future__ import annotations

import contextlib
import time

from benchmarks import procfs
from benchmarks.measures import Room, Row, any_start, median, percentile
from benchmarks.running import Running

GAP = 1.2
"""Seconds between two saves for one tool."""

SETTLE = 0.1
"""Seconds for second thoughts of a tool (another restart for the same save) before the next tool's turn."""

LIMIT = 5.0
"""Seconds after which a save counts as missed."""

DIRS, FILES = 20, 10


class Tally:
    """What the saves for one tool came to."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.times: list[float] = []
        self.starts = 0
        self.missed = 0
        self.last = 0.0
        family = running.family()
        self._own, self._whole = procfs.own_cpu(family), procfs.whole_cpu(family)

    def save(self, *, atomic: bool) -> None:
        """Save once and wait for a run that has read what was saved."""
        time.sleep(max(0.0, self.last + GAP - time.monotonic()))
        self.starts += len(self.running.starts())
        self.last = time.monotonic()
        began, word = self.running.tree.save(atomic=atomic)
        start, seen = self.running.await_start(lambda start: start.word == word and start.at > began, LIMIT)
        self.starts += seen
        if start is None:
            self.missed += 1
        else:
            self.times.append((start.at - began) / 1e6)
        time.sleep(SETTLE)

    def row(self, measure: str) -> Row:
        """The figures, once the last restart has settled."""
        saves = len(self.times) + self.missed
        family = self.running.family()
        own, whole = procfs.own_cpu(family) - self._own, procfs.whole_cpu(family) - self._whole
        self.starts += len(self.running.starts())
        return Row(
            measure,
            self.running.tool.name,
            {
                "median ms": median(self.times),
                "p95 ms": percentile(self.times, 95),
                "starts per save": self.starts / saves,
                "missed": self.missed,
                "CPU ms per save": own / saves * 1e3,
                "with children's": whole / saves * 1e3,
                "RSS MB after": procfs.rss(self.running.pid),
            },
        )


def measure(room: Room) -> list[Row]:
    """Saves by writing in place, then by writing a new file and renaming it over the old one."""
    rounds = 10 if room.quick else 40
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        running = []
        for tool in room.tools:
            tree = stack.enter_context(room.tree(DIRS, FILES))
            running.append(stack.enter_context(room.run(tool, tree)))
        alive = [one for one in running if one.await_start(any_start)[0] is not None]
        for one in alive:
            one.await_rest()
        for name, atomic in (("save in place", False), ("save by rename", True)):
            room.say(f"{name}: {rounds} rounds")
            time.sleep(GAP)
            for one in alive:
                # The first save warms caches and finds out who is not watching yet; it is not counted.
                Tally(one).save(atomic=atomic)
            time.sleep(GAP)
            for one in alive:
                one.starts()
            tallies = [Tally(one) for one in alive]
            for _ in range(rounds):
                for tally in tallies:
                    tally.save(atomic=atomic)
            time.sleep(GAP)
            rows += [tally.row(name) for tally in tallies]
    return rows
