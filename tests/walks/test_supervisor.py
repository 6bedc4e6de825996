"""Random lives of a child against the supervisor: what DESIGN 6.4 promises holds after every step."""

from __future__ import annotations

import errno
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloaderd import commands as do
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.transitions import TRANSITIONS, UP, Input, State
from reloaderd.events import ChildEnded, ChildStarted, RunGone, StartFailed
from reloaderd.settings import ServiceSettings
from tests.support.world import Keeper, Manner
from tests.walks.bounds import bounded

REST = (State.WAITING, State.RUNNING, State.HELD, State.CLOSED)


OF_TWO = {(State.BACKOFF, Input.REST)}
"""What a supervisor does only where it is one of two: tests/walks/test_overlap.py."""


class Recorded(Supervisor):
    """Notes which entries of the table are used."""

    used: set[tuple[State, Input]] = set()

    def _handle(self, what: Input, now: float) -> list[do.Command]:
        self.used.add((self.state, what))
        return super()._handle(what, now)


class Life:
    """A supervisor, its keeper and a clock."""

    def __init__(self, settings: ServiceSettings, manners: list[Manner]) -> None:
        self.now = 100.0
        self.supervisor = Recorded(settings)
        self.keeper = Keeper(settings.name, lambda: self.now, manners)
        self.draining = False
        self.changes = 0
        self.seen = 0  # the changes that the latest start came after
        self.quits = 0

    def perform(self, commands: list[do.Command]) -> None:
        for command in commands:
            match command:
                case do.Drain():
                    assert not self.draining, "two starts under way"
                    self.draining = True
                case do.StartChild():
                    self.keeper.start(command.run)
                    self.seen = self.changes
                case do.SignalChild():
                    assert command.run == self.supervisor.run
                    self.keeper.signal(command.run, command.scope)
                case do.KillTree():
                    self.keeper.kill(command.run)
                case do.Quit():
                    assert not self.keeper.alive, "quit with a run alive"
                    self.quits += 1
        self.check()

    def check(self) -> None:
        state, deadline = self.supervisor.state, self.supervisor.deadline
        assert deadline is None or state not in REST, f"a deadline in {state}"
        if state is State.BACKOFF:
            assert deadline is not None, "nothing ends the back-off"
        if state in (State.WAITING, State.BACKOFF, State.CLOSED):
            assert not self.keeper.alive, f"a run is alive in {state}"
        assert self.quits == (state is State.CLOSED)

    def change(self) -> None:
        self.changes += 1
        self.perform(self.supervisor.change(self.now))

    def hold(self) -> None:
        up = self.supervisor.state in UP
        self.perform(self.supervisor.hold(self.now))
        assert (self.supervisor.state in UP) == up, "a hold ended a run, or made one"

    def close(self, signum: int) -> None:
        self.perform(self.supervisor.close(signum, self.now))

    def drained(self) -> None:
        if self.draining:
            self.draining = False
            if self.supervisor.starting:
                self.perform(self.supervisor.launch({}, None, self.now))

    def read(self) -> None:
        for event in self.keeper.read():
            assert isinstance(event, ChildStarted | StartFailed | ChildEnded | RunGone)
            self.perform(self.supervisor.child(event, self.now))

    def stale(self, back: int, kind: str) -> None:
        """A report about an earlier run, or about the latest when that is over."""
        if self.keeper.alive or self.keeper.next() is not None:
            back = max(back, 1)
        run = self.supervisor.run - back
        event = {
            "started": ChildStarted("web", run, 4711),
            "failed": StartFailed("web", run, errno.ENOENT, "command"),
            "ended": ChildEnded("web", run, 3, 0),
            "gone": RunGone("web", run),
        }[kind]
        before = self.supervisor.state, self.supervisor.deadline, self.supervisor.alive
        assert self.supervisor.child(event, self.now) == [], f"{event} did something"
        assert before == (self.supervisor.state, self.supervisor.deadline, self.supervisor.alive)

    def tick(self) -> None:
        """Serve the deadline: it is not left in the past."""
        for _ in range(3):
            self.perform(self.supervisor.tick(self.now))
            if self.supervisor.deadline is None or self.supervisor.deadline > self.now:
                return
        raise AssertionError(f"the deadline in {self.supervisor.state} stays in the past")

    def wait(self, seconds: float) -> None:
        """The clock moves on, not past anything that is due."""
        instants = [self.now + seconds, self.supervisor.deadline, self.keeper.next()]
        self.now = max(self.now, min(instant for instant in instants if instant is not None))
        self.tick()

    def settle(self) -> None:
        for _ in range(300):
            self.drained()
            self.read()
            self.tick()
            if self.draining:
                continue
            if self.supervisor.deadline is None and self.keeper.next() is None:
                break
            self.wait(60.0)
        else:
            raise AssertionError("it does not come to rest")
        assert self.supervisor.state in REST
        assert not self.supervisor.starting


