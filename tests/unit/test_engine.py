from __future__ import annotations

import errno
from signal import SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGWINCH

import pytest

from reloaderd.commands import (
    Command,
    Drop,
    LendTerminal,
    Quit,
    ReclaimTerminal,
    SignalChild,
    StopSelf,
)
from reloaderd.core.engine import Engine
from reloaderd.core.supervisor import State
from reloaderd.events import (
    ChildEnded,
    ChildStopped,
    Event,
    KeeperDied,
    RunGone,
    SignalArrived,
    TerminalClosed,
)
from reloaderd.settings import ServiceSettings
from tests.support import model as op
from tests.support.core import at_rest, only, reports, service
from tests.support.world import Manner, World

TREE = (op.MakeDirs("/p/a"), op.Save("/p/m.py"), op.Save("/p/a/n.py"))
BOTH = (service("web"), service("worker", ("/p/a",)))


def running(*services: ServiceSettings, terminal: bool = True) -> tuple[World, Engine]:
    """Everything runs, for services that watch /p or /p/a."""
    world = at_rest(*TREE, services=services or (service(),), terminal=terminal)
    return world, world.engine


def send(engine: Engine, *events: Event, now: float = 2000.0) -> list[Command]:
    return [command for event in events for command in engine.handle(event, now)]


def lent(*services: ServiceSettings) -> Engine:
    _, engine = running(*services)
    send(engine, ChildStopped("web", 1, SIGTTIN))
    return engine


# The end


@pytest.mark.parametrize("signum", [SIGINT, SIGTERM, SIGQUIT, SIGHUP])
def test_a_signal_ends_all_services_and_then_reloaderd_by_that_signal(signum: int) -> None:
    _, engine = running(*BOTH)
    commands = send(engine, SignalArrived(signum))
    assert [one.service for one in only(commands, SignalChild)] == ["web", "worker"]
    assert len(reports(commands, "closing")) == 2
    assert only(send(engine, RunGone("web", 1)), Quit) == []
    commands = send(engine, RunGone("worker", 1))
    assert only(commands, Quit) == [Quit(128 + signum, signum)]
    assert len(reports(commands, "closed")) == 2


def test_services_without_a_run_end_together_and_say_so_once() -> None:
    _, engine = running(*BOTH)
    send(engine, *(ChildEnded(name, 1, 0, 0) for name in ("web", "worker")))
    send(engine, *(RunGone(name, 1) for name in ("web", "worker")))
    commands = send(engine, SignalArrived(SIGTERM))
    assert only(commands, Quit) == [Quit(143, SIGTERM)]
    assert len(reports(commands, "closed")) == 2


def test_a_second_ctrl_c_kills() -> None:
    _, engine = running()
    send(engine, SignalArrived(SIGINT))
    commands = send(engine, SignalArrived(SIGINT))
    assert reports(commands, "killed") == [{"run": 1}]
    assert reports(commands, "closing") == []


def test_a_restart_that_is_asked_for_during_the_end_does_not_call_it_off() -> None:
    _, engine = running(terminal=False)
    send(engine, SignalArrived(SIGTERM), SignalArrived(SIGUSR1), SignalArrived(SIGHUP))
    assert only(send(engine, RunGone("web", 1)), Quit) == [Quit(143, SIGTERM)]


def test_it_ends_as_its_child_does_and_stops_the_others_first() -> None:
    _, engine = running(service("web", on_exit="exit"), service("worker"))
    send(engine, ChildEnded("web", 1, 4, 0))
    commands = send(engine, RunGone("web", 1))
    assert only(commands, Quit) == []
    assert [one.service for one in only(commands, SignalChild)] == ["worker"]
    assert only(send(engine, RunGone("worker", 1)), Quit) == [Quit(4, 0)]


def test_a_first_start_that_fails_stops_the_others_and_gives_its_status() -> None:
    world = at_rest(*TREE, services=BOTH, runs=[Manner(start=errno.ENOENT)])
    assert world.quits == [Quit(127, 0)]
    assert [(one.service, one.run) for one in world.started] == [("web", 1), ("worker", 1)]


def test_a_terminal_that_goes_during_the_end_is_no_second_ctrl_c() -> None:
    _, engine = running()
    send(engine, SignalArrived(SIGHUP))
    assert send(engine, TerminalClosed()) == []


# Signals to reloaderd


def test_sigusr1_restarts_now() -> None:
    _, engine = running(*BOTH)
    assert len(only(send(engine, SignalArrived(SIGUSR1)), SignalChild)) == 2
    assert [one.supervisor.state for one in engine.services.values()] == [State.STOPPING] * 2


def test_sighup_restarts_where_there_is_no_terminal() -> None:
    _, engine = running(terminal=False)
    send(engine, SignalArrived(SIGHUP))
    assert engine.services["web"].supervisor.state is State.STOPPING


def test_a_terminal_that_is_gone_ends_it() -> None:
    _, engine = running()
    commands = send(engine, TerminalClosed())
    assert reports(commands, "closing") == [{"signal": "SIGHUP"}]


def test_sigwinch_is_passed_on_to_what_is_alive() -> None:
    _, engine = running(*BOTH)
    send(engine, ChildEnded("worker", 1, 0, 0), RunGone("worker", 1))
    assert send(engine, SignalArrived(SIGWINCH)) == [SignalChild("web", 1, SIGWINCH, "group")]


