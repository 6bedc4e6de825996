from __future__ import annotations

import errno
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2
from typing import Any

import pytest

from reloaderd.commands import Command, Drain, KillTree, Quit, SignalChild, StartChild
from reloaderd.core.plan import BUSY_LIMIT, BUSY_RETRY, START_RETRIES
from reloaderd.core.supervisor import UNKILLABLE, Supervisor
from reloaderd.core.transitions import TRANSITIONS, Effect, Input, State
from reloaderd.events import ChildEnded, ChildStarted, RunGone, StartFailed
from tests.support.core import only, reports, service


def fresh(**settings: Any) -> Supervisor:
    return Supervisor(service(**settings))


def start(supervisor: Supervisor, now: float = 0.0) -> None:
    """A change, and all that follows until the child runs."""
    supervisor.change(now)
    launch(supervisor, now)
    supervisor.child(ChildStarted("web", supervisor.run, 4711), now)


def launch(supervisor: Supervisor, now: float, since: float | None = None) -> list[Command]:
    assert supervisor.starting
    return supervisor.launch({}, since, now)


def running(**settings: Any) -> Supervisor:
    supervisor = fresh(**settings)
    start(supervisor)
    return supervisor


def end(supervisor: Supervisor, now: float, status: int = 0, left: int = 0) -> list[Command]:
    return supervisor.child(ChildEnded("web", supervisor.run, status, left), now)


def gone(supervisor: Supervisor, now: float) -> list[Command]:
    return supervisor.child(RunGone("web", supervisor.run), now)


def fail(supervisor: Supervisor, number: int, now: float) -> list[Command]:
    launch(supervisor, now)
    return supervisor.child(StartFailed("web", supervisor.run, number, "command"), now)


# The table


def test_every_state_but_the_last_can_be_closed() -> None:
    for state in State:
        assert ((state, Input.CLOSE) in TRANSITIONS) == (state is not State.CLOSED)


def test_every_effect_is_used() -> None:
    assert {effect for _, effect in TRANSITIONS.values()} == set(Effect)


def test_a_run_starts_only_where_none_is() -> None:
    for (state, what), (_, effect) in TRANSITIONS.items():
        if effect is Effect.START:
            assert state in (State.WAITING, State.BACKOFF) or what is Input.AGAIN


# Starts


def test_a_change_starts_a_run_once_the_source_is_drained() -> None:
    supervisor = fresh()
    assert supervisor.change(1.0) == [Drain("web")]
    (command,) = supervisor.launch({"RELOADERD_CHANGED": "/p/m.py"}, None, 1.0)
    assert isinstance(command, StartChild)
    assert (command.service, command.run) == ("web", 1)
    assert command.environ == {
        "RELOADERD": "web",
        "RELOADERD_RUN": "1",
        "RELOADERD_CHANGED": "/p/m.py",
    }


def test_a_change_while_a_start_is_under_way_is_part_of_it() -> None:
    supervisor = fresh()
    supervisor.change(1.0)
    assert supervisor.change(1.0) == []
    assert supervisor.state is State.RUNNING
    assert only(launch(supervisor, 1.0), StartChild)


def test_a_hold_leaves_the_run_as_it_is_and_a_change_ends_it() -> None:
    supervisor = running()
    assert supervisor.hold(1.0) == []
    assert (supervisor.state, supervisor.alive, supervisor.deadline) == (State.HELD, True, None)
    assert only(supervisor.change(2.0), SignalChild)
    assert supervisor.state is State.STOPPING


def test_a_run_that_ends_while_a_change_is_held_is_over_as_ever() -> None:
    supervisor = running(on_exit="exit")
    supervisor.hold(1.0)
    end(supervisor, 2.0, status=7)
    gone(supervisor, 2.0)
    assert (supervisor.state, supervisor.result) == (State.CLOSED, (7, 0))


