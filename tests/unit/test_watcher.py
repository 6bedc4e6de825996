from __future__ import annotations

import errno
from typing import Any

import pytest

from reloaderd.commands import Anchor, Arm, Drop, FindRepository, ReadLimit, Report
from reloaderd.core.directories import SLICE, TOO_MANY
from reloaderd.core.watcher import Watcher
from reloaderd.events import (
    Anchored,
    Armed,
    IgnoreFile,
    LimitRead,
    Listing,
    MountsChanged,
    RepositoryFound,
    Step,
    WatchEnded,
    Why,
)
from reloaderd.settings import Pattern, RuleSettings
from tests.support import model as op
from tests.support.core import at_rest, listing, only, reports, service
from tests.support.model import Operation
from tests.support.world import World

TREE = (op.MakeDirs("/w/p/a"), op.MakeDirs("/w/out"), op.Save("/w/p/m.py"), op.Save("/w/p/a/n.py"))
ROOT = ("/w/p",)


def resting(*more: Operation, roots: tuple[str, ...] = ROOT, **settings: Any) -> World:
    return at_rest(*TREE, *more, roots=roots, **settings)


def restarts(world: World, *operations: Operation) -> int:
    """How many restarts `operations` bring about, all of them done before the loop looks."""
    before = len(world.started)
    world.do(*operations)
    world.settle()
    return len(world.started) - before


def holds(world: World, path: str) -> bool:
    """Whether the directory at `path` is watched."""
    return any(inode is world.files.at(path) for inode in world.kernel.held.values())


# Arm, then list, then believe


def test_directories_are_armed_before_they_are_listed_and_before_the_start() -> None:
    world = World([service(roots=ROOT)])
    world.do(*TREE)
    order: list[str] = []
    perform = world._perform
    world._perform = lambda command: order.append(type(command).__name__) or perform(command)  # type: ignore
    world.start()
    assert order == ["Anchor", "FindRepository", "Arm", "Arm", "Report", "Drain", "StartChild"]


def test_what_is_made_between_the_watch_and_the_listing_is_one_change() -> None:
    world = resting()
    for steps in range(8):
        world.race(steps, op.Save(f"/w/p/new/{steps}.py"))
    assert restarts(world, op.MakeDirs("/w/p/new")) >= 1
    assert restarts(world, op.Save("/w/p/new/7.py")) == 1


def test_what_is_written_into_a_directory_before_its_watch_counts() -> None:
    world = resting()
    assert restarts(world, op.MakeDirs("/w/p/x/y/z"), op.Save("/w/p/x/y/z/o.py")) == 1
    assert restarts(world, op.Save("/w/p/x/y/z/o.py")) == 1


def test_an_empty_directory_is_no_change() -> None:
    assert restarts(resting(), op.MakeDirs("/w/p/x/y/z")) == 0


def test_a_large_tree_is_armed_in_slices() -> None:
    watcher = Watcher(service())
    names = [str(number) for number in range(2 * SLICE + 1)]
    listing = Listing("/p", 1, 0, names, [], [], {})
    commands = only(watcher.armed(Armed("web", Why.START, [listing]), 0.0), Arm)
    assert [len(command.paths) for command in commands] == [SLICE, SLICE, 1]


# What counts


@pytest.mark.parametrize(
    "operation",
    [
        op.Save("/w/p/m.py"),
        op.Save("/w/p/new.py"),
        op.Replace("/w/p/m.py"),
        op.Truncate("/w/p/m.py"),
        op.Touch("/w/p/m.py"),
        op.Remove("/w/p/m.py"),
        op.Link("/w/p/m.py", "/w/p/link.py"),
        op.Symlink("m.py", "/w/p/link.py"),
        op.Rename("/w/p/m.py", "/w/p/o.py"),
        op.Rename("/w/p/m.py", "/w/out/m.py"),
        op.Rename("/w/p/m.py", "/w/p/a/n.py"),
        op.Rename("/w/p/a", "/w/p/b"),
        op.Rename("/w/p/a", "/w/out/a"),
        op.RemoveTree("/w/p/a"),
    ],
    ids=repr,
)
def test_it_counts_once(operation: Operation) -> None:
    assert restarts(resting(), operation) == 1


