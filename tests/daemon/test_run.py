"""`reloaderd.run` and `python_reloader`, in real programs, started in all the ways that there are."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipapp
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import procfs
from tests.support.places import REPOSITORY, Place, build
from tests.support.programs import HEAD, JSON, Program
from tests.support.terminal import CTRL_C

PYTHON = sys.executable

MAIN = """
def main():
    say("main", os.getpid(), VERSION, os.getcwd(), *sys.argv[1:])
    stay()

if __name__ == "__main__":
    reloaderd.run(main, debounce="10ms", log_format="json")
"""

Start = Callable[..., Program]


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    """Start a program: the arguments of `Program`."""
    made: list[Program] = []

    def start(*argv: str, **more: Any) -> Program:
        program = Program(place, argv, **more)
        made.append(program)
        return program

    yield start
    for program in made:
        try:
            program.check()
        finally:
            program.end()


@pytest.fixture
def script(place: Place, start: Start) -> Start:
    """Start a script of these lines, of which the last calls `reloaderd.run`."""

    def run(lines: str, *words: str, **more: Any) -> Program:
        path = place.tree / "app.py"
        path.write_text(HEAD + lines)
        return start(PYTHON, *words, str(path), **more)

    return run


def text(version: str, main: str = MAIN) -> str:
    return f"{HEAD}VERSION = {version!r}\n{main}"


def said(program: Program, version: str) -> list[list[str]]:
    """The words of `main` by one version of the program."""
    words = [line.split() for line in program.lines]
    return [one for one in words if one[:1] == ["main"] and one[2] == version]


def check_restart(program: Program, source: Path) -> list[str]:
    """An edit of its source restarts the program, not its reloaderd; the words of the new run."""
    first = program.wait(lambda: said(program, "1"), "the first run")[0]
    source.write_text(text("2"))
    (second,) = program.wait(lambda: said(program, "2"), "the second run")
    assert first[1] != second[1]
    assert first[3:] == second[3:]
    assert procfs.alive(program.pid)
    assert procfs.stat(int(second[1])) is not None
    os.kill(program.pid, signal.SIGTERM)
    assert program.wait_exit() == -signal.SIGTERM
    return second


# The ways to start it


@pytest.mark.smoke
@pytest.mark.parametrize(
    "words", ["app.py", "-u -X dev -W error app.py", "./app.py", "-P app.py", "-O app.py"]
)
def test_a_script(start: Start, place: Place, words: str) -> None:
    build(place.tree, {"app.py": text("1")})
    program = start(PYTHON, *words.split(), "a b", "--c")
    assert check_restart(program, place.tree / "app.py")[3:] == [str(place.tree), "a", "b", "--c"]


def test_its_options_are_those_of_the_command(start: Start, place: Place) -> None:
    build(place.tree, {"app.py": text("1")})
    program = start(PYTHON, "-X", "dev", "-Werror", "app.py", "x")
    run = int(program.wait(lambda: said(program, "1"), "the first run")[0][1])
    assert procfs.cmdline(run) == [PYTHON, "-X", "dev", "-Werror", "app.py", "x"]
    environ = procfs.environ(run)
    assert (environ["RUN_MAIN"], environ["RELOADERD_RUN"]) == ("true", "1")


@pytest.mark.parametrize("words", ["-m pkg", "-m pkg.tool", "-um pkg.tool"])
def test_a_module(start: Start, place: Place, words: str) -> None:
    files = {"pkg/__init__.py": "", "pkg/__main__.py": text("1"), "pkg/tool.py": text("1")}
    build(place.tree, files)
    program = start(PYTHON, *words.split(), "x")
    source = place.tree / ("pkg/__main__.py" if words.endswith("pkg") else "pkg/tool.py")
    assert check_restart(program, source)[4:] == ["x"]


def test_a_command(start: Start, place: Place) -> None:
    build(place.tree, {"app.py": text("1").replace('if __name__ == "__main__":', "def go():")})
    program = start(PYTHON, "-c", "import sys; from app import go\ngo()", "x")
    program.wait(lambda: said(program, "1"), "the first run")
    (place.tree / "app.py").write_text(text("2").replace('if __name__ == "__main__":', "def go():"))
    assert program.wait(lambda: said(program, "2"), "the second run")[0][4:] == ["x"]


def test_a_directory(start: Start, place: Place) -> None:
    build(place.tree, {"app/__main__.py": text("1")})
    check_restart(start(PYTHON, "app", "x"), place.tree / "app/__main__.py")


def test_a_zip_file(start: Start, place: Place) -> None:
    build(place.scratch, {"zipped/__main__.py": text("1")})
    zipapp.create_archive(place.scratch / "zipped", place.tree / "app.pyz", interpreter=PYTHON)
    program = start(str(place.tree / "app.pyz"), "x")
    program.wait(lambda: said(program, "1"), "the first run")
    build(place.scratch, {"zipped/__main__.py": text("2")})
    zipapp.create_archive(place.scratch / "zipped", place.tree / "app.pyz", interpreter=PYTHON)
    program.wait(lambda: said(program, "2"), "the second run")


def wheel(where: Path, packages: str) -> Path:
    """A package with a console script `tool`, as pip installs it, which puts `packages` on its path."""
    path = where / "tool-1.0-py3-none-any.whl"
    info = "tool-1.0.dist-info"
    body = text("1").replace('if __name__ == "__main__":', "def go():")
    body = body.replace("import reloaderd\n", f"sys.path.append({packages!r})\nimport reloaderd\n")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tool.py", body)
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntool = tool:go\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def test_a_console_script_in_a_venv_without_reloaderd(start: Start, place: Place) -> None:
    """What reloaderd needs is where the program alone looks for it."""
    import inotify_simple

    venv = place.scratch / "venv"
    subprocess.run([PYTHON, "-m", "venv", venv], check=True)
    pip = [venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-index"]
    packages = Path(inotify_simple.__file__).parent
    packages = packages.parent if (packages / "__init__.py").exists() else packages
    subprocess.run([*pip, wheel(place.scratch, str(packages))], check=True)
    program = start(str(venv / "bin/tool"), "x")
    first = program.wait(lambda: said(program, "1"), "the first run")[0]
    assert first[4:] == ["x"]
    assert procfs.cmdline(program.pid)[0] == str(venv / "bin/python")
    assert program.events[0]["source"] == "inotify"  # it polls where there is no inotify_simple
    build(place.tree, {"any.py": ""})
    os.kill(program.pid, signal.SIGUSR1)
    program.wait(lambda: len(said(program, "1")) == 2, "the second run")


# Where reloaderd itself is found


def test_the_reloaderd_of_the_program_watches_though_another_comes_first(start: Start, place: Place) -> None:
    build(place.scratch, {"other/reloaderd/__init__.py": "raise SystemExit('the other one')"})
    build(place.tree, {"app.py": text("1")})
    lines = f"import sys; sys.path.remove({str(place.scratch / 'other')!r})\n"
    (place.tree / "app.py").write_text(lines + text("1"))
    program = start(PYTHON, "app.py", environ={"PYTHONPATH": str(place.scratch / "other")})
    program.wait(lambda: said(program, "1"), "the first run")


def test_modules_of_the_program_do_not_hide_those_that_reloaderd_needs(start: Start, place: Place) -> None:
    fault = "raise SystemExit('hidden')"
    build(place.tree, {"app.py": text("1"), "selectors.py": fault, "argparse.py": fault, "json.py": fault})
    (place.tree / "app.py").write_text(
        "import sys; own = sys.path.pop(0)\n" + text("1", "sys.path.append(own)\n" + MAIN)
    )
    program = start(PYTHON, "app.py")
    program.wait(lambda: said(program, "1"), "the first run")


def test_nor_do_those_next_to_reloaderd_itself(start: Start, place: Place) -> None:
    shutil.copytree(REPOSITORY / "reloaderd", place.tree / "reloaderd")
    source = re.sub("sys.path.insert.*", "", text("1"))
    build(place.tree, {"app.py": source, "selectors.py": "raise SystemExit('hidden')"})
    program = start(PYTHON, "app.py")
    program.wait(lambda: said(program, "1"), "the first run")
    assert any(f"insert(0, {str(place.tree)!r})" in word for word in procfs.cmdline(program.pid))


def test_isolated_programs_have_an_isolated_reloaderd(start: Start, place: Place) -> None:
    build(place.tree, {"app.py": text("1", MAIN.replace("debounce", "exact=False, debounce"))})
    build(place.scratch, {"path/sitecustomize.py": "raise SystemExit('not isolated')"})
    program = start(PYTHON, "-I", "app.py", environ={"PYTHONPATH": str(place.scratch / "path")})
    check_restart(program, place.tree / "app.py")


# Where it is started


def test_a_relative_script_that_goes_elsewhere_starts_where_it_did_before(start: Start, place: Place) -> None:
    build(place.tree, {"app.py": text("1", "os.chdir('sub')\n" + MAIN), "sub/x.txt": ""})
    program = start(PYTHON, "app.py")
    first = program.wait(lambda: said(program, "1"), "the first run")[0]
    build(place.tree, {"sub/y.py": ""})
    os.kill(program.pid, signal.SIGUSR1)
    program.wait(lambda: len(said(program, "1")) == 2, "the second run")
    assert said(program, "1")[1][3:] == first[3:] == [str(place.tree / "sub")]


def test_so_does_a_module(start: Start, place: Place) -> None:
    build(place.tree, {"pkg/__init__.py": "", "pkg/m.py": text("1", "os.chdir('sub')\n" + MAIN), "sub/x": ""})
    program = start(PYTHON, "-m", "pkg.m")
    assert program.wait(lambda: said(program, "1"), "the first run")[0][3] == str(place.tree / "sub")


@pytest.mark.parametrize("words", [[], ["-"], ["/dev/stdin"]], ids=["nothing", "-", "/dev/stdin"])
def test_what_cannot_be_started_again_is_told_in_one_line(start: Start, words: list[str]) -> None:
    program = start(PYTHON, *words, stdin=HEAD + "reloaderd.run(stay)\n")
    assert program.wait_exit() == 2
    (line,) = program.noise
    assert line.startswith("reloaderd: this program cannot be started again: ")


def test_so_is_a_path_that_is_not_there(script: Start) -> None:
    program = script("reloaderd.run(stay, paths=['nope'])")
    assert program.wait_exit() == 2
    assert program.noise == [
        "reloaderd: nope: no such file or directory (give a PATH that exists, or create it first)"
    ]


def test_a_wrong_option_is_a_type_error(script: Start) -> None:
    program = script("reloaderd.run(stay, debonce=1)")
    assert program.wait_exit() == 1
    assert program.noise[-1] == "TypeError: run() has no option 'debonce'; did you mean 'debounce'?"


# What it does


def test_arguments_and_result(script: Start) -> None:
    program = script(
        """
