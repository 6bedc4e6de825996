"""Several children, one terminal."""

from __future__ import annotations

from reloaderd.commands import LendTerminal, ReclaimTerminal, Report
from reloaderd.core.foreground import Foreground


def asked(*names: str) -> Foreground:
    foreground = Foreground()
    for name in names:
        foreground.asked(name, 1)
    return foreground


def test_the_first_that_asks_has_it_and_may_ask_again() -> None:
    foreground = Foreground()
    assert foreground.asked("web", 1) == [LendTerminal("web", 1)]
    assert foreground.asked("web", 1) == [LendTerminal("web", 1)]
    assert foreground.again() == [LendTerminal("web", 1)]


def test_another_waits_and_that_is_told_once() -> None:
    foreground = asked("web")
    told = Report("warning", "worker", {"text": "it waits for the terminal, which web has"})
    assert foreground.asked("worker", 1) == [told]
    assert foreground.asked("worker", 1) == []
    assert foreground.again() == [LendTerminal("web", 1)]


def test_they_have_it_one_after_the_other() -> None:
    foreground = asked("web", "worker", "mail")
    assert foreground.gone("web", 1) == [ReclaimTerminal(), LendTerminal("worker", 1)]
    assert foreground.gone("worker", 1) == [ReclaimTerminal(), LendTerminal("mail", 1)]
    assert foreground.gone("mail", 1) == [ReclaimTerminal()]
    assert foreground.gone("mail", 1) == []
    assert foreground.again() == []


def test_one_whose_run_is_gone_waits_no_more() -> None:
    foreground = asked("web", "worker", "mail")
    assert foreground.gone("worker", 1) == []
    assert foreground.gone("web", 1) == [ReclaimTerminal(), LendTerminal("mail", 1)]


def test_at_the_end_it_is_taken_back_from_whoever_has_it() -> None:
    foreground = asked("web", "worker")
    assert foreground.take_back() == [ReclaimTerminal()]
    assert foreground.take_back() == []


def test_of_two_runs_of_a_service_the_one_that_has_it_keeps_it() -> None:
    """With --overlap: the end of the other is no reason to take it."""
    foreground = asked("web")
    [told] = foreground.asked("web", 2)
    assert isinstance(told, Report)
    assert foreground.gone("web", 3) == []
    assert foreground.gone("web", 1) == [ReclaimTerminal(), LendTerminal("web", 2)]
    assert foreground.gone("web", 2) == [ReclaimTerminal()]
