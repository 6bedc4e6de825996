from __future__ import annotations

from signal import SIGUSR1, SIGUSR2

import pytest

from reloaderd.commands import Report, SignalChild
from reloaderd.core.debounce import LOCK_CAP
from reloaderd.core.notices import PATIENCE
from reloaderd.core.reasons import NOT_HANDLED
from reloaderd.core.supervisor import State
from reloaderd.core.telling import ENVIRON_LIMIT, LISTED
from reloaderd.events import ChildTold, KeeperDied, Kind
from reloaderd.settings import On, Pattern, RuleSettings
from tests.support import model as op
from tests.support.core import at_rest, only, reports
from tests.support.world import Manner, World

TREE = (op.MakeDirs("/p"), op.Save("/p/m.py"), op.Save("/p/n.py"))
REPOSITORY = (*TREE, op.MakeDir("/p/.git"))
LOCK = "/p/.git/index.lock"


def runs(world: World) -> int:
    return len(world.started)


def said(world: World, event: str) -> list[dict[str, object]]:
    return reports(world.reports, event)


# The first start


def test_the_first_run_starts_when_everything_is_watched() -> None:
    world = World([at_rest(*TREE).engine.services["web"].settings])
    world.do(*TREE, op.MakeDirs("/p/a/b/c"))
    world.start()
    order = [report.event for report in world.reports]
    assert order == ["watching"]
    assert said(world, "watching")[0]["directories"] == 4
    assert runs(world) == 1


def test_what_changes_before_the_first_start_is_part_of_it() -> None:
    world = World([at_rest(*TREE).engine.services["web"].settings])
    world.do(*TREE, op.MakeDirs("/p/a/b"))
    world.race(3, op.Save("/p/a/b/m.py"))
    world.start()
    world.settle()
    assert runs(world) == 1


def test_what_changes_right_after_it_is_a_restart() -> None:
    world = World([at_rest(*TREE).engine.services["web"].settings])
    world.do(*TREE)
    world.start()
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert runs(world) == 2


# Batches


def test_a_save_is_one_restart_that_names_the_path_and_the_rule() -> None:
    world = at_rest(*TREE)
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert runs(world) == 2
    (changed,) = said(world, "changed")
    assert (changed["paths"], changed["count"], changed["action"]) == (["/p/m.py"], 1, "restart")
    assert changed["rule"] == "every file"
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/m.py"
    assert world.started[1].environ["RELOADERD_CHANGED_COUNT"] == "1"


def test_changes_that_settle_together_are_one_restart() -> None:
    world = at_rest(*TREE)
    for number in range(20):
        world.do(op.Save(f"/p/{number}.py"))
        world.pause(0.010)
    world.settle()
    assert runs(world) == 2
    assert world.started[1].environ["RELOADERD_CHANGED_COUNT"] == "20"


def test_a_long_list_is_cut_on_the_line_and_by_whole_paths_in_the_environment() -> None:
    world = at_rest(*TREE)
    world.do(*[op.Save(f"/p/{'x' * 200}{number}.py") for number in range(300)])
    world.settle()
    (changed,) = said(world, "changed")
    assert isinstance(changed["paths"], list)
    assert (len(changed["paths"]), changed["count"]) == (LISTED, 300)
    listed = world.started[1].environ["RELOADERD_CHANGED"]
    assert ENVIRON_LIMIT - 300 < len(listed) <= ENVIRON_LIMIT
    assert all(path.endswith(".py") for path in listed.split("\n"))
    assert world.started[1].environ["RELOADERD_CHANGED_COUNT"] == "300"


def test_what_changes_during_a_stop_is_part_of_the_start_after_it() -> None:
    world = at_rest(*TREE, runs=[Manner(grace=1.0)])
    world.do(op.Save("/p/m.py"))
    world.pause(0.5)
    world.do(op.Save("/p/n.py"))
    world.settle()
    assert runs(world) == 2
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/m.py\n/p/n.py"


def test_what_is_on_its_way_when_a_run_starts_is_part_of_it() -> None:
    world = at_rest(*TREE)
    world.do(op.Save("/p/m.py"))
    world.race(9, op.Save("/p/n.py"))
    world.settle()
    assert 2 <= runs(world) <= 3
    assert "/p/n.py" in world.started[-1].environ["RELOADERD_CHANGED"]


