"""Whatever becomes of the one who listens, the program goes on at its own speed."""

from __future__ import annotations

import socket
import subprocess

from tests.agent.conftest import Program
from tests.agent.receiver import Receiver

MANY = 5000

FIND = "agent = next(one for one in gc.get_objects() if type(one).__name__ == 'Agent')"


def test_one_that_does_not_read(program: Program) -> None:
    """Its queue is full after a few: the rest is kept, and said once it reads again."""
    program.receiver.close()
    program.address += "2"
    program.receiver = Receiver(program.address, backlog=4, listen=False)
    for number in range(MANY):
        program.write(f"m{number}.py")
    code = (
        f"import sys\nfor n in range({MANY}): __import__('m%d' % n)\n"
        "print('loaded', flush=True)\nsys.stdin.read()\n"
        f"import gc, time; {FIND}\n"
        "while agent.post.pending: open('last.txt').close(); time.sleep(0.001)\n"
    )
    program.write("last.txt")
    with subprocess.Popen(
        [program.python, "-c", code],
        env=program.environ(),
        cwd=program.tree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
        program.receiver.read()
        process.communicate()
    assert process.returncode == 0
    assert len(program.modules()) == MANY


def test_none_at_all(program: Program) -> None:
    program.receiver.close()
    program.address = "/nowhere/agent.sock"
    program.write("one.py")
    assert program.code("import one, sys; print(len(sys.meta_path))")


def test_a_path_that_no_socket_can_have(program: Program) -> None:
    program.address = "/" + "x" * 300
    program.write("one.py")
    program.code("import one")


def test_one_that_dies_midway(program: Program) -> None:
    for number in range(100):
        program.write(f"m{number}.py")
    code = (
        "import os, sys\n__import__('m0')\n"
        f"os.unlink({program.address!r})\n"
        "for n in range(1, 100): __import__('m%d' % n)\n"
        f"import gc; {FIND}\n"
        "print(len(agent.handlers), len(agent.post.pending))\n"
    )
    assert program.code(code) == "0 0\n"


def test_one_that_refuses(program: Program) -> None:
    """A socket that nobody listens at any more."""
    program.receiver.close()
    program.address += "2"
    gone = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gone.bind(program.address)
    gone.close()
    program.write("one.py")
    program.code("import one")
    program.receiver = Receiver(program.address + "3")


def test_one_that_hangs_up(program: Program) -> None:
    """Before anything is sent, and the program has SIGPIPE at its default, as many a command has."""
    program.receiver.close()
    program.address += "2"
    program.receiver = HangsUp(program.address)
    for number in range(10):
        program.write(f"m{number}.py")
    code = (
        f"import gc, select, signal, _socket; {FIND}\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "class Slow(_socket.socket):\n"
        "    def connect(self, address):\n"
        "        super().connect(address)\n"
        "        poll = select.poll(); poll.register(self.fileno(), select.POLLRDHUP); poll.poll()\n"
        "agent.post.send.__globals__['socket'] = Slow\n"
        "for n in range(10): __import__('m%d' % n)\n"
        "print(len([1 for kind, text in agent.post.pending if kind == 'modules']))\n"
    )
    assert program.code(code) == "10\n"


class HangsUp(Receiver):
    """Accepts and closes."""

    def _read(self) -> None:
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return


def test_no_packet_is_too_long(program: Program) -> None:
    """What was kept goes in as many packets as it takes."""
    program.receiver.close()
    program.address += "2"
    top = program.tree / ("\u00e9" * 100)
    for number in range(600):
        program.write(f"m{number}.py", where=top)
    code = (
        f"import gc, os, sys; {FIND}\n"
        f"os.rename({program.address!r}, {program.address + 'x'!r})\n"
        "agent.post.missed = -10 ** 9\n"
        "for n in range(600): __import__('m%d' % n)\n"
        f"os.rename({program.address + 'x'!r}, {program.address!r})\n"
        "import last\n"
    )
    program.write("last.py")
    program.receiver = Receiver(program.address)
    program.code(code, pythonpath=str(top))
    assert len(program.modules()) == 601
    assert not any("too long" in message for message in program.receiver.messages)