print("not lost", end="")
def main(*args):
    return args
say("result", *reloaderd.run(main, 1, "b", quiet=True))
"""
    )
    assert program.wait_exit() == 0
    text = program.out.read_text()
    assert "result 1 b\n" in text
    assert text.count("not lost") == 2


def test_python_reloader(script: Start) -> None:
    program = script(
        """
def main(*args, **kwargs):
    say("main", args, kwargs, os.environ["RUN_MAIN"])
    sys.exit(5)
reloaderd.python_reloader(main, ("a",), {"b": 1})
"""
    )
    assert program.wait_exit() == 5
    assert program.lines == ["main ('a',) {'b': 1} true"]


def test_under_reloaderd_it_runs_at_once(script: Start) -> None:
    program = script(
        'say("result", reloaderd.run(lambda: 1 / int(sys.argv[1]), nonsense=1))\n',
        environ={"RELOADERD_RUN": "4"},
    )
    assert program.wait_exit() == 1  # there is no argument
    assert program.noise[-1] == "IndexError: list index out of range"


def test_status_3_starts_it_again_and_another_ends_reloaderd_with_it(script: Start) -> None:
    program = script(
        f"""
def main():
    run = int(os.environ["RELOADERD_RUN"])
    say("main", run)
    sys.exit(3 if run < 3 else 7)
