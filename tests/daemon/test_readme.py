"""The recording in the README: what it shows is what a person sees."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable

import pytest

from tests.support.daemon import Daemon
from tests.support.places import REPOSITORY, Place
from tests.support.terminal import CTRL_C

COMMAND = "$ reloaderd watch examples/hello -- python examples/hello/app.py"


def recorded() -> list[str]:
    """The lines of the README's recording, without comments of ours (`# …`) and empty lines."""
    page = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```console\n(.*?)```", page, re.S)
    assert block is not None
    first, *lines = block[1].splitlines()
    assert first == COMMAND
    return [line for line in lines if line and not line.startswith("#")]


def plain(line: str) -> str:
    """The line with its numbers gone: process ids, ports, times and watches are never the same."""
    return re.sub(r"[0-9]+", "N", line.replace("^C", "").strip()).replace("directory", "directories")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.smoke
def test_the_recording_is_true(watch: Callable[..., Daemon], place: Place) -> None:
    shutil.copytree(REPOSITORY / "examples", place.tree / "examples")
    app = place.tree / "examples/hello/app.py"
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    daemon = watch(
        roots=["examples/hello"],
        command=["python", "examples/hello/app.py"],
        environ={"PORT": str(free_port()), "NO_COLOR": "1", "PATH": path},
        terminal=True,
        log_format="text",
    )
    terminal = daemon.terminal
    assert terminal is not None
    terminal.wait_output("serving http://")
    at = terminal.mark()
    app.write_text(app.read_text().replace('MESSAGE = "', 'MESSAGE = "Good morning. '))
    terminal.wait_output("serving http://", after=at)
    terminal.send(CTRL_C)
    daemon.wait_exit()
    terminal.pump()
    seen = [plain(line) for line in terminal.output.decode().splitlines() if line.strip()]
    shown = [plain(line) for line in recorded()]
    # Two processes write: each one's lines are in order, and nothing says who is first.
    for ours in (True, False):
        assert [line for line in seen if line.startswith("[reloaderd]") is ours] == [
            line for line in shown if line.startswith("[reloaderd]") is ours
        ]
