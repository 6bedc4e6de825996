"""DI28-DI30, PO08, PO16: file systems that do not tell the kernel everything, or tell the time coarsely.

An edit "behind" is one that reaches the file system by another way than the kernel that watches.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.daemon import Daemon, Watch
from tests.support.mounts import Mounts
from tests.support.places import Place, build

FAST = "--poll-interval=100ms"

# An overlay


@pytest.fixture
def overlay(place: Place, mounts: Mounts) -> Path:
    """An overlay in `root`, of `lower` and `upper` in outside/."""
    lower = {"a.py": "a\n", "b.py": "b\n", "pkg/c.py": "c\n", "d.py": "d\n"}
    build(place.outside / "lower", lower)
    build(place.outside, {"upper/u.py": "u\n", "work/": None})
    build(place.tree, {"root/": None, "other/": None})
    names = [place.outside / name for name in ("lower", "upper", "work")]
    mounts.overlay(place.tree / "root", *names)
    return place.tree / "root"


@pytest.mark.needs("overlay")
@pytest.mark.parametrize("backend", ["auto", "poll"])
def test_di28_overlay(backend: str, overlay: Path, mounts: Mounts, watch: Watch) -> None:
    """What a container's root file system is: the first write of a file makes it another file."""
    daemon = watch(f"--backend={backend}", FAST, roots=("root", "other"), marker="other/m.py", inside=mounts)
    within = mounts.at(overlay)
    for _ in range(2):  # copied up, and there already
        with daemon.restarts(1):
            edits.append(within / "a.py")
    with daemon.restarts(1):
        edits.append(within / "pkg/c.py")
    with daemon.restarts(1):
        os.unlink(within / "b.py")
    with daemon.restarts(1):
        os.rename(within / "d.py", within / "pkg/e.py")
    with daemon.restarts(1):
        edits.replace(within / "pkg/c.py")
    with daemon.restarts(1):
        edits.write(within / "pkg/new.py")
    if backend == "auto":
        (watching,) = daemon.named("watching")
        assert watching["source"] == "inotify" and not watching["polled"], watching


@pytest.mark.needs("overlay")
def test_di28_reading_and_chmod_of_a_lower_file(overlay: Path, mounts: Mounts, watch: Watch) -> None:
    """A change of mode copies the file up: another inode, the same content and time."""
    daemon = watch(roots=("root", "other"), marker="other/m.py", inside=mounts)
    with daemon.restarts(0):
        (mounts.at(overlay) / "a.py").chmod(0o755)
        (mounts.at(overlay) / "pkg/c.py").read_bytes()
        os.close(os.open(mounts.at(overlay) / "d.py", os.O_RDWR))


@pytest.mark.needs("overlay")
def test_di29_behind_an_overlay(overlay: Path, place: Place, mounts: Mounts, watch: Watch) -> None:
    """Nothing can be seen of it but by looking."""
    daemon = watch(
        "--backend=poll", FAST, roots=("root", "other"), marker="other/m.py", inside=mounts
    )  # fmt: skip
    with daemon.restarts(1):
        edits.append(place.outside / "upper/u.py")
    with daemon.restarts(1):
        edits.append(place.outside / "lower/pkg/c.py")


# FUSE, as sshfs is one


@pytest.fixture
def remote(place: Place, mounts: Mounts) -> Path:
    """A directory that a FUSE server shows in `root`; returned is the directory."""
    backing = place.outside / "backing"
    build(backing, {"a.py": "a\n", "pkg/b.py": "b\n", "pkg/deep/c.py": "c\n"})
    build(place.tree, {"root/": None, "other/": None})
    return backing


def watch_remote(watch: Watch, place: Place, mounts: Mounts, *options: str, **keywords: object) -> Daemon:
    mounts.fuse(place.outside / "backing", place.tree / "root", "sshfs")
    return watch(FAST, *options, roots=("root", "other"), marker="other/m.py", inside=mounts, **keywords)


@pytest.mark.needs("fuse", "nsenter")
def test_di30_po16_fuse_is_polled_and_that_is_said(
    remote: Path, place: Place, mounts: Mounts, watch: Watch
) -> None:
    daemon = watch_remote(watch, place, mounts)
    (watching,) = daemon.named("watching")
    assert watching["source"] == "inotify"
    assert watching["polled"] == [{"path": str(place.tree / "root"), "why": "fuse.sshfs"}]


@pytest.mark.needs("fuse", "nsenter")
def test_po16_line_for_people(remote: Path, place: Place, mounts: Mounts, watch: Watch) -> None:
    daemon = watch_remote(watch, place, mounts, log_format="text")
    line = daemon.wait_line(lambda line: "watching" in line)
    assert "poll" in line and "fuse.sshfs" in line, line


