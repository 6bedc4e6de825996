from __future__ import annotations

from reloaderd.commands import ReadLimit
from reloaderd.core.coverage import Coverage
from tests.support.core import reports


def covered(**reasons: str) -> Coverage:
    """Paths below /p, polled for these reasons."""
    coverage = Coverage("web")
    for path, why in reasons.items():
        note(coverage, "/p/" + path.replace("_", "/"), why)
    return coverage


def note(coverage: Coverage, path: str, why: str) -> None:
    """It was armed; an empty reason: it is not polled."""
    coverage.note([path], {path: why} if why else {})


def everything(path: str) -> bool:
    return True


def test_a_part_is_named_by_its_topmost_directory() -> None:
    coverage = covered(a="nfs", a_b="nfs", a_b_c="fuse.sshfs", a_b_c_d="fuse.sshfs", e="nfs")
    assert coverage.settle(everything)
    assert [(part["path"], part["why"]) for part in coverage.parts()] == [
        ("/p/a", "nfs"),
        ("/p/a/b/c", "fuse.sshfs"),
        ("/p/e", "nfs"),
    ]


def test_the_root_of_all_is_a_part_of_its_own() -> None:
    coverage = Coverage("web")
    note(coverage, "/", "9p")
    note(coverage, "/etc", "9p")
    coverage.settle(everything)
    assert coverage.parts() == [{"path": "/", "why": "9p"}]


def test_it_has_changed_only_when_a_reason_has() -> None:
    coverage = covered(a="nfs")
    assert coverage.changed and coverage.settle(everything)
    note(coverage, "/p/a", "nfs")
    note(coverage, "/p/b", "")
    assert not coverage.changed
    note(coverage, "/p/a", "")
    assert coverage.changed and coverage.settle(everything) and coverage.parts() == []


def test_more_below_a_part_is_nothing_new_to_tell() -> None:
    coverage = covered(a="nfs")
    coverage.settle(everything)
    note(coverage, "/p/a/b", "nfs")
    assert coverage.changed and not coverage.settle(everything)


def test_what_is_not_watched_any_more_is_forgotten() -> None:
    coverage = covered(a="nfs", b="nfs")
    coverage.settle(everything)
    assert coverage.settle(lambda path: path == "/p/b")
    assert [part["path"] for part in coverage.parts()] == ["/p/b"]


def test_a_limit_is_told_once_and_again_when_it_was_out_of_the_way() -> None:
    coverage = covered(a="ENOSPC", b="ENOSPC", c="EMFILE", d="nfs")
    assert coverage.complain() == [ReadLimit("web", "EMFILE"), ReadLimit("web", "ENOSPC")]
    assert coverage.complain() == []
    for path in ("/p/a", "/p/b"):
        note(coverage, path, "")
    assert coverage.complain() == []
    note(coverage, "/p/a", "ENOSPC")
    assert coverage.complain() == [ReadLimit("web", "ENOSPC")]


def test_files_that_are_made_up_are_told_once() -> None:
    coverage = covered(a="proc", b="proc")
    (warning,) = reports(coverage.complain(), "warning")
    assert warning["text"].startswith("2 directories are polled: files of a proc file system")
    assert coverage.complain() == []


def test_it_covers_everything_or_not() -> None:
    assert not covered().covers(0)
    assert covered(a="nfs", b="nfs").covers(2)
    assert not covered(a="nfs", b="nfs").covers(3)


def test_a_file_is_polled_until_its_directory_is_armed_without_it() -> None:
    coverage = Coverage("web")
    coverage.note(["/p/a"], {"/p/a/app.conf": "mounted by itself"})
    assert coverage.settle(everything)
    assert coverage.parts() == [{"path": "/p/a/app.conf", "why": "mounted by itself"}]
    coverage.note(["/p/b"], {})
    assert not coverage.changed
    coverage.note(["/p/a"], {})
    assert coverage.settle(everything) and coverage.parts() == []
