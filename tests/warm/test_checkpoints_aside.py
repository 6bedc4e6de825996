"""When a run leaves no copy, and when the next one does not go on from what there is."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.support import procfs
from tests.support.cgroups import Delegation
from tests.support.mounts import Mounts
from tests.warm.conftest import Resumed

HEAD = "import os, sys\nfrom telling import tell\n"

REASONS = {
    "thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
        "threads",
    ),
    "process": ("import subprocess\np = subprocess.Popen(['sleep', '60'])", "processes of its own"),
    "zombie": (
        "import subprocess\np = subprocess.Popen(['true'], stdout=-1); p.stdout.read()",
        "processes of its own",
    ),
    "listening": ("import socket\ns = socket.create_server(('127.0.0.1', 0))", "socket"),
    "connected": ("import socket\ns = socket.socketpair()", "socket"),
    "datagrams": ("import socket\ns = socket.socket(type=socket.SOCK_DGRAM)", "socket"),
    "pipe": ("p = os.pipe()", "pipe:"),
    "file": ("f = open(os.environ['TOLD'] + '/w', 'w')", "open for writing"),
    "both ways": ("f = open(os.environ['TOLD'] + '/w', 'w+')", "open for writing"),
    "over a descriptor": (
        "os.dup2(os.open(os.environ['TOLD'] + '/w', os.O_WRONLY | os.O_CREAT), 0)",
        "open for writing",
    ),
    "event": ("import ctypes\nctypes.CDLL(None).eventfd(0, 0)", "eventfd"),
    "timer descriptor": ("import ctypes\nctypes.CDLL(None).timerfd_create(1, 0)", "timerfd"),
    "epoll": ("import select\ne = select.epoll(); r, w = os.pipe(); e.register(r)", "o"),
    "memory": ("import mmap\nm = mmap.mmap(-1, 4096)", "shares memory"),
    "a timer": ("import signal\nsignal.setitimer(signal.ITIMER_REAL, 50)", "timer"),
    "an alarm": ("import signal\nsignal.alarm(50)", "timer"),
    "tracer": ("sys.settrace(lambda *_: None)", "traces"),
    "profiler": ("sys.setprofile(lambda *_: None)", "traces"),
    "seeded": ("import random\nrandom.seed(3)", "random numbers"),
    "drawn": ("import random\nrandom.random()", "random numbers"),
    "generator": ("import random\nR = random.Random()", "is random"),
    "uuid": ("import uuid\nRUN = uuid.uuid4()", "is random"),
    "signal": ("import signal\nsignal.pthread_sigmask(0, [10])\nos.kill(os.getpid(), 10)", "a signal waits"),
    "time": ("import time\nBEGAN = time.time()", "__main__.BEGAN is the time"),
    "datetime": ("import datetime\nBEGAN = datetime.datetime.now()", "__main__.BEGAN is the time"),
    "by UTC": ("import datetime\nBEGAN = datetime.datetime.utcnow()", "__main__.BEGAN is the time"),
    "second": ("import time\nBEGAN = int(time.time())", "__main__.BEGAN is the time"),
    "aware": ("import datetime as d\nBEGAN = d.datetime.now(d.timezone.utc)", "__main__.BEGAN is the time"),
    "time in ns": ("import time\nBEGAN = time.time_ns()", "__main__.BEGAN is the time"),
    "monotonic": ("import time\nBEGAN = time.monotonic()", "__main__.BEGAN is the time"),
    "performance": ("import time\nBEGAN = time.perf_counter()", "__main__.BEGAN is the time"),
    "pid": ("PID = os.getpid()", "__main__.PID is the number"),
    "pid of a module": ("import other", "other.PID is the number"),
}


@pytest.mark.parametrize("what", REASONS)
def test_it_says_why_there_can_be_no_copy(resumed: Resumed, what: str) -> None:
    code, reason = REASONS[what]
    files = {
        "app.py": f"{HEAD}{code}\nimport edited\ntell(edited.X)\nos._exit(0)\n",
        "edited.py": "X = 1",
        "other.py": "import os\nPID = os.getpid()\n",
    }
    resumed.start(files)
    assert reason in resumed.reason("edited.py")
    event = resumed.edit("edited.py", "X = 2")
    assert "checkpoint" not in event and resumed.said(event["run"]) == 2


TREE = {
    "app.py": HEAD
    + "import first\nDATA = open('data.json').read()\ntry: import maybe\nexcept ImportError: maybe = first\n"
    + "import edited, time\ntell([first.X, DATA, maybe.X, edited.X])\ntime.sleep(600)\n",
    "first.py": "X = 1\n",
    "edited.py": "import library\nX = [1, library.X]\n",
    "data.json": "1",
}
LIBRARY = {"library.py": "X = 1\n"}


def begin(resumed: Resumed, *options: str) -> None:
    resumed.libraries(**LIBRARY)
    resumed.start(TREE, options=options)
    resumed.leave("edited.py")


def again(
    resumed: Resumed,
    expected: object,
    file: str = "edited.py",
    text: str = "import library\nX = [2, library.X]\n",
) -> None:
    """The next run does not go on from the copy, and reads what there is."""
    event = resumed.edit(file, text)
    assert "checkpoint" not in event, resumed.daemon.report()
    assert resumed.said(event["run"]) == expected


def test_it_goes_on_from_a_copy_if_nothing_is_against_it(resumed: Resumed) -> None:
    begin(resumed)
    assert resumed.said(resumed.resumed("edited.py", "X = [3]")) == [1, "1", 1, [3]]


def test_a_library_that_was_changed(resumed: Resumed) -> None:
    begin(resumed)
    resumed.libraries(**{"library.py": "X = 22\n"})
    again(resumed, [1, "1", 1, [2, 22]])


def test_a_file_that_was_read_before(resumed: Resumed) -> None:
    begin(resumed)
    again(resumed, [5, "1", 5, [1, 1]], "first.py", "X = 5\n")


def test_data_that_was_read_before(resumed: Resumed) -> None:
    begin(resumed)
    again(resumed, [1, "7", 1, [1, 1]], "data.json", "7")


@pytest.mark.parametrize("option", ["--on=first.py=ignore", "--on=data.json=ignore", "--ignore=*.json"])
def test_what_was_read_before_and_changed_where_nobody_looks(resumed: Resumed, option: str) -> None:
    begin(resumed, option)
    name = "first.py" if "first" in option else "data.json"
    text = {"first.py": "X = 8\n", "data.json": "8"}[name]
    (resumed.place.tree / name).write_text(text)
    again(resumed, [8, "1", 8, [2, 1]] if name == "first.py" else [1, "8", 1, [2, 1]])


def test_a_module_that_was_looked_for_in_vain(resumed: Resumed) -> None:
    begin(resumed)
    again(resumed, [1, "1", 9, [1, 1]], "maybe.py", "X = 9\n")


def test_a_module_that_takes_the_place_of_a_library(resumed: Resumed) -> None:
    begin(resumed)
    again(resumed, [1, "1", 1, [1, 4]], "library.py", "X = 4\n")


def test_a_package_that_takes_the_place_of_a_module(resumed: Resumed) -> None:
    begin(resumed)
    (resumed.place.tree / "first").mkdir()
    again(resumed, [6, "1", 6, [1, 1]], "first/__init__.py", "X = 6\n")


@pytest.mark.parametrize("age", ["old", "young"])
def test_a_module_that_comes_to_a_library(resumed: Resumed, age: str) -> None:
    """Where the directory was changed lately, it may have the same mtime with it as without."""
    resumed.libraries(**{"package/__init__.py": "", "package/early.py": "X = 1\n"})
    package = resumed.place.outside / "lib" / "site-packages" / "package"
    moment = 10**18 if age == "old" else time.time_ns()
    os.utime(package, ns=(moment, moment))
    edited = "try: from package import late\nexcept ImportError: late = None\nX = late and late.X\n"
    app = HEAD + "import package.early, edited\ntell(edited.X)\n"
    resumed.start({"app.py": app, "edited.py": edited}, environ={"PYTHONDONTWRITEBYTECODE": "1"})
    resumed.leave("edited.py")
    assert resumed.said(resumed.resumed("edited.py")) is None
    (package / "late.py").write_text("X = 4\n")
    if age == "young":
        os.utime(package, ns=(moment, moment))
    assert resumed.said(resumed.resumed("edited.py")) == 4


def test_imports_in_another_order(resumed: Resumed) -> None:
    begin(resumed)
    text = TREE["app.py"].replace("import first\n", "import edited, first\n")
    again(resumed, [1, "1", 1, [1, 1]], "app.py", text)
    resumed.daemon.wait(lambda: len(resumed.waiting) == 4, "a copy, and a spare of it")
    event = resumed.edit("first.py", "X = 5\n")
    assert resumed.said(event["run"])[0] == 5
    resumed.said(resumed.resumed("edited.py", "X = [4]"))


def test_copies_that_are_killed(resumed: Resumed) -> None:
    begin(resumed)
    for pid in resumed.waiting[1:]:  # all but the zygote
        procfs.kill(pid)
    resumed.daemon.wait_event("checkpoint", reason="the copy has ended")
    again(resumed, [1, "1", 1, [2, 1]])


def test_a_run_that_is_killed_while_it_leaves_a_copy(resumed: Resumed) -> None:
    kill = (
        "import os\nos.register_at_fork(before=lambda: os.path.exists('die') and os.kill(os.getpid(), 9))\n"
    )
    resumed.libraries(**LIBRARY)
    resumed.start({**TREE, "app.py": kill + TREE["app.py"], ".reloaderdignore": "die\n"})
    resumed.wait_ready()
    (resumed.place.tree / "die").touch()
    event = resumed.edit("edited.py")
    assert resumed.ended(event["run"])["signal"] == "SIGKILL"
    (resumed.place.tree / "die").unlink()
    again(resumed, [1, "1", 1, [2, 1]])
    event = resumed.edit("edited.py", "X = [3]")
    assert resumed.said(event["run"]) == [1, "1", 1, [3]]


@pytest.mark.parametrize("victim", ["daemon", "keeper"])
def test_a_death_takes_the_copies_along(resumed: Resumed, victim: str) -> None:
    begin(resumed)
    family = resumed.waiting
    if victim == "daemon":
        os.kill(resumed.daemon.pid, signal.SIGKILL)
        resumed.daemon.wait_exit()
    else:
        os.kill(procfs.children(resumed.daemon.pid)[0], signal.SIGKILL)
    resumed.daemon.wait(lambda: not any(procfs.alive(pid) for pid in family), "the copies to be gone")
    if victim == "daemon":
        resumed.daemon.end()
    else:
        resumed.daemon.wait_event("warning")


def test_a_restart_that_is_asked_for_goes_on_from_no_copy_of_a_run(resumed: Resumed) -> None:
    begin(resumed)
    after = resumed.daemon.mark()
    os.kill(resumed.daemon.pid, signal.SIGUSR1)
    event = resumed.daemon.wait_event("started", after=after)
    assert event["warm"] and "checkpoint" not in event
    assert resumed.said(event["run"]) == [1, "1", 1, [1, 1]]


def test_thirty_restarts_leave_nothing_behind(resumed: Resumed) -> None:
    names = [f"m{number}" for number in range(7)]
    files = {f"{name}.py": f"X = '{name}'\n" for name in names}
    app = "".join(f"import {name}\n" for name in names)
    files["app.py"] = (
        HEAD + app + "tell([len(os.listdir('/proc/self/fd')), m6.X])\nimport time\ntime.sleep(600)\n"
    )
    resumed.start(files, sys.executable, "app.py", options=["--debounce", "10ms"])
    resumed.leave("m6.py")
    keeper = procfs.children(resumed.daemon.pid)[0]

    def open_now() -> list[int]:
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in sorted(resumed.waiting)]

    before = open_now()
    used = 0
    for number in range(30):
        name = names[6 - number // 2 % 7]
        event = resumed.edit(f"{name}.py", f"X = '{name} {number}'\n")
        used += "checkpoint" in event
        assert resumed.said(event["run"])[0] == 4
        assert len(procfs.children(keeper)) <= 1 + 2 + 4 * 2 + 2, resumed.daemon.report()
    assert used >= 10, used
    resumed.daemon.wait(lambda: len(resumed.waiting) <= 2 + 4 + 1, "all that are dropped to be gone")
    assert max(open_now()) <= max(before), (before, open_now())
    assert len(os.listdir(f"/proc/{keeper}/fd")) < 40


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
def test_copies_are_not_killed_with_the_cgroup_of_the_run_that_left_them(
    mounts: Mounts, resumed: Resumed
) -> None:
    given = Delegation(mounts)
    try:
        resumed.libraries(**LIBRARY)
        stays = TREE["app.py"].replace(
            "import first", "import signal, first\nsignal.signal(15, signal.SIG_IGN)"
        )
        resumed.start({**TREE, "app.py": stays}, options=["--stop-timeout", "100ms"], **given.keywords())
        resumed.leave("edited.py")
        for number in (3, 4):
            run = resumed.daemon.named("started")[-1]["run"]
            alone = [resumed.daemon.named("started")[-1]["pid"]]
            assert alone in [given.within(one) for one in given.runs()]
            assert resumed.said(resumed.resumed("edited.py", f"X = [{number}]"))[-1] == [number]
            resumed.daemon.wait_event("killed", run=run)
            resumed.daemon.wait(lambda: len(resumed.waiting) >= 4, "a spare again")
        resumed.daemon.finish()
        assert given.runs() == []
    finally:
        resumed.daemon.end()
        given.close()
