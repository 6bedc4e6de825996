"""--keep-sockets: real servers that bind by themselves restart while asked, and nobody is refused."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

import pytest

from tests.support import edits, procfs
from tests.support.clients import Clients, ask
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build
from tests.support.serving import ASGI, ENVIRON, FLASK, URLS, free_port, tool
from tests.support.waiting import wait_until

RESTARTS = int(os.environ.get("RESTARTS", "5"))
"""`RESTARTS=50 make bench-sockets` for more."""

HTTP = """\
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("localhost", int(sys.argv[1])), Handler).serve_forever()
"""
SETTINGS = 'SECRET_KEY = "x"\nDEBUG = True\nROOT_URLCONF = "urls"\nALLOWED_HOSTS = ["*"]\n'

AIOHTTP = """\
import sys
from aiohttp import web

async def hello(request):
    return web.Response(text="hello")

app = web.Application()
app.add_routes([web.get("/", hello)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None)
"""

GEVENT = """\
from gevent import monkey
monkey.patch_all()
import sys
from gevent.pywsgi import WSGIServer

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None).serve_forever()
"""

SERVERS: dict[str, tuple[dict[str, str], list[str]]] = {
    "http.server": ({"web.py": HTTP}, [sys.executable, "web.py", "PORT"]),
    "uvicorn": (
        {"web.py": ASGI},
        [tool("uvicorn"), "web:app", "--port", "PORT", "--loop", "asyncio", "--no-access-log"],
    ),
    "uvicorn --workers": (
        {"web.py": ASGI},
        [tool("uvicorn"), "web:app", "--port=PORT", "--loop=asyncio", "--no-access-log", "--workers=2"],
    ),
    "uvicorn, uvloop": (
        {"web.py": ASGI},
        [tool("uvicorn"), "web:app", "--port=PORT", "--loop=uvloop", "--no-access-log"],
    ),
    "uvicorn --workers, uvloop": (
        {"web.py": ASGI},
        [tool("uvicorn"), "web:app", "--port=PORT", "--loop=uvloop", "--no-access-log", "--workers=2"],
    ),
    "gunicorn": (
        {"web.py": FLASK},
        [tool("gunicorn"), "web:app", "--bind=127.0.0.1:PORT", "--workers=2"],
    ),
    "flask": ({"web.py": FLASK}, [tool("flask"), "--app", "web", "run", "--port", "PORT"]),
    "django": (
        {"web.py": "", "settings.py": SETTINGS, "urls.py": "import web\n" + URLS},
        [tool("django-admin"), "runserver", "PORT", "--noreload", "--settings=settings", "--pythonpath=."],
    ),
    "aiohttp": ({"web.py": AIOHTTP}, [sys.executable, "web.py", "PORT"]),
    "gevent": ({"web.py": GEVENT}, [sys.executable, "web.py", "PORT"]),
    "twisted": (
        {"web.py": FLASK},
        [sys.executable, "-m", "twisted", "web", "--listen=tcp:PORT:interface=127.0.0.1", "--wsgi=web.app"],
    ),
}


def start(watch: Watch, port: int, command: list[str], *options: str, **keywords: Any) -> Daemon:
    command = [word.replace("PORT", str(port)) for word in command]
    daemon: Daemon = watch(
        "--keep-sockets", *options, command=command, children=None, environ=ENVIRON, **keywords
    )
    return daemon


@pytest.mark.parametrize("name", SERVERS)
def test_nobody_is_refused(name: str, place: Place, watch: Watch) -> None:
    files, command = SERVERS[name]
    if name == "aiohttp":
        pytest.importorskip("aiohttp", reason="needs aiohttp")
    build(place.tree, files)
    port = free_port()
    daemon = start(watch, port, command)
    daemon.wait(lambda: procfs.listens(port), "a server")
    clients = restart_under_load(daemon, place, f"127.0.0.1:{port}")
    print(
        f"{name}: {RESTARTS} restarts, {clients.asked} asked, none refused, {len(clients.faults)} lost with"
        f" the run that had accepted them, the slowest answer took {clients.slowest * 1000:.0f} ms"
    )


def restart_under_load(daemon: Daemon, place: Place, address: str) -> Clients:
    """What was accepted and not answered when a run ends is up to the server: most lose a few."""
    with Clients(address) as clients:
        clients.wait_served(20)
        for number in range(RESTARTS):
            edits.write(place.tree / f"part{number}.py")  # the same file each time would be slowed down
            daemon.wait_event("restarted", run=number + 2)
            served = len(clients.served)
            wait_until(lambda served=served: len(clients.served) > served + 50, "answers of the next run")
            wait_until(lambda: clients.waiting < 20, "the answers to all who waited")
    assert [one for one in clients.faults if "Refused" in one] == []
    assert all(b"200" in answer for answer in clients.served)
    assert len(clients.faults) <= 3 * RESTARTS
    return clients


def test_the_port_is_free_when_it_ends(place: Place, watch: Watch) -> None:
    build(place.tree, {"web.py": HTTP})
    port = free_port()
    daemon = start(watch, port, [sys.executable, "web.py", "PORT"])
    daemon.wait(lambda: procfs.listens(port), "a server")
    daemon.finish()
    with socket.socket() as one:
        one.bind(("127.0.0.1", port))


def test_who_asks_while_it_does_not_start_is_served_when_it_does(place: Place, watch: Watch) -> None:
    build(place.tree, {"web.py": HTTP})
    port = free_port()
    daemon = start(watch, port, [sys.executable, "web.py", "PORT"])
    daemon.wait(lambda: procfs.listens(port), "a server")
    edits.write(place.tree / "web.py", "raise SystemExit(1)\n")
    daemon.wait_event("ended", run=2)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        edits.write(place.tree / "web.py", HTTP)
        assert client.recv(100).startswith(b"HTTP/1.0 200")


def test_another_address_is_not_in_its_own_way(place: Place, watch: Watch) -> None:
    """0.0.0.0 is kept when the next run binds 127.0.0.1 at the same port."""
    build(place.tree, {"web.py": HTTP.replace('"localhost"', '"0.0.0.0"')})
    port = free_port()
    daemon = start(watch, port, [sys.executable, "web.py", "PORT"])
    daemon.wait(lambda: procfs.listens(port), "a server")
    edits.write(place.tree / "web.py", HTTP)
    daemon.wait_event("restarted", run=2)
    wait_until(lambda: _answers(port), "the next run")


def _answers(port: int) -> bool:
    try:
        return b"hello" in ask(f"127.0.0.1:{port}")
    except OSError:
        return False


def test_what_a_run_closes_itself_is_closed(place: Place, watch: Watch) -> None:
    code = """\
