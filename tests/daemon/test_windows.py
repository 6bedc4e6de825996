"""RA: the moments between two calls, made wide by strace or SIGSTOP: what falls into one is not lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.faults import injecting, stopped, wait_late
from tests.support.places import Place, build

Act = Callable[[Path], object]

LATE = 150_000
"""Microseconds that a call is late: long against what the test does meanwhile, some milliseconds."""


def late(call: str, *paths: Path, after: bool = False) -> list[str]:
    """A prefix: each such call, about one of these paths, is late: before or after it was carried out."""
    about = [word for path in paths for word in ("-P", str(path))]
    when = "delay_exit" if after else "delay_enter"
    return injecting(*about, "-e", f"trace={call}", "-e", f"inject={call}:{when}={LATE}")


def remove(new: Path) -> None:
    edits.remove_tree(new)


def file_in_its_place(new: Path) -> None:
    edits.remove_tree(new)
    edits.write(new)


def another_in_its_place(new: Path) -> None:
    os.rename(new, new.parent / "moved")
    build(new, {"other.py": "o\n"})


def come_and_go(new: Path) -> None:
    for number in range(5):
        build(new, {f"pkg{number}/n.py": "n\n"})
        edits.remove_tree(new / f"pkg{number}")
    build(new, {"pkg/n.py": "last\n"})


ACTS: dict[str, Act] = {
    "removed": remove,
    "file_in_its_place": file_in_its_place,
    "renamed": lambda new: os.rename(new, new.parent / "moved"),
    "another_in_its_place": another_in_its_place,
    "filled": lambda new: build(new, {"pkg/er/n.py": "n\n"}),
    "filled_and_emptied": come_and_go,
}


@pytest.mark.needs("strace")
@pytest.mark.parametrize("after", [False, True], ids=["before_the_watch", "before_the_listing"])
@pytest.mark.parametrize("case", ACTS)
def test_di35_ra08_new_directory_while_it_is_armed(
    case: str, after: bool, place: Place, watch: Watch
) -> None:
    """A directory appears, and something happens to it before it is watched, or before it is listed."""
    daemon = watch(prefix=late("inotify_add_watch", place.tree / "new", after=after))
    before = procfs.inotify_watches(daemon.pid)
    build(place.tree, {"new/": None})
    if after:
        daemon.wait(lambda: procfs.inotify_watches(daemon.pid) > before, "the watch of new/")
    else:
        wait_late(daemon)
    ACTS[case](place.tree / "new")
    edits.write(place.tree / "after.py")
    daemon.final_state_seen()
    daemon.settle(len(daemon.starts), most=len(daemon.starts) + 2)
    files = [path for path in place.tree.rglob("[no]*.py") if path.is_file()]
    for path in files:
        with daemon.restarts(1):
            edits.append(path)
    directories = sum(1 for _ in os.walk(place.tree))
    daemon.wait_watches(before + directories - 1, before + directories - 1)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("after", [False, True], ids=["before_the_listing", "after_the_listing"])
def test_ra08_listing_is_late(after: bool, place: Place, watch: Watch) -> None:
    """Files come and go in a directory that is watched already while its names are read."""
    daemon = watch(prefix=late("getdents64", place.tree / "new", after=after))
    with daemon.restarts(1, most=2):
        watches = procfs.inotify_watches(daemon.pid)
        build(place.tree, {"new/one.py": "1\n"})
        daemon.wait(lambda: procfs.inotify_watches(daemon.pid) > watches, "the watch of new/")
        edits.write(place.tree / "new/two.py")
        os.unlink(place.tree / "new/one.py")
        build(place.tree, {"new/pkg/three.py": "3\n"})
    with daemon.restarts(1):
        edits.append(place.tree / "new/pkg/three.py")


@pytest.mark.needs("strace")
def test_root_replaced_while_it_is_found(place: Place, watch: Watch) -> None:
    """It is looked up name by name, and another comes into its place between two of them."""
    build(place.tree, {"one/root/m.py": "m\n", "other/": None})
    build(place.outside, {"one/root/m.py": "next\n", "two/root/m.py": "last\n"})
    one = place.tree / "one"
    daemon = watch(
        roots=("one/root", "other"),
        marker="other/marker.py",
        prefix=late("inotify_add_watch", one, one / "root"),
        warnings=True,
    )
    for name in ("one", "two"):
        os.rename(one, place.outside / f"old-{name}")
        os.rename(place.outside / name, one)
        wait_late(daemon)
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(one / "root/m.py")


@pytest.mark.needs("strace")
@pytest.mark.parametrize("backend", ["inotify", "poll"])
def test_file_changes_while_it_is_looked_at(backend: str, place: Place, watch: Watch) -> None:
    """Whether a touched file has changed is found by a look at it: what comes during the look counts too."""
    build(place.tree, {"a.py": "a\n", "b.py": "b\n"})
    path = place.tree / "a.py"
    daemon = watch(
        f"--backend={backend}",
        "--poll-interval=50ms",
        prefix=late("newfstatat,statx", path, after=True),
    )  # fmt: skip
    for number in range(3):
        path.chmod(0o600 + number)
        wait_late(daemon)
        edits.write(path, f"{number}\n")
        daemon.final_state_seen()
        with daemon.restarts(1):
            edits.append(place.tree / "b.py")


@pytest.mark.needs("strace")
def test_events_that_come_while_events_are_read(place: Place, watch: Watch) -> None:
    """Each read of the queue is late: what comes after it was carried out waits for the next."""
    daemon = watch("--debounce=20ms", prefix=late("read", Path("anon_inode:inotify"), after=True))
    for number in range(4):
        edits.write(place.tree / f"m{number}.py")
        wait_late(daemon)
        build(place.tree, {f"new{number}/er/n.py": "n\n"})
        edits.write(place.tree / f"m{number}.py", "again\n")
    daemon.final_state_seen()
    for number in range(4):
        with daemon.restarts(1):
            edits.append(place.tree / f"new{number}/er/n.py")


@pytest.mark.needs("strace")
@pytest.mark.every_source
def test_po11_change_between_the_first_look_and_the_start(place: Place, watch: Watch) -> None:
    """All is watched and the child is on its way: whether it read the change cannot be known."""
    build(place.tree, {"a.py": "a\n", "pkg/b.py": "b\n"})
    daemon = watch(prefix=late("execve"), ready=False)
    daemon.wait_event("started")
    edits.write(place.tree / "a.py", "changed\n")
    build(place.tree, {"pkg/new/n.py": "n\n"})
    daemon.wait_starts(2)
    daemon.final_state_seen()


LATE_TO_ALL: dict[str, Act] = {
    "renamed_after_it_was_filled": lambda tree: (
        build(tree, {"a/b/n.py": "n\n"}), os.rename(tree / "a", tree / "z"), edits.append(tree / "z/b/n.py")
    ),
    "moved_below_another_that_moves": lambda tree: (
        os.rename(tree / "one", tree / "two/one"), os.rename(tree / "two", tree / "new"),
        edits.append(tree / "new/one/n.py"),
    ),
    "exchanged": lambda tree: (
        os.rename(tree / "one", tree / "x"), os.rename(tree / "two", tree / "one"),
        os.rename(tree / "x", tree / "two"), edits.append(tree / "two/n.py"),
    ),
    "file_and_directory_change_places": lambda tree: (
        os.rename(tree / "one", tree / "x"), os.rename(tree / "m.py", tree / "one"),
        os.rename(tree / "x", tree / "m.py"), edits.append(tree / "m.py/n.py"),
    ),
    "gone_and_back": lambda tree: (
        edits.remove_tree(tree / "one"), build(tree, {"one/deep/n.py": "again\n"}),
    ),
    "gone_and_a_file_in_its_place": lambda tree: (
        edits.remove_tree(tree / "one"), edits.write(tree / "one"),
    ),
}  # fmt: skip


@pytest.mark.every_source
@pytest.mark.parametrize("case", LATE_TO_ALL)
def test_all_is_over_before_it_looks(case: str, place: Place, watch: Watch) -> None:
    """By the time that it reads of any of it, nothing is where the events say."""
    build(place.tree, {"m.py": "m\n", "one/n.py": "one\n", "two/n.py": "two\n"})
    daemon = watch("--debounce=20ms")
    with daemon.restarts(1, most=2), stopped(daemon):
        LATE_TO_ALL[case](place.tree)
    for path in sorted(place.tree.rglob("n.py")):
        with daemon.restarts(1):
            edits.append(path)
    if not daemon.polls:
        directories = sum(1 for _ in os.walk(place.tree))
        daemon.wait_watches(directories, directories + len(place.tree.parts))


@pytest.mark.parametrize("who", ["keeper", "reloaderd"])
def test_db04_stopped_while_the_child_is_stopping(who: str, place: Place, watch: Watch) -> None:
    """A change, and more of them while nobody can see that the old child is gone."""
    build(place.tree, {"a.py": "1\n"})
    daemon = watch(probe=("--slow", "0.1"))
    (keeper,) = procfs.children(daemon.pid)
    for number in range(3):
        starts = len(daemon.starts)
        with daemon.restarts(1, most=2):
            edits.write(place.tree / "a.py", f"{number}\n")
            daemon.wait_record("SIGNAL", run=starts)
            with stopped(daemon, keeper if who == "keeper" else daemon.pid):
                daemon.wait_record("BYE", run=starts)
                edits.write(place.tree / f"b{number}.py", "b\n")


OFFSETS = [*range(0, 60, 6), *range(60, 200, 20), *range(200, 501, 50)]
"""Milliseconds after a start: close together where stamps are taken and batches settle."""


def save(daemon: Daemon, path: Path, number: int) -> None:
    (edits.replace if number % 2 else edits.write)(path, f"save {number}\n")


@pytest.mark.every_source
def test_saves_at_any_moment_after_a_start(place: Place, watch: Watch) -> None:
    """In place and by rename, several a run: the run that is left in the end has seen each."""
    names = [f"m{number}.py" for number in range(9)]
    build(place.tree, dict.fromkeys(names, "m\n"))
    daemon = watch("--debounce=10ms")
    number = 0
    for offset in OFFSETS:
        began = daemon.starts[-1].at
        for more in (0, 7, 19):
            number += 1
            time.sleep(max(0.0, began + (offset + more) / 1000 - time.monotonic()))  # the pace of the case
            save(daemon, place.tree / names[number * 4 % 9], number)
        daemon.final_state_seen()
        daemon.exactly_one_live_child()
