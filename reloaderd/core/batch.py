"""The changes that settle together: what became of each path since the child last looked.

Rules:
- Only the net effect counts: a path that was not there before and is gone again is no change
  (a temporary file, vim's 4913), unless the run may have found it in between.
- A path is *finished* when whoever wrote it let go of it: closed, renamed into place, touched.
- A batch is a *lone save* when all it holds is one finished path that was there before.
"""

from __future__ import annotations

from collections.abc import Iterator

from reloaderd.core.rules import Verdict
from reloaderd.events import Kind

GONE = frozenset({Kind.LEFT, Kind.DELETED})
FINISHED = frozenset({Kind.CLOSED, Kind.ARRIVED, Kind.TOUCHED})


class _Net:
    """What is known of one path: was it there before, is it now, is it finished, was it found in between."""

    __slots__ = ("existed", "exists", "finished", "found", "verdict", "written")

    def __init__(self, existed: bool) -> None:
        self.existed = existed
        self.exists = existed
        self.finished = False
        self.written = False
        self.found = False
        self.verdict: Verdict | None = None

    def after(self, earlier: _Net) -> _Net:
        """The same, as it is after what is known of the path from before."""
        net = _Net(earlier.existed)
        net.exists, net.finished, net.written, net.verdict = (
            self.exists,
            self.finished,
            self.written,
            self.verdict,
        )
        net.found = earlier.found or self.found
        return net

    @property
    def counts(self) -> bool:
        """Whether anything is otherwise than a run may have it."""
        return self.existed or self.exists or self.found


class Batch:
    """Paths in the order of their first change, each with its verdict."""

    def __init__(self) -> None:
        self._paths: dict[str, _Net] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def add(self, path: str, kind: Kind, verdict: Verdict, existed: bool, found: bool = False) -> None:
        """One more change of `path`; `existed` tells whether it was there before this one.

        `found`: what it is now may be what a run finds that is about to start.
        """
        net = self._paths.get(path)
        if net is None:
            net = self._paths[path] = _Net(existed)
        net.exists = kind not in GONE
        net.finished = kind in FINISHED
        net.written = net.written or kind in (Kind.WRITTEN, Kind.CREATED)
        net.verdict = verdict
        net.found = net.found or (found and net.exists)
        if not net.counts:
            del self._paths[path]

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def being_written(self, path: str) -> bool:
        """Whether a write of `path` is in here: then its closing is the end of that write."""
        net = self._paths.get(path)
        return net is not None and net.written

    def discard_below(self, prefix: str) -> None:
        """Forget `prefix` and all below it."""
        below = prefix.rstrip("/") + "/"
        for path in [path for path in self._paths if path == prefix or path.startswith(below)]:
            del self._paths[path]

    @property
    def lone_save(self) -> bool:
        """One finished path that was there before: nobody does that in several steps."""
        if len(self._paths) != 1:
            return False
        net = next(iter(self._paths.values()))
        return net.finished and net.existed

    @property
    def paths(self) -> list[str]:
        """The changed paths, oldest first."""
        return list(self._paths)

    def told(self) -> Iterator[tuple[str, str, Verdict | None]]:
        """Each path with what became of it (`made`, `changed`, `gone`) and its verdict, oldest first."""
        for path, net in self._paths.items():
            what = "gone" if not net.exists else "changed" if net.existed else "made"
            yield path, what, net.verdict

    def existing(self) -> list[str]:
        """Those that are there now."""
        return [path for path, net in self._paths.items() if net.exists]

    def rewritten(self) -> list[str]:
        """Those that are there now and were there before."""
        return [path for path, net in self._paths.items() if net.existed and net.exists]

    def discard(self, path: str) -> None:
        """Forget `path`, if it is here."""
        self._paths.pop(path, None)

    def by_action(self, action: str) -> list[tuple[str, Verdict]]:
        """The paths whose verdict is `action`, oldest first, with the verdicts."""
        pairs = ((path, net.verdict) for path, net in self._paths.items())
        return [(path, verdict) for path, verdict in pairs if verdict and verdict.action == action]

    def absorb(self, other: Batch) -> None:
        """Take in all of `other`, which came later."""
        for path, net in other._paths.items():
            if path in self._paths:
                net = net.after(self._paths.pop(path))
            if net.counts:
                self._paths[path] = net
