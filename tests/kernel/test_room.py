"""What happens when inotify has no room, and when it has room again: a source of a kernel made up."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from reloaderd.errors import ReloaderdError
from reloaderd.events import Event, WatchStale
from reloaderd.kernel import opening, sources
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.source import FIRST_POLLED
from reloaderd.kernel.sources import RETRY, Sources


class Kernel:
    """Gives so many watches and no more; `refuses` is the error of opening an instance."""

    name = "inotify"
    room = 0
    refuses = 0
    error = errno.ENOSPC

    def __init__(self) -> None:
        if Kernel.refuses:
            raise OSError(Kernel.refuses, os.strerror(Kernel.refuses))
        self.paths: dict[str, int] = {}
        self._fd, self._other = os.pipe()

    def fileno(self) -> int:
        return self._fd

    def read(self) -> Sequence[Event]:
        return ()

    def arm(self, path: str) -> int:
        if path not in self.paths:
            if len(self.paths) >= Kernel.room:
                raise OSError(Kernel.error, os.strerror(Kernel.error), path)
            self.paths[path] = len(self.paths) + 1
        return self.paths[path]

    def hold(self, path: str, name: str, interest: int) -> int:
        return self.arm(path)

    def drop(self, watch: int) -> None:
        self.paths = {path: number for path, number in self.paths.items() if number != watch}

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._other)


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "make", lambda name: Kernel())
    Kernel.room, Kernel.refuses, Kernel.error = 0, 0, errno.ENOSPC


@pytest.fixture
def chosen() -> Iterator[Sources]:
    mounts = Mounts()
    chosen = Sources("auto", 100.0, mounts)
    yield chosen
    chosen.close()
    mounts.close()


def directories(where: Path, count: int) -> list[str]:
    paths = [where / f"d{number}" for number in range(count)]
    for path in paths:
        path.mkdir()
    return [str(path) for path in paths]


def retried(chosen: Sources) -> Sequence[Event]:
    """What it says when the time for another attempt has come."""
    assert chosen._retry_at is not None
    chosen._retry_at -= RETRY
    return chosen.read()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.ENOMEM])
def test_what_has_no_room_is_polled(error: int, chosen: Sources, tmp_path: Path) -> None:
    Kernel.room, Kernel.error = 2, error
    watches = [chosen.arm(path) for path in directories(tmp_path, 4)]
    assert [watch >= FIRST_POLLED for watch in watches] == [False, False, True, True]
    assert [chosen.reason(watch) for watch in watches] == ["", "", *[errno.errorcode[error]] * 2]
    assert chosen.hold(str(tmp_path), "name", sources.GOING) >= FIRST_POLLED


def test_any_other_error_is_one(chosen: Sources, tmp_path: Path) -> None:
    Kernel.error = errno.EACCES
    with pytest.raises(PermissionError):
        chosen.arm(str(tmp_path))
    assert chosen.deadline is None


def test_with_room_again_the_polled_ones_are_to_be_armed_anew(chosen: Sources, tmp_path: Path) -> None:
    paths = directories(tmp_path, 3)
    watches = [chosen.arm(path) for path in paths]
    assert retried(chosen) == []
    Kernel.room = 2
    stale = retried(chosen)
    assert stale == [WatchStale(watch, "inotify") for watch in watches]
    again = [chosen.arm(path) for path in paths]
    assert [watch >= FIRST_POLLED for watch in again] == [False, False, True]
    for watch in watches[:2]:
        chosen.drop(watch)
    assert [chosen.reason(watch) for watch in again] == ["", "", "ENOSPC"]
    assert retried(chosen) == []
    Kernel.room = 3
    assert retried(chosen) == [WatchStale(again[2], "inotify")]
    chosen.arm(paths[2])
    chosen.drop(again[2])
    assert retried(chosen) == []
    assert chosen.deadline is None, "nothing is polled, so nothing is due"


def test_many_go_back_in_slices(chosen: Sources, tmp_path: Path) -> None:
    paths = directories(tmp_path, sources.SLICE + 10)
    for path in paths:
        chosen.arm(path)
    Kernel.room = len(paths)
    assert len(retried(chosen)) == sources.SLICE
    assert len(chosen.read()) == 10


def test_without_an_instance_all_is_polled_until_there_is_one(tmp_path: Path) -> None:
    Kernel.refuses = errno.EMFILE
    mounts = Mounts()
    chosen = Sources("auto", 100.0, mounts)
    try:
        assert chosen.name == "poll"
        (path,) = directories(tmp_path, 1)
        watch = chosen.arm(path)
        assert chosen.reason(watch) == "EMFILE"
        Kernel.refuses, Kernel.room = 0, 1
        assert retried(chosen) == [WatchStale(watch, "inotify")]
        assert chosen.name == "inotify" and chosen.arm(path) < FIRST_POLLED
    finally:
        chosen.close()
        mounts.close()


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of sources whose package is not installed."""
    names: set[str] = set()

    def open_one(name: str) -> Kernel:
        if name in names:
            raise ImportError(name)
        opened = Kernel()
        opened.name = name
        return opened

    monkeypatch.setattr(opening, "make", open_one)
    return names


@pytest.mark.parametrize(
    ("without", "name", "why"),
    [
        ((), "inotify", ""),
        (("inotify",), "pyinotify", ""),
        (("inotify", "pyinotify"), "poll", "no inotify package"),
    ],
)
def test_the_next_source_is_taken_where_a_package_is_missing(
    without: Sequence[str], name: str, why: str, missing: set[str], tmp_path: Path
) -> None:
    missing.update(without)
    Kernel.room = 1
    mounts = Mounts()
    chosen = Sources("auto", 100.0, mounts)
    try:
        assert chosen.name == name
        assert chosen.reason(chosen.arm(str(tmp_path))) == why
    finally:
        chosen.close()
        mounts.close()


@pytest.mark.parametrize("name", ["inotify", "pyinotify"])
def test_a_source_that_was_asked_for_must_be_there(name: str, missing: set[str]) -> None:
    missing.add(name)
    mounts = Mounts()
    try:
        with pytest.raises(ReloaderdError) as caught:
            Sources(name, 100.0, mounts)
        assert name in caught.value.message and "pip install" in caught.value.hint
    finally:
        mounts.close()
