"""DI: directories and roots that come, go, move and turn out to be something else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.daemon import Daemon, Watch
from tests.support.editors import run
from tests.support.faults import UNPRIVILEGED
from tests.support.places import Place, build
from tests.support.waiting import wait_until

pytestmark = pytest.mark.every_source

SLOW = "--debounce=400ms"
"""Quiet enough that several calls of a test are one act on a machine that stutters."""


def directories(root: Path) -> int:
    return sum(1 for _ in os.walk(root))


def one_watch_each(daemon: Daemon, *roots: Path) -> None:
    """Every directory is watched; besides, only the directories on the way to the roots may be."""
    if daemon.polls:
        return  # of what is looked at the kernel keeps no count
    wanted = sum(map(directories, roots))
    spare = sum(len(root.parts) for root in roots)
    daemon.wait_watches(wanted, wanted + spare)


def test_di01_mkdir_p_and_write(place: Place, watch: Watch) -> None:
    daemon = watch()
    with daemon.restarts(1):
        run(place, "sh", "-c", "mkdir -p a/b/c/d && echo 1 > a/b/c/d/m.py")
    with daemon.restarts(1):
        edits.append(place.tree / "a/b/c/d/m.py")
    one_watch_each(daemon, place.tree)


def test_di01_empty_directories_are_no_change(place: Place, watch: Watch) -> None:
    """A file counts, a directory does not; what comes into it later does."""
    daemon = watch()
    with daemon.restarts(0):
        os.makedirs(place.tree / "a/b/c")
        os.rename(place.tree / "a/b", place.tree / "a/x")
        os.mkdir(place.tree / "gone")
        os.rmdir(place.tree / "gone")
    with daemon.restarts(1):
        edits.write(place.tree / "a/x/c/m.py")
    one_watch_each(daemon, place.tree)


def test_di02_mkdir_p_and_write_400_times(place: Place, watch: Watch) -> None:
    daemon = watch("--filter=*.py")
    loop = (
        "i=0; while [ $i -lt 400 ]; do mkdir -p t$i/a/b/c && echo 1 > t$i/a/b/c/m.py; echo 2 > t$i/m.txt;"
        " i=$((i+1)); done"
    )
    before, begun = len(daemon.starts), time.monotonic()
    run(place, "sh", "-c", loop)
    seconds = int(time.monotonic() - begun)
    daemon.wait_starts(before + 1)
    daemon.final_state_seen()
    daemon.settle(before + 1, most=before + 5 + 3 * seconds)  # a busy machine pauses between two of them
    if daemon.polls:  # a scan was under way while the last of them came
        daemon.settle(len(daemon.starts), most=len(daemon.starts) + 3)
    counted = [one["count"] for one in daemon.named("changed") if str(daemon.marker) not in one["paths"]]
    assert daemon.polls or sum(counted) >= 400
    assert not any(path.endswith(".txt") for path in daemon.changed_paths())
    for number in (0, 199, 399):
        with daemon.restarts(1):
            edits.append(place.tree / f"t{number}/a/b/c/m.py")
    one_watch_each(daemon, place.tree)


def test_di03_tree_moved_in(place: Place, watch: Watch) -> None:
    build(place.outside, {"pkg/m.py": "m\n", "pkg/deep/er/n.py": "n\n"})
    daemon = watch()
    with daemon.restarts(1):
        os.rename(place.outside / "pkg", place.tree / "pkg")
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/deep/er/n.py")
    one_watch_each(daemon, place.tree)


def test_di04_tree_moved_out(place: Place, watch: Watch) -> None:
    build(place.tree, {"pkg/m.py": "m\n", "pkg/deep/er/n.py": "n\n"})
    daemon = watch()
    with daemon.restarts(1):
        os.rename(place.tree / "pkg", place.outside / "pkg")
    with daemon.restarts(0):
        edits.append(place.outside / "pkg/m.py")
        edits.write(place.outside / "pkg/deep/er/new.py")
    one_watch_each(daemon, place.tree)


def test_di04_tree_moved_within(place: Place, watch: Watch) -> None:
    build(place.tree, {"pkg/m.py": "m\n", "pkg/deep/er/n.py": "n\n", "other/x.py": "x\n"})
    daemon = watch()
    with daemon.restarts(1):
        os.rename(place.tree / "pkg", place.tree / "other/moved")
    with daemon.restarts(1):
        edits.append(place.tree / "other/moved/deep/er/n.py")
    assert str(place.tree / "other/moved/deep/er/n.py") in daemon.changed_paths()
    one_watch_each(daemon, place.tree)


def test_di04_moved_out_and_another_in_its_place(place: Place, watch: Watch) -> None:
    build(place.tree, {"pkg/m.py": "m\n"})
    build(place.outside, {"pkg/m.py": "other\n", "pkg/n/o.py": "o\n"})
    daemon = watch(SLOW)
    with daemon.restarts(1):
        os.rename(place.tree / "pkg", place.outside / "old")
        os.rename(place.outside / "pkg", place.tree / "pkg")
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/n/o.py")
    with daemon.restarts(0):
        edits.append(place.outside / "old/m.py")
    one_watch_each(daemon, place.tree)


def test_di09_subdirectory_removed_and_recreated(place: Place, watch: Watch) -> None:
    build(place.tree, {"pkg/m.py": "m\n", "pkg/deep/n.py": "n\n"})
    daemon = watch()
    with daemon.restarts(1, most=2):
        edits.remove_tree(place.tree / "pkg")
    with daemon.restarts(1, most=2):
        build(place.tree, {"pkg/m.py": "other\n", "pkg/deep/n.py": "other\n"})
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/deep/n.py")
    one_watch_each(daemon, place.tree)


def test_di09_subdirectory_replaced_at_once(place: Place, watch: Watch) -> None:
    build(place.tree, {"pkg/m.py": "m\n", "pkg/deep/n.py": "n\n"})
    daemon = watch(SLOW)
    for number in range(5):
        with daemon.restarts(1):
            edits.remove_tree(place.tree / "pkg")
            build(place.tree, {"pkg/m.py": f"{number}\n", "pkg/deep/n.py": f"{number}\n"})
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/deep/n.py")
    one_watch_each(daemon, place.tree)


@pytest.mark.parametrize("inside", [True, False], ids=["cwd_inside", "cwd_outside"])
def test_di12_root_removed_and_recreated(inside: bool, place: Place, watch: Watch) -> None:
    """Inside: reloaderd was started in the root, so its own and the child's working directory go."""
    build(place.tree, {"pkg/m.py": "m\n"})
    roots = (".",) if inside else ("tree",)
    cwd = place.tree if inside else place.base
    daemon = watch(
        roots=roots, cwd=cwd, marker=place.tree / "marker.py", read=(str(place.tree),), warnings=True
    )
    edits.mark(place.tree / "marker.py", 0)
    daemon.final_state_seen()
    for _ in range(2):
        at = daemon.mark()
        edits.remove_tree(place.tree)
        daemon.wait_word(at)
        build(place.tree, {"pkg/m.py": "other\n", "pkg/deep/n.py": "n\n"})
        daemon.final_state_seen()
        with daemon.restarts(1):
            edits.append(place.tree / "pkg/m.py")
        with daemon.restarts(1):
            edits.append(place.tree / "pkg/deep/n.py")


