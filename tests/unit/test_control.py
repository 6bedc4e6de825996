"""What is answered at the control socket, and what those who ask make happen."""

from __future__ import annotations

import errno
from signal import SIGTERM, SIGUSR1
from typing import Any

import pytest

from reloaderd.commands import Answer, Command, Follow, Quit, SignalChild
from reloaderd.control import tables
from reloaderd.core import control, interface
from reloaderd.core.accounts import Clock, why_not_followed
from reloaderd.core.control import METHODS
from reloaderd.core.history import MOST
from reloaderd.core.origin import MOST as MOST_CHANGES
from reloaderd.events import Asked, FilesLoaded, Loaded, SignalArrived
from reloaderd.settings import On, Pattern, RuleSettings, ServiceSettings
from tests.support import model as op
from tests.support.core import at_rest, only, reports, service
from tests.support.idl import Interface
from tests.support.world import Manner, World

OWN, STANDARD = Interface(interface.RELOADERD), Interface(interface.SERVICE)
TREE = (op.MakeDirs("/p/a"), op.Save("/p/m.py"), op.Save("/p/a/n.py"))
BOTH = (service("web"), service("worker", ("/p/a",)))
CLOCK = ((0.0, 1e9),)


def running(*services: ServiceSettings, runs: tuple[Manner, ...] = ()) -> World:
    return at_rest(*TREE, services=services or (service(),), runs=runs)


def asked(world: World, method: str, more: bool = False, **parameters: Any) -> list[Command]:
    """What follows from a call, carried out."""
    name = method if "." in method else f"io.reloaderd.{method}"
    event = Asked(7, name, parameters, more, clock=CLOCK)
    commands = world.engine.handle(event, world.now)
    world.carry([one for one in commands if not isinstance(one, Answer | Follow)])
    return commands


def answer(world: World, method: str, **parameters: Any) -> dict[str, Any]:
    """The answer to a call, which is as it is described."""
    [found] = only(asked(world, method, **parameters), Answer)
    assert (found.client, found.error) == (7, "")
    assert OWN.faults(found.parameters, OWN.methods[method][1]) == []
    return dict(found.parameters)


def refusal(world: World, method: str, **parameters: Any) -> tuple[str, dict[str, Any]]:
    """The error, which is a described one, and that nothing else followed."""
    [found] = asked(world, method, **parameters)
    assert isinstance(found, Answer)
    where, _, name = found.error.rpartition(".")
    described = {"io.reloaderd": OWN, "org.varlink.service": STANDARD}[where]
    assert described.faults(found.parameters, described.errors[name]) == []
    return name, dict(found.parameters)


def why(world: World, **parameters: Any) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = answer(world, "Why", **parameters)["runs"]
    return runs


# What there is


def test_what_is_described_is_what_there_is() -> None:
    described = {f"{one.name}.{name}" for one in (OWN, STANDARD) for name in one.methods}
    assert described == set(METHODS)
    for name, (wanted, _) in METHODS.items():
        where, _, method = name.rpartition(".")
        kind, fields = (OWN if where == "io.reloaderd" else STANDARD).methods[method][0]
        given = {f"{field}?" if one[0] == "maybe" else field for field, one in fields.items()}
        assert (kind, given) == ("struct", set(wanted)), name


def test_it_describes_itself() -> None:
    world = running()
    [found] = only(asked(world, "org.varlink.service.GetInfo"), Answer)
    assert STANDARD.faults(found.parameters, STANDARD.methods["GetInfo"][1]) == []
    for name in found.parameters["interfaces"]:
        call = asked(world, "org.varlink.service.GetInterfaceDescription", interface=name)
        assert f"interface {name}\n" in only(call, Answer)[0].parameters["description"]


