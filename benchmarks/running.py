"""Starts a tool on a tree, hears from its child, and leaves nothing of either alive."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks import procfs
from benchmarks.tools import Tool, environment
from benchmarks.trees import Tree

PR_SET_CHILD_SUBREAPER = 36

PATIENCE = 30.0
"""Seconds in which the slowest tool here (nodemon, on the largest tree) has always started."""

GRACE = 8.0
"""Seconds from SIGTERM to SIGKILL when a tool is ended: more than any of them gives its own child."""

LOOK, WORK = 0.5, 0.01
"""A tool that has run for less than WORK in LOOK seconds is at rest: at rest, the busiest runs for 0.001."""


class Start(NamedTuple):
    """One start of the child: its first instruction (CLOCK_MONOTONIC, ns), its pid, the word that it read."""

    at: int
    pid: int
    word: str


def become_subreaper() -> None:
    """Make what the tools leave behind ours to find: prctl(2)."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_CHILD_SUBREAPER)")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a tool itself: it may take its time."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Running:
    """One tool at work on one tree, with the child of the bench as its command."""

    def __init__(self, tool: Tool, tree: Tree, child: str, scratch: str) -> None:
        self.tool = tool
        self.tree = tree
        self._child = child
        self._partial = b""
        self._fifo = os.path.join(scratch, f"{tool.name}-{time.monotonic_ns()}.fifo")
        os.mkfifo(self._fifo)
        # Read and write: it then never reports an end of file between two children.
        self._fd = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._log = f"{self._fifo}.log"
        command = tool.command(tree.root, [child, self._fifo, tree.stamp])
        stdin = self._stdin(tool)
        with open(self._log, "wb") as log:
            self.began = time.monotonic_ns()
            self._process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd=scratch,
                start_new_session=True,
            )
        os.close(stdin)
        self.pid = self._process.pid

    def _stdin(self, tool: Tool) -> int:
        if not tool.listed:
            return os.open(os.devnull, os.O_RDONLY)
        listing = f"{self._fifo}.list"
        with open(listing, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(f"{path}\n" for path in self.tree.files())
        return os.open(listing, os.O_RDONLY)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def ended(self) -> bool:
        """Whether the tool itself is gone."""
        return self._process.poll() is not None

    def starts(self, wait: float = 0.0) -> list[Start]:
        """The starts that have been reported, after up to `wait` seconds for the first of them."""
        found: list[Start] = []
        while select.select([self._fd], [], [], 0.0 if found else max(0.0, wait))[0]:
            *lines, self._partial = (self._partial + os.read(self._fd, 65536)).split(b"\n")
            for line in lines:
                at, pid, word = line.decode("ascii", "replace").split(" ")
                found.append(Start(int(at), int(pid), word))
        return found

    def await_start(
        self, wanted: Callable[[Start], bool], limit: float = PATIENCE
    ) -> tuple[Start | None, int]:
        """The first start that is `wanted` (None: not within `limit` s), and how many came with it."""
        deadline = time.monotonic() + limit
        seen = 0
        while (left := deadline - time.monotonic()) > 0:
            gone = self.ended()
            came = self.starts(0.0 if gone else min(left, 1.0))
            seen += len(came)
            first = next((start for start in came if wanted(start)), None)
            if first is not None or gone:
                return first, seen
        return None, seen

    def await_rest(self, limit: float = PATIENCE) -> bool:
        """Wait until the tool has nothing to do: some start the child long before they watch.

        Whether it came to that within `limit` seconds.
        """
        deadline = time.monotonic() + limit
        before = -1.0
        while time.monotonic() < deadline and not self.ended():
            now = procfs.own_cpu(self.family())
            if before >= 0 and now - before < WORK:
                return True
            before = now
            time.sleep(LOOK)
        return self.ended()

    def family(self) -> list[int]:
        """The tool's own processes: itself and all below it, without the child of the bench."""
        return [
            process.pid
            for process in procfs.descendants(self.pid)
            if process.state != "Z" and procfs.executable(process.pid) != self._child
        ]

    def complaint(self) -> str:
        """The last line that the tool printed."""
        with open(self._log, "rb") as file:
            lines = file.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End the tool and everything that it started."""
        if self._fd < 0:
            return
        kept = procfs.descendants(self.pid)
        end(self._process)
        self._kill_rest({(process.pid, process.began) for process in kept})
        os.close(self._fd)
        self._fd = -1

    def _kill_rest(self, kept: set[tuple[int, int]]) -> None:
        deadline = time.monotonic() + PATIENCE
        while rest := [process for process in procfs.everything() if self._is_ours(process, kept)]:
            for process in rest:
                if process.state != "Z":
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
                elif process.parent == os.getpid():
                    os.waitpid(process.pid, 0)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.tool.name} left {[process.pid for process in rest]} behind")
            time.sleep(0.005)

    def _is_ours(self, process: procfs.Stat, kept: set[tuple[int, int]]) -> bool:
        return (
            (process.pid, process.began) in kept
            or process.session == self.pid
            or self._fifo in procfs.arguments(process.pid)
        )