def test_di12_root_replaced_at_once(place: Place, watch: Watch) -> None:
    """No pause between the two in which anybody could look."""
    build(place.tree, {"pkg/m.py": "m\n"})
    daemon = watch(SLOW, warnings=True)
    for number in range(5):
        edits.remove_tree(place.tree)
        build(place.tree, {"pkg/m.py": f"{number}\n"})
        daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/m.py")


def test_di12_parent_of_the_root_removed(place: Place, watch: Watch) -> None:
    root = place.tree / "one/two/root"
    build(root, {"m.py": "m\n"})
    daemon = watch(roots=("one/two/root",), marker="one/two/root/marker.py", warnings=True)
    at = daemon.mark()
    edits.remove_tree(place.tree / "one")
    daemon.wait_word(at)
    build(root, {"m.py": "other\n"})
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(root / "m.py")


def test_di14_root_renamed_away_and_another_in_its_place(place: Place, watch: Watch) -> None:
    build(place.tree, {"root/m.py": "m\n"})
    build(place.outside, {"next/m.py": "next\n", "next/pkg/n.py": "n\n"})
    daemon = watch(roots=("root",), marker="root/marker.py", warnings=True)
    os.rename(place.tree / "root", place.outside / "old")
    os.rename(place.outside / "next", place.tree / "root")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(place.tree / "root/pkg/n.py")
    with daemon.restarts(0):
        edits.append(place.outside / "old/m.py")


