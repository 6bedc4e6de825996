"""Makes up what happens: a developer's day and some bad luck, act by act, all of it from one seed.

An act is a list of steps, such as what an editor does to save.  Names come from small pools, so that acts
meet: the same files are written, replaced, moved away and come back.  Nothing here looks at the disk, so
the same seed gives the same steps.
"""

from __future__ import annotations

import os

from tests.soak import pools
from tests.soak.scene import Scene
from tests.soak.steps import (
    Behave,
    Burst,
    Check,
    Flood,
    MountBind,
    MountTmpfs,
    Signal,
    SignalChild,
    Step,
    Stutter,
    Unmount,
    UnmountAll,
)
from tests.support import model as op


class Days(Scene):
    """A source of acts: one method each, by the names of pools.WEIGHTS."""

    def __init__(self, seed: int, backend: str | None = None, without: frozenset[str] = frozenset()) -> None:
        """`without` names acts that are left out."""
        super().__init__(seed, backend)
        self._mounts: list[str] = []
        self._bursts = 0
        weights = {name: weight for name, weight in pools.WEIGHTS.items() if name not in without}
        self._names, self._weights = list(weights), list(weights.values())

    def warm_up(self) -> list[Step]:
        """The most that will ever come at once, so that it is known how much memory that takes."""
        place = self._places[-1]
        crowd = place + "/burst0"
        made: list[Step] = []
        for _ in range(2):
            made += [Signal("STOP"), Burst(crowd, max(pools.BURSTS)), Flood(place), Signal("CONT"), Check()]
            made += [op.RemoveTree(crowd), Check()]
        return made

    def until_check(self) -> list[Step]:
        """Some acts, and a check."""
        acts = [self.act() for _ in range(self._pick(pools.ACTS_IN_A_ROW))]
        return [*(step for act in acts for step in act), Check()]

    def act(self) -> list[Step]:
        """One act, and a pause."""
        name = self._random.choices(self._names, self._weights)[0]
        made: list[Step] = getattr(self, "_" + name)()
        return made + self._pause()

    # One file

    def _save(self) -> list[Step]:
        return [op.Save(self._file())]

    def _replace(self) -> list[Step]:
        return [op.Replace(self._file())]

    def _vim(self) -> list[Step]:
        path = self._file()
        return [op.Rename(path, path + "~"), op.Save(path), *self._pause(), op.Remove(path + "~")]

    def _long_write(self) -> list[Step]:
        path = self._file()
        made: list[Step] = [op.Open(path)]
        for _ in range(self._pick((1, 2, 4))):
            made += [self._pick((op.Append, op.MapWrite))(path), *self._pause()]
        return [*made, op.Close(path)]

    def _truncate(self) -> list[Step]:
        return [op.Truncate(self._file())]

    def _touch(self) -> list[Step]:
        return [op.Touch(self._file())]

    def _nothing(self) -> list[Step]:
        path = self._pick((self._file(), self._dir()))
        return [self._pick((op.Chmod, op.Chmod, op.Read, op.OpenClose))(path)]

    def _unseen(self) -> list[Step]:
        """At names that do not count."""
        path = os.path.join(self._dir(), self._pick(pools.UNSEEN))
        cache = os.path.join(self._dir(), self._pick(pools.CACHES))
        file = self._file()
        acts: list[list[Step]] = [
            [op.Save(path)],
            [op.Remove(path)],
            [op.Rename(path, file)],
            [op.Rename(file, path)],
            [op.MakeDirs(cache), op.Save(cache + "/m.py")],
            [op.Rename(cache, self._dir(1))],
            [op.Rename(self._dir(1), cache)],
        ]
        return self._pick(acts)

    def _remove(self) -> list[Step]:
        return [op.Remove(self._file())]

    def _rename(self) -> list[Step]:
        return [op.Rename(self._file(), self._file())]

    def _link(self) -> list[Step]:
        return [op.Link(self._file(), self._file())]

    def _symlink(self) -> list[Step]:
        target = self._pick((*pools.LINKED, self._file(), self._dir()))
        return [op.Symlink(target, self._file())]

    def _exchange(self) -> list[Step]:
        return [op.Exchange(*self._pick(((self._file(), self._file()), (self._dir(1), self._dir(1)))))]

    # Trees

    def _make_and_write(self) -> list[Step]:
        path = self._dir(1)
        return [op.MakeDirs(path), *self._pause(), op.Save(os.path.join(path, self._pick(pools.FILES)))]

    def _copy_tree(self) -> list[Step]:
        top = self._dir(1)
        made: list[Step] = []
        for name in self._random.sample(pools.DIRS, 4):
            made += [
                op.MakeDirs(f"{top}/{name}"),
                op.Save(f"{top}/{name}/m.py"),
                op.Save(f"{top}/{name}/n.py"),
            ]
        return made

    def _remove_tree(self) -> list[Step]:
        return [op.RemoveTree(self._dir(1))]

    def _rename_tree(self) -> list[Step]:
        return [op.Rename(self._dir(1), self._dir(1))]

    def _move_in(self) -> list[Step]:
        path = self._outside()
        made: list[Step] = [op.MakeDirs(path + "/b"), op.Save(path + "/m.py"), op.Save(path + "/b/m.py")]
        return [*made, *self._pause(), op.Rename(path, self._dir(1))]

    def _move_out(self) -> list[Step]:
        path = self._outside()
        return [op.RemoveTree(path), op.Rename(self._dir(1), path), *self._pause(), op.Save(path + "/m.py")]

    def _git(self) -> list[Step]:
        """Some files, under git's lock."""
        lock = os.path.join(self._pick(self._places), ".git/index.lock")
        made: list[Step] = [op.MakeDirs(os.path.dirname(lock)), op.Save(lock)]
        for _ in range(self._pick((1, 3, 10))):
            made += [self._pick((op.Save, op.Replace, op.Remove))(self._file()), *self._pause()]
        return [*made, op.Rename(lock, lock.removesuffix(".lock"))]

    def _gitignore(self) -> list[Step]:
        path = os.path.join(self._dir(), ".gitignore")
        uncertain = os.path.join(self._dir(), self._pick(pools.UNCERTAIN))
        return [
            self._pick((op.Save(path, self._pick(pools.GITIGNORES)), op.Remove(path))),
            op.Save(uncertain),
        ]

    # Roots

    def _root_removed(self) -> list[Step]:
        path = self._pick((*pools.ROOTS, "/w/d", "/w/d/e", *pools.TARGETS))
        back: list[Step] = [op.MakeDirs(path), op.Save(path + "/m.py"), op.Save(path + "/a/m.py")]
        return [op.RemoveTree(path), *self._pause(), *self._pick(([], back, back, self._rebuild()))]

    def _root_replaced(self) -> list[Step]:
        path, old, new = self._pick(pools.ROOTS), "/w/out/old", "/w/out/new"
        made: list[Step] = [
            op.RemoveTree(old),
            op.RemoveTree(new),
            op.MakeDirs(new + "/a"),
            op.Save(new + "/m.py"),
        ]
        made += [op.Rename(path, old), *self._pause(), op.Rename(new, path), *self._pause()]
        return [*made, op.Save(old + "/m.py"), op.Save(path + "/a/m.py")]

    def _root_turned(self) -> list[Step]:
        """Into what it was not: a link, a directory, a file."""
        path, old = self._pick(pools.ROOTS), "/w/out/old"
        made: list[Step] = [op.RemoveTree(old), op.Rename(path, old), *self._pause()]
        return made + [self._pick((op.Symlink(old, path), op.MakeDirs(path), op.Save(path)))]

    def _ancestor_moved(self) -> list[Step]:
        path, old = self._pick(("/w/d", "/w/d/e", "/w/t", "/w/p")), "/w/out/old"
        back: list[Step] = [op.Rename(old, path)]
        made: list[Step] = [op.RemoveTree(old), op.Rename(path, old), *self._pause()]
        return made + self._pick((back, [op.MakeDirs("/w/d/e/r"), *self.act()], self.act() + back))

    def _retarget(self) -> list[Step]:
        target = self._pick(("t/one", "t/two", "p", "p/a", "p/m.py", "q"))
        return [op.RemoveTree("/w/next"), op.Symlink(target, "/w/next"), op.Rename("/w/next", "/w/q")]

    def _rebuild(self) -> list[Step]:
        return self.beginning()

    def _sweep(self) -> list[Step]:
        self._bursts = 0
        self._mounts.clear()
        tops = ("p", "q", "t", "d", "s.py", "out", "next", *dict.fromkeys((*pools.FILES, *pools.DIRS)))
        gone = [op.RemoveTree(f"/w/{name}") for name in tops]
        return [UnmountAll(), *gone, *self._pause(), *self._rebuild()]

    # Too much at once

    def _burst(self) -> list[Step]:
        self._bursts += 1
        path = os.path.join(self._dir(), f"burst{self._bursts}")
        if self._bursts > pools.CROWDED:
            return self._sweep()
        burst = [Burst(path, self._pick(pools.BURSTS)), *self._pause()]
        return self._pick((burst, [*burst, op.RemoveTree(path)]))

    def _flood(self) -> list[Step]:
        acts = [self.act() for _ in range(self._pick((1, 1, 3, 10)))]
        stopped = [step for act in acts for step in act]
        return [Signal("STOP"), Flood(self._dir()), *stopped, Signal("CONT")]

    def _stop(self) -> list[Step]:
        """Things happen while reloaderd does not run: all of it comes to it at once."""
        acts = [self.act() for _ in range(self._pick((1, 2, 3, 10)))]
        return [Signal("STOP"), *(step for act in acts for step in act), Signal("CONT")]

    def _stutter(self) -> list[Step]:
        """Things happen between any two things that reloaderd does."""
        acts = [self.act() for _ in range(self._pick((1, 2, 3, 10)))]
        return [Stutter(True), *(step for act in acts for step in act), *self._pause(), Stutter(False)]

    # Signals and children

    def _signal(self) -> list[Step]:
        return [Signal(self._pick(pools.SIGNALS))]

    def _suspend(self) -> list[Step]:
        return [Signal("TSTP"), *self.act(), Signal("CONT")]

    def _strike(self) -> list[Step]:
        return [SignalChild(self._pick(pools.CHILD_SIGNALS))]

    def _behave(self) -> list[Step]:
        return [Behave(self._pick(pools.MANNERS))]

    # Mounts

    def _mount(self) -> list[Step]:
        if len(self._mounts) >= pools.CROWDED:
            return self._sweep()
        path = self._dir()
        if path == "/w":
            path = "/w/d"
        self._mounts.append(path)
        mount = self._pick((MountTmpfs(path), MountBind(path, self._dir())))
        return [mount, *self._pause(), op.Save(path + "/m.py")]

    def _unmount(self) -> list[Step]:
        if not self._mounts:
            return self._mount()
        path = self._mounts.pop(self._random.randrange(len(self._mounts)))
        return [Unmount(path, self._pick((True, False)))]