@pytest.mark.parametrize("late, seen", [(False, 3), (True, 2)])
def test_what_is_made_before_a_run_was_started_and_gone_after_counts(late: bool, seen: int) -> None:
    """What is made later is often a temporary file of the run's own, that it makes with each start."""
    world = at_rest(*TREE)
    world.on_start = lambda service: None if late else world.do(op.Save("/p/brief.py"))
    world.do(op.Save("/p/m.py"))
    world.pause(0.06)
    assert runs(world) == 2
    if late:
        world.do(op.Save("/p/brief.py"))
    world.pause(0.01)
    world.on_start = lambda service: None
    world.do(op.Remove("/p/brief.py"))
    world.settle()
    assert runs(world) == seen


def test_what_has_not_settled_when_a_stop_ends_is_part_of_the_start_after_it() -> None:
    world = at_rest(*TREE, runs=[Manner(grace=1.0)])
    world.do(op.Save("/p/m.py"))
    world.pause(1.009)
    world.do(op.Save("/p/n.py"))
    world.settle()
    assert runs(world) == 2
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/m.py\n/p/n.py"


def test_a_restart_makes_the_next_batch_wait_longer() -> None:
    world = at_rest(*TREE)
    debounce = world.engine.services["web"].debounce
    waits = []
    for _ in range(3):
        waits.append(debounce.quiet(world.now))
        world.do(op.Save("/p/m.py"))
        world.pause(0.2)
    assert waits == [0.05, 0.1, 0.2]


def test_a_restart_on_request_needs_no_change() -> None:
    world = at_rest(*TREE)
    world.carry(world.engine.services["web"].restart(world.now, "SIGUSR1"))
    world.settle()
    assert runs(world) == 2
    assert world.started[1].environ["RELOADERD_CHANGED"] == ""


# Other actions


def signalling(*on: tuple[str, int]) -> RuleSettings:
    return RuleSettings(on=tuple(On(glob, "signal", signum) for glob, signum in on))


def test_a_signal_is_sent_once_for_a_batch_and_nothing_restarts() -> None:
    world = at_rest(*TREE, rules=signalling(("*.conf", SIGUSR1)))
    sent: list[SignalChild] = []
    perform = world._perform
    world._perform = lambda command: sent.extend(only([command], SignalChild)) or perform(command)  # type: ignore
    world.do(op.Save("/p/a.conf"), op.Save("/p/b.conf"))
    world.pause(1.0)
    assert sent == [SignalChild("web", 1, SIGUSR1, "child")]
    assert runs(world) == 1
    assert said(world, "changed")[0]["action"] == "signal:USR1"


def test_two_signals_are_sent_once_each() -> None:
    service = at_rest(*TREE, rules=signalling(("*.conf", SIGUSR1), ("*.css", SIGUSR2))).engine.services["web"]
    for path in ("/p/a.conf", "/p/b.css", "/p/c.conf"):
        service.debounce.add(path, Kind.CLOSED, service.watcher.rules.verdict(path), True, 5000.0)
    signals = only(service.tick(5001.0), SignalChild)
    assert [one.signum for one in signals] == [SIGUSR1, SIGUSR2]


def test_a_restart_in_the_batch_makes_it_one() -> None:
    world = at_rest(*TREE, rules=signalling(("*.conf", SIGUSR1)))
    world.do(op.Save("/p/a.conf"), op.Save("/p/m.py"))
    world.settle()
    assert runs(world) == 2


def test_no_signal_is_sent_where_nothing_runs() -> None:
    world = at_rest(*TREE, rules=signalling(("*.conf", SIGUSR1)), runs=[Manner(ends=0.0)])
    world.do(op.Save("/p/a.conf"))
    world.settle()
    assert runs(world) == 1


def told_of(world: World) -> list[list[str]]:
    return [list(one.paths) for one in world.told]


NOTICES = RuleSettings(on=(On("*.mo", "notify"), On("*.conf", "signal", SIGUSR1)))


def test_what_a_run_handles_is_told_once_and_nothing_restarts() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: []
    world.do(op.Save("/p/a.mo"), op.Save("/p/b.mo"))
    world.pause(60.0)
    assert told_of(world) == [["/p/a.mo", "/p/b.mo"]]
    assert (world.told[0].service, world.told[0].run) == ("web", 1)
    assert runs(world) == 1
    (changed,) = said(world, "changed")
    assert (changed["action"], changed["rule"]) == ("notify", "--on *.mo=notify")


def test_what_it_does_not_handle_restarts_it_and_the_line_says_why() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: ["/p/b.mo"]
    world.do(op.Save("/p/a.mo"), op.Save("/p/b.mo"))
    world.settle()
    assert runs(world) == 2
    assert len(told_of(world)) == 1
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/b.mo"
    _, restart = said(world, "changed")
    assert (restart["paths"], restart["action"]) == (["/p/b.mo"], "restart")
    assert restart["rule"] == f"--on *.mo=notify{NOT_HANDLED}"


