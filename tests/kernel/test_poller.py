"""What the poller tells of what was done since it looked last."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reloaderd.events import EntryChanged, Event, FileDetached, Kind, Looked, WatchEnded, WatchMoved
from reloaderd.kernel.poller import REST, SLICE, Poller
from reloaderd.kernel.source import COMING, CONTENT, FIRST_POLLED, GOING, LEAVING
from tests.support.sources import LATIN, typed
from tests.support.waiting import wait_until

INTERVAL = 0.01


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller(INTERVAL)
    yield poller
    poller.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a file, a link and a directory, all long past being young."""
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "a.py").write_text("old\n")
    (tree / "link").symlink_to("a.py")
    os.utime(tree / "a.py", ns=(10**18 + 7, 10**18 + 7))
    return tree


def look(poller: Poller) -> list[Event]:
    """All that one whole scan tells, now."""
    events: list[Event] = []
    poller.deadline = 0.0 if poller.deadline is not None else None
    events += poller.read()
    while poller._left:
        poller.deadline = 0.0
        events += poller.read()
    return [event for event in events if not isinstance(event, Looked)]


def told(poller: Poller) -> list[tuple[object, ...]]:
    return typed(*look(poller))


def entry(watch: int, name: str, kind: Kind, is_dir: bool = False) -> tuple[object, ...]:
    return ("EntryChanged", watch, name, kind, is_dir)


def test_nothing_is_told_where_nothing_was_done(poller: Poller, tree: Path) -> None:
    assert poller.deadline is None and poller.fileno() == -1
    assert poller.arm(str(tree)) >= FIRST_POLLED
    for _ in range(3):
        (tree / "a.py").read_text()
        assert look(poller) == []


ACTS: dict[str, tuple[Callable[[Path], object], list[tuple[str, Kind, bool]]]] = {
    "create": (lambda p: (p / "n").touch(), [("n", Kind.CREATED, False)]),
    "mkdir": (lambda p: (p / "n").mkdir(), [("n", Kind.CREATED, True)]),
    "write": (
        lambda p: (p / "a.py").write_text("new\n"),
        [("a.py", Kind.REWRITTEN, False), ("link", Kind.REWRITTEN, False)],
    ),
    "delete": (lambda p: (p / "link").unlink(), [("link", Kind.DELETED, False)]),
    "rmdir": (lambda p: (p / "d").rmdir(), [("d", Kind.DELETED, True)]),
    "rename": (
        lambda p: (p / "link").rename(p / "n"),
        [("link", Kind.DELETED, False), ("n", Kind.CREATED, False)],
    ),
    "retarget": (
        lambda p: ((p / "link").unlink(), (p / "link").symlink_to("d")),
        [("link", Kind.REWRITTEN, False)],
    ),
    "odd name": (lambda p: (p / LATIN).touch(), [(LATIN, Kind.CREATED, False)]),
    "chmod of a directory": (lambda p: (p / "d").chmod(0o700), [("d", Kind.TOUCHED, True)]),
    "chmod of a file": (lambda p: (p / "a.py").chmod(0o700), []),
    "below": (lambda p: (p / "d" / "n").touch(), []),
    "come and gone": (lambda p: ((p / "n").touch(), (p / "n").unlink()), []),
}


@pytest.mark.parametrize("act", ACTS)
def test_each_act_is_told_once(act: str, poller: Poller, tree: Path) -> None:
    do, wanted = ACTS[act]
    watch = poller.arm(str(tree))
    do(tree)
    assert sorted(told(poller), key=str) == sorted((entry(watch, *one) for one in wanted), key=str)
    assert look(poller) == []


def test_a_file_in_the_place_of_a_directory(poller: Poller, tree: Path) -> None:
    watch = poller.arm(str(tree))
    (tree / "d").rmdir()
    (tree / "d").touch()
    assert told(poller) == [entry(watch, "d", Kind.DELETED, True), entry(watch, "d", Kind.CREATED)]


def test_what_is_written_again_without_another_look_is_read(poller: Poller, tree: Path) -> None:
    """As on a file system whose clock counts seconds: neither size nor times tell."""
    path = tree / "a.py"
    now = time.time_ns() // 10**9 * 10**9
    path.write_text("one\n")
    os.utime(path, ns=(now, now))
    watch = poller.arm(str(tree))
    status = os.stat(path)
    directory = poller._directories[watch]
    for text in ("two\n", "six\n"):
        path.write_text(text)
        os.utime(path, ns=(now, now))
        known = directory.looks["a.py"]
        directory.looks["a.py"] = known._replace(ctime=os.stat(path).st_ctime_ns)
        directory.looks["link"] = directory.look(str(tree))["link"]
        assert os.stat(path).st_size == status.st_size
        assert entry(watch, "a.py", Kind.REWRITTEN) in told(poller)


