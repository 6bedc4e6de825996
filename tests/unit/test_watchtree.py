from __future__ import annotations

from reloaderd.core.watchtree import WatchTree


def tree() -> WatchTree:
    """/p (watch 1) with m.py, /p/a (2) with n.py, /p/a/b (3) with o.py."""
    made = WatchTree()
    made.add("/p", 1, ["a"], ["m.py"])
    made.add("/p/a", 2, ["b"], ["n.py"])
    made.add("/p/a/b", 3, [], ["o.py"])
    return made


def knows(tree: WatchTree, path: str) -> bool:
    """Whether `path` is a file that counts and was there when last heard of."""
    directory, _, name = path.rpartition("/")
    node = tree.get(directory or "/")
    return node is not None and name in node.files


def test_a_directory_is_found_by_its_path_and_by_its_watch() -> None:
    made = tree()
    node = made.get("/p/a")
    assert node is not None
    assert made.at(2) == [node]
    assert "/p/a" in made
    assert "/p/n.py" not in made
    assert len(made) == 3


def test_two_paths_that_are_one_inode_share_a_watch_until_the_last_goes() -> None:
    made = tree()
    made.add("/q", 2, [], ["n.py"])
    assert [node.path for node in made.at(2)] == ["/p/a", "/q"]
    assert made.forget("/q").watches == []
    assert made.uses(2)
    assert 2 in made.forget("/p/a").watches
    assert not made.uses(2)


def test_a_second_listing_tells_what_is_different() -> None:
    made = tree()
    node = made.at(1)[0]
    made.add_file(node, "x.py")
    node.dirs.append("b")
    difference = made.renew("/p", 1, ["b", "c"], ["m.py", "y.py"])
    assert difference.appeared == ["y.py"]
    assert difference.vanished == ["x.py"]
    assert difference.gone_dirs == ["a"]
    assert difference.unused == []
    assert (node.dirs, list(node.files)) == (["b", "c"], ["m.py", "y.py"])


def test_a_second_listing_keeps_the_stamps_of_what_is_still_there() -> None:
    made = tree()
    made.set_stamp("/p/m.py", 42)
    made.renew("/p", 1, ["a"], ["m.py", "y.py"])
    assert made.stamp("/p/m.py") == 42
    assert made.stamp("/p/y.py") is None


def test_a_directory_in_the_place_of_another_leaves_the_watch_of_that_one_unused() -> None:
    made = tree()
    assert made.renew("/p/a", 9, [], []).unused == [2]
    assert made.at(2) == []
    assert [node.path for node in made.at(9)] == ["/p/a"]


def test_a_watch_that_another_path_needs_is_not_unused() -> None:
    made = tree()
    made.add("/q", 2, [], [])
    assert made.renew("/p/a", 9, [], []).unused == []


def test_what_goes_with_a_directory_is_all_that_was_below_it() -> None:
    made = tree()
    forgotten = made.forget("/p/a")
    assert sorted(forgotten.files) == ["/p/a/b/o.py", "/p/a/n.py"]
    assert sorted(forgotten.watches) == [2, 3]
    assert [node.path for node in made] == ["/p"]
    node = made.get("/p")
    assert node is not None
    assert node.dirs == []


def test_what_is_not_known_can_be_forgotten() -> None:
    assert tree().forget("/p/z") == ([], [])


def test_a_stamp_is_unknown_until_it_is_taken_and_again_after_a_change() -> None:
    made = tree()
    assert made.stamp("/p/m.py") is None
    made.set_stamp("/p/m.py", 42)
    assert made.stamp("/p/m.py") == 42
    unstamped = [f"{node.path}/{name}" for node in made for name in node.files if node.files[name] is None]
    assert sorted(unstamped) == ["/p/a/b/o.py", "/p/a/n.py"]
    assert made.add_file(made.at(1)[0], "m.py")
    assert made.stamp("/p/m.py") is None


def test_a_file_is_known_from_its_making_to_its_end() -> None:
    made = tree()
    node = made.at(1)[0]
    assert not made.add_file(node, "x.py")
    assert knows(made, "/p/x.py")
    assert made.remove_file(node, "x.py")
    assert not knows(made, "/p/x.py")
    assert not made.remove_file(node, "x.py")


def test_the_stamp_of_a_file_that_is_not_known_is_passed_over() -> None:
    made = tree()
    made.set_stamp("/p/z.py", 1)
    made.set_stamp("/z/z.py", 1)
    assert not knows(made, "/p/z.py")
    assert not knows(made, "/z/z.py")


def test_a_lost_watch_leaves_its_directories_unwatched() -> None:
    made = tree()
    assert [node.path for node in made.lose(2)] == ["/p/a"]
    assert not made.uses(2)
    assert made.lose(2) == []
    assert made.forget("/p").watches == [1, 3]


def test_the_root_directory_is_no_special_case() -> None:
    made = WatchTree()
    made.add("/", 1, ["a"], ["m.py"])
    made.add("/a", 2, [], ["n.py"])
    assert knows(made, "/m.py")
    forgotten = made.forget("/")
    assert sorted(forgotten.files) == ["/a/n.py", "/m.py"]
    assert sorted(forgotten.watches) == [1, 2]


def test_a_directory_below_the_root_directory_is_forgotten_there_too() -> None:
    made = WatchTree()
    made.add("/", 1, ["a", "b"], [])
    made.add("/a", 2, [], [])
    made.forget("/a")
    assert made.at(1)[0].dirs == ["b"]


def test_directories_that_cannot_be_watched_share_nothing() -> None:
    made = tree()
    made.add("/p/x", -1, [], [])
    made.add("/p/y", -1, [], [])
    assert not made.uses(-1)
    assert made.at(-1) == []
    assert made.forget("/p/x").watches == []
    assert made.renew("/p/y", 9, [], []).unused == []
    assert set(made.watches()) == {1, 2, 3, 9}


def test_a_directory_that_lost_its_watch_can_be_given_another() -> None:
    made = tree()
    (node,) = made.lose(2)
    assert node.watch == -1
    made.add("/q", 2, [], [])
    assert made.renew("/p/a", 9, [], []).unused == []
    assert [node.path for node in made.at(2)] == ["/q"]
    assert made.at(9) == [node]


def test_a_directory_that_was_renamed_is_known_by_its_new_name_alone() -> None:
    made = tree()
    made.forget("/p/a")
    made.add("/p/z", 2, [], ["n.py"])
    assert [node.path for node in made.at(2)] == ["/p/z"]
    assert "/p/a" not in made
    assert knows(made, "/p/z/n.py")
    assert not knows(made, "/p/a/n.py")