@pytest.mark.parametrize(
    ("method", "parameters", "error"),
    [
        ("Nothing", {}, ("MethodNotFound", {"method": "io.reloaderd.Nothing"})),
        ("io.other.Status", {}, ("InterfaceNotFound", {"interface": "io.other"})),
        (".", {}, ("InterfaceNotFound", {"interface": ""})),
        ("org.varlink.service.GetInterfaceDescription", {}, ("InvalidParameter", {"parameter": "interface"})),
        (
            "org.varlink.service.GetInterfaceDescription",
            {"interface": "io.other"},
            ("InterfaceNotFound", {"interface": "io.other"}),
        ),
        ("Status", {"x": 1}, ("InvalidParameter", {"parameter": "x"})),
        ("Why", {"count": True}, ("InvalidParameter", {"parameter": "count"})),
        ("Why", {"services": "web"}, ("InvalidParameter", {"parameter": "services"})),
        ("Restart", {"services": [1]}, ("InvalidParameter", {"parameter": "services"})),
        ("Restart", {"services": ["x"]}, ("NoSuchService", {"service": "x", "services": ["web"]})),
        ("Explain", {}, ("InvalidParameter", {"parameter": "path"})),
        ("Explain", {"path": "relative"}, ("InvalidParameter", {"parameter": "path"})),
        ("Events", {}, ("ExpectedMore", {})),
    ],
)
def test_what_is_not_known_is_an_error_and_nothing_else(
    method: str, parameters: dict[str, Any], error: tuple[str, dict[str, Any]]
) -> None:
    assert refusal(running(), method, **parameters) == error


def test_a_parameter_that_may_be_missing_may_be_null() -> None:
    assert answer(running(), "Restart", services=None) == {"services": ["web"]}


