"""What one service asks of the file system: commands, and how many of them are not answered yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reloaderd.commands import Anchor, Arm, Command, Drop, Examine, FindRepository
from reloaderd.events import Why


class Asks:
    """Makes the commands; each is to be counted as `answered` when its event comes."""

    def __init__(self, service: str, ignore_files: bool) -> None:
        """`ignore_files`: whether git's are wanted."""
        self.outstanding = 0
        self._service = service
        self._ignore_files = ignore_files

    def answered(self) -> None:
        """One of them was carried out."""
        self.outstanding -= 1

    def anchor(self, path: str, read: bool = False) -> Anchor:
        """Find where `path` leads; with `read`, and what it says."""
        self.outstanding += 1
        return Anchor(self._service, path, read)

    def arm(self, why: Why, paths: Sequence[str]) -> Arm:
        """Watch and list directories."""
        self.outstanding += 1
        return Arm(self._service, why, paths)

    def examine(self, why: Why | None, paths: Sequence[str]) -> Examine:
        """Take stamps of files."""
        self.outstanding += 1
        return Examine(self._service, why, paths)

    def find_repository(self, path: str) -> FindRepository:
        """Find the repository that a directory is in."""
        self.outstanding += 1
        return FindRepository(self._service, path, self._ignore_files)

    def drop(self, watches: Iterable[int]) -> list[Command]:
        """Let go of watches, but for those that someone else needs: the engine keeps these back."""
        known = [watch for watch in watches if watch >= 0]
        return [Drop(known)] if known else []
