"""Random operations on a file system in memory against the whole engine: nothing is missed, nothing leaks.

The judge (tests.walks.judge) sees the file system alone, never an event.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from reloaderd import commands as do
from reloaderd.core.transitions import State
from reloaderd.events import Asked
from reloaderd.settings import ConfigSettings, ServiceSettings
from tests.support import model as op
from tests.support.disk import Inode
from tests.support.world import Inotify, Manner, World, find_way
from tests.walks.bounds import bounded
from tests.walks.judge import Judge


class Flood(NamedTuple):
    """The kernel's queue overflows: what comes is lost until it is read."""


class Turn(NamedTuple):
    """The loop reads what is there."""


class Race(NamedTuple):
    """Something happens while the loop is at work, so many of its steps later; a number: it takes so long."""

    steps: int
    what: op.Operation | float


class Ask(NamedTuple):
    """Somebody calls a method of the control socket."""

    method: str


Step = op.Operation | Flood | Turn | Race | Ask | float

PLACES = ["/w/p", "/w/p", "/w/p/a", "/w/p/a/b", "/w/p/b", "/w/p/b/a", "/w/out", "/w"]
DIRS = ["/w/p", "/w/p/a", "/w/p/a/b", "/w/p/b", "/w/p/b/a", "/w/out", "/w/out/a", "/w/q", "/w"]
NAMES = ["m.py", "n.py", "x.tmp", "a"]
TEXTS = ["", "b\n", "a/\n", "*.tmp\n", "*.tmp\n!b\n", "n.py\n", "/a\n", "!n.py\n", "b\nn.py\n"]

files = st.builds(os.path.join, st.sampled_from(PLACES), st.sampled_from(NAMES))
dirs = st.sampled_from(DIRS)
paths = files | dirs

writes = st.one_of(
    files.map(op.Save),
    files.map(op.Replace),
    files.map(op.Truncate),
    files.map(op.Touch),
    files.map(op.Open),
    files.map(op.Append),
    files.map(op.Close),
)
names = st.one_of(
    files.map(op.Remove),
    st.builds(op.Link, files, files),
    st.builds(op.Symlink, paths, files),
    st.builds(op.Rename, files, files),
)
trees = st.one_of(
    dirs.map(op.MakeDirs),
    dirs.map(op.RemoveTree),
    st.builds(op.Rename, dirs, dirs),
    st.builds(op.Exchange, paths, dirs),
)
rules = st.builds(
    op.Save, st.sampled_from(PLACES).map(lambda place: place + "/.gitignore"), st.sampled_from(TEXTS)
)
nothing = st.one_of(files.map(op.Chmod), files.map(op.Read), files.map(op.OpenClose), dirs.map(op.Chmod))
operations = st.one_of(writes, names, trees, trees, rules, nothing)
pauses = st.sampled_from([0.001, 0.02, 0.1, 1.0, 5.0])
races = st.builds(Race, st.integers(0, 12), operations | st.sampled_from([0.03, 0.2]))
loop = st.one_of(pauses, st.just(Turn()), races, st.just(Flood()))
steps = operations | operations | loop
steps_without_rules = st.one_of(writes, names, trees, nothing, pauses, st.just(Turn()), st.just(Flood()))

repositories = st.sampled_from(["/w/p/.git", "/w/p/a/.git", "/w/.git"])
locks = repositories.map(lambda path: path + "/index.lock")
at_repositories = st.one_of(
    repositories.map(op.MakeDirs),
    repositories.map(op.RemoveTree),
    st.builds(op.Rename, repositories, dirs),
    locks.map(op.Save),
    locks.map(op.Remove),
    locks.map(lambda path: op.Rename(path, path.replace("index.lock", "index"))),
)

