"""LI: what the kernel refuses to watch is polled, one warning says why and what helps, and it recovers."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch, reloaderd
from tests.support.faults import allow, injecting, limited
from tests.support.mounts import Mounts
from tests.support.places import Place, build
from tests.support.waiting import LIMIT

FAST = ("--poll-interval=100ms", "--debounce=20ms")

USERS = pytest.mark.needs("users", "nsenter")


def make(place: Place, count: int, prefix: str = "d") -> list[Path]:
    """Directories with a file each; the files."""
    build(place.tree, {f"{prefix}{number}/m.py": "m\n" for number in range(count)})
    return [place.tree / f"{prefix}{number}/m.py" for number in range(count)]


def each_is_seen(daemon: Daemon, files: list[Path]) -> None:
    for path in files:
        edits.append(path)
        daemon.final_state_seen()


def said(daemon: Daemon, sysctl: str, value: int, needed: int, after: int = 0) -> int:
    """One warning with the sysctl, its value and a value that is enough, which is returned."""
    (warning,) = daemon.named("warning", after)
    text = warning["text"]
    numbers = {int(word.replace(",", "")) for word in re.findall(r"(?<![\w/.])\d[\d,]*(?![\w/])", text)}
    assert sysctl in text and value in numbers, text
    assert "No space left" not in text and "Too many open files" not in text, text
    enough = max(numbers)
    assert needed <= enough, f"{needed} are needed: {text}"
    return enough


def polled(daemon: Daemon, why: str, after: int = 0) -> set[str]:
    """What the last `watching` line says is polled, all of it for this reason."""
    last = daemon.named("watching", after)[-1]
    assert {one["why"] for one in last["polled"]} == {why}, last
    return {one["path"] for one in last["polled"]}


@USERS
@pytest.mark.parametrize("limit", [0, 3, 15])
def test_li05_li07_limit_reached_at_the_start(limit: int, place: Place, watch: Watch) -> None:
    """With what the warning asks for, all of it is watched, and that is no change."""
    files = make(place, 30)
    daemon = watch(*FAST, prefix=limited(watches=limit), warnings=True)
    enough = said(daemon, "user.max_inotify_watches", limit, needed=31)
    paths = polled(daemon, "ENOSPC")
    assert (str(place.tree) in paths) == (len(paths) == 1), paths
    each_is_seen(daemon, files)
    at = daemon.mark()
    with daemon.restarts(0):
        allow(daemon, watches=enough)
        daemon.wait_event("watching", after=at, polled=[])
    daemon.wait_watches(31)
    assert len(daemon.named("warning")) == 1
    each_is_seen(daemon, files[::5])


@USERS
def test_li06_limit_reached_later_and_raised(place: Place, watch: Watch) -> None:
    make(place, 3)
    daemon = watch(*FAST, prefix=limited(watches=20), warnings=True)
    assert not daemon.named("warning") and not daemon.named("watching")[0]["polled"]
    at = daemon.mark()
    files = make(place, 25, "late")
    daemon.final_state_seen()
    daemon.wait_event("warning", after=at)
    daemon.settle(len(daemon.starts), most=len(daemon.starts) + 2)
    said(daemon, "user.max_inotify_watches", 20, needed=21)
    polled(daemon, "ENOSPC", after=at)
    each_is_seen(daemon, files)
    at = daemon.mark()
    with daemon.restarts(0):
        allow(daemon, watches=500)
        daemon.wait_event("watching", after=at, polled=[])
    daemon.wait_watches(29)
    assert len(daemon.named("warning")) == 1
    each_is_seen(daemon, files[::5])


@USERS
def test_li06_each_episode_has_its_warning(place: Place, watch: Watch) -> None:
    make(place, 30)
    daemon = watch(*FAST, prefix=limited(watches=15), warnings=True)
    at = daemon.mark()
    allow(daemon, watches=60)
    daemon.wait_event("watching", after=at, polled=[])
    allow(daemon, watches=15)  # what there is stays
    at = daemon.mark()
    files = make(place, 40, "again")
    daemon.final_state_seen()
    daemon.wait_event("warning", after=at)
    each_is_seen(daemon, files[::8])
    said(daemon, "user.max_inotify_watches", 15, needed=16, after=at)
    assert len(daemon.named("warning")) == 2


WHILE_LATE = {
    "written": lambda path, number: edits.write(path / f"m{number}.py", f"{number}\n"),
    "created": lambda path, number: edits.write(path / f"new{number}.py"),
    "deleted": lambda path, number: (path / f"m{number}.py").unlink(),
    "replaced": lambda path, number: edits.replace(path / f"m{number}.py", f"{number}\n"),
}


@USERS
@pytest.mark.needs("strace")
@pytest.mark.parametrize("case", WHILE_LATE)
def test_li06_edit_after_the_last_look_and_before_the_watch(case: str, place: Place, watch: Watch) -> None:
    """The call that makes the watch is late: by then nobody but the comparison can tell of it."""
    path = place.tree / "d"
    build(path, {f"m{number}.py": "m\n" for number in range(200)})
    call = ["-e", "trace=inotify_add_watch", "-e", "inject=inotify_add_watch:delay_enter=200000"]
    prefix = [*limited(watches=0), *injecting("-P", str(path), *call)]
    daemon = watch(*FAST, prefix=prefix, warnings=True)
    at = daemon.mark()
    allow(daemon, watches=500)
    number = 0
    while not any(not one["polled"] for one in daemon.named("watching", at)):
        if procfs.state(daemon.pid) == "t":
            WHILE_LATE[case](path, number)
            number += 1
        time.sleep(0.02)  # several in each of the calls that are late
    assert number > 3, "no call was late"
    daemon.final_state_seen()


@USERS
def test_li06_at_rest_after_it_recovered(place: Place, watch: Watch) -> None:
    """No poll is left that would have to be: neither the processor nor the log shows any."""
    make(place, 10)
    daemon = watch(*FAST, prefix=limited(watches=12), warnings=True)
    allow(daemon, watches=500)
    at = daemon.mark()
    daemon.wait_event("watching", polled=[])
    used, switches = procfs.cpu(daemon.pid), procfs.switches(daemon.pid)
    time.sleep(7)  # longer than it takes to try again, which is what is to be over
    assert procfs.cpu(daemon.pid) - used < 0.1
    assert sum(procfs.switches(daemon.pid)) - sum(switches) < 20
    assert len(daemon.named("watching", at)) == 1, "what is polled went to nothing in one step"


@USERS
def test_li08_no_instance_is_to_be_had(place: Place, watch: Watch) -> None:
    files = make(place, 5)
    daemon = watch(*FAST, prefix=limited(instances=0), warnings=True)
    said(daemon, "user.max_inotify_instances", 0, needed=1)
    assert daemon.named("watching")[0]["source"] == "poll"
    assert polled(daemon, "EMFILE") == {str(place.tree)}
    each_is_seen(daemon, files)
    with daemon.restarts(1):
        edits.append(files[0])
    at = daemon.mark()
    with daemon.restarts(0):
        allow(daemon, instances=5)
        daemon.wait_event("watching", after=at, polled=[], source="inotify")
    each_is_seen(daemon, files)
    assert len(daemon.named("warning")) == 1


def refusing(error: str, when: str, path: Path | None = None) -> list[str]:
    about = ["-P", str(path)] if path else []
    return injecting(
        *about, "-e", "trace=inotify_add_watch", "-e", f"inject=inotify_add_watch:error={error}:when={when}"
    )


@pytest.mark.needs("strace")
@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
@pytest.mark.parametrize("backend", ["auto", "pyinotify"])
def test_li08_kernel_without_inotify(backend: str, error: str, place: Place, watch: Watch) -> None:
    """Or a sandbox that forbids it: all is polled, the first line says why."""
    files = make(place, 3)
    call = "inotify_init,inotify_init1"
    prefix = injecting("-e", f"trace={call}", "-e", f"inject={call}:error={error}")
    daemon = watch(f"--backend={backend}", *FAST, prefix=prefix)
    assert polled(daemon, "no inotify") == {str(place.tree)}
    each_is_seen(daemon, files)


@pytest.mark.needs("strace")
def test_li06_memory_is_short_every_other_time(place: Place, watch: Watch) -> None:
    """What cannot be watched now is polled, and watched when it can."""
    files = make(place, 16)
    daemon = watch(*FAST, prefix=refusing("ENOMEM", "9..23+2"), warnings=True)
    first = daemon.named("watching")[0]
    assert first["polled"] and {one["why"] for one in first["polled"]} == {"ENOMEM"}, first
    each_is_seen(daemon, files)
    daemon.wait_event("watching", polled=[])
    daemon.wait_watches(17)
    (warning,) = daemon.named("warning")
    assert "memory" in warning["text"], warning
    each_is_seen(daemon, files)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("where", [".", "d1", "d1/e/f"])
def test_li05_refused_for_good(where: str, place: Place, watch: Watch) -> None:
    """The root, a directory, or one deep below can never be watched; here the machine's limit is named."""
    make(place, 3)
    build(place.tree, {"d1/e/f/g/n.py": "n\n"})
    path = place.tree / where
    daemon = watch(*FAST, prefix=refusing("ENOSPC", "1+", path), warnings=True)
    value = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    said(daemon, "fs.inotify.max_user_watches", value, needed=7)
    assert str(path) in polled(daemon, "ENOSPC")
    for one in sorted(path.rglob("[mn].py")):
        with daemon.restarts(1):
            edits.append(one)
    with daemon.restarts(1, most=2):  # a scan may fall between its making and its writing
        edits.write(path / "new.py")
    with daemon.restarts(1):
        edits.append(place.tree / "d0/m.py")


