"""What of the doctor's findings is a problem, and its mend."""

from __future__ import annotations

import errno

import pytest

from reloaderd.core.diagnosis import (
    Allowance,
    Checkup,
    Problem,
    Unreadable,
    problems,
    reason_of,
    source_of,
)
from reloaderd.core.reasons import ASKED_FOR, NO_INOTIFY, NO_PACKAGE
from tests.support.findings import checkup, part, root


def only(found: Checkup) -> Problem:
    [problem] = problems(found)
    return problem


def test_where_all_is_well_there_is_no_problem() -> None:
    assert problems(checkup(root(), root("/q"))) == []


@pytest.mark.parametrize(
    ("polled", "backend", "source", "why"),
    [
        ("", "auto", "inotify", "the kernel sees all writers"),
        ("", "inotify", "inotify", "asked for"),
        (ASKED_FOR, "poll", "poll", "asked for"),
        ("fuse.sshfs", "auto", "poll", "fuse.sshfs: others write to it"),
        ("proc", "auto", "poll", "proc: made up when read"),
        ("mounted by itself", "auto", "poll", "mounted by itself"),
        (NO_PACKAGE, "auto", "poll", "no inotify package is installed"),
        (NO_INOTIFY, "auto", "poll", "this kernel or sandbox has no inotify"),
        ("EMFILE", "auto", "poll", "no inotify instance is left (EMFILE)"),
        ("EMFILE", "inotify", "poll", "no inotify instance is left (EMFILE)"),
    ],
)
def test_the_source_and_why(polled: str, backend: str, source: str, why: str) -> None:
    one = part(type=polled or "ext4", polled=polled) if polled != "mounted by itself" else part(polled=polled)
    found = checkup(backend=backend)
    assert (source_of(one, found), reason_of(one, found)) == (source, why)


@pytest.mark.parametrize("why", ["fuse.sshfs", "nfs4", ASKED_FOR, "mounted by itself"])
def test_polling_as_it_should_be_is_no_problem(why: str) -> None:
    assert problems(checkup(root(part=part(polled=why), parts=[part("/p/a", polled=why)]))) == []


# Limits


def test_what_fits_to_the_last_watch_fits() -> None:
    assert problems(checkup(needed=8192 - 5)) == []
    assert checkup(needed=8192 - 4).missing == 1


def test_too_few_watches() -> None:
    problem = only(checkup(needed=9000))
    assert problem.text == (
        "this user may have too few inotify watches: fs.inotify.max_user_watches is 8,192, 5 are taken,"
        " 9,000 are needed; 813 directories would be polled"
    )
    assert problem.mend == "sudo sysctl fs.inotify.max_user_watches=32768"


def test_no_more_is_missing_than_is_needed() -> None:
    assert checkup(needed=3, watches=Allowance("x", 10, 500)).missing == 3


def test_where_no_limit_is_known_none_is_hit() -> None:
    assert problems(checkup(needed=9000, watches=Allowance())) == []


def test_no_instance_is_left() -> None:
    all_polled = root(part=part(polled="EMFILE"))
    problem = only(checkup(all_polled, instances=Allowance("fs.inotify.max_user_instances", 128, 128)))
    assert "fs.inotify.max_user_instances is 128, 128 are taken; everything would be polled" in problem.text
    assert problem.mend == "sudo sysctl fs.inotify.max_user_instances=256, or end another watcher"
    assert only(checkup(root(part=part(polled="ENOMEM")))).mend == "end what needs much memory"


# What cannot be watched


def test_what_may_not_be_read() -> None:
    locked = root(unreadable=[Unreadable("/p/a", errno.EACCES)])
    assert only(checkup(locked)) == (
        "1 directory may not be read by this user, and so not be watched",
        "allow that (chmod u+rx), or leave it out: --ignore /a/",
    )
    many = root(unreadable=[Unreadable(f"/p/{n}", errno.EACCES) for n in range(1234)])
    assert only(checkup(many)) == (
        "1,234 directories may not be read by this user, and so not be watched",
        "allow that (chmod u+rx), or leave them out: --ignore /0/ --ignore /1/ --ignore /2/ ...",
    )


def test_what_two_roots_have_in_common_is_one_problem() -> None:
    refused = [Unreadable("/p/a/b", errno.EACCES)]
    problem = only(checkup(root(unreadable=refused), root("/p/a", unreadable=refused)))
    assert problem.text.startswith("1 directory ")


def test_another_error_is_another_problem() -> None:
    problem = only(checkup(root(unreadable=[Unreadable("/p/a", errno.ENOTCONN)])))
    assert problem == ("1 directory cannot be watched, for the reason above", "--ignore /a/")


@pytest.mark.parametrize("name", ["a b", "a*", "$(x)", "\n", "ä", "\udcff", "[a]", "!a", "#a", "a\\b"])
def test_a_name_that_is_no_plain_pattern_is_not_put_into_one(name: str) -> None:
    problem = only(checkup(root(unreadable=[Unreadable(f"/p/{name}", errno.ENOTCONN)])))
    assert problem.mend == "--ignore"


def test_a_root_that_went_away() -> None:
    assert only(checkup(root(here=False))).text == "/p went away while it was looked at"


# Sources


def test_what_is_made_up_is_to_be_left_out() -> None:
    parts = [
        part(path, polled=why) for path, why in [("/sys/fs/bpf", "bpf"), ("/sys", "sysfs"), ("/proc", "proc")]
    ]
    problem = only(checkup(root("/", parts=parts)))
    assert problem.text == "files in /proc, /sys are made up when read, and few tell that they changed"
    assert problem.mend == "--ignore /proc/ --ignore /sys/"


def test_what_cannot_be_read_of_what_is_made_up_has_no_mend_of_its_own() -> None:
    refused = [Unreadable("/proc/1/fd", errno.EACCES)]
    assert (
        only(checkup(root("/", parts=[part("/proc", polled="proc")], unreadable=refused))).mend
        == "--ignore /proc/"
    )
    only(checkup(root("/proc", part=part("/proc", polled="proc"), unreadable=refused)))


def test_a_root_that_is_made_up_is_the_wrong_one() -> None:
    assert only(checkup(root(part=part(polled="proc")))).mend == "name another PATH"


def test_inotify_where_it_is_deaf() -> None:
    deaf = root(part=part(type="nfs4", blind=True))
    assert only(checkup(deaf, backend="inotify")) == (
        "inotify does not tell of all that changes in /p",
        "leave out --backend inotify",
    )


def test_a_long_list_of_places_is_cut() -> None:
    parts = [part(f"/p/{n}", type="nfs4", blind=True) for n in range(5)]
    text = only(checkup(root(parts=parts), backend="inotify")).text
    assert text == "inotify does not tell of all that changes in /p/0, /p/1, /p/2 (+2)"


def test_without_a_package_there_is_one_to_install() -> None:
    assert only(checkup(root(part=part(polled=NO_PACKAGE)))).mend == "python -m pip install inotify_simple"