@pytest.mark.parametrize(
    "operation",
    [
        op.Chmod("/w/p/m.py"),
        op.Chmod("/w/p/a"),
        op.Chmod("/w/p"),
        op.Read("/w/p/m.py"),
        op.OpenClose("/w/p/m.py"),
        op.Save("/w/out/m.py"),
        op.Save("/w/m.py"),
    ],
    ids=repr,
)
def test_it_does_not_count(operation: Operation) -> None:
    assert restarts(resting(), operation) == 0


def test_a_mapped_write_counts_when_its_file_is_closed() -> None:
    world = resting()
    world.do(op.Open("/w/p/m.py"), op.MapWrite("/w/p/m.py"))
    world.settle()
    assert restarts(world, op.Close("/w/p/m.py")) == 1


def test_a_descriptor_of_a_deleted_file_counts_no_more() -> None:
    world = resting()
    assert restarts(world, op.Open("/w/p/x.txt"), op.Remove("/w/p/x.txt"), op.Append("/w/p/x.txt")) == 0


def test_a_file_that_comes_in_counts_and_so_do_those_of_a_directory() -> None:
    world = resting(op.MakeDirs("/w/out/t/u"), op.Save("/w/out/t/u/o.py"), op.Save("/w/out/o.py"))
    assert restarts(world, op.Rename("/w/out/o.py", "/w/p/o.py")) == 1
    assert restarts(world, op.Rename("/w/out/t", "/w/p/t")) == 1
    assert restarts(world, op.Save("/w/p/t/u/o.py")) == 1


def test_a_directory_that_left_is_not_watched_where_it_went() -> None:
    world = resting()
    assert restarts(world, op.Rename("/w/p/a", "/w/out/a")) == 1
    assert restarts(world, op.Save("/w/out/a/n.py")) == 0
    assert not holds(world, "/w/out/a")


def test_a_directory_replaced_by_another_of_its_name_is_watched() -> None:
    world = resting(op.MakeDirs("/w/out/b"))
    restarts(world, op.RemoveTree("/w/p/a"), op.Rename("/w/out/b", "/w/p/a"))
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


# Ignored


def test_nothing_in_an_ignored_directory_is_watched() -> None:
    world = resting(op.MakeDirs("/w/p/__pycache__"), op.MakeDirs("/w/p/node_modules/x"))
    assert not holds(world, "/w/p/__pycache__")
    assert not holds(world, "/w/p/node_modules")
    assert restarts(world, op.MakeDirs("/w/p/venv/lib"), op.Save("/w/p/venv/lib/m.py")) == 0
    assert not holds(world, "/w/p/venv")


def test_an_edited_ignore_file_takes_effect_and_restarts_nothing() -> None:
    world = resting()
    assert restarts(world, op.Save("/w/p/.gitignore", "a\n")) == 0
    assert not holds(world, "/w/p/a")
    assert restarts(world, op.Save("/w/p/a/n.py")) == 0
    assert restarts(world, op.Save("/w/p/.gitignore", "")) == 0
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_a_removed_ignore_file_takes_effect() -> None:
    world = resting(op.Save("/w/p/.gitignore", "a\n"))
    assert restarts(world, op.Remove("/w/p/.gitignore")) == 0
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_an_ignore_file_that_is_made_by_a_link_takes_effect() -> None:
    world = resting(op.Save("/w/out/ignore", "a\n"))
    restarts(world, op.Symlink("/w/out/ignore", "/w/p/.gitignore"))
    assert restarts(world, op.Save("/w/p/a/n.py")) == 0


@pytest.mark.parametrize("ignored", ["", "n.py\n", "*.tmp\n"])
def test_what_is_removed_right_after_an_ignore_file_was_edited_counts(ignored: str) -> None:
    assert restarts(resting(), op.Save("/w/p/.gitignore", ignored), op.Remove("/w/p/m.py")) == 1


def test_a_directory_that_is_removed_right_after_it_counts() -> None:
    assert restarts(resting(), op.Save("/w/p/.gitignore", "*.tmp\n"), op.RemoveTree("/w/p/a")) == 1


