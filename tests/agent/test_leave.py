"""A program that another run takes over from accepts no more, however it accepts; the other one does."""

from __future__ import annotations

import pytest

from tests.agent.conftest import Program
from tests.support.clients import has_ipv6

BEGIN = """
import _socket, asyncio, os, select, selectors, socket, socketserver, sys, threading

NOTICE = os.environ["RELOADERD_PORTER"].partition("\\n")[0] + "-leaves~"

def listening(family=socket.AF_INET):
    one = socket.socket(family)
    one.bind("" if family == socket.AF_UNIX else ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    one.listen()
    return one

def connect(to):
    client = socket.socket(to.family)
    client.connect(to.getsockname())
    return client

def leave(one):
    os.symlink(str(os.fstat(one.fileno()).st_ino), NOTICE)

def other_accepts(one, client):
    client.sendall(b"hello")
    fd, _ = _socket.socket._accept(one)
    connection = socket.socket(one.family, fileno=fd)
    assert connection.recv(10) == b"hello", "another client"
    return connection

def of_two(family=socket.AF_INET):
    "One, and what the other run has of it."
    one = listening(family)
    first = connect(one)
    one.accept()[0].close()
    return one, one.dup()
"""

DOES_NOT_BLOCK = """
one, other = of_two(FAMILY)
one.setblocking(False)
leave(one)
client = connect(other)
for _ in range(2):
    try:
        one.accept()
    except BlockingIOError:
        print("nobody")
other_accepts(other, client)
"""
HAS_A_TIMEOUT = """
one, other = of_two()
one.settimeout(0.01)
leave(one)
client = connect(other)
for _ in range(2):
    try:
        one.accept()
    except socket.timeout:
        print("nobody")
other.setblocking(True)
other_accepts(other, client)
"""
BLOCKS = """
one, other = of_two(FAMILY)
leave(one)
client = connect(other)
connection, _ = one.accept()
assert connection.recv(10) == b"", "it is closed"
print("nobody")
assert select.select([other], [], [], 60)[0] == [other]
assert select.select([one], [], [], 0)[0] == []
print("nobody")
other_accepts(other, client)
"""
POLLS = """
one, other = of_two()
one.setblocking(False)
epoll, beside = select.epoll(), listening()
epoll.register(one, select.EPOLLIN)
epoll.register(beside, select.EPOLLIN)
leave(one)
client = connect(other)
assert epoll.poll(60) == [(one.fileno(), select.EPOLLIN)]
try:
    one.accept()
except BlockingIOError:
    print("nobody")
also = connect(beside)
assert epoll.poll(60) == [(beside.fileno(), select.EPOLLIN)], "there is but the one of which it is told"
print("nobody")
epoll.unregister(one)
other_accepts(other, client)
"""
ASYNCIO = """
one, other = of_two()
other.setblocking(False)

async def main():
    async def serve(reader, writer):
        print("somebody")
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, sock=one)
    at = one.getsockname()
    leave(one)
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*at)
        await asyncio.sleep(0.01)
        connection, _ = await loop.run_in_executor(None, other_waits)
        print("nobody")
    server.close()

def other_waits():
    select.select([other], [], [])
    return _socket.socket._accept(other)

asyncio.run(main())
"""
SOCKETSERVER = """
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.read(5):
            print("somebody")

server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
other = server.socket.dup()
serving = threading.Thread(target=lambda: server.serve_forever(0.01))
leave(other)
serving.start()
for _ in range(2):
    client = connect(other)
    other_accepts(other, client)
    print("nobody")
server.shutdown()
serving.join()
server.server_close()
"""


@pytest.mark.parametrize(
    "code",
    [
        *(DOES_NOT_BLOCK.replace("FAMILY", f"socket.AF_{family}") for family in ("INET", "INET6", "UNIX")),
        HAS_A_TIMEOUT,
        *(BLOCKS.replace("FAMILY", f"socket.AF_{family}") for family in ("INET", "INET6", "UNIX")),
        POLLS,
        POLLS.replace("leave(one)", "del select.epoll\nleave(one)"),
        ASYNCIO,
        SOCKETSERVER,
    ],
    ids=[
        *("does not block", "IPv6", "Unix", "has a timeout", "blocks", "blocks IPv6", "blocks Unix"),
        *("polls", "polls, gevent has taken epoll away", "asyncio", "socketserver"),
    ],
)
def test_it_accepts_no_more(code: str, program: Program) -> None:
    if "INET6" in code and not has_ipv6():
        pytest.skip("this machine has no [::1]")
    told = f"{program.outside}/door\naccept"
    assert program.code(BEGIN + code, RELOADERD_PORTER=told) == "nobody\n" * 2


OTHERS = """
one, other = of_two()
os.symlink("1 2", NOTICE)
client = connect(one)
client.sendall(b"hello")
print(one.accept()[0].recv(10).decode())
os.unlink(NOTICE)
leave(one)
os.unlink(NOTICE)
client = connect(one)
client.sendall(b"hello")
print(one.accept()[0].recv(10).decode())
"""


def test_what_is_not_shared_or_not_left_is_accepted(program: Program) -> None:
    told = f"{program.outside}/door\naccept"
    assert program.code(BEGIN + OTHERS, RELOADERD_PORTER=told) == "hello\n" * 2