import socket, sys, time
one = socket.create_server(("127.0.0.1", int(sys.argv[1])))
two = socket.create_server(("127.0.0.1", int(sys.argv[2])))
print("up", flush=True)
sys.stdin.readline() if sys.stdin else None
one.close()
time.sleep(999)
"""
    build(place.tree, {"web.py": code})
    port, other = free_port(), free_port()
    daemon = start(watch, port, [sys.executable, "web.py", "PORT", str(other)])
    daemon.wait(lambda: procfs.listens(other), "a server")
    wait_until(lambda: not procfs.listens(port), "the closed one to be let go of")
    assert procfs.listens(other)


@pytest.mark.needs("node")
def test_who_binds_below_python_is_told_of_once(place: Place, watch: Watch) -> None:
    build(place.tree, {"web.js": "require('net').createServer().listen(+process.argv[2], '127.0.0.1')"})
    port = free_port()
    daemon = start(watch, port, ["node", "web.js", "PORT"], warnings=True)
    warning = daemon.wait_event("warning")
    assert f"127.0.0.1:{port} is not kept" in warning["text"]
    assert f"--listen 127.0.0.1:{port}" in warning["text"]


def test_it_goes_with_the_porter_and_comes_back(place: Place, watch: Watch) -> None:
    """A porter that was killed takes what it kept with it, not the run; the next run is as good."""
    build(place.tree, {"web.py": HTTP})
    port = free_port()
    daemon = start(watch, port, [sys.executable, "web.py", "PORT"], warnings=True)
    daemon.wait(lambda: procfs.listens(port), "a server")
    [porter] = [pid for pid in procfs.children(daemon.pid) if "porter" in " ".join(procfs.cmdline(pid))]
    os.kill(porter, signal.SIGKILL)
    daemon.wait_event("warning")
    assert _answers(port)
    edits.write(place.tree / "web.py", HTTP + "# 1\n")
    daemon.wait_event("restarted", run=2)
    wait_until(lambda: _answers(port), "the next run")
    [again] = [pid for pid in procfs.children(daemon.pid) if "porter" in " ".join(procfs.cmdline(pid))]
    assert again != porter


def test_with_no_modules_too(place: Place, watch: Watch) -> None:
    build(place.tree, {"web.py": HTTP})
    port = free_port()
    daemon = start(watch, port, [sys.executable, "web.py", "PORT"], "--no-modules")
    daemon.wait(lambda: procfs.listens(port), "a server")
    restart_under_load(daemon, place, f"127.0.0.1:{port}")
    assert daemon.named("armed") == []
