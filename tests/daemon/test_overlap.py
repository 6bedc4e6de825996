"""--overlap: the next run starts while the one before serves; nobody is refused, or waits for a start."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_keep_sockets import ASGI, FLASK, HTTP, RESTARTS, SERVERS, start
from tests.support import edits, procfs
from tests.support.clients import Clients, ask
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build
from tests.support.serving import ENVIRON, free_port, tool
from tests.support.waiting import LIMIT, wait_until

SLOW = "import time; time.sleep(0.4)\n"

WEB = [sys.executable, "web.py", "PORT"]


def answers(port: int) -> bytes:
    try:
        return ask(f"127.0.0.1:{port}")
    except OSError as error:
        return repr(error).encode()


def go(place: Place) -> Path:
    return place.outside / "go"


def waiting(place: Place) -> str:
    """A line of a program that waits there until there is `go`."""
    there = f"os.path.exists({str(go(place))!r})"
    return f"import os, time; [time.sleep(0.01) for _ in iter(lambda: {there}, True)]\n"


@pytest.mark.parametrize("name", SERVERS)
def test_nobody_notices_a_restart(name: str, place: Place, watch: Watch) -> None:
    files, command = SERVERS[name]
    if name == "aiohttp":
        pytest.importorskip("aiohttp", reason="needs aiohttp")
    build(place.tree, {**files, "web.py": SLOW + files["web.py"]})
    port = free_port()
    daemon = start(watch, port, command, "--overlap")
    daemon.wait(lambda: b"200" in answers(port), "a server")
    clients = restart(daemon, place, f"127.0.0.1:{port}")
    print(
        f"{name}: {RESTARTS} restarts, {clients.asked} asked, none refused, none lost,"
        f" the slowest answer took {clients.slowest * 1000:.0f} ms"
    )


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"web.py": ASGI}, [tool("uvicorn"), "web:app", "--fd=3", "--loop=asyncio", "--no-access-log"]),
        ({"web.py": ASGI}, [tool("uvicorn"), "web:app", "--fd=3", "--loop=uvloop", "--no-access-log"]),
        ({"web.py": FLASK}, [tool("gunicorn"), "web:app", "--workers=2"]),
        pytest.param(
            {
                "web.py": "",
                "web.js": "require('http').createServer((question, answer) => answer.end('hello'))"
                ".listen({fd: 3})",
            },
            ["node", "web.js"],
            marks=pytest.mark.needs("node"),
        ),
    ],
    ids=["uvicorn", "uvicorn, uvloop", "gunicorn", "node"],
)
def test_with_listen_too(files: dict[str, str], command: list[str], place: Place, watch: Watch) -> None:
    build(place.tree, files)
    daemon = watch("--listen=0", "--overlap", command=command, children=None, environ=ENVIRON)
    [address] = [one["address"] for one in daemon.named("listening")]
    restart(daemon, place, address, lost=RESTARTS * 3 if command[0] == "node" else 0)


def restart(daemon: Daemon, place: Place, address: str, lost: int = 0) -> Clients:
    """`lost`: so many may be, that the old run had accepted."""
    with Clients(address) as clients:
        clients.wait_served(20)
        for number in range(RESTARTS):
            edits.write(place.tree / f"part{number}.py")
            daemon.wait_event("restarted", run=number + 2)
            daemon.wait_event("ended", run=number + 1)
            served = len(clients.served)
            wait_until(lambda served=served: len(clients.served) > served + 20, "answers of the next run")
            wait_until(lambda: clients.waiting < 20, "the answers to all who waited")
    assert [one for one in clients.faults if "Refused" in one] == []
    assert len(clients.faults) <= lost
    assert all(b"200" in answer for answer in clients.served)
    return clients


def serve(place: Place, watch: Watch, *options: str, code: str = HTTP, **keywords: Any) -> tuple[Daemon, int]:
    build(place.tree, {"web.py": code})
    port = free_port()
    daemon = start(watch, port, WEB, "--overlap", *options, **keywords)
    daemon.wait(lambda: b"hello" in answers(port), "a server")
    return daemon, port


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(5)\n", "ended with status 5 before it was ready"),
        ("import os; os.kill(os.getpid(), 9)\n", "was killed by SIGKILL before it was ready"),
        ("import time; time.sleep(999)\n", "was not ready within 1 s"),
    ],
)
def test_one_that_does_not_get_ready_leaves_the_old_one(
    code: str, said: str, place: Place, watch: Watch
) -> None:
    daemon, port = serve(place, watch, "--ready-timeout=1s")
    edits.write(place.tree / "web.py", code)
    held = daemon.wait_event("held")
    assert (held["reason"], held["message"], held["run"], held["serving"]) == ("not ready", said, 2, 1)
    daemon.wait_event("ended", run=2)
    assert b"hello" in answers(port)
    edits.write(place.tree / "web.py", HTTP.replace("hello", "again"))
    daemon.wait_event("restarted", run=3)
    daemon.wait_event("ended", run=1)
    assert b"again" in answers(port)


def test_what_the_old_one_has_loaded_counts_while_it_goes_on(place: Place, watch: Watch) -> None:
    """Also what it loads then, and though the runs that failed have not loaded it."""
    later = f"import threading\ndef load():\n    {waiting(place)}    import later\n"
    build(place.outside, {"first.py": later + "threading.Thread(target=load).start()\n", "later.py": ""})
    build(place.tree, {"web.py": "import first\n" + HTTP})
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in WEB]
    environ = {**ENVIRON, "PYTHONPATH": str(place.outside)}
    daemon = watch("--keep-sockets", "--overlap", command=command, children=None, environ=environ)
    daemon.wait(lambda: b"hello" in answers(port), "a server")
    for number in (2, 3):
        edits.write(place.tree / "web.py", f"raise SystemExit({number})\n")
        daemon.wait_event("held", run=number)
    edits.write(place.outside / "first.py", later)
    daemon.wait_event("held", run=4)
    go(place).touch()
    daemon.wait_event("armed", run=4, modules=2)  # the one that serves has imported it
    edits.write(place.outside / "later.py", "1\n")
    daemon.wait_event("held", run=5)
    assert b"hello" in answers(port)


def test_gunicorn_is_ready_when_a_worker_is(place: Place, watch: Watch) -> None:
    """Its master listens before anything is loaded.  One worker: a second one could load what is edited."""
    build(place.tree, {"web.py": FLASK})
    port = free_port()
    command = [tool("gunicorn"), "web:app", "--bind=127.0.0.1:PORT", "--workers=1"]
    daemon = start(watch, port, command, "--overlap", tracebacks=True)
    daemon.wait(lambda: b"hello" in answers(port), "a server")
    edits.write(place.tree / "web.py", SLOW + "raise ValueError\n")
    daemon.wait_event("held", run=2)
    assert b"hello" in answers(port)


def test_a_change_while_one_comes_starts_the_next(place: Place, watch: Watch) -> None:
    daemon, port = serve(place, watch)
    edits.write(place.tree / "web.py", "import time; print('comes', flush=True); time.sleep(999)\n")
    daemon.wait(lambda: b"comes" in daemon.stdout.read_bytes(), "a run that has read what was edited first")
    edits.write(place.tree / "web.py", HTTP.replace("hello", "again"))
    daemon.wait_event("ended", run=2)
    daemon.wait_event("restarted", run=3)
    daemon.wait_event("ended", run=1)
    assert b"again" in answers(port)
    assert daemon.named("held") == []


def test_notify_waits_until_it_says_so(place: Place, watch: Watch) -> None:
    tell = """\
