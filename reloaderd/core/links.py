"""The paths with links in them by which a run has found files of the tree: they count, as the files do.

A file of the tree is watched where it is.  Nothing happens to it when a link leads elsewhere by which it was
found: `current -> releases/1` below a PATH, or a directory of links on the path of imports.
"""

from __future__ import annotations


class Links:
    """Which file each of them leads to, as the present run has seen it."""

    def __init__(self) -> None:
        self._led: dict[str, str | None] = {}  # None: the present run has not told yet

    def __contains__(self, path: str) -> bool:
        return path in self._led

    def begin(self) -> None:
        """A run is about to start."""
        self._led = dict.fromkeys(self._led)

    def let_go(self, path: str) -> None:
        """No run needs it any more."""
        self._led.pop(path, None)

    def saw(self, path: str, real: str) -> bool:
        """The run has found this file by it; whether it had found another before."""
        led = self._led.get(path)
        self._led[path] = real if led is None else led
        return led not in (None, real)

    def led(self, path: str) -> str | None:
        """Which file the present run has found by it, or nothing since; None if it has not told of it."""
        return self._led.get(path)

    def differs(self, path: str, real: str) -> bool:
        """Whether it leads to another file by now, or to none: told once."""
        led, self._led[path] = self._led[path], real
        return led != real
