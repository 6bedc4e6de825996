"""The machine itself: what the other tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.machine import Machine, cgroup2
from tests.support.places import REPOSITORY
from tests.support.waiting import wait_until

CONNECT = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
"""

KILLED = """
from tests.support.machine import Machine
machine = Machine()
print(machine.pid, machine.cgroup, flush=True)
input()
"""

pytestmark = pytest.mark.needs("systemd")


def test_a_user_has_a_manager_a_bus_and_a_journal_of_its_own(machine: Machine) -> None:
    machine.run("systemd-run", "--user", "--wait", "--unit=said", "echo", "so it is")
    assert "so it is" in machine.run("journalctl", "--user", "--unit=said", "-o", "cat")


def test_loopback_is_up_and_there_is_no_other_way_out(machine: Machine) -> None:
    links = machine.root("cat", "/proc/net/dev").splitlines()[2:]
    assert [line.partition(":")[0].strip() for line in links] == ["lo"]
    machine.run(sys.executable, "-c", CONNECT)


def test_what_is_done_there_is_not_done_here(machine: Machine) -> None:
    machine.root("touch", "/etc/of-the-machine", "/tmp/of-the-machine")
    assert not os.path.exists("/etc/of-the-machine") and not os.path.exists("/tmp/of-the-machine")
    machine.root("sh", "-c", "! echo 1 > /proc/sys/kernel/panic")


def test_this_checkout_can_be_run_there(machine: Machine) -> None:
    here = {"PYTHONPATH": str(REPOSITORY)}
    assert machine.run(sys.executable, "-m", "reloaderd", "--version", environ=here).startswith("reloaderd ")


def test_nothing_is_left_when_the_tests_are_killed() -> None:
    """As by the limit of a test, or of the whole."""
    tests = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tests.stdout is not None
    pid, cgroup = tests.stdout.readline().split()
    below = [int(pid), *procfs.descendants(int(pid))]
    tests.send_signal(signal.SIGKILL)
    tests.communicate()
    wait_until(lambda: not any(map(procfs.alive, below)), "the machine to be gone")
    Machine.sweep()
    assert not Path(cgroup).exists()
    where = cgroup2()
    assert where is not None and where.is_dir()