def test_no_answer_in_time_restarts_it() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: None
    world.do(op.Save("/p/a.mo"))
    world.pause(PATIENCE - 0.5)
    assert (len(told_of(world)), runs(world)) == (1, 1)
    world.settle()
    assert runs(world) == 2


def test_a_late_answer_changes_nothing() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: None
    world.do(op.Save("/p/a.mo"))
    world.settle()
    world.carry([ChildTold("web", 1, world.told[0].notice, ["/p/a.mo"])])
    world.settle()
    assert runs(world) == 2


def test_an_answer_about_another_path_than_was_told_of_changes_nothing() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: ["/p/m.py"]
    world.do(op.Save("/p/a.mo"))
    world.settle()
    assert runs(world) == 1


def test_notices_and_signals_of_one_batch_are_both_sent() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: []
    world.do(op.Save("/p/a.conf"), op.Save("/p/a.mo"))
    world.pause(1.0)
    assert told_of(world) == [["/p/a.mo"]]
    assert said(world, "changed")[0]["action"] == "signal:USR1,notify"


def test_a_restart_in_the_batch_makes_it_one_and_nothing_is_told() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: []
    world.do(op.Save("/p/a.mo"), op.Save("/p/m.py"))
    world.settle()
    assert (told_of(world), runs(world)) == ([], 2)
    assert world.started[1].environ["RELOADERD_CHANGED"] == "/p/a.mo\n/p/m.py"


@pytest.mark.parametrize("patience", [0.0, 1.0, PATIENCE])
def test_what_is_not_handled_counts_though_it_says_the_same_as_when_it_was_told_of(patience: float) -> None:
    world = at_rest(*TREE, op.Save("/p/a.mo", "1"), rules=NOTICES, skip_unchanged=True)
    world.handles = lambda paths: None if patience else paths
    world.do(op.Save("/p/a.mo", "2"))
    world.pause(patience)
    if 0 < patience < PATIENCE:
        world.do(op.Save("/p/a.conf"))  # with which all that is missing is read anew
        world.pause(1.0)
        world.carry([ChildTold("web", 1, world.told[0].notice, ["/p/a.mo"])])
    world.settle()
    assert runs(world) == 2


def test_a_run_that_starts_meanwhile_has_seen_what_the_one_before_was_told_of() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.handles = lambda paths: None
    world.do(op.Save("/p/a.mo"))
    world.pause(1.0)
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert (len(told_of(world)), runs(world)) == (1, 2)


def test_a_notice_starts_what_does_not_run() -> None:
    world = at_rest(*TREE, rules=NOTICES, runs=[Manner(ends=0.0)])
    world.do(op.Save("/p/a.mo"))
    world.settle()
    assert runs(world) == 2


def test_a_dry_run_tells_nobody() -> None:
    world = at_rest(*TREE, rules=NOTICES, dry_run=True)
    world.do(op.Save("/p/a.mo"))
    world.settle()
    assert (told_of(world), runs(world)) == ([], 0)
    assert [(one["action"], one["dry_run"]) for one in said(world, "changed")] == [("notify", True)]


def test_a_run_that_writes_what_it_does_not_handle_is_slowed_down() -> None:
    world = at_rest(*TREE, rules=NOTICES)
    world.on_start = lambda service: world.do(op.Save("/p/a.mo"))
    world.do(op.Save("/p/m.py"))
    world.pause(10.0)
    assert runs(world) < 12
    assert [one["path"] for one in said(world, "warning")] == ["/p/a.mo"]


def test_an_ignored_change_does_nothing() -> None:
    world = at_rest(*TREE, rules=RuleSettings(patterns=(Pattern("*.tmp", include=False),)))
    world.do(op.Save("/p/x.tmp"))
    world.settle()
    assert runs(world) == 1
    assert said(world, "changed") == []


def test_a_dry_run_starts_nothing_and_says_what_it_would_do() -> None:
    world = at_rest(*TREE, dry_run=True)
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert runs(world) == 0
    assert said(world, "changed")[0]["dry_run"] is True
    world.do(op.Chmod("/p/m.py"))
    world.settle()
    assert len(said(world, "changed")) == 1


# Holds


def test_a_batch_is_held_while_git_is_at_work_and_that_is_said_once() -> None:
    world = at_rest(*REPOSITORY)
    world.do(op.Save(LOCK))
    for number in range(30):
        world.do(op.Save(f"/p/{number}.py"))
        world.pause(0.3)
    assert runs(world) == 1
    assert len(said(world, "held")) == 1
    world.do(op.Rename(LOCK, "/p/.git/index"))
    world.pause(1.0)
    assert runs(world) == 2


