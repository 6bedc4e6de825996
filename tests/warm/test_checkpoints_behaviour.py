"""What a program does is the same where its run goes on from a copy that another one has left."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.warm.conftest import Resumed
from tests.warm.test_behaviour import ENDS

HEAD = "from telling import tell\nimport os, sys\n"

SAME = {
    "order of atexit": """
import atexit
order = []
atexit.register(order.append, "before")
import edited
atexit.register(order.append, "after")
atexit.register(order.append, edited.X)
atexit._run_exitfuncs()
tell(order)
""",
    "source": """
import inspect, linecache, traceback
import edited
try: edited.fails()
except ValueError: trace = traceback.format_exc()
tell([inspect.getsource(edited.fails), linecache.getline(edited.__file__, 2), trace, edited.__cached__])
""",
    "pickle": """
import pickle, copy
class Own:
    x = 1
own = Own()
import edited
tell([pickle.dumps(edited.Of(2)).hex(), pickle.loads(pickle.dumps(own)).x, copy.deepcopy(edited.Of(3)).x])
""",
    "processes": """
import multiprocessing, subprocess, concurrent.futures
def work(x): return x * x
if __name__ == "__main__":
    import edited
    found = []
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            found.append(pool.map(work, range(4)))
    with concurrent.futures.ProcessPoolExecutor(1) as pool: found.append(list(pool.map(edited.twice, [1, 2])))
    pid = os.fork()
    if not pid: os._exit(7)
    found.append(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
    code = "import sys; print(sys.path[1:])"
    found.append(subprocess.check_output([sys.executable, "-c", code], text=True))
    tell(found)
""",
    "signals": """
import signal, time
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append("before"))
signal.signal(signal.SIGCHLD, lambda *_: got.append("child"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.umask(0o27)
import edited
os.kill(os.getpid(), signal.SIGUSR1)
now = [sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), sorted(map(int, signal.sigpending()))]
before = list(got)
if not os.fork(): os._exit(0)
os.wait()
tell([before, got, now, str(signal.getsignal(signal.SIGTERM)), os.umask(0)])
""",
    "ignored children": """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
import edited
tell([str(signal.getsignal(signal.SIGCHLD)), os.getpgid(0) == os.getpid(),
  os.getsid(0) == os.getsid(os.getppid())])
""",
    "files": """
file = open("data.txt"); first = file.readline()
directory = os.open(".", os.O_RDONLY)
null = open(os.devnull, "w")
import edited
tell([first, file.readline(), file.tell(), os.listdir(directory).count("app.py"), null.write("x"),
  os.lseek(file.fileno(), 0, 1), os.get_inheritable(file.fileno())])
""",
    "logging": """
import logging
logging.basicConfig(filename=os.environ["TOLD"] + "/log", level=logging.INFO)
logging.info("before")
import edited
logging.info("after")
with open(os.environ["TOLD"] + "/log") as log: lines = log.read().splitlines()
tell([lines[-1], logging.getLogger().handlers[0].stream.fileno()])
""",
    "current directory": """
os.mkdir(os.environ["TOLD"] + "/x") if not os.path.exists(os.environ["TOLD"] + "/x") else 0
os.environ["SET"] = "1"
sys.path.append("/nowhere"); sys.setrecursionlimit(1234)
import edited
tell([os.getcwd(), os.environ["SET"], os.popen("echo $SET $RELOADERD_RUN").read().split()[0], sys.path[-1],
  sys.getrecursionlimit(), os.environ["RELOADERD_RUN"] == os.popen("echo $RELOADERD_RUN").read().strip()])
""",
    "context": """
import contextvars, decimal, warnings, functools, weakref, contextlib
variable = contextvars.ContextVar("v"); variable.set(5)
def generator():
    yield 1
    yield 2
one = generator(); next(one)
class A: pass
a = A(); held = weakref.ref(a)
with warnings.catch_warnings(record=True) as seen, contextlib.ExitStack() as stack:
    stack.callback(lambda: 0)
    import edited
    warnings.warn("here")
tell([variable.get(), next(one), held() is a, len(seen), [type(f).__name__ for f in sys.meta_path][1:] != []])
""",
    "threads after": """
import threading, queue, time
local = threading.local(); local.x = 3
lock = threading.Lock()
import edited
with lock: pass
q = queue.Queue(); t = threading.Thread(target=lambda: q.put(threading.main_thread().name))
t.start(); t.join()
tell([local.x, q.get(), threading.current_thread() is threading.main_thread(), threading.active_count(),
  threading.main_thread().native_id == os.getpid(), threading.main_thread().ident == threading.get_ident()])
""",
    "database": """
import sqlite3
memory = sqlite3.connect(":memory:"); memory.execute("create table t(a)")
memory.execute("insert into t values (1)")
import edited
tell(memory.execute("select a from t").fetchall())
""",
    "imports": """
import importlib, pkgutil
import package.sub
import edited
importlib.reload(package.sub)
tell([sorted(one.name for one in pkgutil.iter_modules() if one.name in ("edited", "package")),
  importlib.util.find_spec("package").origin, importlib.util.find_spec("nothing"),
  [str(one)[:30] for one in sys.path_hooks],
  sorted(n for n in sys.modules if "reloaderd" in n or "site" in n)])
""",
}

EDITED = """X = "X"
def fails(): raise ValueError(X)
class Of:
    def __init__(self, x): self.x = x
def twice(x): return 2 * x
"""


@pytest.mark.parametrize("what", SAME)
def test_it_is_the_same(resumed: Resumed, what: str) -> None:
    files = {
        "app.py": HEAD + SAME[what],
        "edited.py": EDITED,
        "data.txt": "one\ntwo\nthree\n",
        "package/__init__.py": "",
        "package/sub.py": "",
    }
    cold, again = resumed.thrice(files, "edited.py")
    assert cold == again


def test_what_is_printed_is_printed_once(resumed: Resumed) -> None:
    app = "import os, sys\nprint('before', end=' ')\nimport edited\nprint(edited.X)\n"
    resumed.start({"app.py": app, "edited.py": "X = 1"}, sys.executable, "app.py")
    resumed.leave("edited.py")
    for number in (2, 3):
        resumed.ended(resumed.resumed("edited.py", f"X = {number}"))
    assert resumed.daemon.stdout.read_text().replace("before ", "") == "1\n1\n2\n3\n"


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_in_the_same_way(resumed: Resumed, how: str) -> None:
    code, (field, value) = ENDS[how]
    resumed.start({"app.py": "import json, telling, edited\n" + code, "edited.py": ""})
    assert resumed.ended(1)[field] == value
    told = list(resumed.daemon.noise)
    resumed.leave("edited.py")
    before = len(resumed.daemon.noise)
    assert resumed.ended(resumed.resumed("edited.py"))[field] == value
    assert resumed.daemon.noise[before:] == told


def test_a_fault_in_what_was_edited_is_told_as_ever(resumed: Resumed) -> None:
    resumed.start({"app.py": "import edited\n", "edited.py": "import json"})
    resumed.leave("edited.py")
    for text in ("import nothing_of_this_name\n", "def f():\n    1 / 0\nf()\n"):
        before = len(resumed.daemon.noise)
        run = resumed.resumed("edited.py", text)
        assert resumed.ended(run)["status"] == 1
        again = resumed.daemon.noise[before:]
        cold = resumed.alone(sys.executable, "app.py")
        assert again == cold


def test_a_compiled_file_of_the_same_second_and_size_is_not_taken(resumed: Resumed) -> None:
    resumed.start({"app.py": HEAD + "import edited\ntell(edited.X)\n", "edited.py": "X = 100"})
    resumed.leave("edited.py")
    for number in range(101, 109):
        assert resumed.said(resumed.resumed("edited.py", f"X = {number}")) == number


def test_random_numbers_are_none_of_the_other_run(resumed: Resumed) -> None:
    app = HEAD + (
        "import random, uuid, secrets, tempfile, multiprocessing, edited\n"
        "tell([random.random(), str(uuid.uuid4()), secrets.token_hex(), tempfile.mktemp(),"
        " multiprocessing.current_process().authkey.hex(), random.Random().random()])\n"
    )
    runs = [*resumed.thrice({"app.py": app, "edited.py": ""}, "edited.py")]
    runs += [resumed.said(int(resumed.daemon.named("started")[-1]["run"]) - 1)]
    runs += [resumed.said(resumed.resumed("edited.py"))]
    assert all(len(set(numbers)) == 4 for numbers in zip(*runs, strict=True)), runs


def test_a_generator_of_the_program_gives_other_numbers_each_time(resumed: Resumed) -> None:
    app = HEAD + "import random\nOWN = random.Random()\nimport edited\ntell(OWN.random())\n"
    resumed.start({"app.py": app, "edited.py": ""})
    resumed.wait_ready()
    runs = [resumed.said(int(resumed.edit("edited.py")["run"])) for _ in range(6)]
    assert len(set(runs)) == 6, runs


def test_signals_that_wait_are_not_lost(resumed: Resumed) -> None:
    app = HEAD + (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\nimport edited\ntell(sorted(map(int, signal.sigpending())))\n"
    )
    resumed.start({"app.py": app, "edited.py": ""})
    resumed.wait_ready()
    for _ in range(3):
        assert resumed.said(int(resumed.edit("edited.py")["run"])) == [int(signal.SIGUSR1)]


@pytest.mark.parametrize("what", ["rotated", "removed"])
def test_a_log_that_is_another_file_by_now_is_opened_anew(resumed: Resumed, what: str) -> None:
    app = HEAD + SAME["logging"]
    resumed.start({"app.py": app, "edited.py": EDITED})
    resumed.leave("edited.py")
    log = resumed.told / "log"
    if what == "rotated":
        log.rename(log.with_suffix(".1"))
    else:
        os.remove(log)
    event = resumed.edit("edited.py")
    assert "checkpoint" not in event
    resumed.said(int(event["run"]))
    assert [line.rpartition(":")[2] for line in log.read_text().splitlines()] == ["before", "after"]