stubborn = st.sampled_from([Manner(ends=1.0, status=status, leaves=True, grace=None) for status in (0, 1, 3)])
"""What the child leaves does not go without SIGKILL."""
manners = stubborn | st.builds(
    Manner,
    start=st.sampled_from([0, 0, 0, errno.ENOENT, errno.EACCES, errno.ETXTBSY, errno.EAGAIN]),
    grace=st.sampled_from([0.0, 0.0, 1.0, None]),
    ends=st.sampled_from([None, None, 0.0, 1.0, 10.0]),
    status=st.sampled_from([0, 1, 3, -11]),
    leaves=st.booleans(),
    dies=st.sampled_from([0.0, 0.0, 3.0, 9.0]),
)
lives = st.lists(manners, max_size=6) | st.just([Manner(), *[Manner(start=errno.ENOENT)] * 7])
"""The last: a command that was there and stays away."""
settings = st.builds(
    lambda stop_timeout, kill, on_exit: ServiceSettings(
        "web", ("command",), ("/p",), stop_timeout=stop_timeout, kill=kill, on_exit=on_exit
    ),
    st.sampled_from([0.0, 5.0]),
    st.sampled_from(["tree", "group", "child"]),
    st.sampled_from(["wait", "restart", "exit"]),
)
steps = st.one_of(
    st.tuples(st.just("change")),
    st.tuples(st.just("hold")),
    st.tuples(st.just("read")),
    st.tuples(st.just("drained")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0, 5.0, 20.0])),
    st.tuples(st.just("stale"), st.integers(0, 3), st.sampled_from(["started", "failed", "ended", "gone"])),
)
"""A close comes last, and again and again."""
closes = st.lists(
    st.tuples(st.sampled_from([0, SIGINT, SIGTERM, SIGHUP]), st.lists(steps, max_size=4)), max_size=3
)


@bounded(3000)
@given(settings, lives, st.lists(steps, max_size=20), closes)
def walk(chosen: ServiceSettings, runs: list[Manner], inputs: list, ends: list) -> None:
    life = Life(chosen, runs)
    life.change()
    for name, *arguments in inputs:
        getattr(life, name)(*arguments)
    if not ends:
        life.settle()
        if life.supervisor.state is not State.CLOSED:
            assert life.seen == life.changes, "the last run started before the last change"
        elif chosen.on_exit != "exit":
            assert life.supervisor.result[0] in (126, 127), "it ended and nobody asked for it"
        return
    for signum, more in ends:
        life.close(signum)
        for name, *arguments in more:
            getattr(life, name)(*arguments)
    life.settle()
    assert life.supervisor.state is State.CLOSED, "a change called off the end"


@pytest.mark.timeout(300)
def test_holds_its_promises_and_uses_its_whole_table() -> None:
    Recorded.used.clear()
    walk()
    missed = set(TRANSITIONS) - Recorded.used - OF_TWO
    assert not missed, f"not walked: {missed}"


def test_can_close_from_everywhere() -> None:
    for start in State:
        reached = {start}
        while True:
            more = {target for (state, _), (target, _) in TRANSITIONS.items() if state in reached}
            if more <= reached:
                break
            reached |= more
        assert State.CLOSED in reached
