"""Measures the start: from the exec of a tool on 200 files to its child's first instruction."""

from __future__ import annotations

import sys

from benchmarks.measures import Room, Row, any_start, median, percentile
from benchmarks.tools import Tool

DIRS, FILES = 20, 10

EXECUTE = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
BARE_PYTHON = Tool("python", "", lambda root, child: [sys.executable, "-I", "-S", "-c", EXECUTE, *child])
"""An interpreter that does nothing but execute the child: what no tool written in Python can go below."""


def measure(room: Room) -> list[Row]:
    """Rounds in turn over the tools.  Some of the peers start the child before they watch."""
    rounds = 5 if room.quick else 20
    room.say(f"start: {rounds} rounds")
    times: dict[Tool, list[float]] = {
        tool: [] for tool in (BARE_PYTHON, *room.tools) if tool.name != "reloaderd-0"
    }
    with room.tree(DIRS, FILES) as tree:
        for turn in range(rounds + 1):
            for tool, found in times.items():
                with room.run(tool, tree) as running:
                    start, _ = running.await_start(any_start)
                    if start is not None and turn:  # the first turn only warms the caches
                        found.append((start.at - running.began) / 1e6)
    return [
        Row("start", tool.name, {"median ms": median(found), "p95 ms": percentile(found, 95)})
        for tool, found in times.items()
    ]
