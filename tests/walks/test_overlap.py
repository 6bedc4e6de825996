"""Random lives of two runs against core.overlap: the promises of its first lines hold after every step."""

from __future__ import annotations

import errno
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloaderd import commands as do
from reloaderd.core.overlap import Overlap, Phase
from reloaderd.core.transitions import UP, State
from reloaderd.events import ChildEnded, ChildStarted, Event, KeeperDied, RunGone, StartFailed
from reloaderd.settings import Probe, ServiceSettings
from tests.support.world import Keeper, Manner
from tests.walks.bounds import bounded
from tests.walks.test_supervisor import OF_TWO, Recorded, lives


class Pair:
    """Two keepers, as kernel.pair has them."""

    def __init__(self, clock, manners) -> None:
        manners = iter(manners)
        self.keepers = [Keeper("web", clock, manners) for _ in range(2)]
        self.runs: list[int] = [0, 0]

    @property
    def alive(self) -> list[int]:
        return [one.run for one in self.keepers if one.alive]

    def start(self, run: int) -> None:
        at = self.runs.index(0)
        self.runs[at] = run
        self.keepers[at].run = run - 1
        self.keepers[at].start(run)

    def of(self, run: int) -> list[Keeper]:
        return [self.keepers[at] for at, one in enumerate(self.runs) if one == run]

    def next(self) -> float | None:
        return min((at for one in self.keepers if (at := one.next()) is not None), default=None)

    def read(self) -> list[Event]:
        events = []
        for at, keeper in enumerate(self.keepers):
            for event in keeper.read():
                if isinstance(event, RunGone | StartFailed):
                    self.runs[at] = 0
                events.append(event)
        return events


class Life:
    """Both supervisors, both keepers and a clock."""

    phases: set[Phase] = set()
    held = taken = answers = 0

    def __init__(self, settings: ServiceSettings, manners: list[Manner]) -> None:
        self.now = 100.0
        self.settings = settings
        self.overlap = Overlap(settings)
        self.overlap._serving, self.overlap._other = Recorded(settings), Recorded(settings, joins=True)
        self.pair = Pair(lambda: self.now, manners)
        self.draining = 0
        self.latest = 0
        self.changes = self.seen = 0
        self.quits = 0

    def perform(self, commands: list[do.Command]) -> None:
        for command in commands:
            match command:
                case do.Drain():
                    self.draining += 1
                case do.StartChild():
                    assert command.run == self.latest + 1, "numbers follow one another"
                    self.latest = command.run
                    self.pair.start(command.run)
                    self.seen = self.changes
                case do.RelieveChild():
                    assert self.overlap.phase is Phase.FINISHING
                    assert self.overlap._serving.state in UP, "one finishes, and none serves"
                case do.SignalChild():
                    for keeper in self.pair.of(command.run):
                        keeper.signal(command.run, command.scope)
                case do.KillTree():
                    for keeper in self.pair.of(command.run):
                        keeper.kill(command.run)
                case do.Quit():
                    assert not self.pair.alive, "quit with a run alive"
                    self.quits += 1
                case do.Report(event="held"):
                    Life.held += 1
                    assert self.overlap.state in UP, "held, and nothing serves"
                    assert self.overlap.run < self.latest
        self.check()

    def check(self) -> None:
        overlap = self.overlap
        Life.phases.add(overlap.phase)
        assert self.quits == (overlap.state is State.CLOSED)
        assert len(self.pair.alive) <= 2
        if overlap.phase is Phase.ALONE:
            assert len(self.pair.alive) <= 1, "two are alive, and none comes or leaves"
            assert overlap._other.state is State.WAITING
        assert sum(one.starting for one in (overlap._serving, overlap._other)) <= 1
        if overlap.phase is Phase.COMING:
            assert overlap._serving.state in UP, "one comes, and none serves"

    def change(self) -> None:
        self.changes += 1
        self.perform(self.overlap.change(self.now))

    def hold(self) -> None:
        self.perform(self.overlap.hold(self.now))

    def ready(self) -> None:
        self.drained()
        self.read()
        serving = self.overlap._serving.run
        self.perform(self.overlap.ready(self.overlap.run, self.now))
        if self.overlap._serving.run != serving:
            Life.taken += 1
        self.perform(self.overlap.ready(max(self.overlap.run - 1, 0), self.now))

    def answered(self) -> None:
        self.ready()
        self.perform(self.overlap.answered(self.overlap.run, self.now))
        finishes = self.overlap.phase is Phase.FINISHING
        self.perform(self.overlap.answered(self.overlap._other.run, self.now))
        if finishes:
            Life.answers += 1
            assert self.overlap.phase is not Phase.FINISHING

    def killed(self) -> None:
        """A keeper dies, and what it keeps."""
        for at, keeper in enumerate(self.pair.keepers):
            if keeper.alive and self.pair.runs[at]:
                run, self.pair.runs[at] = self.pair.runs[at], 0
                keeper.child = keeper.alive = False
                keeper._due = []
                event = KeeperDied("web", run)
                self.perform(self.overlap.keeper_died(self.now, event.run))
                return

    def close(self, signum: int) -> None:
        self.perform(self.overlap.close(signum, self.now))

    def drained(self) -> None:
        if self.draining:
            self.draining -= 1
            if self.overlap.starting:
                self.perform(self.overlap.launch({}, None, self.now))

    def read(self) -> None:
        for event in self.pair.read():
            assert isinstance(event, ChildStarted | StartFailed | ChildEnded | RunGone)
            self.perform(self.overlap.child(event, self.now))

    def stale(self, back: int, kind: str) -> None:
        """A report about a run that is over."""
        run = self.latest - back
        if run in self.pair.runs or run in self.overlap.runs:
            return
        if self.pair.next() is not None:
            return
        before = self.overlap.state, self.overlap.deadline, self.overlap.phase
        event = {"ended": ChildEnded("web", run, 3, 0), "gone": RunGone("web", run)}[kind]
        if not self.overlap.starting:
            assert self.overlap.child(event, self.now) == []
            assert before == (self.overlap.state, self.overlap.deadline, self.overlap.phase)

    def tick(self) -> None:
        for _ in range(4):
            self.perform(self.overlap.tick(self.now))
            if self.overlap.deadline is None or self.overlap.deadline > self.now:
                return
        raise AssertionError("a deadline stays in the past")

    def wait(self, seconds: float) -> None:
        instants = [self.now + seconds, self.overlap.deadline, self.pair.next()]
        self.now = max(self.now, min(instant for instant in instants if instant is not None))
        self.tick()

    def settle(self) -> None:
        for _ in range(600):
            self.drained()
            self.read()
            self.tick()
            if self.draining:
                continue
            if self.overlap.deadline is None and self.pair.next() is None:
                break
            self.wait(60.0)
        else:
            raise AssertionError("it does not come to rest")
        assert self.overlap.phase in (Phase.ALONE, Phase.ENDING)
        assert not self.overlap.starting
        assert len(self.pair.alive) <= 1
        if self.overlap.phase is Phase.ALONE:
            assert self.overlap.state in (State.WAITING, *UP)


