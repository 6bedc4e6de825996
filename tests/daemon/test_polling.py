"""PO: what is seen by looking, and only so; and what looking costs."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.faults import UNPRIVILEGED
from tests.support.mounts import Mounts
from tests.support.places import Place, build
from tests.support.waiting import wait_until


@pytest.fixture
def backend() -> str:
    return "poll"


@pytest.fixture
def daemon(place: Place, watch: Watch) -> Daemon:
    """Polls a few files."""
    build(place.tree, {"a.py": "one\n", "pkg/b.py": "b\n", "pkg/deep/c.py": "c\n"})
    build(place.outside, {"o.py": "outside\n"})
    os.link(place.tree / "pkg/b.py", place.outside / "linked.py")
    (place.tree / "link.py").symlink_to("../outside/o.py")
    return watch()


def test_po16_all_is_polled_when_that_is_asked_for(place: Place, daemon: Daemon) -> None:
    """Nothing is asked of inotify then, which may have nothing to give."""
    (watching,) = daemon.named("watching")
    assert watching["source"] == "poll"
    assert watching["polled"] == [{"path": str(place.tree), "why": "asked for"}]
    assert watching["directories"] == 3
    assert not any("inotify" in target for target in procfs.fds(daemon.pid).values())


def test_po01_time_set_backwards(place: Place, daemon: Daemon) -> None:
    path = place.tree / "a.py"
    with daemon.restarts(1, most=2):
        edits.write(path, "older, by its time\n")
        os.utime(path, (1, 1))
    build(place.outside, {"old.py": "from an archive\n"})
    os.utime(place.outside / "old.py", (1e9, 1e9))
    with daemon.restarts(1):
        os.replace(place.outside / "old.py", path)


def test_po_rewritten_and_its_time_put_back(place: Place, daemon: Daemon) -> None:
    """Same size, same inode, same time of modification: its time of change gives it away."""
    path = place.tree / "a.py"
    for text in ("two\n", "six\n"):
        look = path.stat()
        with daemon.restarts(1, most=2):
            edits.write(path, text)
            os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
        assert path.stat().st_mtime_ns == look.st_mtime_ns


def test_po_changes_that_are_none(place: Place, daemon: Daemon) -> None:
    """Mode, owner and link count move the time of change as well."""
    path = place.tree / "a.py"
    with daemon.restarts(0):
        path.chmod(0o755)
        (place.tree / "pkg").chmod(0o700)
        os.utime(place.tree / "pkg")
    with daemon.restarts(0):
        os.link(path, place.outside / "another.py")
    with daemon.restarts(1):  # or the marker's would look like a loop
        edits.append(place.tree / "pkg/b.py")
    with daemon.restarts(0):
        os.unlink(place.outside / "another.py")
    if os.getuid() == 0:
        with daemon.restarts(0):
            os.chown(path, 1, 1)


def test_po04_po05_files_come_and_go(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n", "b.txt": "b\n"})
    daemon = watch("--filter=*.py")
    with daemon.restarts(1):
        os.unlink(place.tree / "a.py")
    with daemon.restarts(1):
        edits.write(place.tree / "new.py")
    with daemon.restarts(1, most=2):
        build(place.tree, {"pkg/er/n.py": "n\n", "pkg/er/n.txt": "n\n"})
    with daemon.restarts(0):
        os.unlink(place.tree / "b.txt")
        edits.write(place.tree / "c.txt")
        os.unlink(place.tree / "pkg/er/n.txt")


def test_po07_several_changes_a_second(place: Place, daemon: Daemon) -> None:
    """Of the same size, each awaited."""
    for number in range(8):
        edits.write(place.tree / ("a.py" if number % 2 else "pkg/b.py"), f"{number:03}\n")
        daemon.final_state_seen()


def test_fe09_mapped_write_while_all_is_open(place: Place, daemon: Daemon) -> None:
    with open(place.tree / "a.py", "r+b") as file, mmap.mmap(file.fileno(), 4) as mapped:
        for text in (b"two\n", b"six\n"):
            with daemon.restarts(1):
                mapped[:] = text
                mapped.flush()


def test_fe27_written_by_another_name(place: Place, daemon: Daemon) -> None:
    """Through a hard link outside the tree, and to the file that a link in it leads to."""
    with daemon.restarts(1):
        edits.append(place.outside / "linked.py")
    with daemon.restarts(1):
        edits.append(place.outside / "o.py")
    with daemon.restarts(1):
        edits.replace(place.outside / "o.py")


@pytest.mark.needs("modes")
def test_po13_unreadable_directory_comes_and_goes(place: Place, watch: Watch) -> None:
    """What cannot be looked at has not changed; when it can again, it has or has not."""
    build(place.tree, {"locked/m.py": "m\n", "locked/deep/n.py": "n\n", "open.py": "o\n"})
    locked = place.tree / "locked"
    read = [str(place.tree / name) for name in ("open.py", "marker.py")]
    daemon = watch(prefix=UNPRIVILEGED, read=read, warnings=True)
    with daemon.restarts(0):
        locked.chmod(0)
    with daemon.restarts(0):
        locked.chmod(0o755)
    with daemon.restarts(1):
        edits.append(locked / "deep/n.py")
    with open(locked / "m.py", "a") as held:
        locked.chmod(0)
        daemon.settle(len(daemon.starts), most=len(daemon.starts) + 1)
        held.write("by who was in before\n")
    with daemon.restarts(1, most=2):
        locked.chmod(0o755)
    with daemon.restarts(0, most=1):
        (place.tree / "never").mkdir(mode=0)
    with daemon.restarts(0, most=1):
        (place.tree / "never").rmdir()
    with daemon.restarts(1):
        edits.append(locked / "m.py")


@pytest.mark.parametrize(("count", "most"), [(300, 1), (3000, 2)])
def test_po_one_act_on_many_files(count: int, most: int, place: Place, watch: Watch) -> None:
    """A checkout: what one look finds is waited on until another has found that it is all."""
    names = [f"d{number % 20}/m{number}.py" for number in range(count)]
    build(place.tree, dict.fromkeys(names, "old\n"))
    read = [str(place.tree / name) for name in (names[-1], "marker.py")]
    daemon = watch(read=read)
    with daemon.restarts(1, most=most):
        for name in names:
            edits.write(place.tree / name, "newer\n")
        daemon.wait(lambda: counted(daemon) >= count, "all of them to count")


def counted(daemon: Daemon) -> int:
    return sum(one["count"] for one in daemon.named("changed"))


def faked(where: Path) -> dict[str, str | None]:
    """Variables for libfaketime to take its offset from a file, and to leave the monotonic clock alone."""
    found = subprocess.run(["faketime", "-f", "+0s", "env"], capture_output=True, text=True, check=True)
    preload = next(line for line in found.stdout.splitlines() if line.startswith("LD_PRELOAD="))
    return {
        "LD_PRELOAD": preload.partition("=")[2],
        "FAKETIME_TIMESTAMP_FILE": str(where),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


@pytest.mark.needs("faketime")
def test_po14_ck04_clock_set_back_by_an_hour(place: Place, watch: Watch) -> None:
    """And forward by one: the next look comes when it would have, and no file has changed.

    To it, that is a server whose clock is an hour ahead, and then one whose clock is an hour behind.
    """
    build(place.tree, {"a.py": "a\n", "b.py": "b\n"})
    offset = place.scratch / "offset"
    offset.write_text("+0s")
    daemon = watch(environ=faked(offset))
    for step in ("-3600s", "+3600s", "-0s"):
        told = daemon.named("watching")[0]["time"]
        with daemon.restarts(0):
            offset.write_text(step)
        with daemon.restarts(1):
            edits.append(place.tree / "a.py")
        with daemon.restarts(1):
            edits.replace(place.tree / "b.py")
        if step.startswith("-36"):
            assert daemon.events[-1]["time"] < told - 3000, "the clock was not set: this tested nothing"


def test_poll_interval_is_kept(place: Place, watch: Watch) -> None:
    """A change right after the start waits for the next look, and not for longer."""
    build(place.tree, {"a.py": "a\n"})
    daemon = watch("--poll-interval=1.5s")
    edits.append(place.tree / "a.py")
    changed = daemon.wait_event("changed")
    waited = changed["time"] - daemon.named("watching")[0]["time"]
    assert waited > 1.2
    daemon.final_state_seen()


@pytest.mark.parametrize("value", ["5ms", "0", "-1s", "soon"])
def test_poll_interval_that_makes_no_sense(value: str, watch: Watch) -> None:
    daemon = watch(f"--poll-interval={value}", ready=False, warnings=True)
    assert daemon.wait_exit() == 2
    assert "--poll-interval" in daemon.stderr.read_text()


def test_polling_takes_a_twentieth_of_a_core_at_most(place: Place, watch: Watch) -> None:
    """However large the tree and however short the interval: it looks less often then."""
    build(place.tree, {f"d{number % 200}/m{number}.py": "m\n" for number in range(20_000)})
    deep = place.tree / "d77/m77.py"
    daemon = watch("--poll-interval=10ms", read=(str(deep), str(place.tree / "marker.py")))
    daemon.change_marker()
    used, began = procfs.cpu(daemon.pid), time.monotonic()
    for number in range(3):
        edits.write(deep, f"{number}\n")
        daemon.final_state_seen()
        time.sleep(1)  # for a share of the processor to be told from none
    share = (procfs.cpu(daemon.pid) - used) / (time.monotonic() - began)
    assert share < 2 * 0.05


def test_fe32_child_that_writes_into_its_own_tree_at_the_default_interval(place: Place, watch: Watch) -> None:
    """Each write is found at the next look, as late as it may be: it is a loop all the same."""
    output = place.tree / "out.txt"
    daemon = watch("--poll-interval=1s", probe=("--write", str(output)), warnings=True)
    warning = daemon.wait_event("warning")
    assert "out.txt" in warning["text"] and "--ignore" in warning["text"], warning


@pytest.fixture
def talker() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose /proc/PID/fdinfo gains a file when a line is written to it."""
    script = "read line; exec 9</dev/null; read line"
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_di31_procfs_is_polled(talker: subprocess.Popen[bytes], place: Place, watch: Watch) -> None:
    """Watching it succeeds and says nothing ever: one warning, and it is polled."""
    path = f"/proc/{talker.pid}/fdinfo"
    read = [str(place.tree / "marker.py")]
    daemon = watch("--backend=auto", "--poll-interval=100ms", roots=(".", path), read=read, warnings=True)
    (warning,) = daemon.named("warning")
    assert "proc" in warning["text"], warning
    (watching,) = daemon.named("watching")
    assert watching["polled"] == [{"path": path, "why": "proc"}]
    with daemon.restarts(1):
        talker.stdin.write(b"\n")
        talker.stdin.flush()
        wait_until(Path(path, "9").exists, "the descriptor")


