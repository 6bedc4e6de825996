"""Random saves, most of which change nothing, against the whole engine with `--skip-unchanged`."""

from __future__ import annotations

from signal import SIGUSR1

from hypothesis import given
from hypothesis import strategies as st

from reloaderd.core.transitions import State
from reloaderd.events import SignalArrived
from tests.support import model as op
from tests.support.core import service
from tests.support.world import Manner, World
from tests.walks.bounds import bounded

IGNORE = "/w/.gitignore"
PATHS = ["/w/a.py", "/w/b.py", "/w/d/a.py", "/w/d/b.py"]
TEXTS = ["1", "2", "b.py\n"]

paths = st.sampled_from(PATHS)
edits = st.one_of(
    st.builds(op.Save, paths, st.sampled_from(TEXTS[:2])),
    st.builds(op.Save, paths, st.sampled_from(TEXTS[:2])),
    st.builds(op.Replace, paths, st.sampled_from(TEXTS[:2])),
    paths.map(op.Touch),
    paths.map(op.Remove),
    st.builds(op.Rename, paths, paths),
)
trees = st.sampled_from(
    [
        *(op.Rename("/w/d", "/out"), op.Rename("/out", "/w/d"), op.RemoveTree("/w/d"), op.MakeDirs("/w/d")),
        *(op.Save(IGNORE, "b.py\n"), op.Save(IGNORE, "d/\n"), op.Save(IGNORE)),
    ]
)
loop = st.sampled_from([0.001, 0.02, 0.06, 0.2, 1.0, 10.0])
races = st.tuples(st.integers(0, 10), edits)
steps = edits | edits | trees | loop | loop | races | st.sampled_from(["flood", "restart"])
manners = st.lists(
    st.builds(
        lambda grace, ends: Manner(grace=grace, ends=ends),
        st.sampled_from([0.0, 0.0, 0.3]),
        st.sampled_from([None, None, None, 0.5]),
    ),
    max_size=4,
)

Step = op.Operation | float | tuple[int, op.Operation] | str


class Walk:
    """What the latest run found, and what is there."""

    def __init__(self, runs: list[Manner], gate: str | None) -> None:
        settings = service(roots=("/w",), skip_unchanged=True, gate=gate, on_exit="restart")
        self.world = world = World([settings], {"web": runs})
        world.do(op.MakeDirs("/w/d"), *[op.Save(path, "1") for path in PATHS])
        world.on_start = lambda name: self.seen.update(self.texts())
        self.seen: dict[str, str | None] = {}
        world.start()

    def texts(self) -> dict[str, str | None]:
        inodes = {path: self.world.files.look_up(path) for path in PATHS}
        return {path: None if inode is None else inode.text for path, inode in inodes.items()}

    def go(self, step: Step) -> None:
        world = self.world
        match step:
            case float():
                world.pause(step)
            case "flood":
                world.kernel.flood()
            case "restart":
                world.carry([SignalArrived(SIGUSR1)])
            case (int(), _) if type(step) is tuple:
                world.race(*step)
            case _:
                assert not isinstance(step, (str, tuple)) or isinstance(step, op.Operation)
                world.do(step)
                if getattr(step, "path", "") == IGNORE:  # what was left out is no change by that alone
                    world.carry([SignalArrived(SIGUSR1)])

    def rest(self) -> None:
        """Nothing is missed: what the run found is there, byte for byte."""
        self.world.settle()
        assert self.world.engine.services["web"].supervisor.state in (State.RUNNING, State.WAITING)
        ignored = self.world.files.look_up(IGNORE)
        texts = self.texts()
        lines = ignored.text.split() if ignored is not None else []
        for path, found in self.seen.items():
            if not any(line.rstrip("/") in path.split("/") for line in lines):
                assert texts[path] == found, f"{path}: the run found {found!r}"


@bounded(1500)
@given(st.lists(steps, min_size=6, max_size=30), manners, st.sampled_from([None, "syntax"]))
def test_what_the_run_found_is_what_is_there(
    inputs: list[Step], runs: list[Manner], gate: str | None
) -> None:
    walk = Walk(runs, gate)
    for step in inputs:
        walk.go(step)
    walk.rest()
    walk.go(op.Save(IGNORE))
    walk.rest()
    walk.world.pause(10.0)
    starts = len(walk.world.started)
    for path, text in walk.texts().items():
        if text is not None:
            walk.world.do(op.Save(path, text))
    walk.rest()
    for path, text in walk.texts().items():
        if text is not None:
            walk.world.do(op.Touch(path))
    walk.rest()
    if all(run.ends is None for run in runs):
        assert len(walk.world.started) <= starts + 1, "all is known after one more start, and the same"
