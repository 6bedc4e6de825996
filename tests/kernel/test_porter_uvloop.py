"""A porter with agents in programs that listen by uvloop, which does so below Python."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from reloaderd.events import ChildAnswered, ChildReady
from reloaderd.kernel import answering
from reloaderd.kernel.porters import Porter
from tests.kernel.test_porter import end, line
from tests.kernel.test_porter import start as start  # a fixture
from tests.support import procfs
from tests.support.places import Place
from tests.support.serving import free_port
from tests.support.waiting import LIMIT, wait_until

pytest.importorskip("uvloop", reason="needs uvloop")

Run = Callable[..., subprocess.Popen[str]]

SERVE = """
import asyncio, os, uvloop

class Serve(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()

async def stream(reader, writer):
    writer.write(b"hello")
    writer.close()

def inodes(server):
    return sorted(os.fstat(one.fileno()).st_ino for one in server.sockets)

async def main():
    loop = asyncio.get_running_loop()
    server = await (SERVER)
    await asyncio.sleep(0)
    print(*inodes(server), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(*inodes(server), flush=True)
    server.close()
    del server
    print("closed", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)

uvloop.install()
asyncio.run(main())
"""
ADDRESSES = {
    "a host": "loop.create_server(Serve, '127.0.0.1', PORT)",
    "localhost": "loop.create_server(Serve, 'localhost', PORT)",
    "all": "loop.create_server(Serve, None, PORT)",
    "two hosts": "loop.create_server(Serve, ['127.0.0.1', '127.0.0.2'], PORT)",
    "reuse_port": "loop.create_server(Serve, '127.0.0.1', PORT, reuse_port=True)",
    "a socket": "loop.create_server(Serve, sock=bound(SO_REUSEADDR=1))",
    "Unix": "loop.create_unix_server(Serve, '\\0reloaderd-test-%d' % PORT)",
    "streams": "asyncio.start_server(stream, '127.0.0.1', PORT)",
}


@pytest.fixture
def porter() -> Iterator[Porter]:
    with Porter("web", 2, ["keep", "accept", "alone"], [], "serves") as one:
        yield one


def serve(server: str) -> str:
    return SERVE.replace("SERVER", server)


def say(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("\n")
    one.stdin.flush()


@pytest.mark.parametrize("name", ADDRESSES)
def test_what_listens_is_kept_and_given_back(name: str, start: Run, porter: Porter) -> None:
    port = free_port()
    first = start(serve(ADDRESSES[name]), port)
    said = line(first)
    end(porter, first)
    assert name == "Unix" or procfs.listens(port)
    assert line(start(serve(ADDRESSES[name]), port)) == said != ""


def wait_report(porter: Porter, kind: type) -> Any:
    """The first event of this kind that is reported from now on."""
    while True:
        assert select.select([porter], [], [], LIMIT)[0], f"no {kind.__name__}"
        for event in porter.read():
            if isinstance(event, kind):
                return event


def answer(port: int, is_unix: bool = False) -> bytes:
    with socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as client:
        client.settimeout(LIMIT)
        client.connect(f"\0reloaderd-test-{port}" if is_unix else ("127.0.0.1", port))
        return client.recv(100)


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
    except OSError:
        return True
    return False


def both(start: Run, porter: Porter, server: str, does: str = "") -> tuple[int, Any, list[str]]:
    """A port at which two runs are, the first of these, and the inodes of what both listen at."""
    port = free_port()
    code = serve(server).replace('b"hello"', "NAME")
    first = start("NAME = b'first'\n" + code.replace("sleep(0)\n", f"sleep(0)\n    {does}\n"), port, 0)
    shared = line(first)
    assert shared
    assert line(start("NAME = b'second'\n" + code, port, 1)) == shared
    assert wait_report(porter, ChildReady).run == 2
    return port, first, shared.split()


@pytest.mark.parametrize("name", ADDRESSES)
def test_it_accepts_no_more_when_it_leaves(name: str, start: Run, porter: Porter) -> None:
    port, first, shared = both(start, porter, ADDRESSES[name])
    porter.leaving(0)
    assert wait_report(porter, ChildAnswered).run == 1
    assert {answer(port, name == "Unix") for _ in range(50)} == {b"second"}
    say(first)
    assert set(line(first).split()).isdisjoint(shared)
    assert line(first) == "closed"


@pytest.mark.parametrize("name", ["a host", "two hosts", "a socket"])
def test_what_it_closes_while_it_goes_on_is_let_go_of(name: str, start: Run, porter: Porter) -> None:
    """Where uvloop tells nobody, it is seen when somebody waits there."""
    port = free_port()
    one = start(serve(ADDRESSES[name]), port)
    assert line(one)
    answer(port)  # a look is due, but it has not closed it yet
    say(one)
    line(one)
    assert line(one) == "closed"
    with suppress(OSError):
        assert answer(port) == b""
    wait_until(lambda: refused(port), "it to be closed")


BUSY = """\
import signal, time
    def work():
        print("works", flush=True)
        while not os.path.exists("go"):
            time.sleep(0.01)
    loop.add_signal_handler(signal.SIGUSR1, work)
"""
FORKS = """\
if os.fork() == 0:
        os.close(1)
        os.read(0, 1)
        os._exit(0)
"""


def test_while_it_does_something_else_it_may_accept_yet(start: Run, porter: Porter, place: Place) -> None:
    """So it has not answered all before it says that it does not."""
    _, first, _ = both(start, porter, ADDRESSES["a host"], BUSY)
    first.send_signal(signal.SIGUSR1)
    assert line(first) == "works"
    porter.leaving(0)
    assert not select.select([porter], [], [], 20 * answering.QUIET)[0], "it was not asked yet"
    (place.tree / "go").touch()
    assert wait_report(porter, ChildAnswered).run == 1


def test_what_it_has_forked_is_not_waited_for(start: Run, porter: Porter) -> None:
    port, _, _ = both(start, porter, ADDRESSES["a host"], FORKS)
    porter.leaving(0)
    assert wait_report(porter, ChildAnswered).run == 1
    assert answer(port) == b"second"


TIDY = """
import asyncio, gc, logging, os, threading, uvloop, warnings

warnings.simplefilter("error")
logging.basicConfig(stream=sys.stdout)
sys.unraisablehook = print

def open_now():
    "How many sockets."
    gc.collect()
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink("/proc/self/fd/" + name))
        except OSError:
            pass
    return len([one for one in links if one[:7] == "socket:"])

async def serve(server):
    server = await server
    await asyncio.sleep(0)
    at.append(open_now())
    server.close()
    await server.wait_closed()

def run():
    loop = uvloop.new_event_loop()
    loop.set_debug(True)
    loop.run_until_complete(serve(loop.create_server(asyncio.Protocol, "127.0.0.1", PORT)))
    loop.run_until_complete(serve(loop.create_server(asyncio.Protocol, sock=bound())))
    loop.close()

at = [open_now()]
run()
at.append(open_now())
thread = threading.Thread(target=run)
thread.start()
thread.join()
at.append(open_now())
print(at, flush=True)
sys.stdin.readline()
"""


def test_it_leaves_nothing_behind(start: Run, porter: Porter) -> None:
    """Nor says anything, in a debugging loop either."""
    own = 2  # by which the loop of the main thread wakes itself
    said = line(start(TIDY, free_port()))
    assert said == str([0, own + 2, own + 2, 0, 2, 2, 0]), "a socket that listens, and a connection"
