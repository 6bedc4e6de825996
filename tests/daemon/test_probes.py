"""--ready with a URL: a run takes over when it answers itself, whatever the one before it answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.daemon.test_control import told
from tests.daemon.test_keep_sockets import HTTP, start
from tests.daemon.test_overlap import answers, go, waiting
from tests.support import edits
from tests.support.clients import ON_IPV6, Clients
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build
from tests.support.serving import ENVIRON, free_port, tool
from tests.support.waiting import wait_until

WELL = """\
import os
print("hello is loaded", flush=True)
def is_well(word):
    print(word, "is asked", flush=True)
    return word == "hel" "lo" or os.path.exists(GO)
"""
"""A part of a program of which the first one is well, and those to come when there is the file."""

FASTAPI = (
    WELL
    + """\
from fastapi import FastAPI, Response
app = FastAPI()

@app.get("/")
async def index():
    return Response("hello", headers={"Connection": "close"})

@app.get("/health")
async def health():
    return Response(status_code=200 if is_well("hello") else 503)
"""
)
ASGI = (
    WELL
    + """\
async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
    status = 200 if scope["path"] == "/" or is_well("hello") else 503
    await send({"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""
)
WSGI = (
    WELL
    + """\
def app(environ, start):
    well = environ["PATH_INFO"] == "/" or is_well("hello")
    start("200 OK" if well else "503 Not yet", [("Content-Length", "5")])
    return [b"hello"]
"""
)
PLAIN = WELL + HTTP.replace("(200)", '(200 if self.path == "/" or is_well("hello") else 503)')

SERVERS: dict[str, tuple[str, list[str]]] = {
    "uvicorn with FastAPI": (
        FASTAPI,
        [tool("uvicorn"), "web:app", "--port=PORT", "--loop=asyncio", "--no-access-log"],
    ),
    "uvicorn --workers": (
        ASGI,
        [tool("uvicorn"), "web:app", "--port=PORT", "--loop=asyncio", "--no-access-log", "--workers=2"],
    ),
    "uvicorn": (ASGI, [tool("uvicorn"), "web:app", "--port=PORT", "--loop=asyncio", "--no-access-log"]),
    "gunicorn": (WSGI, [tool("gunicorn"), "web:app", "--bind=127.0.0.1:PORT", "--workers=2"]),
    "http.server": (PLAIN, [sys.executable, "web.py", "PORT"]),
}


def serve(
    place: Place, watch: Watch, name: str, *options: str, path: str = "/health", **keywords: object
) -> tuple[Daemon, int, str]:
    """The daemon, the port, and the program, of which the first run is up."""
    code, command = SERVERS[name]
    code = code.replace("GO", repr(str(go(place))))
    build(place.tree, {"web.py": code})
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    daemon = start(watch, port, command, "--overlap", f"--ready={url}", *options, **keywords)
    daemon.wait(lambda: b"hello" in answers(port), "a server")
    workers = 2 if any("--workers" in word for word in command) else 1
    daemon.wait(lambda: counted(daemon, "hello is loaded") >= workers, "all to have loaded what is edited")
    return daemon, port, code


def asked(daemon: Daemon, word: str) -> int:
    """How often this program was asked how it is."""
    return counted(daemon, f"{word} is asked")


def counted(daemon: Daemon, line: str) -> int:
    return daemon.stdout.read_text().count(line)


def take_over(daemon: Daemon, place: Place, code: str) -> None:
    """Have another run come, be asked in vain, be well, and be the only one."""
    edits.write(place.tree / "web.py", code.replace("hello", "again"))
    daemon.wait(lambda: asked(daemon, "again") >= 3, "the new one to be asked")
    assert daemon.named("restarted") == []
    go(place).touch()
    daemon.wait_event("restarted", run=2)
    daemon.wait_event("ended", run=1)


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "uvicorn"])
def test_it_takes_over_when_it_is_well_and_nobody_notices(name: str, place: Place, watch: Watch) -> None:
    """The one before it is well all the time, and is not even asked."""
    daemon, port, code = serve(place, watch, name)
    with Clients(f"127.0.0.1:{port}") as clients:
        clients.wait_served(20)
        take_over(daemon, place, code)
        served = len(clients.served)
        wait_until(lambda: len(clients.served) > served + 20, "answers of the next run")
        times = asked(daemon, "again")
    assert clients.faults == []
    assert all(b"200" in answer for answer in clients.served)
    assert b"again" in clients.served[-1]
    assert asked(daemon, "hello") == 0
    assert asked(daemon, "again") == times, "nobody asks one that serves"


