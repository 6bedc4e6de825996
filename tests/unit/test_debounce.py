from __future__ import annotations

import pytest

from reloaderd.core.debounce import LIMIT, LOCK_CAP, LONE_QUIET, LOOKING, MAX_QUIET, QUIET, Debounce
from reloaderd.events import Kind
from tests.support.core import RESTART

REPOSITORY = 7


def save(debounce: Debounce, now: float, path: str = "/p/m.py", kind: Kind = Kind.CLOSED) -> None:
    debounce.add(path, kind, RESTART, True, now)


def test_nothing_pending_is_never_due() -> None:
    debounce = Debounce(None)
    assert debounce.deadline(0.0) is None
    save(debounce, 0.0)
    debounce.take()
    assert debounce.deadline(0.0) is None


def test_a_lone_save_is_due_after_ten_milliseconds() -> None:
    debounce = Debounce(None)
    save(debounce, 5.0)
    assert debounce.deadline(5.0) == 5.0 + LONE_QUIET == 5.010


def test_several_paths_are_due_fifty_milliseconds_after_the_latest() -> None:
    debounce = Debounce(None)
    save(debounce, 5.0)
    save(debounce, 5.005, "/p/n.py")
    assert debounce.deadline(5.005) == 5.005 + QUIET == 5.055


def test_a_write_that_may_go_on_waits_as_long() -> None:
    debounce = Debounce(None)
    save(debounce, 5.0, kind=Kind.WRITTEN)
    assert debounce.deadline(5.0) == 5.0 + QUIET
    save(debounce, 5.001)
    assert debounce.deadline(5.001) == 5.001 + LONE_QUIET


def test_each_restart_within_the_last_second_doubles_the_quiet() -> None:
    debounce = Debounce(None)
    quiets = []
    for number in range(8):
        now = 10.0 + number / 100
        save(debounce, now)
        quiets.append(debounce.quiet(now))
        debounce.take()
        debounce.restarted(now)
    assert quiets == [0.010, 0.020, 0.040, 0.080, 0.160, 0.320, MAX_QUIET, MAX_QUIET]


def test_a_restart_is_forgotten_after_a_second() -> None:
    debounce = Debounce(None)
    debounce.restarted(10.0)
    save(debounce, 10.0)
    assert debounce.quiet(10.999) == 2 * LONE_QUIET
    assert debounce.quiet(11.0) == LONE_QUIET


def test_no_batch_waits_longer_than_the_limit() -> None:
    debounce = Debounce(None)
    now = 100.0
    while now < 100.0 + LIMIT:
        save(debounce, now, f"/p/{now}")
        now += 0.030
    assert debounce.deadline(now) == 100.0 + LIMIT == 102.0
    assert debounce.first == 100.0


def test_a_plain_quiet_time_is_the_same_for_all() -> None:
    debounce = Debounce(0.3)
    debounce.restarted(1.0)
    save(debounce, 1.0)
    assert debounce.deadline(1.0) == 1.3
    save(debounce, 1.2, "/p/n.py")
    assert debounce.deadline(1.2) == 1.5


def test_no_quiet_time_acts_on_the_first_event() -> None:
    debounce = Debounce(0.0)
    save(debounce, 1.0, kind=Kind.WRITTEN)
    assert debounce.deadline(1.0) == 1.0


def test_a_quiet_time_beyond_the_limit_is_kept() -> None:
    debounce = Debounce(30.0)
    save(debounce, 1.0)
    assert debounce.deadline(1.0) == 31.0


def test_a_batch_is_held_while_the_lock_is() -> None:
    debounce = Debounce(None)
    debounce.lock(REPOSITORY, 1.0)
    save(debounce, 2.0)
    assert debounce.locked(2.0)
    assert debounce.deadline(2.0) == 1.0 + LOCK_CAP == 61.0
    assert debounce.undisturbed(2.0) == 2.0 + LONE_QUIET


def test_the_quiet_time_starts_when_the_lock_goes_and_is_doubled() -> None:
    debounce = Debounce(None)
    debounce.lock(REPOSITORY, 1.0)
    save(debounce, 2.0)
    debounce.unlock(REPOSITORY, 9.0)
    assert not debounce.locked(9.0)
    assert debounce.deadline(9.0) == 9.0 + 2 * LONE_QUIET


def test_a_stale_lock_holds_nothing_for_longer_than_its_cap() -> None:
    debounce = Debounce(None)
    debounce.lock(REPOSITORY, 1.0)
    save(debounce, 2.0)
    assert debounce.deadline(1.0 + LOCK_CAP) == 2.0 + LONE_QUIET
    assert not debounce.locked(1.0 + LOCK_CAP)
    debounce.take()
    save(debounce, 100.0)
    assert debounce.deadline(100.0) == 100.0 + LONE_QUIET


