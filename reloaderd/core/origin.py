"""Why a run is started: who asked, and the changes that it is for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reloaderd.core.batch import Batch

MOST = 10
"""Changes that are remembered of one start: with fifty starts a service, some ten kB."""


class Reason(NamedTuple):
    """One change: what became of the path (`made`, `changed`, `gone`), and the rule by which it counts."""

    path: str
    what: str
    rule: str
    origin: str


class Origin(NamedTuple):
    """`asker` is `start`, `configuration`, a signal's name or `control`, empty where nobody asked.

    `total` is the number of all changes, `reasons` are the first of them.
    """

    asker: str = ""
    reasons: tuple[Reason, ...] = ()
    total: int = 0

    @classmethod
    def of(cls, asker: str, batches: Iterable[Batch]) -> Origin:
        """That of a start for these batches, oldest first."""
        reasons: dict[str, Reason] = {}
        paths: set[str] = set()
        for batch in batches:
            paths.update(batch.paths)
            for path, what, verdict in batch.told():
                if len(reasons) >= MOST:
                    break
                rule, origin = (verdict.rule, verdict.origin) if verdict else ("", "")
                reasons[path] = Reason(path, what, rule, origin)
        return cls(asker, tuple(reasons.values()), len(paths))