@pytest.mark.parametrize(("name", "seconds"), [("uvicorn", 15), ("gunicorn", 15), ("http.server", 5)])
def test_one_that_is_not_well_in_time_leaves_the_old_one(
    name: str, seconds: int, place: Place, watch: Watch
) -> None:
    """So many seconds as it may take to load where others use the machine, too."""
    daemon, port, code = serve(place, watch, name, f"--ready-timeout={seconds}s")
    with Clients(f"127.0.0.1:{port}") as clients:
        edits.write(place.tree / "web.py", code.replace("hello", "again"))
        held = daemon.wait_event("held")
        message = f"was not ready within {seconds} s: http://127.0.0.1:{port}/health answered 503"
        assert (held["reason"], held["message"], held["run"], held["serving"]) == ("not ready", message, 2, 1)
        daemon.wait_event("ended", run=2)
        clients.wait_served(20)
    assert clients.faults == []
    assert b"hello" in answers(port)
    assert f"did not take over: {message}" in told(place, "why")
    go(place).touch()
    edits.write(place.tree / "web.py", code.replace("hello", "third"))
    daemon.wait_event("restarted", run=3)
    daemon.wait_event("ended", run=1)
    assert b"third" in answers(port)


@pytest.mark.parametrize("name", ["uvicorn", "http.server"])
def test_a_change_while_it_is_asked_loses_nobody(name: str, place: Place, watch: Watch) -> None:
    """Whom it has accepted meanwhile it answers before it makes place for the next one."""
    daemon, port, code = serve(place, watch, name)
    with Clients(f"127.0.0.1:{port}") as clients:
        for run, word in ((2, "again"), (3, "third"), (4, "fourth")):
            edits.write(place.tree / "web.py", code.replace("hello", word))
            daemon.wait(lambda word=word: asked(daemon, word) >= 2, "it to be asked")
            if run > 2:
                daemon.wait_event("ended", run=run - 1)
        go(place).touch()
        daemon.wait_event("restarted", run=4)
        daemon.wait_event("ended", run=1)
    assert clients.faults == []
    assert all(b"200" in answer for answer in clients.served)


@pytest.mark.parametrize(
    ("url", "code", "got"),
    [
        (
            "http://127.0.0.1:PORT/",
            "import time; time.sleep(999)\n",
            "was accepted by the run before it only",
        ),
        ("tcp://127.0.0.1:PORT", "import time; time.sleep(999)\n", "was accepted by the run before it only"),
        ("http://127.0.0.1:PORT/", HTTP.replace("(200)", "(404)"), "answered 404"),
        ("http://127.0.0.1:OTHER/", HTTP, "is refused: nobody listens there"),
    ],
)
def test_what_came_of_it_is_told(url: str, code: str, got: str, place: Place, watch: Watch) -> None:
    build(place.tree, {"web.py": HTTP})
    port = free_port()
    url = url.replace("PORT", str(port)).replace("OTHER", str(free_port()))
    command = [sys.executable, "web.py", "PORT"]
    daemon = start(watch, port, command, "--overlap", f"--ready={url}", "--ready-timeout=5s")
    daemon.wait(lambda: b"hello" in answers(port), "a server")
    edits.write(place.tree / "web.py", code)
    assert daemon.wait_event("held")["message"] == f"was not ready within 5 s: {url} {got}"
    daemon.wait_event("ended", run=2)
    assert b"hello" in answers(port)


def test_one_that_ends_is_told_as_that(place: Place, watch: Watch) -> None:
    daemon, port, _ = serve(place, watch, "http.server")
    edits.write(place.tree / "web.py", "import time; time.sleep(0.5); raise SystemExit(5)\n")
    assert daemon.wait_event("held")["message"] == "ended with status 5 before it was ready"
    assert b"hello" in answers(port)


