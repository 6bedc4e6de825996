"""The table of mounts, and which directories are polled because of it."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloaderd.kernel.choice import Choice
from reloaderd.kernel.mounts import Mount, Mounts, needs_polling, parse

LINE = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:3 - ext3 /dev/root rw,errors=continue\n"
"""The example of proc(5), with one optional field more."""


def test_a_line_is_parsed() -> None:
    assert parse(LINE) == Mount(36, os.makedev(98, 0), "/mnt1", "/mnt2", "ext3")


def test_a_line_without_optional_fields_is_parsed() -> None:
    mount = parse(LINE.replace("master:1 shared:3 ", ""))
    assert mount is not None and mount.type == "ext3"


def test_escapes_in_a_name_are_undone() -> None:
    mount = parse(LINE.replace("/mnt2", r"/a\040b\011c\012d\134e-\134040"))
    assert mount is not None and mount.point == "/a b\tc\nd\\e-\\040"


@pytest.mark.parametrize("line", ["", "\n", "36 35\n", "x" + LINE, LINE.replace(" - ", " ")])
def test_what_is_no_line_is_passed_over(line: str) -> None:
    assert parse(line) is None


def test_the_table_has_the_root() -> None:
    mounts = Mounts()
    try:
        assert "/" in {mount.point for mount in mounts.table}
        assert not mounts.read()
    finally:
        mounts.close()


def test_without_a_table_nothing_is_mounted(tmp_path: Path) -> None:
    mounts = Mounts(str(tmp_path / "missing"))
    try:
        assert mounts.table == [] and not mounts.read()
        assert not select.select([mounts], [], [], 0)[0]
    finally:
        mounts.close()


@pytest.mark.parametrize(
    "type", ["nfs", "nfs4", "cifs", "9p", "fuse", "fuse.sshfs", "virtiofs", "proc", "sysfs"]
)
def test_file_systems_with_other_writers_are_polled(type: str) -> None:
    assert needs_polling(type)


@pytest.mark.parametrize("type", ["ext4", "btrfs", "tmpfs", "overlay", "fuseblk", "xfs", "zfs", "fusectlx"])
def test_others_are_not(type: str) -> None:
    assert not needs_polling(type)


class Table:
    """Stands in for `Mounts`."""

    def __init__(self, *mounts: Mount) -> None:
        self.table = list(mounts)


def choice(*points: str, everywhere: bool = False) -> Choice:
    """With an NFS mounted at each of these."""
    mounts = [Mount(number, 1000 + number, "/", point, "nfs") for number, point in enumerate(points)]
    return Choice(Table(*mounts), everywhere)  # type: ignore[arg-type]


def near(chosen: Choice, path: str) -> bool:
    return path.startswith(chosen.near)


def test_only_paths_near_such_a_mount_are_asked_for() -> None:
    chosen = choice("/net/data", "/home/me/src/remote")
    assert not near(chosen, "/home/me/src/a")
    chosen.leads_to("/home/me/src", "/home/me/src")
    assert near(chosen, "/home/me/src/remote/deep")
    assert not near(chosen, "/home/me/src/a") and not near(chosen, "/home/me/src")
    chosen.leads_to("/net/data/project", "/net/data/project")
    assert near(chosen, "/net/data/project/a")


def test_a_path_through_a_link_is_near_what_it_leads_to() -> None:
    chosen = choice("/net/data", "/mnt/disk/remote")
    chosen.leads_to("/home/me/project", "/net/data/project")
    assert near(chosen, "/home/me/project/a")
    chosen.leads_to("/home/me/disk", "/mnt/disk")
    assert near(chosen, "/home/me/disk/remote/a") and not near(chosen, "/home/me/disk/a")
    chosen.leads_to("/home/me/project", "/mnt/disk")
    assert not near(chosen, "/home/me/project/a")


def test_where_links_are_followed_every_path_is_asked_for() -> None:
    assert near(choice("/net/data", everywhere=True), "/home/me")
    assert not near(choice(everywhere=True), "/home/me")


def test_the_file_system_has_the_last_word(tmp_path: Path) -> None:
    mount = Mount(1, os.stat(tmp_path).st_dev, "/", "/somewhere", "nfs")
    chosen = Choice(Table(mount), everywhere=False)  # type: ignore[arg-type]
    assert chosen.why(str(tmp_path)) == "nfs"
    assert chosen.why("/proc") == ""
    assert chosen.why(str(tmp_path / "missing")) == ""


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in a mount namespace of its own; its table can be read from here."""
    options = ["-m"] if os.getuid() == 0 else ["-Urm"]
    with subprocess.Popen(
        ["unshare", *options, "sh"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        yield shell
        shell.communicate("exit\n")


def do(shell: subprocess.Popen[str], line: str) -> None:
    assert shell.stdin and shell.stdout
    shell.stdin.write(f"{line} && echo done\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == "done\n"


@pytest.mark.needs("mounts")
def test_a_mount_that_comes_or_goes_wakes_and_is_named(inside: subprocess.Popen[str], tmp_path: Path) -> None:
    do(inside, "mkdir over 'with space'")
    mounts = Mounts(f"/proc/{inside.pid}/mountinfo")
    try:
        for line, point in [
            ("mount -t tmpfs none over", "over"),
            ("mount --bind over 'with space'", "with space"),
            ("umount 'with space'", "with space"),
            ("mount -t tmpfs none over", "over"),
            ("umount over", "over"),
        ]:
            assert not select.select([mounts], [], [], 0)[0]
            do(inside, line)
            assert select.select([mounts], [], [], 30)[0]
            (event,) = mounts.read()
            assert event.points == [str(tmp_path / point)]  # type: ignore[union-attr]
    finally:
        mounts.close()