def test_a_hold_without_a_run_is_none() -> None:
    supervisor = fresh()
    supervisor.hold(1.0)
    assert supervisor.state is State.WAITING
    supervisor.change(1.0)
    launch(supervisor, 1.0)
    supervisor.hold(1.0)
    assert supervisor.state is State.RUNNING


def test_a_back_off_that_ends_together_with_a_change_starts_one_run() -> None:
    supervisor = running(on_exit="restart")
    end(supervisor, 1.0)
    gone(supervisor, 1.0)
    assert supervisor.deadline == 1.5
    assert supervisor.tick(1.5) == [Drain("web")]
    assert supervisor.change(1.5) == []
    assert len(only(launch(supervisor, 1.5), StartChild)) == 1
    assert supervisor.state is State.RUNNING


def test_a_close_while_a_start_is_under_way_starts_nothing() -> None:
    supervisor = fresh()
    supervisor.change(1.0)
    assert supervisor.close(SIGTERM, 1.0) == [Quit(0, 0)]
    assert not supervisor.starting
    assert supervisor.state is State.CLOSED


def test_a_restart_says_how_long_it_took() -> None:
    supervisor = running()
    supervisor.change(5.0)
    gone(supervisor, 5.1)
    launch(supervisor, 5.1, since=5.0)
    commands = supervisor.child(ChildStarted("web", 2, 4712), 5.2)
    assert reports(commands, "restarted") == [{"run": 2, "ms": 200.0}]


# Stops


def test_a_change_stops_the_run_and_starts_the_next_when_nothing_is_left() -> None:
    supervisor = running(stop_signal=SIGUSR2, kill="group")
    stop = only(supervisor.change(5.0), SignalChild)
    assert stop == [SignalChild("web", 1, SIGUSR2, "group", ends=True)]
    assert supervisor.deadline == 10.0
    assert only(end(supervisor, 5.1, -15, left=1), Drain) == []
    assert gone(supervisor, 5.2) == [Drain("web")]
    assert supervisor.deadline is None


def test_a_change_during_a_stop_neither_signals_again_nor_gives_more_time() -> None:
    supervisor = running()
    supervisor.change(5.0)
    assert supervisor.change(8.0) == []
    assert supervisor.deadline == 10.0


def test_grace_over_is_sigkill() -> None:
    supervisor = running()
    supervisor.change(5.0)
    commands = supervisor.tick(10.0)
    assert only(commands, KillTree) == [KillTree("web", 1)]
    assert reports(commands, "killed") == [{"run": 1}]


def test_no_grace_is_sigkill_at_once() -> None:
    supervisor = running(stop_timeout=0.0)
    commands = supervisor.change(5.0)
    assert only(commands, KillTree) == [KillTree("web", 1)]
    assert only(commands, SignalChild) == []


def test_what_survives_sigkill_is_said_and_no_second_run_starts() -> None:
    supervisor = running()
    supervisor.change(5.0)
    supervisor.tick(10.0)
    commands = supervisor.tick(10.0 + UNKILLABLE)
    assert "survives SIGKILL" in reports(commands, "warning")[0]["text"]
    assert supervisor.deadline is None
    assert supervisor.change(60.0) == []
    assert gone(supervisor, 90.0) == [Drain("web")]


def test_what_an_ended_child_leaves_is_swept_from_the_whole_tree() -> None:
    supervisor = running(kill="child")
    commands = end(supervisor, 3.0, 1, left=2)
    assert only(commands, SignalChild) == [SignalChild("web", 1, SIGTERM, "tree", ends=True)]
    assert supervisor.deadline == 8.0
    assert only(supervisor.tick(8.0), KillTree)


def test_a_child_that_leaves_nothing_is_not_swept() -> None:
    assert only(end(running(), 3.0), SignalChild) == []


# Ends by itself


