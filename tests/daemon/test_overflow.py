"""LI01, LI04: more events than the kernel keeps for us.  What was lost is looked for, once, and found."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.faults import stopped
from tests.support.places import Place, build

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def flood(directory: Path) -> None:
    """More events than are kept, of files that do not count: equal neighbours would be one event."""
    pair = [directory / "one.log", directory / "two.log"]
    for path in pair:
        path.touch()
    for _ in range(QUEUE // 2 + 200):
        for path in pair:
            os.utime(path)


def watch_some(watch: Watch, place: Place, *options: str, **keywords: object) -> Daemon:
    """A few files that the probe reads, and a directory for the many that it does not."""
    build(
        place.tree,
        {"a.py": "a\n", "pkg/b.py": "b\n", "pkg/deep/c.py": "c\n", "gone/d.py": "d\n", "many/": None},
    )
    read = [str(place.tree / name) for name in ("a.py", "pkg", "gone", "new", "marker.py")]
    return watch(*options, **{"read": read, "warnings": True, **keywords})


@pytest.mark.every_source
@pytest.mark.only("inotify", "pyinotify", reason="polling has no queue")
def test_li01_twenty_thousand_files_and_one_edit_at_the_end(place: Place, watch: Watch) -> None:
    daemon = watch_some(watch, place)
    with daemon.restarts(1):
        with stopped(daemon):
            for number in range(20_000):
                (place.tree / f"many/{number}.txt").touch()
            edits.append(place.tree / "a.py")
        daemon.wait_starts(2)
        assert daemon.starts[-1].payload[str(place.tree / "a.py")] == b"a\nmore\n"
    changed = daemon.named("changed")
    assert [one["count"] for one in changed] == [20_001, 1], changed
    assert len(daemon.named("warning")) == 1


def test_li01_only_ignored_files(place: Place, watch: Watch) -> None:
    """It must look at everything, and finds nothing that counts."""
    daemon = watch_some(watch, place)
    with daemon.restarts(0):
        with stopped(daemon):
            flood(place.tree / "many")
        daemon.wait_event("warning")
    assert len(daemon.named("warning")) == 1
    assert "max_queued_events" in daemon.named("warning")[0]["text"]
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/deep/c.py")


def test_li01_all_kinds_of_changes_after_what_is_kept(place: Place, watch: Watch) -> None:
    """Nothing tells of them: each is found by comparing, and what is new is watched."""
    build(place.outside, {"other/b.py": "other\n", "other/deeper/e.py": "e\n"})
    daemon = watch_some(watch, place)
    watches = procfs.inotify_watches(daemon.pid)
    look = (place.tree / "a.py").stat()
    with daemon.restarts(1), stopped(daemon):
        flood(place.tree / "many")
        edits.remove_tree(place.tree / "gone")
        build(place.tree, {"new/er/n.py": "n\n"})
        os.rename(place.tree / "pkg", place.outside / "pkg")
        os.rename(place.outside / "other", place.tree / "pkg")
        edits.write(place.tree / "a.py", "A\n")
        os.utime(place.tree / "a.py", ns=(look.st_atime_ns, look.st_mtime_ns))
    with daemon.restarts(0):
        edits.append(place.outside / "pkg/b.py")
    for name in ("pkg/b.py", "pkg/deeper/e.py", "new/er/n.py", "a.py"):
        with daemon.restarts(1):
            edits.append(place.tree / name)
    assert procfs.inotify_watches(daemon.pid) == watches - 1 + 2  # gone/ less, new/ and new/er/ more


def test_li01_a_file_that_goes_or_is_exchanged_alone(place: Place, watch: Watch) -> None:
    """The only change that counts, without any event of its own."""
    daemon = watch_some(watch, place)
    with daemon.restarts(1), stopped(daemon):
        flood(place.tree / "many")
        edits.replace(place.tree / "a.py")
    with daemon.restarts(1), stopped(daemon):
        flood(place.tree / "many")
        os.unlink(place.tree / "pkg/deep/c.py")


def test_li01_the_root_itself_is_replaced(place: Place, watch: Watch) -> None:
    build(place.tree, {"root/a.py": "a\n", "root/pkg/b.py": "b\n", "root/many/": None, "other/": None})
    build(place.outside, {"root/a.py": "another\n", "root/lib/c.py": "c\n"})
    read = [str(place.tree / name) for name in ("root", "other")]
    daemon = watch(roots=("root", "other"), marker="other/marker.py", read=read, warnings=True)
    with stopped(daemon):
        flood(place.tree / "root/many")
        os.rename(place.tree / "root", place.outside / "old")
        os.rename(place.outside / "root", place.tree / "root")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(place.tree / "root/lib/c.py")
    with daemon.restarts(0):
        edits.append(place.outside / "old/a.py")


def looked(daemon: Daemon, after: int) -> int:
    """How often it had to look at everything since."""
    return sum("max_queued_events" in one["text"] for one in daemon.named("warning", after))


def test_li04_overflow_each_second_for_ten_seconds(place: Place, watch: Watch) -> None:
    """Each is one look at the trees, and not the beginning of a loop of them."""
    build(place.tree, {f"d{number % 100}/m{number}.py": "m\n" for number in range(3000)})
    daemon = watch_some(watch, place)
    used = procfs.cpu(daemon.pid)
    with stopped(daemon):
        flood(place.tree / "many")
    daemon.wait_event("warning")
    daemon.settle(1, most=2)  # how each file looked at the start may not be known yet
    once = procfs.cpu(daemon.pid) - used
    at, used = daemon.mark(), procfs.cpu(daemon.pid)
    for number in range(10):
        began = time.monotonic()
        with stopped(daemon):
            flood(place.tree / "many")
            edits.write(place.tree / f"pkg/m{number % 3}.py", f"{number}\n")
        time.sleep(max(0.0, began + 1 - time.monotonic()))  # the pace of the case
    daemon.final_state_seen()
    daemon.settle(len(daemon.starts), most=len(daemon.starts) + 2)
    assert 5 <= looked(daemon, at) <= 11
    assert procfs.cpu(daemon.pid) - used < 10 * 2 * once + 0.5
    with daemon.restarts(1, most=3):  # the last look may be still to come, and not know each file yet
        edits.append(place.tree / "pkg/deep/c.py")


def test_li04_overflow_after_overflow(place: Place, watch: Watch) -> None:
    """As fast as it can be made to happen: it looks once a second, and the last edit is seen."""
    daemon = watch_some(watch, place)
    began = time.monotonic()
    for number in range(25):
        with stopped(daemon):
            flood(place.tree / "many")
            edits.write(place.tree / f"pkg/m{number % 5}.py", f"{number}\n")
        daemon.wait(lambda: procfs.state(daemon.pid) == "S", "a reloaderd that has read all")
    took = time.monotonic() - began
    daemon.final_state_seen()
    daemon.settle(len(daemon.starts), most=len(daemon.starts) + 2)
    assert looked(daemon, 0) <= took + 2
    with daemon.restarts(1, most=3):
        edits.append(place.tree / "pkg/m4.py")


def test_overflow_during_the_start(place: Place, watch: Watch) -> None:
    """While the trees are armed nothing is read: what is lost meanwhile is looked for as well."""
    for number in range(3000):
        (place.tree / f"d{number % 50}/e{number}").mkdir(parents=True)
    build(place.tree, {"d0/e0/m.py": "m\n", "d49/e2999/m.py": "m\n"})
    deep = [place.tree / "d0/e0/m.py", place.tree / "d49/e2999/m.py"]
    daemon = watch_some(
        watch, place, ready=False, read=[str(path) for path in (*deep, place.tree / "marker.py")]
    )
    daemon.wait_watches(20)
    with stopped(daemon):
        armed = procfs.inotify_watches(daemon.pid)
        flood(place.tree / "d0")
        for path in deep:
            edits.append(path)
    assert armed < 3000, "too late: all was armed already"
    daemon.wait_ready()
    daemon.final_state_seen()
    for path in deep:
        with daemon.restarts(1):
            edits.append(path)


def test_overflow_while_the_child_is_stopping(place: Place, watch: Watch) -> None:
    daemon = watch_some(watch, place, probe=("--slow", "0.5"))
    before = len(daemon.starts)
    edits.append(place.tree / "a.py")
    daemon.wait_record("SIGNAL", run=1)
    with stopped(daemon):
        flood(place.tree / "many")
        edits.append(place.tree / "pkg/deep/c.py")
        build(place.tree, {"new/er/n.py": "n\n"})
    daemon.final_state_seen()
    daemon.settle(before + 1, most=before + 2)
    with daemon.restarts(1):
        edits.append(place.tree / "new/er/n.py")


def test_overflow_while_reloaderd_ends(place: Place, watch: Watch) -> None:
    """It ends as ever: nothing is looked for any more, nothing starts."""
    daemon = watch_some(watch, place, probe=("--slow", "0.5"))
    with stopped(daemon):
        flood(place.tree / "many")
        edits.append(place.tree / "a.py")
        os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_exit() == -signal.SIGTERM
    assert [one.word for one in daemon.records if one.word != "SIGNAL"] in (
        ["START", "BYE"],
        ["START", "BYE", "START", "BYE"],
    )
