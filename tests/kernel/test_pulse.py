"""A change of our own making, and what the sources tell of it."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloaderd.events import EntryChanged
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.pulse import Pulse
from reloaderd.kernel.runtime import PULSE, runtime_directory
from reloaderd.kernel.source import FIRST_POLLED
from reloaderd.kernel.sources import Sources
from tests.support.waiting import wait_until

INTERVAL = 0.05


@pytest.fixture(params=["inotify", "poll"])
def source(request: pytest.FixtureRequest) -> Iterator[Sources]:
    mounts = Mounts()
    source = Sources(request.param, INTERVAL, mounts)
    yield source
    source.close()
    mounts.close()


@pytest.fixture
def pulse(runtime: Path, source: Sources) -> Iterator[Pulse]:
    pulse = Pulse(source, INTERVAL)
    yield pulse
    pulse.close()


def heard(source: Sources, watch: int) -> None:
    """Wait for a word under `watch`."""
    events: list[object] = []

    def told() -> bool:
        events.extend(source.read())
        return any(isinstance(one, EntryChanged) and one.watch == watch for one in events)

    wait_until(told, "the pulse", explain=lambda: str(events))


def quiet(source: Sources) -> None:
    """Read until nothing is told in several scans' time."""
    still = 0

    def at_rest() -> bool:
        nonlocal still
        still = 0 if source.read() else still + 1
        return still > 50

    wait_until(at_rest, "rest")


def test_it_comes_back_each_time(pulse: Pulse, source: Sources) -> None:
    for _ in range(3):
        made = pulse.make()
        assert not made.trouble
        assert made.late == (INTERVAL if made.watch >= FIRST_POLLED else 0.0)
        heard(source, made.watch)
        quiet(source)


def test_where_it_is_polled_a_whole_scan_is_not_waited_for(runtime: Path) -> None:
    """It is told with the next slice, though many directories are to be looked at first."""
    mounts = Mounts()
    source = Sources("poll", 0.01, mounts)
    many = runtime / "many"
    for number in range(3000):
        directory = many / str(number)
        directory.mkdir(parents=True)
        source.arm(str(directory))
    pulse = Pulse(source, 0.01)
    heard(source, pulse.make().watch)
    watch = pulse.make().watch
    slices = 0
    told: list[object] = []
    while not any(isinstance(one, EntryChanged) and one.watch == watch for one in told):
        assert source.deadline is not None
        slices += source.deadline <= time.monotonic()
        told += source.read()
    assert slices <= 2
    pulse.close()
    source.close()
    mounts.close()


@pytest.mark.parametrize("what", ["reloaderd", "."])
def test_a_place_that_is_gone_is_made_again(pulse: Pulse, source: Sources, runtime: Path, what: str) -> None:
    first = pulse.make()
    heard(source, first.watch)
    shutil.rmtree(runtime / what)
    runtime.mkdir(exist_ok=True, mode=0o700)
    second = pulse.make()
    heard(source, second.watch)


def test_nobody_else_can_look_into_it_and_nothing_is_left(runtime: Path, source: Sources) -> None:
    pulse = Pulse(source, INTERVAL)
    pulse.make()
    [directory] = (runtime / "reloaderd").iterdir()
    assert directory.name == PULSE.format(pid=os.getpid())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "pulse").stat().st_mode) == 0o600
    pulse.close()
    assert not directory.exists()
    pulse.close()


def test_what_a_killed_one_left_is_removed_and_nothing_else(runtime: Path) -> None:
    directory = runtime / "reloaderd"
    directory.mkdir(mode=0o700)
    dead, alive = directory / "pulse-4194305~", directory / f"pulse-{os.getppid()}~"  # more than any pid
    for one in (dead, alive):
        one.mkdir()
        (one / "pulse").touch()
    runtime_directory()
    assert not dead.exists()
    assert (alive / "pulse").exists()


def test_no_place(runtime: Path, source: Sources) -> None:
    (runtime / "reloaderd").touch()
    pulse = Pulse(source, INTERVAL)
    made = pulse.make()
    assert made.watch == -1
    assert str(runtime / "reloaderd") in made.trouble
    (runtime / "reloaderd").unlink()
    heard(source, pulse.make().watch)
    pulse.close()