PROBE = Probe("tcp://localhost:1", "127.0.0.1:1", "localhost:1", "")

settings = st.builds(
    lambda stop_timeout, on_exit, ready: ServiceSettings(
        "web",
        ("command",),
        ("/p",),
        stop_timeout=stop_timeout,
        on_exit=on_exit,
        overlap=True,
        ready=ready,
        ready_timeout=7.0,
        keep_sockets=True,
    ),
    st.sampled_from([0.0, 5.0]),
    st.sampled_from(["wait", "restart", "exit"]),
    st.sampled_from(["serves", "serves", "notify", 2.0, PROBE]),
)
steps = st.one_of(
    st.tuples(st.just("change")),
    st.tuples(st.just("change")),
    st.tuples(st.just("hold")),
    st.tuples(st.just("ready")),
    st.tuples(st.just("ready")),
    st.tuples(st.just("answered")),
    st.tuples(st.just("answered")),
    st.tuples(st.just("read")),
    st.tuples(st.just("drained")),
    st.tuples(st.just("killed")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0, 5.0, 20.0])),
    st.tuples(st.just("stale"), st.integers(0, 3), st.sampled_from(["ended", "gone"])),
)
closes = st.lists(
    st.tuples(st.sampled_from([0, SIGINT, SIGTERM, SIGHUP]), st.lists(steps, max_size=4)), max_size=3
)
first = st.just([("drained",), ("read",)]) | st.just([])
"""Mostly a run serves before anything happens."""


@bounded(4000)
@given(settings, lives, first, st.lists(steps, max_size=25), closes)
def walk(chosen: ServiceSettings, runs: list[Manner], begin: list, inputs: list, ends: list) -> None:
    life = Life(chosen, runs)
    life.change()
    for name, *arguments in [*begin, *inputs]:
        getattr(life, name)(*arguments)
    if not ends:
        life.settle()
        if life.overlap.state is not State.CLOSED:
            assert life.seen == life.changes, "the last run started before the last change"
        elif chosen.on_exit != "exit":
            assert life.overlap.result[0] in (126, 127), "it ended and nobody asked for it"
        return
    for signum, more in ends:
        life.close(signum)
        for name, *arguments in more:
            getattr(life, name)(*arguments)
    life.settle()
    assert life.overlap.state is State.CLOSED, "a change called off the end"


