"""Where sources of events come to an end: errors, a full queue, descriptors, memory, a missing package."""

from __future__ import annotations

import errno
import gc
import os
import resource
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest

from reloaderd.events import EventsLost, Kind
from reloaderd.kernel.source import COMING, Source
from tests.support import procfs
from tests.support.sources import LATIN, SOURCES, Ground, changes, say, typed, unprivileged


def refused(source: Source, path: Path) -> str:
    """The name of the errno with which `path` is refused, whether it is to be watched or held."""
    with pytest.raises(OSError) as arming:
        source.arm(str(path))
    with pytest.raises(OSError) as holding:
        source.hold(str(path), "a", COMING)
    assert arming.value.filename == holding.value.filename == str(path)
    assert arming.value.errno == holding.value.errno
    return errno.errorcode[arming.value.errno or 0]


def test_what_cannot_be_watched_is_an_error_with_its_number(source: Source, ground: Ground) -> None:
    tree = ground.tree
    (tree / "file").touch()
    (tree / "circle").symlink_to("circle")
    (tree / "locked").mkdir(mode=0o000)
    assert refused(source, tree / "missing") == "ENOENT"
    assert refused(source, tree / LATIN) == "ENOENT"
    assert refused(source, tree / "file") == "ENOTDIR"
    assert refused(source, tree / "file" / "below") == "ENOTDIR"
    assert refused(source, tree / ("n" * 256)) == "ENAMETOOLONG"
    assert refused(source, tree / "/".join(["below"] * 1000)) == "ENAMETOOLONG"
    assert refused(source, tree / "circle") == "ELOOP"
    with unprivileged():
        assert refused(source, tree / "locked") == "EACCES"


WATCH_LIMIT = """
import errno, sys
import Source
with open("/proc/sys/user/max_inotify_watches", "w") as file:
    file.write("1")
source = Source()
source.arm("/")
try:
    source.arm(sys.argv[1])
except OSError as error:
    print(errno.errorcode[error.errno], error.filename)
source.close()
"""


@pytest.mark.needs("users")
def test_the_limit_of_watches_is_an_error_with_its_number(source: Source, tmp_path: Path) -> None:
    said = say(source, WATCH_LIMIT, str(tmp_path), prefix=["unshare", "-Ur"])
    assert said == f"ENOSPC {tmp_path}\n"


def test_the_limit_of_descriptors_is_an_error_with_its_number(source: Source) -> None:
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(OSError) as raised:
            type(source)()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.errno == errno.EMFILE


def flood(path: Path) -> None:
    """More than the queue of inotify holds: four events a turn."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    path.mkdir()
    for _ in range(limit // 4 + 1):
        path.rename(path.with_name("other"))
        path.with_name("other").rename(path)
    path.rmdir()


def test_an_overflow_is_told_once_and_all_is_well_after_it(
    source: Source, ground: Ground, watch: int
) -> None:
    flood(ground.tree / "a")
    *told, lost = source.read()
    assert type(lost) is EventsLost
    assert typed(*told[:2]) == changes(watch, ("a", Kind.CREATED, True), ("a", Kind.LEFT, True))
    assert EventsLost not in map(type, told)
    (ground.tree / "b").mkdir()
    assert typed(*ground.told()) == changes(watch, ("b", Kind.CREATED, True))


def test_the_descriptor_is_readable_while_there_is_something_to_read(source: Source, ground: Ground) -> None:
    def readable() -> bool:
        return bool(select.select([source], [], [], 0)[0])

    (ground.tree / "file").touch()
    source.arm(str(ground.tree))
    (ground.tree / "file").read_bytes()
    list(ground.tree.iterdir())
    assert not readable()  # reading is no change, and `grep -r` must not wake us
    assert list(source.read()) == []
    (ground.tree / "a").mkdir()
    assert readable()
    assert len(source.read()) == 1
    assert not readable()


@pytest.mark.parametrize("kind", SOURCES, ids=lambda kind: kind.name)
def test_the_descriptor_is_for_us_alone_and_is_given_back(kind: Callable[[], Source]) -> None:
    before = procfs.fds(os.getpid())
    source = kind()
    (opened,) = set(procfs.fds(os.getpid())) - set(before)
    assert source.fileno() == opened
    assert not os.get_inheritable(opened)
    assert not os.get_blocking(opened)
    source.close()
    assert procfs.fds(os.getpid()) == before


def churn(source: Source, tree: Path, count: int) -> None:
    """Directories that come, are watched, are renamed and go."""
    for number in range(count):
        path, other = tree / f"one{number}", tree / f"other{number}"
        path.mkdir()
        source.arm(str(path))
        path.rename(other)
        other.rmdir()
        if number % 100 == 0:
            source.read()
    source.read()


def churn_unseen(source: Source, tree: Path, count: int) -> None:
    """Watched directories that go while the queue is full: of their end nothing is told."""
    paths = [tree / f"one{number}" for number in range(count)]
    for path in paths:
        path.mkdir()
        source.arm(str(path))
    flood(tree / "flood")
    for path in paths:
        path.rmdir()
    assert EventsLost in map(type, source.read())


def kept_by(source: Source) -> int:
    """The number of objects that it leads to, code aside."""
    code = (type, ModuleType, FunctionType, BuiltinFunctionType)
    found: dict[int, object] = {}
    todo: list[object] = [source]
    while todo:
        one = todo.pop()
        if id(one) not in found and not isinstance(one, code):
            found[id(one)] = one
            todo += gc.get_referents(one)
    return len(found)


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("go", [churn, churn_unseen])
def test_nothing_is_kept_of_what_is_gone(
    source: Source, ground: Ground, go: Callable[[Source, Path, int], None]
) -> None:
    go(source, ground.tree, 100)
    before = kept_by(source)
    go(source, ground.tree, 2000)
    assert kept_by(source) < before + 100


QUIET = """
import os, sys
sys.addaudithook(lambda name, _: name in ("subprocess.Popen", "os.fork", "os.posix_spawn") and print(name))
import Source
source = Source()
tree = sys.argv[1]
os.mkdir(tree + "/d")
source.drop(source.arm(tree + "/d"))
source.drop(1000)
source.arm(tree)
os.rename(tree, tree + "-moved")
try:
    source.arm(tree)
except FileNotFoundError:
    pass
print(*(type(event).__name__ for event in source.read()))
source.close()
"""


def test_a_source_starts_no_program_and_says_nothing(source: Source, tmp_path: Path) -> None:
    """Nothing of a directory whose new name it cannot know, of a watch that is gone, of what was refused."""
    (tmp_path / "tree").mkdir()
    assert say(source, QUIET, str(tmp_path / "tree")) == "WatchEnded WatchMoved\n"


@pytest.mark.parametrize("missing", ["pyinotify", "asyncore"])
def test_without_its_package_a_source_cannot_be_imported(missing: str) -> None:
    program = f"""
import sys
sys.modules["{missing}"] = None
try:
    import reloaderd.kernel.pyinotify
except ImportError as error:
    print(error.name)
"""
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    assert run.stdout == f"{missing}\n"
