"""Python commands: what they have loaded counts, wherever it is, and with --exact nothing else does."""

from __future__ import annotations

import os
import signal
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Watch
from tests.support.following import Followed
from tests.support.places import Place, build

pytestmark = pytest.mark.every_source


SLEEP = "time.sleep(99)\n"
NEEDY = "import near, time\nprint('up', flush=True)\n" + SLEEP


@contextmanager
def counts(followed: Followed) -> Iterator[None]:
    """What is done inside is one restart; the run after it has told what it loaded."""
    with followed.daemon.restarts(1):
        yield
    followed.armed(followed.run)


@contextmanager
def nothing(followed: Followed) -> Iterator[None]:
    """What is done inside is no restart."""
    with followed.daemon.restarts(0):
        yield
    followed.armed(followed.run)


def elsewhere(place: Place) -> dict[str, str]:
    """An environment with a directory of modules outside of the tree."""
    build(
        place.outside,
        {"lib/near.py": "X = 1\n", "lib/far.py": "", "lib/pkg/__init__.py": "", "lib/pkg/deep.py": ""},
    )
    return {"PYTHONPATH": str(place.outside / "lib")}


@pytest.mark.smoke
def test_sf11_a_module_from_elsewhere_is_watched(place: Place, watch: Watch) -> None:
    followed = Followed(place, watch, imports="import near, pkg.deep", environ=elsewhere(place))
    lib = place.outside / "lib"
    with counts(followed):
        edits.write(lib / "near.py", "X = 2\n")
    with counts(followed):
        edits.replace(lib / "pkg/deep.py", "")
    with nothing(followed):
        edits.write(lib / "far.py", "")
        edits.write(lib / "pkg/new.py", "")
        edits.write(lib / "near.txt")


def test_a_module_that_is_imported_late_is_watched_from_then_on(place: Place, watch: Watch) -> None:
    followed = Followed(place, watch, environ=elsewhere(place))
    with nothing(followed):
        edits.write(place.outside / "lib/near.py", "X = 2\n")
    armed = followed.armed(followed.run)
    followed.tell("import near")
    followed.armed(followed.run, modules=armed["modules"] + 1)
    with counts(followed):
        edits.write(place.outside / "lib/near.py", "X = 3\n")


def test_no_modules_is_obeyed(place: Place, watch: Watch) -> None:
    environ = elsewhere(place)
    build(
        place.tree,
        {"app.py": "import near, os, time\nprint(os.environ.get('PYTHONPATH'), flush=True)\n" + SLEEP},
    )
    daemon = watch("--no-modules", command=[sys.executable, "app.py"], environ=environ, children=None)
    daemon.wait(lambda: daemon.stdout.read_text(), "its word")
    assert daemon.stdout.read_text().strip() == environ["PYTHONPATH"]
    edits.write(place.outside / "lib/near.py", "X = 2\n")
    edits.write(place.tree / "app.py", "import time\n" + SLEEP)
    daemon.wait_event("restarted")
    assert daemon.changed_paths() == {str(place.tree / "app.py")}


@pytest.mark.smoke
def test_exact_counts_what_is_loaded_and_nothing_else(place: Place, watch: Watch) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/views.py": "",
        "tests/test_it.py": "",
        "page.html": "",
        "notes.md": "",
    }
    followed = Followed(
        place,
        watch,
        "--exact",
        imports="import pkg.views, near\nopen('page.html').read()",
        files=files,
        environ=elsewhere(place),
    )
    with nothing(followed):
        edits.write(place.tree / "tests/test_it.py")
        edits.replace(place.tree / "notes.md")
        edits.write(place.tree / "pkg/models.py")
        os.unlink(place.tree / "pkg/models.py")
    with counts(followed):
        edits.write(place.tree / "pkg/views.py", "")
    with counts(followed):
        edits.replace(place.tree / "page.html")
    with counts(followed):
        edits.write(place.outside / "lib/near.py", "X = 2\n")
    followed.tell("open('notes.md').read()")
    followed.armed(followed.run, data=3)
    with counts(followed):
        edits.append(place.tree / "notes.md")


def test_exact_with_what_a_failed_import_looked_for(place: Place, watch: Watch) -> None:
    imports = "try:\n    import local_settings\nexcept ImportError:\n    pass"
    followed = Followed(place, watch, "--exact", imports=imports)
    with nothing(followed):
        edits.write(place.tree / "other_settings.py")
    with counts(followed):
        edits.write(place.tree / "local_settings.py", "X = 1\n")
    with counts(followed):
        edits.write(place.tree / "local_settings.py", "X = 2\n")


