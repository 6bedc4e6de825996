"""What sources of events tell on the real kernel: what is done, once, in order, and nothing else."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from reloaderd.events import EntryChanged, Kind, WatchEnded, WatchMoved
from reloaderd.kernel import masks
from reloaderd.kernel.source import COMING, CONTENT, GOING, LEAVING, Source
from tests.conftest import unshare_options
from tests.support.sources import LATIN, SOURCES, Ground, changes, say, typed, unprivileged

CREATED, WRITTEN, CLOSED, TOUCHED = Kind.CREATED, Kind.WRITTEN, Kind.CLOSED, Kind.TOUCHED
ARRIVED, LEFT, DELETED = Kind.ARRIVED, Kind.LEFT, Kind.DELETED


def replace(path: Path) -> None:
    """As editors save: a file next to it, then one name for both."""
    path.with_name("new").write_text("x")
    path.with_name("new").rename(path)


def read(path: Path) -> None:
    assert path.read_text() == "x"
    assert path.name in os.listdir(path.parent)


ACTS: dict[str, tuple[Callable[[Path, Path], object], list[tuple[str, Kind]]]] = {
    "create": (lambda tree, _: os.mknod(tree / "b"), [("b", CREATED)]),
    "write": (
        lambda tree, _: (tree / "b").write_text("x"),
        [("b", CREATED), ("b", WRITTEN), ("b", CLOSED)],
    ),
    "rewrite": (lambda tree, _: (tree / "a").write_text("x"), [("a", WRITTEN), ("a", CLOSED)]),
    "truncate": (lambda tree, _: os.truncate(tree / "a", 0), [("a", WRITTEN)]),
    "touch": (lambda tree, _: os.utime(tree / "a"), [("a", TOUCHED)]),
    "chmod": (lambda tree, _: (tree / "a").chmod(0o600), [("a", TOUCHED)]),
    "read": (lambda tree, _: read(tree / "a"), []),
    "rename within": (lambda tree, _: (tree / "a").rename(tree / "b"), [("a", LEFT), ("b", ARRIVED)]),
    "rename in": (lambda tree, outside: (outside / "a").rename(tree / "b"), [("b", ARRIVED)]),
    "rename out": (lambda tree, outside: (tree / "a").rename(outside / "b"), [("a", LEFT)]),
    "replace": (
        lambda tree, _: replace(tree / "a"),
        [("new", CREATED), ("new", WRITTEN), ("new", CLOSED), ("new", LEFT), ("a", ARRIVED)],
    ),
    "delete": (lambda tree, _: (tree / "a").unlink(), [("a", DELETED)]),
    "link": (lambda tree, outside: (tree / "b").hardlink_to(outside / "a"), [("b", CREATED)]),
    "symlink": (lambda tree, outside: (tree / "b").symlink_to(outside), [("b", CREATED)]),
}

DIRECTORY_ACTS: dict[str, tuple[Callable[[Path, Path], object], list[tuple[str, Kind]]]] = {
    "mkdir": (lambda tree, _: (tree / "b").mkdir(), [("b", CREATED)]),
    "chmod": (lambda tree, _: (tree / "d").chmod(0o700), [("d", TOUCHED)]),
    "rename within": (lambda tree, _: (tree / "d").rename(tree / "b"), [("d", LEFT), ("b", ARRIVED)]),
    "rename in": (lambda tree, outside: (outside / "d").rename(tree / "b"), [("b", ARRIVED)]),
    "rename out": (lambda tree, outside: (tree / "d").rename(outside / "b"), [("d", LEFT)]),
    "rmdir": (lambda tree, _: (tree / "d").rmdir(), [("d", DELETED)]),
}


@pytest.mark.parametrize(
    ("acts", "act", "is_dir"),
    [(ACTS, act, False) for act in ACTS] + [(DIRECTORY_ACTS, act, True) for act in DIRECTORY_ACTS],
    ids=[*ACTS, *(f"directory {act}" for act in DIRECTORY_ACTS)],
)
def test_an_act_is_told(
    source: Source, ground: Ground, acts: dict[str, tuple], act: str, is_dir: bool
) -> None:
    for directory in (ground.tree, ground.outside):
        (directory / "a").write_text("x")
        (directory / "d").mkdir()
    watch = source.arm(str(ground.tree))
    do, told = acts[act]
    do(ground.tree, ground.outside)
    assert typed(*ground.told()) == changes(watch, *((name, kind, is_dir) for name, kind in told))


def test_an_act_that_is_two_events_in_one_is_told(ground: Ground, watch: int) -> None:
    """Truncating what is set-uid takes that bit off in the same call."""
    path = ground.tree / "a"
    path.touch()
    path.chmod(0o4755)
    ground.told()
    with path.open("r+") as file:
        with unprivileged():
            os.ftruncate(file.fileno(), 0)
        assert typed(*ground.told()) == changes(watch, ("a", WRITTEN, False))


@pytest.mark.parametrize(("mask", "kind"), [(3, WRITTEN), (5, TOUCHED), (6, WRITTEN), (7, WRITTEN)])
def test_of_events_in_one_the_one_that_says_most_is_told(mask: int, kind: Kind) -> None:
    assert masks.translate([(1, mask, 0, "a")]) == [EntryChanged(1, "a", kind, False)]


@pytest.mark.parametrize("name", ["a", "n" * 15, "n" * 16, "n" * 255, "café", LATIN, " \n\t"], ids=ascii)
def test_a_name_is_told_byte_by_byte(source: Source, ground: Ground, watch: int, name: str) -> None:
    """The kernel pads it with zeros to a multiple of 16, one at least."""
    (ground.tree / name).mkdir()
    below = source.arm(str(ground.tree / name))
    (ground.tree / name / name).symlink_to("nowhere")
    expected = changes(watch, (name, CREATED, True)) + changes(below, (name, CREATED, False))
    assert typed(*ground.told()) == expected


def test_a_name_that_is_not_utf8_takes_nothing_with_it(ground: Ground, watch: int) -> None:
    names = ["before", LATIN, "after"]
    for name in names:
        (ground.tree / name).mkdir()
    assert typed(*ground.told()) == changes(watch, *((name, CREATED, True) for name in names))


def test_a_watch_goes_with_its_directory(source: Source, ground: Ground, watch: int) -> None:
    (ground.tree / "d").mkdir()
    ground.told()
    below = source.arm(str(ground.tree / "d"))
    (ground.tree / "d").rename(ground.tree / "e")
    expected = [*changes(watch, ("d", LEFT, True), ("e", ARRIVED, True)), *typed(WatchMoved(below))]
    assert typed(*ground.told()) == expected
    (ground.tree / "e").rename(ground.outside / "e")
    assert typed(*ground.told()) == [*changes(watch, ("e", LEFT, True)), *typed(WatchMoved(below))]
    (ground.outside / "e" / "a").mkdir()
    assert typed(*ground.told()) == changes(below, ("a", CREATED, True))


def test_a_watch_ends_with_its_directory(source: Source, ground: Ground, watch: int) -> None:
    (ground.tree / "d").mkdir()
    ground.told()
    below = source.arm(str(ground.tree / "d"))
    (ground.tree / "d").rmdir()
    expected = [*typed(WatchMoved(below), WatchEnded(below)), *changes(watch, ("d", DELETED, True))]
    assert typed(*ground.told()) == expected


UNMOUNT = """
import subprocess, sys
import Source
subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[1]], check=True)
source = Source()
print(source.arm(sys.argv[1]))
subprocess.run(["umount", sys.argv[1]], check=True)
print(source.read())
source.close()
"""


@pytest.mark.needs("mounts")
def test_a_watch_ends_with_its_file_system(source: Source, tmp_path: Path) -> None:
    said = say(source, UNMOUNT, str(tmp_path), prefix=["unshare", *unshare_options()])
    assert said == "1\n[WatchMoved(watch=1), WatchEnded(watch=1)]\n"


def test_writing_to_a_deleted_file_is_silent(ground: Ground, watch: int) -> None:
    with (ground.tree / "a").open("w") as file:
        ground.told()
        (ground.tree / "a").unlink()
        assert typed(*ground.told()) == changes(watch, ("a", DELETED, False))
        file.write("x")
    assert ground.told() == []


LEAVING_TOLD = [("a", LEFT, False), ("a", ARRIVED, False), ("a", DELETED, False)]
COMING_TOLD = [("a", CREATED, False), *LEAVING_TOLD]
CONTENT_TOLD = [("a", kind, False) for kind in (CREATED, WRITTEN, CLOSED, TOUCHED)] + LEAVING_TOLD
TOLD = {GOING: [], LEAVING: LEAVING_TOLD, COMING: COMING_TOLD, CONTENT: CONTENT_TOLD}
"""What is told of a `life`, by interest."""


def life(ground: Ground) -> None:
    """All that can happen to a file."""
    path = ground.tree / "a"
    path.write_text("x")
    os.utime(path)
    path.rename(ground.outside / "a")
    (ground.outside / "a").rename(path)
    path.unlink()


@pytest.mark.parametrize("interest", TOLD)
def test_an_interest_alone(source: Source, ground: Ground, interest: int) -> None:
    watch = source.hold(str(ground.tree), "" if interest == GOING else "a", interest)
    life(ground)
    assert typed(*ground.told()) == changes(watch, *TOLD[interest])
    ground.tree.rename(ground.outside / "tree")
    (ground.outside / "tree").rmdir()
    assert typed(*ground.told()) == typed(WatchMoved(watch), WatchMoved(watch), WatchEnded(watch))


@pytest.mark.parametrize("second", TOLD)
@pytest.mark.parametrize("first", TOLD)
def test_interests_add_up(source: Source, ground: Ground, first: int, second: int) -> None:
    watch = source.hold(str(ground.tree), "a", first)
    assert source.hold(str(ground.tree), "a", second) == watch
    life(ground)
    assert typed(*ground.told()) == changes(watch, *TOLD[max(first, second)])


@pytest.mark.parametrize("interest", TOLD)
def test_an_interest_takes_nothing_away(source: Source, ground: Ground, watch: int, interest: int) -> None:
    assert source.hold(str(ground.tree), "a", interest) == watch
    life(ground)
    assert typed(*ground.told()) == changes(watch, *CONTENT_TOLD)


@pytest.mark.parametrize("interest", TOLD)
def test_arming_is_on_top_of_an_interest(source: Source, ground: Ground, interest: int) -> None:
    watch = source.hold(str(ground.tree), "a", interest)
    assert source.arm(str(ground.tree)) == watch
    life(ground)
    assert typed(*ground.told()) == changes(watch, *CONTENT_TOLD)


def test_two_paths_of_one_directory_share_a_watch(source: Source, ground: Ground, watch: int) -> None:
    alias = ground.outside / "alias"
    alias.symlink_to(ground.tree)
    assert source.arm(str(alias)) == watch
    assert source.hold(str(alias), "", GOING) == watch
    (alias / "a").mkdir()
    alias.unlink()
    (ground.tree / "b").mkdir()
    assert typed(*ground.told()) == changes(watch, ("a", CREATED, True), ("b", CREATED, True))
    source.drop(watch)
    (ground.tree / "c").mkdir()
    assert typed(*ground.told()) == typed(WatchEnded(watch))


def test_what_was_done_before_a_drop_is_told(source: Source, ground: Ground, watch: int) -> None:
    (ground.tree / "a").mkdir()
    source.drop(watch)
    (ground.tree / "b").mkdir()
    assert typed(*ground.told()) == [*changes(watch, ("a", CREATED, True)), *typed(WatchEnded(watch))]


def test_a_watch_after_a_drop_is_another(source: Source, ground: Ground, watch: int) -> None:
    source.drop(watch)
    again = source.arm(str(ground.tree))
    assert again != watch
    (ground.tree / "a").mkdir()
    assert typed(*ground.told()) == [*typed(WatchEnded(watch)), *changes(again, ("a", CREATED, True))]


def test_dropping_a_watch_that_is_not_known_is_no_error(source: Source, ground: Ground, watch: int) -> None:
    source.drop(watch + 1000)
    source.drop(-1)
    ground.tree.rmdir()
    source.drop(watch)
    assert typed(*ground.told()) == typed(WatchMoved(watch), WatchEnded(watch))
    source.drop(watch)
    assert ground.told() == []


def wander(tree: Path, outside: Path, seed: int) -> None:
    """Two hundred acts in no order; those that cannot be done are left."""
    choice = random.Random(seed).choice
    names = ["a", "b", LATIN, "d", "d/a", "d/b"]
    acts: list[Callable[[Path, Path], object]] = [
        lambda path, _: path.mkdir(),
        lambda path, _: path.rmdir(),
        lambda path, _: path.unlink(),
        lambda path, _: path.write_text("x"),
        lambda path, _: os.truncate(path, 0),
        lambda path, _: os.utime(path),
        lambda path, other: path.rename(other),
        lambda path, other: other.rename(path),
        lambda path, other: path.symlink_to(other),
        lambda path, other: path.hardlink_to(other),
    ]
    for _ in range(200):
        try:
            choice(acts)(tree / choice(names), choice([tree, outside]) / choice(names))
        except OSError:
            pass


@pytest.mark.parametrize("seed", range(10))
def test_all_sources_tell_the_same(tmp_path: Path, seed: int) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    for path in (tree / "d", outside / "d"):
        path.mkdir(parents=True)
    sources: list[Source] = [kind() for kind in SOURCES]
    for source in sources:
        source.arm(str(tree))
        source.hold(str(outside), "a", COMING)
        source.arm(str(tree / "d"))
    wander(tree, outside, seed)
    told = [typed(*source.read()) for source in sources]
    for source in sources:
        source.close()
    assert len(told[0]) > 50
    assert all(one == told[0] for one in told)