def test_di14_ancestor_renamed_away_and_another_in_its_place(place: Place, watch: Watch) -> None:
    """Nothing happens in the root or in its parent: the way to it leads elsewhere."""
    build(place.tree, {"one/two/three/root/m.py": "m\n"})
    build(place.outside, {"next/two/three/root/m.py": "next\n"})
    root = place.tree / "one/two/three/root"
    daemon = watch(roots=("one/two/three/root",), marker=root / "marker.py", warnings=True)
    os.rename(place.tree / "one", place.outside / "old")
    os.rename(place.outside / "next", place.tree / "one")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(root / "m.py")
    with daemon.restarts(0):
        edits.append(place.outside / "old/two/three/root/m.py")


def ends_with_usage(daemon: Daemon, *words: str) -> None:
    """Exit status 2, and one line that has these words."""
    assert daemon.wait_exit() == 2
    text = daemon.stderr.read_text()
    assert all(word in text for word in words), text
    assert len(daemon.noise) + len(daemon.events) <= 2, text  # the fault, and the mend
    assert not daemon.starts


def test_di15_root_does_not_exist(place: Place, watch: Watch) -> None:
    ends_with_usage(watch(roots=(".", "no/such/root"), ready=False, warnings=True), "no/such/root")


@pytest.mark.smoke
def test_di16_di17_root_is_a_symlink_that_is_retargeted(place: Place, watch: Watch) -> None:
    build(place.outside, {"one/m.py": "one\n", "two/m.py": "two\n", "two/pkg/n.py": "n\n"})
    (place.base / "current").symlink_to("outside/one")
    daemon = watch(
        roots=("current", "tree"),
        cwd=place.base,
        marker="tree/marker.py",
        read=(str(place.base / "current") + "/", str(place.tree)),
    )
    with daemon.restarts(1):
        edits.append(place.outside / "one/m.py")
    with daemon.restarts(1):
        run(place, "sh", "-c", "ln -s outside/two next && mv -T next current", cwd=place.base)
    with daemon.restarts(1):
        edits.append(place.outside / "two/pkg/n.py")
    with daemon.restarts(0):
        edits.append(place.outside / "one/m.py")


def test_di17_link_in_the_middle_of_the_path_to_the_root(place: Place, watch: Watch) -> None:
    build(place.outside, {"one/src/m.py": "one\n", "two/src/m.py": "two\n"})
    (place.base / "current").symlink_to("outside/one")
    daemon = watch(
        roots=("current/src", "tree"),
        cwd=place.base,
        marker="tree/marker.py",
        read=(str(place.base / "current/src"), str(place.tree)),
    )
    with daemon.restarts(1):
        run(place, "sh", "-c", "ln -s outside/two next && mv -T next current", cwd=place.base)
    with daemon.restarts(1):
        edits.append(place.outside / "two/src/m.py")