def test_a_directory_that_is_made_right_after_it_counts() -> None:
    operations = (
        op.Save("/w/p/.gitignore", "*.tmp\n"),
        op.MakeDirs("/w/p/x/y"),
        op.Save("/w/p/x/y/o.py"),
    )
    assert restarts(resting(), *operations) == 1


def test_a_root_in_a_directory_that_is_ignored_later_is_watched_on() -> None:
    world = resting(op.MakeDirs("/w/p/a/b/c"), roots=("/w/p", "/w/p/a/b"))
    restarts(world, op.Save("/w/p/.gitignore", "a\n"))
    assert restarts(world, op.Save("/w/p/a/b/c/o.py")) == 1
    assert restarts(world, op.Save("/w/p/a/n.py")) == 0


def test_patterns_of_the_command_line_apply() -> None:
    world = resting(rules=RuleSettings(patterns=(Pattern("a", include=False),)))
    assert not holds(world, "/w/p/a")
    assert restarts(world, op.Save("/w/p/a/n.py")) == 0


# Roots


def test_a_root_that_is_gone_takes_its_changes_with_it_and_its_return_counts() -> None:
    world = resting()
    assert restarts(world, op.Save("/w/p/m.py"), op.RemoveTree("/w/p")) == 0
    warnings = [fields["text"] for fields in reports(world.reports, "warning")]
    assert warnings == ["/w/p is gone; waiting for it to come back"]
    assert restarts(world, op.MakeDirs("/w/p/a")) == 1
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_a_root_replaced_by_another_directory_counts_and_is_watched() -> None:
    world = resting()
    assert restarts(world, op.Rename("/w/p", "/w/old"), op.Rename("/w/out", "/w/p")) == 1
    assert restarts(world, op.Save("/w/p/o.py")) == 1
    assert restarts(world, op.Save("/w/old/m.py")) == 0
    assert not holds(world, "/w/old/a")


def test_a_root_removed_while_someone_works_in_it_comes_back_though_its_parent_went_too() -> None:
    world = World([service(roots=("/w/p/a",))])
    world.do(*TREE)
    world.files.pin("/w/p/a")
    world.start()
    world.settle()
    restarts(world, op.RemoveTree("/w/p/a"))
    assert restarts(world, op.RemoveTree("/w/p")) == 0
    assert restarts(world, op.MakeDirs("/w/p/a"), op.Save("/w/p/a/n.py")) == 1
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_a_root_that_is_a_file_is_watched_through_its_directory() -> None:
    world = resting(roots=("/w/p/m.py",))
    for _ in range(3):
        assert restarts(world, op.Replace("/w/p/m.py")) == 1
    assert restarts(world, op.Save("/w/p/m.py")) == 1
    assert restarts(world, op.Chmod("/w/p/m.py"), op.Save("/w/p/o.py"), op.Save("/w/p/a/n.py")) == 0
    assert restarts(world, op.Remove("/w/p/m.py")) == 0
    assert restarts(world, op.Save("/w/p/m.py")) == 1


def test_a_root_that_is_a_link_is_followed_wherever_it_leads() -> None:
    world = resting(op.Symlink("p", "/w/link"), roots=("/w/link",))
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1
    assert restarts(world, op.Symlink("out", "/w/new"), op.Rename("/w/new", "/w/link")) == 1
    assert restarts(world, op.Save("/w/out/o.py")) == 1
    assert restarts(world, op.Save("/w/p/m.py")) == 0


def test_a_root_in_another_is_watched_on_though_a_link_to_elsewhere_took_its_place() -> None:
    """What its anchor says comes before the event that tells the other root of a directory that is gone."""
    world = resting(roots=("/w/p", "/w/p/a"))
    assert restarts(world, op.RemoveTree("/w/p/a"), op.Symlink("/w/out", "/w/p/a")) == 1
    assert restarts(world, op.Save("/w/out/o.py")) == 1