@pytest.mark.parametrize("status", [0, 1, 2, 126, 127, 255, -11, -9])
def test_a_child_that_ended_is_waited_for_a_change(status: int) -> None:
    supervisor = running()
    assert len(reports(end(supervisor, 1.0, status), "ended")) == 1
    assert reports(gone(supervisor, 1.0), "waiting") == [{"for": "change"}]
    assert (supervisor.state, supervisor.deadline) == (State.WAITING, None)
    assert supervisor.change(2.0) == [Drain("web")]


def test_how_it_ended_is_said() -> None:
    assert reports(end(running(), 1.25, 4), "ended") == [{"run": 1, "status": 4, "seconds": 1.25}]
    assert reports(end(running(), 1.25, -11), "ended") == [{"run": 1, "signal": "SIGSEGV", "seconds": 1.25}]


def test_three_means_restart_me_at_once_and_then_backed_off() -> None:
    supervisor = running()
    delays = []
    said = []
    now = 0.0
    for _ in range(5):
        said.append(len(reports(end(supervisor, now, 3), "warning")))
        gone(supervisor, now)
        delays.append((supervisor.deadline or now) - now)
        now = supervisor.deadline or now
        supervisor.tick(now)
        launch(supervisor, now)
        supervisor.child(ChildStarted("web", supervisor.run, 4711), now)
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert said == [0, 0, 0, 1, 0]


def test_three_means_nothing_where_it_was_not_agreed() -> None:
    supervisor = running(restart_status=None)
    end(supervisor, 1.0, 3)
    gone(supervisor, 1.0)
    assert supervisor.state is State.WAITING


def test_a_crash_loop_is_backed_off_and_a_change_restarts_at_once() -> None:
    supervisor = running(on_exit="restart")
    now = 0.0
    delays = []
    for _ in range(3):
        end(supervisor, now, 1)
        gone(supervisor, now)
        assert supervisor.deadline is not None
        delays.append(supervisor.deadline - now)
        now = supervisor.deadline
        supervisor.tick(now)
        launch(supervisor, now)
        supervisor.child(ChildStarted("web", supervisor.run, 4711), now)
    assert delays == [0.5, 1.0, 2.0]
    end(supervisor, now, 1)
    gone(supervisor, now)
    assert supervisor.change(now + 0.1) == [Drain("web")]
    launch(supervisor, now + 0.1)
    end(supervisor, now + 0.2, 1)
    gone(supervisor, now + 0.2)
    assert supervisor.deadline == now + 0.7


@pytest.mark.parametrize(("status", "result"), [(0, (0, 0)), (4, (4, 0)), (-9, (137, 9))])
def test_it_may_end_as_its_child_does(status: int, result: tuple[int, int]) -> None:
    supervisor = running(on_exit="exit")
    end(supervisor, 1.0, status)
    assert gone(supervisor, 1.0) == [Quit(*result)]


# Starts that fail


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.ENOENT, 127), (errno.ENOTDIR, 127), (errno.EACCES, 126), (errno.ENOEXEC, 126)],
)
def test_a_first_start_that_fails_ends_it(number: int, status: int) -> None:
    supervisor = fresh()
    supervisor.change(0.0)
    commands = fail(supervisor, number, 0.0)
    assert only(commands, Quit) == [Quit(status, 0)]
    assert reports(commands, "warning")


def test_a_later_start_that_fails_is_retried_and_then_left_to_a_change() -> None:
    supervisor = running()
    supervisor.change(1.0)
    gone(supervisor, 1.0)
    now = 1.0
    said = 0
    delays = []
    for _ in range(START_RETRIES):
        said += len(reports(fail(supervisor, errno.ENOENT, now), "warning"))
        assert supervisor.deadline is not None
        delays.append(supervisor.deadline - now)
        now = supervisor.deadline
        supervisor.tick(now)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0]
    said += len(reports(fail(supervisor, errno.ENOENT, now), "warning"))
    assert said == 1
    assert (supervisor.state, supervisor.deadline) == (State.WAITING, None)
    assert supervisor.change(now) == [Drain("web")]