def test_a_change_before_a_second_interest_is_still_told(poller: Poller, tree: Path) -> None:
    """The baseline of a name is never taken again."""
    watch = poller.hold(str(tree), "a.py", CONTENT)
    (tree / "a.py").write_text("new\n")
    (tree / "other").touch()
    assert poller.arm(str(tree)) == watch
    assert entry(watch, "a.py", Kind.REWRITTEN) in told(poller)
    (tree / "other").unlink()
    assert told(poller) == [entry(watch, "other", Kind.DELETED)]


def test_a_name_that_is_held_alone_is_looked_at_alone(poller: Poller, tree: Path) -> None:
    watch = poller.hold(str(tree), "n", LEAVING)
    (tree / "other").touch()
    assert look(poller) == []
    (tree / "n").mkdir()
    assert told(poller) == [entry(watch, "n", Kind.CREATED, True)]
    (tree / "n").rename(tree / "m")
    (tree / "n").mkdir()
    assert told(poller) == [entry(watch, "n", Kind.ARRIVED, True)]


@pytest.mark.parametrize("how", ["removed", "replaced", "renamed", "a file"])
def test_a_directory_that_is_not_there_any_more_ends_its_watch(how: str, poller: Poller, tree: Path) -> None:
    watch = poller.arm(str(tree / "d"))
    poller.hold(str(tree / "d"), "", GOING)
    if how == "removed":
        (tree / "d").rmdir()
    else:
        (tree / "d").rename(tree / "gone")
    if how == "replaced":
        (tree / "d").mkdir()
    elif how == "a file":
        (tree / "d").touch()
    assert told(poller) == typed(WatchMoved(watch), WatchEnded(watch))
    assert look(poller) == [] and poller.deadline is None
    poller.drop(watch)


def scan(poller: Poller, *watches: int) -> list[tuple[object, ...]]:
    """What a scan of these alone tells, as if the others had been looked at just before."""
    poller._left = list(watches)
    events: list[Event] = []
    while poller._left:  # a slice is over sooner where the machine is busy
        poller.deadline = 0.0
        events += poller.read()
    return typed(*(event for event in events if not isinstance(event, Looked)))


def test_a_directory_that_was_seen_gone_is_told_though_its_like_is_there_when_its_parent_is_looked_at(
    poller: Poller, tree: Path
) -> None:
    above, watch = poller.arm(str(tree)), poller.arm(str(tree / "d"))
    (tree / "d").rmdir()
    assert scan(poller, watch) == [
        entry(above, "d", Kind.DELETED, True),
        *typed(WatchMoved(watch), WatchEnded(watch)),
    ]
    (tree / "d").mkdir()
    assert scan(poller, above) == [entry(above, "d", Kind.CREATED, True)]


def test_a_directory_that_was_replaced_is_told_by_its_own_watch_alone(poller: Poller, tree: Path) -> None:
    above, watch = poller.hold(str(tree), "d", LEAVING), poller.arm(str(tree / "d"))
    (tree / "d").rename(tree / "gone")
    (tree / "d").mkdir()
    assert scan(poller, watch) == typed(WatchMoved(watch), WatchEnded(watch))
    assert scan(poller, above) == []


def test_two_paths_of_one_directory_share_a_watch(poller: Poller, tree: Path) -> None:
    (tree / "again").symlink_to("d")
    watch = poller.arm(str(tree / "d"))
    assert poller.arm(str(tree / "again")) == watch
    assert poller.path(watch) == str(tree / "d")


@pytest.mark.parametrize(("name", "error"), [("missing", errno.ENOENT), ("a.py", errno.ENOTDIR)])
def test_what_is_no_directory_cannot_be_armed(name: str, error: int, poller: Poller, tree: Path) -> None:
    with pytest.raises(OSError) as caught:
        poller.arm(str(tree / name))
    assert caught.value.errno == error
    assert poller.deadline is None


def test_a_file_without_a_name_of_its_own_is_told(poller: Poller, tree: Path) -> None:
    watch = poller.hold(str(tree), "a.py", CONTENT)
    directory = poller._directories[watch]
    directory.looks["a.py"] = directory.looks["a.py"]._replace(links=1)
    looks = {"a.py": directory.looks["a.py"]._replace(links=0)}
    assert directory.detached(looks) == ["a.py"]
    directory.looks["a.py"] = looks["a.py"]
    assert directory.detached(looks) == []
    assert FileDetached(watch, "a.py") not in look(poller)


def test_a_dropped_watch_is_looked_at_no_more(poller: Poller, tree: Path) -> None:
    watch = poller.arm(str(tree))
    poller.drop(watch)
    poller.drop(watch + 1)
    (tree / "n").touch()
    assert look(poller) == [] and poller.deadline is None
    assert poller.arm(str(tree)) != watch


