from __future__ import annotations

from reloaderd.core.backoff import Backoff


def test_it_doubles_from_half_a_second_to_eight() -> None:
    backoff = Backoff()
    assert [backoff.next() for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_run_that_stayed_up_is_forgiven() -> None:
    backoff = Backoff()
    assert [backoff.next(up=7.9) for _ in range(3)] == [0.5, 1.0, 2.0]
    assert backoff.next(up=8.0) == 0.5
    assert backoff.next(up=0.0) == 1.0


def test_it_starts_anew_when_all_is_well() -> None:
    backoff = Backoff()
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.5


def test_the_first_repetition_may_be_free() -> None:
    backoff = Backoff(first=0.0)
    assert [backoff.next() for _ in range(4)] == [0.0, 0.5, 1.0, 2.0]
    assert backoff.next(up=8.0) == 0.0
