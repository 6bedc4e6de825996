"""Listening sockets: where they are opened, what is in the way, and what a server does to them."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloaderd.kernel import activation, sockets
from reloaderd.kernel.sockets import Bound, open_at
from tests.support import procfs
from tests.support.clients import ON_IPV6, ask, family_of
from tests.support.faults import UNPRIVILEGED

ADDRESSES = [
    *("127.0.0.1:0", "0.0.0.0:0", "web.sock"),
    *(pytest.param(one, marks=ON_IPV6) for one in ("[::1]:0", "[::]:0")),
]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = set(procfs.fds(os.getpid()))
    yield
    assert set(procfs.fds(os.getpid())) <= before


def connected(address: str) -> None:
    """It listens: a connection is taken in though nobody accepts it."""
    family, where = family_of(address)
    with socket.socket(family) as one:
        one.settimeout(5)
        one.connect(where)


@pytest.mark.parametrize("wanted", ADDRESSES)
def test_it_listens_where_it_says(wanted: str, tmp_path: Path) -> None:
    one = open_at(str(tmp_path / wanted) if wanted == "web.sock" else wanted)
    try:
        assert sockets.address_of_descriptor(one.fd) == one.address
        assert one.address.rpartition(":")[0] == wanted.rpartition(":")[0]
        assert not os.get_inheritable(one.fd)
        assert os.get_blocking(one.fd)
        connected(one.address)
        with pytest.raises(OSError) as caught:
            open_at(one.address)
        assert caught.value.errno == errno.EADDRINUSE
    finally:
        one.close()
    with pytest.raises(OSError):
        connected(one.address)
    again = open_at(one.address)  # also with connections in TIME_WAIT
    again.close()


def test_the_queue_is_as_long_as_can_be() -> None:
    one = open_at("127.0.0.1:0")
    rows = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True).stdout
    assert f":{int(one.address.rpartition(':')[2]):04X}" in rows
    clients = []
    family, where = family_of(one.address)
    for _ in range(200):
        clients.append(socket.create_connection(where, timeout=5))
    for client in clients:
        client.close()
    one.close()
    assert family == socket.AF_INET


@pytest.mark.parametrize("harm", ["shutdown", "short", "impatient"])
@pytest.mark.parametrize("wanted", ADDRESSES)
def test_what_a_server_did_to_it_is_undone(harm: str, wanted: str, tmp_path: Path) -> None:
    one = open_at(str(tmp_path / wanted) if wanted == "web.sock" else wanted)
    server = socket.socket(fileno=os.dup(one.fd))
    if harm == "shutdown" and server.family != socket.AF_UNIX:
        server.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionRefusedError):
            connected(one.address)
    elif harm == "short":
        server.listen(0)
    server.setblocking(False)
    server.close()
    sockets.refresh(one.fd)
    assert os.get_blocking(one.fd)
    for _ in range(3):
        connected(one.address)
    assert sockets.address_of_descriptor(one.fd) == one.address
    one.close()


def test_what_is_no_listening_socket_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for fd in (read, ours.fileno(), datagrams.fileno()):
            os.set_blocking(fd, False)
            sockets.refresh(fd)
            assert sockets.address_of_descriptor(fd) == ""
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
    os.close(read)
    os.close(write)


# Files


def stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def test_a_stale_socket_makes_way(tmp_path: Path) -> None:
    stale(tmp_path / "a")
    one = open_at(str(tmp_path / "a"))
    connected(one.address)
    one.close()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_socket_that_somebody_has_does_not(kind: int, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(tmp_path / "a"))
        if kind != socket.SOCK_DGRAM:
            other.listen(0)
        with pytest.raises(OSError) as caught:
            open_at(str(tmp_path / "a"))
        assert caught.value.errno == errno.EADDRINUSE
        full = [socket.socket(socket.AF_UNIX, kind) for _ in range(3)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(str(tmp_path / "a"))
        with pytest.raises(OSError) as caught:
            open_at(str(tmp_path / "a"))
        assert caught.value.errno == errno.EADDRINUSE
        for one in full:
            one.close()


def test_a_file_of_another_kind_does_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "directory").mkdir()
    stale(tmp_path / "stale")
    (tmp_path / "symlink").symlink_to("stale")
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "directory", "symlink", "fifo"):
        with pytest.raises(OSError) as caught:
            open_at(str(tmp_path / name))
        assert caught.value.errno == errno.EEXIST
        assert name == "fifo" or name in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["directory", "fifo", "file", "stale", "symlink"]


def test_only_the_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    one = open_at(str(path))
    path.chmod(0o666)
    one.close()
    assert not path.exists()
    one = open_at(str(path))
    path.unlink()
    stale(path)  # most file systems give it the same inode number
    one.close()
    assert path.exists()
    one = open_at(str(path))
    one.close(stays=True)
    assert path.exists()


def test_one_whose_file_is_gone_is_opened_again_as_the_same_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "a"
    one = open_at(str(path))
    fd = one.fd
    path.touch()
    path.chmod(0o600)
    assert not one.deaf and not one.replaced
    path.unlink()
    assert one.deaf and not one.replaced
    for number in range(20):  # none of them gets its inode number
        (tmp_path / str(number)).touch()
    path.write_text("")
    assert not one.deaf and one.replaced
    path.unlink()
    one.reopen()
    assert (one.fd, one.deaf, one.replaced, os.get_inheritable(fd)) == (fd, False, False, False)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    one.close()
    assert not path.exists()


@pytest.mark.needs("modes")
def test_where_one_may_not(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    program = "import sys; from reloaderd.kernel.sockets import open_at; open_at(sys.argv[1])"
    argv = [*UNPRIVILEGED, sys.executable, "-c", program, str(tmp_path / "a")]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "PermissionError" in done.stderr or "Permission denied" in done.stderr
    assert not (tmp_path / "a").exists()


# What we were started with


def given(**variables: str) -> list[Bound]:
    return activation.inherited({name.upper(): value for name, value in variables.items()})


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"listen_fds": "1"},
        {"listen_fds": "1", "listen_pid": "1"},
        {"listen_fds": "x", "listen_pid": "MINE"},
        {"listen_fds": "-1", "listen_pid": "MINE"},
        {"listen_fds": "", "listen_pid": "MINE"},
        {"listen_fds": "0", "listen_pid": "MINE"},
    ],
)
def test_nothing_is_for_us(variables: dict[str, str]) -> None:
    mine = {name: value.replace("MINE", str(os.getpid())) for name, value in variables.items()}
    assert given(**mine) == []


def test_what_is_for_us() -> None:
    """In a process of its own: here 3 is taken."""
    program = """
