"""Random operations, and a child that loads files at random moments: what it has loaded, it has seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from reloaderd.settings import ServiceSettings
from tests.support import model as op
from tests.support.world import Manner
from tests.walks.bounds import bounded
from tests.walks.test_engine import Step, Walk, files, manners, pauses, steps, writes


class Load(NamedTuple):
    """The child loads a file, and tells of it."""

    path: str
    data: bool


class Miss(NamedTuple):
    """The child looks for a module in vain, and tells of it."""

    prefix: str


Look = tuple[int, int | str] | None


class Following(Walk):
    """One world with a child that tells what it loads, and what must hold in it."""

    def __init__(self, *roots: str, exact: bool, runs: Iterable[Manner] = ()) -> None:
        super().__init__(ServiceSettings("web", ("command",), roots, exact=exact), runs=runs)
        self.exact = exact
        self.seen: dict[str, Look] = {}
        self.missed: dict[str, Look] = {}

    def begin(self) -> None:
        super().begin()

        def started(name: str) -> None:
            self.judges[name].started()
            self.seen.clear()
            self.missed.clear()
            self.world.say()

        self.seen.clear()
        self.world.on_start = started
        self.world.allows = lambda operation: not self._by_another_name(operation)
        self.world.say()

    def act(self, steps: Sequence[Step | Load | Miss]) -> None:
        for step in steps:
            match step:
                case Load():
                    self._load(step)
                case Miss():
                    self._miss(step.prefix)
                case _:
                    self.go([step])

    def check(self) -> None:
        self.rest()
        if self.world.keepers["web"].child:
            gone = [root for root in self.services[0].roots if self.world.files.look_up(root) is None]
            stale = {
                path: look
                for path, look in self.seen.items()
                if self._look(path) != look and not any(path.startswith(root + "/") for root in gone)
            }
            assert not stale, f"it has loaded what is other now: {stale}"
            found = [prefix for prefix in self.missed if self._look(prefix + ".py") is not None]
            assert not found, f"it has looked in vain for what is there now: {found}"
        if not self.exact:
            assert not self.judges["web"].missed()
        self._check_watches()

    def anchored(self) -> list[str]:
        return self.world.engine.services["web"].watcher._roots.anchors.paths()

    def _load(self, load: Load) -> None:
        inode = self.world.files.look_up(load.path)
        if inode is None or inode.is_dir or not self.world.keepers["web"].child:
            return
        self.seen.setdefault(load.path, inode.look)
        self.world.say(**{"data" if load.data else "modules": [load.path]})

    def _miss(self, prefix: str) -> None:
        if self._look(prefix + ".py") is None and self.world.keepers["web"].child:
            self.missed[prefix] = None
            self.world.say(missing=[prefix])

    def _look(self, path: str) -> Look:
        inode = self.world.files.look_up(path)
        return None if inode is None or inode.is_dir else inode.look

    def _by_another_name(self, operation: op.Operation) -> bool:
        """A write to a file that has two names: inotify tells of it under the one alone."""
        path = operation.target if isinstance(operation, op.Symlink) else operation.path
        inode = self.world.files.look_up(path)
        return inode is not None and inode.links > 1


loads = st.builds(Load, files, st.just(False))
data = st.builds(Load, files.filter(lambda path: path.startswith("/w/p/")), st.just(True))
misses = files.filter(lambda path: path.endswith(".py")).map(lambda path: Miss(path[:-3]))
told = st.lists(st.one_of(steps, steps, loads, loads, data, misses), min_size=8, max_size=30)
of_modules = st.lists(st.one_of(steps, steps, loads, loads, misses), min_size=8, max_size=30)


@bounded(800)
@given(told, manners)
def test_what_a_run_has_loaded_is_what_is_there(steps: list[Step | Load | Miss], runs: list[Manner]) -> None:
    walk = Following("/w/p", exact=False, runs=runs)
    walk.begin()
    walk.act(steps)
    walk.check()


@bounded(800)
@given(told, manners)
def test_with_exact_too(steps: list[Step | Load | Miss], runs: list[Manner]) -> None:
    walk = Following("/w/p", exact=True, runs=runs)
    walk.begin()
    walk.act(steps)
    walk.check()


@bounded(400)
@given(of_modules)
def test_of_a_root_that_is_a_link(steps: list[Step | Load | Miss]) -> None:
    walk = Following("/w/q", exact=True)
    walk.world.do(op.Symlink("p/b", "/w/q"))
    walk.begin()
    walk.act(steps)
    walk.check()


@bounded(400)
@given(told, st.lists(st.one_of(writes, pauses), min_size=4, max_size=12))
def test_what_is_not_loaded_restarts_nothing(steps: list[Step | Load | Miss], idle: list[Step]) -> None:
    walk = Following("/w/p", exact=True)
    walk.begin()
    walk.act(steps)
    walk.rest()
    walk.world.pause(10.0)
    starts = len(walk.world.started)
    loaded = {walk.world.files.look_up(path) for path in walk.seen}
    for step in idle:
        path = getattr(step, "path", "")
        if walk.world.files.look_up(path) not in loaded and path[:-3] not in walk.missed:
            walk.act([step])
    walk.rest()
    assert len(walk.world.started) == starts
