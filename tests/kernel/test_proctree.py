"""Descendants as /proc shows them, and signals that hit nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from reloaderd.kernel import libc, proctree
from tests.kernel.conftest import PYTHON
from tests.support import procfs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_stays")

FORKS = """
import os, threading, time
def fork():
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "1000"])
    time.sleep(1000)
threading.Thread(target=fork, daemon=True).start()
fork()
"""
"""Two children, forked by two threads that both live."""


@pytest.fixture
def tree() -> Iterator[int]:
    """A process with two children that different threads forked."""
    process = subprocess.Popen(["sh", "-c", '"$@"; true', "sh", *PYTHON, FORKS], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(procfs.descendants(process.pid)) == 3, "a tree")
    yield process.pid
    for pid in reversed(procfs.descendants(process.pid)):
        procfs.kill(pid)
    process.kill()
    process.wait()


def test_children_of_every_thread_are_found_both_ways(tree: int) -> None:
    (parent,) = proctree.listed_children(tree)
    found = proctree.listed_children(parent)
    assert len(found) == 2
    for pid in (tree, parent, found[0]):
        assert sorted(proctree.listed_children(pid)) == sorted(proctree.scanned_children(pid))
    assert proctree.descendants(tree) == [parent, *found]
    assert proctree.descendants(tree, spare={found[0]}) == [parent, found[1]]
    assert proctree.descendants(tree, spare={parent}) == []


def test_where_proc_has_lists_they_are_used() -> None:
    assert proctree.children is proctree.listed_children


@pytest.mark.needs("unshare")
def test_a_proc_of_another_namespace_is_not_believed() -> None:
    program = "from reloaderd.kernel import proctree; print(proctree.children.__name__)"
    user = [] if os.getuid() == 0 else ["-Ur"]
    command = ["unshare", *user, "--pid", "--fork", sys.executable, "-c", program]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout == "no_children\n"


def test_a_name_cannot_forge_what_proc_says() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            libc.set_title(") Z 1 1 1\n(")
            os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            os._exit(0)
    wait_until(lambda: procfs.state(pid) == "T", "a stop")
    assert proctree.read_stat(pid) == ("T", os.getpid(), os.getpgrp())
    procfs.kill(pid)
    os.waitpid(pid, 0)
    assert proctree.read_stat(pid) is None
    assert proctree.listed_children(pid) == proctree.scanned_children(pid) == []


def test_only_what_is_below_the_tree_is_signalled(tree: int) -> None:
    (parent,) = proctree.children(tree)
    first, second = proctree.children(parent)
    proctree.send(
        first, signal.SIGKILL, {tree}
    )  # its parent is another: as if the number had been given away
    proctree.send(second, signal.SIGKILL, {parent})
    wait_until(lambda: not procfs.alive(second), "an end")
    assert procfs.alive(first)
    assert not procfs.signal_sets(first).pending


def test_a_process_that_is_gone_is_no_error() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    proctree.send(pid, signal.SIGTERM, {os.getpid()})


def test_all_but_the_spared_are_killed(tree: int) -> None:
    doomed = [tree, *proctree.descendants(tree)]
    spared = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})

    def walk() -> bool:
        for pid in proctree.kill_descendants(spare={spared}):
            if pid != tree:  # an orphan; the root is for the fixture to reap
                os.waitpid(pid, os.WNOHANG)
        return not any(map(procfs.alive, doomed))

    try:
        wait_until(walk, "an end of all")
        assert procfs.alive(spared)
    finally:
        os.kill(spared, signal.SIGKILL)
        os.waitpid(spared, 0)
