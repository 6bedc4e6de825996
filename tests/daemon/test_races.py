"""RA: moments at which two things happen at once."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Watch
from tests.support.faults import injecting
from tests.support.places import Place, build

INOTIFY = "anon_inode:inotify"


def shuffle_names(tree: Path) -> None:
    for number in range(300):
        os.rename(tree / "a.py", tree / "b.py")
        os.rename(tree / "b.py", tree / "a.py")
        os.rename(tree / "pkg", tree / f"other{number % 3}")
        os.rename(tree / f"other{number % 3}", tree / "pkg")


def test_ra05_renames_over_many_reads(place: Place, watch: Watch) -> None:
    """Halves of renames fall into different reads; no watch is lost and none is left over."""
    build(place.tree, {"a.py": "a\n", "pkg/m.py": "m\n", "pkg/deep/n.py": "n\n"})
    daemon = watch("--debounce=200ms")
    before = procfs.inotify_watches(daemon.pid)
    shuffle_names(place.tree)
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/deep/n.py")
    with daemon.restarts(1):
        edits.append(place.tree / "a.py")
    daemon.wait(lambda: procfs.inotify_watches(daemon.pid) == before, f"{before} watches")


def test_ra07_watches_that_are_gone_already(place: Place, watch: Watch) -> None:
    """Directories moved about and deleted at once: removing a dead watch is no error."""
    daemon = watch("--debounce=200ms")
    before = procfs.inotify_watches(daemon.pid)
    for number in range(100):
        build(place.tree, {f"d{number}/e/f/m.py": "m\n"})
        if number % 2:
            os.rename(place.tree / f"d{number}", place.outside / f"d{number}")
            edits.remove_tree(place.outside / f"d{number}")
        else:
            edits.remove_tree(place.tree / f"d{number}")
    daemon.settle(len(daemon.starts), most=len(daemon.starts) + 10)
    daemon.wait(lambda: procfs.inotify_watches(daemon.pid) == before, f"{before} watches")


@pytest.mark.needs("strace")
def test_ra08_directory_appears_between_watch_and_listing(place: Place, watch: Watch) -> None:
    """Each add_watch is followed by a long pause: what appears in it is watched once, counted once."""
    daemon = watch(prefix=injecting("-e", "inject=inotify_add_watch:delay_exit=200000"))
    with daemon.restarts(1, most=2):
        watches = procfs.inotify_watches(daemon.pid)
        os.mkdir(place.tree / "new")
        daemon.wait(lambda: procfs.inotify_watches(daemon.pid) > watches, "the watch of new/")
        build(place.tree, {"new/deep/er/m.py": "m\n"})
    paths = [path for one in daemon.named("changed") for path in one["paths"] if path.endswith("m.py")]
    assert len(paths) == 1
    with daemon.restarts(1):
        edits.append(place.tree / "new/deep/er/m.py")


def test_ra09_child_that_ends_when_it_is_to_be_stopped(place: Place, watch: Watch) -> None:
    """The child ends by itself all the time, changes come all the time: no error, one child."""
    daemon = watch(
        "--debounce=0", "--on-exit=restart", probe=("--exit", "0", "--after", "0.01"), children=None
    )
    for number in range(40):
        starts = len(daemon.starts)
        edits.append(place.tree / f"m{number % 3}.py")
        daemon.wait_starts(starts + 1)
    daemon.final_state_seen()
    live = daemon.live_children()
    assert len(live) <= 1


def test_ra10_many_orphans_end_at_once(place: Place, watch: Watch) -> None:
    """Processes nobody knows of come back to be reaped: no zombie is left, no run is confused."""
    daemon = watch(probe=("--spawn", "orphans"))
    for _ in range(3):
        daemon.change_marker()
    daemon.wait(lambda: not procfs.zombies(daemon.pid), "no zombies")


@pytest.mark.needs("root")
def test_ck02_clock_that_counts_suspends_is_another(place: Place, watch: Watch) -> None:
    """After ten days of suspend CLOCK_BOOTTIME is ten days ahead: nothing that is due goes by it."""
    build(place.tree, {"a.py": "a\n"})
    daemon = watch(prefix=["unshare", "-T", "--boottime", "864000"])
    assert os.readlink(f"/proc/{daemon.pid}/ns/time") != os.readlink("/proc/self/ns/time")
    for _ in range(3):
        with daemon.restarts(1):
            edits.append(place.tree / "a.py")


def test_ra11_signals_while_it_waits(place: Place, watch: Watch) -> None:
    """A rain of signals that mean nothing to it interrupts no wait for good."""
    build(place.tree, {"a.py": "a\n"})
    daemon = watch()
    stop = threading.Event()

    def rain() -> None:
        while not stop.is_set():
            procfs.kill(daemon.pid, signal.SIGWINCH)
            procfs.kill(daemon.pid, signal.SIGCHLD)
            stop.wait(0.0005)

    raining = threading.Thread(target=rain)
    raining.start()
    try:
        for _ in range(3):
            with daemon.restarts(1):
                edits.append(place.tree / "a.py")
    finally:
        stop.set()
        raining.join()


@pytest.mark.needs("strace")
@pytest.mark.parametrize("error", ["EIO", "EBADF", "ENOMEM"])
def test_ra12_reading_events_fails(error: str, place: Place, watch: Watch) -> None:
    """A reader that cannot read ends reloaderd with an error: never alive and deaf."""
    daemon = watch(
        prefix=injecting("-P", INOTIFY, "-e", "trace=read", "-e", f"inject=read:error={error}:when=1+"),
        warnings=True,
        tracebacks=True,  # it is no fault of a person's
        children=None,
    )
    edits.write(place.tree / "new.py")
    assert daemon.wait_exit() not in (0, -signal.SIGTERM)


@pytest.mark.needs("strace")
def test_ra12_reading_events_is_interrupted(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n"})
    daemon = watch(
        prefix=injecting("-P", INOTIFY, "-e", "trace=read", "-e", "inject=read:error=EINTR:when=1+2")
    )
    for _ in range(3):
        with daemon.restarts(1):
            edits.append(place.tree / "a.py")


def test_ra14_child_inherits_no_descriptor(place: Place, watch: Watch) -> None:
    """Neither the watches nor what whoever started reloaderd had left open."""
    daemon = watch(prefix=("sh", "-c", 'exec 7</dev/null; exec "$@"', "sh"), probe=("--dump",))
    daemon.change_marker()
    for dump in daemon.words("DUMP"):
        assert set(dump.payload["fds"]) == {0, 1, 2}
        assert INOTIFY not in dump.payload["fds"].values()
    for pid in procfs.descendants(daemon.pid):
        assert not procfs.inotify_watches(pid)