@pytest.mark.parametrize("away", range(8))
@pytest.mark.parametrize("back", range(4))
def test_what_is_armed_while_a_directory_above_is_elsewhere_for_a_moment_is_armed_again(
    away: int, back: int
) -> None:
    world = resting(op.MakeDirs("/w/up/p"), roots=("/w/up/p",))
    world.race(away, op.Rename("/w/up", "/w/moved"))
    world.race(back, op.Rename("/w/moved", "/w/up"))
    restarts(world, op.MakeDirs("/w/up/p/new"), op.Save("/w/up/p/.gitignore", "x\n"))
    assert restarts(world, op.Save("/w/up/p/m.py")) == 1
    assert restarts(world, op.Save("/w/up/p/new/n.py")) == 1


@pytest.mark.parametrize("away", range(8))
@pytest.mark.parametrize("back", range(4))
def test_what_is_armed_while_another_directory_is_above_for_a_moment_is_armed_again(
    away: int, back: int
) -> None:
    world = resting(op.MakeDirs("/w/up/p/a"), op.MakeDirs("/w/like/p/a"), roots=("/w/up/p",))
    world.race(away, op.Exchange("/w/up", "/w/like"))
    world.race(back, op.Exchange("/w/up", "/w/like"))
    restarts(world, op.Save("/w/up/p/a/.gitignore", "x\n"))
    assert restarts(world, op.Save("/w/up/p/m.py")) == 1
    assert restarts(world, op.Save("/w/up/p/a/n.py")) == 1
    assert not holds(world, "/w/like/p") and not holds(world, "/w/like/p/a")


def test_what_has_gone_elsewhere_is_looked_for_once_more_and_not_again() -> None:
    world = resting(op.MakeDirs("/w/p/b"))
    world.do(op.Rename("/w/p/a", "/w/out/a"), op.Rename("/w/p/b", "/w/out/b"))
    armed: list[str] = []
    perform = world._perform
    world._perform = lambda command: (  # type: ignore
        armed.extend(command.paths if isinstance(command, Arm) else ()) or perform(command)
    )
    world.turn()
    world.do(op.Symlink("/w/out", "/w/p/b"))
    world.settle()
    assert armed == ["/w/p/a", "/w/p/b", "/w/p/a"]
    assert not holds(world, "/w/out")


@pytest.mark.parametrize("away", range(3))
def test_a_touch_counts_though_its_file_is_elsewhere_when_it_is_looked_at(away: int) -> None:
    world = resting(op.MakeDirs("/w/up/p"), op.Save("/w/up/p/m.py"), roots=("/w/up/p",))
    world.race(away, op.Rename("/w/up", "/w/moved"))
    world.race(1, op.Rename("/w/moved", "/w/up"))
    assert restarts(world, op.Touch("/w/up/p/m.py")) == 1


@pytest.mark.parametrize("away", range(3))
@pytest.mark.parametrize("back", range(4))
@pytest.mark.parametrize("again", range(2, 7))
def test_a_root_that_is_back_for_the_moment_in_which_it_is_armed_is_not_watched_on(
    away: int, back: int, again: int
) -> None:
    world = resting()
    world.kernel.flood()
    world.race(away, op.Rename("/w/p", "/w/moved"))
    world.race(back, op.Rename("/w/moved", "/w/p"))
    world.race(again, op.Rename("/w/p", "/w/moved"))
    world.settle()
    assert not holds(world, "/w/moved")
    assert restarts(world, op.Rename("/w/moved", "/w/p")) == 1
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_what_is_below_a_directory_that_was_forgotten_meanwhile_is_let_go() -> None:
    """As when the event that it appeared is also one that says that the root is another."""
    watcher = Watcher(service())
    watcher.armed(Armed("web", Why.START, [listing("/p", 1, dirs=["a"]), listing("/p/a", 2)]), 0.0)
    watcher.armed(Armed("web", Why.LOST, [listing("/p", 1)]), 0.0)
    assert watcher.armed(Armed("web", Why.APPEARED, [listing("/p/a/b", 3, dirs=["c"])]), 0.0) == [Drop([3])]
    assert "/p/a/b" not in watcher.tree


# Links below a root


def test_links_to_directories_are_not_followed_unless_that_is_asked_for() -> None:
    link = op.Symlink("/w/out", "/w/p/link")
    assert restarts(resting(link), op.Save("/w/out/o.py")) == 0
    assert restarts(resting(link, follow_links=True), op.Save("/w/out/o.py")) == 1


