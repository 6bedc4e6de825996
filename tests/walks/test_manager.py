"""What the service manager hears while files change, runs end and services come and go.

- READY=1 not before all is watched and the first run of each service was started; and of two of them in a row
  the second answers a RELOADING=1.
- After the last of all that happens it is told that what was asked for is done.
- WATCHDOG=1 once for each pulse that came back, at most.
- It is asked for more time before the time is over that it was asked for.
- Nothing is due at rest, unless there is a watchdog.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGHUP, SIGTERM

from hypothesis import given
from hypothesis import strategies as st

from reloaderd.core.transitions import State
from reloaderd.events import ConfigRead, SignalArrived
from reloaderd.settings import ConfigSettings, ServiceSettings, Settings
from tests.support import model as op
from tests.support.world import Manner, World
from tests.walks.bounds import bounded
from tests.walks.test_configuration import CHOICES, FILE, Configure, Hangup, all_steps, some_manners
from tests.walks.test_engine import Flood, Race, Step, Turn

Doing = Step | Configure | Hangup


class Hearing:
    """A manager that knows the rules."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ready = self.reloading = self.stopping = False
        self.beats = 0
        self.until = 0.0
        world.on_notify = self.hear

    def hear(self, variables: dict[str, str]) -> None:
        assert all("\n" not in value for value in variables.values())
        assert "STATUS" not in variables or variables["STATUS"]
        if "READY" in variables:
            assert not self.ready or self.reloading
            if not self.ready:
                self.check_first()
            self.ready, self.reloading = True, False
        if "RELOADING" in variables:
            assert self.ready and not self.stopping
            self.reloading = True
        if "STOPPING" in variables:
            assert not self.stopping
            self.stopping = True
        if "WATCHDOG" in variables:
            assert self.ready
            self.beats += 1
            assert self.beats <= self.world.pulses
        if "EXTEND_TIMEOUT_USEC" in variables:
            self.until = self.world.now + int(variables["EXTEND_TIMEOUT_USEC"]) / 1e6

    def check_first(self) -> None:
        for name, service in self.world.engine.services.items():
            assert any(one.service == name for one in self.world.started)
            assert service.watcher.watches()

    def check(self) -> None:
        if self.stopping:
            ending = (State.STOPPING, State.KILLING, State.CLOSING)
            states = [one.supervisor.state for one in self.world.engine.services.values()]
            if any(state in ending for state in states):
                assert self.world.now < self.until


class Heard:
    """A walk with a manager."""

    def __init__(self, runs: dict[str, list[Manner]], watchdog: float = 0.0) -> None:
        self.world = World(CHOICES[-1], {**runs}, config=ConfigSettings(FILE, False, ()), watchdog=watchdog)
        self.services: tuple[ServiceSettings, ...] = CHOICES[-1]
        self.world.configured = lambda: ConfigRead(Settings(self.services))
        for path in ("/w/p/a/b", "/w/out/a", "/w/p/b", "/w/q"):
            self.world.do(op.MakeDirs(path))
        self.world.do(op.Save(FILE))
        self.manager = Hearing(self.world)

    def signal(self, signum: int) -> None:
        self.world.carry(self.world.engine.handle(SignalArrived(signum), self.world.now))

    def go(self, steps: Sequence[Doing]) -> None:
        for step in steps:
            match step:
                case float():
                    self.world.pause(step)
                case Turn():
                    self.world.turn()
                case Flood():
                    self.world.kernel.flood()
                case Race():
                    self.world.race(*step)
                case Hangup():
                    self.signal(SIGHUP)
                case Configure():
                    self.services = step.services
                    self.world.do(op.Save(FILE))
                    if step.hup:
                        self.signal(SIGHUP)
                case _:
                    self.world.do(step)
            self.manager.check()

    def settle(self) -> None:
        """As `World.settle`, with a look at the manager in between."""
        self.world.settle()
        self.manager.check()


@bounded(600)
@given(st.lists(all_steps, max_size=20), some_manners)
def test_what_was_asked_for_is_told_when_done(steps: list[Doing], runs: dict[str, list[Manner]]) -> None:
    walk = Heard(runs)
    walk.world.start()
    walk.go(steps)
    walk.settle()
    assert walk.manager.ready and not walk.manager.reloading
    assert walk.world.engine.deadline(walk.world.now) is None
    assert not walk.world.pulses
    last = walk.world.notified[-1][1]["STATUS"]
    for name, service in walk.world.engine.services.items():
        run = service.supervisor.run
        assert f"{name}: run {run}" in last


@bounded(400)
@given(st.lists(all_steps, max_size=12), some_manners)
def test_the_end_is_told_once(steps: list[Doing], runs: dict[str, list[Manner]]) -> None:
    walk = Heard(runs)
    walk.world.start()
    walk.go(steps)
    walk.signal(SIGTERM)
    walk.manager.check()
    walk.settle()
    assert walk.manager.stopping
    assert walk.world.quits


@bounded(400)
@given(st.lists(all_steps, max_size=12), some_manners)
def test_signs_of_life_go_on(steps: list[Doing], runs: dict[str, list[Manner]]) -> None:
    """Whatever happens: the pulses are no change, and what happens does not hold them up."""
    walk = Heard(runs, watchdog=4.0)
    walk.world.start()
    walk.world.pause(1.0)
    walk.go(steps)
    walk.world.pause(20.0)
    beats = [at for at, variables in walk.world.notified if "WATCHDOG" in variables]
    assert all(later - earlier < 4.0 for earlier, later in zip(beats, beats[1:], strict=False))
    assert walk.world.now - beats[-1] < 4.0
    started = len(walk.world.started)
    walk.world.pause(20.0)
    assert len(walk.world.started) == started