def test_a_lock_that_is_there_at_the_start_holds_too() -> None:
    world = World([at_rest(*TREE).engine.services["web"].settings])
    world.do(*REPOSITORY, op.Save(LOCK))
    world.start()
    world.do(op.Save("/p/m.py"))
    world.pause(5.0)
    assert runs(world) == 1
    world.do(op.Remove(LOCK))
    world.pause(1.0)
    assert runs(world) == 2


def test_a_lock_that_stays_holds_for_a_minute_at_most() -> None:
    world = at_rest(*REPOSITORY)
    world.do(op.Save(LOCK), op.Save("/p/m.py"))
    world.pause(LOCK_CAP - 1)
    assert runs(world) == 1
    world.pause(2.0)
    assert runs(world) == 2


def test_a_lock_that_went_while_events_were_lost_holds_nothing() -> None:
    world = at_rest(*REPOSITORY)
    world.do(op.Save(LOCK), op.Save("/p/m.py"))
    world.pause(1.0)
    world.kernel.flood()
    world.do(op.Rename(LOCK, "/p/.git/index"))
    world.pause(5.0)
    assert runs(world) == 2


def test_a_lock_whose_repository_is_removed_holds_nothing() -> None:
    world = at_rest(*REPOSITORY)
    world.do(op.Save(LOCK), op.Save("/p/m.py"))
    world.pause(1.0)
    world.do(op.RemoveTree("/p/.git"))
    world.pause(5.0)
    assert runs(world) == 2


def test_a_lock_that_is_not_watched_any_more_holds_nothing() -> None:
    """A source that polls says nothing of a watch that was dropped."""
    world = at_rest(*REPOSITORY)
    world.kernel.drop = world.kernel.held.pop  # type: ignore[assignment]
    world.do(op.Save(LOCK), op.Save("/p/m.py"))
    world.pause(1.0)
    world.do(op.Rename("/p", "/old"), *TREE)
    world.pause(5.0)
    assert runs(world) == 2


def test_a_child_that_restarts_itself_is_slowed_down_and_the_path_is_named() -> None:
    world = at_rest(*TREE)
    world.on_start = lambda _: world.do(op.Save("/p/out.txt"))
    world.do(op.Save("/p/m.py"))
    world.pause(12.0)
    assert runs(world) < 12
    (warning,) = said(world, "warning")
    assert warning["path"] == "/p/out.txt"
    assert "--ignore '/out.txt'" in str(warning["text"])


def test_a_person_who_saves_again_and_again_is_not() -> None:
    world = at_rest(*TREE)
    for _ in range(8):
        world.do(op.Save("/p/m.py"))
        world.pause(1.5)
    assert runs(world) == 9
    assert said(world, "warning") == []


# Faults


def test_lost_events_are_said_and_looked_for_once_a_second() -> None:
    world = at_rest(*TREE)
    for _ in range(30):
        world.kernel.flood()
        world.pause(0.1)
    assert 3 <= len(said(world, "warning")) <= 4


def test_lost_events_are_one_restart_if_something_changed() -> None:
    world = at_rest(*TREE)
    world.kernel.flood()
    world.do(op.Save("/p/m.py"), op.MakeDirs("/p/a"), op.Save("/p/a/o.py"), op.Remove("/p/n.py"))
    world.settle()
    assert runs(world) == 2
    assert world.started[1].environ["RELOADERD_CHANGED_COUNT"] == "3"


def test_lost_events_are_none_if_nothing_did() -> None:
    world = at_rest(*TREE)
    world.kernel.flood()
    world.settle()
    assert runs(world) == 1


def test_a_keeper_that_dies_takes_its_run_with_it() -> None:
    world = at_rest(*TREE)
    world.keepers["web"].child = world.keepers["web"].alive = False
    world.carry([KeeperDied("web")])
    assert world.engine.services["web"].supervisor.state is State.WAITING
    assert "was killed" in str(said(world, "warning")[0]["text"])


def test_there_is_no_deadline_at_rest() -> None:
    service = at_rest(*TREE).engine.services["web"]
    assert service.deadline(9999.0) is None
    assert only(service.tick(9999.0), Report) == []


def test_a_batch_does_not_settle_before_all_is_looked_at_where_events_were_lost() -> None:
    world = at_rest(op.MakeDirs("/p"), op.Save("/p/m.py"), op.Save("/p/n.py"))
    world.do(op.Save("/p/m.py"))
    world.kernel.flood()
    world.do(op.Save("/p/n.py"))
    world.race(2, 0.2)  # a queue that was full takes a while to be read
    world.settle()
    assert [report.fields["count"] for report in world.reports if report.event == "changed"] == [2]