reloaderd.run(main, {JSON})
"""
    )
    assert program.wait_exit() == 7
    assert program.lines == ["main 1", "main 2", "main 3"]


def test_a_signal_that_ends_it_ends_reloaderd_too(script: Start) -> None:
    program = script(f"reloaderd.run(lambda: os.kill(os.getpid(), signal.SIGSEGV), {JSON})")
    assert program.wait_exit() == -signal.SIGSEGV
    assert [event["signal"] for event in program.events if event["event"] == "ended"] == ["SIGSEGV"]


@pytest.mark.parametrize("words", [[], ["-X", "dev"]], ids=["plain", "dev"])
def test_ctrl_c_ends_it_quietly(script: Start, words: list[str]) -> None:
    program = script(
        f"""
def main():
    try:
        say("up")
        stay()
    finally:
        say("cleaned up")
reloaderd.run(main, {JSON})
""",
        *words,
        terminal=True,
    )
    program.wait_line("up")
    assert program.terminal is not None
    program.terminal.send(CTRL_C)
    assert program.wait_exit() == -signal.SIGINT
    assert program.lines == ["up", "cleaned up"]
    assert program.noise == []
    (ended,) = [event for event in program.events if event["event"] == "ended"]
    assert ended["signal"] == "SIGINT"


def test_ctrl_c_while_it_waits_to_be_mended_is_quiet_too(script: Start) -> None:
    program = script(f"reloaderd.run(lambda: 1 / 0, {JSON})", terminal=True)
    program.wait(lambda: "[reloaderd] waiting for a change" in program.noise, "it to wait")
    assert program.terminal is not None
    program.terminal.send(CTRL_C)
    assert program.wait_exit() == -signal.SIGINT
    assert sum("Traceback" in line for line in program.noise) == 1


def test_an_exception_is_shown_and_a_mend_restarts_it(script: Start, place: Place) -> None:
    source = f"""
