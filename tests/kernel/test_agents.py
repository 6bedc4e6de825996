from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reloaderd.events import FilesLoaded, Loaded
from reloaderd.kernel import agents as module
from reloaderd.kernel import runtime as runtime_module
from reloaderd.kernel.agents import AGENT, AT_ONCE, PENDING, Agents, runtime_directory, without_agent
from reloaderd.kernel.files import stamp
from reloaderd.kernel.packets import LONGEST
from tests.support import procfs
from tests.support.places import REPOSITORY

HELLO = {"service": "web", "run": 3}


@pytest.fixture
def agents(runtime: Path) -> Iterator[Agents]:
    with Agents() as agents:
        yield agents


def connect(agents: Agents) -> socket.socket:
    """A connection as a child makes it."""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sender.setblocking(False)
    try:
        sender.connect(agents.path)
    except OSError:
        sender.close()
        raise
    return sender


def say(agents: Agents, *packets: Any) -> None:
    """What a child does: connect, send, close."""
    with connect(agents) as sender:
        for packet in packets:
            sender.send(packet if isinstance(packet, bytes) else json.dumps(packet).encode())


def told(agents: Agents) -> list[FilesLoaded]:
    """All that was said."""
    events: list[Any] = []
    while news := agents.read():
        events += news
    return events


def entry(path: Path, real: str = "") -> list[Any]:
    look = os.stat(path)
    return [str(path), real, look.st_dev, look.st_ino, look.st_size, look.st_mtime_ns, look.st_ctime_ns]