@pytest.mark.timeout(300)
def test_holds_its_promises() -> None:
    walk()
    assert Life.phases == set(Phase)
    assert Life.held > 50
    assert Life.taken > 50
    assert Life.answers > 10
    assert Recorded.used >= OF_TWO


def up(**options: object) -> Life:
    """A service whose first run serves."""
    chosen = ServiceSettings("web", ("c",), ("/p",), overlap=True, **options)  # type: ignore[arg-type]
    life = Life(chosen, [])
    life.change()
    life.settle()
    assert life.pair.alive == [1]
    return life


def test_the_former_is_stopped_when_the_next_is_ready() -> None:
    life = up()
    life.change()
    life.drained()
    life.read()
    assert life.pair.alive == [1, 2]
    life.ready()
    assert life.pair.alive == [1, 2]
    life.perform(life.overlap.answered(1, life.now))
    life.settle()
    assert life.pair.alive == [2]
    assert life.overlap.run == 2
    assert life.now == 100.0


def test_one_that_does_not_answer_is_stopped_in_time() -> None:
    life = up(stop_timeout=5.0)
    life.change()
    life.drained()
    life.read()
    life.ready()
    life.change()
    life.wait(4.9)
    assert life.pair.alive == [1, 2]
    assert life.overlap.run == 2
    life.settle()
    assert life.latest == 3, "the change waited for that"
    assert 1 not in life.pair.alive


def test_where_there_is_no_time_to_end_there_is_none_to_answer() -> None:
    life = up(stop_timeout=0.0)
    life.change()
    life.drained()
    life.read()
    life.ready()
    assert life.overlap.phase is Phase.LEAVING


def test_one_that_is_not_ready_in_time_goes_and_the_former_stays() -> None:
    life = up(ready_timeout=7.0)
    life.change()
    life.drained()
    life.read()
    life.wait(6.9)
    assert life.pair.alive == [1, 2]
    life.settle()
    assert life.pair.alive == [1]
    assert life.overlap.run == 1
    assert life.overlap.state is State.HELD


def test_it_is_told_what_came_of_asking_it() -> None:
    life = up(ready=PROBE, ready_timeout=7.0)
    life.change()
    life.drained()
    life.read()
    life.overlap.probed(1, "what another says")
    life.overlap.probed(2, "tcp://localhost:1 was not accepted")
    [told] = [one for one in life.overlap.tick(life.now + 7.0) if isinstance(one, do.Report)]
    assert told.event == "held"
    assert told.fields["message"] == "was not ready within 7 s: tcp://localhost:1 was not accepted"


def test_one_that_is_not_ready_in_time_answers_first() -> None:
    life = up(ready="notify", ready_timeout=7.0, stop_timeout=5.0)
    life.change()
    life.drained()
    life.read()
    life.wait(7.0)
    assert life.pair.alive == [1, 2]
    assert life.overlap.phase is Phase.FINISHING
    life.perform(life.overlap.answered(2, life.now))
    assert life.overlap.phase is Phase.LEAVING
    life.settle()
    assert life.pair.alive == [1]


@pytest.mark.parametrize(
    ("ready", "phase"), [("serves", Phase.COMING), ("notify", Phase.FINISHING), (PROBE, Phase.FINISHING)]
)
def test_one_that_may_have_accepted_answers_before_the_next_one_comes(
    ready: str | Probe, phase: Phase
) -> None:
    life = up(ready=ready, stop_timeout=5.0)
    life.change()
    life.drained()
    life.read()
    life.change()
    assert life.overlap.phase is phase
    life.perform(life.overlap.answered(2, life.now))
    life.settle()
    assert life.latest == 3
    assert 2 not in life.pair.alive


def test_a_signal_closes_both() -> None:
    for signum in (SIGINT, SIGTERM, SIGHUP):
        life = up()
        life.change()
        life.drained()
        life.read()
        life.close(signum)
        life.settle()
        assert life.pair.alive == []
        assert life.quits == 1


def test_a_start_that_fails_leaves_the_former() -> None:
    life = up()
    life.pair.keepers[0]._manners = life.pair.keepers[1]._manners = iter([Manner(start=errno.ENOENT)] * 9)
    life.change()
    life.settle()
    assert life.pair.alive == [1]
    assert life.overlap.state is State.HELD