import os, socket
os.closerange(3, 100)
web = socket.socket(); web.bind(("127.0.0.1", 0)); web.listen(); assert web.fileno() == 3
read, write = os.pipe(); assert read == 4
os.close(write)
for fd in (3, 4): os.set_inheritable(fd, True)
from reloaderd.kernel.activation import inherited
os.environ |= {"LISTEN_FDS": "4", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "web::x"}
found = inherited(os.environ)
print([(one.fd, one.name, one.address == "127.0.0.1:%d" % web.getsockname()[1]) for one in found])
print([os.get_inheritable(one.fd) for one in found])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.splitlines() == [
        "[(3, 'web', True), (4, 'unknown', False)]",
        "[False, False]",
    ], done.stderr


def test_asking_is_answered() -> None:
    """The helper of these tests says what a server says."""
    one = open_at("127.0.0.1:0")
    server = socket.socket(fileno=os.dup(one.fd))
    pid = os.fork()
    if pid == 0:
        client, _ = server.accept()
        client.recv(100)
        client.sendall(b"hello")
        os._exit(0)
    assert ask(one.address) == b"hello"
    os.waitpid(pid, 0)
    server.close()
    one.close()


@pytest.mark.parametrize("address", ["gone/web.sock", "192.0.2.1:0"])
def test_what_could_not_be_opened_leaves_none_that_shares_its_address(address: str) -> None:
    here = open_at("127.0.0.1:0")
    with pytest.raises(OSError):
        open_at(os.path.abspath(address) if "/" in address else address, [here])
    with socket.socket(fileno=os.dup(here.fd)) as one:
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    here.close()