@pytest.mark.needs("strace")
@pytest.mark.parametrize("times", [1, 2])
def test_li05_refused_a_few_times(times: int, place: Place, watch: Watch) -> None:
    """It recovers by itself, without a restart."""
    make(place, 3)
    path = place.tree / "d1"
    daemon = watch(*FAST, prefix=refusing("ENOSPC", f"1..{times}", path), warnings=True)
    daemon.wait_event("watching", polled=[])
    with daemon.restarts(1):
        edits.append(path / "m.py")
    daemon.wait_watches(4)


def descriptors(pid: int, soft: int) -> None:
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={soft}:"], check=True)


@pytest.mark.needs("prlimit")
def test_li10_no_descriptor_is_left_while_it_runs(place: Place, watch: Watch) -> None:
    """A directory that cannot be listed: the cause is named, and it recovers."""
    build(place.tree, {"a.py": "a\n"})
    daemon = watch("--stop-timeout=1s", *FAST, warnings=True)
    open_before = procfs.fds(daemon.pid).keys()
    descriptors(daemon.pid, 3)
    at = daemon.mark()
    build(place.tree, {"new/er/n.py": "n\n"})
    edits.append(place.tree / "a.py")
    warning = daemon.wait_event("warning", after=at)
    assert "open files" in warning["text"], warning
    descriptors(daemon.pid, 256)
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(place.tree / "new/er/n.py")
    assert procfs.fds(daemon.pid).keys() == open_before


