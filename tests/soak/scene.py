"""The stage of a soak: what is watched and how, what there is at first, and the names of what may come."""

from __future__ import annotations

import os
from random import Random

from tests.soak import pools
from tests.soak.steps import Pause, Step
from tests.support import model as op


class Scene:
    """By a seed; `backend` replaces the one that the seed would choose."""

    def __init__(self, seed: int, backend: str | None = None) -> None:
        self._random = Random(seed)
        self._pick = self._random.choice
        self.one_cpu = self._pick((True, False))  # then it is interrupted at other moments than next to us
        self.roots = self._roots()
        self.options = self._options(backend)
        dirs = [root for root in self.roots if root in pools.ROOT_DIRS]
        self._places = [*pools.PLACES, *dirs * (3 * len(pools.PLACES) // len(dirs))]
        self._root_files = [root for root in self.roots if root in pools.ROOT_FILES]

    def _roots(self) -> list[str]:
        """A directory, the plain one mostly, and others that are harder."""
        first = self._pick((*pools.ROOT_DIRS, *pools.ROOT_DIRS[:1] * 8))
        others = [root for root in pools.ROOTS if root != first]
        return [first, *self._random.sample(others, self._pick((0, 1, 2, 3)))]

    def _options(self, backend: str | None) -> list[str]:
        """How reloaderd is called."""
        debounce = self._pick(("auto", "auto", "auto", "0", "200ms"))
        on_exit = self._pick(("wait", "restart"))
        chosen = self._pick(("auto", "auto", "pyinotify", "poll"))
        options = [f"--debounce={debounce}", f"--on-exit={on_exit}", f"--backend={backend or chosen}"]
        return [*options, "--poll-interval=200ms"]

    def beginning(self) -> list[Step]:
        """What there is at first, and again after a sweep."""
        tops = ("/w/p", "/w/p/a", "/w/d/e/r", *pools.TARGETS, "/w/out/a")
        dirs = [f"{top}/{name}" for top in tops for name in ("a/a", "a/b", "b/a", "c")]
        with_files = (*tops, *dirs)
        return [
            *map(op.MakeDirs, dirs),
            op.Symlink("t/one", "/w/q"),
            *(op.Save(f"{path}/{name}") for path in with_files for name in ("m.py", "n.py")),
            op.Save("/w/s.py"),
            op.Save("/w/d/s.py"),
        ]

    # What acts are made of

    def _pause(self) -> list[Step]:
        seconds = self._pick(pools.PAUSES)
        return [Pause(seconds)] if seconds else []

    def _dir(self, least: int = 0) -> str:
        depth = max(least, self._pick(pools.DEPTHS))
        return os.path.join(self._pick(self._places), *(self._pick(pools.DIRS) for _ in range(depth)))

    def _file(self) -> str:
        if self._root_files and self._random.random() < 0.1:
            return self._pick(self._root_files)
        return os.path.join(self._dir(), self._pick(pools.FILES))

    def _outside(self) -> str:
        return os.path.join("/w/out", self._pick(pools.DIRS))