@pytest.mark.needs("fuse", "nsenter")
def test_di30_edits_behind_the_kernel(remote: Path, place: Place, mounts: Mounts, watch: Watch) -> None:
    """On the server: nothing wakes here."""
    daemon = watch_remote(watch, place, mounts)
    with daemon.restarts(1):
        edits.append(remote / "pkg/b.py")
    with daemon.restarts(1):
        edits.replace(remote / "pkg/deep/c.py")
    with daemon.restarts(1):
        os.unlink(remote / "a.py")
    with daemon.restarts(1, most=2):
        build(remote, {"new/er/d.py": "d\n"})
    with daemon.restarts(1):
        edits.append(remote / "new/er/d.py")


@pytest.mark.needs("fuse", "nsenter")
def test_di30_edits_through_the_mount(remote: Path, place: Place, mounts: Mounts, watch: Watch) -> None:
    """Here: the kernel tells of these, and polling would find them too: one restart all the same."""
    daemon = watch_remote(watch, place, mounts)
    within = mounts.at(place.tree / "root")
    with daemon.restarts(1):
        edits.append(within / "pkg/b.py")
    with daemon.restarts(1):
        edits.replace(within / "pkg/deep/c.py")
    with daemon.restarts(1):
        os.unlink(within / "a.py")
    with daemon.restarts(1, most=2):
        build(within, {"new/er/d.py": "d\n"})
    with daemon.restarts(1):
        edits.append(place.tree / "other/beside.py")


@pytest.mark.needs("fuse", "nsenter")
def test_po16_backend_inotify_overrides(remote: Path, place: Place, mounts: Mounts, watch: Watch) -> None:
    daemon = watch_remote(watch, place, mounts, "--backend=inotify")
    assert [one["polled"] for one in daemon.named("watching")] == [[]]
    with daemon.restarts(1):
        edits.append(mounts.at(place.tree / "root/pkg/b.py"))
    before = len(daemon.starts)
    edits.append(remote / "a.py")  # behind: the next visible change must be the first that is seen
    daemon.settle(before)


@pytest.mark.needs("fuse", "nsenter")
def test_di30_what_is_done_on_this_machine_is_told_at_once(
    remote: Path, place: Place, mounts: Mounts, watch: Watch
) -> None:
    """The next look is an hour away: the kernel tells of what goes through it."""
    mounts.fuse(remote, place.tree / "root", "sshfs")
    daemon = watch("--poll-interval=1h", roots=("root", "other"), marker="other/m.py", inside=mounts)
    root = mounts.at(place.tree / "root")
    for number in range(3):
        with daemon.restarts(1):
            edits.append(root / "pkg/b.py", f"{number}\n")
    with daemon.restarts(1):
        build(root, {"new/er/n.py": "n\n"})
    with daemon.restarts(1):
        edits.append(root / "new/er/n.py")
    with daemon.restarts(1):
        os.unlink(root / "a.py")


@pytest.mark.needs("fuse", "nsenter")
def test_di30_what_is_done_on_this_machine_counts_once(
    remote: Path, place: Place, mounts: Mounts, watch: Watch
) -> None:
    """What the kernel told of is no news to the next look, wherever between two looks it was done."""
    daemon = watch_remote(watch, place, mounts)
    within = mounts.at(place.tree / "root/pkg/b.py")
    for number in range(10):
        with daemon.restarts(1):
            edits.append(within if number % 3 else remote / "pkg/b.py", f"{number}\n")


@pytest.mark.needs("fuse", "nsenter")
def test_di30_fuse_below_the_root_comes_and_goes(
    remote: Path, place: Place, mounts: Mounts, watch: Watch
) -> None:
    """The rest is watched as ever; each time that what is polled changes, it is said."""
    build(place.tree, {"root/sub/n.py": "n\n", "root/m.py": "m\n"})
    sub = place.tree / "root/sub"
    daemon = watch(FAST, roots=("root", "other"), marker="other/m.py", inside=mounts)
    with daemon.restarts(1):
        mounts.fuse(remote, sub)
    polled = [{"path": str(sub), "why": "fuse.passthrough"}]
    daemon.wait_event("watching", polled=polled)
    with daemon.restarts(1):
        edits.append(remote / "pkg/b.py")
    with daemon.restarts(1):
        edits.append(place.tree / "root/m.py")
    at = daemon.mark()
    with daemon.restarts(1):
        mounts.unmount(sub)
    daemon.wait_event("watching", after=at, polled=[])
    with daemon.restarts(1):
        edits.append(sub / "n.py")
    with daemon.restarts(0):
        edits.append(remote / "pkg/b.py")


