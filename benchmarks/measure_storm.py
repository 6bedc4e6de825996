"""Measures a storm: 20,000 files rewritten at once, as a checkout or a formatter does it."""

from __future__ import annotations

import os
import time

from benchmarks import procfs
from benchmarks.measures import Room, Row, any_start, median
from benchmarks.running import Running, Start
from benchmarks.tools import Tool
from benchmarks.trees import Tree

DIRS, FILES = 100, 200

REST = 3.0
"""Seconds without a start after which the storm is over: more than any debounce of the tools here."""

UNSEEN = 30.0
"""The same while no run has seen the last write: a tool may still be at work on what it was told."""

LIMIT = 120.0


def measure(room: Room) -> list[Row]:
    """Rounds in turn over the tools, one at a time: each has the machine to itself."""
    rounds = 1 if room.quick else 3
    room.say(f"storm: {DIRS * FILES} files, {rounds} rounds")
    found: dict[Tool, list[dict[str, float]]] = {tool: [] for tool in room.tools}
    faults: dict[Tool, str] = {}
    with room.tree(DIRS, FILES) as tree:
        files = sorted(path for path in tree.files() if path != tree.stamp)
        for _ in range(rounds):
            for tool in room.tools:
                with room.run(tool, tree) as running:
                    result = _storm(running, tree, files)
                    if running.ended():
                        faults[tool] = f"died: {running.complaint()[:60]}"
                    found[tool].append(result)
    return [_row(tool, results, faults.get(tool, "")) for tool, results in found.items()]


def _storm(running: Running, tree: Tree, files: list[str]) -> dict[str, float]:
    running.await_start(any_start)
    running.await_rest()
    time.sleep(1.2)  # an adaptive debounce is not to be in its first second
    running.starts()
    family = running.family()
    before = procfs.whole_cpu(family)
    began = time.monotonic()
    for path in files:
        # Not truncated: ext4 then flushes each file as it is closed (auto_da_alloc), and "at once" is 5 s.
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"again\n")
        os.close(fd)
    last, word = tree.save()
    starts = _until_rest(running, word)
    final = max(starts, key=lambda start: start.at, default=None)
    seen = [start.at for start in starts if start.word == word and start.at >= last]
    return {
        "writing": last / 1e9 - began,
        "starts": len(starts),
        "cpu": procfs.whole_cpu(family) - before,
        "seen": float(final is not None and final.word == word and not running.ended()),
        "delay": (min(seen) - last) / 1e6 if seen else -1.0,
        "rss": procfs.rss(running.pid),
    }


def _until_rest(running: Running, word: str) -> list[Start]:
    """All starts until REST seconds have passed without one, or UNSEEN while no run has read `word`."""
    starts: list[Start] = []
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit:
        seen = any(start.word == word for start in starts)
        came = running.starts(REST if seen or running.ended() else UNSEEN)
        if not came:
            break
        starts += came
    return starts


def _row(tool: Tool, results: list[dict[str, float]], fault: str) -> Row:
    delays = [result["delay"] for result in results if result["delay"] >= 0]
    return Row(
        "storm",
        tool.name,
        {
            "restarts": median([result["starts"] for result in results]),
            "most restarts": max(result["starts"] for result in results),
            "CPU s": median([result["cpu"] for result in results]),
            "last write seen": "yes"
            if all(result["seen"] for result in results)
            else f"not in {UNSEEN:.0f} s",
            "seen after ms": median(delays),
            "RSS MB after": max(result["rss"] for result in results),
            "writing s": median([result["writing"] for result in results]),
            "fault": fault,
        },
    )
