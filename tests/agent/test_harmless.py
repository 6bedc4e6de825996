"""A program is with the agent as it is without it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.agent.conftest import AGENT, Program

STATE = """\
import json, os, sys, threading, warnings, gc
named = sorted(os.listdir('/proc/self/fd'))
print(json.dumps({
    'path': sys.path, 'flags': str(sys.flags), 'argv': sys.argv, 'orig': getattr(sys, 'orig_argv', None),
    'modules': sorted(sys.modules), 'meta': [str(getattr(one, '__name__', '')) for one in sys.meta_path],
    'hooks': [str(one) for one in sys.path_hooks], 'cache': sorted(sys.path_importer_cache),
    'environ': {k: v for k, v in os.environ.items() if not k.startswith('RELOADERD')},
    'descriptors': named, 'threads': threading.active_count(), 'filters': str(warnings.filters),
    'signals': [str(__import__('signal').getsignal(n)) for n in range(1, 32)],
    'trace': str(sys.gettrace()) + str(sys.getprofile()), 'excepthook': str(sys.excepthook),
    'name': __name__, 'prefix': sys.prefix,
}))
"""


def state(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    found["modules"] = [name for name in found["modules"] if name not in ("_socket", "_json")]
    found["hooks"] = [hook.partition(" at 0x")[0] for hook in found["hooks"]]
    found["excepthook"] = found["excepthook"].partition(" at 0x")[0]
    return found


@pytest.mark.parametrize("given", [None, "one", "one:two"])
@pytest.mark.parametrize("way", ["file", "code", "module"])
def test_the_state_of_the_program(program: Program, given: str | None, way: str) -> None:
    program.write("it.py", STATE)
    arguments = {"file": ["it.py", "a"], "code": ["-c", STATE, "a"], "module": ["-m", "it", "a"]}[way]
    given = given and ":".join(str(program.outside / name) for name in given.split(":"))
    bare = state(program.good(*arguments, pythonpath=given, agent=False))
    ours = state(program.good(*arguments, pythonpath=given))
    assert ours.pop("meta")[:-1] == bare.pop("meta")
    assert ours == bare
    assert program.heard().pythons == [program.python]


@pytest.mark.parametrize("how", ["None", "dict(os.environ)"])
def test_the_state_of_a_program_below(program: Program, how: str) -> None:
    program.write("it.py", STATE)
    code = f"import os, subprocess, sys; subprocess.run([sys.executable, 'it.py'], env={how})"
    bare = state(program.code(code, pythonpath="/nowhere", agent=False))
    ours = state(program.code(code, pythonpath="/nowhere"))
    assert ours.pop("meta")[:-1] == bare.pop("meta")
    assert ours == bare
    assert program.heard().pythons == [program.python] * 2


@pytest.mark.old_pythons
def test_old_pythons_are_left_alone(program: Program) -> None:
    program.write("sitecustomize.py", "print('mine')\n", where=program.outside)
    code = (
        "import os, sys; print([one for one in sys.path if 'agent' in one],"
        " os.environ.get('PYTHONPATH'), sys.modules['sitecustomize'].__file__)"
    )
    out = program.code(code, pythonpath=str(program.outside))
    assert out.startswith((f"mine\n([], '{program.outside}'", f"mine\n[] {program.outside}"))
    assert "sitecustomize" not in program.code("import sys; print(sorted(sys.modules))")
    assert program.code("import os; print(os.environ.get('PYTHONPATH'))") == "None\n"
    assert not program.heard().messages


@pytest.mark.parametrize(
    "text",
    [
        "import sys; print('mine', sys.modules['sitecustomize'].__file__, __name__, __spec__.origin)",
        "1 / 0",
        "import gone",
        "raise ImportError('no', name='sitecustomize')",
        "raise SystemExit(5)",
        "raise KeyboardInterrupt",
        "def (",
        "import sys; sys.modules.pop('sitecustomize')",
        None,
    ],
)
def test_the_sitecustomize_in_the_shadow(program: Program, text: str | None) -> None:
    if text is not None:
        program.write("sitecustomize.py", f"{text}\n", where=program.outside)
    code = "import sys; print(getattr(sys.modules.get('sitecustomize'), '__file__', None))"
    bare = program.run("-c", code, pythonpath=str(program.outside), agent=False)
    ours = program.run("-c", code, pythonpath=str(program.outside))
    if text is not None and ("KeyboardInterrupt" in text or "SystemExit" in text):
        # Python shows where it was raised: our import is on the way.
        assert (ours.status, ours.out) == (bare.status, bare.out)
        assert ours.err.splitlines()[-1] == bare.err.splitlines()[-1]
    else:
        assert ours == bare
    if text is not None:
        assert str(program.outside / "sitecustomize.py") in program.modules()


def test_a_sitecustomize_that_is_a_package(program: Program) -> None:
    program.write("sitecustomize/__init__.py", "from sitecustomize.part import x\n", where=program.outside)
    program.write("sitecustomize/part.py", "x = 'mine'\n", where=program.outside)
    code = "import sitecustomize; print(sitecustomize.x)"
    assert program.code(code, pythonpath=str(program.outside)) == "mine\n"


def test_the_environment_of_c_keeps_the_agent(program: Program) -> None:
    out = program.code("import os; os.system('echo $PYTHONPATH'); print(os.environ.get('PYTHONPATH'))")
    assert out == f"{AGENT}\nNone\n"


def test_the_person_may_change_the_path_variable(program: Program) -> None:
    code = "import os; v = 'PYTHONPATH'; os.environ[v] = '/x'; os.system('echo $' + v); del os.environ[v]"
    assert program.code(code) == "/x\n"


def test_tracing_does_not_see_us(program: Program) -> None:
    program.write("one.py", "x = 1\n")
    program.write("data.txt")
    code = (
        "import sys, subprocess\nseen = set()\n"
        "def trace(frame, event, arg):\n    seen.add(frame.f_code.co_filename); return trace\n"
        "sys.settrace(trace); sys.setprofile(trace)\n"
        "import one\nopen('data.txt').close()\n"
        "try: import nowhere\nexcept ImportError: pass\n"
        "sys.settrace(None); sys.setprofile(None)\n"
        "print([name for name in seen if 'agent' in name or 'reloaderd_' in name])\n"
    )
    assert program.code(code) == "[]\n"
    assert program.modules() == {"one.py"} and program.heard().missing


def test_warnings_as_errors(program: Program) -> None:
    program.write("one.py")
    program.good("-W", "error", "-X", "dev", "-bb", "-c", "import one")
    assert program.modules() == {"one.py"}


def test_a_signal_handler_that_raises(program: Program) -> None:
    """It may run in the hook: what it raises is the program's, and the agent lives on."""
    program.write("data.txt", "x")
    code = (
        "import signal\n"
        "class Mine(Exception): pass\n"
        "armed = False\n"
        "def raises(signum, frame):\n"
        "    global armed\n"
        "    if armed: armed = False; raise Mine\n"
        "signal.signal(signal.SIGPROF, raises)\n"
        "caught = 0\n"
        # of its own CPU: a busy machine would have time for nothing but the handler
        "signal.setitimer(signal.ITIMER_PROF, 0.001, 0.0007)\n"
        "while caught < 200:\n"
        "    try:\n"
        "        armed = True\n"
        "        while True: exec(compile('', 'data.txt', 'exec'))\n"
        "    except Mine: caught += 1\n"
        "signal.setitimer(signal.ITIMER_PROF, 0)\n"
        "import late\n"
        "print(caught)\n"
    )
    program.write("late.py")
    assert program.code(code) == "200\n"
    assert "late.py" in program.modules()


