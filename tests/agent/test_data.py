"""Files that the program reads, and those that it writes itself."""

from __future__ import annotations

import pytest

from tests.agent.conftest import Program

READ = {
    "open": "open('a.txt').read()",
    "bytes": "open(b'a.txt', 'rb').read()",
    "path": "import pathlib; pathlib.Path('a.txt').read_text()",
    "os.open": "import os; os.close(os.open('a.txt', os.O_RDONLY))",
    "codecs": "import codecs; codecs.open('a.txt', encoding='ascii').close()",
    "FileIO": "import io, pathlib; io.FileIO(pathlib.Path('a.txt')).close()",
    "a class of str": "class S(str): pass\nopen(S('a.txt')).close()",
    "tomllib": "import tokenize; tokenize.open('a.txt').close()",
}

WRITTEN = {
    "w": "open('a.txt', 'w').close()",
    "a": "open('a.txt', 'a').close()",
    "r+": "open('a.txt', 'r+').close()",
    "os.open": "import os; os.close(os.open('a.txt', os.O_WRONLY))",
    "replace": "import os; open('tmp', 'w').close(); os.replace('tmp', 'a.txt')",
    "rename": "import os; open('/var/tmp/reloaderd-agent-test', 'w').close();"
    " os.rename('/var/tmp/reloaderd-agent-test', 'a.txt')",
}


@pytest.mark.parametrize("way", READ)
def test_a_file_that_is_read(program: Program, way: str) -> None:
    path = program.write("a.txt", "x = 1\n")
    program.code(READ[way])
    heard = program.heard()
    assert set(heard.data) == {path}
    assert not heard.modules and not heard.own


def test_a_link_is_data_by_its_real_path_too(program: Program) -> None:
    real = program.write("real.txt")
    (program.tree / "seen.txt").symlink_to("real.txt")
    program.code("open('seen.txt').close(); open('real.txt').close()")
    seen = str(program.tree / "seen.txt")
    assert set(program.heard().data) == {seen} and program.heard().data[seen][1] == real


def test_what_is_not_data(program: Program) -> None:
    program.write("one.py")
    program.write("far.txt", where=program.outside)
    far = str(program.outside / "far.txt")
    program.code(
        "import os, one\n"
        f"open({far!r}).close(); open('/proc/self/stat').close(); open('one.py').close()\n"
        "os.close(os.open('.', os.O_RDONLY)); os.close(os.open('.', os.O_RDONLY | os.O_DIRECTORY))\n"
        "os.mkfifo('fifo'); os.close(os.open('fifo', os.O_RDONLY | os.O_NONBLOCK))\n"
        "try: open('none')\nexcept OSError: pass\n"
        "os.fdopen(os.dup(0)).close()\n"
    )
    assert not program.heard().data


def test_a_root_that_is_a_file(program: Program) -> None:
    program.roots = [program.write("only.txt")]
    program.write("other.txt")
    program.code("open('only.txt').close(); open('other.txt').close()")
    assert list(program.heard().data) == program.roots


@pytest.mark.parametrize("way", WRITTEN)
def test_what_it_wrote_is_its_own(program: Program, way: str) -> None:
    path = program.write("a.txt", "x")
    program.code(f"{WRITTEN[way]}\nopen('a.txt').close()")
    assert not program.heard().data and path in program.heard().own


@pytest.mark.parametrize("way", WRITTEN)
def test_what_it_read_and_wrote_later_is_taken_back(program: Program, way: str) -> None:
    path = program.write("a.txt", "x")
    program.code(f"open('a.txt').close()\nfor _ in range(2):\n    {WRITTEN[way]}\nopen('a.txt').close()")
    heard = program.heard()
    assert list(heard.data) == [path] and heard.own.count(path) == 1
    assert sum(len(message["data"]) for message in heard.messages) == 1


def test_a_module_keeps_the_stat_of_when_it_was_read(program: Program) -> None:
    path = program.write("page.tmpl", "x = 1\n")
    program.code(
        "source = open('page.tmpl').read()\n"
        "with open('page.new', 'w') as f: f.write('x = 22\\n')\n"
        "import os; os.rename('page.new', 'page.tmpl')\n"
        "exec(compile(source, 'page.tmpl', 'exec'))\n"
    )
    heard = program.heard()
    assert heard.modules[path][2:] == heard.data[path][2:]


def test_bounds(program: Program) -> None:
    (program.tree / "d").mkdir()
    for number in range(4200):
        (program.tree / f"d/{number}").touch()
    program.code("for n in range(4200): open('d/%d' % n).close()")
    heard = program.heard()
    assert len(heard.data) == 4096 and heard.full == 1


ABSENT = ("open('a.txt')", "import pathlib; pathlib.Path('a.txt').read_text()", "open('a.txt', 'r+')")


@pytest.mark.parametrize("way", ABSENT)
def test_a_file_that_is_not_there(program: Program, way: str) -> None:
    program.code(f"for _ in range(2):\n    try:\n        {way}\n    except OSError:\n        pass")
    path = str(program.tree / "a.txt")
    assert program.heard().absent == ([] if "r+" in way else [path])
    assert program.heard().own == ([path] if "r+" in way else []) and not program.heard().data


def test_what_is_no_file_to_be_read_is_not_absent(program: Program) -> None:
    (program.tree / "link").symlink_to("sub/none.txt")
    program.code(
        f"for path in ('.', {str(program.outside / 'far.txt')!r}, 'x\\0y', 'link', 'sub/dir/one.txt'):\n"
        "    try:\n        open(path)\n    except (OSError, ValueError):\n        pass"
    )
    assert program.heard().absent == [str(program.tree / "sub/dir/one.txt")]


@pytest.mark.parametrize("way", ("w", "a", "replace", "rename"))
def test_what_was_not_there_and_is_written_is_its_own(program: Program, way: str) -> None:
    path = str(program.tree / "a.txt")
    program.code(f"try: open('a.txt')\nexcept OSError: pass\nfor _ in range(2):\n    {WRITTEN[way]}")
    assert program.heard().absent == [path] and program.heard().own.count(path) == 1


def test_what_is_not_there_in_a_library_is_absent_too(program: Program) -> None:
    there = program.write("site-packages/lib/a.txt")
    gone = str(program.tree / "site-packages/lib/b.txt")
    program.code(
        f"for path in ({gone!r}, {there!r}, {gone!r}):\n"
        "    try:\n        open(path).close()\n    except OSError:\n        pass"
    )
    assert program.heard().absent == [gone] and not program.heard().data
