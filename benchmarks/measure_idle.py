"""Measures rest: memory and context switches of a tool on 200 directories while nothing happens."""

from __future__ import annotations

import contextlib
import time

from benchmarks import procfs
from benchmarks.measures import Room, Row, any_start
from benchmarks.running import Running

DIRS, FILES = 200, 4

SETTLE = 2.0
"""Seconds from the start to where rest begins."""

PATTERNED = "reloaderd+gitignore"
"""reloaderd on a tree that has .gitignore files: the peers do not read them."""


def measure(room: Room) -> list[Row]:
    """All tools at once, each on a tree of its own; reloaderd on one with patterns as well."""
    room.say(f"idle: {room.idle_seconds:.0f} s")
    with contextlib.ExitStack() as stack:
        running: list[tuple[str, Running]] = []
        for tool in room.tools:
            for name in (tool.name, PATTERNED) if tool.name == "reloaderd" else (tool.name,):
                tree = stack.enter_context(room.tree(DIRS, FILES, gitignore=name == PATTERNED))
                running.append((name, stack.enter_context(room.run(tool, tree))))
        alive = [(name, one) for name, one in running if one.await_start(any_start)[0] is not None]
        for _, one in alive:
            one.await_rest()
        time.sleep(SETTLE)
        families = [one.family() for _, one in alive]
        before = [(procfs.switches(family), procfs.own_cpu(family)) for family in families]
        time.sleep(room.idle_seconds)
        after = [(procfs.switches(family), procfs.own_cpu(family)) for family in families]
        return [
            Row(
                "idle",
                name,
                {
                    "switches": late[0] - early[0],
                    "CPU ms": (late[1] - early[1]) * 1e3,
                    "seconds": room.idle_seconds,
                    "RSS MB": procfs.rss(one.pid),
                    "family PSS MB": procfs.pss(family),
                    "processes": len(family),
                },
            )
            for (name, one), family, early, late in zip(alive, families, before, after, strict=True)
        ]
