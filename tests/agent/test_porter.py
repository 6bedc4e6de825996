"""Sockets in programs that are to have theirs kept: nothing but that is different, or nothing at all."""

from __future__ import annotations

import pytest

from tests.agent.conftest import Program

USE = """
import errno, pickle, socket, socketserver, sys, threading

assert socket.socket.bind.__name__ == "bind" and socket.socket.listen.__name__ == "listen"
one = socket.socket()
one.bind(("127.0.0.1", 0))
one.listen()
two = socket.socket()
try:
    two.bind(one.getsockname())
except OSError as error:
    assert error.errno == errno.EADDRINUSE and error.__context__ is None
    print("in use")
for wrong in [("127.0.0.1",), "x", None, ("nowhere.invalid", 1), ("127.0.0.1", 70000)]:
    try:
        two.bind(wrong)
    except (TypeError, OSError, OverflowError) as error:
        print(type(error).__name__)
client = socket.create_connection(one.getsockname())
server, _ = one.accept()
client.sendall(b"hello")
print(server.recv(10).decode())
for each in (client, server, one, two):
    each.close()
    each.close()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as three:
    three.bind(("127.0.0.1", 0))

class Own(socket.socket):
    def bind(self, address):
        print("own bind")
        super().bind(address)

with Own() as four:
    four.bind(("127.0.0.1", 0))
    four.listen(1)
with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as served:
    threading.Thread(target=served.serve_forever, daemon=True).start()
    socket.create_connection(served.server_address).close()
    served.shutdown()
print(sorted(name for name in sys.modules if "reloaderd" in name))
"""


@pytest.mark.parametrize("words", ["keep", "keep accept", "accept", "keep accept alone"])
def test_a_program_does_the_same_with_nobody_there(words: str, program: Program) -> None:
    plain = program.code(USE, agent=False)
    assert program.code(USE, RELOADERD_PORTER=f"/nowhere\n{words}") == plain
    assert plain.endswith("[]\n")


def test_what_it_loads_is_told_all_the_same(program: Program) -> None:
    program.write("part.py", "import socket\nsocket.socket().close()\n")
    program.write("later.py")
    program.good("-c", "import part, later", RELOADERD_PORTER="/nowhere\nkeep", pythonpath=str(program.tree))
    heard = program.heard()
    assert program.modules() == {"part.py", "later.py"}
    assert heard.libraries < 1000


def test_alone_it_tells_nothing(program: Program) -> None:
    program.write("part.py")
    alone = {"RELOADERD_PORTER": "/nowhere\nkeep alone", "pythonpath": str(program.tree)}
    program.good("-c", "import part", **alone)
    assert program.modules() == set()
