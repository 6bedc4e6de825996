"""What is left to each run, as it cannot be imported ahead, and what makes the next start a cold one."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

from tests.support.places import build
from tests.warm.conftest import Twice

APP = """
import lib, plain
from telling import tell
tell({"lib": lib.__file__, "plain": plain.__file__, "result": str(getattr(lib, "RESULT", None))})
"""

THREAD = "import threading, time\nT = threading.Thread(target=time.sleep, args=(9,), daemon=True)\nT.start()"

TRIES = "try:\n    import {}\nexcept ImportError:\n    RESULT = '{}'\nelse:\n    RESULT = '{}'\n"

IF_EARLY = """
import sys
frame = sys._getframe()
while frame and not frame.f_code.co_filename.endswith(("site.py", "site>")):
    frame = frame.f_back
if frame:
"""

BESIDES = {
    "thread": (
        THREAD,
        "it starts a thread",
    ),
    "native thread": (
        "import _thread, time\n_thread.start_new_thread(time.sleep, (60,))",
        "it starts a thread",
    ),
    "file": ("FILE = open('/etc/passwd')", "it keeps a file or a socket open"),
    "socket": ("import socket\nS = socket.socket()", "it keeps a file or a socket open"),
    "connection": (
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 1), 1)\nexcept OSError:\n    pass",
        "it asks for an address",
    ),
    "connection by number": (
        "import socket\nwith socket.socket() as s:\n    s.connect_ex(('127.0.0.1', 1))",
        "it connects to something",
    ),
    "datagram": (
        "import socket as s\nwith s.socket(type=s.SOCK_DGRAM) as one:\n    one.sendto(b'', ('127.0.0.1', 1))",
        "it sends something",
    ),
    "bound": (
        "import socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 1))",
        "it binds a socket",
    ),
    "pipe": ("import os\nR, W = os.pipe()", "it keeps a file or a socket open"),
    "epoll": ("import select\nE = select.epoll()", "it keeps a file or a socket open"),
    "loop": ("import asyncio\nL = asyncio.new_event_loop()", "it keeps a file or a socket open"),
    "output": ("print('hello from lib')", "it prints something"),
    "errors": ("import sys\nsys.stderr.write('hello\\n')", "it prints something"),
    "bytes": ("import sys\nsys.stdout.buffer.write(b'hello')", "it prints something"),
    "handler": ("import signal\nsignal.signal(signal.SIGUSR1, print)", "it handles signals"),
    "umask": ("import os\nos.umask(0o77)", "it changes the umask"),
    "directory": ("import os\nos.chdir('/')", "it changes the working directory"),
    "variable": ("import os\nos.environ['ADDED'] = '1'", "it sets ADDED"),
    "path": ("import sys\nsys.path.append('/nowhere')", "it changes sys.path"),
    "child": ("import subprocess\nsubprocess.run(['true'])", "it starts a process"),
    "fork": ("import os\npid = os.fork()\nos._exit(0) if not pid else os.waitpid(pid, 0)", "it forks"),
    "timer": ("import signal\nsignal.setitimer(signal.ITIMER_VIRTUAL, 900)", "it sets a timer"),
    "directory of its own": ("import os\nos.mkdir('made-' + os.environ['RELOADERD_RUN'])", "RELOADERD_RUN"),
    "new directory": (
        "import os, tempfile\nos.path.isdir('made') and os.rmdir('made')\nos.mkdir('made')",
        "it changes ",
    ),
    "removal": (
        "import os\nos.path.lexists('link') or os.symlink('x', 'link')\nos.remove('link')",
        "it changes ",
    ),
    "shared memory": ("import mmap\nM = mmap.mmap(-1, 4096)", "it shares memory with other processes"),
    "semaphore": (
        "import multiprocessing\nL = multiprocessing.Lock()",
        "it shares memory with other processes",
    ),
    "main": ("import sys\nM = hasattr(sys.modules['__main__'], '__file__')", "it looks at __main__"),
    "main by name": ("import __main__\nRESULT = __main__.__file__", "it looks at __main__"),
    "random number": ("import uuid\nID = uuid.uuid4()", "it keeps a random number"),
    "random number of the system's": (
        "import random\nID = random.SystemRandom().random()",
        "it keeps a random number",
    ),
    "secret": ("import secrets\nKEY = secrets.token_bytes()", "it keeps a random number"),
    "random number of all": ("import random\nID = random.random()", "the random numbers that all share"),
    "seed of all": (
        "import random\nrandom.seed(7)\nRESULT = random.random()",
        "the random numbers that all share",
    ),
    "number": ("import os\nPID = os.getpid()", "PID is the number of the process"),
    "time": ("import time\nBEGAN = time.time()", "BEGAN is the time of its import"),
    "clock": ("import time\nBEGAN = time.monotonic()", "BEGAN is the time of its import"),
    "nanoseconds": ("import time\nBEGAN = time.time_ns()", "BEGAN is the time of its import"),
    "second": ("import time\nBEGAN = int(time.time())", "BEGAN is the time of its import"),
    "date": ("import datetime\nB = datetime.datetime.now()", "B is the time of its import"),
    "date, UTC": (
        "import datetime as d\nB = d.datetime.now(d.timezone.utc)\nE = d.datetime.min",
        "B is the time of its import",
    ),
    "number in a class": ("import os\nclass A:\n    pid = os.getpid()", "A.pid is the number of the process"),
    "number in an object": (
        "import os\nclass A:\n    def __init__(self): self.pid = os.getpid()\nONE = A()",
        "ONE.pid is the number of the process",
    ),
    "number in a table": ("import os\nT = {'pid': os.getpid()}", "T.pid is the number of the process"),
    "number in text": ("import os\nPID = str(os.getpid())", "PID is the number of the process"),
    "time in a class": (
        "import time\nclass A:\n    began = time.time()",
        "A.began is the time of its import",
    ),
    "hook": ("import sys\nsys.excepthook = lambda *args: None", "it replaces what the interpreter calls"),
    "trace": ("import sys\nsys.setprofile(lambda *args: None)", "it replaces what the interpreter calls"),
    "recursion": ("import sys\nsys.setrecursionlimit(5000)", "it changes a limit of the interpreter"),
    "data": ("RESULT = open('data.txt').read()", "it reads "),
    "data that lacks": ("try:\n    open('nothing.txt')\nexcept OSError:\n    pass", "it reads "),
    "listing": ("import os\nRESULT = os.listdir('.')", "it lists "),
    "writing": ("open('written.log', 'w').close()", "it writes "),
    "project": ("import project\nRESULT = project.VALUE", "it imports project, which is no library"),
    "project, if it is there": (
        "try:\n    import project\nexcept ImportError:\n    RESULT = 'none'\nelse:\n    RESULT = 'some'",
        "it imports project, which is no library",
    ),
    "error": (
        f"{IF_EARLY}    raise RuntimeError('too early')",
        "RuntimeError: too early",
    ),
    "exit": (
        f"{IF_EARLY}    sys.exit(5)",
        "SystemExit: 5",
    ),
    "gevent": ("import gevent", "it imports gevent"),
}


@pytest.mark.parametrize("kind", BESIDES)
def test_a_library_that_leaves_something_is_left_to_the_run(twice: Twice, kind: str) -> None:
    source, reason = BESIDES[kind]
    twice.libraries(**{"lib.py": source, "plain.py": "import json", "gevent.py": ""})
    twice.start({"app.py": APP, "data.txt": "content", "project.py": "VALUE = 'project'"})
    cold = twice.said(1)
    ready = twice.wait_ready()
    assert reason in ready["left"]["lib"], ready
    assert "plain" not in ready["left"] and "json" not in ready["left"]
    twice.ended(1)  # what it has written is seen by then
    before = twice.daemon.stdout.read_bytes()
    run = twice.again()
    assert twice.said(run) == cold
    twice.ended(run)
    said = before.count(b"hello"), twice.daemon.stdout.read_bytes().count(b"hello")
    assert said in ((0, 0), (1, 2))


def test_a_library_that_goes_on_without_what_is_left_is_left_too(twice: Twice) -> None:
    twice.libraries(
        **{
            "lib.py": TRIES.format("starts", "without", "with"),
            "starts.py": THREAD,
            "plain.py": "",
        }
    )
    cold, warm = twice.both({"app.py": APP})
    assert cold == warm and warm["result"] == "with"


def test_the_first_reason_stays(twice: Twice) -> None:
    """Who imports what is left already is left too, and the reason of the first is what it was."""
    twice.libraries(**{"starts.py": THREAD, "lib.py": "import starts", "plain.py": ""})
    twice.start({"app.py": "import starts\n" + APP})
    assert twice.wait_ready()["left"] == {"starts": "it starts a thread", "lib": "it imports starts"}


CONSTANTS = """
globals().update((f"N{{at}}", ({pid} + at) % {most}) for at in range(20000))
globals().update((f"T{{at}}", {time} + at / 100) for at in range(20000))
"""
"""Numbers of the processes to come and times to come, the same whichever process imports them."""


def test_a_constant_may_be_the_number_of_the_process_or_the_time(twice: Twice) -> None:
    """As errno and fcntl have them, and processes in containers."""
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    source = CONSTANTS.format(pid=os.getpid(), most=most, time=time.time())
    twice.libraries(**{"lib.py": source, "plain.py": "from lib import *"})
    cold, warm = twice.both({"app.py": APP})
    assert cold == warm
    assert twice.daemon.named("warm")[0]["left"] == {}


@pytest.mark.parametrize("source", ["from keeps import HERE\nPID = HERE.pid", "import os\nPID = os.getpid()"])
def test_a_number_of_the_process_is_told_from_constants(twice: Twice, source: str) -> None:
    constants = CONSTANTS.format(pid=os.getpid(), most=1 << 22, time=time.time())
    keeps = "import os\nclass HERE:\n    pid = os.getpid()"
    twice.libraries(**{"keeps.py": keeps, "lib.py": constants + source, "plain.py": ""})
    twice.start({"app.py": APP})
    left = twice.wait_ready()["left"]
    assert left.pop("lib") == "PID is the number of the process"
    assert left == ({"keeps": "HERE.pid is the number of the process"} if "HERE" in source else {})


def test_a_variable_that_the_program_sets_is_seen_by_libraries(twice: Twice) -> None:
    app = "import os\nos.environ['MODE'] = 'first'\n" + APP
    twice.libraries(**{"lib.py": "import os\nRESULT = os.environ.get('MODE')", "plain.py": ""})
    cold, warm = twice.both({"app.py": app})
    assert cold == warm and warm["result"] == "first"
    (twice.place.tree / "app.py").write_text(app.replace("first", "second"))
    run = int(twice.daemon.wait_event("started", run=3)["run"])
    assert twice.said(run)["result"] == "second"


EVERY = {
    "items": "{k: v for k, v in os.environ.items() if k == 'MODE'}",
    "copy": "os.environ.copy().get('MODE')",
    "names": "[key for key in os.environ if key == 'MODE']",
    "bytes": "os.environb.get(b'MODE')",
    "text": "'MODE' in repr(os.environ)",
}


@pytest.mark.parametrize("way", EVERY)
def test_a_variable_that_the_program_sets_is_seen_among_all(twice: Twice, way: str) -> None:
    twice.libraries(**{"lib.py": f"import os\nRESULT = {EVERY[way]}", "plain.py": ""})
    cold, warm = twice.both({"app.py": "import os\nos.environ['MODE'] = 'first'\n" + APP})
    assert cold == warm and warm["result"] not in ("None", "False", "[]", "{}")


def test_a_variable_that_was_not_among_all_makes_the_run_a_cold_one(twice: Twice) -> None:
    twice.libraries(**{"lib.py": "import os\nRESULT = 'MODE' in list(os.environ)", "plain.py": ""})
    cold, warm = twice.both({"app.py": APP + "import time\ntime.sleep(600)\n"})
    assert cold == warm and warm["result"] == "False"
    text = "import os\nos.environ['MODE'] = 'first'\n" + APP + "import time\ntime.sleep(600)\n"
    run = twice.again(edit=lambda tree: (tree / "app.py").write_text(text))
    assert twice.daemon.wait_event("started", run=run + 1)["warm"] is False
    assert twice.said(run + 1)["result"] == "True"


def test_what_a_library_would_import_that_is_not_there_is_no_reason(twice: Twice) -> None:
    twice.libraries(**{"lib.py": TRIES.format("gevent.hub", "without", "with"), "plain.py": ""})
    path = f"{twice.place.outside}/lib/site-packages"
    program = APP.replace(
        "import lib",
        f"import sys\nsys.path[:] = [p for p in sys.path if p == {path!r} or 'site-packages' not in p]"
        "\nimport lib",
    )
    cold, warm = twice.both({"app.py": program}, sys.executable, "-s", "app.py")
    assert cold == warm
    assert ("lib" in twice.daemon.named("warm")[-1]["left"]) is (
        importlib.util.find_spec("gevent") is not None
    )


def test_a_library_may_ask_whether_there_are_addresses_of_a_kind(twice: Twice) -> None:
    lib = "import socket\nRESULT = socket.socket()\nRESULT.bind(('127.0.0.1', 0))\nRESULT = RESULT.close()\n"
    twice.libraries(**{"lib.py": lib, "plain.py": ""})
    cold, warm = twice.both({"app.py": APP})
    assert cold == warm
    assert not twice.daemon.named("warm")[-1]["left"]


def test_a_library_may_look_at_the_source_of_who_imports_it(twice: Twice) -> None:
    lib = "import traceback\nRESULT = len(traceback.format_stack()) > 0"
    twice.libraries(**{"lib.py": lib, "plain.py": ""})
    cold, warm = twice.both({"app.py": APP})
    assert cold == warm
    assert not twice.daemon.named("warm")[-1]["left"]


def test_a_variable_that_the_program_begins_to_set_makes_the_run_a_cold_one(twice: Twice) -> None:
    twice.libraries(**{"lib.py": "import os\nRESULT = os.environ.get('MODE')", "plain.py": ""})
    cold, warm = twice.both({"app.py": APP + "import time\ntime.sleep(600)\n"})
    assert cold == warm and warm["result"] == "None"
    text = "import os\nos.environ['MODE'] = 'first'\n" + APP + "import time\ntime.sleep(600)\n"
    run = twice.again(edit=lambda tree: (tree / "app.py").write_text(text))
    event = twice.daemon.wait_event("started", run=run + 1)
    assert event["warm"] is False
    assert "MODE" in twice.daemon.named("warm")[-1]["reason"]
    assert twice.said(run + 1)["result"] == "first"
    twice.daemon.wait(lambda: "modules" in twice.daemon.named("warm")[-1], "a copy again")
    run = twice.again(edit=lambda tree: (tree / "app.py").write_text(text.replace("first", "second")))
    assert twice.said(run)["result"] == "second"


def test_a_library_that_is_a_link_is_seen_to_change_where_it_is(twice: Twice) -> None:
    real = twice.place.outside / "store" / "lib.py"
    real.parent.mkdir()
    real.write_text("RESULT = 'old'\n")
    twice.libraries(**{"plain.py": ""})
    link = twice.place.outside / "lib" / "site-packages" / "lib.py"
    link.symlink_to(real)
    cold, warm = twice.both({"app.py": APP})
    assert cold == warm and warm["result"] == "old"
    with open(real, "w") as file:
        file.write("RESULT = 'new'\n")
    assert twice.said(twice.again(warm=False))["result"] == "new"


def edited(twice: Twice, name: str, text: str) -> None:
    (twice.place.outside / "lib" / "site-packages" / name).write_text(text)


CHANGES = {
    "a library is edited": ("lib.py", "RESULT = 'new'"),
    "a library is installed that was looked for": ("optional.py", ""),
    "another one is installed": ("another.py", ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_library_that_changes_makes_the_next_start_a_cold_one(twice: Twice, change: str) -> None:
    lib = TRIES.format("optional", "old", "new")
    twice.libraries(**{"lib.py": lib, "plain.py": ""})
    cold, warm = twice.both({"app.py": APP})
    assert cold == warm and warm["result"] == "old"
    name, text = CHANGES[change]
    edited(twice, name, text)
    run = twice.again(warm=False)
    assert twice.said(run)["result"] == ("old" if name == "another.py" else "new")
    assert "has changed" in twice.daemon.wait_event("warm", given_up=False)["reason"]
    after = twice.daemon.mark()
    twice.daemon.wait_event("warm", after=after - 1) if "modules" not in twice.daemon.named("warm")[
        -1
    ] else None
    twice.daemon.wait(lambda: "modules" in twice.daemon.named("warm")[-1], "a copy again")
    again = twice.again()
    assert twice.said(again) == twice.said(run)


@pytest.mark.parametrize("name", ["optional.py", "json.py", "lib/__init__.py"])
def test_a_file_of_the_project_that_hides_a_library_makes_the_next_start_a_cold_one(
    twice: Twice, name: str
) -> None:
    lib = TRIES.format("optional", "old", "new") + "import json\n"
    twice.libraries(**{"lib.py": lib, "plain.py": "import json"})
    cold, warm = twice.both(
        {
            "app.py": APP.replace("import lib", "import json, lib").replace(
                '"result"', '"json": json.__file__, "result"'
            )
        }
    )
    assert cold == warm

    def add(tree: Path) -> None:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(
            "RESULT = 'hidden'\ndef dump(value, file): file.write(repr(value).replace(chr(39), chr(34)))"
        )

    run = twice.again(warm=False, edit=add)
    said = twice.said(run)
    assert {"optional.py": said["result"] == "new", "json.py": "tree" in said["json"]}.get(
        name, "tree" in said["lib"]
    )


def test_a_name_at_random_within_the_process_is_no_reason(twice: Twice) -> None:
    """As OpenTelemetry's keys, which FastAPI imports."""
    key = (
        "from uuid import uuid4\ndef create_key(name):\n    return f'{name}-{uuid4()}'\nKEY = create_key('x')"
    )
    files = {"opentelemetry/__init__.py": "", "opentelemetry/context/__init__.py": key}
    other = "from uuid import uuid4\ndef create_key(name):\n    return str(uuid4())\nKEY = create_key('x')"
    twice.libraries(**files, **{"lib.py": "import opentelemetry.context", "plain.py": other})
    twice.start({"app.py": APP})
    assert twice.wait_ready()["left"] == {"plain": "it keeps a random number"}


FINDS = """
from importlib import metadata
names = [found.metadata["Name"] for found in metadata.distributions()]
RESULT = sorted({*names} & {"own"})
"""


def test_who_looks_for_distributions_sees_those_that_come(twice: Twice) -> None:
    """As FastAPI does; the directory of the project may be on the path (PYTHONPATH=.)."""
    python = sys._base_executable  # type: ignore[attr-defined]  # which has nothing installed as a link to its source
    path = f"{twice.place.outside}/lib/site-packages:{twice.place.tree}"
    twice.libraries(**{"lib.py": FINDS, "plain.py": ""})
    cold, warm = twice.both({"app.py": APP}, python, "app.py", environ={"PYTHONPATH": path})
    assert cold == warm and warm["result"] == "[]"
    assert twice.daemon.named("warm")[-1]["left"] == {}
    info = {"own-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n"}
    run = twice.again(warm=False, edit=lambda tree: build(tree, info))
    assert twice.said(run)["result"] == "['own']"