def test_links_in_circles_end() -> None:
    world = resting(op.Symlink("/w/p", "/w/p/a/up"), op.Symlink("self", "/w/p/self"), follow_links=True)
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_a_link_that_is_removed_is_not_followed_any_more() -> None:
    world = resting(op.Save("/w/out/o.py"), op.Symlink("/w/out", "/w/p/link"), follow_links=True)
    assert restarts(world, op.Remove("/w/p/link")) == 1
    assert restarts(world, op.Save("/w/out/o.py")) == 0


def test_a_link_that_came_later_is_let_go_with_the_directory_it_is_in() -> None:
    world = resting(follow_links=True)
    assert restarts(world, op.Save("/w/out/o.py"), op.Symlink("/w/out", "/w/p/a/link")) == 1
    assert holds(world, "/w/out")
    restarts(world, op.Rename("/w/p/a", "/w/moved"))
    assert not holds(world, "/w/out")


def test_directories_that_changed_places_unseen_are_not_taken_for_links_to_each_other() -> None:
    world = resting(op.MakeDirs("/w/p/b"), op.Save("/w/p/b/o.py"), follow_links=True)
    world.kernel.flood()
    assert restarts(world, op.Exchange("/w/p/a", "/w/p/b"), op.MakeDirs("/w/p/a/new")) == 1
    for path in ("/w/p/a/new/n.py", "/w/p/a/o.py", "/w/p/b/n.py"):
        assert restarts(world, op.Save(path)) == 1
        assert world.started[-1].environ["RELOADERD_CHANGED"] == path


# Events that cannot be believed


def test_files_that_were_exchanged_are_known_by_their_new_names() -> None:
    world = resting(op.Save("/w/out/x.py"))
    assert restarts(world, op.Exchange("/w/out/x.py", "/w/p/m.py")) == 1
    assert restarts(world, op.Remove("/w/p/m.py")) == 1


def test_directories_that_were_exchanged_are_watched_under_their_new_names() -> None:
    world = resting(op.MakeDirs("/w/p/b"), op.Save("/w/p/b/o.py"))
    assert restarts(world, op.Exchange("/w/p/a", "/w/p/b")) == 1
    for path in ("/w/p/a/o.py", "/w/p/b/n.py"):
        assert restarts(world, op.Save(path)) == 1


def test_a_touch_that_is_on_its_way_when_the_stamps_are_taken_counts() -> None:
    world = World([service(roots=ROOT)])
    world.do(*TREE)
    world.start()
    world.now += 5.0
    world.carry(world.kernel.read())
    world.do(op.Touch("/w/p/m.py"))  # told after the queue was read
    world.now += 0.2  # ... and the loop was busy with something else
    world.carry(world.engine.tick(world.now))
    world.settle()
    assert len(world.started) == 2


def test_what_happens_between_lost_events_and_the_look_at_everything_counts() -> None:
    world = resting()
    world.kernel.flood()
    world.turn()
    world.kernel.flood()
    world.do(op.Save("/w/p/m.py"), op.Save("/w/p/new.py"))
    world.turn()
    world.pause(0.3)
    world.do(op.Save("/w/p/.gitignore", "*.tmp\n"))
    world.settle()
    changed = reports(world.reports, "changed")
    assert {path for fields in changed for path in fields["paths"]} >= {"/w/p/new.py", "/w/p/m.py"}


def test_a_run_that_starts_between_them_does_not_take_what_was_lost_for_known() -> None:
    world = resting()
    world.kernel.flood()
    world.turn()
    world.carry(world.engine.services["web"].restart(world.now, "SIGUSR1"))
    for _ in range(3):
        world.turn()
    assert len(world.started) == 2
    world.kernel.flood()
    world.do(op.Touch("/w/p/m.py"))
    world.settle()
    assert len(world.started) == 3


def test_lost_events_about_a_directory_in_the_place_of_another_leak_no_watch() -> None:
    world = resting(op.MakeDirs("/w/out/b"))
    world.kernel.flood()
    restarts(world, op.Rename("/w/p/a", "/w/old"), op.Rename("/w/out/b", "/w/p/a"))
    assert holds(world, "/w/p/a")
    assert not holds(world, "/w/old")