def test_who_asks_what_cannot_be_answered_any_more_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version was installed while it ran, and what it loads to answer is of that."""
    world = running()
    monkeypatch.delattr(control, "Control")
    name, given = refusal(world, "Status")
    assert name == "Failed"
    assert given["reason"].startswith("ImportError: cannot import name 'Control'")
    monkeypatch.undo()
    assert answer(world, "Status")


def test_events_are_followed() -> None:
    assert asked(running(), "Events", more=True) == [Follow(7)]


# Status


def test_status_of_services() -> None:
    world = running(*BOTH)
    web, worker = answer(world, "Status")["services"]
    assert (web["name"], web["state"], web["run"], web["pid"]) == ("web", "running", 1, 1001)
    assert (web["directories"], worker["directories"]) == (2, 1)
    assert web["last"]["cause"] == "start"


def test_status_tells_what_is_not_there() -> None:
    world = running(*BOTH)
    assert [one["missing"] for one in answer(world, "Status")["services"]] == [[], []]
    world.do(op.RemoveTree("/p/a"))
    world.settle()
    found = answer(world, "Status")
    assert [one["missing"] for one in found["services"]] == [[], ["/p/a"]]
    found |= {"directory": "/p"}
    lines = [line.split(maxsplit=1) for line in tables.status(found, "/p").splitlines()]
    assert [line[1] for line in lines if line[0] == "missing"] == ["./a: not there, and waited for"]
    world.do(op.MakeDirs("/p/a"))
    world.settle()
    assert answer(world, "Status")["services"][1]["missing"] == []


def test_status_of_a_run_that_has_ended() -> None:
    world = running(runs=(Manner(ends=1.0, status=4),))
    [web] = answer(world, "Status")["services"]
    assert (web["state"], web["pid"], web["seconds"]) == ("waiting", None, None)
    assert (web["last"]["status"], web["last"]["seconds"]) == (4, 1.0)


def test_status_tells_what_is_loaded() -> None:
    world = running()
    before = answer(world, "Status")["services"][0]
    assert (before["followed"], before["modules"]) == (False, 0)
    loaded = [Loaded("/p/m.py", "/p/m.py", None)]
    told = FilesLoaded("web", 1, "/bin/python3", loaded, [], [], [], [], 3, False, 9)
    world.carry(world.engine.handle(told, world.now))
    after = answer(world, "Status")["services"][0]
    assert (after["followed"], after["not_followed"]) == (True, None)
    assert (after["modules"], after["libraries"]) == (1, 3)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("python3", "-I", "x.py"), "-I: "),
        (("/usr/bin/python", "-bS", "x.py"), "-bS: "),
        (("python3", "x.py", "-I"), "it is no Python"),
        (("python3", "-m", "x", "-S"), "it is no Python"),
        (("node", "-I"), "it is no Python"),
    ],
)
def test_why_a_command_is_not_followed(command: tuple[str, ...], reason: str) -> None:
    assert why_not_followed(service()._replace(command=command)).startswith(reason)


def test_it_is_not_followed_where_that_was_not_wanted() -> None:
    assert why_not_followed(service(modules=False)) == "--no-modules"


# Why


def test_the_cause_of_each_run() -> None:
    world = running(runs=(Manner(), Manner(), Manner(), Manner(ends=0.5, status=3)))
    world.do(op.Save("/p/m.py"), op.Save("/p/new.py"))
    world.settle()
    world.carry(world.engine.handle(SignalArrived(SIGUSR1), world.now))
    world.settle()
    asked(world, "Restart")
    world.settle()
    causes = [(one["run"], one["cause"], one["by"], one["count"]) for one in why(world)]
    assert causes == [
        (1, "start", "", 0),
        (2, "change", "", 2),
        (3, "asked", "SIGUSR1", 0),
        (4, "asked", "control", 0),
        (5, "ended", "status 3", 0),
    ]
    second = why(world)[1]
    assert second["changes"] == [
        {"path": "/p/m.py", "what": "changed", "rule": "every file", "origin": "named /p"},
        {"path": "/p/new.py", "what": "made", "rule": "every file", "origin": "named /p"},
    ]


def test_what_is_gone_is_told_as_gone() -> None:
    world = running()
    world.do(op.Remove("/p/m.py"))
    world.settle()
    assert [one["what"] for one in why(world)[1]["changes"]] == ["gone"]


def test_a_start_that_fails_is_told_with_the_reason() -> None:
    world = running(runs=(Manner(), Manner(start=errno.EACCES)))
    world.do(op.Save("/p/m.py"))
    world.settle()
    second, third = why(world)[1:3]
    assert second["failed"] == "command: permission denied (is it executable?)"
    assert (third["cause"], third["failed"]) == ("failed", None)


def test_times_are_those_of_the_day_and_durations_those_of_the_run() -> None:
    world = running(runs=(Manner(grace=0.25),))
    world.do(op.Save("/p/m.py"))
    world.settle()
    first, second = why(world)
    assert first["time"] == pytest.approx(1e9 + 1000, abs=1000)
    assert first["stopped"] == first["signal"] == "SIGTERM"
    assert not first["killed"]
    assert second["stop_ms"] == 250
    assert second["time"] == pytest.approx(first["ended"])
    assert second["all_ms"] >= 250


def test_one_that_had_to_be_killed() -> None:
    world = running(runs=(Manner(grace=None),))
    world.do(op.Save("/p/m.py"))
    world.settle()
    first, second = why(world)
    assert (first["stopped"], first["killed"]) == ("SIGTERM", True)
    assert second["stop_ms"] == 5000


def test_so_many_runs_and_changes_are_remembered() -> None:
    world = running()
    for _ in range(MOST + 5):
        asked(world, "Restart")
        world.settle()
    assert [one["run"] for one in why(world)] == [*range(7, MOST + 7)]
    assert [one["run"] for one in why(world, count=2)] == [MOST + 5, MOST + 6]
    assert why(world, count=0) == []
    world.do(*(op.Save(f"/p/{number}.py") for number in range(MOST_CHANGES + 5)))
    world.settle()
    last = why(world, count=1)[0]
    assert (len(last["changes"]), last["count"]) == (MOST_CHANGES, MOST_CHANGES + 5)


def test_the_runs_of_services_are_in_the_order_of_time() -> None:
    world = running(*BOTH)
    asked(world, "Restart", services=["worker"])
    world.settle()
    world.now += 1.0
    asked(world, "Restart", services=["web"])
    world.settle()
    assert [(one["service"], one["run"]) for one in why(world)][2:] == [("worker", 2), ("web", 2)]
    assert {one["service"] for one in why(world, services=["web"])} == {"web"}


def test_the_clock_was_set_or_the_machine_slept() -> None:
    clock = Clock([(0.0, 100.0), (50.0, 3700.0)])
    assert (clock.time(10.0), clock.time(49.9), clock.time(50.0)) == (110.0, 149.9, 3750.0)
    assert clock.maybe(None) is None
    assert Clock(()).time(1.0) == 1.0


# Pause


def waiting(world: World) -> tuple[str | None, int]:
    found = answer(world, "Status")["services"][0]
    return found["hold"], found["waiting"]


def test_a_pause_holds_all_and_its_end_is_one_restart() -> None:
    world = running()
    asked(world, "Pause")
    world.do(op.Save("/p/m.py"))
    world.settle()
    world.do(op.Save("/p/a/n.py"))
    world.settle()
    assert world.engine.deadline(world.now) is None
    assert waiting(world) == ("paused", 2)
    assert [one.fields["reason"] for one in world.reports if one.event == "held"] == ["paused"]
    assert len(world.started) == 1
    asked(world, "Resume")
    world.settle()
    assert len(world.started) == 2
    assert {one["path"] for one in why(world)[1]["changes"]} == {"/p/m.py", "/p/a/n.py"}
    assert why(world)[1]["all_ms"] < 1000


def test_a_pause_holds_what_would_be_no_restart_too() -> None:
    rules = RuleSettings(on=(On("*.py", "signal", SIGUSR1),))
    world = running(service(rules=rules))
    asked(world, "Pause")
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert [one for one in world.reports if one.event == "changed"] == []
    commands = asked(world, "Resume")
    world.settle()
    assert len(world.started) == 1
    assert [one.fields["action"] for one in world.reports if one.event == "changed"] == ["signal:USR1"]
    assert commands


def test_what_starts_a_run_while_paused_takes_what_is_held() -> None:
    world = running(service(on_exit="restart"))
    asked(world, "Pause")
    world.do(op.Save("/p/m.py"))
    world.settle()
    world.keepers["web"]._end(0.0, 1)
    world.settle()
    second = why(world)[1]
    assert (second["run"], second["cause"], second["count"]) == (2, "change", 1)
    assert second["all_ms"] is None or second["all_ms"] < 1000  # the pause is nobody's wait
    assert waiting(world) == ("paused", 0)
    asked(world, "Resume")
    world.settle()
    assert len(world.started) == 2


def test_a_pause_of_one_service_leaves_the_other_alone() -> None:
    world = running(*BOTH)
    asked(world, "Pause", services=["web"])
    world.do(op.Save("/p/a/n.py"))
    world.settle()
    assert [(one.service, one.run) for one in world.started][2:] == [("worker", 2)]


def test_the_end_of_a_pause_with_nothing_held_is_nothing() -> None:
    world = running()
    asked(world, "Pause")
    asked(world, "Resume")
    asked(world, "Resume")
    world.settle()
    assert len(world.started) == 1
    assert waiting(world) == (None, 0)


# Restart, stop


def test_restart_is_answered_before_it_is_done() -> None:
    commands = asked(running(), "Restart")
    assert isinstance(commands[0], Answer)
    assert only(commands, SignalChild)


def test_stop_is_what_sigterm_does() -> None:
    world = running(*BOTH)
    commands = asked(world, "Stop")
    assert isinstance(commands[0], Answer)
    assert [one["signal"] for one in reports(commands, "closing")] == ["SIGTERM"] * 2
    world.settle()
    assert world.quits == [Quit(143, SIGTERM)]


def test_nothing_is_restarted_in_a_dry_run() -> None:
    world = running(service(dry_run=True))
    assert refusal(world, "Restart") == ("DryRun", {})
    assert answer(world, "Status")["services"][0]["dry_run"]
    assert why(world) == []


# Explain


def explained(world: World, path: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer(world, "Explain", path=path, **more)["services"][0]
    return found


def test_explain_a_file_that_counts() -> None:
    found = explained(running(), "/p/a/n.py")
    assert (found["action"], found["rule"], found["origin"]) == ("restart", "every file", "named /p")
    assert (found["watched"], found["why"], found["concerned"]) == ("inotify", None, True)
    assert (found["loaded"], found["waiting"]) == (None, None)


def test_explain_what_does_not_count() -> None:
    rules = RuleSettings(patterns=(Pattern("*.md", False, "r.toml:4"),), on=(On("*.c", "signal", SIGUSR1),))
    world = running(service(rules=rules))
    found = explained(world, "/p/x.md")
    assert (found["action"], found["rule"], found["origin"]) == ("ignore", "--ignore *.md", "r.toml:4")
    assert found["watched"] is None
    assert explained(world, "/p/x.c")["action"] == "signal:USR1"
    assert not explained(world, "/elsewhere/x.c")["concerned"]
    assert explained(world, "/p/.git", directory=True)["action"] == "ignore"
    assert explained(world, "/p/a", directory=True)["watched"] == "inotify"
    assert explained(world, "/p/none/x.py")["why"] == "its directory is not watched"


def test_explain_what_waits() -> None:
    world = running()
    asked(world, "Pause")
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert explained(world, "/p/m.py")["waiting"] == "paused"
    assert explained(world, "/p/a/n.py")["waiting"] is None


def test_what_ends_is_not_said_to_restart() -> None:
    for command in ("restart", "pause", "resume"):
        assert tables.done(command, {"state": "closing", "run": 1}) == "it is ending"
    assert tables.done("restart", {"state": "running", "run": 1}) == "restarting (run 1)"