def test_a_path_that_is_too_long_for_the_kernel_is_reached(poller: Poller, tree: Path) -> None:
    here = os.open(tree, os.O_RDONLY)
    path = str(tree)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, path = below, f"{path}/{'d' * 250}"
    watch = poller.arm(path)
    os.close(os.open("n", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert told(poller) == [entry(watch, "n", Kind.CREATED)]


def test_it_looks_by_itself_when_it_is_time(poller: Poller, tree: Path) -> None:
    watch = poller.arm(str(tree))
    (tree / "n").touch()
    seen: list[Event] = []

    def read() -> bool:
        seen.extend(poller.read())
        return Looked(True) in seen

    wait_until(read, "a look that finds nothing more")
    assert seen == [EntryChanged(watch, "n", Kind.CREATED, False), Looked(False), Looked(True)]


def test_it_is_settled_when_a_whole_scan_found_nothing(poller: Poller, tree: Path) -> None:
    watches = [poller.arm(str(tree)), poller.arm(str(tree / "d"))]
    (tree / "d" / "n").touch()

    def looked(*scanned: int) -> list[Event]:
        poller._left = list(scanned)
        poller.deadline, poller._found = 0.0, False
        return [event for event in poller.read() if isinstance(event, Looked)]

    assert looked(watches[0]) == []
    assert looked(*watches) == [Looked(False)]
    (tree / "d" / "n").unlink()
    assert looked(*watches) == []
    assert looked(*watches) == [Looked(True)]
    assert looked(*watches) == []


def test_it_rests_for_most_of_the_time(tmp_path: Path) -> None:
    """What it spends on a slice, in processor time, is at most a twentieth of the time until the next."""
    poller = Poller(0.0)
    for number in range(300):
        (tmp_path / f"d{number}").mkdir()
        for name in "abcdefgh":
            (tmp_path / f"d{number}" / name).touch()
        poller.arm(str(tmp_path / f"d{number}"))
    for _ in range(20):
        poller.deadline = 0.0
        began, cpu = time.monotonic(), time.thread_time()
        poller.read()
        spent = time.thread_time() - cpu
        assert poller.deadline - began > REST * spent * 0.8
        assert spent < 10 * SLICE
    poller.close()


def test_names_that_come_and_go_leave_nothing_behind(poller: Poller, tree: Path) -> None:
    watch = poller.arm(str(tree))
    for number in range(200):
        (tree / f"n{number}").touch()
        look(poller)
        (tree / f"n{number}").unlink()
        look(poller)
    directory = poller._directories[watch]
    assert len(directory.looks) == 3 and directory.young.keys() <= {"link"}, "the link was made just now"


def test_a_link_on_the_way_that_leads_elsewhere_is_told_where_its_inode_is_the_same(tree: Path) -> None:
    poller = Poller(INTERVAL, {os.stat(tree).st_dev})  # so it seems to be
    watch = poller.hold(str(tree), "link", LEAVING)
    (tree / "next").symlink_to("d")
    (tree / "next").rename(tree / "link")
    assert told(poller) == [entry(watch, "link", Kind.ARRIVED)]
    poller.close()


@pytest.mark.parametrize("interest", ["arm", "hold"])
def test_what_was_gone_when_somebody_looked_is_told_though_its_like_is_back(
    interest: str, poller: Poller, tree: Path
) -> None:
    """Moved away and back: the same inode, as a directory that is made again may have it."""
    watch = poller.arm(str(tree)) if interest == "arm" else poller.hold(str(tree), "d", LEAVING)
    (tree / "d").rename(tree.with_name("gone"))
    assert watch == (poller.arm(str(tree)) if interest == "arm" else poller.hold(str(tree), "d", COMING))
    assert not poller.is_settled(str(tree), "d")
    tree.with_name("gone").rename(tree / "d")
    assert told(poller) == [entry(watch, "d", Kind.DELETED, True), entry(watch, "d", Kind.CREATED, True)]
    assert look(poller) == [] and poller.is_settled(str(tree), "d")


def test_where_inode_numbers_tell_nothing_another_one_is_no_change(tree: Path) -> None:
    """As on FUSE: here the files and directories are replaced by others that look the same but for that."""
    poller = Poller(INTERVAL, {os.stat(tree).st_dev})
    above, watch = poller.arm(str(tree)), poller.arm(str(tree / "d"))
    assert poller.hold(str(tree), "d", LEAVING) == above
    (tree / "d").rename(tree.with_name("gone"))
    (tree / "d").mkdir()
    assert look(poller) == []
    (tree / "d" / "n").touch()
    assert told(poller) == [entry(watch, "n", Kind.CREATED)]
    (tree / "again").symlink_to("d")
    assert poller.arm(str(tree / "again")) == watch, "links may lead in circles there, too"
    shutil.rmtree(tree / "d")
    (tree / "d").touch()
    assert entry(above, "d", Kind.DELETED, True) in told(poller)
    poller.close()
