"""Who listens on the agents' socket: what is told, and what comes of answers, lies and silence."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reloaderd.events import ChildTold, Event
from reloaderd.kernel import listeners
from reloaderd.kernel.agents import Agents
from reloaderd.kernel.packets import LONGEST
from tests.support.waiting import wait_until

Told = list[tuple[int, list[str]]]

MO, PO = "/p/de.mo", "/p/de.po"


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[Agents]:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with Agents() as agents:
        yield agents


@pytest.fixture
def listen(agents: Agents) -> Iterator[Callable[..., Listening]]:
    """Connect one that listens, and let the daemon hear of it."""
    made: list[Listening] = []

    def start(run: int = 1, service: str = "web") -> Listening:
        one = Listening(agents.path, service, run)
        made.append(one)
        assert agents.read() == []
        return one

    yield start
    for one in made:
        one.close()


class Listening:
    """A process that listens, in this one."""

    def __init__(self, path: str, service: str, run: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.say({"service": service, "run": run, "listen": True})

    def say(self, what: Any) -> None:
        self.socket.send(what if isinstance(what, bytes) else json.dumps(what).encode())

    def hear(self) -> tuple[int, list[str]]:
        data = self.socket.recv(LONGEST + 1)
        assert 0 < len(data) <= LONGEST
        notice = json.loads(data)
        return notice["notify"], notice["paths"]

    def answer(self, unhandled: tuple[str, ...] = (), **more: Any) -> None:
        number, _ = self.hear()
        self.say({"notify": number, "unhandled": unhandled, **more})

    def is_dropped(self) -> bool:
        self.socket.settimeout(0)
        try:
            while data := self.socket.recv(LONGEST + 1):
                assert data
        except BlockingIOError:
            return False
        except ConnectionResetError:  # what it said last was not read
            pass
        return True

    def close(self) -> None:
        self.socket.close()


def heard(agents: Agents) -> list[Event]:
    return wait_until(agents.read, "an event")


def test_what_every_listener_of_the_run_handles_is_handled(agents: Agents, listen: Any) -> None:
    both = [listen(), listen()]
    assert agents.tell("web", 1, 7, [MO]) == []
    both[0].answer()
    assert agents.read() == []
    both[1].answer()
    assert heard(agents) == [ChildTold("web", 1, 7, [])]


def test_nobody_listens(agents: Agents, listen: Any) -> None:
    assert agents.tell("web", 1, 7, [MO]) == [ChildTold("web", 1, 7, [MO])]
    others = [listen(run=2), listen(service="worker")]
    assert agents.tell("web", 1, 8, [MO]) == [ChildTold("web", 1, 8, [MO])]
    for one in others:
        assert not one.is_dropped()


def test_one_who_has_a_callback_is_enough_and_one_whose_callback_failed_is_too_many(
    agents: Agents, listen: Any
) -> None:
    one, other = listen(), listen()
    agents.tell("web", 1, 7, [MO, PO])
    one.answer(unhandled=(PO,))
    other.answer(unhandled=(MO,))
    assert heard(agents) == [ChildTold("web", 1, 7, [])]
    agents.tell("web", 1, 8, [MO, PO])
    one.answer(failed=[PO])
    other.answer()
    assert heard(agents) == [ChildTold("web", 1, 8, [PO])]


def test_one_who_ends_before_it_answers_has_not_handled_it(agents: Agents, listen: Any) -> None:
    one, other = listen(), listen()
    agents.tell("web", 1, 7, [MO])
    other.answer()
    one.close()
    assert heard(agents) == [ChildTold("web", 1, 7, [MO])]
    agents.tell("web", 1, 8, [MO])
    other.answer()
    assert heard(agents) == [ChildTold("web", 1, 8, [])]


def test_one_who_ended_before_is_not_waited_for(agents: Agents, listen: Any) -> None:
    listen().close()
    (told,) = agents.tell("web", 1, 7, [MO]) or heard(agents)
    assert told == ChildTold("web", 1, 7, [MO])


@pytest.mark.parametrize(
    "said",
    [
        *(b"", b"\xff", b"[]", b"7", b"{}", b"[" * 5000, b'{"notify": 1}', b'{"unhandled": []}'),
        *(b'{"notify": 2, "unhandled": []}', b'{"notify": [], "unhandled": []}'),
        *(b'{"notify": 1, "unhandled": ["/other"]}', b'{"notify": 1, "unhandled": [[]]}'),
        *(b'{"notify": 1, "unhandled": null}', b'{"notify": 1, "unhandled": "/p/de.mo"}'),
        *(b'{"notify": 1, "unhandled": {}}', b'{"notify": 1, "unhandled": [], "failed": 3}'),
        b'{"notify": 1, "unhandled": [], "x": "' + b"x" * LONGEST + b'"}',
    ],
    ids=lambda said: said[:44].decode("latin-1"),
)
def test_who_answers_what_was_not_asked_is_dropped(agents: Agents, listen: Any, said: bytes) -> None:
    liar, other = listen(), listen()
    agents.tell("web", 1, 7, [MO])
    other.answer()
    liar.say(said) if said else liar.close()
    assert heard(agents) == [ChildTold("web", 1, 7, [MO])]
    assert not said or liar.is_dropped()
    agents.tell("web", 1, 8, [MO])
    other.answer()
    assert heard(agents) == [ChildTold("web", 1, 8, [])]


def test_who_answers_twice_is_dropped(agents: Agents, listen: Any) -> None:
    one = listen()
    agents.tell("web", 1, 7, [MO])
    one.say({"notify": 1, "unhandled": []})
    one.say({"notify": 1, "unhandled": []})
    assert heard(agents) == [ChildTold("web", 1, 7, [])]
    assert one.is_dropped()


def test_many_paths_are_told_in_several_packets(agents: Agents, listen: Any) -> None:
    odd = "\udcff\n€" * 40
    paths = [f"/p/{odd}{number}.mo" for number in range(1000)]
    one = listen()
    assert agents.tell("web", 1, 7, paths) == []
    found: list[str] = []
    while len(found) < len(paths):
        number, part = one.hear()
        found += part
        assert agents.read() == []
        one.say({"notify": number, "unhandled": part[:1], "failed": part[:1]})
    assert found == paths
    (told,) = heard(agents)
    assert isinstance(told, ChildTold)
    assert 5 < len(told.unhandled) < 40
    assert told.unhandled[0] == paths[0]


def test_the_longest_path_fits(agents: Agents, listen: Any) -> None:
    path = "/" + "\x01" * 4095
    one = listen()
    assert agents.tell("web", 1, 7, [path, path + "x"]) == [ChildTold("web", 1, 7, [path, path + "x"])]
    assert agents.tell("web", 1, 8, [path]) == []
    assert one.hear()[1] == [path]


def test_too_many_paths_are_told_to_nobody(agents: Agents, listen: Any) -> None:
    one = listen()
    paths = [f"/p/{number}" for number in range(listeners.MOST_PATHS + 1)]
    assert agents.tell("web", 1, 7, paths) == [ChildTold("web", 1, 7, paths)]
    agents.tell("web", 1, 8, [MO])
    assert one.hear()[1] == [MO]


def test_one_who_does_not_read_is_not_waited_for_and_hears_all_once_it_does(
    agents: Agents, listen: Any
) -> None:
    paths = [f"/p/{'x' * 200}{number}.mo" for number in range(5000)]  # a megabyte: more than a socket holds
    one, other = listen(), listen()
    assert agents.tell("web", 1, 7, paths) == []
    told = 0
    for listener in (other, one):
        while told < len(paths):
            agents.read()
            number, part = listener.hear()
            told += len(part)
            listener.say({"notify": number, "unhandled": []})
        told = 0
    assert heard(agents) == [ChildTold("web", 1, 7, [])]


def test_one_who_never_answers_is_dropped_after_a_while(agents: Agents, listen: Any) -> None:
    one = listen()
    events: list[Event] = []
    for number in range(listeners.MOST_OPEN + 1):
        assert events == []
        events = agents.tell("web", 1, number, [MO])
    assert len(events) == listeners.MOST_OPEN + 1
    assert one.is_dropped()


def test_where_one_listens_unheard_nothing_is_taken_for_handled(
    agents: Agents, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MOST", 2)
    made = [listen() for _ in range(3)]
    assert [one.is_dropped() for one in made] == [False, False, True]
    assert agents.tell("web", 1, 7, [MO]) == [ChildTold("web", 1, 7, [MO])]
    for one in made:
        one.close()
    agents.read()
    assert [listen(run=2) for _ in range(2)]
    assert agents.tell("web", 2, 8, [MO]) == []


def test_those_who_listen_for_no_run_that_there_is_are_not_remembered_without_end(
    agents: Agents, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MOST", 3)
    for number in range(10):
        listen(service=str(number))
    one = agents._listeners
    assert one is not None
    assert len(one._refused) <= 3
    # nobody knows any more who was refused
    assert agents.tell("0", 1, 7, [MO]) == [ChildTold("0", 1, 7, [MO])]


def test_those_who_tell_and_those_who_listen_share_the_socket(agents: Agents, listen: Any) -> None:
    listen()
    teller = Listening(agents.path, "web", 1)
    teller.close()
    agents.read()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(agents.path)
    connection.send(json.dumps({"service": "web", "run": 1, "libraries": 3}).encode())
    (loaded,) = agents.read()
    assert type(loaded).__name__ == "FilesLoaded"
    connection.close()
    assert agents.tell("web", 1, 7, [MO]) == []


def test_without_the_agent_a_child_may_listen_all_the_same(agents: Agents) -> None:
    environ = agents.environ("/x", ["/p"], agent=False)
    assert environ["RELOADERD_AGENT"].split("\n")[0] == agents.path
    assert "PYTHONPATH" not in environ
    assert agents.environ("/x", ["/p"])["PYTHONPATH"].endswith(":/x")


def test_all_descriptors_are_closed_with_the_socket(agents: Agents, listen: Any) -> None:
    listen()
    agents.tell("web", 1, 7, [MO])
    before = len(os.listdir("/proc/self/fd"))
    agents.close()
    assert len(os.listdir("/proc/self/fd")) == before - 4  # two epolls, the socket, a connection
    agents._epoll, agents._listener, agents._listeners = (_Closed(),) * 3  # type: ignore[assignment]


class _Closed:
    def close(self) -> None:
        pass
