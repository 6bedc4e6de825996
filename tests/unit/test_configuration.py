"""The configuration file while reloaderd runs: when it is read again, and which services that concerns."""

from __future__ import annotations

import errno
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1

import pytest

from reloaderd.commands import AddService, Drop, KillTree, Quit, ReadConfig, Report, SignalChild
from reloaderd.core.configuration import LIMIT, QUIET
from reloaderd.core.rules import Verdict
from reloaderd.core.supervisor import State
from reloaderd.events import ConfigRead, Event, EventsLost, MountsChanged, SignalArrived
from reloaderd.settings import (
    ConfigSettings,
    ConsoleSettings,
    Pattern,
    RuleSettings,
    ServiceSettings,
    Settings,
)
from tests.support import model as op
from tests.support.core import only, reports, service
from tests.support.world import Manner, World

FILE = "/etc/r.toml"
TREE = (op.MakeDirs("/p/a"), op.MakeDirs("/q"), op.Save("/p/m.py"), op.Save("/p/a/n.py"), op.Save("/q/o.py"))
WEB, WORKER = service("web"), service("worker", ("/p/a",))
CHANGED = WEB._replace(command=("other",))
MAIL = service("mail", ("/q",))


def running(*services: ServiceSettings, terminal: bool = False, **manners: list[Manner]) -> World:
    """All of these run, as FILE says."""
    world = World(services, dict(manners), terminal, ConfigSettings(FILE, False, ()))
    world.do(*TREE, op.MakeDirs("/etc"), op.Save(FILE))
    says(world, *services)
    world.start()
    world.settle()
    world.reports.clear()
    world.reads = 0
    return world


def says(world: World, *services: ServiceSettings, **more: object) -> None:
    """What the file says from now on."""
    settings = Settings(services, **more)  # type: ignore[arg-type]
    world.configured = lambda: ConfigRead(settings)


def edit(world: World, *services: ServiceSettings) -> None:
    """The file is edited, and that is all that happens until all is at rest."""
    says(world, *services)
    world.do(op.Save(FILE))
    world.settle()


def runs(world: World) -> list[tuple[str, int]]:
    return [(one.service, one.run) for one in world.started]


def told(world: World, event: str) -> list[tuple[str, dict[str, object]]]:
    return [(one.service, dict(one.fields)) for one in world.reports if one.event == event]


def warnings(world: World) -> list[object]:
    return [fields["text"] for _, fields in told(world, "warning")]


def held(world: World) -> set[int]:
    return {inode.serial for inode in world.kernel.held.values()}


# Which services it concerns


def test_cf06_a_service_that_changed_restarts_and_the_others_are_left_alone() -> None:
    world = running(WEB, WORKER)
    worker = world.engine.services["worker"]
    edit(world, CHANGED, WORKER)
    assert runs(world)[2:] == [("web", 2)]
    assert world.engine.services["worker"] is worker
    assert world.engine.services["web"].settings is CHANGED
    assert told(world, "configured") == [
        ("", {"path": FILE, "changed": ["web"], "added": [], "removed": []}),
    ]
    [(_, started)] = told(world, "started")
    assert started["command"] == ("other",)
    assert [fields["run"] for _, fields in told(world, "restarted")] == [2]


def test_what_takes_its_place_watches_what_it_is_to_watch_and_no_more() -> None:
    world = running(WEB)
    before = held(world)
    edit(world, WEB._replace(roots=("/q",)))
    world.do(op.Save("/p/m.py"))
    world.settle()
    assert runs(world) == [("web", 1), ("web", 2)]
    world.do(op.Save("/q/o.py"))
    world.settle()
    assert runs(world)[2:] == [("web", 3)]
    edit(world, WEB)
    assert held(world) == before


def test_its_directories_are_never_without_a_watch() -> None:
    world = running(WEB)
    before = dict(world.kernel.held)
    edit(world, CHANGED)
    assert world.kernel.held == before