UNSEEN = [*(f"{place}/x.tmp" for place in dict.fromkeys(PLACES)), "/w/p/__pycache__/m.pyc", "/w/out/m.py"]
ignored = st.sampled_from(UNSEEN)
unseen = st.one_of(
    nothing,
    st.one_of(ignored.map(op.Save), ignored.map(op.Touch), ignored.map(op.Remove)),
    st.builds(op.Rename, ignored, ignored),
    pauses,
    st.just(Turn()),
)
manners = st.lists(
    st.builds(
        lambda grace, ends, leaves: Manner(grace=grace, ends=ends, leaves=leaves),
        st.sampled_from([0.0, 0.0, 0.3, None]),
        st.sampled_from([None, None, None, 0.2]),
        st.booleans(),
    ),
    max_size=4,
)


def service(name: str, *roots: str, follow_links: bool = False) -> ServiceSettings:
    return ServiceSettings(name, ("command",), roots, follow_links=follow_links)


class Walk:
    """One world with a judge for each service, and what must hold in it."""

    def __init__(
        self,
        *services: ServiceSettings,
        runs: Iterable[Manner] = (),
        config: ConfigSettings | None = None,
    ) -> None:
        self.services = services
        self.judges: dict[str, Judge] = {}
        self.world = World(services, {services[0].name: runs}, config=config)
        for path in ("/w/p/a/b", "/w/out/a", "/w/p/b"):
            self.world.do(op.MakeDirs(path))
        for directory in ("/w/p", "/w/p/a", "/w/p/a/b", "/w/out"):
            self.world.do(op.Save(directory + "/m.py"))
        self.world.do(op.Save("/w/p/b/n.py"), op.Save("/w/out/a/n.py"))

    def begin(self) -> None:
        files = self.world.files
        self.judges = {one.name: Judge(files, list(one.roots), one.follow_links) for one in self.services}
        self.world.on_change = lambda: [judge.changed() for judge in self.judges.values()]
        self.world.allows = lambda operation: not self._silent(operation)
        self.world.on_start = lambda name: self.judges[name].started()
        self.world.start()

    def go(self, steps: Sequence[Step]) -> None:
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
                case Ask():
                    asked = Asked(1, f"io.reloaderd.{step.method}", {})
                    answered = self.world.engine.handle(asked, self.world.now)
                    assert isinstance(answered[0], do.Answer) and not answered[0].error
                    self.world.carry(answered[1:])
                case _:
                    self.world.do(step)
            if not self.world.kernel.queue:
                self._handled()

    def rest(self) -> None:
        self.world.settle()
        self._handled()

    def check(self) -> None:
        """Let it come to rest: nothing was missed, nothing leaks."""
        self.rest()
        for name, judge in self.judges.items():
            assert not judge.missed(), f"{name} did not see {judge.missed()}"
            state = self.world.engine.services[name].supervisor.state
            assert state in (State.WAITING, State.RUNNING), f"{name} rests in {state}"
        self._check_watches()

    def _handled(self) -> None:
        for judge in self.judges.values():
            judge.handled()

    def _silent(self, operation: op.Operation) -> bool:
        """A write to a counted file by a name that does not count: inotify says nothing of it."""
        path = operation.target if isinstance(operation, op.Symlink) else operation.path
        inode = self.world.files.look_up(path)
        counted = all(judge.counts(path) for judge in self.judges.values())
        return inode is not None and inode.links > 1 and not counted

    def anchored(self) -> list[str]:
        """The paths that are to be held on to by every name on the way."""
        return [root for one in self.services for root in one.roots]

    def _check_watches(self) -> None:
        held = {inode.serial for inode in self.world.kernel.held.values()}
        wanted = set().union(*(judge.watched() for judge in self.judges.values()))
        ways = Inotify()
        for path in self.anchored():
            find_way(self.world.files, ways, do.Anchor("web", path))
        anchored = {inode.serial for inode in ways.held.values()}
        locks = {inode.serial for inode in self.world.kernel.held.values() if _is_repository(inode)}
        assert wanted <= held, f"not watched: {wanted - held}"
        assert anchored <= held, f"not anchored: {anchored - held}"
        assert held <= wanted | anchored | locks, f"leaked: {held - wanted - anchored - locks}"


def _is_repository(inode: Inode) -> bool:
    """Whether it is a `.git` that is there."""
    above = inode.parent
    return above is not None and bool(above.links) and (above.entries or {}).get(".git") is inode


