"""DI: file systems that are mounted on, over and around the trees while they are watched.

Each test has a mount namespace of its own; `mounts.at(path)` is where its files are found from outside.
"""

from __future__ import annotations

import os

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.faults import injecting, wait_late
from tests.support.mounts import Mounts
from tests.support.places import Place, build

LATE = 300_000
"""Microseconds that a call is late: long against a mount."""

pytestmark = pytest.mark.needs("mounts", "nsenter")


def watch_beside(watch: Watch, mounts: Mounts, root: str, *options: str, **keywords: object) -> Daemon:
    """A root that things are mounted over, and another that the marker is in."""
    keywords = {"marker": "other/marker.py", "inside": mounts, **keywords}
    return watch(*options, roots=(root, "other"), **keywords)


@pytest.fixture
def tree(place: Place) -> Place:
    build(
        place.tree, {"root/m.py": "m\n", "root/sub/n.py": "n\n", "root/sub/deep/o.py": "o\n", "other/": None}
    )
    build(place.outside, {"source/s.py": "s\n", "source/pkg/t.py": "t\n", "empty/": None})
    return place


def test_di24_mounted_over_a_watched_subdirectory(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """What it hides is gone, what is in it counts, and what comes back when it goes is seen."""
    sub = tree.tree / "root/sub"
    daemon = watch_beside(watch, mounts, "root")
    watches = procfs.inotify_watches(daemon.pid)
    with daemon.restarts(1):
        mounts.tmpfs(sub)
    with daemon.restarts(1):
        edits.write(mounts.at(sub / "new.py"))
    with daemon.restarts(1, most=2):
        build(mounts.at(sub), {"pkg/er/p.py": "p\n"})
    with daemon.restarts(1):
        edits.append(mounts.at(sub / "pkg/er/p.py"))
    with daemon.restarts(0):
        edits.append(sub / "n.py")  # of the file system below, which nobody sees
    with daemon.restarts(1):
        mounts.unmount(sub)
    with daemon.restarts(1):
        edits.append(sub / "deep/o.py")
    daemon.wait_watches(watches, watches)


def test_di24_mounted_over_an_empty_directory(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """Nothing of what the child reads has changed, yet what comes into it counts."""
    (tree.tree / "root/empty").mkdir()
    daemon = watch_beside(watch, mounts, "root")
    with daemon.restarts(0):
        mounts.tmpfs(tree.tree / "root/empty")
    with daemon.restarts(1):
        edits.write(mounts.at(tree.tree / "root/empty/new.py"))
    with daemon.restarts(1):
        mounts.unmount(tree.tree / "root/empty")


def test_di24_mounted_twice_over_one_directory(tree: Place, mounts: Mounts, watch: Watch) -> None:
    sub = tree.tree / "root/sub"
    daemon = watch_beside(watch, mounts, "root")
    for name in ("one.py", "two.py"):
        with daemon.restarts(1, most=2):
            mounts.tmpfs(sub)
            edits.write(mounts.at(sub / name))
    for _ in range(2):
        with daemon.restarts(1):
            mounts.unmount(sub)
    with daemon.restarts(1):
        edits.append(sub / "n.py")


def test_di24_mounted_over_the_root(tree: Place, mounts: Mounts, watch: Watch) -> None:
    root = tree.tree / "root"
    daemon = watch_beside(watch, mounts, "root", warnings=True)
    mounts.tmpfs(root)
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.write(mounts.at(root / "new.py"))
    with daemon.restarts(1):
        edits.append(mounts.at(root / "new.py"))
    with daemon.restarts(0):
        edits.append(root / "m.py")
    mounts.unmount(root)
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(root / "sub/n.py")


def test_di24_mounted_over_an_ancestor_of_the_root(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """The root is gone with what leads to it, and is waited for in what came in its place."""
    build(tree.tree, {"one/two/root/m.py": "m\n"})
    root = tree.tree / "one/two/root"
    daemon = watch_beside(watch, mounts, "one/two/root", warnings=True)
    at = daemon.mark()
    mounts.tmpfs(tree.tree / "one")
    daemon.wait_event("warning", after=at)
    build(mounts.at(root), {"m.py": "another\n"})
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(mounts.at(root / "m.py"))
    mounts.unmount(tree.tree / "one")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(root / "m.py")


def test_di24_mounted_on_the_way_to_a_file(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """A root that is a file is looked for anew as well."""
    build(tree.tree, {"conf/app.py": "app\n"})
    build(tree.outside, {"conf/app.py": "other\n"})
    daemon = watch_beside(watch, mounts, "conf/app.py")
    mounts.bind(tree.outside / "conf", tree.tree / "conf")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.replace(tree.outside / "conf/app.py")
    mounts.unmount(tree.tree / "conf")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(tree.tree / "conf/app.py")


def test_di23_bind_mount_written_through_its_source(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """One inode, one watch: the kernel tells of it under whatever name."""
    mounts.bind(tree.outside / "source", tree.tree / "root")
    daemon = watch_beside(watch, mounts, "root")
    with daemon.restarts(1):
        edits.append(tree.outside / "source/s.py")
    with daemon.restarts(1):
        build(tree.outside / "source", {"new/n.py": "n\n"})
    with daemon.restarts(1):
        edits.replace(tree.outside / "source/pkg/t.py")


def test_di23_source_and_target_are_both_watched(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """They share their watches; when the mount goes the source keeps them."""
    build(tree.tree, {"root/source/s.py": "s\n", "root/source/pkg/t.py": "t\n", "root/target/": None})
    source, target = tree.tree / "root/source", tree.tree / "root/target"
    mounts.bind(source, target)
    daemon = watch_beside(watch, mounts, "root")
    with daemon.restarts(1):
        edits.append(source / "pkg/t.py")
    with daemon.restarts(1):
        mounts.unmount(target)
    with daemon.restarts(1):
        edits.append(source / "pkg/t.py")
    with daemon.restarts(1):
        edits.write(mounts.at(target / "own.py"))


def test_di23_root_mounted_over_a_root_in_it_is_at_rest(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """One directory by two paths, with a mount below one of them: polling does not take that for a change."""
    roots = ("root", "root/sub", "other")
    daemon = watch("--backend=poll", "--poll-interval=50ms", roots=roots, marker="other/m.py", inside=mounts)
    with daemon.restarts(1, most=3):
        mounts.bind(tree.tree / "root", tree.tree / "root/sub")
    with daemon.restarts(0):
        pass
    with daemon.restarts(1):
        edits.append(tree.tree / "root/m.py")


def test_di27_bind_mount_that_comes_and_goes(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """Its file system stays mounted elsewhere, so the kernel has no word for it."""
    sub = tree.tree / "root/sub"
    daemon = watch_beside(watch, mounts, "root")
    with daemon.restarts(1):
        mounts.bind(tree.outside / "source", sub)
    with daemon.restarts(1):
        edits.append(tree.outside / "source/pkg/t.py")
    with daemon.restarts(1):
        mounts.unmount(sub)
    with daemon.restarts(0):
        edits.append(tree.outside / "source/pkg/t.py")
    with daemon.restarts(1):
        edits.append(sub / "deep/o.py")


def test_di26_lazy_unmount_below_the_child(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """The child works in what is unmounted: it lives on there, out of the tree."""
    sub = tree.tree / "root/sub"
    mounts.tmpfs(sub)
    build(mounts.at(sub), {"x.py": "x\n"})
    daemon = watch_beside(watch, mounts, "root", f"--chdir={sub}", warnings=True)
    mounts.unmount(sub, "--lazy")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(sub / "n.py")


def test_di26_lazy_unmount_of_a_root(tree: Place, mounts: Mounts, watch: Watch) -> None:
    root = tree.tree / "root"
    mounts.tmpfs(root)
    edits.write(mounts.at(root / "x.py"))
    daemon = watch_beside(watch, mounts, "root", f"--chdir={root}", warnings=True)
    mounts.unmount(root, "--lazy")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(root / "sub/n.py")


def test_di24_mount_that_is_moved(tree: Place, mounts: Mounts, watch: Watch) -> None:
    sub, elsewhere = tree.tree / "root/sub", tree.outside / "empty"
    mounts.tmpfs(elsewhere)
    edits.write(mounts.at(elsewhere / "x.py"))
    daemon = watch_beside(watch, mounts, "root")
    with daemon.restarts(1):
        mounts.move(elsewhere, sub)
    with daemon.restarts(1):
        edits.append(mounts.at(sub / "x.py"))
    with daemon.restarts(1):
        mounts.move(sub, elsewhere)
    with daemon.restarts(0):
        edits.append(mounts.at(elsewhere / "x.py"))
    with daemon.restarts(1):
        edits.append(sub / "n.py")


def test_mount_point_that_is_renamed_and_removed_outside(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """Who does not see the mount may do so: first it goes along, then it goes (Linux 3.18)."""
    sub, renamed = tree.tree / "root/sub", tree.tree / "root/renamed"
    mounts.tmpfs(sub)
    edits.write(mounts.at(sub / "x.py"))
    daemon = watch_beside(watch, mounts, "root")
    with daemon.restarts(1):
        os.rename(sub, renamed)
    with daemon.restarts(1):
        edits.append(mounts.at(renamed / "x.py"))
    with daemon.restarts(1):
        edits.remove_tree(renamed)
    with daemon.restarts(1, most=2):
        build(renamed, {"pkg/y.py": "y\n"})
    with daemon.restarts(1):
        edits.append(renamed / "pkg/y.py")


def test_mount_below_an_ignored_directory(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """It is in no tree: neither it nor what happens in it is looked at."""
    build(tree.tree, {"root/node_modules/x/p.py": "p\n", "root/.venv/": None})
    daemon = watch_beside(
        watch, mounts, "root", read=(str(tree.tree / "root/m.py"), str(tree.tree / "other"))
    )
    watches = procfs.inotify_watches(daemon.pid)
    with daemon.restarts(0):
        for name in ("node_modules/x", ".venv"):
            mounts.tmpfs(tree.tree / "root" / name)
            edits.write(mounts.at(tree.tree / "root" / name / "q.py"))
    with daemon.restarts(0):
        mounts.unmount(tree.tree / "root/node_modules/x")
    assert procfs.inotify_watches(daemon.pid) == watches


@pytest.mark.needs("strace")
def test_mount_that_is_there_for_no_longer_than_a_directory_is_armed(
    tree: Place, mounts: Mounts, watch: Watch
) -> None:
    """By the time that the table is read it is as it was."""
    new = tree.tree / "root/new"
    slow = ["-P", str(new), "-e", "trace=inotify_add_watch"]
    slow += ["-e", f"inject=inotify_add_watch:delay_enter={LATE}:delay_exit={LATE}"]
    daemon = watch_beside(watch, mounts, "root", prefix=injecting(*slow))
    watches = procfs.inotify_watches(daemon.pid)
    new.mkdir()
    wait_late(daemon)
    mounts.bind(tree.outside / "source", new)
    daemon.wait(lambda: procfs.inotify_watches(daemon.pid) > watches, "the watch of what is mounted")
    mounts.unmount(new)
    daemon.settle(len(daemon.starts), most=len(daemon.starts) + 2)
    with daemon.restarts(1):
        edits.write(new / "n.py")
    daemon.wait_watches(watches + 1, watches + 1)


def test_mounts_elsewhere(tree: Place, mounts: Mounts, watch: Watch) -> None:
    """Containers and devices come and go all day: no restart, nothing is said, nothing watched."""
    daemon = watch_beside(watch, mounts, "root")
    watches = procfs.inotify_watches(daemon.pid)
    with daemon.restarts(0):
        for _ in range(10):
            mounts.tmpfs(tree.outside / "empty")
            edits.write(mounts.at(tree.outside / "empty/x.py"))
            mounts.unmount(tree.outside / "empty")
        mounts.run("mount", "-o", "remount,ro,bind", "/proc")
    assert procfs.inotify_watches(daemon.pid) == watches
    assert len(daemon.named("watching")) == 1


@pytest.mark.parametrize("as_root", [True, False], ids=["as_path", "below"])
def test_sf10_file_that_is_a_mount_itself(as_root: bool, tree: Place, mounts: Mounts, watch: Watch) -> None:
    """Writing it is seen by either name.  Replaced on the host, the mount goes on to show the old file."""
    path, host = tree.tree / "root/m.py", tree.outside / "source/s.py"
    mounts.bind(host, path)
    daemon = watch_beside(watch, mounts, "root/m.py" if as_root else "root", warnings=True)
    with daemon.restarts(1):
        edits.append(host)
    with daemon.restarts(1):
        edits.append(mounts.at(path))
    assert not daemon.named("warning")
    with daemon.restarts(0, most=1):
        edits.replace(host)
        warning = daemon.wait_event("warning")
    assert str(path) in warning["text"] and "old" in warning["text"], warning
    with daemon.restarts(0):
        edits.append(host)
    assert len(daemon.named("warning")) == 1
    with daemon.restarts(1):
        mounts.unmount(path)
    with daemon.restarts(1):
        edits.append(path)