def test_a_service_that_is_removed_is_stopped_and_forgotten() -> None:
    world = running(WEB, MAIL)
    node = world.engine.services["mail"].watcher.tree.get("/q")
    assert node is not None
    edit(world, WEB)
    assert [*world.engine.services] == [*world.keepers] == ["web"]
    assert node.watch not in world.kernel.held
    assert world.quits == []
    assert told(world, "configured")[0][1]["removed"] == ["mail"]


def test_a_service_that_is_new_starts() -> None:
    world = running(WEB)
    edit(world, WEB, MAIL)
    assert runs(world)[1:] == [("mail", 1)]
    world.do(op.Save("/q/o.py"))
    world.settle()
    assert runs(world)[2:] == [("mail", 2)]
    assert told(world, "configured")[0][1]["added"] == ["mail"]


def test_nothing_changes_where_the_services_are_the_same() -> None:
    world = running(WEB, WORKER)
    services = dict(world.engine.services)
    edit(world, WORKER, WEB)
    assert len(runs(world)) == 2
    assert world.engine.services == services
    assert told(world, "configured")[0][1] == {"path": FILE, "changed": [], "added": [], "removed": []}


def test_that_a_rule_stands_on_another_line_restarts_nothing_and_is_known() -> None:
    def ignoring(line: int, glob: str = "*.md") -> ServiceSettings:
        rules = RuleSettings(patterns=(Pattern(glob, False, f"r.toml:{line}"),))
        return WEB._replace(rules=rules)

    world = running(ignoring(4))
    edit(world, ignoring(5))
    assert runs(world) == [("web", 1)]
    rules = world.engine.services["web"].watcher.rules
    assert rules.verdict("/p/a/n.md") == Verdict("ignore", 0, "--ignore *.md", "r.toml:5")
    edit(world, ignoring(5, "*.rst"))
    assert runs(world) == [("web", 1), ("web", 2)]


def test_a_service_that_has_no_run_is_replaced_at_once() -> None:
    world = running(WEB, web=[Manner(ends=0.1)])
    edit(world, CHANGED)
    assert runs(world) == [("web", 1), ("web", 2)]


def test_the_next_one_starts_only_when_nothing_of_the_run_is_left() -> None:
    """The keeper of the world fails a start that comes too early."""
    world = running(WEB, web=[Manner(grace=None, leaves=True, dies=0.5)])
    edit(world, CHANGED)
    assert runs(world) == [("web", 1), ("web", 2)]
    [(_, fields)] = told(world, "restarted")
    assert fields["ms"] == pytest.approx(5500.0)


def test_what_is_said_while_it_stops_counts_at_the_end() -> None:
    world = running(WEB, web=[Manner(grace=None)])
    for services in ([CHANGED], [], [WEB], [WEB._replace(command=("last",))]):
        says(world, *services, MAIL)
        world.do(op.Save(FILE))
        world.pause(0.5)
    assert runs(world) == [("web", 1), ("mail", 1)]
    world.settle()
    assert runs(world)[2:] == [("web", 2)]
    assert world.engine.services["web"].settings.command == ("last",)


def test_it_comes_back_as_it_was_after_all() -> None:
    world = running(WEB, WORKER, web=[Manner(grace=None)])
    says(world, WORKER)
    world.do(op.Save(FILE))
    world.pause(0.5)
    edit(world, WEB, WORKER)
    assert runs(world)[2:] == [("web", 2)]
    assert world.engine.services["web"].settings == WEB


def test_a_command_that_cannot_be_started_is_no_reason_to_end() -> None:
    world = running(
        WEB, web=[Manner(), *[Manner(start=errno.ENOENT)] * 9], mail=[Manner(start=errno.EACCES)] * 9
    )
    edit(world, CHANGED, MAIL)
    assert world.quits == []
    assert len(warnings(world)) == 2


def test_a_service_that_exits_ends_all_even_if_it_came_later() -> None:
    world = running(WEB, mail=[Manner(ends=0.5, status=4)])
    edit(world, WEB, MAIL._replace(on_exit="exit"))
    assert world.quits == [Quit(4, 0)]


