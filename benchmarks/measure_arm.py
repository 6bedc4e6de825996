"""Measures arming: what many directories add to the start, against nftw and inotify_add_watch."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from benchmarks import procfs
from benchmarks.measures import Room, Row, any_start, median
from benchmarks.tools import Tool
from benchmarks.trees import Tree

FILES = 4

MOSTLY_IGNORED = 10_000, 10, 90_000
"""Directories, files in each, ignored directories: 100,000 and a million files, as a monorepo has."""

ARMS_FIRST = ("C", "reloaderd")
"""The tools that start the child once everything is armed: of others the start says nothing about it."""

BARE = "C nftw + add_watch"


def measure(room: Room) -> list[Row]:
    """For each size: the bare loop timed from inside, and the start less the start on an empty tree."""
    rounds = 3 if room.quick else 5
    rows: list[Row] = []
    for dirs in (5_000,) if room.quick else (5_000, 50_000):
        room.say(f"arm: {dirs} directories, {rounds} rounds")
        with room.tree(0, 0) as empty, room.tree(dirs, FILES) as tree:
            rows += _one_size(room, f"arm {dirs}", ARMS_FIRST, empty, tree, rounds)
    if not room.quick:
        rows += _mostly_ignored(room, rounds)
    return rows


def _mostly_ignored(room: Room, rounds: int) -> list[Row]:
    dirs, files, ignored = MOSTLY_IGNORED
    room.say(f"arm: {dirs + ignored} directories, {ignored} of them ignored; {rounds} rounds")
    with room.tree(0, 0) as empty, room.tree(dirs, files, ignored=ignored) as tree:
        return _one_size(room, "arm 10000 of 100000", ("reloaderd",), empty, tree, rounds)


def _one_size(room: Room, name: str, names: Sequence[str], empty: Tree, tree: Tree, rounds: int) -> list[Row]:
    bare: list[float] = []
    tools = [tool for tool in room.tools if tool.name in names]
    spent: dict[Tool, list[tuple[float, float]]] = {tool: [] for tool in tools}
    memory: dict[Tool, tuple[float, float]] = {}
    watches = 0
    for turn in range(rounds + 1):
        done = subprocess.run([room.programs.arm, tree.root], capture_output=True, text=True, check=True)
        watches, milliseconds = int(done.stdout.split()[0]), float(done.stdout.split()[1])
        if turn:  # the first turn only warms the caches
            bare.append(milliseconds)
        for tool in tools:
            least, _ = _start(room, tool, empty)
            most, memory[tool] = _start(room, tool, tree)
            if turn and least is not None and most is not None:
                spent[tool].append((most - least, most))
    rows = [Row(name, BARE, {"arm ms": median(bare), "watches": watches})]
    for tool, found in spent.items():
        figures = {
            "arm ms": median([arm for arm, _ in found]),
            "exec to child ms": median([whole for _, whole in found]),
            "RSS MB": memory[tool][0],
            "family PSS MB": memory[tool][1],
        }
        rows.append(Row(name, tool.name, dict(figures)))
    return rows


def _start(room: Room, tool: Tool, tree: Tree) -> tuple[float | None, tuple[float, float]]:
    """Milliseconds from exec to the child's first instruction, and RSS and family PSS then, in MB."""
    with room.run(tool, tree) as running:
        start, _ = running.await_start(any_start, 120.0)
        memory = procfs.rss(running.pid), procfs.pss(running.family())
        return (None if start is None else (start.at - running.began) / 1e6), memory