@pytest.mark.needs("fuse", "nsenter")
@pytest.mark.parametrize("root", ["root", "root/pkg", "root/pkg/b.py"], ids=["mount", "below", "file"])
def test_di30_inode_numbers_that_the_kernel_forgot(
    root: str, remote: Path, place: Place, mounts: Mounts, watch: Watch
) -> None:
    """Most FUSE servers make them up anew each time: that is no change of any file."""
    mounts.fuse(remote, place.tree / "root", "sshfs")
    daemon = watch(FAST, roots=(root, "other"), marker="other/m.py", inside=mounts)
    within = mounts.at(place.tree / "root/pkg/b.py")
    number = within.stat().st_ino
    with daemon.restarts(0):
        mounts.run("mount", "-i", "-o", "remount", place.tree / "root")  # forgets all names
        assert within.stat().st_ino != number
        time.sleep(0.3)  # a few looks at it
    with daemon.restarts(1):
        edits.append(remote / "pkg/b.py")


@pytest.mark.needs("fuse", "nsenter")
def test_di30_server_that_dies(remote: Path, place: Place, mounts: Mounts, watch: Watch) -> None:
    """Each look fails with ENOTCONN then: the rest goes on, and it is polled when it is back."""
    read = [str(place.tree / "other"), str(place.tree / "root/a.py")]
    daemon = watch_remote(watch, place, mounts, read=read, warnings=True)
    mounts.kill_servers()
    with daemon.restarts(1, most=2):
        edits.append(place.tree / "other/beside.py")
    mounts.unmount(place.tree / "root", "--lazy")
    mounts.fuse(remote, place.tree / "root", "sshfs")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(remote / "a.py")


# Coarse clocks


def ext4_of_seconds(place: Place, mounts: Mounts, mountpoint: Path) -> None:
    """Inodes of 128 bytes have no room for fractions of a second."""
    image = place.scratch / "image"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    mounts.run("mke2fs", "-q", "-t", "ext4", "-I", "128", image)
    mounts.run("mount", "-o", "loop", image, mountpoint)


MAKE: dict[str, Callable[[Place, Mounts, Path], None]] = {
    "ext4_of_seconds": ext4_of_seconds,
    "tmpfs": lambda place, mounts, mountpoint: mounts.tmpfs(mountpoint),
}


@pytest.mark.needs("mounts", "nsenter")
@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        pytest.param("ext4_of_seconds", 50, marks=pytest.mark.needs("loop", "mke2fs"), id="ext4_of_seconds"),
        pytest.param("tmpfs", 20, id="tmpfs"),
    ],
)
def test_po08_po10_written_again_within_the_same_tick(
    kind: str, rounds: int, place: Place, mounts: Mounts, watch: Watch
) -> None:
    """Written, looked at, and written again with the same size within what the clock tells apart."""
    root = place.tree / "root"
    root.mkdir()
    MAKE[kind](place, mounts, root)
    daemon = watch(
        "--backend=poll", "--poll-interval=30ms", "--debounce=0", roots=("root",), marker="root/m.py",
        inside=mounts,
    )  # fmt: skip
    same = 0
    for number in range(rounds):
        path = mounts.at(root / f"m{number % 7}.py")  # one file alone would look like a child that writes it
        edits.write(path, f"1 {number:03}\n")
        daemon.final_state_seen()
        before = path.stat().st_mtime_ns
        edits.write(path, f"2 {number:03}\n")
        same += path.stat().st_mtime_ns == before
        daemon.final_state_seen()
    if kind == "ext4_of_seconds":
        assert same > rounds / 3, "the clock told them apart: this tested nothing"


# NFS


@pytest.mark.kernel("nfsd", "nfs4")
@pytest.mark.needs("mounts", "nsenter", "exportfs", "rpc.nfsd", "rpc.mountd", "mount.nfs4")
def test_di30_nfs_over_loopback(place: Place, watch: Watch) -> None:
    """A server of this machine in a network namespace of its own; an edit on it is seen by polling."""
    backing, root = place.outside / "backing", place.tree / "root"
    build(backing, {"a.py": "a\n", "pkg/b.py": "b\n"})
    build(place.tree, {"root/": None, "other/": None})
    mounts = Mounts(net=True)
    try:
        mounts.run("ip", "link", "set", "lo", "up")
        mounts.run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
        mounts.tmpfs(Path("/var/lib/nfs"))
        how = "rw,fsid=0,no_root_squash,no_subtree_check,insecure"
        mounts.run("exportfs", "-o", how, f"127.0.0.1:{backing}")
        mounts.serve("rpc.mountd", "--foreground", "--no-nfs-version", "3")
        mounts.run("rpc.nfsd", "--no-nfs-version", "3", "1")
        mounts.run("mount", "-t", "nfs4", "127.0.0.1:/", root)
        daemon = watch(FAST, roots=("root", "other"), marker="other/m.py", inside=mounts)
        assert daemon.named("watching")[0]["polled"] == [{"path": str(root), "why": "nfs4"}]
        with daemon.restarts(1):
            edits.append(backing / "pkg/b.py")
        daemon.finish()
        mounts.unmount(root)
    finally:
        mounts.run("rpc.nfsd", "0")
        mounts.close()