def main():
    raise RuntimeError("broken")
reloaderd.run(main, {JSON})
"""
    program = script(source)
    program.wait(lambda: "[reloaderd] waiting for a change" in program.noise, "it to wait")
    assert "RuntimeError: broken" in program.noise
    frames = [line for line in program.noise if line.startswith("  File")]
    assert len(frames) == 1
    assert "app.py" in frames[0]
    assert procfs.alive(program.pid)
    (place.tree / "app.py").write_text(
        HEAD + source.replace('raise RuntimeError("broken")', 'say("mended"); stay()')
    )
    program.wait_line("mended")
    os.kill(program.pid, signal.SIGTERM)
    assert program.wait_exit() == -signal.SIGTERM


def test_under_a_reloaderd_of_another_an_exception_ends_it(script: Start) -> None:
    program = script("reloaderd.run(lambda: 1 / 0)", environ={"RELOADERD_RUN": "1"})
    assert program.wait_exit() == 1
    assert "waiting" not in "".join(program.noise)


def test_it_has_no_thread_of_its_own_for_programs_that_fork(script: Start) -> None:
    program = script(
        """
def main():
    say(threading.active_count(), "socket" in sys.modules, len(os.listdir("/proc/self/task")))
reloaderd.run(main)
"""
    )
    assert program.wait_exit() == 0
    assert program.lines == ["1 False 1"]


def test_what_is_not_loaded_restarts_nothing_unless_it_is_to(script: Start, place: Place) -> None:
    build(place.tree, {"notes.txt": "1"})
    source = f"""
def main():
    say("up", os.environ["RELOADERD_RUN"])
    stay()
reloaderd.run(main, {JSON})
"""
    program = script(source)
    program.wait(
        lambda: [one for one in program.events if one["event"] == "armed"], "its modules to be known"
    )
    (place.tree / "notes.txt").write_text("2")
    (place.tree / "app.py").write_text(HEAD + source + "# edited")
    program.wait_line("up 2")
    changed = {path for one in program.events if one["event"] == "changed" for path in one["paths"]}
    assert changed == {str(place.tree / "app.py")}
    (place.tree / "app.py").write_text(HEAD + source.replace("(main", "(main, exact=False"))
    program.wait_line("up 3")  # whose reloaderd is the same: options are read once
    os.kill(program.pid, signal.SIGTERM)
    assert program.wait_exit() == -signal.SIGTERM
    program = script(source.replace("(main", "(main, exact=False"))
    program.wait_line("up 1")
    (place.tree / "notes.txt").write_text("3")
    program.wait_line("up 2")


def test_a_syntax_error_does_not_end_it(script: Start, place: Place) -> None:
    source = f"""
def main():
    say("up", 1)
    stay()
reloaderd.run(main, {JSON})
"""
    program = script(source)
    program.wait_line("up 1")
    (place.tree / "app.py").write_text(HEAD + source + "(")
    program.wait(lambda: [one for one in program.events if one["event"] == "held"], "the gate to hold it")
    (place.tree / "app.py").write_text(HEAD + source.replace("1)", "2)"))
    program.wait_line("up 2")
    assert procfs.alive(program.pid)


def test_a_translation_without_django_is_a_restart_and_on_change_makes_it_none(
    script: Start, place: Place
) -> None:
    build(place.tree, {"de.mo": "1", "x.po": "1"})
    source = f"""
def main():
    if os.environ["RELOADERD_RUN"] == "2":
        reloaderd.on_change("*.mo", lambda path: say("told"))
    say("up", os.environ["RELOADERD_RUN"])
    stay()
reloaderd.run(main, debounce=0.01, {JSON})
"""
    program = script(source)
    program.wait_line("up 1")
    (place.tree / "de.mo").write_text("2")
    program.wait_line("up 2")
    (place.tree / "de.mo").write_text("3")
    program.wait(lambda: "told" in program.lines or "up 3" in program.lines, "an answer")
    assert program.lines == ["up 1", "up 2", "told"]
