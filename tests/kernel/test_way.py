"""The way to a root on the real kernel: what tells that it is there again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reloaderd import answers
from reloaderd.commands import Anchor
from reloaderd.core.anchors import Anchors
from reloaderd.events import Anchored, EntryChanged, WatchMoved
from reloaderd.kernel.choice import Choice
from reloaderd.kernel.files import find_way, stamp
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.source import Source
from reloaderd.kernel.sources import Sources
from tests.support import syscalls


class Way:
    """The anchor of one path, found again as often as an event asks for it."""

    def __init__(self, source: Source, path: Path) -> None:
        self._source = source
        self._path = str(path)
        self._anchors = Anchors()
        self.find()

    def find(self) -> None:
        found = find_way(self._source, "web", self._path, read=False)
        for watch in self._anchors.put(found)[1]:
            self._source.drop(watch)

    def follow(self) -> Anchored:
        """Handle what the kernel says, as the watcher does."""
        for event in self._source.read():
            through = isinstance(event, EntryChanged) and self._anchors.through(event.watch, event.name)
            if through or isinstance(event, WatchMoved) and self._anchors.resting_on(event.watch):
                self.find()
        found = self._anchors.get(self._path)
        assert found is not None
        return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project" / "src"
    root.mkdir(parents=True)
    return root


def test_a_root_is_found_again_though_its_parent_went_while_someone_worked_in_it(
    source: Source, root: Path
) -> None:
    way = Way(source, root)
    with subprocess.Popen([sys.executable, "-c", "input()"], cwd=root, stdin=subprocess.PIPE) as child:
        root.rmdir()
        assert way.follow().identity is None
        root.parent.rmdir()
        way.follow()
        root.mkdir(parents=True)
        assert way.follow().identity is not None
        child.communicate(b"\n")


def test_a_root_is_found_again_though_a_file_stood_where_its_parent_was(source: Source, root: Path) -> None:
    way = Way(source, root)
    root.rmdir()
    root.parent.rmdir()
    root.parent.touch()
    assert way.follow().identity is None
    root.parent.unlink()
    way.follow()
    root.mkdir(parents=True)
    assert way.follow().identity is not None


class Late:
    """A source that does something first when it is asked to hold a directory, once."""

    def __init__(self, source: Source, directory: Path, act: Callable[[], None]) -> None:
        self._source = source
        self._directory = str(directory)
        self._act: Callable[[], None] | None = act

    def hold(self, directory: str, name: str, interest: int) -> int:
        if directory == self._directory and self._act is not None:
            act, self._act = self._act, None
            act()
        return self._source.hold(directory, name, interest)


def test_a_link_that_a_directory_is_exchanged_for_before_it_is_watched_is_on_the_way(
    source: Source, root: Path, tmp_path: Path
) -> None:
    elsewhere, link = tmp_path / "elsewhere" / "src", tmp_path / "link"
    elsewhere.mkdir(parents=True)
    link.symlink_to("elsewhere")
    late: Any = Late(source, root.parent, lambda: syscalls.exchange(str(root.parent), str(link)))
    stray: list[int] = []
    found = find_way(late, "web", str(root), read=False, stray=stray)
    assert found.identity is not None and found.identity[2] == str(elsewhere)
    assert stray


def test_a_name_that_is_longer_than_any_leads_nowhere(source: Source) -> None:
    path = "/" + "a" * 5000
    assert stamp(path) is None
    assert find_way(source, "web", path, read=False).identity is None


def test_a_file_does_not_make_anew_the_choice_of_what_is_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes a look at every path that was found before, and thousands of modules may be."""
    looks: list[Choice] = []
    look_again = Choice.look_again

    def look(choice: Choice) -> None:
        looks.append(choice)
        look_again(choice)

    monkeypatch.setattr(Choice, "look_again", look)
    mounts = Mounts()
    source = Sources("auto", 1.0, mounts)
    try:
        for name in ("a.py", "b.py"):
            (tmp_path / name).touch()
            found = answers.anchor(source, Anchor("web", str(tmp_path / name)))[0]
            assert isinstance(found, Anchored)
            assert found.identity is not None
        assert len(looks) == 1
        answers.anchor(source, Anchor("web", str(tmp_path)))
        assert len(looks) == 2
    finally:
        source.close()
        mounts.close()
