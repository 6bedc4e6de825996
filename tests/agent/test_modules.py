"""Whatever way a file is loaded, it is named, with what it was before it was read."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import zipfile
from typing import Any

import pytest

from tests.agent.conftest import Program
from tests.support.places import Place


def stamp(path: str) -> list[Any]:
    state = os.stat(path)
    return [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def test_a_script_and_what_it_imports(program: Program) -> None:
    program.write("main.py", "import json, pkg.sub\n")
    program.write("pkg/__init__.py")
    program.write("pkg/sub.py", "x = 1\n")
    for turn in range(2):  # the second reads compiled files
        program.good("main.py")
        heard = program.heard()
        assert program.modules() == {"main.py", "pkg/__init__.py", "pkg/sub.py"}, turn
        for name in ("main.py", "pkg/sub.py"):
            path = str(program.tree / name)
            assert heard.modules[path] == [path, "", *stamp(path)]
        assert heard.pythons == [program.python] * (turn + 1)
        assert heard.libraries > 0
        assert "python" in heard.messages[0]


def test_minus_m(program: Program) -> None:
    program.write("pkg/__init__.py")
    program.write("pkg/__main__.py", "import pkg.sub\n")
    program.write("pkg/sub.py")
    program.good("-m", "pkg")
    assert program.modules() == {"pkg/__init__.py", "pkg/__main__.py", "pkg/sub.py"}


def test_minus_c_and_late(program: Program) -> None:
    program.write("late.py")
    program.code("import sys\ndef f():\n    import late\nf()")
    assert program.modules() == {"late.py"}


def test_a_directory_and_a_zipapp(program: Program) -> None:
    program.write("app/__main__.py", "import beside\n")
    program.write("app/beside.py")
    program.good("app")
    assert program.modules() == {"app/__main__.py", "app/beside.py"}
    with zipfile.ZipFile(program.tree / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", "import beside\n")
        archive.writestr("beside.py", "")
    program.good("app.pyz")
    assert "app.pyz" in program.modules()


@pytest.mark.parametrize("name", ["lib.zip", "lib-1.0-py3.egg"])
def test_an_archive_on_the_path(program: Program, name: str) -> None:
    with zipfile.ZipFile(program.outside / name, "w") as archive:
        archive.writestr("inside.py", "import inside2\n")
        archive.writestr("inside2.py", "")
    program.code("import inside", pythonpath=str(program.outside / name))
    assert program.modules() == {str(program.outside / name)}


def test_a_namespace_package(program: Program) -> None:
    program.write("space/one.py")
    program.write("space/two.py", where=program.outside)
    program.code("import space.one, space.two", pythonpath=str(program.outside))
    assert program.modules() == {"space/one.py", str(program.outside / "space/two.py")}


def test_a_compiled_file_without_a_source(program: Program) -> None:
    source = program.write("bare.py", "x = 1\n")
    program.code("import py_compile; py_compile.compile('bare.py', 'bare.pyc')")
    os.unlink(source)
    program.receiver.forget()
    program.code("import bare")
    assert program.modules() == {"bare.pyc"}


def test_an_extension_module(program: Program) -> None:
    """One of the standard library, under another path."""
    found = program.code("import _csv, sys; print(getattr(_csv, '__file__', ''))", agent=False).strip()
    if not found:
        pytest.skip("this Python has no extension modules as files")
    (program.outside / "ext").mkdir()
    shutil.copy(found, program.outside / "ext")
    program.code("import _csv", pythonpath=str(program.outside / "ext"))
    assert program.modules() == {str(program.outside / "ext" / os.path.basename(found))}


def test_a_compiled_file_elsewhere(program: Program, place: Place) -> None:
    program.write("one.py")
    for _ in range(2):
        program.code("import one", PYTHONPYCACHEPREFIX=str(place.scratch / "cache"))
    assert (place.scratch / "cache").is_dir()
    assert program.modules() == {"one.py"}
    assert not any("cache" in path for path in program.heard().data)


def test_code_that_fails_is_named(program: Program) -> None:
    program.write("wrong.py", "def (\n")
    program.write("raises.py", "1 / 0\n")
    program.write("ends.py", "import os; os._exit(4)\n")
    for name, status in (("wrong", 1), ("raises", 1), ("ends", 4)):
        assert program.run("-c", f"import {name}").status == status
        assert f"{name}.py" in program.modules()


def test_a_main_script_that_is_wrong_is_named(program: Program) -> None:
    program.write("main.py", "def (\n")
    assert program.run("main.py").status == 1
    assert program.modules() == {"main.py"}


def test_a_name_that_nobody_has(program: Program) -> None:
    program.write("pkg/__init__.py")
    program.code(
        "for name in ('nowhere.at_all', 'pkg.gone'):\n"
        "    try: __import__(name)\n"
        "    except ImportError: pass\n"
    )
    missing = program.heard().missing
    assert sorted(missing) == [str(program.tree / "nowhere"), str(program.tree / "pkg/gone")]


def test_a_file_by_its_location(program: Program) -> None:
    path = program.write("odd name.txt", "import other\n", where=program.outside)
    program.write("other.py")
    program.code(
        "import importlib.util as u, importlib.machinery as m, runpy\n"
        f"l = m.SourceFileLoader('odd', {path!r})\n"
        "s = u.spec_from_loader('odd', l); x = u.module_from_spec(s); l.exec_module(x)\n"
    )
    assert program.modules() == {path, "other.py"}


def test_run_path(program: Program) -> None:
    path = program.write("it.py", "", where=program.outside)
    program.code(f"import runpy; runpy.run_path({path!r})")
    assert program.modules() == {path}


def test_code_of_a_loader_of_its_own(program: Program) -> None:
    path = program.write("page.tmpl", "x = 1\n", where=program.outside)
    program.code(f"exec(compile(open({path!r}).read(), {path!r}, 'exec'))")
    assert program.modules() == {path}


def test_a_link_that_site_packages_has_to_a_checkout(program: Program) -> None:
    packages = program.outside / "lib" / "site-packages"
    program.write("real/__init__.py")
    program.write("other.py", where=packages)
    os.symlink(program.tree / "real", packages / "linked")
    program.code("import linked, other", pythonpath=str(packages))
    heard = program.heard()
    path = str(packages / "linked/__init__.py")
    assert set(heard.modules) == {path}
    assert heard.modules[path][1] == str(program.tree / "real/__init__.py")


def test_libraries_below_a_root_are_libraries(program: Program) -> None:
    packages = program.tree / ".venv/lib/python3/site-packages"
    program.write("other/__init__.py", "open(__file__).read(); import other.sub\n", where=packages)
    program.write("other/sub.py", where=packages)
    program.code("import other", pythonpath=str(packages))
    heard = program.heard()
    assert not heard.modules and not heard.data


def test_a_root_in_a_library_is_none(program: Program) -> None:
    packages = program.outside / "site-packages"
    program.write("mine/__init__.py", where=packages)
    program.write("other/__init__.py", where=packages)
    program.roots = [str(packages / "mine")]
    program.code("import mine, other", pythonpath=str(packages))
    assert program.modules() == {str(packages / "mine/__init__.py")}


@pytest.mark.parametrize("style", ["path", "finder"])
def test_an_editable_install(program: Program, place: Place, style: str) -> None:
    """As pip leaves it: a .pth file that names the checkout, or one that imports a finder."""
    home = place.scratch / "venv"
    subprocess.run([program.python, "-m", "venv", "--without-pip", str(home)], check=True)
    packages = next(home.glob("lib/python*/site-packages"))
    program.write("src/mine/__init__.py")
    if style == "path":
        program.write("mine.pth", f"{program.tree}/src\n", where=packages)
    else:
        program.write("mine.pth", "import __editable___mine_finder\n", where=packages)
        program.write(
            "__editable___mine_finder.py", FINDER.format(where=program.tree / "src/mine"), where=packages
        )
    program.python = str(home / "bin" / "python")
    program.code("import mine")
    assert program.modules() == {"src/mine/__init__.py"}


FINDER = """\
import sys
from importlib.util import spec_from_file_location
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "mine":
            file, places = "{where}/__init__.py", ["{where}"]
            return spec_from_file_location(name, file, submodule_search_locations=places)