# The end meanwhile


@pytest.mark.parametrize("services", [[CHANGED, WORKER], [WORKER]])
def test_one_that_makes_place_is_not_killed_by_the_first_ctrl_c(services: list[ServiceSettings]) -> None:
    world = running(WEB, WORKER, web=[Manner(grace=1.0)])
    says(world, *services)
    world.do(op.Save(FILE))
    world.pause(0.2)
    assert world.engine.services["web"].supervisor.state is State.CLOSING
    commands = world.engine.handle(SignalArrived(SIGINT), world.now)
    assert [one.service for one in only(commands, SignalChild)] == ["worker"]
    assert only(commands, KillTree) == []
    again = world.engine.handle(SignalArrived(SIGINT), world.now)
    assert {one.service for one in only(again, KillTree)} == {"web", "worker"}
    world.carry(commands + again)
    world.settle()
    assert world.quits == [Quit(130, SIGINT)]
    assert runs(world) == [("web", 1), ("worker", 1)]


def test_the_end_comes_also_where_all_have_just_made_place() -> None:
    world = running(WEB)
    says(world, CHANGED)
    world.carry(world.engine.handle(SignalArrived(SIGHUP), world.now))
    world.carry(world.keepers["web"].read())
    assert world.engine.services["web"].supervisor.state is State.CLOSED
    assert world.quits == []
    world.carry(world.engine.handle(SignalArrived(SIGTERM), world.now))
    assert world.quits == [Quit(143, SIGTERM)]


@pytest.mark.parametrize("turned", [False, True])
def test_the_status_is_that_of_the_one_that_exits_and_not_of_one_that_makes_place(turned: bool) -> None:
    ends = WEB._replace(on_exit="exit")
    services = [WORKER, ends] if turned else [ends, WORKER]
    world = running(*services, worker=[Manner(grace=None)])
    says(world, ends)
    world.do(op.Save(FILE))
    world.pause(0.3)
    world.keepers["web"]._end(0.0, 7)
    world.keepers["worker"].kill(1)
    world.settle()
    assert world.quits == [Quit(7, 0)]
    assert len(runs(world)) == 2


def test_it_is_not_read_any_more_once_the_end_has_begun() -> None:
    world = running(WEB, web=[Manner(grace=5.0)])
    world.carry(world.engine.handle(SignalArrived(SIGTERM), world.now))
    edit(world, CHANGED)
    assert world.reads == 0
    assert world.engine.handle(ConfigRead(Settings((CHANGED,))), world.now) == []


# What is wrong with it


def test_a_broken_file_changes_nothing_and_all_its_faults_are_told() -> None:
    world = running(WEB, WORKER)
    world.configured = lambda: ConfigRead(None, ["r.toml:1: x", "r.toml:2: y"])
    world.do(op.Save(FILE))
    world.settle()
    assert warnings(world) == ["r.toml:1: x", "r.toml:2: y", "the configuration stays as it was"]
    assert len(runs(world)) == 2
    edit(world, CHANGED, WORKER)
    assert runs(world)[2:] == [("web", 2)]


def test_what_cannot_change_is_told_once() -> None:
    world = running(WEB)
    more = {"backend": "poll", "console": ConsoleSettings(color="never", verbosity=1)}
    for _ in range(2):
        says(world, WEB, **more)
        world.do(op.Save(FILE))
        world.settle()
    [warning] = warnings(world)
    assert str(warning).startswith(
        "/etc/r.toml: backend, quiet or verbose, color: what it says now counts when"
    )
    edit(world, WEB)
    says(world, WEB, **more)
    world.do(op.Save(FILE))
    world.settle()
    assert len(warnings(world)) == 2


# When it is read