MANY = """import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for _ in range(1100):
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
os.execvp(sys.argv[1], sys.argv[1:])
"""
HAS_MANY = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.skipif(0 <= HAS_MANY < 4096, reason="this user may not have 4,096 files open")
@pytest.mark.parametrize("options", [(), ("--warm", "--keep-sockets")], ids=["plain", "warm"])
def test_li10_more_descriptors_inherited_than_select_knows(
    options: tuple[str, ...], place: Place, watch: Watch
) -> None:
    """Its own have numbers from 1,024 on then; the child gets none of them."""
    build(place.tree, {"a.py": "a\n"})
    daemon = watch(*options, prefix=[sys.executable, "-c", MANY], probe=("--dump",), warnings=bool(options))
    assert max(procfs.fds(daemon.pid)) > 1100
    with daemon.restarts(1):
        edits.append(place.tree / "a.py")
    assert set(daemon.words("DUMP")[-1].payload["fds"]) == {0, 1, 2}
    stop = [sys.executable, "-c", MANY, *reloaderd(place), "stop"]
    subprocess.run(stop, cwd=place.tree, env=place.environ(), check=True, timeout=LIMIT)
    assert daemon.wait_exit() == -SIGTERM


# What is no limit, and what is too much


def test_li12_ignored_directories_take_no_watch(place: Place, watch: Watch) -> None:
    for number in range(3000):
        (place.tree / f"node_modules/p{number % 50}/q{number}").mkdir(parents=True)
    build(place.tree, {"src/a.py": "a\n"})
    daemon = watch(read=(str(place.tree / "src"), str(place.tree / "marker.py")))
    most = 2 + len(place.tree.parts)
    daemon.wait_watches(2, most)
    with daemon.restarts(0):
        edits.write(place.tree / "node_modules/p1/q1/x.py")
        (place.tree / "node_modules/p1/q1/r").mkdir()
    daemon.wait_watches(2, most)


def test_li11_one_watch_is_one_directory(place: Place, watch: Watch) -> None:
    build(place.tree, {f"d{number % 40}/e{number % 160}/m{number}.py": "" for number in range(4000)})
    deep = place.tree / "d7/e7/m7.py"
    daemon = watch(read=(str(deep), str(place.tree / "marker.py")))
    daemon.wait_watches(201, 201 + len(place.tree.parts))
    assert daemon.named("watching")[0]["directories"] == 201
    with daemon.restarts(1):
        edits.append(deep)


@pytest.mark.needs("mounts", "nsenter")
def test_di37_so_many_directories_that_it_is_said(place: Place, mounts: Mounts, watch: Watch) -> None:
    """Who named `/` or a home by mistake learns what it costs; it works all the same."""
    mounts.tmpfs(place.tree)
    for number in range(50_050):
        (mounts.at(place.tree) / f"d{number // 1000}/e{number}").mkdir(parents=not number % 1000)
    deep = place.tree / "d7/e7007/m.py"
    read = [str(deep), str(place.tree / "marker.py")]
    daemon = watch(inside=mounts, read=read, warnings=True)
    (warning,) = daemon.named("warning")
    assert "50,000" in warning["text"] and "PATH" in warning["text"], warning
    with daemon.restarts(1):
        edits.write(mounts.at(deep))