def test_a_directory_that_goes_between_its_watch_and_its_listing_leaves_no_watch() -> None:
    watcher = Watcher(service())
    watcher.armed(Armed("web", Why.START, [Listing("/p", 1, 0, ["a"], [], [], {})]), 0.0)
    listing = Listing("/p/a", 2, errno.ENOENT, [], [], [], {})
    assert only(watcher.armed(Armed("web", Why.START, [listing]), 0.0), Drop) == [Drop([2])]


def test_a_watch_that_ended_out_of_turn_is_made_again() -> None:
    world = resting()
    node = world.engine.services["web"].watcher.tree.get("/w/p/a")
    assert node is not None
    world.kernel.drop(node.watch)
    assert restarts(world) == 0
    assert restarts(world, op.Save("/w/p/a/n.py")) == 1


def test_the_end_of_a_watch_that_nobody_knows_is_passed_over() -> None:
    assert Watcher(service()).handle(WatchEnded(99), 0.0) == []


def test_a_second_path_to_the_same_inode_is_one_watch_and_two_changes() -> None:
    watcher = Watcher(service(roots=("/p", "/q")))
    for path in ("/p", "/q"):
        watcher.armed(Armed("web", Why.START, [Listing(path, 1, 0, [], ["m.py"], [], {})]), 0.0)
    assert len(watcher.watches()) == 1
    assert [node.path for node in watcher.tree.at(1)] == ["/p", "/q"]


def test_a_file_and_a_directory_that_were_exchanged_are_known_for_what_they_are() -> None:
    world = resting(op.MakeDirs("/w/out/d"))
    assert restarts(world, op.Exchange("/w/out/d", "/w/p/m.py")) == 1
    assert holds(world, "/w/p/m.py")
    assert restarts(world, op.Save("/w/p/m.py/o.py")) == 1


def test_a_link_that_a_directory_was_exchanged_for_is_not_followed() -> None:
    world = resting(op.MakeDirs("/w/out/d"), op.Symlink("/w/out/d", "/w/link"))
    assert restarts(world, op.Exchange("/w/link", "/w/p/a")) == 1
    assert not holds(world, "/w/out/d")
    assert restarts(world, op.Save("/w/out/d/o.py")) == 0


def test_the_files_of_a_directory_count_though_what_it_was_exchanged_for_is_gone_too() -> None:
    world = resting(op.Save("/w/out/o.py"))
    assert restarts(world, op.Exchange("/w/out/o.py", "/w/p/a"), op.Remove("/w/p/a")) == 1


def test_events_are_handled_in_their_order_however_many_files_are_in_doubt() -> None:
    world = resting(op.MakeDirs("/w/p/b"), op.MakeDirs("/w/out/b/c"), op.Save("/w/out/b/x.py"))
    world.race(0, op.Rename("/w/out/b", "/w/p/b"))
    restarts(world, op.RemoveTree("/w/p/b"))
    assert holds(world, "/w/p/b/c")


# What cannot be watched


def test_a_directory_that_may_not_be_read_is_said_once_and_watched_once_it_may() -> None:
    world = resting()
    watcher = world.engine.services["web"].watcher
    refused = Listing("/w/p/secret", -1, errno.EACCES, [], [], [], {})
    world.do(op.MakeDir("/w/p/secret"), op.Save("/w/p/secret/o.py"))
    world.kernel.read()
    said = [watcher.armed(Armed("web", Why.APPEARED, [refused]), 0.0) for _ in range(2)]
    assert ["/w/p/secret" in one["text"] for one in reports(said[0], "warning")] == [True]
    assert reports(said[1], "warning") == []
    assert restarts(world, op.Chmod("/w/p/secret")) == 1
    assert restarts(world, op.Save("/w/p/secret/o.py")) == 1