@pytest.mark.parametrize(
    "operations",
    [
        [op.Save(FILE)],
        [op.Replace(FILE)],
        [op.Truncate(FILE)],
        [op.Chmod(FILE)],
        [op.Rename(FILE, FILE + "~"), op.Save(FILE)],
        [op.Rename("/etc", "/old"), op.MakeDirs("/etc"), op.Save(FILE)],
        [op.Remove(FILE), op.Symlink("/other.toml", FILE), op.Save("/other.toml")],
    ],
)
def test_however_it_is_edited_it_is_read_once(operations: list[op.Operation]) -> None:
    world = running(WEB)
    world.do(*operations)
    world.settle()
    assert world.reads == 1
    world.do(op.Save(FILE))  # and it is still held on to
    world.settle()
    assert world.reads == 2


def test_a_change_through_a_link_is_seen() -> None:
    world = running(WEB)
    world.do(op.Remove(FILE), op.Save("/p/r.toml"), op.Symlink("/p/r.toml", FILE))
    world.settle()
    world.do(op.Save("/p/r.toml"))
    world.settle()
    assert world.reads == 2


def test_it_is_read_when_it_is_quiet() -> None:
    world = running(WEB)
    world.do(op.Open(FILE), op.Append(FILE))
    world.pause(QUIET / 2)
    world.do(op.Append(FILE), op.Close(FILE))
    world.pause(QUIET * 0.9)
    assert world.reads == 0
    world.settle()
    assert world.reads == 1


def test_it_is_read_at_last_though_it_is_written_on_and_on() -> None:
    world = running(WEB)
    world.do(op.Open(FILE))
    begun = world.now
    while not world.reads:
        world.do(op.Append(FILE))
        world.pause(QUIET / 2)
    assert LIMIT <= world.now - begun <= LIMIT + QUIET


def test_what_else_happens_beside_it_is_nothing() -> None:
    world = running(WEB)
    world.do(op.Save("/etc/passwd"), op.Remove("/etc/passwd"), op.Save("/p/m.py"))
    world.settle()
    assert world.reads == 0


def test_a_change_before_it_was_watched_is_seen() -> None:
    world = World([WEB], config=ConfigSettings(FILE, False, (), stamp=1))
    world.do(*TREE, op.MakeDirs("/etc"), op.Save(FILE))
    says(world, CHANGED)
    world.start()
    world.settle()
    assert world.reads == 1
    assert world.engine.services["web"].settings is CHANGED


def test_it_is_not_read_where_it_is_what_was_read_at_the_start() -> None:
    first = running(WEB)
    inode = first.files.look_up(FILE)
    assert inode is not None
    stamp = first._stamp(FILE)
    assert stamp is not None
    world = World([WEB], config=ConfigSettings(FILE, False, (), stamp.value))
    world.do(*TREE, op.MakeDirs("/etc"), op.Save(FILE))
    world.start()
    world.settle()
    assert world.reads == 0


ENV = "/q/x.env"


def beside(of_file: int, of_env: int) -> Settings:
    """What is read of a file with an environment file, which looked so."""
    return Settings((WEB,), config=ConfigSettings(FILE, False, (), of_file, ((ENV, of_env),)))


def stamp_of(world: World, path: str) -> int:
    stamp = world._stamp(path)
    return 0 if stamp is None else stamp.value


def with_environment() -> World:
    """The file has an environment file since it was read again."""
    world = running(WEB)
    world.do(op.Save(ENV))
    world.configured = lambda: ConfigRead(beside(stamp_of(world, FILE), stamp_of(world, ENV)))
    world.do(op.Save(FILE))
    world.settle()
    assert world.reads == 1
    return world


def test_an_environment_file_is_watched_like_the_file_that_names_it() -> None:
    world = with_environment()
    edits = [op.Save(ENV), op.Replace(ENV), op.Rename(ENV, "/q/y"), op.Save(ENV)]
    for reads, operation in enumerate(edits, 2):
        world.do(operation)
        world.settle()
        assert world.reads == reads
    world.do(op.Save("/q/o.py"))
    world.settle()
    assert world.reads == 5


