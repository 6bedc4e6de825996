"""The limits of inotify and what is taken of them, as the kernel tells."""

from __future__ import annotations

import os
from pathlib import Path

from reloaderd.kernel.inotify import InotifySource
from reloaderd.kernel.limits import QUEUE, limit, tightest, used

NOBODY = 4_242_424
"""A user that no machine has."""


def sysctl(name: str) -> int:
    return int(Path("/proc/sys", *name.split(".")).read_text())


def test_the_tightest_of_the_limits_is_named() -> None:
    for why, name in (("ENOSPC", "watches"), ("EMFILE", "instances")):
        values = [sysctl(one) for one in (f"fs.inotify.max_user_{name}", f"user.max_inotify_{name}")]
        found = limit(why)
        assert found.value == min(values) == sysctl(found.name)
    assert tightest(QUEUE) == ("fs.inotify.max_queued_events", sysctl("fs.inotify.max_queued_events"))


def test_what_has_no_limit_has_no_name() -> None:
    assert limit("ENOMEM") == tightest(["user.no_such_limit"]) == ("", 0)


def test_what_we_take_is_counted_and_for_nobody_else(tmp_path: Path) -> None:
    """Others may come and go meanwhile: so many are taken that they are told from ours."""
    for number in range(2000):
        (tmp_path / str(number)).mkdir()
    before = used(os.geteuid())
    source = InotifySource()
    for number in range(2000):
        source.arm(str(tmp_path / str(number)))
    after = used(os.geteuid())
    nobody = used(NOBODY)
    source.close()
    assert after.watches - before.watches > 1000
    assert after.instances > 0
    assert (nobody.watches, nobody.instances) == (0, 0)
