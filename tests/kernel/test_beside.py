"""What the kernel tells of a directory that is polled as well is told once, and under one watch."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloaderd.events import EntryChanged, Event, EventsLost, Kind, Looked, WatchEnded, WatchMoved
from reloaderd.kernel.beside import Beside
from reloaderd.kernel.poller import Poller

HEARD = 7
"""The kernel's watch."""


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller(100.0)
    yield poller
    poller.close()


def look(poller: Poller) -> list[Event]:
    poller.deadline = 0.0
    return [event for event in poller.read() if not isinstance(event, Looked)]


def test_what_the_kernel_told_is_no_news_to_the_next_look(poller: Poller, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    polled = poller.arm(str(tmp_path))
    beside = Beside(poller)
    beside.add(polled, lambda: HEARD)
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("nobody told")
    (tmp_path / "c").touch()
    (tmp_path / "c").unlink()
    told = [EntryChanged(HEARD, "a", kind, False) for kind in (Kind.WRITTEN, Kind.CLOSED)]
    gone = EntryChanged(HEARD, "c", Kind.DELETED, False)
    assert beside.translate([*told, gone]) == [event._replace(watch=polled) for event in (*told, gone)]
    assert look(poller) == [EntryChanged(polled, "b", Kind.CREATED, False)]


def test_that_a_directory_went_is_told_by_the_poller_alone(poller: Poller, tmp_path: Path) -> None:
    beside = Beside(poller)
    beside.add(poller.arm(str(tmp_path)), lambda: HEARD)
    others = [EntryChanged(1, "x", Kind.CREATED, False), EventsLost(), WatchEnded(1)]
    assert beside.translate([WatchMoved(HEARD), *others, WatchEnded(HEARD)]) == others


def test_what_the_kernel_refuses_is_polled_alone(poller: Poller, tmp_path: Path) -> None:
    def refuse() -> int:
        raise OSError(errno.ENOSPC, "no room")

    beside = Beside(poller)
    polled = poller.arm(str(tmp_path))
    beside.add(polled, refuse)
    event = EntryChanged(HEARD, "a", Kind.CREATED, False)
    assert beside.translate([event]) == [event]
    assert beside.drop(polled) is None


def test_a_watch_that_two_share_goes_with_the_last_that_took_it(poller: Poller, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    first, second = poller.arm(str(tmp_path)), poller.arm(str(tmp_path / "d"))
    beside = Beside(poller)
    for polled in (first, second):
        beside.add(polled, lambda: HEARD)
    assert beside.drop(first) is None
    event = EntryChanged(HEARD, "a", Kind.CREATED, False)
    assert beside.translate([event]) == [event._replace(watch=second)]
    assert beside.drop(second) == HEARD
