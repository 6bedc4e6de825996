"""What a name looks like on a real file system, and what happened to it when it looks different."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reloaderd.events import Kind
from reloaderd.kernel.looks import DIGEST_LIMIT, Look, digest, kinds, look_at, youth


def look(path: Path) -> Look:
    return look_at(str(path), os.lstat(path))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose times are long past, so that now is another."""
    path = tmp_path / "a.py"
    path.write_text("old\n")
    os.utime(path, ns=(10**18 + 7, 10**18 + 7))
    return path


def rewrite_and_put_the_time_back(path: Path) -> None:
    before = os.stat(path)
    path.write_text("new\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("old\n")
    os.utime(other, ns=(10**18 + 7, 10**18 + 7))
    os.replace(other, path)


WRITES: dict[str, Callable[[Path], object]] = {
    "written": lambda path: path.write_text("longer than before\n"),
    "written as long as before": lambda path: path.write_text("new\n"),
    "truncated": lambda path: os.truncate(path, 1),
    "touched": lambda path: os.utime(path),
    "set back in time": lambda path: os.utime(path, (1, 1)),
    "written, its time put back": rewrite_and_put_the_time_back,
    "replaced by one that looks the same": replace,
}

NO_WRITES: dict[str, Callable[[Path], object]] = {
    "read": lambda path: path.read_text(),
    "made executable": lambda path: path.chmod(0o755),
    "linked": lambda path: os.link(path, path.with_name("linked")),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_file_that_was_written_looks_so(write: str, file: Path) -> None:
    before = look(file)
    WRITES[write](file)
    assert kinds(before, look(file), held=False) == (Kind.REWRITTEN,)


@pytest.mark.parametrize("act", NO_WRITES)
def test_a_file_that_was_not_written_does_not(act: str, file: Path) -> None:
    before = look(file)
    NO_WRITES[act](file)
    assert kinds(before, look(file), held=False) == ()


def test_a_held_name_tells_that_it_is_another_file_or_directory(file: Path) -> None:
    before = look(file)
    replace(file)
    assert kinds(before, look(file), held=True) == (Kind.ARRIVED,)
    directory = file.with_name("d")
    directory.mkdir()
    before = look(directory)
    directory.rename(file.with_name("old"))
    directory.mkdir()
    assert kinds(before, look(directory), held=True) == (Kind.ARRIVED,)
    assert kinds(before, look(directory), held=False) == ()


def test_a_directory_looks_different_only_when_others_may_read_it(file: Path) -> None:
    directory = file.parent
    before = look(directory)
    (directory / "new").touch()
    assert kinds(before, look(directory), held=False) == ()
    directory.chmod(0o700 if before.ownership == look(directory).ownership else 0o755)
    directory.chmod(0o711)
    assert kinds(before, look(directory), held=False) == (Kind.TOUCHED,)


def test_a_file_in_the_place_of_a_directory_is_two_things(file: Path) -> None:
    directory = look(file.parent)
    assert kinds(directory, look(file), held=False) == (Kind.DELETED, Kind.CREATED)
    assert kinds(None, look(file), held=False) == (Kind.CREATED,)


def test_a_link_looks_different_when_the_file_behind_it_does(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to("a.py")
    before = look(link)
    file.write_text("longer than before\n")
    assert kinds(before, look(link), held=False) == (Kind.REWRITTEN,)


def test_a_held_link_tells_that_it_leads_elsewhere_though_all_numbers_are_the_same(file: Path) -> None:
    """As on ext4, which gives the inode of the replaced one to the next, within one tick of its clock."""
    link = file.with_name("link")
    link.symlink_to("one")
    status = os.lstat(link)
    before = look_at(str(link), status)
    link.unlink()
    link.symlink_to("two")
    assert kinds(before, look_at(str(link), status), held=True) == (Kind.ARRIVED,)
    assert kinds(before, look_at(str(link), status), held=False) == (Kind.REWRITTEN,)


def test_a_link_that_leads_nowhere_or_to_a_directory_has_a_look_of_its_own(tmp_path: Path) -> None:
    for target in ("nowhere", ".", "link"):
        link = tmp_path / "link"
        link.symlink_to(target)
        assert look(link) == look(link)
        link.unlink()


def test_a_file_is_young_for_as_long_as_its_clock_may_stand_still(file: Path) -> None:
    assert youth(str(file), look(file), seen=False) is None
    coarse = (10**18, 10**18)
    os.utime(file, ns=coarse)
    assert youth(str(file), look(file), seen=False) is None
    assert youth(str(file), look(file)._replace(mtime=10**18 + 7), seen=True) is None
    whole = youth(str(file), look(file), seen=True)
    os.utime(file)
    fine = youth(str(file), look(file), seen=False)
    assert fine is not None and whole is not None
    assert fine.digest == whole.digest == digest(str(file))
    assert whole.until > fine.until + 2.0


def test_a_time_in_the_future_makes_a_file_young(file: Path) -> None:
    """A server's clock may be ahead of ours."""
    os.utime(file, (2**32, 2**32))
    assert youth(str(file), look(file), seen=False) is not None


def test_a_digest_tells_other_bytes_of_the_same_length(file: Path) -> None:
    before = digest(str(file))
    file.write_text("new\n")
    assert digest(str(file)) != before


@pytest.mark.parametrize("what", ["missing", "fifo", "directory", "link", "large"])
def test_what_has_no_digest_is_not_read(what: str, file: Path) -> None:
    path = file.with_name(what)
    if what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "link":
        path.symlink_to("a.py")
    elif what == "large":
        path.touch()
        os.truncate(path, DIGEST_LIMIT + 1)
    assert digest(str(path)) == 0