def test_what_there_was_no_descriptor_for_is_tried_again_and_told_once() -> None:
    watcher = Watcher(service())
    watcher.armed(Armed("web", Why.START, [listing("/p", 3)]), 0.0)
    refused = [Listing(f"/p/{name}", -1, errno.EMFILE, [], [], [], {}) for name in "ab"]
    (warning,) = reports(watcher.armed(Armed("web", Why.APPEARED, refused), 5.0), "warning")
    assert "open files" in warning["text"]
    assert watcher.deadline is not None
    (arm,) = only(watcher.tick(watcher.deadline), Arm)
    assert list(arm.paths) == ["/p/a", "/p/b"] and watcher.deadline is None
    listings = [listing("/p/a", 1, files=["m.py"]), listing("/p/b", 2)]
    watcher.armed(Armed("web", Why.STALE, listings), 6.0)
    assert [change.path for change in watcher.take_changes()] == ["/p/a/m.py"]


def test_a_limit_is_one_warning_that_names_it_and_what_is_needed() -> None:
    watcher = Watcher(service())
    names = ["/p/a", "/p/b", "/p/c"]
    polled = dict.fromkeys(names[1:], "ENOSPC")
    watcher.armed(Armed("web", Why.START, [listing(name, 1) for name in names], polled), 0.0)
    assert watcher.coverage.complain() == [ReadLimit("web", "ENOSPC")]
    assert watcher.coverage.complain() == []
    (warning,) = reports(
        watcher.coverage.limit_read(LimitRead("web", "ENOSPC", "fs.some.sysctl", 40)), "warning"
    )
    assert "fs.some.sysctl is 40, 42 are needed" in warning["text"]


def test_a_limit_that_is_out_of_the_way_when_it_was_read_is_not_told() -> None:
    watcher = Watcher(service())
    watcher.armed(Armed("web", Why.START, [listing("/p/a", 1)], {"/p/a": "ENOSPC"}), 0.0)
    watcher.coverage.complain()
    watcher.armed(Armed("web", Why.STALE, [listing("/p/a", 2)]), 0.0)
    assert watcher.coverage.limit_read(LimitRead("web", "ENOSPC", "fs.some.sysctl", 40)) == []


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
def test_a_directory_that_is_gone_before_it_is_armed_is_no_fault(number: int) -> None:
    watcher = Watcher(service())
    listing = Listing("/p/a", -1, number, [], [], [], {})
    assert only(watcher.armed(Armed("web", Why.APPEARED, [listing]), 0.0), Report) == []


def test_a_tree_that_nobody_meant_is_said() -> None:
    watcher = Watcher(service())
    listings = [listing("/p", TOO_MANY), *(listing(f"/p/{number}", number) for number in range(TOO_MANY))]
    (warning,) = reports(watcher.armed(Armed("web", Why.START, listings), 0.0), "warning")
    assert f"{TOO_MANY:,}" in warning["text"]


# Mounts, and lost events


def waiting_watcher() -> Watcher:
    """One that waits for its root, and for an ignore file outside it."""
    watcher = Watcher(service(roots=("/q",)))
    watcher.anchored(Anchored("web", "/q", [Step(1, "q"), Step(2, "b")], [], None, False, errno.ENOENT), 0.0)
    watcher.repository_found(
        RepositoryFound("web", "/q", -1, "", False, [IgnoreFile("/.gitignore", "/", "gitignore", None)])
    )
    watcher.anchored(
        Anchored("web", "/.gitignore", [Step(1, ".gitignore")], [], None, False, errno.ENOENT), 0.0
    )
    return watcher


def test_other_mounts_may_change_any_way_to_a_root_and_to_an_ignore_file() -> None:
    commands = waiting_watcher().handle(MountsChanged(["/where/the/link/leads"]), 0.0)
    assert [one.path for one in only(commands, Anchor)] == ["/q", "/.gitignore"]


def test_lost_events_may_have_told_of_any_way_to_a_root_and_to_an_ignore_file() -> None:
    commands = waiting_watcher().look_everywhere()
    assert [one.path for one in only(commands, Anchor)] == ["/q", "/.gitignore"]


@pytest.mark.parametrize("point", ["/w/p", "/w"])
def test_a_mount_of_the_same_directory_over_a_root_may_hide_other_mounts_below(point: str) -> None:
    watcher = resting().engine.services["web"].watcher
    commands = watcher.handle(MountsChanged([point, "/w/p/a"]), 0.0)
    assert only(commands, Arm) == [Arm("web", Why.LOST, ["/w/p"])]


