"""core.warm: when a copy is asked for, and what is said of it."""

from __future__ import annotations

from reloaderd.commands import Report, StartChild, WarmUp
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.warm import ATTEMPTS, QUIET, Warm
from reloaderd.events import ZygoteGone, ZygoteReady
from reloaderd.settings import ServiceSettings

READY = ZygoteReady("web", 600, {"grpc": "it starts a thread"})
STALE = ZygoteGone("web", "/lib/x.py has changed", final=False)


def reports(commands: list[object]) -> list[dict[str, object]]:
    assert all(isinstance(one, Report) and one.event == "warm" for one in commands)
    return [dict(one.fields) for one in commands if isinstance(one, Report)]


def test_nothing_is_due_before_a_run() -> None:
    assert Warm("web").deadline is None


def test_a_copy_is_asked_for_once_a_run_is_quiet() -> None:
    warm = Warm("web")
    warm.news(10.0)
    warm.news(10.5)
    assert warm.deadline == 10.5 + QUIET
    assert warm.tick(10.5 + QUIET / 2) == []
    assert warm.tick(10.5 + QUIET) == [WarmUp("web")]
    assert warm.deadline is None and warm.tick(99.0) == []


def test_what_is_ready_is_said_once() -> None:
    warm = Warm("web")
    assert reports([*warm.handle(READY)]) == [{"modules": 600, "left": {"grpc": "it starts a thread"}}]
    assert warm.handle(READY) == []
    assert reports([*warm.handle(READY._replace(modules=601))])[0]["modules"] == 601


def test_one_that_is_stale_is_no_failure() -> None:
    warm = Warm("web")
    for _ in range(ATTEMPTS + 1):
        warm.handle(READY)
        said = reports([*warm.handle(STALE)])
        assert said == [{"reason": "/lib/x.py has changed", "given_up": False}]
    warm.news(5.0)
    assert warm.deadline is not None


def test_what_fails_again_and_again_is_given_up() -> None:
    warm = Warm("web")
    gone = ZygoteGone("web", "it ended", final=False)
    said = [reports([*warm.handle(gone)]) for _ in range(ATTEMPTS)]
    assert said[0] == [{"reason": "it ended", "given_up": False}]
    assert said[1] == []
    assert said[-1] == [{"reason": "it ended", "given_up": True}]
    warm.news(5.0)
    assert warm.deadline is None


def test_what_can_never_be_is_given_up_at_once() -> None:
    warm = Warm("web")
    warm.news(1.0)
    assert reports([*warm.handle(ZygoteGone("web", "sh", final=True))]) == [
        {"reason": "sh", "given_up": True}
    ]
    assert warm.deadline is None
    warm.news(5.0)
    assert warm.deadline is None


def started(supervisor: Supervisor) -> StartChild:
    (command,) = supervisor.launch({}, None, 0.0)
    assert isinstance(command, StartChild)
    return command


def test_each_start_asks_for_a_copy_but_one_that_must_not() -> None:
    supervisor = Supervisor(ServiceSettings("web", ("x",), ("/",), warm=True))
    assert started(supervisor).warm
    supervisor.cold = True
    assert not started(supervisor).warm
    assert started(supervisor).warm
    assert not started(Supervisor(ServiceSettings("web", ("x",), ("/",)))).warm