sys.meta_path.append(Finder)
"""


def test_what_was_loaded_before(program: Program, place: Place) -> None:
    home = place.scratch / "venv"
    subprocess.run([program.python, "-m", "venv", "--without-pip", str(home)], check=True)
    packages = next(home.glob("lib/python*/site-packages"))
    program.write("early.py")
    program.write("mine.pth", f"{program.tree}\nimport early\n", where=packages)
    program.python = str(home / "bin" / "python")
    program.code("pass", cwd=program.outside)
    assert program.modules() == {"early.py"}


def test_relative_entries_of_the_path_after_chdir(program: Program) -> None:
    program.write("first/one.py")
    program.write("second/lib/two.py")
    program.code(
        "import sys, os; sys.path[:0] = ['first', 'lib']; import one; os.chdir('second'); import two"
    )
    assert program.modules() == {"first/one.py", "second/lib/two.py"}


def test_names_that_are_no_text(program: Program) -> None:
    odd = b'caf\xe9\n%25 \x1b"\\'
    path = program.write(odd + b"/mod.py")
    program.roots = [str(program.tree / os.fsdecode(odd))]
    program.code("import mod", pythonpath=os.path.dirname(path))
    assert set(program.heard().modules) == {path}


def test_data_below_a_root_whose_name_is_odd(program: Program) -> None:
    odd = program.tree / "a%0A\nb%25"
    path = program.write("data.txt", "x", where=odd)
    program.write("elsewhere.txt", "x")
    program.roots = [str(odd)]
    program.code(f"open({path!r}).read(); open('elsewhere.txt').read()")
    assert set(program.heard().data) == {path}


def test_a_path_is_normalised(program: Program) -> None:
    program.write("lib/one.py")
    (program.tree / "other").mkdir()
    program.code("import sys; sys.path.insert(0, 'other/..//./lib/'); import one")
    assert program.modules() == {"lib/one.py"}


def test_a_link_is_named_as_it_was_seen(program: Program) -> None:
    real = program.write("real.py", where=program.outside)
    os.symlink(real, program.tree / "seen.py")
    program.code("import seen")
    seen = str(program.tree / "seen.py")
    assert program.heard().modules == {seen: [seen, real, *stamp(real)]}


def test_a_change_between_the_two_looks_is_told(program: Program) -> None:
    """importlib looked first; the file was written before its compiled file was opened."""
    program.write("one.py", "x = 1\n")
    program.code("import one")
    program.receiver.forget()
    program.code(
        "import sys, importlib._bootstrap_external as b\n"
        "old = b.SourceFileLoader.path_stats\n"
        "def path_stats(self, path):\n"
        "    st = old(self, path)\n"
        "    if path.endswith('one.py'): open(path, 'w').write('x = 22\\n')\n"
        "    return st\n"
        "b.SourceFileLoader.path_stats = path_stats\n"
        "import one\n"
    )
    path = str(program.tree / "one.py")
    assert program.heard().modules[path] == [path, "", 0, 0, 0, 0, 0]


def test_a_young_file_that_did_not_change(program: Program) -> None:
    path = program.write("one.py", "x = 1\n")
    for _ in range(2):
        program.code("import one")
    assert program.heard().modules[path][2:] == stamp(path)


@pytest.mark.one_python
def test_pytest_with_rewritten_asserts(program: Program) -> None:
    program.python = sys.executable
    program.write("conftest.py")
    program.write("test_it.py", "import helper\ndef test(): assert helper\n")
    program.write("helper.py")
    for _ in range(2):
        program.good("-m", "pytest", "-q", "-p", "no:xdist")
        assert {"conftest.py", "test_it.py", "helper.py"} <= program.modules()
        program.receiver.forget()


def test_a_deleted_working_directory(program: Program) -> None:
    program.write("lib/one.py")
    code = "import os, sys; os.mkdir('d'); os.chdir('d'); os.rmdir('../d'); sys.path.append(sys.argv[1])\n"
    program.good(
        "-c", code + "try: import none_such\nexcept ImportError: pass\nimport one", str(program.tree / "lib")
    )
    assert program.modules() == {"lib/one.py"}


def test_sources_of_another_language(program: Program) -> None:
    """As Hy has them: their compiled files are named as those of Python, the sources are not."""
    program.write("strange.zy", "x = 1\n")
    code = (
        "import sys\nfrom importlib.machinery import FileFinder, SourceFileLoader\n"
        "sys.path_hooks.insert(0, FileFinder.path_hook((SourceFileLoader, ['.zy'])))\n"
        "sys.path_importer_cache.clear()\nimport strange\n"
    )
    for _ in range(2):
        program.code(code)
        assert program.modules() == {"strange.zy"}
        program.receiver.forget()


def test_no_agent_without_site(program: Program) -> None:
    program.write("one.py")
    for option in ("-I", "-E", "-S"):
        assert program.good(option, "-c", "print('well')") == "well\n"
    assert not program.heard().messages


def test_a_compiled_file_that_could_hide_the_next_save_is_not_written(program: Program) -> None:
    """The same size within the same second is the same source to importlib."""
    path = program.write("one.py", "X = 1\n")
    assert program.code("import one; print(one.X)") == "1\n"
    program.write("one.py", "X = 2\n")
    assert program.code("import one; print(one.X)") == "2\n"
    assert program.modules() == {"one.py"}
    os.utime(path, (os.stat(path).st_mtime - 10,) * 2)
    assert program.code("import one; print(one.X)") == "2\n"
    assert glob.glob(str(program.tree / "__pycache__/one.*.pyc"))
