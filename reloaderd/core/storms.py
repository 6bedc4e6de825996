"""Notices a child that restarts itself by writing into its own tree.

Rules (DESIGN 6.2): when the same path is what restarts a service three times in a row right after its
start, the fourth restart waits for the back-off, and one warning names the path.
"""

from __future__ import annotations

from collections.abc import Iterable

from reloaderd.core.backoff import Backoff

RIGHT_AFTER = 1.0
"""Seconds after a start: a person who saves the same file again that soon three times over is rare."""

TOLERATED = 3


class Storms:
    """The paths that each of the latest restarts had in common."""

    def __init__(self) -> None:
        self._suspects: set[str] = set()
        self._count = 0
        self._backoff = Backoff()
        self._named: set[str] = set()

    def delay(self, paths: Iterable[str], up: float) -> float:
        """Seconds by which to delay a restart that `paths` cause `up` seconds after the last start."""
        changed = set(paths) if up < RIGHT_AFTER else set()
        again = changed & self._suspects
        if not again:
            self._count = 0
            self._backoff.reset()
        self._suspects = again or changed
        self._count += bool(self._suspects)
        return self._backoff.next() if self._count > TOLERATED else 0.0

    def to_name(self) -> str | None:
        """The path to warn of, once each."""
        path = min(self._suspects)
        if path in self._named:
            return None
        self._named.add(path)
        return path
