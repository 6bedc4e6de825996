"""What a service manager hears of a real reloaderd (SD01 to SD05, SD09), and when it hears nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_config import table, write
from tests.daemon.test_overflow import flood
from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch, reloaderd
from tests.support.deafen import deafen
from tests.support.faults import stopped
from tests.support.manager import Hearing
from tests.support.places import Place, build
from tests.support.waiting import LIMIT

INTERVAL = 0.8
"""Seconds of a watchdog: long enough for a busy machine, and short for a test."""


@pytest.fixture(autouse=True)
def tree(place: Place) -> Path:
    build(place.tree, {"a.py": "1\n"})
    return place.tree


@pytest.fixture
def manager(place: Place) -> Iterator[Hearing]:
    manager = Hearing(str(place.runtime / "notify"))
    yield manager
    manager.close()


@pytest.fixture
def managed(manager: Hearing, watch: Watch, place: Place) -> Callable[..., Daemon]:
    """Start reloaderd as a service of `manager`; `watchdog` in seconds."""

    def start(*options: str, watchdog: float = 0.0, **keywords: Any) -> Daemon:
        environ = {"NOTIFY_SOCKET": str(place.runtime / "notify"), **keywords.pop("environ", {})}
        if watchdog:
            environ["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        return watch(*options, environ=environ, **keywords)

    return start


Start = Callable[..., Daemon]


# READY


def test_sd01_ready_when_all_is_watched_and_the_child_was_started(manager: Hearing, managed: Start) -> None:
    daemon = managed(ready=False)
    manager.wait("READY")
    daemon.refresh()
    assert [one["event"] for one in daemon.events][:1] == ["watching"]
    assert procfs.inotify_watches(daemon.pid)
    daemon.wait_ready()
    status = f"tree: run 1, pid {daemon.starts[0].pid}, watching 1 directory"
    assert manager.said("STATUS") == ["tree: finding what to watch", status]
    assert manager.said("READY") == ["1"]
    assert manager.pids == {daemon.pid}


def test_sd09_the_child_has_nothing_of_it(manager: Hearing, managed: Start) -> None:
    """No variable, and no descriptor by which it could say that it is ready or stopping."""
    daemon = managed(watchdog=5.0, environ={"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"})
    environ = procfs.environ(daemon.starts[0].pid)
    assert not [name for name in environ if name.startswith(("NOTIFY", "WATCHDOG", "LISTEN"))]
    own = [link for link in procfs.fds(daemon.pid).values() if link.startswith("socket:")]
    assert own, "reloaderd itself has one"
    assert not set(own) & set(procfs.fds(daemon.starts[0].pid).values())
    for pid in procfs.descendants(daemon.pid):
        assert not set(own[-1:]) & set(procfs.fds(pid).values())


def test_nor_if_there_is_no_socket(watch: Watch) -> None:
    daemon = watch(environ={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1", "NOTIFY_SOCKET": ""})
    environ = procfs.environ(daemon.starts[0].pid)
    assert not [name for name in environ if name.startswith(("NOTIFY", "WATCHDOG"))]


def fails(place: Place, *words: str, cwd: Path | None = None) -> int:
    environ = place.environ(NOTIFY_SOCKET=str(place.runtime / "notify"))
    argv = [*reloaderd(place), "watch", *words]
    return subprocess.run(argv, env=environ, cwd=cwd or place.tree, timeout=LIMIT, check=False).returncode


def test_sd02_a_start_that_fails_says_why(manager: Hearing, place: Place) -> None:
    assert fails(place, "nowhere", "--", "true") == 2
    assert "nowhere" in manager.wait("STATUS")
    assert fails(place, "--backend", "none", "--", "true") == 2
    assert "--backend" in manager.said("STATUS")[-1]
    (place.tree / "reloaderd.toml").write_text("[service.web]\ncommand = 1\nx = 2\n")
    (place.tree / "reloaderd.toml").chmod(0o644)
    assert fails(place) == 78
    assert manager.said("STATUS")[-1].startswith("reloaderd.toml:2: ")
    assert manager.said("STATUS")[-1].endswith(" (and 1 more)")
    assert not manager.said("READY")
    assert not manager.said("STOPPING")


@pytest.mark.parametrize(("name", "status", "number"), [("none", "127", "2"), ("file", "126", "13")])
def test_sd02_a_command_that_cannot_be_started(
    manager: Hearing, place: Place, name: str, status: str, number: str
) -> None:
    (place.tree / "file").touch()
    assert fails(place, ".", "--", f"./{name}") == int(status)
    assert f"tree: cannot start ./{name}: " in manager.said("STATUS")[-1]
    assert manager.said("ERRNO") == [number]
    assert not manager.said("READY")
    assert not manager.said("STOPPING")


def test_ready_with_several_services_is_when_the_last_is_up(
    manager: Hearing, managed: Start, place: Place
) -> None:
    build(place.tree, {"src/a.py": "1\n", "lib/b.py": "1\n"})
    write(place, table(place, "web"), table(place, "worker", paths="lib"))
    daemon = managed(configured=True, children=2, marker="src/marker.py", read=[str(place.tree / "src")])
    status = manager.wait("STATUS", "worker: run 1")
    assert "web: run 1" in status
    [ready] = [one for one in manager.messages if "READY" in one]
    assert ready["STATUS"] == status
    daemon.wait_starts(2)


def test_nobody_has_to_listen(place: Place, watch: Watch) -> None:
    daemon = watch(environ={"NOTIFY_SOCKET": "/nowhere/notify"})
    with daemon.restarts(1):
        edits.append(place.tree / "a.py")


def test_a_manager_that_does_not_read_delays_nothing(manager: Hearing, managed: Start, place: Place) -> None:
    """Its queue is full from the start; all that counts is told when it reads."""
    other = subprocess.run(
        ["python3", "-c", FILL, str(place.runtime / "notify")], check=True, capture_output=True, timeout=LIMIT
    )
    assert int(other.stdout) > 0
    daemon = managed(watchdog=INTERVAL)
    for _ in range(3):
        with daemon.restarts(1):
            edits.append(place.tree / "a.py")
    assert not manager.pids
    manager.wait("READY")
    manager.wait("STATUS", f"run {len(daemon.starts)}")
    manager.wait("WATCHDOG", count=3)


FILL = """
import socket, sys
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.setblocking(False)
count = 0
try:
    while True:
        one.sendto(b"X=1", sys.argv[1])
        count += 1
except BlockingIOError:
    print(count)
"""


# STATUS


def test_the_status_follows_what_happens(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed("--gate", "syntax")
    at = manager.mark()
    edits.append(place.tree / "a.py", "x = 1\n")
    manager.wait("STATUS", "run 2", after=at)
    (place.tree / "bad.py").write_text("def\n")
    manager.wait("STATUS", "held: syntax in tree/bad.py:1")
    (place.tree / "bad.py").write_text("fine = 1\n")
    manager.wait("STATUS", "run 3")
    os.kill(daemon.exactly_one_live_child(), signal.SIGKILL)
    manager.wait("STATUS", "run 3 ended: SIGKILL; waiting for a change")
    edits.append(place.tree / "a.py", "x = 2\n")
    manager.wait("STATUS", "run 4")
    daemon.final_state_seen()


def test_there_are_no_wakeups_at_rest(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed()
    edits.append(place.tree / "a.py")
    manager.wait("STATUS", "run 2")

    def rests() -> bool:
        before = procfs.switches(daemon.pid)
        time.sleep(3.0)
        return procfs.switches(daemon.pid) == before

    daemon.wait(rests, "no wakeups")


# RELOADING


def test_sd04_sighup_is_a_reload(manager: Hearing, managed: Start) -> None:
    daemon = managed()
    manager.wait("READY")
    before = time.monotonic()
    at = manager.mark()
    os.kill(daemon.pid, signal.SIGHUP)
    manager.wait("READY", after=at)
    [reloading] = manager.said("MONOTONIC_USEC", after=at)
    assert before <= int(reloading) / 1e6 <= time.monotonic()
    said = [name for one in manager.messages[at:] for name in ("RELOADING", "READY") if name in one]
    assert said == ["RELOADING", "READY"]
    assert [one for one in manager.messages if "READY" in one][-1]["STATUS"].startswith("tree: run 2, ")
    daemon.wait_starts(2)


def test_sd04_a_reload_of_the_configuration(manager: Hearing, managed: Start, place: Place) -> None:
    build(place.tree, {"src/a.py": "1\n", "lib/b.py": "1\n"})
    write(place, table(place, "web"), table(place, "worker", paths="lib"))
    daemon = managed(
        configured=True,
        children=2,
        marker="src/marker.py",
        read=[str(place.tree / "src")],
        warnings=True,
    )
    manager.wait("READY")
    at = manager.mark()
    with stopped(daemon):  # so that it is not the edit that is noticed first
        write(place, table(place, "web"), "[service.worker]\ncommand = 7\n")
        os.kill(daemon.pid, signal.SIGHUP)
    refused = manager.wait("STATUS", "the configuration stays as it was", after=at)
    assert "reloaderd.toml:" in refused and "web: run 1" in refused and "worker: run 1" in refused
    manager.wait("READY", after=at)
    at = manager.mark()
    with stopped(daemon):
        write(place, table(place, "web"), table(place, "worker", paths="lib", stop_timeout='"9s"'))
        os.kill(daemon.pid, signal.SIGHUP)
    manager.wait("RELOADING", after=at)
    manager.wait("READY", after=at)
    ready = [one for one in manager.messages if "READY" in one][-1]["STATUS"]
    assert "worker: run 2" in ready and "web: run 1" in ready and "stays as it was" not in ready
    daemon.wait_starts(3)


# STOPPING


def test_sd05_a_stop_is_told_with_the_time_that_it_needs(manager: Hearing, managed: Start) -> None:
    daemon = managed("--stop-timeout", "100s", probe=("--ignore", "TERM"))
    at = manager.mark()
    os.kill(daemon.pid, signal.SIGTERM)
    stopping = manager.wait("STATUS", "stopping run 1", after=at)
    assert stopping == "tree: stopping run 1"
    [one] = [one for one in manager.messages[at:] if "STOPPING" in one]
    assert 100e6 < int(one["EXTEND_TIMEOUT_USEC"]) < 120e6
    os.kill(daemon.pid, signal.SIGTERM)  # a second one kills
    daemon.wait_exit()
    assert manager.said("STOPPING") == ["1"]


def test_a_kill_that_takes_long_asks_for_more_time(manager: Hearing, managed: Start) -> None:
    """The same comes every two seconds, where a process is stuck in the kernel."""
    daemon = managed("--stop-timeout", "1s", probe=("--ignore", "TERM"))
    manager.wait("READY")
    os.kill(daemon.pid, signal.SIGTERM)
    manager.wait("EXTEND_TIMEOUT_USEC", count=2)
    daemon.wait_exit()
    times = [int(one) for one in manager.said("EXTEND_TIMEOUT_USEC")]
    assert times[0] < 9e6 and times[1] < 10e6


# WATCHDOG


@pytest.mark.every_source
def test_signs_of_life_come_and_concern_nobody(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed(watchdog=INTERVAL)
    manager.wait("WATCHDOG", count=5)
    assert len(daemon.starts) == 1
    assert {one["event"] for one in daemon.events} == {"watching", "started"}
    with daemon.restarts(1):
        edits.append(place.tree / "a.py")
    manager.wait("WATCHDOG", count=5, after=manager.mark())


def test_one_that_is_stopped_gives_none(manager: Hearing, managed: Start) -> None:
    daemon = managed(watchdog=INTERVAL)
    manager.wait("WATCHDOG", count=2)
    with stopped(daemon):
        at = manager.mark()
        time.sleep(2 * INTERVAL)
        assert manager.said("WATCHDOG", after=at) == []
    manager.wait("WATCHDOG", after=at)


def pulses(daemon: Daemon, place: Place) -> int:
    """When the last pulse was made."""
    return os.stat(place.runtime / f"reloaderd/pulse-{daemon.pid}~/pulse").st_mtime_ns


def test_one_that_is_deaf_gives_none_though_it_runs(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed(watchdog=INTERVAL)
    manager.wait("WATCHDOG", count=2)
    deafen(daemon.pid)
    at = manager.mark()
    for _ in range(12):  # of which one would have come back
        made = pulses(daemon, place)
        daemon.wait(lambda made=made: pulses(daemon, place) != made, "another pulse")
    os.kill(daemon.pid, signal.SIGUSR1)
    manager.wait("STATUS", "run 2", after=at)
    assert len(manager.said("WATCHDOG", after=at)) <= 1  # it may have been on its way


def test_a_place_that_is_removed_is_made_anew(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed(watchdog=INTERVAL)
    for _ in range(3):
        manager.wait("WATCHDOG", count=2, after=manager.mark())
        shutil.rmtree(place.runtime / "reloaderd")
    manager.wait("WATCHDOG", count=2, after=manager.mark())
    assert pulses(daemon, place)


def test_events_that_are_lost_cost_no_sign_of_life(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed(watchdog=INTERVAL, warnings=True, read=[str(place.tree / "marker.py")])
    with stopped(daemon):
        at = manager.mark()
        flood(place.tree)
    manager.wait("WATCHDOG", count=5, after=at)
    daemon.wait_event("warning")


def test_a_watchdog_that_is_meant_for_another_process(manager: Hearing, managed: Start) -> None:
    daemon = managed(watchdog=INTERVAL, environ={"WATCHDOG_PID": "1"})
    os.kill(daemon.pid, signal.SIGUSR1)
    manager.wait("STATUS", "run 2")
    assert manager.said("WATCHDOG") == []


def test_no_place_for_a_pulse_is_told(manager: Hearing, managed: Start, place: Place) -> None:
    """Then it is the loop that lives: better than being killed for no fault of its own."""
    (place.runtime / "reloaderd").touch()
    daemon = managed(watchdog=INTERVAL, warnings=True)
    daemon.wait_event("warning")
    manager.wait("WATCHDOG", count=3)
    said = [one["text"] for one in daemon.named("warning") if "watchdog" in one["text"]]
    assert len(said) == 1


def test_nothing_is_left_of_it(manager: Hearing, managed: Start, place: Place) -> None:
    daemon = managed(watchdog=INTERVAL)
    manager.wait("WATCHDOG")
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait_exit()
    left = place.runtime / f"reloaderd/pulse-{daemon.pid}~"
    assert left.exists()
    second = managed(watchdog=INTERVAL)
    manager.wait("WATCHDOG", after=manager.mark())
    assert not left.exists()
    second.finish()
    assert not [name for name in os.listdir(place.runtime / "reloaderd") if name.startswith("pulse")]
