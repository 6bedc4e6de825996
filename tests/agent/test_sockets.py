"""LISTEN_PID behind a wrapper: put right for the program that has the sockets, and for no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.agent.conftest import AGENT
from tests.support.places import Place

SAY = "import os; print(os.environ.get('LISTEN_PID') == str(os.getpid()), os.environ.get('LISTEN_PID'))"

RUN = """
import os, subprocess, sys
fd, how, *command = sys.argv[1:]
os.dup2(int(fd), 3)
os.closerange(4, 100)
if how != "stray":
    os.environ["LISTEN_PID"] = str(os.getpid())
if how == "itself":
    os.execvp(command[0], command)
if how == "deeper":
    command = ["sh", "-c", '"$@"; true', "sh", *command]
if how == "stray":
    sleeper = subprocess.Popen(["sleep", "1000"])
    os.environ["LISTEN_PID"] = str(sleeper.pid)
print(os.environ["LISTEN_PID"], flush=True)
subprocess.run(command, close_fds=how == "closing")
if how == "stray":
    sleeper.kill()
    sleeper.wait()
"""
"""Stands for reloaderd and for the wrapper that it executes; 3 is the socket."""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one


def ran(python: str, place: Place, fd: int, how: str, **environ: str) -> tuple[str, str, str]:
    """What the wrapper's LISTEN_PID is, whether that of the program is its own, and what it is."""
    wrapper = [sys.executable, "-I", "-S", "-c", RUN, str(fd), how]
    done = subprocess.run(
        [*wrapper, python, "-c", SAY],
        env=place.environ(PYTHONPATH=AGENT, LISTEN_FDS="1", RELOADERD_RUN="1") | environ,
        pass_fds=[fd],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    *first, last = done.stdout.splitlines()
    mine, is_ = last.split()
    return first[0] if first else is_, mine, is_


@pytest.mark.parametrize("how", ["a wrapper", "deeper"])
def test_behind_a_wrapper(how: str, python: str, place: Place, listening: socket.socket) -> None:
    wrapper, mine, given = ran(python, place, listening.fileno(), how)
    assert mine == "True"
    assert given != wrapper


def test_without_a_wrapper(python: str, place: Place, listening: socket.socket) -> None:
    assert ran(python, place, listening.fileno(), "itself")[1] == "True"


@pytest.mark.parametrize("how", ["closing", "stray"])
def test_what_is_not_for_it(how: str, python: str, place: Place, listening: socket.socket) -> None:
    """A wrapper that closes the sockets keeps them; and who is not above us was never our wrapper."""
    wrapper, mine, given = ran(python, place, listening.fileno(), how)
    assert mine == "False"
    assert given == wrapper


@pytest.mark.parametrize("environ", [{"LISTEN_FDS": "2"}, {"LISTEN_FDS": "x"}, {"LISTEN_FDS": "0"}])
def test_what_cannot_be(environ: dict[str, str], python: str, place: Place, listening: socket.socket) -> None:
    assert ran(python, place, listening.fileno(), "a wrapper", **environ)[1] == "False"


@pytest.mark.one_python
def test_what_is_no_socket(python: str, place: Place) -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        assert ran(python, place, fd, "a wrapper")[1] == "False"
    finally:
        os.close(fd)