def test_a_machine_that_is_short_of_something_is_waited_out_for_ever() -> None:
    supervisor = fresh()
    supervisor.change(0.0)
    now = 0.0
    for _ in range(3 * START_RETRIES):
        assert only(fail(supervisor, errno.EAGAIN, now), Quit) == []
        assert supervisor.deadline is not None
        now = supervisor.deadline
        supervisor.tick(now)


def test_a_busy_executable_is_retried_for_a_second_without_a_word() -> None:
    supervisor = fresh()
    supervisor.change(0.0)
    now = 0.0
    while now < BUSY_LIMIT:
        assert fail(supervisor, errno.ETXTBSY, now) == []
        assert supervisor.deadline == now + BUSY_RETRY
        now += BUSY_RETRY
        supervisor.tick(now)
    assert only(fail(supervisor, errno.ETXTBSY, now), Quit) == [Quit(126, 0)]


# Ends


@pytest.mark.parametrize(
    ("signum", "passed"),
    [(SIGINT, SIGINT), (SIGQUIT, SIGQUIT), (SIGTERM, SIGUSR2), (SIGHUP, SIGUSR2), (0, SIGUSR2)],
)
def test_what_a_person_types_reaches_the_child_as_it_is(signum: int, passed: int) -> None:
    supervisor = running(stop_signal=SIGUSR2)
    (stop,) = only(supervisor.close(signum, 1.0), SignalChild)
    assert stop.signum == passed
    assert gone(supervisor, 2.0) == [Quit(0, 0)]


def test_a_second_close_kills() -> None:
    supervisor = running()
    supervisor.close(SIGINT, 1.0)
    assert only(supervisor.close(SIGINT, 1.1), KillTree)


def test_a_close_during_a_stop_ends_it_when_the_run_is_gone() -> None:
    supervisor = running()
    supervisor.change(1.0)
    supervisor.close(SIGTERM, 2.0)
    assert gone(supervisor, 2.5) == [Quit(0, 0)]


def test_nothing_calls_off_an_end() -> None:
    supervisor = running()
    supervisor.close(SIGTERM, 1.0)
    assert supervisor.change(1.5) == []
    assert gone(supervisor, 2.0) == [Quit(0, 0)]
    assert supervisor.change(3.0) == []
    assert supervisor.close(SIGTERM, 3.0) == []


def test_it_does_not_quit_before_everything_is_gone() -> None:
    supervisor = running()
    supervisor.close(SIGTERM, 1.0)
    assert only(end(supervisor, 1.1, -15, left=1), Quit) == []
    assert supervisor.state is State.CLOSING


# Reports


def test_a_report_about_an_earlier_run_changes_nothing() -> None:
    supervisor = running()
    supervisor.change(1.0)
    gone(supervisor, 1.0)
    launch(supervisor, 1.0)
    supervisor.child(ChildStarted("web", 2, 4712), 1.0)
    for event in (
        RunGone("web", 1),
        ChildEnded("web", 1, 3, 0),
        ChildStarted("web", 1, 1),
        StartFailed("web", 1, errno.ENOENT, "command"),
    ):
        assert supervisor.child(event, 2.0) == []
        assert (supervisor.state, supervisor.alive, supervisor.deadline) == (State.RUNNING, True, None)


def test_a_run_that_is_gone_twice_does_not_lose_its_back_off() -> None:
    supervisor = running(on_exit="restart")
    end(supervisor, 1.0)
    gone(supervisor, 1.0)
    assert gone(supervisor, 1.1) == []
    assert end(supervisor, 1.1, -9) == []
    assert (supervisor.state, supervisor.deadline) == (State.BACKOFF, 1.5)


@pytest.mark.parametrize("on_exit", ["wait", "restart"])
def test_there_is_no_deadline_at_rest(on_exit: str) -> None:
    supervisor = running(on_exit=on_exit)
    assert supervisor.deadline is None
    assert supervisor.tick(1e9) == []