def test_di20_symlinked_directory_is_not_followed(place: Place, watch: Watch) -> None:
    build(place.outside, {"lib/m.py": "m\n"})
    (place.tree / "lib").symlink_to("../outside/lib")
    daemon = watch()
    with daemon.restarts(0):
        edits.append(place.outside / "lib/m.py")
        edits.write(place.outside / "lib/new.py")


@pytest.fixture
def linked(place: Place) -> Place:
    """One directory reached by two links, and links that lead in circles."""
    build(place.outside, {"lib/m.py": "m\n", "later/n.py": "n\n", "last/n.py": "last\n"})
    build(place.tree, {"pkg/a.py": "a\n"})
    (place.tree / "lib").symlink_to("../outside/lib")
    (place.tree / "again").symlink_to("../outside/lib")
    (place.tree / "pkg/loop").symlink_to("..")
    (place.outside / "lib/up").symlink_to("../../tree")
    return place


def test_di20_symlinked_directories_are_followed_on_demand(linked: Place, watch: Watch) -> None:
    daemon = watch("--follow-links", read=(str(linked.tree), str(linked.outside)))
    with daemon.restarts(1):
        edits.append(linked.outside / "lib/m.py")
    assert daemon.named("changed")[0]["count"] == 1
    with daemon.restarts(1):
        edits.append(linked.tree / "pkg/a.py")
    assert [one["count"] for one in daemon.named("changed")] == [1, 1, 1, 1]


def test_di20_followed_link_comes_and_goes(linked: Place, watch: Watch) -> None:
    daemon = watch("--follow-links", read=(str(linked.tree), str(linked.outside)))
    with daemon.restarts(1):
        (linked.tree / "later").symlink_to("../outside/later")
    with daemon.restarts(1):
        edits.append(linked.outside / "later/n.py")
    with daemon.restarts(1):
        run(linked, "sh", "-c", "ln -s ../outside/last next && mv -T next later")
    with daemon.restarts(1):
        edits.append(linked.outside / "last/n.py")
    with daemon.restarts(1):
        os.unlink(linked.tree / "later")
    with daemon.restarts(0):
        edits.append(linked.outside / "last/n.py")
        edits.append(linked.outside / "later/n.py")


@pytest.mark.parametrize("gone", ["lib", "again"])
def test_di20_one_of_two_links_goes(gone: str, linked: Place, watch: Watch) -> None:
    """What the other one leads to is still followed."""
    daemon = watch("--follow-links", read=(str(linked.tree), str(linked.outside)))
    with daemon.restarts(0, most=1):
        os.unlink(linked.tree / gone)
    with daemon.restarts(1):
        edits.append(linked.outside / "lib/m.py")


@pytest.mark.parametrize("follow", [(), ("--follow-links",)], ids=["as_they_are", "followed"])
def test_di21_links_that_lead_nowhere(follow: tuple[str, ...], place: Place, watch: Watch) -> None:
    """Dangling ones, circles, one through a file, one whose target is too long: none is in the way."""
    build(place.tree, {"file": "f\n"})
    (place.tree / "circle").symlink_to("circle")
    (place.tree / "through").symlink_to("file/below")
    (place.tree / "long").symlink_to("x/" * 2000)
    daemon = watch(*follow)
    with daemon.restarts(1):
        edits.append(place.tree / "file")


@pytest.mark.parametrize("follow", [(), ("--follow-links",)], ids=["as_they_are", "followed"])
def test_di21_dangling_symlinks(follow: tuple[str, ...], place: Place, watch: Watch) -> None:
    (place.tree / "dangling.py").symlink_to("nowhere.py")
    daemon = watch(*follow)
    with daemon.restarts(1):
        (place.tree / "later.py").symlink_to("nowhere/at/all.py")
    with daemon.restarts(1):
        edits.write(place.tree / "nowhere.py")


