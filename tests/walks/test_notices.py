"""Random operations on files of which the run is told: what it does not take in is a restart."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from reloaderd.settings import On, RuleSettings, ServiceSettings
from tests.support import model as op
from tests.support.world import Manner
from tests.walks.bounds import bounded
from tests.walks.test_engine import Flood, Race, Step, Turn, Walk, manners, operations, pauses, writes

TOLD = ServiceSettings(
    "web", ("command",), ("/w/p",), RuleSettings(on=(On("n.py", "notify"), On("a/m.py", "notify")))
)

races = st.builds(Race, st.integers(0, 12), writes | st.sampled_from([0.03, 0.2]))
names = st.sampled_from(["/w/p/n.py", "/w/p/a/n.py", "/w/p/b/n.py"])
told_of = names.map(op.Save) | names.map(op.Replace) | names.map(op.Truncate) | names.map(op.Remove)
linked = (op.Link, op.Symlink)  # a file of two names is told of by the one that was written
others = st.one_of(
    operations.filter(lambda one: not isinstance(one, linked)), races, st.just(Turn()), st.just(Flood())
)
steps = st.one_of(told_of, told_of, told_of, pauses, pauses, pauses, others)

answers = st.lists(st.sampled_from(["all", "all", "first", "none", "silence"]), min_size=1, max_size=6)


@bounded(600)
@given(st.lists(steps, min_size=8, max_size=30), answers, manners)
def test_nothing_is_stale_that_a_run_did_not_take_in(
    steps: list[Step], answers: list[str], runs: list[Manner]
) -> None:
    walk = Walk(TOLD, runs=runs)
    left = list(answers)

    def handles(paths: Sequence[str]) -> Sequence[str] | None:
        answer = left.pop(0) if left else "all"
        if answer == "silence":
            return None
        took = {"all": len(paths), "first": 1, "none": 0}[answer]
        walk.judges["web"].took_in(paths[:took])
        return paths[took:]

    walk.world.handles = handles
    walk.begin()
    walk.go(steps)
    walk.rest()
    missed = walk.judges["web"].missed()
    assert not missed, f"the run did not see {missed}"
    assert walk.world.engine.services["web"].notices.deadline is None