def test_di31_sysfs_is_polled(place: Place, watch: Watch) -> None:
    path = "/sys/kernel/mm"
    read = [str(place.tree / "marker.py")]
    daemon = watch("--backend=auto", "--poll-interval=100ms", roots=(".", path), read=read, warnings=True)
    assert ["sysfs" in one["text"] for one in daemon.named("warning")] == [True]
    assert [one["polled"] for one in daemon.named("watching")] == [[{"path": path, "why": "sysfs"}]]
    daemon.settle(1)


@pytest.mark.needs("mounts", "nsenter")
def test_a_root_in_a_root_is_watched_when_what_was_mounted_over_it_is_gone(
    place: Place, mounts: Mounts, watch: Watch
) -> None:
    """Two ways lead to its directories: what the one lets go of, the other has taken up in the meantime."""
    build(place.tree, {"p/m.py": "m\n", "p/a/a/m.py": "m\n", "p/a/b/n.py": "n\n"})
    daemon = watch(roots=("p", "p/a"), marker="p/marker.py", inside=mounts)
    for number in range(2):
        with daemon.restarts(1, most=3):
            mounts.tmpfs(place.tree / "p/a")
        with daemon.restarts(1, most=3):
            mounts.unmount(place.tree / "p/a")
        with daemon.restarts(1):
            edits.append(place.tree / "p/a/a/m.py", f"{number}\n")
