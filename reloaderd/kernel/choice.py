"""Which directories are polled because of the file system that they are on.

Facts:
- `st_dev` tells a directory's file system, and so its mount, without a look at the way that leads there.
- Most directories are nowhere near a file system that has to be polled.  That is told by their path, at no
  cost to a large tree; only of the others stat(2) is asked.

Rules (DESIGN 6.1): inotify where the kernel sees all writers, polling elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from reloaderd.core.paths import is_below, prefix
from reloaderd.core.reasons import MADE_UP
from reloaderd.kernel.mounts import Mounts, makes_up_inodes, needs_polling
from reloaderd.kernel.reach import reaching


class Choice:
    """The mounts that need polling, and what they are called below the paths that were given."""

    def __init__(self, mounts: Mounts, everywhere: bool) -> None:
        self.everywhere = everywhere
        """Any path may lead to any mount: links are followed.  To be looked at again where it is set."""
        self._mounts = mounts
        self._real: dict[str, str] = {}  # path that was given -> where it leads
        self.near: tuple[str, ...] = ()
        """What the paths begin with that are to be asked for; of no other that was given one is polled."""
        self.types: frozenset[str] = frozenset()
        """The types of file systems that others write to."""
        self.forgetful: set[int] = set()
        """The devices on which an inode number tells nothing."""
        self.look_again()

    def leads_to(self, path: str, real: str) -> bool:
        """`path` leads to `real`, which is another name where links are on the way.  Whether that is news."""
        if self._real.get(path) == real:
            return False
        self._real[path] = real
        self.look_again()
        return True

    def look_again(self) -> None:
        """Other mounts are there, or other paths lead to them."""
        polled = [mount for mount in self._mounts.table if needs_polling(mount.type)]
        self.forgetful.clear()
        self.forgetful.update(mount.device for mount in polled if makes_up_inodes(mount.type))
        self._types = {mount.device: mount.type for mount in polled}
        self.types = frozenset(self._types.values()) - MADE_UP
        points = [mount.point for mount in polled]
        if self.everywhere and polled:
            self.near = ("",)
            return
        on_one = [path for path, real in self._real.items() if any(is_below(real, one) for one in points)]
        self.near = tuple(dict.fromkeys(on_one + self.below_given(points)))

    def below_given(self, points: Sequence[str]) -> list[str]:
        """Those of these (real) paths that are below one that was given, as they are called there."""
        return [
            prefix(path) + point[len(prefix(real)) :]
            for path, real in self._real.items()
            for point in points
            if point != real and is_below(point, real)
        ]

    def why(self, path: str) -> str:
        """The type of the file system for which directory `path` has to be polled; else empty."""
        try:
            with reaching(path) as there:
                return self._types.get(os.stat(there).st_dev, "")
        except OSError:
            return ""