def test_a_lock_that_is_taken_again_while_it_is_held_does_not_start_anew() -> None:
    debounce = Debounce(None)
    debounce.lock(REPOSITORY, 1.0)
    debounce.lock(REPOSITORY, 50.0)
    save(debounce, 50.0)
    assert debounce.deadline(50.0) == 1.0 + LOCK_CAP


def test_the_lock_of_another_repository_holds_on() -> None:
    debounce = Debounce(None)
    debounce.lock(REPOSITORY, 1.0)
    debounce.lock(REPOSITORY + 1, 2.0)
    save(debounce, 3.0)
    debounce.unlock(REPOSITORY, 4.0)
    assert debounce.deadline(4.0) == 2.0 + LOCK_CAP


def test_a_lock_that_was_never_taken_is_let_go_without_a_trace() -> None:
    debounce = Debounce(None)
    save(debounce, 1.0)
    debounce.unlock(REPOSITORY, 1.005)
    assert debounce.deadline(1.005) == 1.0 + LONE_QUIET


def test_it_waits_as_long_as_it_is_told_and_only_this_batch() -> None:
    debounce = Debounce(None)
    save(debounce, 1.0)
    debounce.hold_until(4.0)
    assert debounce.deadline(1.0) == 4.0
    assert debounce.take().paths == ["/p/m.py"]
    save(debounce, 2.0)
    assert debounce.deadline(2.0) == 2.0 + LONE_QUIET


@pytest.mark.parametrize("quiet", [None, 0.0, 0.2])
def test_a_temporary_file_leaves_nothing_to_wait_for(quiet: float | None) -> None:
    debounce = Debounce(quiet)
    debounce.add("/p/4913", Kind.CREATED, RESTART, False, 1.0)
    debounce.add("/p/4913", Kind.DELETED, RESTART, True, 1.0)
    assert debounce.deadline(1.0) is None


def test_to_be_told_to_wait_makes_nothing_due_earlier() -> None:
    debounce = Debounce(None)
    save(debounce, 1.0)
    debounce.hold_until(1.005)
    assert debounce.deadline(1.0) == 1.0 + LONE_QUIET


def test_the_limit_starts_when_the_lock_goes() -> None:
    debounce = Debounce(None)
    debounce.lock(REPOSITORY, 1.0)
    save(debounce, 2.0)
    debounce.unlock(REPOSITORY, 20.0)
    save(debounce, 20.0, "/p/n.py")
    assert debounce.deadline(20.0) == 20.0 + 2 * QUIET


def test_the_limit_of_a_batch_starts_at_its_own_first_change() -> None:
    debounce = Debounce(None)
    debounce.add("/p/4913", Kind.CREATED, RESTART, False, 1.0)
    debounce.add("/p/4913", Kind.DELETED, RESTART, True, 1.0)
    save(debounce, 9.0)
    assert debounce.first == 9.0
    assert debounce.deadline(9.0) == 9.0 + LONE_QUIET


def test_what_was_learnt_by_polling_waits_for_the_look_that_finds_nothing_more() -> None:
    debounce = Debounce(None)
    debounce.looked(settled=False)
    save(debounce, 5.0, kind=Kind.REWRITTEN)
    debounce.wait_for_looks()
    assert debounce.deadline(5.0) == 5.0 + LOOKING
    save(debounce, 5.2, "/p/n.py", kind=Kind.REWRITTEN)
    assert debounce.deadline(5.2) == 5.0 + LOOKING, "from the first change on"
    debounce.looked(settled=True)
    assert debounce.deadline(5.3) == 5.2 + QUIET


def test_what_was_told_by_the_kernel_waits_for_no_look() -> None:
    debounce = Debounce(None)
    debounce.looked(settled=False)
    save(debounce, 5.0)
    assert debounce.deadline(5.0) == 5.0 + LONE_QUIET
    debounce.wait_for_looks()
    debounce.take()
    save(debounce, 6.0)
    assert debounce.deadline(6.0) == 6.0 + LONE_QUIET


def test_a_plain_quiet_time_waits_for_no_look() -> None:
    debounce = Debounce(0.1)
    debounce.looked(settled=False)
    save(debounce, 5.0, kind=Kind.REWRITTEN)
    debounce.wait_for_looks()
    assert debounce.deadline(5.0) == 5.0 + 0.1
