from __future__ import annotations

import json
import os
import resource
import select
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import Any

import pytest

from reloaderd.commands import Answer, Report
from reloaderd.errors import ReloaderdError
from reloaderd.events import Asked
from reloaderd.kernel import control as module
from reloaderd.kernel.claim import CONTROL, SUN_PATH, Claim, instances, listener
from reloaderd.kernel.control import MOST, UNSENT, Control
from reloaderd.kernel.runtime import places, runtime_directory
from reloaderd.kernel.varlink import LONGEST
from tests.support.places import REPOSITORY
from tests.support.waiting import wait_until


def names() -> list[str]:
    return [name for name, _ in instances()]


Open = Callable[..., Control]


@pytest.fixture
def told() -> list[Report]:
    return []


@pytest.fixture
def opened(runtime: Path, told: list[Report]) -> Iterator[Open]:
    """Open one of this name; closed in the end."""
    with ExitStack() as stack:

        def start(name: str = "web", named: bool = False) -> Control:
            return stack.enter_context(Control(name, named, told.append))

        yield start


@pytest.fixture
def control(opened: Open) -> Control:
    return opened()


@pytest.fixture
def connect(runtime: Path) -> Iterator[Callable[..., socket.socket]]:
    with ExitStack() as stack:

        def connect(name: str = "web") -> socket.socket:
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(str(runtime / "reloaderd" / name / CONTROL))
            one.setblocking(False)
            return one

        yield connect


Connect = Callable[..., socket.socket]


def call(method: str, **more: Any) -> bytes:
    return json.dumps({"method": method, **more}).encode() + b"\0"


def asked(control: Control) -> list[Asked]:
    """All that is asked by now, as the loop takes it."""
    events: list[Asked] = []
    while select.select([control], [], [], 0)[0]:
        before = len(events)
        events += control.read()
        for event in events[before:]:
            control.answer(Answer(event.client, {"method": event.method}))
        if len(events) == before and not select.select([control], [], [], 0)[0]:
            break
    return events


def answers(connection: socket.socket) -> list[dict[str, Any]]:
    """What it was sent by now; the last is None where it was hung up on."""
    data = b""
    found: list[Any] = []
    try:
        while part := connection.recv(1 << 16):
            data += part
        ended = True
    except ConnectionResetError:
        ended = True
    except BlockingIOError:
        ended = False
    found = [json.loads(text) for text in data.split(b"\0") if text]
    return [*found, None] if ended else found


# Calls and answers


