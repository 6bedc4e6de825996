from __future__ import annotations

from signal import SIGTERM, SIGUSR1, SIGUSR2
from typing import Any

import pytest

from reloaderd.core.gate import LIMIT
from reloaderd.core.transitions import State
from reloaderd.events import ChildStarted, Event, KeeperDied, SignalArrived, SyntaxChecked
from reloaderd.settings import On, RuleSettings
from tests.support import model as op
from tests.support.core import at_rest, reports, service
from tests.support.world import BROKEN, Manner, World

TREE = (op.MakeDirs("/p"), op.Save("/p/m.py"), op.Save("/p/n.py"), op.Save("/p/page.html"))


def gated(**settings: Any) -> World:
    return at_rest(*TREE, gate="syntax", **settings)


def begun(run: Manner, **settings: Any) -> World:
    """The same, while its first run is up."""
    world = World([service(gate="syntax", **settings)], {"web": [run]})
    world.do(*TREE)
    world.start()
    world.pause(0.2)
    return world


def save(world: World, path: str, text: str = "") -> None:
    world.do(op.Save(path, text))
    world.settle()


def said(world: World, event: str) -> list[dict[str, Any]]:
    return reports(world.reports, event)


def state(world: World) -> State:
    return world.engine.services["web"].supervisor.state


def last_changed(world: World) -> list[str]:
    return world.started[-1].environ["RELOADERD_CHANGED"].split("\n")


# What goes through


def test_what_compiles_is_a_restart() -> None:
    world = gated()
    save(world, "/p/m.py", "good")
    assert len(world.started) == 2 and not said(world, "held")
    assert [check.paths for check in world.checks] == [["/p/m.py"]]
    assert (world.checks[0].number, world.checks[0].python) == (1, "")


def test_without_a_gate_nothing_is_checked() -> None:
    world = at_rest(*TREE)
    save(world, "/p/m.py", BROKEN)
    assert len(world.started) == 2 and not world.checks


def test_what_is_no_python_is_not_checked() -> None:
    world = gated()
    save(world, "/p/page.html", BROKEN)
    save(world, "/p/m.pyx", BROKEN)
    assert len(world.started) == 3 and not world.checks


def test_what_is_gone_is_not_checked() -> None:
    world = gated()
    world.do(op.Remove("/p/m.py"))
    world.settle()
    assert len(world.started) == 2 and not world.checks


def test_a_dry_run_checks_nothing() -> None:
    world = gated(dry_run=True)
    save(world, "/p/m.py", BROKEN)
    assert said(world, "changed") and not world.checks and not said(world, "held")


def test_the_old_run_is_not_told_to_stop_before_the_answer() -> None:
    world = gated()
    world.do(op.Save("/p/m.py"))
    world.pause(0.030)
    assert len(world.checks) == 1 and state(world) is State.HELD
    assert not said(world, "stopping")


def test_the_interpreter_is_handed_on_once_it_is_known() -> None:
    world = gated()
    world.engine.services["web"].gate.python_of = lambda paths: "/usr/bin/python3"
    save(world, "/p/m.py")
    assert world.checks[0].python == "/usr/bin/python3"


# What is held


def test_what_does_not_compile_is_held_and_told_in_full_once() -> None:
    world = gated()
    save(world, "/p/m.py", BROKEN)
    save(world, "/p/n.py", BROKEN)
    first, second = said(world, "held")
    assert first == {
        "reason": "syntax",
        "path": "/p/m.py",
        "line": 1,
        "column": 1,
        "text": BROKEN,
        "message": "SyntaxError: invalid syntax",
        "count": 1,
        "again": False,
    }
    assert (second["count"], second["again"]) == (2, True)
    assert len(world.started) == 1 and state(world) is State.HELD
    assert world.engine.deadline(world.now) is None, "no rest"


def test_one_restart_for_all_that_was_held() -> None:
    world = gated()
    save(world, "/p/m.py", BROKEN)
    save(world, "/p/page.html")
    save(world, "/p/n.py")
    assert len(world.started) == 1
    save(world, "/p/m.py", "good")
    assert len(world.started) == 2
    assert sorted(last_changed(world)) == ["/p/m.py", "/p/n.py", "/p/page.html"]
    (changed,) = said(world, "changed")
    assert sorted(changed["paths"]) == ["/p/m.py", "/p/n.py", "/p/page.html"]
    assert world.checks[-1].paths == ["/p/n.py", "/p/m.py"]
    assert said(world, "started")[-1]["ms"] < 200, "from the change that mended it"


def test_a_deletion_of_what_is_broken_lets_the_rest_go_on() -> None:
    world = gated()
    save(world, "/p/n.py", "good")
    save(world, "/p/m.py", BROKEN)
    world.do(op.Remove("/p/m.py"))
    world.settle()
    assert len(world.started) == 3
    assert last_changed(world) == ["/p/m.py"]


def test_a_new_file_that_was_broken_and_is_gone_again() -> None:
    world = gated()
    save(world, "/p/new.py", BROKEN)
    world.do(op.Remove("/p/new.py"))
    world.settle()
    assert len(world.started) == 2
    assert last_changed(world) == ["/p/new.py"]
    save(world, "/p/m.py", BROKEN)
    assert len(world.started) == 2, "what let it go on is not there to stay"
    assert [one["again"] for one in said(world, "held")] == [False, False]


def test_after_a_restart_the_next_fault_is_told_in_full() -> None:
    world = gated()
    for text in (BROKEN, "", BROKEN, BROKEN):
        save(world, "/p/m.py", text)
    assert [one["again"] for one in said(world, "held")] == [False, False, True]