def test_an_environment_file_that_changed_before_it_was_watched_is_read_again() -> None:
    world = running(WEB)
    world.do(op.Save(ENV))
    before = stamp_of(world, ENV)
    world.do(op.Save(ENV))
    world.configured = lambda: ConfigRead(
        beside(stamp_of(world, FILE), before if world.reads == 1 else stamp_of(world, ENV))
    )
    world.do(op.Save(FILE))
    world.settle()
    assert world.reads == 2


def test_an_environment_file_that_nothing_names_any_more_is_let_go() -> None:
    world = running(WEB)
    before = held(world)
    world = with_environment()
    assert len(held(world)) == len(before) + 1
    config = ConfigSettings(FILE, False, ())
    world.do(op.Save(FILE))
    world.configured = lambda: ConfigRead(
        Settings((WEB,), config=config._replace(stamp=stamp_of(world, FILE)))
    )
    world.settle()
    assert len(held(world)) == len(before)
    reads = world.reads
    world.do(op.Save(ENV))
    world.settle()
    assert world.reads == reads


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("event", [EventsLost(), MountsChanged(["/x"])])
def test_what_happened_while_nobody_looked_is_found_out(event: Event, changed: bool) -> None:
    world = running(WEB)
    if changed:
        world.files.do(op.Save(FILE))
        world.kernel.read()
    world.carry([event])
    world.settle()
    assert world.reads == changed
    world.carry([event])
    world.settle()
    assert world.reads == changed


def test_sighup_reads_it_and_restarts_only_what_changed() -> None:
    world = running(WEB, WORKER)
    says(world, CHANGED, WORKER)
    world.carry(world.engine.handle(SignalArrived(SIGHUP), world.now))
    assert world.reads == 1
    world.settle()
    assert runs(world)[2:] == [("web", 2)]


def test_sighup_of_a_terminal_ends_it() -> None:
    world = running(WEB, terminal=True)
    commands = world.engine.handle(SignalArrived(SIGHUP), world.now)
    assert only(commands, ReadConfig) == []
    assert reports(commands, "closing") == [{"signal": "SIGHUP"}]


def test_sigusr1_restarts_all() -> None:
    world = running(WEB, WORKER)
    world.carry(world.engine.handle(SignalArrived(SIGUSR1), world.now))
    world.settle()
    assert runs(world)[2:] == [("web", 2), ("worker", 2)]
    assert world.reads == 0


def test_there_is_no_deadline_at_rest() -> None:
    world = running(WEB, WORKER)
    edit(world, CHANGED, MAIL)
    assert world.engine.deadline(world.now) is None
    assert world.engine.tick(world.now + 100) == []


def test_the_watches_of_the_file_are_kept() -> None:
    world = running(WEB)
    for watch in world.kernel.held:
        assert world.engine.uses(watch)
        assert world.engine._finish([Drop([watch])], world.now) == []


def test_it_is_prepared_before_it_starts() -> None:
    world = running(WEB)
    says(world, WEB, MAIL)
    world.carry([ConfigRead(Settings((WEB, MAIL)))])
    first = next(one for one in world.engine.tick(world.now) if not isinstance(one, Report))
    assert first == AddService(MAIL)


# The file is below a root


def test_a_change_of_the_file_is_no_change_of_the_tree_that_it_is_in() -> None:
    inside = service("web", ("/etc",), config=FILE)
    world = running(inside)
    world.do(op.Save(FILE))
    world.settle()
    assert (world.reads, len(runs(world))) == (1, 1)
    world.do(op.Replace(FILE), op.Save("/etc/other.toml"))
    world.settle()
    assert [fields["paths"] for _, fields in told(world, "changed")] == [["/etc/other.toml"]]


@pytest.mark.parametrize("named", [True, False])
def test_it_is_one_where_it_is_a_path_or_the_command_has_loaded_it(named: bool) -> None:
    world = running(service("web", ("/etc", FILE) if named else ("/etc",), config=FILE))
    if not named:
        world.say(data=[FILE])
        world.settle()
    world.do(op.Save(FILE))
    world.settle()
    assert (world.reads, len(runs(world))) == (1, 2)