def test_ctrl_z_stops_both_and_fg_continues_both() -> None:
    _, engine = running()
    assert send(engine, SignalArrived(SIGTSTP)) == [
        SignalChild("web", 1, SIGTSTP, "tree"),
        StopSelf(),
        SignalChild("web", 1, SIGCONT, "tree"),
    ]


# The terminal


@pytest.mark.parametrize("signum", [SIGTTIN, SIGTTOU])
def test_the_terminal_is_lent_to_a_child_that_asks(signum: int) -> None:
    _, engine = running()
    assert send(engine, ChildStopped("web", 1, signum)) == [LendTerminal("web", 1)]


def test_an_earlier_run_gets_no_terminal() -> None:
    _, engine = running()
    assert send(engine, ChildStopped("web", 0, SIGTTIN)) == []


def test_the_terminal_is_taken_back_when_the_child_ends() -> None:
    engine = lent()
    commands = send(engine, ChildEnded("web", 1, 0, 1))
    assert commands[0] == ReclaimTerminal()


def test_it_is_taken_back_again_when_nothing_is_left_that_may_have_it() -> None:
    engine = lent()
    send(engine, ChildEnded("web", 1, 0, 1))
    assert send(engine, RunGone("web", 1))[0] == ReclaimTerminal()
    assert only(send(engine, RunGone("web", 1)), ReclaimTerminal) == []


def test_it_is_taken_back_when_the_keeper_died() -> None:
    engine = lent()
    assert send(engine, KeeperDied("web"))[0] == ReclaimTerminal()


def test_a_child_that_was_stopped_by_sigint_is_no_ctrl_c() -> None:
    engine = lent()
    send(engine, SignalArrived(SIGUSR1))
    assert only(send(engine, ChildEnded("web", 1, -SIGINT, 0), RunGone("web", 1)), Quit) == []


def test_it_is_taken_back_before_reloaderd_ends() -> None:
    engine = lent()
    send(engine, SignalArrived(SIGTERM))
    commands = send(engine, RunGone("web", 1))
    assert commands[0] == ReclaimTerminal()
    assert only(commands, Quit)


def test_the_end_of_another_child_leaves_it_where_it_is() -> None:
    engine = lent(*BOTH)
    commands = send(engine, ChildEnded("worker", 1, 0, 0), RunGone("worker", 1))
    assert only(commands, ReclaimTerminal) == []


@pytest.mark.parametrize("held", [False, True])
def test_ctrl_c_in_a_child_that_has_the_terminal_ends_reloaderd_too(held: bool) -> None:
    engine = lent()
    if held:
        engine.services["web"].supervisor.hold(0.0)
    send(engine, ChildEnded("web", 1, -SIGINT, 0))
    assert only(send(engine, RunGone("web", 1)), Quit) == [Quit(130, SIGINT)]


def test_ctrl_z_in_a_child_that_has_the_terminal_stops_reloaderd_too() -> None:
    engine = lent()
    commands = send(engine, ChildStopped("web", 1, SIGTSTP))
    assert commands[:2] == [ReclaimTerminal(), StopSelf()]
    assert LendTerminal("web", 1) in commands[2:]
    assert SignalChild("web", 1, SIGCONT, "tree") in commands[2:]


def test_a_child_that_stops_itself_without_the_terminal_is_left_alone() -> None:
    _, engine = running()
    assert send(engine, ChildStopped("web", 1, SIGTSTP)) == []


# Services


def test_a_change_restarts_every_service_that_it_concerns_and_no_other() -> None:
    world, _ = running(*BOTH)
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert [(one.service, one.run) for one in world.started[2:]] == [("web", 2)]
    world.do(op.Save("/p/a/n.py"))
    world.settle()
    assert sorted((one.service, one.run) for one in world.started[3:]) == [("web", 3), ("worker", 2)]


def test_a_watch_that_another_service_needs_is_kept() -> None:
    world, engine = running(*BOTH)
    node = engine.services["web"].watcher.tree.get("/p/a")
    assert node is not None
    engine.services["web"].watcher.tree.forget("/p/a")
    assert engine._finish([Drop([node.watch])], 0.0) == []
    engine.services["worker"].watcher.tree.forget("/p/a")
    assert engine._finish([Drop([node.watch, 999])], 0.0) == [Drop([node.watch, 999])]


def test_what_concerns_no_known_service_is_passed_over() -> None:
    _, engine = running()
    assert send(engine, RunGone("other", 1)) == []


def test_there_is_no_deadline_at_rest() -> None:
    _, engine = running(*BOTH)
    assert engine.deadline(2000.0) is None
    assert engine.tick(2000.0) == []


def test_a_child_that_wants_the_terminal_waits_until_nothing_is_left_of_the_one_that_has_it() -> None:
    engine = lent(*BOTH)
    commands = send(engine, ChildStopped("worker", 1, SIGTTIN))
    assert only(commands, LendTerminal) == []
    assert reports(commands, "warning") == [{"text": "it waits for the terminal, which web has"}]
    commands = send(engine, ChildEnded("web", 1, 0, 1))
    assert only(commands, LendTerminal) == []
    assert send(engine, RunGone("web", 1))[:2] == [ReclaimTerminal(), LendTerminal("worker", 1)]