def test_a_signal_is_sent_while_something_is_held() -> None:
    world = gated(rules=RuleSettings(on=(On("*.html", "signal", SIGUSR2),)), runs=[Manner(grace=None)])
    save(world, "/p/m.py", BROKEN)
    save(world, "/p/page.html")
    assert said(world, "changed")[-1]["action"] == "signal:USR2"
    assert state(world) is State.HELD


# Checks


def test_changes_during_a_check_wait_for_the_next() -> None:
    world = gated()
    world.check_takes = 1.0
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(0.5)
    save(world, "/p/n.py")
    assert [check.paths for check in world.checks] == [["/p/m.py"], ["/p/m.py", "/p/n.py"]]
    assert [check.number for check in world.checks] == [1, 2]
    assert [one["again"] for one in said(world, "held")] == [False, True]


def test_an_answer_to_another_check_is_dropped() -> None:
    world = gated()
    world.check_takes = None
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(0.1)
    (check,) = world.checks
    for number in (check.number - 1, check.number + 1):
        world.carry([SyntaxChecked("web", number)])
    assert state(world) is State.HELD and len(world.started) == 1
    world.carry([SyntaxChecked("web", check.number)])
    world.settle()
    world.carry([SyntaxChecked("web", check.number)])
    assert len(world.started) == 2


def test_a_check_that_does_not_end_is_given_up_with_a_warning() -> None:
    world = gated()
    world.check_takes = None
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(LIMIT - 0.1)
    assert len(world.started) == 1
    world.settle()
    assert len(world.started) == 2
    assert "10 s" in said(world, "warning")[0]["text"]


def test_what_cannot_be_checked_goes_on_and_is_warned_of_once() -> None:
    world = gated()
    world.trouble = "which Python make runs on is not known"
    for _ in range(2):
        save(world, "/p/m.py", BROKEN)
    assert len(world.started) == 3
    (warning,) = said(world, "warning")
    assert world.trouble in warning["text"]


# The end of a run, and no run


def test_without_a_run_a_change_starts_one_whatever_it_is() -> None:
    world = gated(runs=[Manner(ends=1.0, status=1)])
    assert state(world) is State.WAITING
    save(world, "/p/m.py", BROKEN)
    assert len(world.started) == 2 and not world.checks


def test_what_settles_while_a_run_is_just_starting_waits_to_be_checked() -> None:
    world = gated()
    keeper = world.keepers["web"]
    read = keeper.read
    kept: list[Event] = []

    def without_starts() -> list[Event]:
        events = read()
        kept.extend(event for event in events if isinstance(event, ChildStarted))
        return [event for event in events if not isinstance(event, ChildStarted)]

    keeper.read = without_starts  # type: ignore[method-assign]
    world.do(op.Save("/p/m.py"))
    world.pause(0.2)
    assert len(world.started) == 2 and kept
    world.do(op.Save("/p/n.py", BROKEN))
    world.pause(1.0)
    assert len(world.started) == 2 and state(world) is State.RUNNING
    keeper.read = read  # type: ignore[method-assign]
    world.carry(kept)
    world.settle()
    assert len(world.started) == 2 and state(world) is State.HELD


@pytest.mark.parametrize("on_exit", ["wait", "restart", "exit"])
def test_a_run_that_ends_while_something_is_held_ends_as_ever(on_exit: str) -> None:
    world = begun(Manner(ends=5.0, status=1), on_exit=on_exit)
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(10.0)
    if on_exit == "exit":
        assert world.quits and len(world.started) == 1
    elif on_exit == "restart":
        assert len(world.started) == 2 and last_changed(world) == ["/p/m.py"]
    else:
        assert state(world) is State.WAITING and len(world.started) == 1
        save(world, "/p/n.py", BROKEN)
        assert len(world.started) == 2 and last_changed(world) == ["/p/m.py", "/p/n.py"]
        save(world, "/p/m.py", BROKEN)
        assert [one["again"] for one in said(world, "held")] == [False, False]


@pytest.mark.parametrize("killed", [False, True], ids=["the run", "its keeper"])
def test_a_run_that_ends_during_a_check_is_no_reason_to_wait(killed: bool) -> None:
    world = begun(Manner(ends=None if killed else 1.0))
    world.check_takes = None
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(0.5)
    if killed:
        world.keepers["web"].alive = world.keepers["web"].child = False
        world.carry([KeeperDied("web")])
    world.pause(1.0)
    assert len(world.started) == 2 and last_changed(world) == ["/p/m.py"]


@pytest.mark.parametrize("takes", [0.03, None], ids=["held", "checked"])
def test_a_restart_on_request_drops_the_hold(takes: float | None) -> None:
    world = gated()
    world.check_takes = takes
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(0.5)
    world.carry([SignalArrived(SIGUSR1)])
    assert not world.checking
    world.pause(0.5)
    assert len(world.started) == 2 and last_changed(world) == ["/p/m.py"]
    world.check_takes = 0.03
    save(world, "/p/n.py")
    assert len(world.started) == 3 and last_changed(world) == ["/p/n.py"]


@pytest.mark.parametrize("takes", [0.03, None], ids=["held", "checked"])
def test_a_close_does_not_wait(takes: float | None) -> None:
    world = gated()
    world.check_takes = takes
    world.do(op.Save("/p/m.py", BROKEN))
    world.pause(0.5)
    at = world.now
    world.carry([SignalArrived(SIGTERM)])
    world.settle()
    assert world.quits and world.now < at + 0.1 and len(world.started) == 1
    assert not said(world, "changed")
    assert not world.checking