def test_a_hook_that_refuses_sockets(program: Program) -> None:
    """A sandbox of the program's own: the agent gives up, the program does not notice."""
    program.write("one.py")
    code = (
        "import sys\n"
        "def refuse(event, args):\n"
        "    if event.startswith('socket.'): raise RuntimeError('no sockets here')\n"
        "sys.addaudithook(refuse)\n"
        "import one; open('one.py').close(); print('well')\n"
    )
    assert program.code(code) == "well\n"


def test_a_fault_of_the_agent_ends_it_alone(program: Program) -> None:
    """Its own code raises: it says that it does not say all, and nothing more."""
    program.write("one.py")
    program.write("two.py")
    code = (
        "import gc, sys\n"
        "agent = next(one for one in gc.get_objects() if type(one).__name__ == 'Agent')\n"
        "agent.places = None\n"
        "import one, two; print('well', len(agent.handlers))\n"
    )
    assert program.code(code) == "well 0\n"
    heard = program.heard()
    assert heard.full == 1 and not heard.modules


def test_at_the_end_of_the_stack(program: Program) -> None:
    program.write("data.txt", "x")
    program.write("late.py")
    code = (
        "def deep(n):\n"
        "    try: open('data.txt').close()\n"
        "    except RecursionError: return\n"
        "    deep(n + 1)\n"
        "    open('data.txt').close()\n"
        "try: deep(0)\n"
        "except RecursionError: pass\n"
        "import late; print('well')\n"
    )
    assert program.code(code) == "well\n"
    assert program.modules() == {"late.py"}


def test_descriptors_are_not_used_up(program: Program) -> None:
    for number in range(50):
        program.write(f"m{number}.py")
    code = (
        "import os, resource\n"
        "before = os.listdir('/proc/self/fd')\n"
        "for n in range(20): __import__('m%d' % n)\n"
        "assert os.listdir('/proc/self/fd') == before\n"
        "files = []\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\n"
        "try:\n    while True: files.append(os.open('/dev/null', 0))\n"
        "except OSError: pass\n"
        "try: __import__('m20')\nexcept (ImportError, OSError): pass\n"
        "os.close(files.pop())\n"
        "for n in range(21, 50): __import__('m%d' % n)\n"
    )
    program.code(code)
    assert len(program.modules()) == 50  # the one that failed, too


def test_without_standard_descriptors(program: Program) -> None:
    program.write("one.py")
    out = program.tree / "out"
    code = f"import one, os; os.write(os.open({str(out)!r}, os.O_CREAT | os.O_WRONLY), b'x')"
    run = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 0<&- 1>&- 2>&-', program.python, code],
        env=program.environ(),
        cwd=program.tree,
        timeout=60,
    )
    assert run.returncode == 0 and out.read_bytes() == b"x"
    assert program.modules() == {"one.py"}


def test_threads_at_once(program: Program) -> None:
    for number in range(200):
        program.write(f"m{number}.py")
    code = (
        "import threading, sys; sys.setswitchinterval(1e-6)\n"
        "def load(k):\n    for n in range(k, 200, 4): __import__('m%d' % n)\n"
        "ts = [threading.Thread(target=load, args=(k,)) for k in range(4)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]\n"
    )
    program.code(code)
    assert len(program.modules()) == 200


def test_without_the_variables_it_only_cleans_up(program: Program) -> None:
    program.write("one.py")
    run = subprocess.run(
        [program.python, "-c", "import one, os; print(os.environ.get('PYTHONPATH'))"],
        env={**program.base, "PYTHONPATH": AGENT},
        cwd=program.tree,
        capture_output=True,
        text=True,
    )
    assert run.stdout == "None\n" and not run.stderr
    assert not program.heard().messages
