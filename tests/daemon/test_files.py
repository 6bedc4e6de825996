"""FE: what happens to files, and whether it restarts the child."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.daemon import Watch
from tests.support.git import Repository
from tests.support.places import Place, build

pytestmark = pytest.mark.every_source

Act = Callable[[Place], object]

SLOW = "--debounce=400ms"
"""Quiet enough that several calls of a test are one act on a machine that stutters."""

FILES = {
    "a.py": "a\n",
    "b.py": "b\n",
    "empty.py": "",
    "tool.py": "#!/bin/sh\n",
    "pkg/m.py": "m\n",
    "pkg/deep/c.py": "c\n",
    "hard.py": "h\n",
}


@pytest.fixture
def files(place: Place) -> Place:
    build(place.tree, FILES)
    build(place.outside, {"o.py": "outside\n"})
    os.link(place.tree / "hard.py", place.tree / "linked.py")
    os.link(place.tree / "hard.py", place.outside / "linked.py")
    return place


def run(place: Place, *command: str) -> None:
    subprocess.run(command, cwd=place.tree, env=place.environ(), check=True, stdout=subprocess.DEVNULL)


ONE_RESTART: dict[str, Act] = {
    "fe01_create_empty_file": lambda p: (p.tree / "new.py").touch(),
    "fe02_create_file_with_data": lambda p: edits.write(p.tree / "new.py"),
    "fe03_append": lambda p: edits.append(p.tree / "a.py"),
    "fe03_append_deep_below": lambda p: edits.append(p.tree / "pkg/deep/c.py"),
    "fe06_truncate_by_path": lambda p: edits.truncate(p.tree / "a.py", 1),
    "fe07_truncate_an_empty_file": lambda p: edits.write(p.tree / "empty.py", ""),
    "fe10_unlink": lambda p: os.unlink(p.tree / "a.py"),
    "fe12_rename_within_tree": lambda p: os.rename(p.tree / "a.py", p.tree / "pkg/z.py"),
    "fe13_rename_over_existing": lambda p: os.rename(p.tree / "a.py", p.tree / "b.py"),
    "fe14_rename_in": lambda p: os.rename(p.outside / "o.py", p.tree / "o.py"),
    "fe14_rename_in_over_existing": lambda p: os.rename(p.outside / "o.py", p.tree / "a.py"),
    "fe14_rename_out": lambda p: os.rename(p.tree / "a.py", p.outside / "a.py"),
    "fe21_hard_link_of_a_file_within": lambda p: os.link(p.tree / "a.py", p.tree / "new.py"),
    "fe21_hard_link_of_a_file_outside": lambda p: os.link(p.outside / "o.py", p.tree / "new.py"),
    "fe21_symbolic_link": lambda p: os.symlink("a.py", p.tree / "new.py"),
    "fe23_touch": lambda p: edits.touch(p.tree / "a.py"),
    "fe23_touch_back_in_time": lambda p: os.utime(p.tree / "a.py", (1, 1)),
    "fe28_write_through_hard_link_within": lambda p: edits.append(p.tree / "linked.py"),
    "fe34_same_bytes_rewritten": lambda p: edits.write(p.tree / "b.py", "b\n"),
}


@pytest.mark.smoke
@pytest.mark.parametrize("case", ONE_RESTART)
def test_one_restart(case: str, files: Place, watch: Watch) -> None:
    daemon = watch()
    with daemon.restarts(1):
        ONE_RESTART[case](files)


def recreate(place: Place) -> None:
    path = place.tree / "a.py"
    os.unlink(path)
    edits.write(path, "again\n")
    edits.append(path)
    edits.append(path)


def rename_twice(place: Place) -> None:
    os.rename(place.tree / "a.py", place.tree / "between.py")
    os.rename(place.tree / "between.py", place.tree / "pkg/a.py")


def exchange(place: Place) -> None:
    os.rename(place.tree / "a.py", place.tree / "x.py")
    os.rename(place.tree / "b.py", place.tree / "a.py")
    os.rename(place.tree / "x.py", place.tree / "b.py")


ONE_ACT: dict[str, Act] = {
    "fe11_delete_recreate_append": recreate,
    "fe17_rename_twice": rename_twice,
    "fe17_exchange_two_files": exchange,
}


@pytest.mark.parametrize("case", ONE_ACT)
def test_one_act(case: str, files: Place, watch: Watch) -> None:
    daemon = watch(SLOW)
    with daemon.restarts(1):
        ONE_ACT[case](files)


def set_access_time(place: Place) -> None:
    path = place.tree / "a.py"
    os.utime(path, ns=(1, path.stat().st_mtime_ns))


def open_for_writing(place: Place) -> None:
    os.close(os.open(place.tree / "a.py", os.O_WRONLY))
    os.close(os.open(place.tree / "pkg/m.py", os.O_RDWR | os.O_APPEND))


def read_all(place: Place) -> None:
    run(place, "grep", "-r", "m", ".")
    run(place, "find", ".", "-type", "f", "-exec", "cat", "{}", "+")
    run(place, "ls", "-lR")


def change_owner(place: Place) -> None:
    if os.getuid() == 0:
        os.chown(place.tree / "a.py", 1, 1)


NO_RESTART: dict[str, Act] = {
    "fe22_chmod": lambda p: os.chmod(p.tree / "tool.py", 0o755),
    "fe22_chmod_of_a_directory": lambda p: os.chmod(p.tree / "pkg", 0o700),
    "fe22_chown": change_owner,
    "fe22_chown_to_the_same": lambda p: os.chown(p.tree / "b.py", -1, os.getgid()),
    "fe22_extended_attribute": lambda p: os.setxattr(p.tree / "a.py", "user.note", b"x"),
    "fe22_link_count_up": lambda p: os.link(p.tree / "a.py", p.outside / "a.py"),
    "fe22_link_count_down": lambda p: os.unlink(p.outside / "linked.py"),
    "fe24_read_and_grep": read_all,
    "fe24_access_time": set_access_time,
    "fe24_open_for_writing_without_writing": open_for_writing,
    "fe24_lock": lambda p: run(p, "flock", "a.py", "true"),
    "fi12_chmod_of_the_root": lambda p: os.chmod(p.tree, 0o700),
    "fi12_touch_of_the_root": lambda p: os.utime(p.tree),
}

TIME_ALONE = ("fe22_chown_to_the_same", "fe22_extended_attribute", "fe24_access_time")
"""What moves the time of change and nothing else that stat(2) tells of."""

UNTOLD = pytest.mark.only(
    "inotify", "pyinotify", reason="a look cannot tell it from a rewrite whose times were put back"
)


@pytest.mark.parametrize(
    "case", [pytest.param(k, marks=UNTOLD if k in TIME_ALONE else ()) for k in NO_RESTART]
)
def test_no_restart(case: str, files: Place, watch: Watch) -> None:
    daemon = watch()
    with daemon.restarts(0):
        NO_RESTART[case](files)


@pytest.mark.needs("git")
def test_fe24_git_status(files: Place, watch: Watch) -> None:
    repository = Repository(files, files.tree)
    repository.commit("first")
    edits.touch(files.tree / "a.py")  # makes status refresh and rewrite the index
    daemon = watch()
    with daemon.restarts(0):
        repository.git("status")
        repository.git("log", "--stat")
        repository.git("diff")
        repository.git("fsck")


def test_fe16_move_between_two_roots(place: Place, watch: Watch) -> None:
    build(place.tree, {"one/a.py": "a\n", "two/b.py": "b\n", "one/pkg/c.py": "c\n"})
    daemon = watch(roots=("one", "two"), marker="one/marker.py")
    with daemon.restarts(1):
        os.rename(place.tree / "one/a.py", place.tree / "two/a.py")
    with daemon.restarts(1):
        os.rename(place.tree / "one/pkg", place.tree / "two/pkg")
    with daemon.restarts(1):
        edits.append(place.tree / "two/pkg/c.py")


def test_fe30_deleted_file_that_is_still_written(files: Place, watch: Watch) -> None:
    """What is written to a file without a name is nobody's source."""
    with open(files.tree / "held.py", "w", buffering=1) as held:
        daemon = watch()
        with daemon.restarts(1):
            os.unlink(files.tree / "held.py")
        with daemon.restarts(0):
            for number in range(100):
                held.write(f"line {number}\n")
                os.fsync(held.fileno())


