"""One real `reloaderd watch` on a real tree: carries out steps, and checks whenever they say so."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from tests.soak.checks import Checks, Watched
from tests.soak.judge import Judge
from tests.soak.steps import (
    Behave,
    Burst,
    Check,
    Flood,
    MountBind,
    MountTmpfs,
    Pause,
    Signal,
    SignalChild,
    Step,
    Stutter,
    Unmount,
    UnmountAll,
)
from tests.support import procfs, syscalls
from tests.support.places import Place
from tests.support.real import RealFiles

SHOWN = 300
"""Steps that a failure tells: those since the last few checks."""

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Soak:
    """One daemon on one tree."""

    def __init__(
        self, place: Place, beginning: Sequence[Step], roots: Sequence[str], options: Sequence[str]
    ) -> None:
        world = place.tree / "up/up/world"  # links lead one level up at most, wherever they are moved to
        world.mkdir(parents=True)
        self.latest: deque[Step] = deque(maxlen=SHOWN)
        self.done: Counter[str] = Counter()  # steps by name
        self.passed_over = 0
        self._manner = place.scratch / "manner"
        self._manner.touch()
        self._fluent = threading.Event()
        self._stutterer: threading.Thread | None = None
        self._files = RealFiles(str(world))
        paths = [self._files.path(root) for root in roots]
        self._judge = Judge(self._files, paths)
        self.carry_out(beginning)
        self.daemon = Watched(place, *options, roots=paths, cwd=world, manner=self._manner)
        self.checks = Checks(self.daemon, self._judge)

    def carry_out(self, steps: Sequence[Step]) -> None:
        """Do all of it.  What cannot be done is passed over; Unfulfilled is for what reloaderd did not do."""
        for step in steps:
            self.latest.append(step)
            try:
                self._perform(step)
            except OSError:
                self.passed_over += 1
            else:
                self.done[type(step).__name__] += 1

    def finish(self) -> None:
        """The end as a person makes it, with the checks that it brings."""
        self.carry_out([Check()])
        self.daemon.finish()

    def close(self) -> None:
        """Leave nothing."""
        self._stutter(False)
        self._files.close_all()
        self.daemon.end()
        self._unmount_all()

    def _perform(self, step: Step) -> None:
        match step:
            case Check():
                self._stutter(False)
                self._files.close_all()
                self._behave(())
                self.checks.check()
            case Pause():
                time.sleep(step.seconds)
            case Signal():
                os.kill(self.daemon.pid, signal.Signals["SIG" + step.name])
            case Stutter():
                self._stutter(step.on)
            case SignalChild():
                procfs.kill(self.daemon.starts[-1].pid, signal.Signals["SIG" + step.name])
            case Behave():
                self._behave(step.options)
            case Burst():
                self._burst(self._files.path(step.path), step.files)
            case Flood():
                self._flood(self._files.path(step.path))
            case MountTmpfs():
                syscalls.mount_tmpfs(self._files.path(step.path))
            case MountBind():
                syscalls.mount_bind(self._files.path(step.source), self._files.path(step.path))
            case Unmount():
                syscalls.unmount(self._files.path(step.path), step.lazily)
            case UnmountAll():
                self._unmount_all()
            case _:
                if not self._judge.silent(step):
                    self._files.do(step)

    def _stutter(self, on: bool) -> None:
        self._fluent.set()
        if self._stutterer is not None:
            self._stutterer.join()
            self._stutterer = None
        if on:
            self._fluent.clear()
            self._stutterer = threading.Thread(target=self._keep_stopping)
            self._stutterer.start()

    def _keep_stopping(self) -> None:
        while not self._fluent.wait(random.random() * 0.002):
            os.kill(self.daemon.pid, signal.SIGSTOP)
            time.sleep(random.random() * 0.002)
            os.kill(self.daemon.pid, signal.SIGCONT)

    def _behave(self, options: Sequence[str]) -> None:
        new = self._manner.with_suffix(".new")
        new.write_text("".join(option + "\n" for option in options))
        new.rename(self._manner)

    def _burst(self, path: str, count: int) -> None:
        os.mkdir(path)
        for number in range(count):
            with open(f"{path}/{number}.py", "w") as file:
                file.write("burst\n")

    def _flood(self, path: str) -> None:
        """By files that do not count, so that only what is lost does.

        Neighbouring events that are equal are merged: two files in turn.
        """
        names = f"{path}/one.tmp", f"{path}/two.tmp"
        for name in names:
            with open(name, "w"):
                pass
        for number in range(int(QUEUE.read_text()) + 100):
            os.utime(names[number % 2])

    def _unmount_all(self) -> None:
        """The latest first, until none is left below our directory."""
        for path in reversed(syscalls.mount_points()):
            if path.startswith(self._files.base + "/"):
                syscalls.unmount(path, lazily=True)
