"""What is left to each run, as it cannot be imported ahead, and what makes the next start a cold one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warm.conftest import Twice

APP = """
import lib, plain
from telling import tell
tell({"lib": lib.__file__, "plain": plain.__file__, "result": str(getattr(lib, "RESULT", None))})
"""

THREAD = "import threading, time\nT = threading.Thread(target=time.sleep, args=(9,), daemon=True)\nT.start()"

TRIES = "try:\n    import {}\nexcept ImportError:\n    RESULT = '{}'\nelse:\n    RESULT = '{}'\n"

IF_EARLY = "import sys\nif not hasattr(sys.modules['__main__'], '__file__'):\n"

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
    "socket": ("import socket\nS = socket.socket()", "it opens a socket"),
    "socket that is closed": ("import socket\nsocket.socket().close()", "it opens a socket"),
    "pipe": ("import os\nR, W = os.pipe()", "it keeps a file or a socket open"),
    "epoll": ("import select\nE = select.epoll()", "it keeps a file or a socket open"),
    "loop": ("import asyncio\nL = asyncio.new_event_loop()", "it opens a socket"),
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
    "number": ("import os\nPID = os.getpid()", "PID is the number of the process"),
    "time": ("import time\nBEGAN = time.time()", "BEGAN is the time of its import"),
    "clock": ("import time\nBEGAN = time.monotonic()", "BEGAN is the time of its import"),
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
    noise = len(twice.daemon.noise), (twice.daemon.stdout.read_bytes())
    assert twice.said(twice.again()) == cold
    said = noise[1].count(b"hello"), twice.daemon.stdout.read_bytes().count(b"hello")
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


def test_a_variable_that_the_program_sets_is_seen_by_libraries(twice: Twice) -> None:
    app = "import os\nos.environ['MODE'] = 'first'\n" + APP
    twice.libraries(**{"lib.py": "import os\nRESULT = os.environ.get('MODE')", "plain.py": ""})
    cold, warm = twice.both({"app.py": app})
    assert cold == warm and warm["result"] == "first"
    (twice.place.tree / "app.py").write_text(app.replace("first", "second"))
    run = int(twice.daemon.wait_event("started", run=3)["run"])
    assert twice.said(run)["result"] == "second"


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
