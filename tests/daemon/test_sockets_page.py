"""What docs/sockets.md says of servers, with the servers: each serves what was edited, and refuses nobody."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import edits
from tests.support.clients import Clients, ask
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build
from tests.support.serving import ASGI, ENVIRON, FLASK, URLS, free_port, tool
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs/sockets.md").read_text(encoding="utf-8")
FILES = {
    name: text
    for kind in ("python", "javascript")
    for name, text in re.findall(rf"^```{kind}\n(?:#|//) (\S+)\n(.*?)^```", PAGE, re.M | re.S)
}
LINES = [line for line in re.findall(r"^reloaderd watch .*", PAGE, re.M) if "--listen 8000" in line]

SETTINGS = 'SECRET_KEY = "x"\nDEBUG = True\nROOT_URLCONF = "shop.urls"\nALLOWED_HOSTS = ["*"]\n'

PROJECTS: dict[str, tuple[dict[str, str], str]] = {
    "uvicorn": ({"web.py": ASGI}, "web.py"),
    "gunicorn": ({"web.py": FLASK}, "web.py"),
    "flask": ({"web.py": FLASK}, "web.py"),
    "node": ({"server.js": FILES["server.js"]}, "server.js"),
    "python serve.py": (
        {"serve.py": FILES["serve.py"], "shop/settings.py": SETTINGS, "shop/urls.py": URLS},
        "shop/urls.py",
    ),
    "python app.py": ({"app.py": FILES["app.py"], "index.html": "hello"}, "index.html"),
}
"""By the first words of the command: the project, and the file of it that says hello."""


def project(command: list[str]) -> tuple[dict[str, str], str]:
    [found] = [one for name, one in PROJECTS.items() if shlex.join(command).startswith(name)]
    return found


def start(line: str, where: str, place: Place, watch: Watch, **keywords: Any) -> tuple[Daemon, str]:
    """reloaderd as the line has it, at another address, and that one in the end."""
    words = shlex.split(line.replace("--listen 8000", f"--listen {where}"))
    at = words.index("--")
    command = words[at + 1 :]
    program = sys.executable if command[0] == "python" else command[0]
    found = program if program in (sys.executable, "node") else tool(program)
    daemon = watch(
        *words[2:at],
        command=[found, *command[1:]],
        environ={**ENVIRON, "HOME": str(place.home)},
        children=None,
        **keywords,
    )
    return daemon, daemon.named("listening")[0]["address"]


def test_every_server_is_tried() -> None:
    assert sorted(PROJECTS) == sorted({name for line in LINES for name in PROJECTS if f"-- {name}" in line})


CASES = [
    pytest.param(
        line,
        where,
        id=f"{line.partition('-- ')[2]} {where}",
        marks=[pytest.mark.needs("node")] if "-- node" in line else [],
    )
    for line in dict.fromkeys(LINES)
    for where in ("0", "./web.sock")
    if where == "0" or "-- python" not in line  # http.server knows of no client without an address
]


@pytest.mark.parametrize(("line", "where"), CASES)
def test_a_server(line: str, where: str, place: Place, watch: Watch) -> None:
    files, said = project(shlex.split(line.partition("-- ")[2]))
    build(place.tree, files)
    daemon, address = start(line, where, place, watch)
    assert b"hello" in ask(address)
    with Clients(address) as clients:
        for number in (1, 2, 3):
            run = len(daemon.named("restarted"))
            text = files[said].replace("hello", f"hello {number}!")
            edits.write(place.tree / said, text)
            daemon.wait(lambda run=run: len(daemon.named("restarted")) > run, "a restart")
            wait_until(lambda n=number: b"hello %d!" % n in ask(address), "the new text")
    assert [fault for fault in clients.faults if "Refused" in fault or "NotFound" in fault] == []
    assert clients.served


@pytest.mark.parametrize("command", ["gunicorn web:app", "true; gunicorn web:app; true"])
def test_behind_a_shell(command: str, place: Place, watch: Watch) -> None:
    """The shell replaces itself with a single command; of several LISTEN_PID is put right for Python."""
    build(place.tree, {"web.py": FLASK})
    line = command.replace("gunicorn", shlex.quote(tool("gunicorn")))
    daemon = watch("--listen=0", "--shell", command=[line], environ=ENVIRON, children=None)
    assert b"hello" in ask(daemon.named("listening")[0]["address"])


@pytest.mark.needs("systemd-socket-activate")
def test_sockets_of_systemd(place: Place, watch: Watch) -> None:
    """It executes reloaderd when the first client is there, who is served, too."""
    [options, command] = re.findall(
        r"^(systemd-socket-activate) -l 8000 reloaderd watch -- (.*)", PAGE, re.M
    )[0]
    build(place.tree, {"web.py": FLASK})
    port = free_port()
    words = shlex.split(command)
    variables = ["RELOADERD_TEST_MARK", "HOME", "XDG_RUNTIME_DIR", "PYTHONUNBUFFERED"]
    passed = [f"--setenv={name}" for name in variables]
    daemon = watch(
        command=[tool(words[0]), *words[1:]],
        prefix=[options, f"--listen=127.0.0.1:{port}", *passed],
        environ={**ENVIRON, "HOME": str(place.home)},
        children=None,
        ready=False,
    )
    daemon.wait(lambda: any("Listening on" in line for line in daemon.noise), "the socket")
    assert b"hello" in ask(f"127.0.0.1:{port}")
    assert daemon.named("listening")[0] | {"time": 0} == {
        "event": "listening",
        "time": 0,
        "service": "tree",
        "address": f"127.0.0.1:{port}",
        "inherited": True,
    }
