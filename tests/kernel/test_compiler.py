"""CP: what the interpreters that people have say of files that do not compile, and those that say nothing."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reloaderd.events import Fault, SyntaxChecked
from reloaderd.kernel.compiler import LONGEST, MOST, SHOWN, Compiler, is_python
from reloaderd.kernel.helpers import become_subreaper, reap_strays
from tests.support import procfs
from tests.support.waiting import LIMIT, wait_until


def found() -> dict[str, str]:
    """The interpreters of this machine by version, this one among them."""
    files = [sys.executable, *map(str, Path.home().glob(".pyenv/versions/*/bin/python"))]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    versions = {}
    for file in files:
        said = subprocess.run([file, "-S", "-c", code], capture_output=True, text=True)
        if said.returncode == 0:
            versions.setdefault(said.stdout.strip(), file)
    return versions


PYTHONS = found()


def version(name: str) -> str:
    """The interpreter of this version, or a skip that names it."""
    if name not in PYTHONS:
        pytest.skip(f"needs python{name}")
    return PYTHONS[name]


Make = Callable[..., Compiler]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Compiler] = []

    def compiler(*command: str, **environ: str) -> Compiler:
        given = {**os.environ, "RELOADERD_TEST_MARK": str(tmp_path), **environ}
        made.append(Compiler("web", command or (sys.executable,), str(tmp_path), given))
        return made[-1]

    yield compiler
    for one in made:
        one.close()
    wait_until(lambda: reap_strays() or not procfs.marked(str(tmp_path)), "nothing to be left")


def answer(compiler: Compiler, limit: float = LIMIT) -> SyntaxChecked:
    poll = select.poll()
    poll.register(compiler.fileno(), select.POLLIN)
    while True:
        assert poll.poll(limit * 1000), "no answer"
        for event in compiler.read():
            assert isinstance(event, SyntaxChecked)
            return event


def check(compiler: Compiler, *paths: Path, python: str = "") -> SyntaxChecked:
    for event in compiler.start(7, python, [str(path) for path in paths]):
        assert isinstance(event, SyntaxChecked)
        return event
    return answer(compiler)


def faults(make: Make, file: Path, source: bytes, python: str = sys.executable) -> list[Fault]:
    file.write_bytes(source)
    event = check(make(), file, python=python)
    assert (event.service, event.number, event.trouble) == ("web", 7, "")
    assert event.failing == len(event.faults)
    return list(event.faults)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.py"


# What they say


@pytest.mark.parametrize("python", PYTHONS)
def test_a_fault_has_its_place(python: str, make: Make, file: Path) -> None:
    (fault,) = faults(make, file, b"x = 1\n\ndef f(:\n    pass\n", PYTHONS[python])
    assert (fault.path, fault.line, fault.text) == (str(file), 3, "def f(:")
    assert fault.column in (7, 0)
    assert fault.message.startswith("SyntaxError: ")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    "source",
    [
        b"x = 1\nprint(x)\n",
        b"",
        b"# no newline at its end",
        b"\xef\xbb\xbfx = 1\n",
        b"# coding: latin-1\nx = u'\xe9'\n",
        b"x = 1\r\ny = 2\r\n",
        b"from __future__ import division\nx = 1 / 2\n",
        b"raise SystemExit('nothing is executed')\n",
        b"x = 1 is 1\ny = '\\d'\n",
    ],
)
def test_what_compiles_has_none(python: str, source: bytes, make: Make, file: Path) -> None:
    assert faults(make, file, source, PYTHONS[python]) == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    "source",
    [
        b"x = 1\0\n",
        b"x = '\xe9'\n",
        b"# coding: no-such-coding\nx = 1\n",
        b"# coding: utf-8\nx = u'\xff'\n",
        b"return 1\n",
        b"if 1:\nx = 2\n",
        b"if 1:\n        x = 2\n    y = 2\n",
        b"x = (\n",
        b"x = '''\n",
        b"f(x for x in y, 1)\n",
    ],
    ids=[
        "null",
        "latin-1",
        "cookie",
        "no utf-8",
        "return",
        "indent",
        "dedent",
        "open",
        "quotes",
        "generator",
    ],
)
def test_what_does_not_compile_is_a_fault(python: str, source: bytes, make: Make, file: Path) -> None:
    (fault,) = faults(make, file, source, PYTHONS[python])
    assert "Error: " in fault.message


def test_too_deep(make: Make, file: Path) -> None:
    (fault,) = faults(make, file, b"(" * 500 + b")" * 500 + b"\n")
    assert "Error: " in fault.message


def test_each_version_has_its_own_opinion(make: Make, file: Path) -> None:
    old, new = b'print "x"\n', b"match 1:\n    case 1:\n        pass\n"
    assert not faults(make, file, old, version("2.7"))
    assert faults(make, file, new, version("2.7"))
    assert faults(make, file, old, version("3.9"))
    assert faults(make, file, new, version("3.9"))
    assert not faults(make, file, new, version("3.10"))


@pytest.mark.parametrize("python", PYTHONS)
def test_a_column_is_that_of_the_line_or_near(python: str, make: Make, file: Path) -> None:
    (fault,) = faults(make, file, "é = ü = $\n".encode(), PYTHONS[python])
    assert fault.text == "é = ü = $"
    assert fault.column in (9, 11) or python == "2.7"  # some count bytes


def test_a_line_that_is_no_utf_8_is_shown_all_the_same(make: Make, file: Path) -> None:
    (fault,) = faults(make, file, b"# coding: latin-1\nx = u'\xe9' +\n")
    assert (fault.line, fault.text) == (2, "x = u'é' +")


def test_nothing_is_left_behind_and_nothing_is_executed(make: Make, tmp_path: Path, file: Path) -> None:
    faults(make, file, f"open({str(tmp_path / 'executed')!r}, 'w')\nimport m\n".encode())
    assert [path.name for path in tmp_path.iterdir()] == ["m.py"]


def test_nothing_is_imported_from_here(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "sys",
        "os",
        "io",
        "codecs",
        "encodings",
        "warnings",
        "site",
        "sitecustomize",
        "stringprep",
        "re",
    ):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.py").write_text("# coding: idna\nx = 1\ny = 1 is 1\n")
    for python in PYTHONS.values():
        compiler = make(PYTHONPATH=str(tmp_path), PYTHONSTARTUP=str(tmp_path / "os.py"))
        assert not check(compiler, tmp_path / "m.py", python=python).trouble
    assert not (tmp_path / "executed").exists()


# Many files, and odd ones


def test_odd_names_and_files_that_are_none(make: Make, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\n'\" \x1b[2J.py")
    odd.write_text("x = (")
    (tmp_path / "d.py").mkdir()
    event = check(make(), tmp_path / "gone.py", tmp_path / "d.py", odd, python=sys.executable)
    (fault,) = event.faults
    assert fault.path == str(odd)


def test_more_paths_than_a_pipe_holds_and_more_faults_than_anybody_reads(make: Make, tmp_path: Path) -> None:
    paths = [tmp_path / f"{'x' * 200}{number}.py" for number in range(600)]
    for path in paths:
        path.write_text("x = (")
    event = check(make(), *paths, python=sys.executable)
    assert (len(event.faults), event.failing) == (SHOWN, 600)
    assert event.faults[0].path == str(paths[0])


def test_a_long_line_is_cut(make: Make, file: Path) -> None:
    (fault,) = faults(make, file, b"x = [" + b"1, " * 100_000 + b"$]\n")
    assert len(fault.text) == LONGEST


# Which interpreter


def test_names_of_interpreters() -> None:
    for word in ("python", "python3", "/usr/bin/python3.11", "pypy3", "./venv/bin/python2.7"):
        assert is_python(word), word
    for word in ("pythonista", "python3-config", "uv", "sh", "ipython", "", "python/"):
        assert not is_python(word), word


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def test_it_is_the_one_of_the_command(make: Make, tmp_path: Path, file: Path) -> None:
    file.write_text("x = (")
    python = tmp_path / "bin/python3"
    script(tmp_path / "bin/serve", f"#!{sys.executable}", "import web")
    script(tmp_path / "bin/through-env", "#!/usr/bin/env python3", "import web")
    script(tmp_path / "bin/through-env-s", "#!/usr/bin/env -S python3 -u", "import web")
    python.symlink_to(sys.executable)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    for word in ("python3", "serve", "through-env", "through-env-s", "./bin/serve", str(python)):
        assert len(check(make(word, "app.py", PATH=path), file).faults) == 1, word


@pytest.mark.parametrize("command", [("uv", "run", "app.py"), ("/bin/sh", "-c", "x"), ("./tool",), ("gone",)])
def test_it_is_not_known_of_others(command: tuple[str, ...], make: Make, tmp_path: Path) -> None:
    script(tmp_path / "tool", "#!/bin/sh", "python3 app.py")
    event = check(make(*command))
    assert event.trouble == f"which Python {' '.join(command)} runs on is not known"


# Interpreters that do not do as they should


@pytest.mark.parametrize("python", ["python3", "/nowhere/python3"])
def test_one_that_is_not_there(python: str, make: Make, file: Path) -> None:
    event = check(make(python, "app.py", PATH="/nowhere"), file)
    assert event.trouble


def test_one_that_went(make: Make, tmp_path: Path, file: Path) -> None:
    gone = tmp_path / "python3"
    event = check(make(str(gone)), file)
    assert event.trouble == f"cannot start {gone}: no such file or directory"
    event = check(make(), file, python=str(tmp_path))
    assert event.trouble == f"cannot start {tmp_path}: permission denied"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "1\\0",
        "0\\0end",
        "0\\0end\\0more",
        "x\\0end\\0",
        "0\\0001\\0001\\0x\\0end\\0",
        "9\\0001\\0001\\0text\\0message\\0001\\0end\\0",
        "0\\000-1\\0001\\0text\\0message\\0001\\0end\\0",
        "0\\000" + "9" * 50 + "\\0001\\0text\\0message\\0001\\0end\\0",
        "\\377\\376",
    ],
)
def test_one_that_says_something_else(said: str, make: Make, tmp_path: Path, file: Path) -> None:
    python = script(tmp_path / "python3", "#!/bin/sh", f"printf '{said}'")
    assert check(make(), file, python=str(python)).trouble == "the interpreter did not answer as it should"


def test_one_that_dies(make: Make, tmp_path: Path, file: Path) -> None:
    python = script(tmp_path / "python3", "#!/bin/sh", "kill -9 $$")
    assert check(make(), file, python=str(python)).trouble == "the interpreter did not answer as it should"


def test_one_that_talks_without_end(make: Make, tmp_path: Path, file: Path) -> None:
    python = script(tmp_path / "python3", "#!/bin/sh", "exec yes")
    compiler = make()
    assert check(compiler, file, python=str(python)).trouble
    assert len(compiler._answer) <= MOST + 65536


def test_one_that_hangs_is_ended_with_what_it_started(make: Make, tmp_path: Path, file: Path) -> None:
    python = script(tmp_path / "python3", "#!/bin/sh", "sleep 1000 &", "sleep 1000", "echo")
    compiler = make()
    assert compiler.start(1, str(python), [str(file)]) == ()
    wait_until(lambda: len(procfs.marked(str(tmp_path))) == 3, "all of it")
    assert compiler.read() == ()
    compiler.end()
    wait_until(lambda: reap_strays() or not procfs.marked(str(tmp_path)), "nothing to be left")
    assert compiler.read() == ()


def test_one_that_ended_and_left_others_before_it_was_reaped_elsewhere(
    make: Make, tmp_path: Path, file: Path
) -> None:
    become_subreaper()
    python = script(tmp_path / "python3", "#!/bin/sh", "sleep 1000 &")
    compiler = make()
    compiler.start(1, str(python), [str(file)])
    wait_until(reap_strays, "its end")
    assert procfs.marked(str(tmp_path))
    compiler.end()
    wait_until(lambda: reap_strays() or not procfs.marked(str(tmp_path)), "nothing to be left")


def test_the_next_check_ends_the_one_before(make: Make, tmp_path: Path, file: Path) -> None:
    python = script(tmp_path / "python3", "#!/bin/sh", "exec sleep 1000")
    file.write_text("x = (")
    compiler = make()
    compiler.start(1, str(python), [str(file)])
    compiler.start(2, sys.executable, [str(file)])
    assert answer(compiler).number == 2
    wait_until(lambda: reap_strays() or not procfs.marked(str(tmp_path)), "nothing to be left")


def test_no_descriptor_stays(make: Make, file: Path) -> None:
    compiler = make()
    before = set(os.listdir("/proc/self/fd"))
    check(compiler, file, python=sys.executable)
    check(compiler, file, python="/nowhere/python3")
    assert set(os.listdir("/proc/self/fd")) == before


def test_it_does_not_wait(make: Make, tmp_path: Path, file: Path) -> None:
    python = script(tmp_path / "python3", "#!/bin/sh", "exec sleep 1000")
    compiler = make()
    began = time.monotonic()
    compiler.start(1, str(python), [str(file)] * 10_000)
    compiler.close()
    assert time.monotonic() - began < 5.0