import os, socket, sys
print("NOTIFY", "NOTIFY_SOCKET" in os.environ, flush=True)
def ready():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.sendto(b"STATUS=up\\nREADY=1", os.environ["NOTIFY_SOCKET"])
"""
    daemon, port = serve(place, watch, "--ready=notify", "--ready-timeout=2s", code=tell + HTTP)
    edits.write(place.tree / "web.py", tell + HTTP)
    assert "not ready within" in daemon.wait_event("held", run=2)["message"]
    code = tell + "ready()\n" + HTTP.replace("hello", "again")
    edits.write(place.tree / "web.py", code)
    daemon.wait_event("restarted", run=3)
    daemon.wait_event("ended", run=1)
    daemon.wait(lambda: b"again" in answers(port), "the new one")


def test_a_time_is_a_time(place: Place, watch: Watch) -> None:
    daemon, port = serve(place, watch, "--ready=300ms")
    edits.write(place.tree / "web.py", HTTP.replace("hello", "again"))
    restarted = daemon.wait_event("restarted", run=2)
    assert restarted["ms"] >= 300
    daemon.wait_event("ended", run=1)
    assert b"again" in answers(port)


def test_without_notify_there_is_no_such_variable(place: Place, watch: Watch) -> None:
    daemon, _ = serve(place, watch)
    assert "NOTIFY_SOCKET" not in procfs.environ(daemon.named("started")[0]["pid"])


def test_when_the_old_one_ends_the_new_one_is_the_only_one(place: Place, watch: Watch) -> None:
    daemon, port = serve(place, watch)
    edits.write(place.tree / "web.py", waiting(place) + HTTP)
    daemon.wait_event("started", run=2)
    os.kill(daemon.named("started")[0]["pid"], signal.SIGKILL)
    daemon.wait_event("ended", run=1)
    go(place).touch()
    daemon.wait(lambda: b"hello" in answers(port), "the new one")
    edits.write(place.tree / "part.py")
    daemon.wait_event("restarted", run=3)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_either(signum: int, place: Place, watch: Watch) -> None:
    daemon, port = serve(place, watch)
    edits.write(place.tree / "web.py", "import time; time.sleep(999)\n")
    pid = daemon.wait_event("started", run=2)["pid"]
    old = daemon.named("started")[0]["pid"]
    assert procfs.alive(old) and procfs.alive(pid)
    os.kill(daemon.pid, signum)
    daemon.wait_exit()
    wait_until(lambda: not procfs.marked(place.mark), "nothing to be left")
    assert not procfs.listens(port)
    daemon.end()


def test_it_needs_a_socket_that_both_have(place: Place, tmp_path: Path) -> None:
    from tests.daemon.test_cf_usage import run

    done = run(place, "watch", "--overlap", "--", "true")
    assert (done.returncode, "--keep-sockets" in done.stderr, "--listen" in done.stderr) == (2, True, True)
    done = run(place, "watch", "--ready=notify", "--", "true")
    assert (done.returncode, "--overlap" in done.stderr) == (2, True)
    (place.tree / "reloaderd.toml").write_text('[service.web]\ncommand = "true"\noverlap = true\n')
    (place.tree / "reloaderd.toml").chmod(0o644)
    done = run(place, "watch")
    assert (done.returncode, "reloaderd.toml:3" in done.stderr, "listen" in done.stderr) == (78, True, True)


SLOWLY = HTTP.replace(
    "    def do_GET(self):\n",
    """\
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        import os, time
        print("asked", self.path, flush=True)
        while self.path == "/slow" and not os.path.exists("go"):
            time.sleep(0.01)
