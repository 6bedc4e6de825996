"""Python programs that the program starts are followed, and those it becomes."""

from __future__ import annotations

import pytest

from tests.agent.conftest import Program

LATE = "import os, subprocess, sys; late = [sys.executable, '-c', 'import late']"

FOLLOWED = {
    "env=None": "subprocess.run(late, check=True)",
    "not closing": "subprocess.run(late, check=True, close_fds=False)",
    "a copy": "subprocess.run(late, check=True, env=dict(os.environ))",
    "os.environ itself": "subprocess.run(late, check=True, env=os.environ)",
    "a copy in bytes": "subprocess.run(late, check=True, env=dict(os.environb))",
    "a copy, not closing": (
        "subprocess.run(late, check=True, env={**os.environ, 'RUN_MAIN': 'true'}, close_fds=False)"
    ),
    "a copy with a path of its own": (
        "subprocess.run(late, check=True, env={**os.environ, 'PYTHONPATH': '/elsewhere'})"
    ),
    "a shell": "subprocess.run(sys.executable + ' -c \"import late\"', shell=True, check=True)",
    "system": "os.system(sys.executable + ' -c \"import late\"')",
    "execv": "os.execv(sys.executable, late)",
    "execvp": "os.execvp(sys.executable, late)",
    "execve, a copy": "os.execve(sys.executable, late, dict(os.environ))",
    "execve, os.environ": "os.execve(sys.executable, late, os.environ)",
    "execvpe": (
        "os.environ['PATH'] = '/nowhere:' + os.path.dirname(sys.executable);"
        " os.execvpe(os.path.basename(sys.executable), late, os.environ)"
    ),
    "env=None, a path set": "os.environ['PYTHONPATH'] = '/elsewhere'; subprocess.run(late, check=True)",
    "env=None, all set anew": (
        "given = dict(os.environ, PYTHONPATH='/elsewhere'); os.environ.clear(); os.environ.update(given);"
        " del os.environ['PYTHONPATH']; subprocess.run(late, check=True)"
    ),
    "execv, a path set": "os.environ['PYTHONPATH'] = '/elsewhere'; os.execv(sys.executable, late)",
    "spawnv, a path set": (
        "os.environ['PYTHONPATH'] = '/elsewhere'; os.spawnv(os.P_WAIT, sys.executable, late)"
    ),
    "spawnve": "os.spawnve(os.P_WAIT, sys.executable, late, os.environ)",
}


@pytest.mark.parametrize("way", FOLLOWED)
def test_a_program_below(program: Program, way: str) -> None:
    program.write("late.py")
    program.code(f"{LATE}; {FOLLOWED[way]}")
    assert program.heard().pythons[:1] == [program.python]
    assert program.modules() == {"late.py"}


def test_two_below_each_other(program: Program) -> None:
    program.write("late.py")
    program.write(
        "below.py",
        "import os, subprocess, sys\nif len(sys.argv) > 1:\n    import late\nelse:\n"
        "    subprocess.run([sys.executable, 'below.py', 'x'], env=dict(os.environ), check=True)\n",
    )
    program.code(
        "import os, subprocess, sys; subprocess.run([sys.executable, 'below.py'], env=os.environ.copy())"
    )
    assert len(program.heard().pythons) == 3
    assert program.modules() == {"below.py", "late.py"}


def test_an_environment_without_ours_is_left_as_it_is(program: Program) -> None:
    code = (
        "import os, subprocess, sys; mine = {'A': '1', 'PYTHONPATH': '/x'}\n"
        "print(subprocess.run(['env'], env=mine, stdout=subprocess.PIPE).stdout, mine)\n"
        "given = dict(os.environ); subprocess.run(['true'], env=given); print('PYTHONPATH' in given)\n"
        "print(subprocess.run(['env'], env={}, stdout=subprocess.PIPE).stdout)\n"
    )
    lines = program.code(code).splitlines()
    assert lines[0] in ("b'A=1\\nPYTHONPATH=/x\\n' {'A': '1', 'PYTHONPATH': '/x'}",)
    assert lines[1:] == ["False", "b''"]


