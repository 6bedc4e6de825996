"""SU: with `--skip-unchanged` only other bytes than the run found are a change."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build

pytestmark = pytest.mark.every_source

PAUSE = 1.0
"""Seconds after which a restart is not right after a start (core.storms), and a small tree is known."""

NAMES = ("a.py", "b.py", "d/c.py")


@pytest.fixture
def knowing(place: Place, watch: Watch) -> Callable[..., Daemon]:
    """A daemon that knows what its run found in all files of the tree."""

    def start(*options: str, **keywords: Any) -> Daemon:
        build(place.tree, dict.fromkeys(NAMES, "x\n"))
        daemon = watch("--skip-unchanged", *options, **keywords)
        known(daemon, *(place.tree / name for name in NAMES))
        return daemon

    return start


Knowing = Callable[..., Daemon]


def known(daemon: Daemon, *paths: Path) -> None:
    """Touch them now and then until that does nothing: it knows what its run found."""

    def are_known() -> bool:
        time.sleep(PAUSE)  # nothing tells that a file was looked at
        at = daemon.mark()
        for path in paths:
            edits.touch(path)

        def told() -> set[str] | None:
            words = {
                path: one["event"]
                for one in daemon.events[at:]
                if one["event"] in ("changed", "unchanged")
                for path in one["paths"]
            }
            return set(words.values()) if words.keys() >= set(map(str, paths)) else None

        return bool(daemon.wait(told, "a word about them") == {"unchanged"})

    daemon.wait(are_known, f"{paths} to be known")


def nothing(daemon: Daemon, *paths: Path) -> Callable[[], None]:
    """Calls for a word that these were left out."""
    at = daemon.mark()
    wanted = set(map(str, paths))

    def check() -> None:
        def told() -> bool:
            return wanted <= {path for one in daemon.named("unchanged", at) for path in one["paths"]}

        daemon.wait(told, f"{wanted} to be left out")
        assert not daemon.named("changed", at)

    return check


@pytest.mark.smoke
def test_a_save_without_an_edit_does_nothing(place: Place, knowing: Knowing) -> None:
    daemon = knowing()
    starts = len(daemon.starts)
    for edit in (edits.write, edits.replace):
        left_out = nothing(daemon, place.tree / "a.py")
        edit(place.tree / "a.py", "x\n")
        left_out()
    with daemon.restarts(1):
        edits.write(place.tree / "a.py", "y\n")
    assert len(daemon.starts) == starts + 2  # and the marker


def test_a_touch_and_a_copy_of_the_same_do_nothing(place: Place, knowing: Knowing) -> None:
    daemon = knowing()
    left_out = nothing(daemon, place.tree / "a.py", place.tree / "d/c.py")
    edits.touch(place.tree / "a.py")
    shutil.copyfile(place.tree / "b.py", place.tree / "d/c.py")
    left_out()


def test_what_was_changed_is_what_counts_from_then_on(place: Place, knowing: Knowing) -> None:
    daemon = knowing()
    path = place.tree / "a.py"
    with daemon.restarts(1):
        edits.write(path, "y\n")
    known(daemon, path)
    left_out = nothing(daemon, path)
    edits.write(path, "y\n")
    left_out()
    with daemon.restarts(1):
        edits.write(path, "x\n")


def test_only_what_is_different_is_told(place: Place, knowing: Knowing) -> None:
    daemon = knowing("--debounce=300ms")
    at = daemon.mark()
    with daemon.restarts(1):
        for name in NAMES:
            edits.write(place.tree / name, "y\n" if name == "b.py" else "x\n")
    assert daemon.named("changed", at)[0]["paths"] == [str(place.tree / "b.py")]


def test_deleted_and_made_again_within_a_batch(place: Place, knowing: Knowing) -> None:
    daemon = knowing("--debounce=300ms")
    path = place.tree / "a.py"
    left_out = nothing(daemon, path)
    path.unlink()
    edits.write(path, "x\n")
    if not daemon.polls:  # which may not see that it was away
        left_out()
    daemon.settle(len(daemon.starts))


def test_deletions_and_new_files_count(place: Place, knowing: Knowing) -> None:
    daemon = knowing()
    with daemon.restarts(1):
        (place.tree / "a.py").unlink()
    with daemon.restarts(1):
        edits.write(place.tree / "a.py", "x\n")
    with daemon.restarts(1):
        build(place.tree, {"new/n.py": "x\n"})


def test_a_link_is_what_it_leads_to(place: Place, watch: Watch) -> None:
    build(place.outside, {"one.py": "x\n", "same.py": "x\n", "other.py": "y\n"})
    link = place.tree / "link.py"
    link.symlink_to(place.outside / "one.py")
    daemon = watch("--skip-unchanged")

    def lead_to(name: str) -> None:
        (place.tree / ".link.swp").symlink_to(place.outside / name)
        os.rename(place.tree / ".link.swp", link)

    time.sleep(PAUSE)  # nothing tells that a file was looked at
    left_out = nothing(daemon, link)
    lead_to("same.py")
    left_out()
    with daemon.restarts(1):
        lead_to("other.py")


def test_a_large_file_counts_always(place: Place, knowing: Knowing) -> None:
    daemon = knowing()
    large = place.tree / "large.bin"
    with daemon.restarts(1), large.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with daemon.restarts(1):
        edits.touch(large)


def test_a_root_that_is_a_file(place: Place, watch: Watch) -> None:
    build(place.tree, {"one.py": "x\n"})
    daemon = watch("--skip-unchanged", roots=("one.py", "marker.py"))
    known(daemon, place.tree / "one.py")
    left_out = nothing(daemon, place.tree / "one.py")
    edits.write(place.tree / "one.py", "x\n")
    left_out()
    with daemon.restarts(1):
        edits.write(place.tree / "one.py", "y\n")


def test_many_files_do_not_delay_the_start_and_are_all_known_in_the_end(place: Place, watch: Watch) -> None:
    build(place.tree, {f"d{number % 40}/m{number}.py": f"{number}\n" for number in range(3000)})
    daemon = watch("--skip-unchanged", read=[str(place.tree / "marker.py")])
    paths = [place.tree / f"d{number % 40}/m{number}.py" for number in range(3000)]
    known(daemon, paths[0], paths[1500], paths[-1])
    at = daemon.mark()
    for path in paths:
        edits.write(path, path.read_bytes())
    edits.write(paths[7], "other\n")

    def left_out() -> bool:
        return bool(daemon.named("changed", at)) and str(paths[7]) in daemon.changed_paths(at)

    daemon.wait(left_out, "the one that is different")
    assert sum(one["count"] for one in daemon.named("unchanged", at)) > 1000
    daemon.final_state_seen()


def test_edits_right_after_a_start_are_seen(place: Place, knowing: Knowing) -> None:
    """Whatever is saved before it is looked at what the run found: the last state is seen."""
    daemon = knowing()
    for number in range(9):
        path = place.tree / NAMES[number % 3]
        starts = len(daemon.starts)
        edits.write(path, f"{number}\n")
        daemon.wait_starts(starts + 1)
        edits.write(path, f"{number}, and more\n")
        edits.write(path, f"{number}, and more\n")
        daemon.final_state_seen()


@pytest.mark.needs("git")
def test_a_branch_that_is_left_and_come_back_to(place: Place, watch: Watch) -> None:
    build(place.tree, dict.fromkeys(NAMES, "x\n"))

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t", *words],
            cwd=place.tree,
            env=place.environ(),
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "other")
    build(place.tree, dict.fromkeys(NAMES, "y\n"))
    git("commit", "-qam", "two")
    git("checkout", "-q", "-")
    daemon = watch("--skip-unchanged", "--debounce=500ms")
    known(daemon, *(place.tree / name for name in NAMES))
    left_out = nothing(daemon, *(place.tree / name for name in NAMES))
    git("checkout", "-q", "other")
    git("checkout", "-q", "-")
    left_out()


def test_restart_now_needs_no_change(knowing: Knowing) -> None:
    daemon = knowing()
    with daemon.restarts(1):
        os.kill(daemon.pid, signal.SIGUSR1)


@pytest.mark.only("inotify", reason="nothing here is about changes")
@pytest.mark.parametrize("verbose", [(), ("-v",)], ids=["plain", "verbose"])
def test_what_a_person_sees(verbose: tuple[str, ...], place: Place, watch: Watch) -> None:
    build(place.tree, dict.fromkeys(NAMES, "x\n"))
    daemon = watch("--skip-unchanged", *verbose, log_format="text")
    time.sleep(PAUSE)  # nothing tells that a file was looked at
    edits.touch(place.tree / "a.py")
    if verbose:
        daemon.wait_line(lambda line: "unchanged" in line)
    daemon.change_marker()
    assert len(daemon.starts) == 2
    assert any(line == "[reloaderd] unchanged: a.py" for line in daemon.noise) is bool(verbose)


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_it_is_at_rest_when_all_is_known(place: Place, knowing: Knowing) -> None:
    daemon = knowing()

    def rests() -> bool:
        before = procfs.switches(daemon.pid)
        time.sleep(0.5)  # the span of the measurement
        return procfs.switches(daemon.pid) == before

    daemon.wait(rests, "no wakeups")
