"""Asks a running reloaderd: by its own command line, and by its socket."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import reloaderd
from tests.support.places import Place
from tests.support.waiting import LIMIT


def ask(
    place: Place, *words: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run `reloaderd WORDS` to its end, in `place.tree`."""
    return subprocess.run(
        [*reloaderd(place), *words],
        cwd=cwd or place.tree,
        env=place.environ(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def told(place: Place, *words: str, cwd: Path | None = None) -> str:
    """What it prints; it must succeed and complain of nothing."""
    done = ask(place, *words, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def objects(place: Place, *words: str) -> list[dict[str, Any]]:
    """What it prints with `--json`."""
    return [json.loads(line) for line in told(place, *words, "--json").splitlines()]


def status(place: Place, service: str = "") -> dict[str, Any]:
    """Of the only one that runs, or of a service that it has."""
    [answer] = objects(place, "status")
    if not service:
        return answer
    [found] = [one for one in answer["services"] if one["name"] == service]
    chosen: dict[str, Any] = found
    return chosen


def complaint(place: Place, *words: str, exit_code: int, cwd: Path | None = None) -> str:
    """The one line with which it refuses, after the program's name."""
    done = ask(place, *words, cwd=cwd)
    assert (done.returncode, done.stdout) == (exit_code, ""), done
    [line] = done.stderr.splitlines()
    assert line.startswith("reloaderd: ")
    return line.removeprefix("reloaderd: ")


def socket_of(place: Place, name: str = "tree") -> Path:
    return place.runtime / "reloaderd" / name / "control"


@contextmanager
def connected(path: Path | str) -> Iterator[socket.socket]:
    """A connection as any program makes it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))  # with a timeout it would not wait until there is room: unix(7)
        connection.settimeout(LIMIT)
        yield connection


def call(connection: socket.socket, method: str, more: bool = False, **parameters: Any) -> None:
    """Say a call."""
    said = {"method": method, "parameters": parameters, **({"more": True} if more else {})}
    connection.sendall(json.dumps(said).encode() + b"\0")


def replies(connection: socket.socket, count: int = 1) -> list[dict[str, Any]]:
    """So many replies, or those until it hangs up."""
    data = b""
    while data.count(b"\0") < count:
        more = connection.recv(1 << 16)
        if not more:
            break
        data += more
    return [json.loads(text) for text in data.split(b"\0") if text]