def test_exact_leaves_out_what_the_command_writes_itself(place: Place, watch: Watch) -> None:
    followed = Followed(place, watch, "--exact", files={"state.json": "{}", "page.html": ""})
    followed.tell("open('state.json').read(); open('page.html').read()")
    followed.armed(followed.run, data=3)
    with nothing(followed):
        followed.tell("open('state.json', 'w').write('1')")
        edits.write(place.tree / "state.json", "2")


@pytest.mark.only("inotify", "pyinotify", reason="a scan may take the marker's change with it")
def test_exact_counts_everything_when_nothing_runs(place: Place, watch: Watch) -> None:
    build(place.tree, {"app.py": "print('up', flush=True)\n", "notes.md": ""})
    daemon = watch("--exact", command=[sys.executable, "app.py"], children=None)
    daemon.wait_event("waiting")
    edits.write(place.tree / "notes.md")
    daemon.wait_event("changed", paths=[str(place.tree / "notes.md")])
    daemon.wait_event("ended", run=2)


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_exact_says_once_that_a_command_cannot_be_followed(place: Place, watch: Watch, flag: str) -> None:
    build(place.tree, {"notes.md": ""})
    daemon = watch(
        "--exact",
        command=[sys.executable, flag, "-c", "import time; time.sleep(99)"],
        warnings=True,
        children=None,
    )
    warning = daemon.wait_event("warning")
    assert "--exact: the command does not tell what it loads" in warning["text"]
    edits.write(place.tree / "notes.md")
    daemon.wait_event("restarted", run=2)


# Code that does not run


def test_sf15_a_module_with_a_syntax_error(place: Place, watch: Watch) -> None:
    """It never gets into sys.modules, and is not below a PATH either."""
    environ = elsewhere(place)
    edits.write(place.outside / "lib/near.py", "def broken(:\n")
    build(place.tree, {"app.py": NEEDY})
    daemon = watch(command=[sys.executable, "app.py"], environ=environ, children=None, tracebacks=True)
    daemon.wait_event("ended", run=1, status=1)
    daemon.wait_event("armed", run=1)
    edits.write(place.outside / "lib/near.py", "X = 1\n")
    daemon.wait(lambda: "up" in daemon.stdout.read_text(), "the mended program")
    assert daemon.named("restarted")[-1]["run"] == 2


@pytest.mark.parametrize("fault", ["raise RuntimeError", "import os; os._exit(7)", "import os; os.abort()"])
def test_a_module_that_ends_the_program_when_it_is_imported(place: Place, watch: Watch, fault: str) -> None:
    environ = elsewhere(place)
    edits.write(place.outside / "lib/near.py", fault + "\n")
    build(place.tree, {"app.py": NEEDY})
    daemon = watch(
        "--exact", command=[sys.executable, "app.py"], environ=environ, children=None, tracebacks=True
    )
    daemon.wait_event("ended", run=1)
    daemon.wait_event("armed", run=1)
    edits.write(place.outside / "lib/near.py", "X = 1\n")
    daemon.wait(lambda: "up" in daemon.stdout.read_text(), "the mended program")


def test_a_module_that_is_missing_outside_the_tree(place: Place, watch: Watch) -> None:
    environ = elsewhere(place)
    os.unlink(place.outside / "lib/near.py")
    build(place.tree, {"app.py": NEEDY})
    daemon = watch(command=[sys.executable, "app.py"], environ=environ, children=None, tracebacks=True)
    daemon.wait_event("ended", run=1, status=1)
    edits.write(place.outside / "lib/near.py", "X = 1\n")
    daemon.wait(lambda: "up" in daemon.stdout.read_text(), "the mended program")


# Where modules come from


def test_sf12_a_zip_that_is_replaced(place: Place, watch: Watch) -> None:
    archive = place.outside / "lib.zip"

    def pack(path: os.PathLike[str], text: str) -> None:
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("zipped.py", text)

    pack(archive, "X = 1\n")
    followed = Followed(place, watch, imports="import zipped", environ={"PYTHONPATH": str(archive)})
    with counts(followed):
        pack(place.outside / "new.zip", "X = 2\n")
        os.replace(place.outside / "new.zip", archive)


