"""Counting directories below others, to the end or for as long as there is time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reloaderd.doctor.extent import SLICE, extents


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    """`few` has 3 directories, `many` more than fit in a slice, each with itself."""
    (tmp_path / "few/a/b").mkdir(parents=True)
    (tmp_path / "few/file").touch()
    (tmp_path / "few/link").symlink_to("..")
    for number in range(3 * SLICE):
        (tmp_path / f"many/{number}").mkdir(parents=True)
    return tmp_path


def nothing(path: str) -> bool:
    return False


def test_every_directory_counts_once_and_links_do_not(trees: Path) -> None:
    few, many = str(trees / "few"), str(trees / "many")
    assert extents([few, many], nothing) == {few: (3, True), many: (3 * SLICE + 1, True)}


def test_what_is_passed_over_has_nothing_below_it(trees: Path) -> None:
    few = str(trees / "few")
    assert extents([few], lambda path: path == f"{few}/a") == {few: (1, True)}


def test_without_time_what_is_known_is_told_and_that_it_is_not_all(trees: Path) -> None:
    few = str(trees / "few")
    assert extents([few], nothing, patience=0) == {few: (1, False)}


def test_when_time_runs_out_each_had_its_turn(trees: Path) -> None:
    few, many = str(trees / "few"), str(trees / "many")
    clock = iter([0.0, 0.0, 0.0, 0.0, 2.0])  # two looks at it a round, and one before
    found = extents([many, few], nothing, patience=1.0, clock=lambda: next(clock))
    assert found == {many: (3 * SLICE + 1, False), few: (3, True)}


def test_what_cannot_be_read_has_nothing_below_it(tmp_path: Path) -> None:
    assert extents([str(tmp_path / "gone")], nothing) == {str(tmp_path / "gone"): (1, True)}
    assert os.path.isdir(tmp_path)