def test_a_call_becomes_an_event_and_is_answered(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(call("a.B", parameters={"x": ["ä", None]}, more=True))
    [event] = asked(control)
    assert (event.method, event.parameters) == ("a.B", {"x": ["ä", None]})
    assert (event.more, event.oneway) == (True, False)
    since, offset = event.clock[-1]
    assert since > 0
    assert offset > 1_000_000_000
    assert answers(client) == [{"parameters": {"method": "a.B"}}]


def test_an_error_is_an_error(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(call("a.B"))
    select.select([control], [], [])
    control.read()
    [event] = control.read()
    control.answer(Answer(event.client, {"method": "a.B"}, "a.No"))
    assert answers(client) == [{"error": "a.No", "parameters": {"method": "a.B"}}]


def test_a_call_may_come_in_pieces(control: Control, connect: Connect) -> None:
    client = connect()
    for byte in call("a.B"):
        assert asked(control) == []
        client.send(bytes([byte]))
    assert [event.method for event in asked(control)] == ["a.B"]


def test_calls_that_come_at_once_are_answered_in_turn(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(b"".join(call(f"a.{number}") for number in range(100)))
    seen: list[str] = []
    told: list[str] = []
    while len(told) < 100:  # what is not read fills the socket, and then nothing more is asked
        seen += [event.method for event in asked(control)]
        told += [one["parameters"]["method"] for one in answers(client)]
    assert seen == told == [f"a.{number}" for number in range(100)]


def test_no_more_than_a_few_calls_are_taken_before_anything_else(control: Control, connect: Connect) -> None:
    clients = [connect() for _ in range(20)]
    for client in clients:
        client.send(call("a.B") * 50)
    control.read()
    most = 0
    for _ in range(20):
        events = control.read()
        most = max(most, len(events))
        for event in events:
            control.answer(Answer(event.client, {}))
    assert 0 < most <= module.AT_ONCE


def test_who_wants_no_answer_gets_none(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(call("a.B", oneway=True) + call("a.C"))
    assert len(asked(control)) == 2
    assert [one["parameters"]["method"] for one in answers(client)] == ["a.C"]


def test_who_has_said_all_is_answered_all_the_same(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(call("a.B"))
    client.shutdown(socket.SHUT_WR)
    asked(control)
    assert answers(client) == [{"parameters": {"method": "a.B"}}, None]


def test_a_name_that_is_not_utf_8(control: Control, connect: Connect) -> None:
    name = os.fsdecode(b"/\xff.py")
    client = connect()
    client.send(call("a.B", parameters={"path": name}))
    [event] = asked(control)
    assert event.parameters["path"] == name
    control.answer(Answer(event.client, {"path": name}))
    assert answers(client)[1]["parameters"]["path"] == name


# Those that are dropped


@pytest.mark.parametrize(
    "said",
    [
        b"\0",
        b"garbage\0",
        b"\xff\xfe\0",
        b"[]\0",
        b"{}\0",
        b'{"method": 1}\0',
        b'{"method": "a.B", "parameters": []}\0',
        b'{"method": "a.B", "upgrade": true}\0',
        b"[" * 60_000 + b"\0",
        b'{"method": "a.B", "parameters": {"x": ' + b"9" * 5000 + b"}}\0",
        b'"' + b"x" * LONGEST,
    ],
)
def test_garbage_is_hung_up_on(said: bytes, control: Control, connect: Connect) -> None:
    client, other = connect(), connect()
    client.setblocking(True)
    client.sendall(said)
    client.setblocking(False)
    assert asked(control) == []
    assert answers(client) == [None]
    other.send(call("a.B"))
    assert len(asked(control)) == 1


def test_a_call_of_the_greatest_length_is_taken_and_one_byte_more_is_not(
    control: Control, connect: Connect
) -> None:
    empty = len(call("a.B", parameters={"x": ""})) - 1
    for size, taken in ((LONGEST, 1), (LONGEST + 1, 0)):
        client = connect()
        client.sendall(call("a.B", parameters={"x": "x" * (size - empty)}))
        assert len(asked(control)) == taken


def test_half_a_call_waits_and_wakes_nobody(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(b'{"method":')
    asked(control)
    assert select.select([control], [], [], 0)[0] == []
    client.close()
    asked(control)
    assert select.select([control], [], [], 0)[0] == []


def test_a_flood_of_connections_makes_room_for_itself(control: Control, connect: Connect) -> None:
    clients = []
    for _ in range(MOST + 10):
        clients.append(connect())
        asked(control)
    assert [answers(one) for one in clients[:10]] == [[None]] * 10
    clients[-1].send(call("a.B"))
    assert len(asked(control)) == 1


def test_who_follows_is_kept_longer_than_who_says_nothing(control: Control, connect: Connect) -> None:
    follower = followed(control, connect)
    for _ in range(MOST + 10):
        connect()
        asked(control)
    control.report(Report("changed", "web", {}))
    assert answers(follower)[-1]["parameters"]["entry"]["event"] == "changed"


def test_an_answer_to_one_that_is_gone_is_no_other_ones(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(call("a.B"))
    control.read()
    [event] = control.read()
    client.close()
    control.read()
    other = connect()
    control.read()
    control.answer(Answer(event.client, {}))
    assert answers(other) == []


def test_who_does_not_read_is_not_asked_more(control: Control, connect: Connect) -> None:
    """What was not taken stays bounded: one answer."""
    client = connect()
    client.send(call("a.B") * 100)
    large = {"text": "x" * 200_000}
    taken = 0
    for _ in range(300):
        for event in control.read():
            taken += 1
            control.answer(Answer(event.client, large))
    assert taken < 10
    received = 0
    while received < 100:
        received += len(answers(client))
        for event in control.read():
            control.answer(Answer(event.client, {"text": ""}))
    assert received == 100


# Followers


def followed(control: Control, connect: Connect) -> socket.socket:
    client = connect()
    client.send(call("a.Events", more=True))
    select.select([control], [], [])
    events: list[Asked] = []
    while not events:
        events = control.read()
    control.follow(events[0].client)
    return client


def test_who_follows_is_told_of_every_report(control: Control, connect: Connect, told: list[Report]) -> None:
    client, idle = followed(control, connect), connect()
    control.report(Report("started", "web", {"run": 2, "event": "x"}))
    [message] = answers(client)
    entry = message["parameters"]["entry"]
    assert message["continues"] is True
    assert (entry["event"], entry["service"], entry["run"]) == ("started", "web", 2)
    assert entry["time"] > 1_000_000_000
    assert answers(idle) == []
    assert told == [Report("started", "web", {"run": 2, "event": "x"})]


def test_who_follows_and_does_not_read_is_dropped(control: Control, connect: Connect) -> None:
    client, other = followed(control, connect), followed(control, connect)
    text = "x" * 10_000
    sent = 0
    while len(control._clients) == 2:
        sent += 1
        control.report(Report("warning", "web", {"text": text}))
        assert len(answers(other)) == 1
    assert UNSENT < sent * len(text) < 10 * UNSENT
    assert answers(client)[-1] is None


def test_who_follows_and_has_gone_is_forgotten(control: Control, connect: Connect) -> None:
    client = followed(control, connect)
    client.close()
    asked(control)
    assert control._clients == {}
    assert select.select([control], [], [], 0)[0] == []


# The name


def test_the_directory_is_of_this_user_alone_and_gone_in_the_end(runtime: Path, told: list[Report]) -> None:
    with Control("web", False, told.append):
        directory = runtime / "reloaderd" / "web"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert os.listdir(directory) == [CONTROL]
        assert names() == ["web"]
    assert not directory.exists()
    assert told == []


def test_a_name_that_is_taken_gives_the_next_or_is_refused(opened: Open, runtime: Path) -> None:
    assert [opened().name for _ in range(3)] == ["web", "web-2", "web-3"]
    with pytest.raises(ReloaderdError) as caught:
        opened(named=True)
    assert caught.value.message == f"--name web: another reloaderd has this name (pid {os.getpid()})"
    assert caught.value.exit_code == 2
    assert names() == ["web", "web-2", "web-3"]


def killed(runtime: Path) -> Path:
    """The socket of one that is called web and was killed."""
    code = (
        "import os, sys; from reloaderd.kernel.control import Control; Control('web', True, print);"
        " os.kill(os.getpid(), 9)"
    )
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=False)
    path = runtime / "reloaderd" / "web" / CONTROL
    assert path.exists()
    return path


def test_a_name_of_one_that_was_killed_is_free(opened: Open, runtime: Path) -> None:
    path = killed(runtime)
    assert listener(str(path)) == 0
    assert opened(named=True).name == "web"
    assert listener(str(path)) == os.getpid()


def test_what_one_that_was_killed_has_left_goes_with_the_next(opened: Open, runtime: Path) -> None:
    """Whatever that is called; who lives, is about to listen, or has something else there keeps it."""
    opened("alive")
    starting = Claim("starting", True)
    path = killed(runtime)
    with_more = runtime / "reloaderd" / "more"
    shutil.copytree(path.parent, with_more, ignore=shutil.ignore_patterns(CONTROL))
    (with_more / "notes").touch()
    (with_more / CONTROL).touch()
    assert opened("other")
    assert sorted(os.listdir(runtime / "reloaderd")) == ["alive", "more", "other", "starting"]
    assert listener(str(runtime / "reloaderd" / "alive" / CONTROL)) == os.getpid()
    assert os.listdir(with_more) == ["notes"]
    starting.close()


def test_nothing_is_removed_while_another_one_claims_a_name(opened: Open, runtime: Path) -> None:
    """It would take the name for taken."""
    path = killed(runtime)
    with open_directory(runtime_directory()) as claiming:
        flock(claiming, LOCK_SH)
        assert opened("other")
        assert path.exists()
        flock(claiming, LOCK_EX)
        assert opened("third"), "it waits for who looks, and not for ever"
        assert path.exists()


@contextmanager
def open_directory(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_name_is_taken_before_anybody_listens(opened: Open, runtime: Path) -> None:
    taken = Claim("web", True)
    assert opened().name == "web-2"
    with pytest.raises(ReloaderdError, match="has this name$"):
        opened(named=True)
    taken.close()


def test_a_name_that_is_too_long_is_cut_or_refused(opened: Open, runtime: Path) -> None:
    name = "n" * 200
    assert len(os.fsencode(f"{runtime_directory()}/{opened(name).name}/.control")) == SUN_PATH
    assert opened(name).name.endswith("n-2")
    with pytest.raises(ReloaderdError, match="too long"):
        opened(name, named=True)


@pytest.mark.parametrize("what", ["file", "link", "modes"])
def test_what_is_no_directory_of_our_own_is_left_alone(
    what: str, opened: Open, runtime: Path, told: list[Report], tmp_path: Path
) -> None:
    place = Path(runtime_directory()) / "web"
    if what == "file":
        place.write_text("")
    elif what == "link":
        place.symlink_to(tmp_path)
    else:
        place.mkdir()
        place.chmod(0o755)
    control = opened()
    assert not control
    [warning] = told
    text = f"nobody can talk to this reloaderd (status, restart …): {place}"
    assert warning.fields["text"].startswith(text)
    assert os.listdir(tmp_path) == []
    control.report(Report("started", "web", {}))  # and it goes on
    assert len(told) == 2


def test_a_directory_like_an_agents_socket_is_left_alone(opened: Open, runtime: Path) -> None:
    opened("agent-999999999-x")
    runtime_directory()
    assert names() == ["agent-999999999-x"]


def test_without_a_name_there_is_nothing(runtime: Path, told: list[Report]) -> None:
    with Control("", False, told.append) as control:
        assert not control
        control.report(Report("started", "web", {}))
    assert [*runtime.iterdir()] == []
    assert len(told) == 1


@pytest.mark.needs("root", "setpriv", "perl")
def test_another_user_is_not_listened_to(control: Control, runtime: Path) -> None:
    """By perl: this Python may be where nobody else can get to."""
    path = runtime / "reloaderd" / "web" / CONTROL
    for directory in (runtime, runtime / "reloaderd", runtime / "reloaderd" / "web"):
        directory.chmod(0o755)
    path.chmod(0o777)
    code = (
        "$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; $SIG{PIPE} = 'IGNORE'; $s->autoflush;"
        ' print $s "{\\"method\\": \\"a.B\\"}\\0"; sysread($s, $answer, 10); print "heard [$answer]"'
    )
    argv = ["setpriv", "--reuid=65534", "--clear-groups", "perl", "-MIO::Socket::UNIX", "-e", code, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        wait_until(lambda: select.select([control], [], [], 0)[0], "the other user")
        assert asked(control) == []
        assert other.communicate() == ("heard []", "")


def test_no_descriptor_is_inherited(control: Control) -> None:
    fds = [control.fileno(), control._listener.fileno(), control._claim._lock]  # type: ignore[union-attr]
    assert not any(os.get_inheritable(fd) for fd in fds)


def test_the_time_of_day_is_noted_where_it_changes(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(control._clock) == 1
    control.report(Report("started", "web", {}))
    assert len(control._clock) == 1
    since, offset = control._clock[0]
    control._clock[0] = (since, offset - 3600)  # as if it had slept for an hour since
    control.report(Report("started", "web", {}))
    assert len(control._clock) == 2


def test_who_only_asks_makes_nothing(runtime: Path) -> None:
    assert names() == []
    assert [*runtime.iterdir()] == []


def test_who_has_no_runtime_directory_looks_where_others_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    uid = os.getuid()
    known = [f"/run/user/{uid}/reloaderd", f"/tmp/reloaderd-{uid}"]
    assert places() == [place for place in known if os.path.isdir(place) and os.stat(place).st_uid == uid]


def test_where_no_descriptor_is_left_they_wait_and_nothing_spins(control: Control, connect: Connect) -> None:
    client = connect()
    client.send(call("a.B"))
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        assert asked(control) == []
        assert select.select([control], [], [], 0)[0] == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    control.report(Report("started", "web", {}))
    assert len(asked(control)) == 1


def test_where_no_descriptor_is_left_the_oldest_makes_room(control: Control, connect: Connect) -> None:
    idle = connect()
    asked(control)
    client = connect()
    client.send(call("a.B"))
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        assert len(asked(control)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert answers(idle) == [None]


def test_a_directory_that_was_removed_is_not_taken_for_the_next_of_its_name(
    opened: Open, runtime: Path
) -> None:
    first = opened()
    shutil.rmtree(runtime / "reloaderd" / "web")
    assert opened(named=True).name == "web"
    first.close()
    assert names() == ["web"]
    assert listener(str(runtime / "reloaderd" / "web" / CONTROL)) == os.getpid()
