"""Random saves, some of which do not compile, against the whole engine with a gate."""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGUSR1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloaderd.core.transitions import UP, State
from reloaderd.events import SignalArrived
from tests.support import model as op
from tests.support.core import reports, service
from tests.support.world import BROKEN, Manner, World
from tests.walks.bounds import bounded

PATHS = ["/w/a.py", "/w/b.py", "/w/page.html"]
GOOD = "good"

saves = st.builds(op.Save, st.sampled_from(PATHS), st.sampled_from([BROKEN, BROKEN, GOOD]))
steps = st.one_of(
    saves,
    saves,
    st.sampled_from(PATHS).map(op.Remove),
    st.sampled_from([0.02, 0.1, 1.0, 20.0]),
    st.sampled_from(["restart", "slow", "fast", "hangs", "blind", "sees"]),
)
manners = st.lists(
    st.builds(
        lambda grace, ends, status: Manner(grace=grace, ends=ends, status=status),
        st.sampled_from([0.0, 0.3, None]),
        st.sampled_from([None, None, 0.2, 3.0]),
        st.sampled_from([0, 1, 3]),
    ),
    max_size=5,
)


class Walk:
    """One service, what its latest run found, and why a change may wait."""

    def __init__(self, runs: Sequence[Manner], on_exit: str) -> None:
        self.world = world = World([service(roots=("/w",), gate="syntax", on_exit=on_exit)], {"web": runs})
        world.do(op.MakeDirs("/w"), *[op.Save(path, GOOD) for path in PATHS])
        world.on_start = lambda name: self.__setattr__("seen", self.texts())
        self.seen = self.texts()
        world.start()

    @property
    def state(self) -> State:
        return self.world.engine.services["web"].supervisor.state

    def texts(self) -> dict[str, str]:
        inodes = {path: self.world.files.look_up(path) for path in PATHS}
        return {path: inode.text for path, inode in inodes.items() if inode is not None}

    def go(self, step: op.Operation | float | str) -> None:
        world = self.world
        match step:
            case "restart":
                world.carry([SignalArrived(SIGUSR1)])
                assert self.state is not State.HELD, "asked for, and still held"
            case "slow" | "fast" | "hangs":
                world.check_takes = {"slow": 2.0, "fast": 0.01, "hangs": None}[step]
            case "blind" | "sees":
                world.trouble = "no interpreter" if step == "blind" else ""
            case float():
                world.pause(step)
            case _:
                assert not isinstance(step, str)
                world.do(step)
        if self.state is State.HELD:
            assert world.keepers["web"].alive, "held for a run that is not there"

    def rest(self) -> None:
        self.world.settle()
        state = self.state
        if state is State.HELD:
            assert any(BROKEN in text for text in self.texts().values()), "held, and all compiles"
            assert reports(self.world.reports, "held"), "held in silence"
        elif state is not State.CLOSED:
            assert state in (State.RUNNING, State.WAITING)


@bounded(1500)
@given(
    st.lists(steps, min_size=4, max_size=25), manners, st.sampled_from(["wait", "wait", "restart", "exit"])
)
def walk(inputs: list[op.Operation | float | str], runs: list[Manner], on_exit: str) -> None:
    walk = Walk(runs, on_exit)
    for step in inputs:
        walk.go(step)
        states.add(walk.state)
    walk.rest()
    if walk.state is State.CLOSED:
        return
    states.add(walk.state)
    was = walk.state
    starts = len(walk.world.started)
    walk.world.check_takes, walk.world.trouble = 0.01, ""
    for path in PATHS:
        walk.go(op.Save(path, GOOD + str(starts)))
    walk.rest()
    if walk.state is State.CLOSED:
        return
    assert walk.state is not State.HELD
    assert walk.seen == walk.texts(), "the last run did not find what compiles"
    if was in UP and on_exit == "wait" and all(run.ends is None for run in runs):
        assert len(walk.world.started) == starts + 1, "one mend, one restart"


states: set[State] = set()


@pytest.mark.timeout(300)
def test_what_is_held_is_seen_once_it_compiles() -> None:
    states.clear()
    walk()
    assert {State.HELD, State.RUNNING, State.WAITING} <= states
