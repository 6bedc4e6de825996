"""What Python programs do from their first line to their end is the same in a run that comes of a copy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any

import pytest

from tests.support import procfs
from tests.warm.conftest import Twice

TOLD = "from telling import tell\n"

SAME = {
    "atexit": """
import atexit, logging, multiprocessing.pool, concurrent.futures.thread
order = []
for name in "abc":
    atexit.register(order.append, name)
atexit.register(lambda: order.append("first"))
class End:
    def __del__(self): pass
atexit._run_exitfuncs()
tell(order)
""",
    "traceback": """
import subprocess, sys, traceback, json
def fails(): json.loads("{")
try: fails()
except ValueError: tell(traceback.format_exc())
""",
    "source": """
import inspect, linecache
class A:
    def method(self): return 1
def f(x): return x  # a comment
tell([inspect.getsource(A), inspect.getsource(f), inspect.getsourcefile(f), linecache.getline(__file__, 2)])
""",
    "pickle": """
import pickle, copy
class A:
    def __init__(self, x): self.x = x
a = pickle.loads(pickle.dumps(A(3)))
tell([type(a) is A, a.x, A.__module__, copy.deepcopy(a).x, pickle.dumps(A).hex()])
""",
    "resources": """
import importlib.resources, importlib.metadata, importlib.util, pkgutil
tell([importlib.resources.files("package").joinpath("data.txt").read_text(),
  pkgutil.get_data("package", "data.txt").decode(),
  importlib.util.find_spec("package.sub").origin, importlib.util.find_spec("json").origin,
  sorted(name for _, name, _ in pkgutil.iter_modules() if name in ("package", "telling", "json", "app"))])
""",
    "multiprocessing": """
import multiprocessing, os, sys
def work(x): return x * x, multiprocessing.current_process().name
if __name__ == "__main__":
    found = []
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            found.append(sorted(one[0] for one in pool.map(work, range(9))))
    queue = multiprocessing.Queue()
    p = multiprocessing.Process(target=queue.put, args=([work(3)[0], __name__],)); p.start()
    found.append(queue.get()); p.join(); found.append(p.exitcode)
    tell(found)
""",
    "threads": """
import threading, concurrent.futures, queue, time
found = []
t = threading.Thread(target=lambda: found.append(threading.main_thread().name)); t.start(); t.join()
with concurrent.futures.ThreadPoolExecutor(4) as pool: found += pool.map(lambda x: x + 1, range(8))
timer = threading.Timer(0.01, found.append, ("timer",)); timer.start(); timer.join()
tell([found, threading.active_count(), threading.enumerate()[0].name])
""",
    "asyncio": """
import asyncio, signal, os
async def main():
    loop = asyncio.get_running_loop(); got = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, got.set_result, 1)
    os.kill(os.getpid(), signal.SIGUSR1)
    p = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate()
    return [await got, out.decode(), p.returncode, await asyncio.to_thread(lambda: 5)]
tell(asyncio.run(main()))
""",
    "subprocess": """
import subprocess, sys, os
code = "import sys, os; print(sys.flags, 'RELOADERD_WARM' in os.environ, sys.path[1:])"
code += "; print(os.environ.get('PYTHONPATH'))"
tell([subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout,
  subprocess.check_output("echo $PPID $RELOADERD_WARM | wc -w", shell=True, text=True).strip(),
  subprocess.run(["false"]).returncode, os.system("exit 3"), os.waitstatus_to_exitcode(os.system("exit 3"))])
""",
    "signals": """
