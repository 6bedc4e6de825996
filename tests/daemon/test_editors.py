"""ED: real editors and tools at work in the tree: one restart for one act, none for their droppings."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.daemon import Daemon, Watch
from tests.support.editors import Vim, emacs, emacs_on_terminal, nano, run, vim
from tests.support.git import Repository
from tests.support.places import Place, build

pytestmark = pytest.mark.every_source

Act = Callable[[Place], object]

BODY = "".join(f"line {number}\n" for number in range(40))

PATCH = """\
--- f.py
+++ f.py
@@ -1,3 +1,4 @@
+patched
 line 0
 line 1
 line 2
"""

PERL = "print qq(by perl\\n) if $. == 1"
REPLACE = "import os; open('f.py.tmp~', 'w').write('replaced\\n'); os.replace('f.py.tmp~', 'f.py')"

SAVES: dict[str, tuple[str, Act]] = {
    "ed01_vim_backupcopy_auto": ("vim", lambda p: vim(p, "f.py", "writebackup", "backupcopy=auto")),
    "ed01_vim_backupcopy_no": ("vim", lambda p: vim(p, "f.py", "writebackup", "backupcopy=no")),
    "ed01_vim_backup_kept": ("vim", lambda p: vim(p, "f.py", "backup", "backupcopy=no")),
    "ed02_vim_backupcopy_yes": ("vim", lambda p: vim(p, "f.py", "writebackup", "backupcopy=yes")),
    "ed03_vim_nowritebackup": ("vim", lambda p: vim(p, "f.py", "nowritebackup")),
    "ed05_nano": ("nano", lambda p: nano(p, "f.py")),
    "ed05_nano_with_backup": ("nano", lambda p: nano(p, "f.py", "-B")),
    "ed05_emacs_batch": ("emacs", lambda p: emacs(p, "f.py")),
    "ed05_emacs_backup_by_copying": ("emacs", lambda p: emacs(p, "f.py", "(setq backup-by-copying t)")),
    "ed05_emacs_precious": ("emacs", lambda p: emacs(p, "f.py", "(setq-default file-precious-flag t)")),
    "ed05_emacs_on_a_terminal": ("emacs", lambda p: emacs_on_terminal(p, "f.py")),
    "ed10_sed": ("sed", lambda p: run(p, "sed", "-i", "1i by sed", "f.py")),
    "ed10_perl": ("perl", lambda p: run(p, "perl", "-pi", "-e", PERL, "f.py")),
    "ed10_patch": ("patch", lambda p: run(p, "patch", "-p0", "-i", "../outside/f.patch")),
    "ed10_os_replace": ("sh", lambda p: run(p, sys.executable, "-c", REPLACE)),
    "ed10_rsync": ("rsync", lambda p: run(p, "rsync", "-a", "--checksum", "../outside/f.py", "f.py")),
    "ed10_tar": ("tar", lambda p: run(p, "tar", "-xf", "../outside/f.tar")),
    "ed11_install": ("install", lambda p: run(p, "install", "-m", "644", "../outside/f.py", "f.py")),
    "ed11_cp_preserving_times": ("cp", lambda p: run(p, "cp", "-p", "../outside/f.py", "f.py")),
    "ed11_cp_remove_destination": (
        "cp",
        lambda p: run(p, "cp", "--remove-destination", "../outside/f.py", "f.py"),
    ),
    "ed11_mv_over": ("mv", lambda p: run(p, "mv", "../outside/f.py", "f.py")),
}


@pytest.fixture
def source(place: Place) -> Place:
    build(place.tree, {"f.py": BODY, "pkg/g.py": BODY})
    build(place.outside, {"f.py": BODY + "newer\n", "f.patch": PATCH})
    os.utime(place.outside / "f.py", (1e9, 1e9))  # older than what it replaces
    run(place, "tar", "-cf", "f.tar", "f.py", cwd=place.outside)
    return place


def only(daemon: Daemon, *names: str) -> None:
    """Of all that happened in the tree, nothing but these (and the marker) counted."""
    wanted = {str(daemon.cwd / name) for name in (*names, "marker.py")}
    assert daemon.changed_paths() == wanted


@pytest.mark.parametrize("case", [pytest.param(k, marks=pytest.mark.needs(v[0])) for k, v in SAVES.items()])
def test_save(case: str, source: Place, watch: Watch) -> None:
    before = (source.tree / "f.py").read_text()
    daemon = watch()
    with daemon.restarts(1):
        SAVES[case][1](source)
    assert (source.tree / "f.py").read_text() != before
    if case.startswith("ed10"):  # droppings of any name come and go
        assert str(source.tree / "f.py") in daemon.changed_paths()
    else:
        only(daemon, "f.py")


@pytest.mark.needs("vim")
def test_ed04_vim_saves_three_times(source: Place, watch: Watch) -> None:
    daemon = watch()
    with Vim(source, "f.py") as editor:
        for number in range(3):
            with daemon.restarts(1):
                editor.save(f"save {number}")
    daemon.settle(len(daemon.starts))
    only(daemon, "f.py")


@pytest.mark.needs("vim")
def test_ed04_vim_opens_edits_and_quits_without_saving(source: Place, watch: Watch) -> None:
    daemon = watch()
    with daemon.restarts(0), Vim(source, "f.py", "updatecount=1") as editor:
        editor.type("never saved")
        daemon.wait(lambda: (source.tree / ".f.py.swp").exists(), "the swap file")
    only(daemon)


@pytest.mark.needs("vim")
def test_ed01_vim_makes_a_new_file(source: Place, watch: Watch) -> None:
    daemon = watch()
    with daemon.restarts(1):
        vim(source, "pkg/new.py")
    only(daemon, "pkg/new.py")


@pytest.mark.needs("emacs")
def test_ed05_emacs_auto_save_is_no_save(source: Place, watch: Watch) -> None:
    daemon = watch()
    lisp = '(find-file "f.py") (insert "x") (auto-save-mode 1) (do-auto-save) (set-buffer-modified-p nil)'
    with daemon.restarts(0):
        run(source, "emacs", "-Q", "--batch", "--eval", f"(progn {lisp})")
    only(daemon)


# git and its like

BRANCH = {f"pkg/sub{n % 7}/m{n}.py": f"other {n}\n" for n in range(200)}


@pytest.fixture
def repository(source: Place) -> Repository:
    repository = Repository(source, source.tree)
    edits.mark(source.tree / "marker.py", 0)
    build(source.tree, {".gitignore": "marker.py\n"})
    repository.commit("first", {name: f"main {name}\n" for name in BRANCH})
    return repository


def watch_marker(watch: Watch, **keywords: object) -> Daemon:
    """A marker that git does not touch: ignored, yet named as a PATH."""
    return watch(roots=(".", "marker.py"), **keywords)


@pytest.mark.needs("git")
@pytest.mark.parametrize("command", ["checkout -- f.py", "stash", "restore f.py", "reset --hard --quiet"])
def test_ed11_git_puts_a_file_back(command: str, repository: Repository, watch: Watch) -> None:
    edits.append(repository.path / "f.py")
    daemon = watch_marker(watch)
    with daemon.restarts(1):
        repository.git(*command.split())
    assert (repository.path / "f.py").read_text() == BODY


@pytest.mark.needs("git")
def test_ed13_git_checkout_of_200_files(repository: Repository, watch: Watch) -> None:
    repository.git("checkout", "--quiet", "-b", "other")
    repository.commit("other", BRANCH)
    daemon = watch_marker(watch)
    for branch in ("main", "other"):
        with daemon.restarts(1):
            repository.git("checkout", "--quiet", branch)
    counts = [one["count"] for one in daemon.named("changed") if one["count"] > 1]
    assert counts == [200, 200]


@pytest.mark.needs("git")
def test_ed13_branch_without_a_directory(repository: Repository, watch: Watch) -> None:
    repository.git("checkout", "--quiet", "-b", "other")
    repository.git("rm", "-r", "--quiet", "pkg")
    repository.git("commit", "--quiet", "--message", "without pkg")
    daemon = watch_marker(watch)
    with daemon.restarts(1):
        repository.git("checkout", "--quiet", "main")
    with daemon.restarts(1):
        edits.append(repository.path / "pkg/sub3/m3.py")
    repository.git("checkout", "--quiet", "--", ".")
    daemon.final_state_seen()
    with daemon.restarts(1):
        repository.git("checkout", "--quiet", "other")


@pytest.mark.needs("git")
def test_ed14_git_rebase_of_20_commits(repository: Repository, watch: Watch) -> None:
    repository.git("checkout", "--quiet", "-b", "topic")
    for number in range(20):
        repository.commit(f"topic {number}", {f"pkg/topic{number % 4}.py": f"topic {number}\n"})
    repository.git("checkout", "--quiet", "main")
    repository.commit("main", {"f.py": "main went on\n"})
    repository.git("checkout", "--quiet", "topic")
    daemon = watch_marker(watch)
    with daemon.restarts(1, most=2):
        repository.git("rebase", "--quiet", "main")


@pytest.mark.needs("git")
def test_ed14_held_while_git_holds_its_lock(repository: Repository, watch: Watch) -> None:
    lock = repository.path / ".git/index.lock"
    daemon = watch_marker(watch)
    with daemon.restarts(1):
        lock.touch()
        edits.append(repository.path / "f.py")
        held = daemon.wait_event("held")
        assert held["reason"]
        edits.append(repository.path / "pkg/g.py")
        edits.append(repository.path / "pkg/sub1/m1.py")
        assert len(daemon.starts) == 1
        os.unlink(lock)
    assert daemon.starts[1].payload[str(repository.path / "pkg/sub1/m1.py")].endswith(b"more\n")


@pytest.mark.needs("git")
def test_ed14_commit_alone_changes_nothing(repository: Repository, watch: Watch) -> None:
    edits.append(repository.path / "f.py")
    daemon = watch_marker(watch)
    with daemon.restarts(0):
        repository.git("add", "f.py")
        repository.git("commit", "--quiet", "--message", "second")
        repository.git("tag", "v1")
        repository.git("gc", "--quiet")


@pytest.mark.needs("git")
def test_ed13_linked_worktree(repository: Repository, place: Place, watch: Watch) -> None:
    """Its `.git` is a file; the index lock is in the repository that it names."""
    repository.git("checkout", "--quiet", "-b", "other")
    repository.commit("other", BRANCH)
    repository.git("worktree", "add", "--quiet", str(place.outside / "work"), "main")
    work = place.outside / "work"
    daemon = watch(cwd=work, roots=(".", "marker.py"))
    with daemon.restarts(1):
        repository.git("-C", str(work), "checkout", "--quiet", "--detach", "other")
    lock = repository.path / ".git/worktrees/work/index.lock"
    with daemon.restarts(1):
        lock.touch()
        edits.append(work / "f.py")
        daemon.wait_event("held")
        os.unlink(lock)


@pytest.mark.needs("hg")
def test_ed13_hg_update_of_200_files(source: Place, watch: Watch) -> None:
    def hg(*arguments: str) -> str:
        return run(source, "hg", "--config", "ui.username=t", *arguments)

    hg("init")
    edits.mark(source.tree / "marker.py", 0)
    build(source.tree, {".hgignore": "marker.py\n"} | dict.fromkeys(BRANCH, "main\n"))
    hg("commit", "--addremove", "--quiet", "--message", "one")
    build(source.tree, BRANCH)
    hg("commit", "--quiet", "--message", "two")
    daemon = watch()
    with daemon.restarts(1):
        hg("update", "--quiet", "0")


# Python's own tools


def wheel(directory: Path) -> Path:
    """A distribution of nothing, as small as pip accepts."""
    path = directory / "nothing-1.0-py3-none-any.whl"
    info = "nothing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20):
            archive.writestr(f"nothing/m{number}.py", "x = 1\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_ed16_pip_install_into_venv_below_the_root(source: Place, watch: Watch) -> None:
    pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True)
    if pip.returncode:
        pytest.fail("the tests' own interpreter has no pip", pytrace=False)
    daemon = watch()
    with daemon.restarts(0):
        run(source, sys.executable, "-m", "venv", "--without-pip", ".venv")
        run(
            source, sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python",
            ".venv/bin/python", "install", "--no-index", "--no-deps", str(wheel(source.outside)),
        )  # fmt: skip
    assert list(source.tree.glob(".venv/lib/*/site-packages/nothing/m1.py"))
    only(daemon)


def test_ed17_import_writes_pycache(source: Place, watch: Watch) -> None:
    build(source.tree, {"pkg/h.py": "x = 1\n"})
    daemon = watch()
    environ = source.environ(PYTHONPATH="pkg")
    del environ["PYTHONDONTWRITEBYTECODE"]
    with daemon.restarts(0):
        subprocess.run([sys.executable, "-c", "import h"], cwd=source.tree, env=environ, check=True)
    assert list(source.tree.glob("pkg/__pycache__/h.*.pyc"))
    only(daemon)


def test_ed20_file_link_retargeted(source: Place, watch: Watch) -> None:
    build(source.outside, {"one.py": "one\n", "two.py": "two\n"})
    (source.tree / "current.py").symlink_to("../outside/one.py")
    daemon = watch()
    with daemon.restarts(1):
        run(source, "ln", "-sf", "../outside/two.py", "current.py")
