"""Programs with uvloop whose sockets are to be kept: nothing is different to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.conftest import Program

uvloop = pytest.importorskip("uvloop", reason="needs uvloop")
pytestmark = pytest.mark.one_python

USE = """
import asyncio, errno, os, socket, sys, threading, uvloop, warnings

warnings.simplefilter("error")
sys.unraisablehook = print

class Serve(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()

async def ask(*at):
    connect = asyncio.open_unix_connection if len(at) == 1 else asyncio.open_connection
    reader, writer = await connect(*at)
    print(await reader.read())
    writer.close()

async def main():
    loop = asyncio.get_running_loop()
    print(type(loop), loop.create_server.__qualname__)
    server = await loop.create_server(Serve, "127.0.0.1", 0)
    at = server.sockets[0].getsockname()
    print(type(server), [(type(one), one.family, one.type) for one in server.sockets], server.is_serving())
    await ask(*at)
    given = socket.socket()
    given.bind(("127.0.0.1", 0))
    for make in (
        lambda: loop.create_server(Serve, *at),
        lambda: loop.create_server(Serve, "127.0.0.1", 0, sock=given),
        lambda: loop.create_server(Serve, "nowhere.invalid", 0),
        lambda: loop.create_server(Serve),
        lambda: loop.create_server(Serve, "127.0.0.1", 0, backlog=1.5),
        lambda: loop.create_unix_server(Serve, "/nowhere/at/all"),
    ):
        try:
            await make()
        except Exception as error:
            print(type(error), str(error).replace(str(at[1]), "PORT"), error.__context__ is None)
    server.close()
    await server.wait_closed()
    later = await loop.create_server(Serve, sock=given, start_serving=False)
    print(later.is_serving(), given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), given.getblocking())
    await later.start_serving()
    await ask(*given.getsockname())
    later.close()
    print(given.fileno())
    one = await loop.create_unix_server(Serve, "a.sock")
    await ask("a.sock")
    one.close()
    left, right = socket.socketpair()
    left.setblocking(False)
    await loop.sock_sendall(left, b"pair")
    print(right.recv(9))
    left.close()
    right.close()

def run():
    loop = uvloop.new_event_loop()
    loop.set_debug(True)
    loop.run_until_complete(main())
    loop.close()

for target in (run, lambda: [each.start() or each.join() for each in [threading.Thread(target=run)]]):
    target()
print(sorted(os.listdir("/proc/self/fd")), [name for name in sys.modules if "reloaderd" in name])
"""


@pytest.mark.parametrize("words", ["keep", "keep accept", "accept"])
def test_a_program_does_the_same_with_nobody_there(words: str, program: Program) -> None:
    there = str(Path(uvloop.__file__).parent.parent)
    plain = program.code(USE, agent=False, pythonpath=there)
    assert program.code(USE, RELOADERD_PORTER=f"/nowhere\n{words}", pythonpath=there) == plain
    assert plain.count("b'hello'") == 6
