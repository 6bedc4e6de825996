"""Services that change, come and go while files do and runs end: nothing is missed, nothing leaks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from signal import SIGHUP, SIGTERM
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from reloaderd.commands import Quit
from reloaderd.events import ConfigRead, SignalArrived
from reloaderd.settings import ConfigSettings, ServiceSettings, Settings
from tests.support import model as op
from tests.support.world import Manner
from tests.walks.bounds import bounded
from tests.walks.judge import Judge
from tests.walks.test_engine import Step, Walk, manners, service, steps_without_rules

FILE = "/w/r.toml"


class Configure(NamedTuple):
    """The file says so from now on; `hup`: and reloaderd is told to read it."""

    services: tuple[ServiceSettings, ...]
    hup: bool


class Hangup(NamedTuple):
    """SIGHUP, and the file is as it was."""


WEB = service("web", "/w/p")
VARIANTS = [
    [
        service("web", "/w/p"),
        service("web", "/w/p")._replace(command=("other",)),
        service("web", "/w/p/a", "/w/q"),
    ],
    [service("worker", "/w/p/a"), service("worker", "/w/p/b")],
    [service("mail", "/w/out")],
]
CHOICES = [
    tuple(one for one in chosen if one is not None)
    for chosen in itertools.product(*[[None, *variants] for variants in VARIANTS])
    if any(chosen)
]
configured = st.builds(Configure, st.sampled_from(CHOICES), st.booleans())
all_steps = st.one_of(steps_without_rules, steps_without_rules, configured, st.just(Hangup()))
some_manners = st.fixed_dictionaries(dict.fromkeys(("web", "worker", "mail"), manners))


class Coming(Walk):
    """A walk whose services are those that the file says."""

    def __init__(self, *services: ServiceSettings, runs: dict[str, list[Manner]]) -> None:
        super().__init__(*services, config=ConfigSettings(FILE, False, ()))
        self.world._manners.update({name: iter(some) for name, some in runs.items()})
        self.world.configured = lambda: ConfigRead(Settings(self.services))
        self.world.on_add = self._added
        self.world.on_remove = lambda name: self.judges.pop(name)
        self.world.do(op.Save(FILE))

    def _added(self, one: ServiceSettings) -> None:
        self.judges[one.name] = Judge(self.world.files, list(one.roots), one.follow_links)

    def go_on(self, steps: Sequence[Step | Configure | Hangup]) -> None:
        for step in steps:
            if isinstance(step, Configure):
                self.services = step.services
                self.world.do(op.Save(FILE))
            if isinstance(step, Hangup) or (isinstance(step, Configure) and step.hup):
                self.world.carry(self.world.engine.handle(SignalArrived(SIGHUP), self.world.now))
            elif not isinstance(step, Configure):
                self.go([step])

    def anchored(self) -> list[str]:
        return [*super().anchored(), FILE]

    def check(self) -> None:
        # `/w` may have been away for so long that what the file says was not heard of
        self.world.do(op.MakeDirs("/w"), op.Save(FILE))
        super().check()
        found = {name: one.settings for name, one in self.world.engine.services.items()}
        assert found == {one.name: one for one in self.services}
        assert found.keys() == self.world.keepers.keys() == self.judges.keys()
        assert self.world.engine.deadline(self.world.now) is None


@bounded(800)
@given(st.lists(all_steps, min_size=6, max_size=24), some_manners)
def test_services_that_come_and_go(
    steps: list[Step | Configure | Hangup], runs: dict[str, list[Manner]]
) -> None:
    walk = Coming(*CHOICES[-1], runs=runs)
    walk.begin()
    walk.go_on(steps)
    walk.check()


@bounded(400)
@given(st.lists(all_steps, max_size=12), some_manners)
def test_the_end_comes_whatever_is_on_its_way(
    steps: list[Step | Configure | Hangup], runs: dict[str, list[Manner]]
) -> None:
    """Once, with no run alive (which the world sees to), and nothing starts after it was asked for."""
    walk = Coming(*CHOICES[-1], runs=runs)
    walk.begin()
    walk.go_on(steps)
    walk.world.carry(walk.world.engine.handle(SignalArrived(SIGTERM), walk.world.now))
    started = len(walk.world.started)
    walk.world.settle()
    assert walk.world.quits == [Quit(143, SIGTERM)]
    assert len(walk.world.started) == started


@bounded(400)
@given(st.lists(all_steps, max_size=8), some_manners, st.sampled_from(CHOICES), st.sampled_from(CHOICES))
def test_a_service_that_stays_the_same_is_left_alone(
    steps: list[Step | Configure | Hangup],
    runs: dict[str, list[Manner]],
    before: tuple[ServiceSettings, ...],
    after: tuple[ServiceSettings, ...],
) -> None:
    walk = Coming(*CHOICES[-1], runs=runs)
    walk.begin()
    walk.go_on([*steps, Configure(before, False)])
    walk.world.do(op.MakeDirs("/w"), op.Save(FILE))
    walk.rest()
    services = dict(walk.world.engine.services)
    number = len(walk.world.started)
    walk.go_on([Configure(after, False)])
    walk.rest()
    same = {one.name for one in {*before} & {*after}}
    assert all(walk.world.engine.services[name] is services[name] for name in same)
    assert {one.service for one in walk.world.started[number:]} == {one.name for one in {*after} - {*before}}
