from __future__ import annotations

from signal import SIGUSR1, SIGUSR2
from typing import Any

import pytest

from reloaderd.commands import Digest
from reloaderd.core.debounce import Debounce
from reloaderd.core.passage import Passage
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.transitions import State
from reloaderd.core.watchtree import WatchTree
from reloaderd.events import Digested, SignalArrived
from reloaderd.settings import On, RuleSettings
from tests.support import model as op
from tests.support.core import at_rest, only, reports, service
from tests.support.world import BROKEN, Manner, World

NAMES = "abcdefgh"
TREE = (op.MakeDirs("/p/d"), *[op.Save(f"/p/{name}.py", name) for name in NAMES], op.Save("/p/d/m.py", "m"))


def known(*operations: op.Operation, **settings: Any) -> World:
    """A world in which all digests are known."""
    world = at_rest(*TREE, *operations, skip_unchanged=True, **settings)
    world.pause(1.0)
    return world


def save(world: World, path: str, text: str) -> None:
    world.do(op.Save(path, text))
    world.settle()


def said(world: World, event: str) -> list[dict[str, Any]]:
    return reports(world.reports, event)


def test_the_same_again_does_nothing() -> None:
    world = known()
    for path in ("/p/a.py", "/p/d/m.py"):
        save(world, path, path[-4])
    world.do(op.Touch("/p/b.py"))
    world.settle()
    world.do(op.Replace("/p/c.py", "c"))
    world.settle()
    assert len(world.started) == 1 and not said(world, "changed")
    assert [one["paths"] for one in said(world, "unchanged")] == [
        ["/p/a.py"],
        ["/p/d/m.py"],
        ["/p/b.py"],
        ["/p/c.py"],
    ]


def test_something_else_is_a_restart_without_what_is_the_same() -> None:
    world = known()
    world.do(*[op.Save(f"/p/{name}.py", name) for name in NAMES], op.Save("/p/e.py", "new"))
    world.settle()
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/e.py"
    assert said(world, "changed")[0]["paths"] == ["/p/e.py"]
    assert said(world, "unchanged")[0]["count"] == len(NAMES) - 1


def test_without_the_option_it_is() -> None:
    world = at_rest(*TREE)
    save(world, "/p/a.py", "a")
    assert len(world.started) == 2


def test_there_and_back_again_is_two_restarts() -> None:
    world = known()
    save(world, "/p/a.py", "other")
    world.pause(1.0)
    save(world, "/p/a.py", "a")
    assert len(world.started) == 3
    world.pause(1.0)
    save(world, "/p/a.py", "a")
    assert len(world.started) == 3


def test_there_and_back_again_within_a_batch_is_none() -> None:
    world = known()
    world.do(op.Save("/p/a.py", "other"), op.Save("/p/a.py", "a"))
    world.do(op.Remove("/p/b.py"), op.Save("/p/b.py", "b"))
    world.settle()
    assert len(world.started) == 1


def test_what_is_gone_and_what_is_new_count() -> None:
    world = known()
    world.do(op.Remove("/p/a.py"))
    world.settle()
    world.pause(1.0)
    save(world, "/p/a.py", "a")
    assert len(world.started) == 3


def test_what_is_not_known_yet_counts() -> None:
    world = World([service(skip_unchanged=True)])
    world.do(*TREE)
    world.start()
    world.do(op.Save("/p/a.py", "a"))
    world.settle()
    assert len(world.started) == 2


def test_what_changes_right_after_a_start_is_not_what_it_found() -> None:
    """Its digest is taken a little later, and is not what the run found if it was saved in between."""
    world = known()
    world.do(op.Save("/p/a.py", "1"))
    world.pause(0.030)
    assert len(world.started) == 2
    world.do(op.Save("/p/a.py", "2"))
    world.pause(1.0)
    assert len(world.started) == 3
    save(world, "/p/a.py", "2")
    assert len(world.started) == 3
    save(world, "/p/a.py", "1")
    assert len(world.started) == 4


def test_a_start_for_another_reason_finds_what_is_being_compared() -> None:
    world = known()
    world.do(op.Save("/p/a.py", "other"))
    world.carry([SignalArrived(SIGUSR1)])
    world.settle()
    world.pause(1.0)
    starts = len(world.started)
    save(world, "/p/a.py", "other")
    assert len(world.started) == starts
    save(world, "/p/a.py", "a")
    assert len(world.started) == starts + 1


def test_what_waits_to_settle_is_not_what_the_run_found() -> None:
    world = World([service(skip_unchanged=True, debounce=0.5)])
    world.do(*TREE)
    world.start()
    world.do(op.Save("/p/a.py", "other"))
    world.settle()
    assert len(world.started) == 2


def test_a_start_takes_what_is_being_compared_with_it() -> None:
    world = known(runs=[Manner(ends=0.1)])
    assert len(world.started) == 1
    world.do(*[op.Save(f"/p/{name}.py", "other") for name in NAMES])
    while not world.engine.services["web"].passage.busy:
        world.now = world.engine.deadline(world.now) or world.now
        world.turn()
    world.carry([SignalArrived(SIGUSR1)])
    world.settle()
    assert len(world.started) == 2
    assert world.started[1].environ["RELOADERD_CHANGED_COUNT"] == str(len(NAMES))


