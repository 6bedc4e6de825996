"""DG: files by their content, as many at once as is bearable, and whether what is to come will be told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloaderd.events import Digested
from reloaderd.kernel.digests import BUDGET, COST, LARGEST, digest_files
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.poller import Poller
from reloaderd.kernel.source import CONTENT
from reloaderd.kernel.sources import Sources
from tests.support import procfs
from tests.support.waiting import wait_until


def digests(*paths: Path) -> Digested:
    return digest_files("web", 1, [str(path) for path in paths], None)


def digest(path: Path) -> bytes | None:
    return digests(path).digests[str(path)]


def old(*paths: Path) -> None:
    """Wait until they are not young any more."""
    wait_until(lambda: time.time_ns() - max(os.stat(path).st_ctime_ns for path in paths) > 50_000_000, "age")


def test_it_is_the_content_and_nothing_else(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"x")
    two.write_bytes(b"x")
    two.chmod(0o700)
    os.utime(two, (0, 0))
    assert digest(one) == digest(two) is not None
    two.write_bytes(b"y")
    assert digest(one) != digest(two)
    two.write_bytes(b"")
    assert digest(two) not in (digest(one), None)


def test_a_symlink_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert digest(tmp_path / "link") == digest(tmp_path / "file")


def test_what_is_no_file_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "away").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "circle", tmp_path / "away", Path("/dev/zero")):
        assert digest(path) is None, path
    assert digests(Path("a\0b"), tmp_path / ("x" * 300)).left == []


def test_what_is_too_large_has_none(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGEST)
    assert digest(path) is not None
    with path.open("ab") as file:
        file.write(b"x")
    assert digest(path) is None


def test_as_much_as_may_be_read_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(5)]
    for path in paths:
        path.write_bytes(b"x" * (BUDGET // 2))
    event = digests(*paths)
    assert len(event.digests) == 2
    assert event.left == [str(path) for path in paths[2:]]
    small = [tmp_path / "0"] + [tmp_path / f"gone{number}" for number in range(BUDGET // COST)]
    assert 200 < len(digests(*small).digests) < len(small)


def test_what_changed_just_now_is_young_where_that_matters(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("x")
    settled = digest_files("web", 0, [str(path)], lambda path: True)
    assert (settled.young, dict(settled.digests)) == ([str(path)], {})
    assert digest(path) is not None
    old(path)
    assert digest_files("web", 0, [str(path)], lambda path: True).digests
    assert digest_files("web", 0, [str(path)], lambda path: False).young == [str(path)]


def test_no_descriptor_stays(tmp_path: Path) -> None:
    before = procfs.fds(os.getpid())
    test_what_is_no_file_has_none(tmp_path)
    assert procfs.fds(os.getpid()) == before


# Polled files


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller(100.0)
    yield poller
    poller.close()


def look(poller: Poller) -> None:
    poller.deadline = 0.0
    poller.read()


def test_a_file_is_settled_once_it_was_looked_at(poller: Poller, tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("x")
    old(path)
    poller.arm(str(tmp_path))
    assert poller.is_settled(str(tmp_path), "m.py")
    path.write_text("yy")
    assert not poller.is_settled(str(tmp_path), "m.py")
    old(path)
    assert not poller.is_settled(str(tmp_path), "m.py")
    look(poller)
    assert poller.is_settled(str(tmp_path), "m.py")


def test_a_young_file_is_not(poller: Poller, tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("x")
    poller.arm(str(tmp_path))
    assert not poller.is_settled(str(tmp_path), "m.py")
    old(path)
    look(poller)
    assert poller.is_settled(str(tmp_path), "m.py")


def test_nor_is_one_that_came_or_went(poller: Poller, tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    poller.arm(str(tmp_path))
    path.write_text("x")
    old(path)
    assert not poller.is_settled(str(tmp_path), "m.py")
    assert not poller.is_settled(str(tmp_path), "gone.py")


def test_by_another_path(poller: Poller, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/m.py").write_text("x")
    (tmp_path / "link").symlink_to("d")
    old(tmp_path / "d/m.py")
    poller.arm(str(tmp_path / "d"))
    assert poller.is_settled(str(tmp_path / "link"), "m.py")
    (tmp_path / "d/m.py").write_text("yy")
    old(tmp_path / "d/m.py")
    assert not poller.is_settled(str(tmp_path / "link"), "m.py")


def test_what_is_not_polled_is_settled(poller: Poller, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("x")
    assert poller.is_settled(str(tmp_path), "m.py")
    (tmp_path / "n.py").write_text("x")
    old(tmp_path / "n.py")
    poller.hold(str(tmp_path), "n.py", CONTENT)
    assert poller.is_settled(str(tmp_path), "n.py")
    (tmp_path / "n.py").write_text("yy")
    assert not poller.is_settled(str(tmp_path), "n.py")


@pytest.mark.parametrize("backend", ["inotify", "poll"])
def test_all_sources_as_one(backend: str, tmp_path: Path) -> None:
    mounts = Mounts()
    sources = Sources(backend, 100.0, mounts)
    try:
        path = tmp_path / "m.py"
        path.write_text("x")
        old(path)
        sources.arm(str(tmp_path))
        assert sources.is_settled(str(path))
        path.write_text("yy")
        assert sources.is_settled(str(path)) is (backend == "inotify")
    finally:
        sources.close()
        mounts.close()
