"""Sources of events in a test's hands: a place to watch, and all that is told of what was done there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reloaderd.events import EntryChanged, Event, Kind
from reloaderd.kernel.inotify import InotifySource
from reloaderd.kernel.pyinotify import PyinotifySource
from reloaderd.kernel.source import Source
from tests.support.waiting import wait_until

SOURCES: tuple[Any, ...] = (InotifySource, PyinotifySource)
"""What the fixture `source` makes, one after the other."""

LATIN = os.fsdecode("café".encode("latin-1"))
"""A name that is not UTF-8."""

NOBODY = 65534


class Ground:
    """A directory `tree` to watch, one `outside`, and a third, watched already, where signs are made."""

    def __init__(self, source: Source, base: Path) -> None:
        self.tree = base / "tree"
        self.outside = base / "outside"
        self._signs = base / "signs"
        for directory in (self.tree, self.outside, self._signs):
            directory.mkdir()
        self._source = source
        self._sign_watch = source.arm(str(self._signs))

    def told(self) -> list[Event]:
        """All that the source tells of what was done so far: what comes before a sign that is made now."""
        name = f"sign{len(os.listdir(self._signs))}"
        (self._signs / name).mkdir()
        sign = EntryChanged(self._sign_watch, name, Kind.CREATED, True)
        events = read_until(self._source, sign)
        assert events[-1] == sign, events
        return events[:-1]


def read_until(source: Source, last: Event) -> list[Event]:
    """What the source tells until `last` is among it."""
    events: list[Event] = []

    def read() -> bool:
        events.extend(source.read())
        return last in events

    wait_until(read, f"{last} from {source.name}", explain=lambda: str(events))
    return events


def typed(*events: Event) -> list[tuple[object, ...]]:
    """Records of different types with equal fields compare equal: with their types they do not."""
    return [(type(event).__name__, *event) for event in events]


def changes(watch: int, *those: tuple[str, Kind, bool]) -> list[tuple[object, ...]]:
    """`typed` of an `EntryChanged` each: name, kind, whether it is a directory."""
    return typed(*(EntryChanged(watch, *one) for one in those))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Without the capabilities of root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def say(source: Source, program: str, *arguments: str, prefix: Sequence[str] = ()) -> str:
    """All that a program says, its warnings too, in which `import Source` is of one of this kind."""
    kind = type(source)
    text = program.replace("import Source", f"from {kind.__module__} import {kind.__name__} as Source")
    run = subprocess.run(
        [*prefix, sys.executable, "-W", "error", "-c", text, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout
