"""SD08: with Delegate=yes each run of a user's service has a cgroup of its own, below that of the unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.systemd.user import HOME, UNIT, User

pytestmark = pytest.mark.needs("systemd")

FAMILY = """\
import os, signal, time
with open("runs", "a") as file:
    file.write(f"one {os.getpid()}\\n")
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
while True:
    signal.pause()
"""
"""Leaves a process in a session of its own that does not end by itself."""

DROP_IN = f".config/systemd/user/{UNIT}.d/test.conf"

NOT_DELEGATED = "[Service]\nDelegate=no\n"


def cgroup(user: User, pid: int) -> str:
    lines = user.machine.run("cat", f"/proc/{pid}/cgroup").splitlines()
    return next(line.removeprefix("0::") for line in lines if line.startswith("0::"))


def below(user: User) -> list[str]:
    """The cgroups of runs, as they are in the unit's."""
    found = user.machine.run("find", f"/sys/fs/cgroup{user.show('ControlGroup')}", "-name", "run-*")
    return sorted(Path(line).name for line in found.split())


def test_each_run_has_a_cgroup(user: User) -> None:
    user.write("project/src/app.py", FAMILY)
    user.install("--stop-timeout", "200ms")
    for number in (1, 2):
        pid = user.wait_run("one", number - 1)
        assert cgroup(user, pid) == f"{user.show('ControlGroup')}/run-web-{number}"
        assert below(user) == [f"run-web-{number}"]
        user.write("project/src/app.py", FAMILY + "#" * number)
    assert cgroup(user, user.main()) == user.show("ControlGroup")
    user.wait_run("one", 2)
    user.run("kill", "-KILL", str(user.main()))
    user.wait_run("one", 3)
    assert below(user) == ["run-web-1"]
    user.machine.systemctl("stop", UNIT)
    user.wait_nothing()
    assert user.show("Result") == "success"


def test_without_delegation_there_are_none(user: User) -> None:
    user.run("mkdir", "-p", (HOME / DROP_IN).parent)
    user.write(DROP_IN, NOT_DELEGATED)
    user.write("project/src/app.py", FAMILY)
    user.install("--stop-timeout", "200ms")
    pid = user.wait_run("one")
    assert cgroup(user, pid) == user.show("ControlGroup")
    user.write("project/src/app.py", FAMILY + "#")
    user.wait_run("one", 1)
    assert below(user) == []