import signal, os, time
got = []
signal.signal(signal.SIGALRM, lambda *a: got.append("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.02)
signal.signal(signal.SIGCHLD, lambda *a: got.append("child"))
pid = os.fork()
if not pid: os._exit(0)
os.waitpid(pid, 0)
while len(got) < 2: time.sleep(0.01)
try:
    os.kill(os.getpid(), signal.SIGINT); time.sleep(1)
except KeyboardInterrupt: got.append("interrupt")
tell(sorted(got))
""",
    "warnings": """
import subprocess, sys, warnings
warnings.warn("one", DeprecationWarning); warnings.warn("two"); warnings.warn("two")
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always"); warnings.warn("three")
tell([len(seen), str(seen[0].message), [str(f) for f in warnings.filters]])
""",
    "logging": """
import logging, io, time
out = io.StringIO()
logging.basicConfig(stream=out, format="%(process)d %(threadName)s %(module)s %(relativeCreated)d")
logging.warning("x")
pid, thread, module, since = out.getvalue().split()
import os
tell([int(pid) == os.getpid(), thread, module, int(since) < 2000, len(logging.getLogger().handlers)])
""",
    "input": """
import sys, os
tell([sys.stdin.read(), sys.stdin.fileno(), os.fstat(0).st_rdev])
""",
    "imports": """
import sys, importlib, json, package.sub
before = json; del sys.modules["json"]; import json as again
importlib.reload(package.sub)
tell([before is again, package.sub.__file__, package.__path__, json.__cached__,
  __import__("os").path.__name__,
  [type(one).__name__ for one in sys.path_hooks], sorted(k for k in sys.modules if k.startswith("package")),
  type(json.__loader__).__name__, type(json.__spec__.loader).__name__, json.__spec__._initializing])
""",
    "locale": """
import locale, datetime, time, decimal
tell([locale.getlocale(), locale.localeconv()["decimal_point"], time.tzname, str(decimal.getcontext()),
  datetime.datetime(2020,1,1).strftime("%A")])
""",
    "weak": """
import weakref, gc, functools, dataclasses, typing, enum, collections
@dataclasses.dataclass
class A: x: int = 1
class E(enum.Enum): ONE = 1
N = collections.namedtuple("N", "a b")
a = A(); r = weakref.ref(a); del a; gc.collect()
tell([r() is None, N.__module__, E.__module__, A.__module__, typing.get_type_hints(A)["x"].__name__])
""",
    "database": """
import sqlite3, os, zoneinfo, uuid, secrets, tempfile
c = sqlite3.connect(":memory:"); c.execute("create table t(a)"); c.execute("insert into t values (1)")
with tempfile.TemporaryDirectory() as d: there = os.path.isdir(d)
tell([c.execute("select * from t").fetchall(), there, uuid.uuid4().version])
""",
    "frames": """
import sys, inspect
f = sys._getframe()
tell([frame.filename for frame in inspect.stack()] + [f.f_code.co_name, f.f_back is None])
""",
}


@pytest.mark.parametrize("what", SAME)
def test_it_is_the_same(twice: Twice, what: str) -> None:
    files = {
        "app.py": TOLD + SAME[what],
        "package/__init__.py": "",
        "package/data.txt": "data",
        "package/sub.py": "",
    }
    cold, warm = twice.both(files)
    assert cold == warm


RANDOM = (
    TOLD
    + """
import random, uuid, secrets, tempfile, lib, os, multiprocessing
try:
    import numpy
except ImportError:
    numbers = None
else:
    import numbered
    generators = [numpy.random, numpy.random.default_rng(), numbered.OWN]
    numbers = [float(one.random()) for one in generators]
tell({"random": random.random(), "uuid": str(uuid.uuid4()), "secret": secrets.token_hex(),
  "own": lib.OWN.random(), "fixed": lib.FIXED.random(),
  "name": tempfile.mktemp(), "numpy": numbers, "key": multiprocessing.current_process().authkey.hex()})
"""
)


def test_two_runs_have_no_random_numbers_in_common(twice: Twice) -> None:
    twice.libraries(
        **{
            "lib.py": "import random\nOWN = random.Random()\nFIXED = random.Random(7)",
            "numbered.py": "import numpy\nOWN = numpy.random.default_rng()",
        }
    )
    runs = [*twice.both({"app.py": RANDOM})]
    runs.append(twice.said(twice.again()))
    for name in ("random", "uuid", "secret", "own", "name", "key"):
        assert len({one[name] for one in runs}) == 3, name
    assert len({one["fixed"] for one in runs}) == 1
    if runs[0]["numpy"] is not None:
        assert len({number for one in runs for number in one["numpy"]}) == 9


ENDS: dict[str, tuple[str, Any]] = {
    "nothing": ("", ("status", 0)),
    "a status": ("import sys; sys.exit(5)", ("status", 5)),
    "a text": ("import sys; sys.exit('bad')", ("status", 1)),
    "an exception": ("1 / 0", ("status", 1)),
    "at once": ("import os; os._exit(9)", ("status", 9)),
    "a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ("signal", "SIGKILL")),
    "a fault": ("import faulthandler, ctypes; ctypes.string_at(0)", ("signal", "SIGSEGV")),
    "an interrupt": (
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(9)",
        ("signal", "SIGINT"),
    ),
    "abort": ("import os; os.abort()", ("signal", "SIGABRT")),
    "another program": ("import os; os.execvp('sh', ['sh', '-c', 'exit 7'])", ("status", 7)),
}


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_in_the_same_way(twice: Twice, how: str) -> None:
    code, (field, value) = ENDS[how]
    # an interrupt would end reloaderd, too, as Ctrl-C does where the child has the terminal: here nobody has
    twice.start({"app.py": "import json, telling\n" + code})
    assert twice.ended(1)[field] == value
    twice.wait_ready()
    noise = len(twice.daemon.noise)
    run = twice.again()
    assert twice.ended(run)[field] == value
    told = twice.daemon.noise
    assert told[:noise] == told[noise:]


def test_restart_me_is_understood(twice: Twice) -> None:
    twice.start(
        {
            "app.py": "import sys, json, telling, os\n"
            "sys.exit(3 if os.path.exists('again') and not os.remove('again') else 0)"
        }
    )
    twice.wait_ready()

    def ask(tree: Any) -> None:
        (tree / "again").touch()

    run = twice.again(edit=ask)
    assert twice.ended(run)["status"] == 3
    assert twice.daemon.wait_event("started", run=run + 1)["warm"] in (True, False)


DAEMON = (
    TOLD
    + """
import json, os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tell(os.getpid())
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
)


def test_nothing_is_left_of_a_run_before_the_next_begins(twice: Twice) -> None:
    twice.start({"app.py": DAEMON}, options=["--stop-timeout", "300ms"])
    stray = twice.said(1)
    twice.wait_ready()
    for _ in range(3):
        run = twice.again()
        assert not procfs.alive(stray)
        stray = twice.said(run)
        twice.daemon.wait(lambda: "ready", "")
    assert twice.daemon.named("killed")


def copies(twice: Twice) -> list[int]:
    """What waits beside the run: the children of the keeper but the run's own."""
    keeper = procfs.children(twice.daemon.pid)[0]
    run = twice.daemon.named("started")[-1]["pid"]
    return [pid for pid in procfs.children(keeper) if pid != run]


SLEEPS = TOLD + "import json, os, time\ntell(os.getpid())\ntime.sleep(600)\n"


def test_a_copy_that_is_killed_costs_a_cold_start(twice: Twice) -> None:
    twice.both({"app.py": SLEEPS})
    twice.daemon.wait(lambda: len(copies(twice)) == 2, "the zygote and a spare")
    for pid in copies(twice):
        with contextlib.suppress(ProcessLookupError):  # the one takes the other along
            os.kill(pid, signal.SIGKILL)
    run = twice.again(warm=False)
    assert twice.said(run)
    twice.daemon.wait(lambda: "modules" in twice.daemon.named("warm")[-1], "a copy again")
    twice.again()


def test_a_zygote_that_is_killed_is_noticed_at_once(twice: Twice) -> None:
    twice.both({"app.py": SLEEPS})
    twice.daemon.wait(lambda: len(copies(twice)) == 2, "the zygote and a spare")
    os.kill(copies(twice)[0], signal.SIGKILL)
    assert twice.daemon.wait_event("warm", reason="the copy has ended")
    twice.daemon.wait(lambda: not copies(twice), "the spare to go, too")
    assert twice.again(warm=False)


def test_signals_of_the_stop_reach_the_run_and_not_the_copies(twice: Twice) -> None:
    twice.both({"app.py": SLEEPS}, options=["--kill", "tree"])
    twice.daemon.wait(lambda: len(copies(twice)) == 2, "the zygote and a spare")
    zygote = copies(twice)[0]
    for _ in range(3):
        twice.again()
        assert zygote in copies(twice)
        twice.daemon.wait(lambda: len(copies(twice)) == 2, "a spare again")


@pytest.mark.parametrize("victim", ["daemon", "keeper"])
def test_a_death_takes_the_copies_along(twice: Twice, victim: str) -> None:
    twice.both({"app.py": SLEEPS})
    twice.daemon.wait(lambda: len(copies(twice)) == 2, "the zygote and a spare")
    family = copies(twice)
    if victim == "daemon":
        os.kill(twice.daemon.pid, signal.SIGKILL)
        twice.daemon.wait_exit()
    else:
        os.kill(procfs.children(twice.daemon.pid)[0], signal.SIGKILL)
    twice.daemon.wait(lambda: not any(procfs.alive(pid) for pid in family), "the copies to be gone")
    if victim == "daemon":
        twice.daemon.end()
    else:
        twice.daemon.wait_event("warning")


REASONS = {
    "shell": (("sh", "-c", f"{sys.executable} app.py; true"), "is run by sh"),
    "isolated": ((sys.executable, "-I", "app.py"), "leaves out what would pause it"),
    "without site": ((sys.executable, "-u", "-S", "app.py"), "leaves out what would pause it"),
    "without environment": ((sys.executable, "-E", "app.py"), "leaves out what would pause it"),
    "import times": ((sys.executable, "-X", "importtime", "app.py"), "to tell of each import"),
    "another program": (("sleep", "600"), "is run by sleep"),
    "trace": (("python-wrapper",), "python-wrapper"),
}


@pytest.mark.parametrize("way", [way for way in REASONS if way != "trace"])
def test_a_command_that_cannot_be_copied_is_told_once_and_started_as_ever(twice: Twice, way: str) -> None:
    command, reason = REASONS[way]
    twice.start({"app.py": "import json, time\ntime.sleep(600)"}, *command)
    event = twice.daemon.wait_event("warm")
    assert reason in event["reason"], event
    for _ in range(2):
        twice.again(warm=False)
    twice.daemon.wait(
        lambda: twice.daemon.named("warm")[-1]["given_up"] or way == "import times", "an end of trying"
    )
    assert len(twice.daemon.named("warm")) <= 2
