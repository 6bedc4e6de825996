"""FE: what happens to files, and whether it restarts the child."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.daemon import Daemon
from tests.support.places import Place, build
from tests.support.waiting import wait_until

Watch = Callable[..., Daemon]
Action = Callable[[Place], object]

LONE = "--debounce=400ms"
"""Quiet enough that several calls of one test are one act on a machine that stutters."""


def in_tree(edit: Callable[..., object], name: str, *arguments: object) -> Action:
    return lambda place: edit(place.tree / name, *arguments)


def rename(old: str, new: str) -> Action:
    return lambda place: os.rename(place.base / old, place.base / new)


def several(*actions: Action) -> Action:
    def act(place: Place) -> None:
        for action in actions:
            action(place)

    return act


ONE_RESTART: dict[str, Action] = {
    "fe01_create_empty_file": in_tree(Path.touch, "new.py"),
    "fe02_create_file_with_data": in_tree(edits.write, "new.py", "data\n"),
    "fe03_append": in_tree(edits.append, "a.py"),
    "fe03_append_below": in_tree(edits.append, "pkg/deep/c.py"),
    "fe06_truncate_by_path": in_tree(edits.truncate, "a.py", 1),
    "fe07_truncate_an_empty_file": in_tree(edits.write, "empty.py", ""),
    "fe10_unlink": in_tree(os.unlink, "a.py"),
    "fe12_rename_within_tree": rename("tree/a.py", "tree/pkg/z.py"),
    "fe13_rename_over_existing": rename("tree/a.py", "tree/b.py"),
    "fe14_rename_in": rename("outside/o.py", "tree/o.py"),
    "fe14_rename_in_over_existing": rename("outside/o.py", "tree/a.py"),
    "fe14_rename_out": rename("tree/a.py", "outside/a.py"),
    "fe21_hard_link": lambda place: os.link(place.tree / "a.py", place.tree / "linked.py"),
    "fe21_symlink": lambda place: os.symlink("a.py", place.tree / "linked.py"),
    "fe23_touch": in_tree(edits.touch, "a.py"),
    "fe28_write_through_hard_link_in_tree": in_tree(edits.append, "hard.py"),
    "fe34_same_bytes_rewritten": in_tree(edits.write, "b.py", "b\n"),
}

FILES = {
    "a.py": "a\n",
    "b.py": "b\n",
    "empty.py": "",
    "pkg/m.py": "m\n",
    "pkg/deep/c.py": "c\n",
    "hard-1.py": "h\n",
}


@pytest.fixture
def files(place: Place) -> Place:
    build(place.tree, FILES)
    build(place.outside, {"o.py": "outside\n"})
    os.link(place.tree / "hard-1.py", place.tree / "hard.py")
    return place


@pytest.mark.parametrize("case", ONE_RESTART)
def test_one_restart(case: str, files: Place, watch: Watch) -> None:
    daemon = watch()
    with daemon.restarts(1):
        ONE_RESTART[case](files)