def test_what_the_rules_left_out_for_a_while_is_not_known() -> None:
    world = known()
    world.do(op.Save("/p/.gitignore", "a.py\n"))
    world.settle()
    save(world, "/p/a.py", "other")
    save(world, "/p/b.py", "other")
    world.do(op.Save("/p/.gitignore", ""))
    world.settle()
    starts = len(world.started)
    save(world, "/p/a.py", "a")
    assert len(world.started) == starts + 1


def test_a_directory_that_was_left_out_for_a_while() -> None:
    world = known()
    world.do(op.Save("/p/.gitignore", "d/\n"))
    world.settle()
    save(world, "/p/d/m.py", "other")
    save(world, "/p/b.py", "other")
    world.do(op.Save("/p/.gitignore", ""))
    world.settle()
    starts = len(world.started)
    save(world, "/p/d/m.py", "m")
    assert len(world.started) == starts + 1


def test_a_signal_is_sent_for_what_is_different_only() -> None:
    rules = RuleSettings(on=(On("a.py", "signal", SIGUSR2),))
    world = known(rules=rules, runs=[Manner(grace=None)])
    for text in ("a", "other", "other"):
        save(world, "/p/a.py", text)
        world.pause(1.0)
    assert [one["action"] for one in said(world, "changed")] == ["signal:USR2"]
    assert len(said(world, "unchanged")) == 2


def test_events_that_were_lost_leave_nothing_out() -> None:
    world = known()
    world.kernel.flood()
    world.do(op.Save("/p/a.py", "other"), op.Save("/p/b.py", "b"))
    world.settle()
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/a.py"


def test_a_root_that_is_a_file() -> None:
    world = at_rest(*TREE, services=[service(roots=("/p/a.py",), skip_unchanged=True)])
    world.pause(1.0)
    save(world, "/p/a.py", "a")
    assert len(world.started) == 1
    save(world, "/p/a.py", "other")
    assert len(world.started) == 2


def test_a_dry_run_leaves_out_the_same() -> None:
    world = known(dry_run=True)
    save(world, "/p/a.py", "a")
    save(world, "/p/a.py", "other")
    world.pause(1.0)
    save(world, "/p/a.py", "other")
    assert len(said(world, "changed")) == 1 and len(said(world, "unchanged")) == 2


def test_what_is_held_by_the_gate_counts_when_it_is_as_before() -> None:
    world = known(gate="syntax")
    save(world, "/p/a.py", BROKEN)
    world.pause(1.0)
    save(world, "/p/a.py", BROKEN)
    assert len(said(world, "held")) == 2
    save(world, "/p/a.py", "a")
    assert len(world.started) == 2
    assert world.engine.services["web"].supervisor.state is State.RUNNING


def test_at_rest_there_is_no_deadline() -> None:
    for gate in (None, "syntax"):
        world = known(gate=gate)
        save(world, "/p/a.py", BROKEN)
        world.settle()
        assert world.engine.deadline(world.now) is None


# Answers


@pytest.fixture
def passage() -> Passage:
    settings = service(skip_unchanged=True)
    tree = WatchTree()
    tree.add("/p", 1, [], ["a.py", "b.py"])
    return Passage(settings, Supervisor(settings), tree, Debounce(None))


def learn(passage: Passage, **digests: bytes) -> None:
    passage.start((), 1.0)
    (command,) = only(passage.tick(1.0, True), Digest)
    assert command == Digest("web", 0, ["/p/a.py", "/p/b.py"]) or command.paths[-1] == "/p/b.py"
    paths: dict[str, bytes | None] = {f"/p/{name}.py": digest for name, digest in digests.items()}
    passage.digested(Digested("web", 0, paths), 1.0)


def test_a_digest_is_trusted_once_the_source_is_drained_and_told_of_nothing(passage: Passage) -> None:
    assert passage.digests is not None
    learn(passage, a=b"1", b=b"2")
    assert passage.digests.known("/p/a.py") is None
    passage.changed("/p/b.py")
    passage.drained()
    assert passage.digests.known("/p/a.py") == b"1"
    assert passage.digests.known("/p/b.py") is None


def test_a_digest_from_before_events_were_lost_is_not(passage: Passage) -> None:
    assert passage.digests is not None
    learn(passage, a=b"1")
    passage.lose_track()
    passage.drained()
    assert passage.digests.known("/p/a.py") is None


def test_young_files_are_tried_again_and_given_up_in_the_end(passage: Passage) -> None:
    passage.start((), 1.0)
    now = 1.0
    asked = 0
    while passage.deadline(now, True) is not None and asked < 50:
        now = passage.deadline(now, True) or now
        for command in only(passage.tick(now, True), Digest):
            asked += 1
            passage.digested(Digested("web", 0, {}, (), command.paths), now)
    assert asked == 7 and 7.0 < now < 8.0


def test_nothing_is_asked_while_something_unknown_may_have_happened(passage: Passage) -> None:
    passage.start((), 1.0)
    assert passage.deadline(1.0, False) is None and passage.tick(1.0, False) == []