@pytest.mark.needs("modes")
@pytest.mark.parametrize(
    "owner", [pytest.param(0, id="ours"), pytest.param(1, id="anothers", marks=pytest.mark.needs("root"))]
)
def test_di32_unreadable_subdirectory(owner: int, place: Place, watch: Watch) -> None:
    build(place.tree, {"locked/m.py": "m\n", "open/n.py": "n\n"})
    if owner:
        os.chown(place.tree / "locked", owner, owner)
    (place.tree / "locked").chmod(0o700 if owner else 0)
    read = [str(place.tree / name) for name in ("open", "marker.py")]
    daemon = watch(prefix=UNPRIVILEGED, warnings=True, read=read)
    warnings = daemon.named("warning")
    assert len(warnings) == 1 and "locked" in warnings[0]["text"], warnings
    with daemon.restarts(1):
        edits.append(place.tree / "open/n.py")
    with daemon.restarts(0, most=1):
        (place.tree / "locked").chmod(0o755)
    with daemon.restarts(1):
        edits.append(place.tree / "locked/m.py")
    assert len(daemon.named("warning")) == 1


@pytest.mark.needs("modes")
def test_di33_unreadable_root(place: Place, watch: Watch) -> None:
    build(place.tree, {"locked/m.py": "m\n"})
    (place.tree / "locked").chmod(0)
    daemon = watch(prefix=UNPRIVILEGED, roots=("locked",), ready=False, warnings=True)
    ends_with_usage(daemon, "locked", "EACCES")


@pytest.mark.needs("modes")
def test_di34_search_only_directory_and_write_only_file(place: Place, watch: Watch) -> None:
    build(place.tree, {"passage/m.py": "m\n", "letterbox.py": "x\n", "open/n.py": "n\n"})
    (place.tree / "passage").chmod(0o111)
    (place.tree / "letterbox.py").chmod(0o222)
    daemon = watch(
        prefix=UNPRIVILEGED, warnings=True, read=(str(place.tree / "open"), str(place.tree / "marker.py"))
    )
    warnings = daemon.named("warning")
    assert len(warnings) == 1 and "passage" in warnings[0]["text"], warnings
    with daemon.restarts(1):
        edits.append(place.tree / "letterbox.py")
    with daemon.restarts(1):
        edits.append(place.tree / "open/n.py")


CHURN = """\
import os, sys
os.chdir(sys.argv[1])
while os.path.exists("go"):
    for number in range(50):
        os.makedirs(f"c{number}/d/e", exist_ok=True)
    for number in range(50):
        os.removedirs(f"c{number}/d/e")
"""


def test_di35_subdirectories_disappear_during_the_scan(place: Place, watch: Watch) -> None:
    """Directories come and go while reloaderd starts and while it runs: no error, no restart, no leak."""
    build(place.tree, {"go": "", "pkg/m.py": "m\n"})
    churn = subprocess.Popen([sys.executable, "-c", CHURN, str(place.tree)])
    try:
        wait_until((place.tree / "c3").exists, "the churn")
        for _ in range(5):
            one = watch(children=None)
            one.finish()
        daemon = watch()
        with daemon.restarts(1):
            edits.append(place.tree / "pkg/m.py")
    finally:
        churn.send_signal(signal.SIGKILL)
        churn.wait()
    for leftover in place.tree.glob("c*"):
        shutil.rmtree(leftover)
    daemon.settle(len(daemon.starts))
    one_watch_each(daemon, place.tree)


def test_di38_case_only_rename(place: Place, watch: Watch) -> None:
    build(place.tree, {"Readme.py": "r\n", "Pkg/m.py": "m\n"})
    daemon = watch()
    with daemon.restarts(1):
        os.rename(place.tree / "Readme.py", place.tree / "README.py")
    with daemon.restarts(1):
        os.rename(place.tree / "Pkg", place.tree / "pkg")
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/m.py")