def test_what_is_said_becomes_an_event(agents: Agents, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    say(
        agents,
        {**HELLO, "python": "/bin/python3"},
        {**HELLO, "modules": [entry(tmp_path / "a.py", "/real/a.py")]},
    )
    paths = {"own": ["/o"], "missing": ["/m", "/n"], "absent": ["/a"]}
    say(agents, {**HELLO, **paths, "libraries": 7, "full": True})
    say(agents, {**HELLO, "data": [["/gone", "", 0, 0, 0, 0, 0]]})
    first, second, third, fourth = told(agents)
    assert first == FilesLoaded("web", 3, "/bin/python3", [], [], [], [], [], 0, False, os.getpid())
    look = stamp(str(tmp_path / "a.py"))
    assert look is not None
    assert second.modules == [Loaded(str(tmp_path / "a.py"), "/real/a.py", look._replace(young=False))]
    assert third == FilesLoaded("web", 3, "", [], [], ["/o"], ["/m", "/n"], ["/a"], 7, True, os.getpid())
    assert fourth.data == [Loaded("/gone", "/gone", None)]


def test_an_inode_number_that_tells_nothing_is_left_out(agents: Agents, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    device = os.stat(tmp_path).st_dev
    agents.forgetful = {device}
    say(agents, {**HELLO, "modules": [entry(tmp_path / "a.py")]})
    look = stamp(str(tmp_path / "a.py"), {device})
    assert look is not None
    assert told(agents)[0].modules[0].stamp == look._replace(young=False)


def test_no_number_is_negative_that_counts_something(agents: Agents) -> None:
    say(agents, {**HELLO, "libraries": -7})
    assert told(agents)[0].libraries == 0


def test_a_name_that_is_not_utf_8(agents: Agents) -> None:
    name = os.fsdecode(b"/tmp/\xff.py")
    say(agents, {**HELLO, "missing": [name]})
    assert told(agents)[0].missing == [name]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff\x00garbage",
        b"[" * 60_000,
        b"[]",
        b"1e999999",
        {"run": 3},
        {"service": 1, "run": 3},
        {"service": "web", "run": "3"},
        {"service": "web", "run": True},
        {**HELLO, "modules": [["/a"]]},
        {**HELLO, "modules": [["relative", "", 1, 1, 1, 1, 1]]},
        {**HELLO, "modules": [["/a\0b", "", 1, 1, 1, 1, 1]]},
        {**HELLO, "modules": [["/a", "", 1, 1, 1.5, 1, 1]]},
        {**HELLO, "modules": [["/a", 7, 1, 1, 1, 1, 1]]},
        {**HELLO, "modules": {"/a": 1}},
        {**HELLO, "modules": 7},
        {**HELLO, "missing": ["/" + "a" * 5000]},
        {**HELLO, "missing": ["/\ud800"]},
        {**HELLO, "libraries": "many"},
        {**HELLO, "libraries": 10**4200},
        {**HELLO, "modules": [["/a", "", 1, 1, -(10**4200), 1, 1]]},
        {**HELLO, "python": ["x"]},
        {**HELLO, "missing": ["/" + "a" * 1000] * (LONGEST // 1000 + 1)},
    ],
)
def test_whoever_says_anything_else_is_hung_up_on(agents: Agents, packet: Any) -> None:
    sender = connect(agents)
    sender.send(packet if isinstance(packet, bytes) else json.dumps(packet).encode())
    sender.send(json.dumps(HELLO).encode())
    assert told(agents) == []
    with pytest.raises(OSError):
        sender.send(b"anything")
    sender.close()
    say(agents, HELLO)
    assert len(told(agents)) == 1


def test_one_that_has_not_said_all_is_waited_for_without_waiting(agents: Agents) -> None:
    sender = connect(agents)
    assert told(agents) == []
    sender.send(json.dumps(HELLO).encode())
    assert len(told(agents)) == 1
    sender.send(json.dumps(HELLO).encode())
    sender.close()
    assert len(told(agents)) == 1
    before = len(procfs.fds(os.getpid()))
    sender = connect(agents)
    agents.read()
    sender.close()
    agents.read()
    assert len(procfs.fds(os.getpid())) == before


def test_a_flood_is_bounded(agents: Agents) -> None:
    silent = [connect(agents) for _ in range(PENDING + 50)]
    while agents.read():
        pass
    for _ in range(PENDING // AT_ONCE + 2):
        agents.read()
    say(agents, HELLO)
    assert len(told(agents)) == 1
    assert len(agents._connections) <= PENDING
    for sender in silent:
        sender.close()
    for _ in range(5_000):
        try:
            say(agents, HELLO)
        except BlockingIOError:
            break
    assert len(agents.read()) <= AT_ONCE + PENDING


def test_what_many_children_say_is_taken_in_turns(agents: Agents) -> None:
    for _ in range(3 * AT_ONCE):
        say(agents, HELLO)
    assert len(agents.read()) == AT_ONCE
    assert len(told(agents)) == 2 * AT_ONCE


def test_large_packets_leave_others_their_turn_sooner(agents: Agents) -> None:
    large = {**HELLO, "missing": [f"/{number}" + "m" * 90 for number in range(600)]}
    with connect(agents) as sender:
        for _ in range(3):
            sender.send(json.dumps(large).encode())
    for _ in range(AT_ONCE):
        say(agents, HELLO)
    assert len(agents.read()) < AT_ONCE // 2
    assert len(told(agents)) > AT_ONCE // 2


def test_who_only_connects_does_not_keep_others_waiting(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As fast as they are taken, others come."""
    taken = 0

    def peer(connection: Any) -> tuple[int, int]:
        nonlocal taken
        taken += 1
        if taken < 5 * AT_ONCE:
            connect(agents).close()
        return 1, os.geteuid()

    monkeypatch.setattr(module, "peer", peer)
    connect(agents).close()
    assert agents.read() == []
    assert taken == AT_ONCE


def test_one_that_makes_room_for_another_may_have_had_something_to_say(agents: Agents) -> None:
    silent = [connect(agents) for _ in range(PENDING)]
    assert told(agents) == []
    newer = connect(agents)
    for sender in silent:
        sender.send(json.dumps(HELLO).encode())
    assert len(told(agents)) == PENDING - 1
    for sender in [*silent, newer]:
        sender.close()


def test_another_user_is_hung_up_on(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    say(agents, HELLO)
    uid = os.geteuid()
    monkeypatch.setattr(module.os, "geteuid", lambda: uid + 1)
    assert told(agents) == []


# Where it is


def test_nobody_else_can_reach_it_and_nothing_is_left(runtime: Path) -> None:
    with Agents() as agents:
        assert os.stat(runtime / "reloaderd").st_mode & 0o777 == 0o700
        assert os.path.dirname(agents.path) == str(runtime / "reloaderd")
    assert os.listdir(runtime / "reloaderd") == []


def test_what_a_killed_one_left_is_removed_and_nothing_else(runtime: Path) -> None:
    with Agents() as living:
        dead = runtime / "reloaderd/agent-4194305-dead"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(dead))
        listener.close()
        other = runtime / "reloaderd/notes"
        other.touch()
        with Agents():
            assert not dead.exists()
            assert other.exists()
            say(living, HELLO)
            assert len(told(living)) == 1


def test_those_that_start_together_leave_each_other_alone(runtime: Path) -> None:
    """One clears away what is dead while the others begin to listen."""
    clear = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from reloaderd.kernel.agents import runtime_directory\n"
        "while True: runtime_directory()"
    )
    busy = [subprocess.Popen([sys.executable, "-c", clear]) for _ in range(2)]
    try:
        for _ in range(400):
            with Agents() as agents:
                assert os.path.exists(agents.path)
    finally:
        for one in busy:
            one.kill()
            assert one.wait() == -signal.SIGKILL  # none of them failed


def test_a_directory_that_others_could_look_into_is_refused(runtime: Path) -> None:
    (runtime / "reloaderd").mkdir()
    (runtime / "reloaderd").chmod(0o755)
    with pytest.raises(PermissionError):
        Agents()
    (runtime / "reloaderd").rmdir()
    (runtime / "mine").mkdir(mode=0o700)
    (runtime / "reloaderd").symlink_to("mine")
    with pytest.raises(PermissionError):
        Agents()


def test_without_a_runtime_directory_it_is_below_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("", "relative", "/no/such", "/" + "long/" * 30):
        monkeypatch.setenv("XDG_RUNTIME_DIR", given)
        assert runtime_directory() == f"/tmp/reloaderd-{os.geteuid()}"


def test_a_runtime_directory_of_another_user_is_left_to_that_one(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo -E` hands it on."""
    (runtime / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "file"))
    assert runtime_directory() == f"/tmp/reloaderd-{os.geteuid()}"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    uid = os.geteuid()
    assert not runtime_module._is_own(str(runtime), uid + 1)
    assert runtime_module._is_own(str(runtime), uid)


def test_what_keeps_it_from_listening_is_named(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "rename", rename)
    with pytest.raises(OSError, match="No space left") as caught:
        Agents()
    assert caught.value.filename == str(runtime / "reloaderd")


# The environment


def test_the_agent_comes_first_on_the_path(agents: Agents) -> None:
    assert agents.environ(None, ["/p"])["PYTHONPATH"] == AGENT
    assert agents.environ("/a:/b", ["/p"])["PYTHONPATH"] == f"{AGENT}:/a:/b"
    assert os.path.exists(os.path.join(AGENT, "sitecustomize.py"))


def test_roots_are_told_as_they_are_spelled_and_as_they_are(agents: Agents, tmp_path: Path) -> None:
    (tmp_path / "new\nline 100%").mkdir()
    (tmp_path / "link").symlink_to("new\nline 100%")
    value = agents.environ(None, [str(tmp_path / "link")])["RELOADERD_AGENT"]
    assert value.split("\n") == [agents.path, f"{tmp_path}/link", f"{tmp_path}/new%0Aline 100%25"]


def test_the_agent_of_another_reloaderd_is_taken_out() -> None:
    assert without_agent({"PYTHONPATH": f"{AGENT}:/a", "X": "1"}) == {"PYTHONPATH": "/a", "X": "1"}
    assert without_agent({"PYTHONPATH": AGENT}) == {}
    for environ in ({}, {"PYTHONPATH": "/a"}, {"PYTHONPATH": AGENT + "x"}):
        assert without_agent(dict(environ)) == environ