def test_fe32_child_that_writes_into_its_own_tree(files: Place, watch: Watch) -> None:
    output = files.tree / "out.txt"
    daemon = watch(probe=("--write", str(output)), warnings=True)
    warning = daemon.wait_event("warning")
    assert "out.txt" in warning["text"] and "--ignore" in warning["text"], warning
    seen = len(daemon.starts)
    daemon.wait_starts(seen + 3)
    assert len(daemon.named("warning")) == 1
    last, before = daemon.starts[seen + 2], daemon.starts[seen + 1]
    assert last.at - before.at > 0.45, "the back-off starts with half a second"


def test_fe32_writing_once_is_no_loop(files: Place, watch: Watch) -> None:
    """A child that writes in its first run restarts once, at once, and nothing is said."""
    daemon = watch(probe=("--write-once", str(files.tree / "out.txt")))
    daemon.wait_starts(2)
    daemon.settle(2)


SCRIPT = """\
printf 'START %d %d 0 {"shell": "%s"}\\n' $$ "$RELOADERD_RUN" "${BASH_VERSION:+bash}" >>"$1"
sleep 1000 &
wait
"""


@pytest.mark.needs("bash", "dash")
@pytest.mark.parametrize("busy", [False, True], ids=["cp", "text_file_busy"])
def test_fe33_own_executable_overwritten(busy: bool, place: Place, watch: Watch) -> None:
    dash, bash = shutil.which("dash"), shutil.which("bash")
    assert dash and bash
    program = place.tree / "program"
    shutil.copy(dash, program)
    log = place.scratch / "probe-0.log"
    daemon = watch(command=[str(program), "-c", SCRIPT, "program", str(log)], children=None, warnings=busy)
    daemon.wait_starts(1)
    assert daemon.starts[0].payload == {"shell": ""}
    if busy:
        with open(bash, "rb") as source:
            content = source.read()
        os.unlink(program)
        fd = os.open(program, os.O_WRONLY | os.O_CREAT, 0o755)
        os.write(fd, content)
        daemon.wait_event("ended", run=1)  # what comes next is ETXTBSY
        os.close(fd)
    else:
        run(place, "cp", "-f", bash, str(program))
    daemon.wait(lambda: daemon.starts[-1].payload == {"shell": "bash"}, "a run of the new program")


def test_ra04_change_made_by_the_first_act_of_the_child(files: Place, watch: Watch) -> None:
    """The watches are there before the child is."""
    daemon = watch(probe=("--write-once", str(files.tree / "pkg/deep/c.py")))
    daemon.wait_starts(2)
    daemon.settle(2)


def test_fe03_each_of_many_saves_is_seen(files: Place, watch: Watch) -> None:
    """Save after save, each awaited, in place and by rename in turn: none is lost."""
    daemon = watch("--debounce=0")
    edit: Callable[[Path, str], None]
    for number in range(20):
        edit = edits.replace if number % 4 < 2 else edits.write
        edit(files.tree / ("a.py" if number % 2 else "pkg/m.py"), f"version {number}\n")
        daemon.final_state_seen()