def test_a_checkout_that_site_packages_links_to(place: Place, watch: Watch) -> None:
    """The link says site-packages; what it leads to is what a person works on."""
    build(
        place.outside,
        {"checkout/pkg/__init__.py": "", "checkout/pkg/mod.py": "", "v/site-packages/lib.py": ""},
    )
    site = place.outside / "v/site-packages"
    (site / "pkg").symlink_to(place.outside / "checkout/pkg")
    followed = Followed(place, watch, imports="import pkg.mod, lib", environ={"PYTHONPATH": str(site)})
    with nothing(followed):
        edits.write(site / "lib.py", "")
    with counts(followed):
        edits.write(place.outside / "checkout/pkg/mod.py", "")
    with counts(followed):  # pip install: the link is replaced by a copy
        os.unlink(site / "pkg")
        build(site, {"pkg/__init__.py": "", "pkg/mod.py": ""})
    with nothing(followed):
        edits.write(site / "pkg/mod.py", "")
        edits.write(place.outside / "checkout/pkg/mod.py", "")


def test_a_module_that_git_ignores(place: Place, watch: Watch) -> None:
    files = {
        ".gitignore": "/made\n_version.py\n",
        "made/__init__.py": "",
        "made/it.py": "",
        "_version.py": "",
        "made/x.py": "",
    }
    os.mkdir(place.tree / ".git")
    followed = Followed(place, watch, imports="import made.it, _version", files=files)
    with nothing(followed):
        edits.write(place.tree / "made/x.py", "")
    for path in ("made/it.py", "_version.py"):
        with counts(followed):
            edits.write(place.tree / path, "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_pool(place: Place, watch: Watch, method: str) -> None:
    files = {"work.py": "def job(_):\n    import near\n    return near.X\n"}
    followed = Followed(place, watch, "--exact", files=files, environ=elsewhere(place))
    followed.tell(
        f"import multiprocessing, work; pool = multiprocessing.get_context({method!r}).Pool(2);"
        " pool.map(work.job, [1, 2]); pool.close(); pool.join()"
    )
    followed.daemon.wait(lambda: followed.armed(followed.run)["modules"], "its modules")
    with counts(followed):
        edits.write(place.outside / "lib/near.py", "X = 2\n")


def test_a_program_that_it_starts(place: Place, watch: Watch) -> None:
    followed = Followed(place, watch, environ=elsewhere(place))
    program = "import near"
    followed.tell(
        f"import subprocess; subprocess.check_call([sys.executable, '-c', {program!r}], env={{**os.environ}})"
    )
    with counts(followed):
        edits.write(place.outside / "lib/near.py", "X = 2\n")


# Races


@pytest.mark.only("inotify", "pyinotify", reason="the window is that of a watch")
def test_ra02_a_file_that_changes_between_its_import_and_its_watch(place: Place, watch: Watch) -> None:
    """reloaderd is stopped meanwhile; it has the word of the child for how the file looked."""
    followed = Followed(place, watch, environ=elsewhere(place))
    path = place.outside / "lib/near.py"
    for edit in (lambda path: edits.write(path, ""), lambda path: edits.replace(path, "X = 2\n"), back_dated):
        run = followed.run
        os.kill(followed.daemon.pid, signal.SIGSTOP)
        followed.daemon.wait(lambda: procfs.state(followed.daemon.pid) == "T", "it to be stopped")
        followed.tell("import near")
        edit(path)
        os.kill(followed.daemon.pid, signal.SIGCONT)
        followed.daemon.wait_starts(run + 1)
        followed.armed(run + 1)
    with nothing(followed):
        os.kill(followed.daemon.pid, signal.SIGSTOP)
        followed.tell("import near")
        os.kill(followed.daemon.pid, signal.SIGCONT)


def back_dated(path: os.PathLike[str]) -> None:
    """The same size, in place, and the times put back: the ctime alone tells."""
    look = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"#")
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
    assert os.stat(path).st_size == look.st_size


def test_a_reloaderd_that_is_stopped_does_not_hold_up_its_child(place: Place, watch: Watch) -> None:
    many = {f"many/m{number}.py": "" for number in range(600)}
    followed = Followed(place, watch, "--exact", files={"many/__init__.py": "", **many})
    os.kill(followed.daemon.pid, signal.SIGSTOP)
    followed.tell("import importlib; [importlib.import_module(f'many.m{number}') for number in range(600)]")
    os.kill(followed.daemon.pid, signal.SIGCONT)
    with counts(followed):
        edits.write(place.tree / "many/m599.py", "")