def test_other_mounts_may_bring_another_repository() -> None:
    watcher = Watcher(service())
    for path in ("/p", "/p/a", "/p/b"):
        watcher.repository_found(RepositoryFound("web", path, 1, "index.lock", False, []))
    commands = watcher.handle(MountsChanged(["/p/a"]), 0.0)
    assert [one.path for one in only(commands, FindRepository)] == ["/p/a"]


# Repositories


def test_the_lock_of_a_repository_above_a_root_holds_after_the_root_came_back() -> None:
    world = resting(op.MakeDirs("/w/p/.git"), roots=("/w/p/a",))
    restarts(world, op.RemoveTree("/w/p/a"))
    restarts(world, op.MakeDirs("/w/p/a"))
    before = len(world.started)
    world.do(op.Save("/w/p/.git/index.lock"), op.Save("/w/p/a/n.py"))
    world.pause(5.0)
    assert len(world.started) == before
    assert restarts(world, op.Remove("/w/p/.git/index.lock")) == 1


def test_a_repository_that_is_made_later_holds() -> None:
    world = resting()
    restarts(world, op.MakeDirs("/w/p/.git"))
    world.do(op.Save("/w/p/.git/index.lock"), op.Save("/w/p/m.py"))
    world.pause(5.0)
    assert len(world.started) == 1
    assert restarts(world, op.Remove("/w/p/.git/index.lock")) == 1


def test_a_root_is_armed_at_the_start_once_whatever_is_found_again() -> None:
    watcher = Watcher(service())
    there = Anchored("web", "/p", [Step(1, "p")], [1], (1, 2, "/p"), True, 0)
    found = RepositoryFound("web", "/p", -1, "", False, [])
    watcher.anchored(there, 0.0)
    assert len(only(watcher.repository_found(found), Arm)) == 1
    assert only(watcher.repository_found(found), Arm) == []


def test_files_that_are_made_up_are_left_out_below_a_root_that_is_elsewhere() -> None:
    watcher = Watcher(service(roots=("/p", "/p/proc/sys")))
    watcher.armed(Armed("web", Why.START, [listing("/p", 1, dirs=["proc"])]), 0.0)
    polled = {"/p/proc": "proc"}
    commands = watcher.armed(Armed("web", Why.START, [listing("/p/proc", 2, dirs=["1"])], polled), 0.0)
    assert only(commands, Arm) == [] and only(commands, Drop) == [Drop([2])]
    assert "/p/proc" not in watcher.tree
    polled = {"/p/proc/sys": "proc"}
    commands = watcher.armed(Armed("web", Why.START, [listing("/p/proc/sys", 3, dirs=["fs"])], polled), 0.0)
    assert [list(one.paths) for one in only(commands, Arm)] == [["/p/proc/sys/fs"]]
    polled = {"/p/proc/sys/fs": "proc"}
    watcher.armed(Armed("web", Why.START, [listing("/p/proc/sys/fs", 4)], polled), 0.0)
    assert "/p/proc/sys/fs" in watcher.tree


def test_an_ignore_file_of_a_repository_that_went_is_held_no_more() -> None:
    """A link to where it went may stand in its place, and lead the way to it out of the tree."""
    watcher = Watcher(service())
    watcher.armed(Armed("web", Why.START, [listing("/p", 1, dirs=["a"]), listing("/p/a", 2)]), 0.0)
    path = "/p/a/.git/info/exclude"
    found = RepositoryFound(
        "web", "/p/a", 3, "index.lock", False, [IgnoreFile(path, "/p/a", "exclude", None)]
    )
    (anchor,) = only(watcher.repository_found(found), Anchor)
    held = Anchored("web", path, [Step(2, ".git"), Step(3, "info")], [], None, False, errno.ENOENT)
    assert watcher.anchored(held, 0.0) == [] and anchor.path == path
    watcher.tree.forget("/p/a")
    away = held._replace(steps=[Step(1, "a"), Step(7, ".git"), Step(8, "info")])
    commands = watcher.anchored(away, 0.0)
    assert {watch for drop in only(commands, Drop) for watch in drop.watches} >= {7, 8}
    assert not watcher.uses(7) and not watcher.uses(8)
