from __future__ import annotations

from reloaderd.core.snapshot import SETTLING, SLICE, TRIES, Snapshot
from reloaderd.core.watchtree import WatchTree


def many(directories: int, files: int) -> tuple[WatchTree, list[str]]:
    tree = WatchTree()
    paths = [f"/p{number}" for number in range(directories)]
    for watch, path in enumerate(paths):
        tree.add(path, watch, [], [f"{name}.py" for name in range(files)])
    return tree, paths


def test_nothing_wanted_is_nothing_to_do() -> None:
    snapshot = Snapshot(WatchTree())
    snapshot.want([], [], 1.0)
    assert snapshot.deadline is None
    assert snapshot.slice(2.0) == []


def test_it_waits_until_it_is_time() -> None:
    tree, paths = many(1, 2)
    snapshot = Snapshot(tree)
    snapshot.want(paths, [], 5.0)
    assert snapshot.deadline == 5.0
    assert snapshot.slice(4.9) == []
    assert sorted(snapshot.slice(5.0)) == ["/p0/0.py", "/p0/1.py"]
    assert snapshot.deadline is None


def test_files_that_have_a_stamp_are_left_alone() -> None:
    tree, paths = many(1, 2)
    tree.set_stamp("/p0/0.py", 42)
    snapshot = Snapshot(tree)
    snapshot.want(paths, ["/root.py"], 5.0)
    assert snapshot.slice(5.0) == ["/root.py", "/p0/1.py"]


def test_a_large_tree_is_looked_at_in_slices() -> None:
    tree, paths = many(10, 200)
    snapshot = Snapshot(tree)
    snapshot.want(paths, [], 5.0)
    slices = []
    while snapshot.deadline is not None:
        slices.append(snapshot.slice(5.0))
    assert sum(map(len, slices)) == 2000
    assert max(map(len, slices)) < SLICE + 200
    assert len(slices) > 2


def test_a_directory_that_is_gone_is_passed_over() -> None:
    tree, paths = many(2, 1)
    snapshot = Snapshot(tree)
    snapshot.want(paths, [], 5.0)
    tree.forget("/p0")
    assert snapshot.slice(5.0) == ["/p1/0.py"]


def test_a_young_stamp_is_taken_again_later_and_a_few_times_at_most() -> None:
    tree, paths = many(1, 1)
    snapshot = Snapshot(tree)
    snapshot.want(paths, [], 5.0)
    now = 5.0
    looks = 0
    while (deadline := snapshot.deadline) is not None:
        assert deadline > now + SETTLING or not looks
        now = deadline
        looks += len(snapshot.slice(now))
        snapshot.again("/p0", now)
    assert looks == TRIES == 4


def test_a_new_run_tries_anew() -> None:
    tree, paths = many(1, 1)
    snapshot = Snapshot(tree)
    for _ in range(TRIES + 1):
        snapshot.want(paths, [], 5.0)
        snapshot.slice(5.0)
        snapshot.again("/p0", 5.0)
        assert snapshot.deadline is not None
        snapshot.slice(10.0)


def test_files_are_looked_at_once_each_time_they_are_wanted() -> None:
    snapshot = Snapshot(WatchTree())
    snapshot.want([], ["/a.py"], 5.0)
    snapshot.want([], ["/b.py"], 5.0)
    assert snapshot.slice(5.0) == ["/a.py", "/b.py"]
    snapshot.want([], ["/c.py"], 6.0)
    assert snapshot.slice(6.0) == ["/c.py"]


def test_files_in_the_root_directory_are_looked_at() -> None:
    tree = WatchTree()
    tree.add("/", 1, [], ["m.py"])
    snapshot = Snapshot(tree)
    snapshot.want(["/"], [], 5.0)
    assert snapshot.slice(5.0) == ["/m.py"]