def test_a_path_that_the_program_sets_is_what_those_below_find(program: Program) -> None:
    code = (
        "import os, subprocess, sys\n"
        "say = [sys.executable, '-c', 'import os, sys; print(os.getenv(\"PYTHONPATH\"), sys.path[1:3])']\n"
        "for value in ('/x', '/x:/y', ''):\n"
        "    os.environ['PYTHONPATH'] = value\n"
        "    print(subprocess.run(say, stdout=subprocess.PIPE).stdout or 'none')\n"
        "    print(os.environ['PYTHONPATH'])\n"
        "os.environ.clear()\n"
        "print(subprocess.run(['/usr/bin/env'], stdout=subprocess.PIPE).stdout)\n"
    )
    with_agent, without = program.code(code).splitlines(), program.code(code, agent=False).splitlines()
    empty = 4  # an empty one comes to the same as none
    assert with_agent[:empty] + with_agent[empty + 1 :] == without[:empty] + without[empty + 1 :]


def test_an_exec_that_fails_fails_as_it_would(program: Program) -> None:
    code = (
        "import os\nfor path, argv, env in (('/nowhere', ['x'], os.environ), ('/bin/true', [], os.environ),"
        " ('/bin/true', ['x'], {**os.environ, 'a=b': 'c'}), ('/bin/true', ['x'], {1: 2})):\n"
        "    try: os.execve(path, argv, env)\n"
        "    except Exception as e: print(type(e).__name__, e)\n"
        "print('PYTHONPATH' in os.environ)\n"
    )
    assert program.code(code) == program.code(code, agent=False)


def test_a_start_that_fails_fails_as_it_would(program: Program) -> None:
    code = (
        "import os, subprocess\n"
        "for argv, env in ((['/nowhere'], os.environ.copy()), (['x\\0'], os.environ),"
        " (['true'], {'a=b': 'c'}), (['true'], {1: 2}), (['true'], 5)):\n"
        "    try: subprocess.run(argv, env=env)\n"
        "    except Exception as e: print(type(e).__name__, e)\n"
    )
    assert program.code(code) == program.code(code, agent=False)


def test_fork(program: Program) -> None:
    program.write("before.py")
    program.write("late.py")
    program.code("import os, before\nif os.fork() == 0:\n    import late\n    os._exit(0)\nos.wait()")
    heard = program.heard()
    assert program.modules() == {"before.py", "late.py"}
    assert len(heard.pythons) == 1
    assert sum(len(message["modules"]) for message in heard.messages) == 2


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(program: Program, method: str) -> None:
    program.write("late.py")
    program.write("work.py", "def work():\n    import late\n")
    program.write(
        "main.py",
        "import multiprocessing as m, work\nif __name__ == '__main__':\n"
        f"    p = m.get_context({method!r}).Process(target=work.work); p.start(); p.join()\n"
        "    raise SystemExit(p.exitcode)\n",
    )
    done = program.run("main.py")
    assert done.status == 0, done
    assert program.modules() == {"late.py", "main.py", "work.py"}


def test_a_pool_of_futures(program: Program) -> None:
    program.write("work.py", "def work(n):\n    import late\n    return n\n")
    program.write("late.py")
    program.write(
        "main.py",
        "import multiprocessing as m, work\nfrom concurrent.futures import ProcessPoolExecutor as P\n"
        "if __name__ == '__main__':\n    with P(2, m.get_context('spawn')) as pool:\n"
        "        print(sum(pool.map(work.work, range(4))))\n",
    )
    assert program.good("main.py") == "6\n"
    assert "late.py" in program.modules()


def test_isolated_programs_below_are_not_followed(program: Program) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', ''], check=True)"
    program.code(code)
    assert len(program.heard().pythons) == 1
