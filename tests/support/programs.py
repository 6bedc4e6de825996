"""A program that calls `reloaderd.run`: started in any way, read line by line, and cleared away."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import procfs
from tests.support.lines import Event, parse_event, tail
from tests.support.places import REPOSITORY, Place
from tests.support.terminal import Terminal
from tests.support.waiting import Unfulfilled, wait_until

HEAD = f"""\
import os, signal, sys, threading, time
sys.path.insert(0, {str(REPOSITORY)!r})
import reloaderd

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def stay():
    while True:
        signal.pause()

"""
"""What such a program begins with; `say` writes one whole line on stdout."""

JSON = "log_format='json'"
"""The option by which it says what happens in a form that tests read."""


class Program:
    """One that was started.  To be ended by `end`."""

    def __init__(
        self,
        place: Place,
        argv: Sequence[str],
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        terminal: bool = False,
        stdin: str | None = None,
    ) -> None:
        self.place = place
        self.argv = argv
        number = len(list(place.scratch.glob("out-*")))
        self.out, self.err = place.scratch / f"out-{number}", place.scratch / f"err-{number}"
        self.terminal: Terminal | None = None
        given = {**place.environ(), **(environ or {})}
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            if terminal:
                self.terminal = Terminal(argv, cwd=cwd or place.tree, environ=given, stdout=out, stderr=err)
                self.process = self.terminal.process
                return
            self.process = subprocess.Popen(
                argv,
                cwd=cwd or place.tree,
                env=given,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        if stdin is not None:
            assert self.process.stdin is not None
            self.process.stdin.write(stdin.encode())
            self.process.stdin.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def lines(self) -> list[str]:
        """What it has said on stdout."""
        return self.out.read_text().splitlines()

    @property
    def events(self) -> list[Event]:
        """The log lines of its reloaderd."""
        found = [parse_event(line) for line in self.err.read_bytes().splitlines()]
        return [event for event in found if event is not None]

    @property
    def noise(self) -> list[str]:
        """The other lines of stderr."""
        lines = self.err.read_bytes().splitlines()
        return [line.decode(errors="replace") for line in lines if parse_event(line) is None]

    def wait(self, check: Callable[[], Any], what: str) -> Any:
        return wait_until(check, what, explain=self.report)

    def wait_line(self, line: str, times: int = 1) -> list[str]:
        """Wait until it has said this so often; all lines by then."""
        self.wait(lambda: self.lines.count(line) >= times, f"{line!r}, {times} times")
        return self.lines

    def wait_exit(self) -> int:
        """Its exit status, or minus the signal that killed it."""
        self.wait(self._ended, "the end")
        status: int = self.process.wait()
        self.wait(lambda: not procfs.marked(self.place.mark), "nothing to be left")
        return status

    def _ended(self) -> bool:
        if self.terminal is not None:
            self.terminal.pump()
        return self.process.poll() is not None

    def check(self) -> None:
        """Nobody is told of a bug."""
        if any("this is a bug" in line for line in self.noise):
            raise Unfulfilled(self.report())

    def end(self) -> None:
        """Make an end of all that was started here."""
        procfs.clear_away(self.place.mark)
        if self.terminal is not None:
            self.terminal.close()
        else:
            self.process.wait()

    def report(self) -> str:
        return (
            f"--- command\n{self.argv}\n--- stdout\n{tail(self.out, 40)}\n--- stderr\n{tail(self.err, 60)}\n"
            f"--- processes\n{procfs.show(procfs.marked(self.place.mark))}"
        )
