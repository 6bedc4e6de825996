"""Saves a view under each way in turn, while its server is asked, and counts what became of the requests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks import procfs
from benchmarks.measures import median, percentile
from benchmarks.running import end
from benchmarks.served.prober import Prober
from benchmarks.served.projects import Project
from benchmarks.served.ways import PYTHON, Way
from benchmarks.tools import environment

PATIENCE = 60.0
"""Seconds for the first start of a server, with ten others on two processors."""

LIMIT = 15.0
"""Seconds until a save counts as missed."""

BEFORE, AFTER = 0.2, 0.5
"""Seconds that a server is asked before a save and after it is served: a second restart would show."""

REST = 4.0
"""Seconds between two saves for one way, at least: more often nobody saves, and reloaderd makes copies when a
run has been quiet for a second."""


class Figures(NamedTuple):
    """What the saves of one project under one way came to.  Times are milliseconds."""

    project: str
    way: str
    title: str
    saves: int
    missed: int
    median: float | None
    p95: float | None
    refused: float
    failed: float
    slowest: float | None


class Site:
    """One project, served in one way."""

    def __init__(self, project: Project, way: Way, scratch: str) -> None:
        self.project, self.way = project, way
        self.directory = tempfile.mkdtemp(prefix=f"{project.name}-", dir=scratch)
        self.times: list[float] = []
        self.slowest: list[float] = []
        self.refused = self.failed = self.missed = 0
        self._last = 0.0
        self._word = 0
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        project.make(self.directory, PYTHON)
        self._save()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> bool:
        """Start it; whether there is such a way."""
        command = self.way.command(self.project, self.directory, self.port)
        if command is None:
            return False
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(open(f"{self.directory}.log", "wb"))
            stdin = stack.enter_context(self._stdin())
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env={**environment(), "PATH": f"{os.path.dirname(PYTHON)}:{os.environ['PATH']}"},
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return True

    def _stdin(self) -> contextlib.AbstractContextManager[object]:
        if not self.way.listed:
            return open(os.devnull, "rb")
        listing = f"{self.directory}.list"
        with open(listing, "w", encoding="utf-8") as file:
            for place, _, names in os.walk(self.directory):
                file.writelines(f"{place}/{name}\n" for name in names if name.endswith(".py"))
        return open(listing, "rb")

    def _save(self) -> str:
        self._word += 1
        word = f"word-{self._word}"
        self.project.save(self.directory, word)
        return word

    async def is_up(self) -> bool:
        """Whether it serves what was saved first, after waiting for it."""
        assert self._process is not None
        async with Prober(self.port) as prober:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and self._process.poll() is None:
                if await prober.wait(lambda one: one.body == f"word-{self._word}", 1.0) is not None:
                    return True
        return False

    def complaint(self) -> str:
        """The last line that it printed."""
        with open(f"{self.directory}.log", encoding="utf-8", errors="replace") as file:
            return file.read().strip().rpartition("\n")[2]

    async def edit(self, count: bool = True) -> None:
        """Save once, and note how long it took to be served."""
        await asyncio.sleep(max(0.0, self._last + REST - time.monotonic()))
        async with Prober(self.port) as prober:
            await asyncio.sleep(BEFORE)
            self._last = time.monotonic()
            word = self._save()
            served = await prober.wait(lambda one: one.body == word, LIMIT)
            await asyncio.sleep(AFTER)
        if not count:
            return
        if served is None:
            self.missed += 1
        else:
            self.times.append((served.ended - self._last) * 1e3)
        self.refused += sum(one.fault == "refused" for one in prober.asked)
        self.failed += sum(one.fault not in ("", "refused") for one in prober.asked)
        answered = [one.ended - one.began for one in prober.asked if not one.fault]
        self.slowest.append(max(answered, default=0.0) * 1e3)

    def figures(self) -> Figures:
        """What the saves came to; requests a save."""
        saves = len(self.times) + self.missed
        return Figures(
            self.project.name,
            self.way.name,
            self.way.title,
            saves,
            self.missed,
            median(self.times),
            percentile(self.times, 95),
            self.refused / saves,
            self.failed / saves,
            max(self.slowest, default=None),
        )

    def close(self) -> None:
        """End it and all that it started."""
        if self._process is None:
            return
        kept = procfs.descendants(self._process.pid)
        end(self._process)
        for one in kept:
            with contextlib.suppress(ProcessLookupError):
                if any(now.began == one.began for now in procfs.everything() if now.pid == one.pid):
                    os.kill(one.pid, signal.SIGKILL)


async def measure(
    project: Project, ways: Sequence[Way], scratch: str, rounds: int, say: Callable[[str], None]
) -> list[Figures]:
    """All ways at once, each with a copy of the project; saved for in turn."""
    with contextlib.ExitStack() as stack:
        sites = []
        for way in ways:
            site = Site(project, way, scratch)
            if not site.start():
                continue
            stack.callback(site.close)
            if await site.is_up():
                sites.append(site)
            else:
                say(f"{project.name}: {way.name} did not start: {site.complaint()}")
        for site in sites:
            await site.edit(count=False)
            await site.edit(count=False)
        for turn in range(rounds):
            say(f"{project.name}: round {turn + 1} of {rounds}")
            for site in sites:
                await site.edit()
        return [site.figures() for site in sites]