def test_a_connection_is_enough_for_tcp(place: Place, watch: Watch) -> None:
    """It is the one that loads for a while which has to accept it."""
    build(place.tree, {"web.py": HTTP})
    port = free_port()
    command = [sys.executable, "web.py", "PORT"]
    daemon = start(watch, port, command, "--overlap", f"--ready=tcp://localhost:{port}")
    daemon.wait(lambda: b"hello" in answers(port), "a server")
    edits.write(place.tree / "web.py", waiting(place) + HTTP.replace("hello", "again"))
    daemon.wait_event("started", run=2)
    for _ in range(20):
        assert b"hello" in answers(port)
    assert daemon.named("restarted") == []
    go(place).touch()
    daemon.wait_event("restarted", run=2)
    daemon.wait_event("ended", run=1)
    assert b"again" in answers(port)


HEALTH = """\
import http.server, socket, threading

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if is_well("hello") else 503)
        self.end_headers()

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

threading.Thread(target=Server(("127.0.0.1", OTHER), Health).serve_forever, daemon=True).start()
"""


def test_a_port_that_each_run_has_for_itself(place: Place, watch: Watch) -> None:
    """Which of them a connection goes to is chosen by its own port."""
    health = free_port()
    code = HEALTH.replace("OTHER", str(health)) + ASGI
    code = code.replace("GO", repr(str(go(place))))
    build(place.tree, {"web.py": code})
    command = [tool("uvicorn"), "web:app", "--fd=3", "--loop=asyncio", "--no-access-log"]
    url = f"http://127.0.0.1:{health}/health"
    daemon = watch(
        *("--listen=0", "--overlap", f"--ready={url}"), command=command, children=None, environ=ENVIRON
    )
    [address] = [one["address"] for one in daemon.named("listening")]
    with Clients(address) as clients:
        clients.wait_served(20)
        take_over(daemon, place, code)
    assert clients.faults == []
    assert asked(daemon, "hello") == 0


@ON_IPV6
def test_from_a_file_and_by_ipv6(place: Place, watch: Watch) -> None:
    port = free_port()
    code = HTTP.replace('("localhost"', '("::1"').replace(
        "http.server.ThreadingHTTPServer(",
        "http.server.ThreadingHTTPServer.address_family = __import__('socket').AF_INET6\n"
        "http.server.ThreadingHTTPServer(",
    )
    build(place.tree, {"web.py": code})
    file = place.tree / "reloaderd.toml"
    file.write_text(
        f"""\
[service.web]
command = [{sys.executable!r}, "web.py", "{port}"]
keep_sockets = true
overlap = true
ready = "http://[::1]:{port}/"
"""
    )
    file.chmod(0o644)
    daemon = watch(configured=True, children=None, environ=ENVIRON, ready=False)
    wait_until(lambda: b"hello" in _ask6(port), "a server")
    edits.write(place.tree / "web.py", code.replace("hello", "again"))
    daemon.wait_event("restarted", run=2)
    daemon.wait_event("ended", run=1)
    assert b"again" in _ask6(port)


def _ask6(port: int) -> bytes:
    from tests.support.clients import ask

    try:
        return ask(f"[::1]:{port}")
    except OSError as error:
        return repr(error).encode()


def test_a_url_that_cannot_be_asked_is_refused(place: Place, tmp_path: Path) -> None:
    from tests.daemon.test_cf_usage import run

    (place.tree / "web.sock").touch()
    for url, said in (
        ("https://127.0.0.1:8000/", "TLS is not spoken here"),
        ("tcp://127.0.0.1", "no port"),
        ("http://example.org/", "not a host: example.org"),
    ):
        done = run(place, "watch", "--overlap", "--keep-sockets", f"--ready={url}", "--", "true")
        assert (done.returncode, url in done.stderr, said in done.stderr) == (2, True, True)
    (place.tree / "reloaderd.toml").write_text(
        '[service.web]\ncommand = "true"\noverlap = true\nkeep_sockets = true\nready = "http://x/"\n'
    )
    (place.tree / "reloaderd.toml").chmod(0o644)
    done = run(place, "watch")
    assert (done.returncode, "reloaderd.toml:5" in done.stderr, "not a host: x" in done.stderr) == (
        78,
        True,
        True,
    )
    done = run(place, "watch", "--ready=tcp://127.0.0.1:80", "--", "true")
    assert (done.returncode, "--overlap" in done.stderr) == (2, True)