""",
).replace(
    "        self.end_headers()",
    "        self.send_header('Content-Length', '5')\n        self.end_headers()",
)
"""It keeps connections open, and answers /slow when there is a file `go`."""


@contextmanager
def connected(port: int, path: str) -> Iterator[http.client.HTTPConnection]:
    """A connection over which a path is asked for."""
    one = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    with closing(one):
        one.request("GET", path)
        yield one


def test_what_the_old_one_was_asked_it_answers(place: Place, watch: Watch) -> None:
    """And no more: what is asked meanwhile goes to the new one."""
    daemon, port = serve(place, watch, "--stop-timeout=60s", "--ignore=go", code=SLOWLY)
    with connected(port, "/slow") as slow:
        wait_until(lambda: "asked /slow" in daemon.stdout.read_text(), "the old one to be asked")
        edits.write(place.tree / "web.py", SLOWLY.replace("hello", "again"))
        daemon.wait_event("restarted", run=2)
        door = procfs.environ(daemon.named("started")[0]["pid"])["RELOADERD_PORTER"].split("\n")[0]
        wait_until(lambda: os.path.lexists(door + "-leaves~"), "it to be told that it leaves")
        answered = [answers(port)[-5:] for _ in range(40)]
        assert answered.count(b"again") >= 39, "one that it waits for in accept is its own"
        assert daemon.named("stopping") == []
        (place.tree / "go").touch()
        assert slow.getresponse().read() == b"hello"
        daemon.wait_event("ended", run=1)
        assert daemon.named("warning") == []


def test_one_that_does_not_answer_is_stopped_all_the_same(place: Place, watch: Watch) -> None:
    daemon, port = serve(place, watch, "--stop-timeout=300ms", code=SLOWLY, warnings=True)
    with connected(port, "/slow") as slow:
        wait_until(lambda: "asked /slow" in daemon.stdout.read_text(), "the old one to be asked")
        edits.write(place.tree / "web.py", SLOWLY)
        daemon.wait_event("ended", run=1)
        [warning] = daemon.named("warning")
        assert warning["text"] == "run 1 has not answered all within 0.3 s, and is stopped"
        with pytest.raises(OSError):
            slow.getresponse()


def test_who_asks_nothing_is_not_waited_for(place: Place, watch: Watch) -> None:
    """A connection that is kept open may be closed between two requests."""
    daemon, port = serve(place, watch, "--stop-timeout=600s", code=SLOWLY)
    with connected(port, "/") as idle:
        assert idle.getresponse().read() == b"hello"
        edits.write(place.tree / "web.py", SLOWLY)
        daemon.wait_event("ended", run=1)
        assert daemon.named("warning") == []


def test_the_next_run_in_its_place_accepts(place: Place, watch: Watch) -> None:
    numbered = HTTP.replace('b"hello"', '__import__("os").environb[b"RELOADERD_RUN"] + b" hello"')
    daemon, port = serve(place, watch, code=numbered)
    for number in range(2, 7):
        edits.write(place.tree / f"part{number}.py")
        daemon.wait_event("restarted", run=number)
        daemon.wait_event("ended", run=number - 1)
        assert answers(port).endswith(b"%d hello" % number)


@pytest.mark.parametrize("name", ["django", "uvicorn", "uvicorn, uvloop", "http.server"])
def test_runs_of_copies_take_over(name: str, place: Place, watch: Watch) -> None:
    """Both keepers have one, of what either of their runs has told."""
    files, command = SERVERS[name]
    build(place.tree, files)
    port = free_port()
    daemon = start(watch, port, command, "--overlap", "--warm")
    daemon.wait(lambda: b"200" in answers(port), "a server")
    with Clients(f"127.0.0.1:{port}") as clients:
        clients.wait_served(20)
        for run in (2, 3, 4):
            daemon.wait(lambda run=run: spares(daemon, run - 1), "a spare of both keepers")
            edits.write(place.tree / f"part{run}.py")
            assert daemon.wait_event("started", run=run)["warm"] is True
            daemon.wait_event("ended", run=run - 1)
            served = len(clients.served)
            wait_until(lambda served=served: len(clients.served) > served + 20, "answers of the next run")
    assert clients.faults == []
    assert all(b"200" in answer for answer in clients.served)


def spares(daemon: Daemon, run: int) -> bool:
    """Whether both keepers have a zygote and a spare, which wait, and nothing else but the run."""
    pid = daemon.wait_event("started", run=run)["pid"]
    keepers = [one for one in procfs.children(daemon.pid) if procfs.is_named(one, "keeper of")]
    kept = [[child for child in procfs.children(one) if child != pid] for one in keepers]
    return [len(one) for one in kept] == [2, 2] and all(procfs.state(one) == "S" for one in sum(kept, []))
