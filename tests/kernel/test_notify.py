"""The notify socket: what a manager hears, with which descriptors, and what if it does not listen."""

from __future__ import annotations

import os
import select
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reloaderd.kernel.notify import LONGEST, Given, Notifier, take
from tests.support.manager import Manager

Listen = Callable[[object], Manager]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A path that is short enough for a socket in it, as `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Start a manager that listens at an address."""
    made: list[Manager] = []

    def start(address: object) -> Manager:
        made.append(Manager(str(address)))
        return made[-1]

    yield start
    for one in made:
        one.close()


@contextmanager
def speaking(address: str) -> Iterator[Notifier]:
    notifier = Notifier(address)
    try:
        yield notifier
    finally:
        notifier.close()


def is_ready(notifier: Notifier, limit: float = 0) -> bool:
    return bool(select.select([notifier], [], [], limit)[0])


def fill(notifier: Notifier) -> int:
    """Say numbered things until one of them waits; how many were sent."""
    count = 0
    while not notifier._waiting:
        assert notifier.send(f"X_{count}=1")
        count += 1
    return count - 1


@pytest.fixture(params=["path", "abstract", "bytes"])
def address(request: pytest.FixtureRequest, directory: Path) -> str:
    if request.param == "abstract":
        return f"@reloaderd-test-{os.getpid()}"
    name = "notify" if request.param == "path" else os.fsdecode(b"not\xff")
    return os.path.join(directory, name)


def test_a_message_is_one_datagram(listen: Listen, address: str) -> None:
    manager = listen(address)
    with speaking(address) as notifier:
        assert notifier.send("READY=1\nSTATUS=running")
        assert notifier.send("WATCHDOG=1")
        assert manager.hear() == "READY=1\nSTATUS=running"
        assert manager.hear() == "WATCHDOG=1"
        assert not is_ready(notifier)


def test_it_is_ours_by_its_credentials(listen: Listen, directory: Path) -> None:
    manager = listen(directory / "notify")
    manager.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    with speaking(str(directory / "notify")) as notifier:
        notifier.send("READY=1")
        _, ancillary, _, _ = manager.socket.recvmsg(100, 100)
    [(_, kind, data)] = ancillary
    assert kind == socket.SCM_CREDENTIALS
    assert int.from_bytes(data[:4], "little") == os.getpid()


def test_descriptors_go_with_it(listen: Listen, directory: Path) -> None:
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier, tempfile.TemporaryFile() as file:
        assert notifier.send("FDSTORE=1\nFDNAME=web", [file.fileno(), 0])
        text, descriptors = manager.hear_with()
        assert text == "FDSTORE=1\nFDNAME=web"
        assert len(descriptors) == 2
        assert os.path.sameopenfile(descriptors[0], file.fileno())
        for one in descriptors:
            os.close(one)


def test_nobody_listens(directory: Path) -> None:
    with speaking(str(directory / "none")) as notifier:
        assert not notifier.send("READY=1")
        assert not is_ready(notifier)


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative", "", "/" + "long" * 50, "/nul\0there"])
def test_an_address_of_another_kind(address: str) -> None:
    with speaking(address) as notifier:
        assert not notifier.send("READY=1")


def test_a_descriptor_that_is_none(listen: Listen, directory: Path) -> None:
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier:
        assert not notifier.send("FDSTORE=1", [12345])
        fill(notifier)
        assert not notifier.send("FDSTORE=1", [12345])
    assert manager.hear() == "X_0=1"


def test_what_finds_no_room_is_sent_when_there_is_some(listen: Listen, directory: Path) -> None:
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier:
        sent = fill(notifier)
        assert not is_ready(notifier)
        for _ in range(sent):
            manager.hear()
        assert is_ready(notifier, 10)
        notifier.read()
        assert manager.hear() == f"X_{sent}=1"
        assert not is_ready(notifier)


def test_what_says_the_same_later_takes_its_place(listen: Listen, directory: Path) -> None:
    """However long nobody reads, and in the order in which it was said last."""
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier:
        sent = fill(notifier)
        for number in range(1000):
            notifier.send(f"STATUS={number}")
            notifier.send("WATCHDOG=1")
        notifier.send("READY=1")
        assert len(notifier._waiting) == 4
        told = []
        for _ in range(sent + 4):
            if is_ready(notifier):
                notifier.read()
            told.append(manager.hear())
    assert told[sent + 1 :] == ["STATUS=999", "WATCHDOG=1", "READY=1"]


def test_descriptors_wait_too_though_they_are_closed_here(listen: Listen, directory: Path) -> None:
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier:
        sent = fill(notifier)
        for text in (b"one", b"two"):
            with tempfile.TemporaryFile() as file:
                file.write(text)
                assert notifier.send("FDSTORE=1\nFDNAME=web", [file.fileno()])
        found = []
        for _ in range(sent + 3):
            if is_ready(notifier):
                notifier.read()
            for descriptor in manager.hear_with()[1]:
                found.append(os.pread(descriptor, 10, 0))
                os.close(descriptor)
    assert found == [b"one", b"two"]


def test_the_end_waits_a_little_and_leaves_no_descriptor(listen: Listen, directory: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier:
        sent = fill(notifier)
        notifier.send("FDSTORE=1", [0])
    assert [manager.hear() for _ in range(sent)]
    assert manager.hears_nothing()
    manager.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_another_one_listens_at_the_same_path(listen: Listen, directory: Path) -> None:
    path = directory / "notify"
    first = listen(path)
    with speaking(str(path)) as notifier:
        notifier.send("READY=1")
        assert first.hear() == "READY=1"
        first.close()
        assert not notifier.send("STATUS=lost")
        path.unlink()
        second = listen(path)
        assert notifier.send("STATUS=found")
        assert second.hear() == "STATUS=found"


def test_another_one_listens_while_something_waits(listen: Listen, directory: Path) -> None:
    path = directory / "notify"
    first = listen(path)
    with speaking(str(path)) as notifier:
        sent = fill(notifier)
        path.unlink()
        second = listen(path)
        first.close()
        assert is_ready(notifier, 10)
        notifier.read()
        assert second.hear() == f"X_{sent}=1"
        assert not is_ready(notifier)


def test_it_is_cut_to_what_is_read(listen: Listen, directory: Path) -> None:
    manager = listen(directory / "notify")
    with speaking(str(directory / "notify")) as notifier:
        notifier.send("STATUS=" + "x" * 5000)
        assert len(manager.hear()) == LONGEST
        notifier.send("STATUS=\udcff")
        assert manager.hear() == "STATUS=\\udcff"


def test_what_the_environment_says_is_taken_from_it() -> None:
    mine = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}
    environ = {**mine, "HOME": "/root"}
    assert take(environ) == Given("/n", 1.5)
    assert environ == {"HOME": "/root"}
    assert take(environ) is None
    assert take({**mine, "WATCHDOG_PID": "1"}) == Given("/n", 0.0)
    assert take({**mine, "WATCHDOG_PID": ""}) == Given("/n", 1.5)
    for never in ("soon", "", "-1", str(2**64 - 1), "9" * 20, "9" * 5000):
        assert take({**mine, "WATCHDOG_USEC": never}) == Given("/n", 0.0)
    assert take({"WATCHDOG_USEC": "1500000"}) is None
