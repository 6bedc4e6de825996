"""Measures the agent: what it adds to the imports of a large Python program, and to a bare start.

Facts
- The time on the processor is that of user and kernel of the program alone: getrusage(2) by wait4(2).  It is
  steadier than the time that passes, and still differs from run to run by more than the agent costs.  So runs
  with and without take turns, and the least of each are compared: whatever disturbs a run adds to it.
- Where valgrind is, instructions are counted as well: the same from run to run, user mode alone.
- CPython makes arguments for every audit event as soon as there is any hook: a copy of each compiled file
  (marshal.loads, 21 MB here) among them.  "any hook" is one that does nothing: no agent can go below it.
  valgrind counts `rep movsb`, which copies them, once a byte: 1.3 % of the instructions that it counts here.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping

from benchmarks import tools
from benchmarks.measures import Room, Row, median

AGENT = os.path.join(tools.HERE, "reloaderd", "agent")

IMPORTS = "import django.contrib.admin, django.db.models, pandas"
"""Some 900 modules, a fifth of them the standard library's."""

ANY_HOOK = "import sys; sys.addaudithook(lambda event, args: None)\n"

ALONE = {"OPENBLAS_NUM_THREADS": "1"}
"""NumPy's threads wait by spinning: that would be most of what is measured."""


class Discarding:
    """A receiver that accepts, reads and discards."""

    def __init__(self, scratch: str) -> None:
        self.path = os.path.join(scratch, "agent.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        self.socket.listen(4096)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)

    def environment(self, root: str) -> dict[str, str]:
        """What reloaderd adds to the environment of a Python program."""
        told = f"{self.path}\n{root}"
        return {"PYTHONPATH": AGENT, "RELOADERD": "bench", "RELOADERD_RUN": "1", "RELOADERD_AGENT": told}

    def close(self) -> None:
        """Accept nothing more."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        os.unlink(self.path)


def measure(room: Room) -> list[Row]:
    """Rounds in turn over without, with any hook, and with the agent; nothing where Django is missing."""
    python = tools.application()
    if python is None:
        room.say(f"missing: agent: {' and '.join(tools.APPLICATION)} (in .venv-bench)")
        return []
    rounds = 10 if room.quick else 50
    room.say(f"agent: {rounds} rounds")
    receiver = Discarding(room.scratch)
    try:
        bare = {**tools.environment(), **ALONE}
        ours = {**bare, **receiver.environment(room.scratch)}
        rows = _one(python, "Django and pandas", IMPORTS, bare, ours, rounds)
        return rows + _one(python, "python -c pass", "pass", bare, ours, rounds * 2)
    finally:
        receiver.close()


def _one(
    python: str, name: str, code: str, bare: Mapping[str, str], ours: Mapping[str, str], rounds: int
) -> list[Row]:
    kinds = {"without": (code, bare), "any hook": (ANY_HOOK + code, bare), "agent": (code, ours)}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 1):
        for kind, (what, environ) in kinds.items():
            spent = _processor(python, what, environ)
            if turn:  # the first turn compiles
                times[kind].append(spent)
    counts = {kind: _instructions(python, what, environ) for kind, (what, environ) in kinds.items()}
    rows = []
    for kind in kinds:
        rows.append(
            Row(
                f"agent: {name}",
                kind,
                {
                    "least CPU ms": min(times[kind]),
                    "median CPU ms": median(times[kind]),
                    "cost %": _cost(min(times[kind]), min(times["without"])),
                    "M instructions": counts[kind],
                    "instructions %": _cost(counts[kind], counts["without"]),
                },
            )
        )
    return rows


def _cost(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else (value / base - 1) * 100


def _processor(python: str, code: str, environ: Mapping[str, str]) -> float:
    """Milliseconds of processor, user and kernel."""
    process = subprocess.Popen([python, "-c", code], env=dict(environ))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{python} -c {code!r} ended with {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1e3


def _instructions(python: str, code: str, environ: Mapping[str, str]) -> float | None:
    """Millions of instructions in user mode."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [valgrind, *options, python, "-c", code],
        env={**environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    return float(found.group(1).replace(",", "")) / 1e6 if found else None
