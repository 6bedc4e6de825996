"""What the tests of adapters share: every source of events, a kept service, a check that nothing stays."""

from __future__ import annotations

import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reloaderd.events import ChildEnded, ChildStarted, Event, RunGone
from reloaderd.kernel.child import Child
from reloaderd.kernel.helpers import become_subreaper, reap_strays
from reloaderd.kernel.source import Source
from tests.support import procfs
from tests.support.sources import SOURCES, Ground
from tests.support.waiting import LIMIT, wait_until

E = TypeVar("E")

PYTHON = (sys.executable, "-I", "-S", "-c")
"""A program as text, in an interpreter that starts as fast as one can."""


class Kept:
    """A `Child`, with waiting for what it reports."""

    def __init__(
        self, command: Sequence[str], chdir: str | None = None, environ: Mapping[str, str] | None = None
    ):
        self.child = Child("web", command, chdir, os.environ if environ is None else environ)
        self.waiting: list[Event] = []
        self.seen: list[Event] = []
        self.run = 0

    @property
    def keeper(self) -> int:
        return self.child._keeper.pid

    def next(self, kind: type[E]) -> E:
        """The next event of this kind; what comes before it is in `seen` only."""
        poll = select.poll()
        poll.register(self.child.fileno(), select.POLLIN)
        deadline = time.monotonic() + LIMIT
        while True:
            while self.waiting:
                event = self.waiting.pop(0)
                self.seen.append(event)
                if type(event) is kind:
                    return event
            assert poll.poll((deadline - time.monotonic()) * 1000), f"no {kind.__name__} after {self.seen}"
            self.waiting += self.child.read()

    def start(self, environ: Mapping[str, str] | None = None) -> int:
        """Start the next run; returns the child's pid."""
        self.ask(environ)
        started = self.next(ChildStarted)
        assert started[:3] == ("web", self.run, started.pid)
        return started.pid

    def ask(self, environ: Mapping[str, str] | None = None) -> None:
        self.run += 1
        self.child.start(self.run, environ or {})

    def gone(self) -> ChildEnded:
        """Wait for the end of the run; returns how the child ended."""
        ended = self.next(ChildEnded)
        assert self.next(RunGone) == ("web", self.run)
        return ended


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A path that is short enough for a socket in it, as `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", path)
        yield Path(path)


@pytest.fixture(params=SOURCES, ids=lambda kind: kind.name)
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    source: Source = request.param()
    yield source
    source.close()


@pytest.fixture
def ground(source: Source, tmp_path: Path) -> Ground:
    return Ground(source, tmp_path)


@pytest.fixture
def watch(source: Source, ground: Ground) -> int:
    """The tree, armed."""
    return source.arm(str(ground.tree))


@pytest.fixture
def kept() -> Iterator[Callable[..., Kept]]:
    """Make a `Kept` service; arguments as `Kept`."""
    services: list[Kept] = []

    def make(*command: str, **keywords: Any) -> Kept:
        services.append(Kept(command, **keywords))
        return services[-1]

    yield make
    for service in services:
        service.child.close()


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """No process and no descriptor of a test is there after it, whatever session it went to."""
    become_subreaper()
    before = set(procfs.descendants(os.getpid()))
    descriptors = set(procfs.fds(os.getpid()))
    yield

    def left() -> list[int]:
        reap_strays()
        return [pid for pid in procfs.descendants(os.getpid()) if pid not in before]

    try:
        wait_until(
            lambda: not left(), "an end of all processes", limit=10, explain=lambda: procfs.show(left())
        )
    finally:
        while pids := left():
            for pid in pids:
                procfs.kill(pid, signal.SIGKILL)
    assert set(procfs.fds(os.getpid())) - descriptors == set()
