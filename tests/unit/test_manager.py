"""What the service manager is told, and when."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from signal import SIGHUP, SIGTERM, SIGUSR1
from typing import Any

from reloaderd.commands import Arm, Command, MakePulse, Notify, Report
from reloaderd.core.manager import FIRST, MARGIN, PAUSE
from reloaderd.core.pulse import Pulse
from reloaderd.core.supervisor import UNKILLABLE
from reloaderd.events import Asked, ConfigRead, Event, EventsLost, PulseMade, SignalArrived
from reloaderd.settings import ConfigSettings, ServiceSettings, Settings
from tests.support import model as op
from tests.support.core import only, service
from tests.support.world import BROKEN, Manner, World

FILE = "/w/r.toml"
STEADY = "watching 1 directory"


def managed(
    *services: ServiceSettings,
    runs: dict[str, Iterable[Manner]] | None = None,
    watchdog: float = 0.0,
    config: bool = False,
    begin: bool = True,
) -> World:
    """A world with a service manager, in which all was started and is quiet."""
    settings = ConfigSettings(FILE, False, ()) if config else None
    world = World(services or (service(),), runs, config=settings, watchdog=watchdog)
    world.do(op.MakeDirs("/w"), op.Save(FILE), op.MakeDirs("/p"), op.Save("/p/m.py"), op.MakeDirs("/q"))
    if begin:
        world.start()
        world.pause(1.0)
    return world


def told(world: World, name: str) -> list[str]:
    """The values of one variable, in the order in which they were said."""
    return [variables[name] for _, variables in world.notified if name in variables]


def status(world: World) -> str:
    return told(world, "STATUS")[-1]


def names(world: World, after: int = 0) -> list[str]:
    """What was said but for STATUS, one word a message."""
    said = [[name for name in one if name != "STATUS"] for _, one in world.notified[after:]]
    return [one[0] for one in said if one]


def send(world: World, signum: int) -> None:
    world.carry(world.engine.handle(SignalArrived(signum), world.now))


# READY


def test_it_is_ready_when_the_first_run_was_started() -> None:
    world = managed(begin=False)
    world.start()
    assert world.notified == [(world.now, {"STATUS": "web: finding what to watch"})]
    assert world.started
    assert not told(world, "READY")
    world.turn()
    assert world.notified[-1][1] == {"READY": "1", "STATUS": f"web: run 1, pid 1001, {STEADY}"}


def test_with_several_services_the_first_run_of_each() -> None:
    busy = [Manner(start=errno.EAGAIN), Manner()]
    world = managed(service(), service("worker", ["/q"]), runs={"worker": busy}, begin=False)
    world.start()
    world.turn()
    assert not told(world, "READY")
    world.pause(5)
    assert told(world, "READY") == ["1"]
    assert status(world) == f"web: run 1, pid 1001, {STEADY}; worker: run 2, pid 1002, {STEADY}"


def test_a_dry_run_is_ready_when_it_watches() -> None:
    world = managed(service(dry_run=True))
    assert told(world, "READY") == ["1"]
    assert status(world) == f"web: dry run, {STEADY}"


def test_a_command_that_cannot_be_started_fails_the_start_with_the_reason() -> None:
    manners = {"web": [Manner(start=errno.ENOENT)]}
    world = managed(service(), service("worker", ["/q"]), runs=manners)
    assert [one.status for one in world.quits] == [127]
    assert not told(world, "READY") and not told(world, "STOPPING")
    assert world.notified[-1][1]["ERRNO"] == "2"
    assert status(world).startswith("web: cannot start command: no such file or command; ")


def test_it_is_told_before_it_ends_and_not_after() -> None:
    world = managed()
    send(world, SIGTERM)
    world.settle()
    count = len(world.notified)
    world.pause(5)
    assert len(world.notified) == count


# STATUS


def test_the_status_tells_of_a_crash_and_of_what_is_waited_for() -> None:
    world = managed(runs={"web": [Manner(ends=2.0, status=7)]})
    world.settle()
    assert status(world) == "web: run 1 ended: exit status 7; waiting for a change"
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert status(world) == f"web: run 2, pid 1002, {STEADY}"


def test_the_status_tells_of_back_off_and_of_a_command_that_is_not_there() -> None:
    runs = {"web": [Manner(), Manner(start=errno.ENOENT)] + [Manner(start=errno.ENOENT)] * 9}
    world = managed(runs=runs)
    world.do(op.Save("/p/m.py"))
    world.pause(1.0)
    assert status(world) == "web: cannot start command: no such file or command; it is tried again soon"
    world.settle()
    assert status(world) == "web: cannot start command: no such file or command; waiting for a change"


def test_the_status_tells_of_what_is_held_before_what_runs() -> None:
    world = managed(service(), service("worker", ["/q"], gate="syntax"))
    world.do(op.Save("/q/app.py", BROKEN))
    world.settle()
    held = f"worker: run 1, pid 1001, {STEADY}, held: syntax in q/app.py:1"
    assert status(world) == f"{held}; web: run 1, pid 1001, {STEADY}"
    world.do(op.Save("/q/app.py", "fine"))
    world.settle()
    assert "held" not in status(world)


def ask(world: World, method: str) -> None:
    world.carry(world.engine.handle(Asked(1, f"io.reloaderd.{method}", {}), world.now))


def test_the_status_tells_of_a_pause_and_of_what_waits() -> None:
    world = managed()
    ask(world, "Pause")
    world.settle()
    assert status(world) == f"web: run 1, pid 1001, {STEADY}, paused"
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert status(world) == f"web: run 1, pid 1001, {STEADY}, paused, 1 file waits"
    ask(world, "Resume")
    world.settle()
    assert status(world) == f"web: run 2, pid 1002, {STEADY}"
    count = len(world.notified)
    ask(world, "Status")
    world.settle()
    assert len(world.notified) == count


def test_a_stop_that_is_asked_for_from_elsewhere_is_told() -> None:
    world = managed()
    ask(world, "Stop")
    world.settle()
    assert told(world, "STOPPING") == ["1"]


def test_a_restart_that_passes_at_once_is_one_status() -> None:
    world = managed()
    count = len(world.notified)
    world.do(op.Save("/p/m.py"))
    world.settle()
    [(at, variables)] = world.notified[count:]
    assert variables == {"STATUS": f"web: run 2, pid 1002, {STEADY}"}
    assert at >= world.started[-1].now
    assert world.engine.deadline(world.now) is None


def test_a_storm_is_a_few() -> None:
    world = managed()
    count, begin = len(world.notified), world.now
    for _ in range(400):
        send(world, SIGUSR1)
        world.pause(0.01)
    assert len(world.started) > 50
    assert len(world.notified) - count <= (world.now - begin) / PAUSE


def test_what_does_not_change_it_is_not_told() -> None:
    world = managed()
    count = len(world.notified)
    world.do(op.Chmod("/p/m.py"), op.Save("/p/x.tmp"), op.MakeDirs("/p/__pycache__"))
    world.pause(1.0)
    send(world, SIGUSR1)
    world.pause(1.0)
    assert names(world, count) == []


def test_names_are_shown_as_text_and_the_line_has_an_end() -> None:
    many = [service(f"s{number}", [f"/{number}"]) for number in range(100)]
    world = managed(*many)
    assert len(status(world)) <= 600
    assert status(world).endswith("…")
    world = managed(service("a\nREADY=1"))
    assert all("\n" not in value for _, variables in world.notified for value in variables.values())


# RELOADING


def test_sighup_restarts_all_and_is_a_reload() -> None:
    world = managed(service(), service("worker", ["/q"]), runs={"web": [Manner(grace=1.0)]})
    count, at = len(world.notified), world.now
    send(world, SIGHUP)
    reloading = world.notified[count][1]
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) == int(at * 1e6)
    world.pause(0.5)
    assert names(world, count) == ["RELOADING"]
    world.settle()
    assert names(world, count) == ["RELOADING", "READY"]
    assert [one.run for one in world.started] == [1, 1, 2, 2]


def test_a_configuration_that_is_refused_ends_the_reload_and_is_told() -> None:
    world = managed(config=True)
    world.configured = lambda: ConfigRead(None, [f"{FILE}:3: unknown key x", f"{FILE}:4: y"])
    count = len(world.notified)
    send(world, SIGHUP)
    assert names(world, count) == ["RELOADING", "READY"]
    refused = f"{FILE}:3: unknown key x (+1): the configuration stays as it was"
    assert status(world) == f"{refused}; web: run 1, pid 1001, {STEADY}"
    world.configured = lambda: ConfigRead(Settings((service(),)))
    send(world, SIGHUP)
    assert names(world, count) == ["RELOADING", "READY"] * 2
    assert status(world) == f"web: run 1, pid 1001, {STEADY}"


def test_a_reload_is_over_when_what_it_changed_is_up() -> None:
    world = managed(config=True, runs={"web": [Manner(grace=1.0)]})
    then = (service(stop_timeout=9.0), service("new", ["/q"]))
    world.configured = lambda: ConfigRead(Settings(then))
    count = len(world.notified)
    send(world, SIGHUP)
    world.pause(0.9)
    assert "READY" not in names(world, count)
    world.settle()
    assert names(world, count)[0] == "RELOADING"
    assert names(world, count)[-1] == "READY"
    [(at, _)] = [one for one in world.notified[count:] if "READY" in one[1]]
    assert at >= max(one.now for one in world.started)
    assert status(world) == f"new: run 1, pid 1001, {STEADY}; web: run 2, pid 1002, {STEADY}"


def test_a_reload_that_only_adds_is_over_when_that_is_up() -> None:
    world = managed(config=True)
    world.configured = lambda: ConfigRead(Settings((service(), service("new", ["/q"]))))
    send(world, SIGHUP)
    assert len(told(world, "READY")) == 1
    world.settle()
    assert len(told(world, "READY")) == 2
    [at] = [at for at, variables in world.notified if "READY" in variables][1:]
    assert world.started[-1].service == "new"
    assert at >= world.started[-1].now
    assert f"new: run 1, pid 1001, {STEADY}" in status(world)


def test_a_file_that_is_edited_is_no_reload() -> None:
    world = managed(config=True)
    world.configured = lambda: ConfigRead(Settings((service(stop_timeout=9.0),)))
    count, reads = len(world.notified), world.reads
    world.do(op.Save(FILE, "other"))
    world.settle()
    assert world.reads == reads + 1
    assert len(world.started) == 2
    assert names(world, count) == []


class Slow(World):
    """One in which it takes `takes` seconds to arm what is at one depth."""

    takes = 0.0

    def _perform(self, command: Command) -> Sequence[Event]:
        if isinstance(command, Arm):
            self.now += self.takes
        return super()._perform(command)


def test_the_start_is_given_more_time_while_more_is_found() -> None:
    """Each request holds until the next depth is armed."""
    world = Slow((service(),), watchdog=0.0)
    world.takes = 100.0
    world.do(op.MakeDirs("/p/a/b/c"))
    until = world.now + world.takes + FIRST  # the manager has some patience by itself
    world.start()
    world.turn()
    for at, variables in world.notified:
        assert at <= until
        if "EXTEND_TIMEOUT_USEC" in variables:
            until = at + int(variables["EXTEND_TIMEOUT_USEC"]) / 1e6
    count = len(told(world, "EXTEND_TIMEOUT_USEC"))
    assert count >= 3
    assert told(world, "READY") == ["1"]
    world.pause(60.0)
    assert len(told(world, "EXTEND_TIMEOUT_USEC")) == count


def test_a_start_that_is_no_long_one_needs_no_more_time() -> None:
    assert told(managed(), "EXTEND_TIMEOUT_USEC") == []


def test_a_signal_before_it_is_ready_is_no_reload() -> None:
    world = managed(begin=False)
    world.start()
    send(world, SIGHUP)
    world.settle()
    assert names(world) == ["READY"]


# STOPPING


def test_the_end_is_told_with_the_time_that_it_takes() -> None:
    world = managed(service(stop_timeout=100.0), runs={"web": [Manner(grace=None)]})
    count = len(world.notified)
    send(world, SIGTERM)
    [(_, variables)] = world.notified[count:]
    assert variables["STOPPING"] == "1"
    assert int(variables["EXTEND_TIMEOUT_USEC"]) == int((100.0 + UNKILLABLE + MARGIN) * 1e6)
    assert variables["STATUS"] == "web: stopping run 1"
    world.settle()
    assert names(world, count)[0] == "STOPPING"
    assert status(world) == "web: stopped; run 1 ended: SIGKILL"


def test_what_cannot_be_killed_is_waited_for() -> None:
    """The manager is asked again each time before it would give up."""
    world = managed(runs={"web": [Manner(grace=None, dies=60.0)]})
    count = len(world.notified)
    send(world, SIGTERM)
    world.settle()
    until = world.notified[count][0]
    for at, variables in world.notified[count:]:
        if "EXTEND_TIMEOUT_USEC" in variables:
            assert count == 0 or at <= until
            until = at + int(variables["EXTEND_TIMEOUT_USEC"]) / 1e6
    assert until >= world.now
    assert told(world, "STOPPING") == ["1"]


def test_an_end_because_the_command_ended_is_told_as_well() -> None:
    world = managed(service(on_exit="exit"), runs={"web": [Manner(ends=3.0, status=4)]})
    world.settle()
    assert world.quits[0].status == 4
    assert world.notified[-1][1] == {"STOPPING": "1", "STATUS": "web: stopped; run 1 ended: exit status 4"}


def test_a_signal_before_it_is_ready_is_an_end() -> None:
    world = managed(begin=False)
    world.start()
    send(world, SIGTERM)
    world.settle()
    assert not told(world, "READY")
    assert told(world, "STOPPING") == ["1"]


# WATCHDOG


def beats(world: World) -> list[float]:
    return [at for at, variables in world.notified if "WATCHDOG" in variables]


def test_a_sign_of_life_comes_at_half_the_interval() -> None:
    world = managed(watchdog=10.0, begin=False)
    world.start()
    world.pause(60.0)
    assert len(beats(world)) == world.pulses
    gaps = [later - earlier for earlier, later in zip(beats(world), beats(world)[1:], strict=False)]
    assert gaps == [5.0] * 12
    assert len(world.started) == 1, "a pulse is no change"


def test_none_without_a_pulse_that_came_back() -> None:
    world = managed(watchdog=10.0)
    count = len(beats(world))
    world.deaf = True
    pulses = world.pulses
    world.pause(60.0)
    assert len(beats(world)) == count
    assert world.pulses > pulses + 20
    world.deaf = False
    world.pause(1.25)
    assert len(beats(world)) == count + 1


def test_a_pulse_that_is_lost_with_other_events_is_made_again_at_once() -> None:
    world = managed(watchdog=10.0)
    world.deaf = True
    pulses = world.pulses
    world.pause(4.1)
    assert world.pulses == pulses + 1
    world.deaf = False
    world.carry([EventsLost()])
    world.turn()
    assert world.pulses == pulses + 2
    world.turn()
    assert beats(world)[-1] == world.now


def test_a_place_that_was_removed_is_made_again() -> None:
    world = managed(watchdog=10.0)
    for _ in range(12):
        world.do(op.RemoveTree("/run"))
        world.pause(5.0)
    gaps = [later - earlier for earlier, later in zip(beats(world), beats(world)[1:], strict=False)]
    assert len(gaps) >= 11 and max(gaps) < 10.0


def test_nothing_is_due_without_a_watchdog() -> None:
    world = managed()
    world.settle()
    assert world.pulses == 0
    assert world.engine.deadline(world.now) is None


def pulse_at(now: float, made: PulseMade) -> Sequence[Any]:
    pulse = Pulse(10.0)
    pulse.begin(now)
    assert pulse.tick(now) == [MakePulse()]
    return [*pulse.made(made, now), *pulse.tick(now + 1.25), *pulse.made(made, now + 1.25)]


def test_without_a_place_the_loop_alone_is_what_lives_and_that_is_told_once() -> None:
    commands = pulse_at(0.0, PulseMade(-1, trouble="/run/x: read-only"))
    assert [one.variables for one in only(commands, Notify)] == [{"WATCHDOG": "1"}]
    [report] = only(commands, Report)
    assert "/run/x: read-only" in report.fields["text"]


def test_polling_that_is_slower_than_the_watchdog_is_told_once() -> None:
    [report] = only(pulse_at(0.0, PulseMade(7, 6.0)), Report)
    assert "WatchdogSec=10 has to be more than 12" in report.fields["text"]
    assert not only(pulse_at(0.0, PulseMade(7, 4.0)), Report)
