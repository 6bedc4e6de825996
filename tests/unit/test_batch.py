from __future__ import annotations

from signal import SIGUSR1

import pytest

from reloaderd.core.batch import Batch
from reloaderd.events import Kind
from tests.support.core import NOTIFY, RESTART, signalling


def batch(*changes: tuple[str, Kind, bool]) -> Batch:
    """A batch of (path, kind, whether it was there before)."""
    made = Batch()
    for path, kind, existed in changes:
        made.add(path, kind, RESTART, existed)
    return made


def test_a_temporary_file_is_no_change() -> None:
    assert not batch(("/p/4913", Kind.CREATED, False), ("/p/4913", Kind.DELETED, True))


def test_a_temporary_file_that_was_written_and_renamed_away_is_no_change_but_its_new_name_is() -> None:
    made = batch(
        ("/p/x", Kind.CREATED, False),
        ("/p/x", Kind.WRITTEN, True),
        ("/p/x", Kind.CLOSED, True),
        ("/p/x", Kind.LEFT, True),
        ("/p/m.py", Kind.ARRIVED, True),
    )
    assert made.paths == ["/p/m.py"]


def test_a_temporary_file_that_a_run_may_have_found_is_a_change() -> None:
    made, later = Batch(), batch(("/p/x", Kind.DELETED, True))
    made.add("/p/x", Kind.CREATED, RESTART, existed=False, found=True)
    made.absorb(later)
    assert made.paths == ["/p/x"] and made.existing() == []


def test_a_file_that_was_there_and_is_gone_is_a_change() -> None:
    assert batch(("/p/m.py", Kind.DELETED, True)).paths == ["/p/m.py"]


def test_a_file_that_was_there_and_came_back_is_a_change() -> None:
    made = batch(("/p/m.py", Kind.LEFT, True), ("/p/m.py", Kind.CREATED, False))
    assert made.paths == ["/p/m.py"]


def test_a_temporary_file_that_came_and_went_twice_is_no_change() -> None:
    once = [("/p/x", Kind.CREATED, False), ("/p/x", Kind.DELETED, True)]
    assert len(batch(*once, *once)) == 0


@pytest.mark.parametrize("kind", [Kind.CLOSED, Kind.ARRIVED, Kind.TOUCHED])
def test_one_finished_file_that_was_there_is_a_lone_save(kind: Kind) -> None:
    assert batch(("/p/m.py", kind, True)).lone_save


@pytest.mark.parametrize("kind", [Kind.WRITTEN, Kind.CREATED, Kind.DELETED])
def test_one_file_that_may_go_on_changing_is_none(kind: Kind) -> None:
    assert not batch(("/p/m.py", kind, True)).lone_save


def test_a_file_that_was_not_there_before_is_none() -> None:
    assert not batch(("/p/m.py", Kind.CREATED, False), ("/p/m.py", Kind.CLOSED, True)).lone_save


def test_two_finished_files_are_none() -> None:
    assert not batch(("/p/m.py", Kind.CLOSED, True), ("/p/n.py", Kind.CLOSED, True)).lone_save


def test_an_empty_batch_is_none() -> None:
    assert not batch().lone_save


def test_a_finished_file_that_is_written_again_is_not_finished() -> None:
    assert not batch(("/p/m.py", Kind.CLOSED, True), ("/p/m.py", Kind.WRITTEN, True)).lone_save


def test_paths_come_in_the_order_of_their_first_change() -> None:
    made = batch(("/p/b", Kind.WRITTEN, True), ("/p/a", Kind.CLOSED, True), ("/p/b", Kind.CLOSED, True))
    assert made.paths == ["/p/b", "/p/a"]


def test_a_write_is_known_until_the_batch_is_over_and_a_rename_is_none() -> None:
    made = batch(("/p/a", Kind.WRITTEN, True), ("/p/b", Kind.ARRIVED, True), ("/p/c", Kind.CREATED, False))
    assert made.being_written("/p/a")
    assert not made.being_written("/p/b")
    assert made.being_written("/p/c")
    assert not made.being_written("/p/d")


def test_what_is_below_a_directory_is_discarded_and_its_namesakes_are_not() -> None:
    made = batch(*((path, Kind.CLOSED, True) for path in ("/p/a", "/p/a/m.py", "/p/ab", "/p/a.py")))
    made.discard_below("/p/a")
    assert made.paths == ["/p/ab", "/p/a.py"]


def test_everything_is_below_the_root_directory() -> None:
    made = batch(("/p/a", Kind.CLOSED, True))
    made.discard_below("/")
    assert not made


def test_actions_are_told_apart() -> None:
    made = batch(("/p/m.py", Kind.CLOSED, True))
    made.add("/p/x.conf", Kind.CLOSED, signalling(SIGUSR1), True)
    assert made.by_action("restart") == [("/p/m.py", RESTART)]
    made.add("/p/x.mo", Kind.CLOSED, NOTIFY, True)
    assert made.by_action("signal") == [("/p/x.conf", signalling(SIGUSR1))]
    assert made.by_action("notify") == [("/p/x.mo", NOTIFY)]


def test_it_takes_in_what_came_later() -> None:
    made = batch(("/p/a", Kind.CLOSED, True))
    made.absorb(batch(("/p/b", Kind.CLOSED, True)))
    assert made.paths == ["/p/a", "/p/b"]
    assert "/p/b" in made


def test_a_write_is_still_known_when_it_is_finished() -> None:
    made = batch(("/p/a", Kind.WRITTEN, True), ("/p/a", Kind.CLOSED, True))
    assert made.being_written("/p/a")


def test_the_latest_verdict_on_a_path_counts() -> None:
    made = batch(("/p/m.py", Kind.WRITTEN, True))
    made.add("/p/m.py", Kind.CLOSED, signalling(SIGUSR1), True)
    assert made.by_action("restart") == []
    assert made.by_action("signal") == [("/p/m.py", signalling(SIGUSR1))]