"""Without a least size a list has five steps on average."""
steps_of = st.lists(steps, min_size=8, max_size=30)


@bounded(1000)
@given(steps_of, manners)
def test_a_tree(steps: list[Step], runs: list[Manner]) -> None:
    walk = Walk(service("web", "/w/p"), runs=runs)
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(steps_of)
def test_a_root_whose_ancestors_come_and_go_while_someone_works_in_it(steps: list[Step]) -> None:
    walk = Walk(service("web", "/w/p/a", "/w/p/m.py"))
    walk.world.files.pin("/w/p/a")
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(steps_of)
def test_a_root_that_is_a_link(steps: list[Step]) -> None:
    walk = Walk(service("web", "/w/q"))
    walk.world.do(op.Symlink("p/b", "/w/q"))
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(st.lists(steps_without_rules, min_size=8, max_size=30), manners)
def test_two_services_that_share_directories(steps: list[Step], runs: list[Manner]) -> None:
    walk = Walk(service("web", "/w/p", "/w/p/a/b"), service("worker", "/w/p/a"), runs=runs)
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(st.lists(steps_without_rules, min_size=8, max_size=30))
def test_a_root_in_another(steps: list[Step]) -> None:
    walk = Walk(service("web", "/w/p", "/w/p/a"))
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(st.lists(steps_without_rules, min_size=8, max_size=30))
def test_links_that_are_followed(steps: list[Step]) -> None:
    walk = Walk(service("web", "/w/p", follow_links=True))
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(st.lists(steps | at_repositories | at_repositories, min_size=8, max_size=30))
def test_a_repository(steps: list[Step]) -> None:
    walk = Walk(service("web", "/w/p"))
    walk.world.do(op.MakeDir("/w/p/.git"))
    walk.begin()
    walk.go(steps)
    walk.check()


@bounded(600)
@given(st.lists(steps, max_size=8), st.lists(unseen, min_size=4, max_size=12))
def test_no_restart_for_what_does_not_count(steps: list[Step], idle: list[Step]) -> None:
    walk = Walk(service("web", "/w/p"))
    walk.world.do(op.MakeDirs("/w/p/__pycache__"), op.Save("/w/p/.gitignore", "*.tmp\n"))
    walk.begin()
    walk.go(steps)
    walk.world.do(op.MakeDirs("/w/p/__pycache__"), op.Save("/w/p/.gitignore", "*.tmp\n"))
    walk.world.do(*[op.Close(f"{place}/{name}") for place in PLACES for name in NAMES])
    walk.world.do(*[op.Remove(place + "/.gitignore") for place in PLACES if place != "/w/p"])
    walk.world.do(*[op.Remove(path) for path in UNSEEN])  # they may be links to what does count
    walk.rest()
    starts = len(walk.world.started)
    walk.go(idle)
    walk.rest()
    assert len(walk.world.started) == starts
    walk.check()


asks = st.sampled_from(["Pause", "Resume", "Resume", "Restart", "Status", "Why"]).map(Ask)


@bounded(600)
@given(st.lists(steps | steps | asks, min_size=8, max_size=30), manners)
def test_those_who_ask_at_any_time(steps: list[Step], runs: list[Manner]) -> None:
    walk = Walk(service("web", "/w/p"), runs=runs)
    walk.begin()
    walk.go([*steps, Ask("Resume")])
    walk.check()


@bounded(600)
@given(steps_of, steps_of)
def test_a_pause_is_no_restart_and_its_end_is_one_at_most(before: list[Step], during: list[Step]) -> None:
    walk = Walk(service("web", "/w/p"))
    walk.begin()
    walk.go(before)
    walk.rest()
    starts = len(walk.world.started)
    walk.go([Ask("Pause"), *during])
    walk.world.settle()
    assert len(walk.world.started) == starts
    assert walk.world.engine.deadline(walk.world.now) is None
    walk.go([Ask("Resume")])
    walk.check()
    assert len(walk.world.started) <= starts + 1
