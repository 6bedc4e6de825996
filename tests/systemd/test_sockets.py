"""Sockets of a service: those of --listen, which systemd keeps, and those that systemd opens itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.places import REPOSITORY
from tests.systemd.user import HOME, UNIT, VENV, User

pytestmark = pytest.mark.needs("systemd")

SERVER = """\
import os, socket
from http.server import BaseHTTPRequestHandler, HTTPServer

WORD = b"one"

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%s" % WORD)

    def log_message(self, *_):
        pass

with open("runs", "a") as file:
    file.write(f"{WORD.decode()} {os.getpid()}\\n")
with open("environ", "w") as file:
    mine = os.environ.get("LISTEN_PID") == str(os.getpid())
    file.write(f"{os.environ.get('LISTEN_FDS')} {os.environ.get('LISTEN_FDNAMES')} {mine}")
server = HTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
"""

CLIENT = """\
import json, os, socket, sys, time
served, faults, count = [], [], 0
print("asking", flush=True)
while not os.path.exists("enough"):
    try:
        with socket.create_connection(("127.0.0.1", 8000), 30) as one:
            one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b""
            while piece := one.recv(65536):
                answer += piece
            body = answer.partition(b"\\r\\n\\r\\n")[2].decode()
            if body:  # else it was accepted by a run that ended before it answered
                count += 1
                served += [body] if body not in served[-1:] else []
    except ConnectionRefusedError as error:
        faults.append(repr(error))
    except OSError:
        pass  # the same, if something of what was asked had not been read by then
    time.sleep(0.005)
print(json.dumps({"served": served, "faults": faults, "count": count}))
"""
"""Connects again and again until there is a file `enough`; tells what was answered and who was refused."""


@pytest.fixture
def served(user: User) -> User:
    user.write("project/src/app.py", SERVER)
    user.write("project/client.py", CLIENT)
    return user


@contextmanager
def clients(user: User) -> Iterator[dict[str, Any]]:
    """Asks all the time; what came of it is in the dictionary afterwards."""
    argv = user.machine.as_user(["env", "-C", HOME / "project", f"{VENV}/bin/python", "client.py"])
    client = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    client.stdout.readline()
    found: dict[str, Any] = {}
    try:
        yield found
        user.write("project/enough", "")
        found.update(json.loads(client.communicate(timeout=60)[0]))
    finally:
        client.kill()
        client.communicate()


def edit(user: User, word: str) -> None:
    user.write("project/src/app.py", SERVER.replace('"one', f'"{word}'))


def test_nobody_is_refused_while_reloaderd_itself_is_started_again(served: User) -> None:
    """By an edit, by `systemctl restart`, by SIGKILL: systemd keeps the socket of --listen."""
    user = served
    user.install("--listen", "8000")
    user.wait_run("one")
    with clients(user) as found:
        edit(user, "two")
        user.wait_run("two", after=1)
        for _ in range(3):
            before = len(user.runs())
            user.machine.systemctl("restart", UNIT)
            user.wait_run("two", before)
        before = len(user.runs())
        user.run("kill", "-KILL", str(user.main()))
        user.wait_run("two", before)
        edit(user, "three")
        user.wait_run("three")
    assert found["faults"] == []
    assert found["served"][0] == "one" and found["served"][-1] == "three" and found["count"] > 20


def test_a_socket_of_systemd(served: User) -> None:
    """SD12: the first connection starts the service; the socket is the command's, and nobody is refused."""
    user = served
    user.install()
    user.machine.systemctl("disable", "--now", UNIT)
    user.wait_nothing()
    user.write(
        ".config/systemd/user/reloaderd@.socket", (REPOSITORY / "systemd/reloaderd@.socket").read_text()
    )
    user.run("mkdir", "-p", HOME / ".config/systemd/user/reloaderd@web.socket.d")
    user.write(
        ".config/systemd/user/reloaderd@web.socket.d/test.conf",
        "[Socket]\nListenStream=\nListenStream=127.0.0.1:8000\n",
    )
    user.machine.systemctl("daemon-reload")
    before = len(user.runs())
    user.machine.systemctl("enable", "--now", "reloaderd@web.socket")
    assert user.show("ActiveState") == "inactive"
    with clients(user) as found:
        user.wait_run("one", before)
        edit(user, "two")
        user.wait_run("two", before)
        user.machine.systemctl("restart", UNIT)
        user.wait_run("two", before + 2)
    assert found["faults"] == [] and found["served"] == ["one", "two"]
    assert (user.project / "environ").read_text() == "1 web True"
    assert user.show("ActiveState") == "active"
    user.machine.systemctl("disable", "--now", "reloaderd@web.socket")
    user.machine.systemctl("stop", UNIT)
