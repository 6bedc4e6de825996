"""Random reads, copies, edits and restarts: a run never has in its memory what is another by now.

The keeper and the agents are modelled with what they may do: what they say comes late, a copy fails or is
lost, and a run may be asked for before all is told.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from reloaderd.commands import StartChild
from reloaderd.core.warm import Warm
from reloaderd.events import CheckpointGone, CheckpointPassed, CheckpointReady, FilesLoaded, Loaded
from tests.walks.bounds import bounded

PATHS = [f"/w/{name}.py" for name in "abcdef"]

Said = FilesLoaded | CheckpointPassed


class Read(NamedTuple):
    """The run reads a file, and before it does leaves a copy if that is one of those that were edited."""

    path: str
    fails: bool  # the copy, if it comes to that


class Edit(NamedTuple):
    """These change, and the run is restarted for it; with none of them somebody asks for that."""

    paths: frozenset[str]


class Memory:
    """What a process has read, in which version, and what it told of that."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self.told: list[Said] = []
        self.number = 0

    def copy(self) -> Memory:
        other = Memory()
        other.read, other.told, other.number = dict(self.read), [*self.told], self.number
        return other


class Walk:
    """One service, its run, and the copies that its keeper has."""

    def __init__(self) -> None:
        self.warm = Warm("web", checkpoints=True)
        assert self.warm.checkpoints is not None
        self.core = self.warm.checkpoints
        self.versions = dict.fromkeys(PATHS, 0)
        self.copies: dict[int, Memory] = {}
        self.run = 1
        self.memory = Memory()
        self.edited: tuple[str, ...] = ()
        self.said: deque[Said] = deque()
        self.reported: deque[CheckpointReady | CheckpointGone] = deque()
        self.went_on = 0

    def read(self, step: Read) -> None:
        if step.path in self.memory.read:
            return
        if step.path in self.edited:
            number = self.memory.number + 1
            self.memory.number = number
            self.say(CheckpointPassed("web", self.run, number, step.path, ""))
            if not step.fails:
                self.copies[number] = self.memory.copy()
                self.reported.append(CheckpointReady("web", number))
        self.memory.read[step.path] = self.versions[step.path]
        module = [Loaded(step.path, step.path, None)]
        self.say(FilesLoaded("web", self.run, "", module, (), (), (), (), 0, False))

    def say(self, what: Said) -> None:
        self.memory.told.append(what)
        self.said.append(what)

    def hear(self, agents: int, keeper: int) -> None:
        for _ in range(min(agents, len(self.said))):
            said = self.said.popleft()
            if said.run != self.run:
                continue
            if isinstance(said, CheckpointPassed):
                self.core.handle(said)
            else:
                self.core.read(said, lambda real: real)
        for _ in range(min(keeper, len(self.reported))):
            self.core.handle(self.reported.popleft())

    def lose(self, number: int) -> None:
        if self.copies.pop(number, None) is not None:
            self.reported.append(CheckpointGone("web", number, "it takes 300 MB"))

    def restart(self, changed: frozenset[str]) -> None:
        for path in changed:
            self.versions[path] += 1
        self.run += 1
        [start] = self.warm.furnish([StartChild("web", self.run, {}, True)], changed, sorted(changed))
        assert isinstance(start, StartChild)
        self.edited = tuple(start.edited)
        number = max((one for one in self.copies if one <= start.checkpoint), default=0)
        for gone in [one for one in self.copies if one > number]:
            del self.copies[gone]
            self.reported.append(CheckpointGone("web", gone, ""))
        self.memory = self.copies[number].copy() if number else Memory()
        self.went_on += bool(number)
        self.said.extend(one._replace(run=self.run) for one in self.memory.told)
        self.check(self.memory)

    def check(self, memory: Memory) -> None:
        stale = [path for path, version in memory.read.items() if version != self.versions[path]]
        assert not stale, "the run goes on with what it has read, and that has changed"


steps = st.one_of(
    st.builds(Read, st.sampled_from(PATHS), st.sampled_from([False, False, False, True])),
    st.builds(Read, st.sampled_from(PATHS), st.just(False)),
    st.builds(Edit, st.frozensets(st.sampled_from(PATHS), max_size=2)),
    st.tuples(st.integers(0, 20), st.integers(0, 5)),
    st.integers(1, 5),
)


@bounded(600)
@given(st.lists(steps, max_size=60))
def test_no_run_goes_on_with_what_has_changed(steps: list[Read | Edit | tuple[int, int] | int]) -> None:
    walk = Walk()
    for step in steps:
        match step:
            case Read():
                walk.read(step)
            case Edit():
                walk.restart(step.paths)
            case int():
                walk.lose(step)
            case tuple():
                walk.hear(*step)


@bounded(200)
@given(st.permutations(PATHS), st.lists(st.sampled_from(PATHS), min_size=2, max_size=12))
def test_it_is_the_latest_that_will_do(order: list[str], edits: list[str]) -> None:
    """Where all is told in time, and one file changes at a time, nothing is read anew that need not be."""
    walk = Walk()
    for edit in edits:
        for path in order:
            walk.read(Read(path, fails=False))
        walk.hear(1000, 1000)
        fits = [number for number, copy in walk.copies.items() if edit not in copy.read]
        expected = len(walk.copies[max(fits)].read) if fits else 0
        walk.restart(frozenset([edit]))
        assert len(walk.memory.read) == expected
    again = sum(one == other for one, other in zip(edits, edits[1:], strict=False))
    assert walk.went_on >= again, "who edits a file again goes on from before it"
