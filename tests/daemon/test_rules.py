"""FI: what does not count, by which rule, and when rules change."""

from __future__ import annotations

import os

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.git import Repository
from tests.support.places import Place, build

SLOW = "--debounce=300ms"
"""Quiet enough that all edits of a test are one batch on a machine that stutters."""

DROPPINGS = {
    "version_control": [".git/index", ".git/refs/x/y", ".hg/dirstate", ".svn/entries", ".jj/repo/x"],
    "python": [
        "__pycache__/m.cpython-311.pyc",
        "m.pyc",
        ".venv/m.py",
        "venv/lib/m.py",
        ".tox/a/b.py",
        ".nox/x.py",
    ],
    "caches": [
        ".mypy_cache/a.json",
        ".pytest_cache/v/x",
        ".ruff_cache/x",
        ".coverage",
        ".coverage.h.1",
        "htmlcov/i",
    ],
    "packages": ["node_modules/pkg/index.js", "sub/node_modules/pkg/index.js"],
    "editors": [".m.py.swp", ".m.py.swx", "m.py~", ".#m.py", "#m.py#", "4913", ".m.py.kate-swp"],
    "more_editors": ["m.py___jb_tmp___", "m.py___jb_old___", ".goutputstream-ABC123"],
    "running": ["s.log", "s.pid", "s.sock", "data.sqlite3", "data.sqlite3-journal", "d.db", "d.db-wal"],
}


@pytest.mark.parametrize("group", DROPPINGS)
def test_fi01_default_ignores(group: str, place: Place, watch: Watch) -> None:
    """Created, in directories that appear, written, replaced and removed: none of it counts."""
    daemon = watch()
    with daemon.restarts(0):
        for name in DROPPINGS[group]:
            build(place.tree, {name: "x\n"})
        for name in DROPPINGS[group]:
            edits.append(place.tree / name)
            edits.replace(place.tree / name)
    with daemon.restarts(0):
        for name in DROPPINGS[group]:
            os.unlink(place.tree / name)


@pytest.mark.parametrize("pattern", ["src/gen", "./src/gen/", "{tree}/src/gen", "/gen"])
def test_fi05_a_pattern_may_be_written_as_a_path_is(pattern: str, place: Place, watch: Watch) -> None:
    build(place.tree, {"src/gen/x.py": "x\n", "src/sub/gen/x.py": "x\n"})
    ignore = ("--ignore", pattern.format(tree=place.tree))
    edits.mark(place.tree / "src/marker.py", 0)
    daemon = watch(
        *ignore,
        roots=["src"],
        marker="src/marker.py",
        read=[str(place.tree / "src/sub"), str(place.tree / "src/marker.py")],
    )
    with daemon.restarts(0):
        edits.append(place.tree / "src/gen/x.py")
    with daemon.restarts(1):
        edits.append(place.tree / "src/sub/gen/x.py")


@pytest.mark.parametrize("group", DROPPINGS)
def test_fi01_default_ignores_left_out(group: str, place: Place, watch: Watch) -> None:
    daemon = watch("--no-default-ignores", SLOW)
    with daemon.restarts(1):
        build(place.tree, dict.fromkeys(DROPPINGS[group], "x\n"))
    assert {str(place.tree / name) for name in DROPPINGS[group]} <= daemon.changed_paths()


def test_fi01_no_watches_are_spent_below_what_is_ignored(place: Place, watch: Watch) -> None:
    build(place.tree, {f"node_modules/p{n}/lib/x.js": "" for n in range(100)} | {"src/a.py": ""})
    build(place.tree, {f"generated/g{n}/x.py": "" for n in range(100)} | {".gitignore": "/generated/\n"})
    Repository(place, place.tree)
    daemon = watch()
    assert procfs.inotify_watches(daemon.pid) < 30
    with daemon.restarts(0):
        build(place.tree, {f"src/node_modules/p{n}/x.js": "" for n in range(100)})
    assert procfs.inotify_watches(daemon.pid) < 30


class Table:
    """Options and ignore files, and which of the edited names count."""

    def __init__(self, options: str, files: dict[str, str], counts: str, does_not: str) -> None:
        self.options = options.split()
        self.files = files
        self.counts = counts.split()
        self.does_not = does_not.split()


IGNORE, OWN = ".gitignore", ".reloaderdignore"

TABLES = {
    "fi05_no_rules": Table("", {}, "a.py b.txt d/c.py .hidden.py", ""),
    "fi05_ignore_glob": Table("--ignore=*.txt", {}, "a.py d/a.py", "a.txt d/a.txt d/e/a.txt"),
    "fi05_ignore_directory": Table("--ignore=build/", {}, "a.py build.py s/build", "build/a.py d/build/a.py"),
    "fi05_leading_slash": Table("--ignore=/build", {}, "d/build/a.py", "build/a.py"),
    "fi05_middle_slash": Table("--ignore=d/x.py", {}, "x.py e/d/x.py", "d/x.py"),
    "fi05_stars": Table("--ignore=d/**/x.py", {}, "x.py e/x.py", "d/x.py d/e/x.py d/e/f/x.py"),
    "fi05_leading_stars": Table("--ignore=**/gen/*.py", {}, "gen/e/a.py a.py", "gen/a.py d/gen/a.py"),
    "fi05_trailing_stars": Table("--ignore=gen/**", {}, "d/gen/a.py", "gen/a.py gen/e/a.py"),
    "fi05_question_mark_and_class": Table("--ignore=[ab]?.py", {}, "a.py c1.py", "a1.py bx.py d/a2.py"),
    "fi05_last_match_wins": Table("--ignore=*.py --ignore=!keep.py", {}, "keep.py d/keep.py a.txt", "a.py"),
    "fi05_order_matters": Table("--ignore=!keep.py --ignore=*.py", {}, "a.txt", "keep.py a.py"),
    "fi05_filter": Table("--filter=*.py", {}, "a.py d/a.py", "a.txt d/Makefile"),
    "fi05_filter_then_ignore": Table("--filter=*.py --ignore=test_*.py", {}, "a.py", "test_a.py d/test_b.py"),
    "fi05_ignore_beats_extension": Table("--ext=py --ignore=gen/", {}, "a.py", "gen/a.py a.txt"),
    "fi05_filter_brings_back_a_default": Table("--no-default-ignores --filter=*.log", {}, "a.log", "a.py"),
    "fi05_gitignore": Table("", {IGNORE: "*.md\n!k.md\n/o\n# no\n\\#x\n"}, "a.py k.md d/o", "a.md o #x"),
    "fi05_nested": Table("", {IGNORE: "*.md\n", "d/.gitignore": "!*.md\n/x\n"}, "d/a.md d/e/x", "a.md d/x"),
    "fi05_gitignore_cannot_reach_into_ignored": Table("", {IGNORE: "d/\n!d/a.py\n"}, "a.py", "d/a.py d/b.py"),
    "fi05_gitignore_left_out": Table("--no-gitignore", {IGNORE: "*.txt\n", OWN: "*.md\n"}, "a.txt", "a.md"),
    "fi05_own_ignore_file": Table("", {OWN: "*.txt\n"}, "a.py", "a.txt d/a.txt"),
    "fi05_own_beats_gits": Table("", {IGNORE: "*.txt\n", OWN: "!a.txt\n"}, "a.txt d/a.txt", "b.txt"),
    "fi05_option_beats_own": Table("--ignore=!a.txt", {OWN: "*.txt\n"}, "a.txt", "b.txt"),
    "fi05_on_ignore": Table("--on=*.css=ignore", {}, "a.py", "a.css d/a.css"),
    "fi05_on_beats_options": Table("--ext=py --on=*.html=restart", {}, "a.py a.html", "a.txt"),
    "fi08_extensions": Table("--ext=py,html", {}, "a.py d/b.html", "a.txt apy html a.py.txt"),
    "fi08_extensions_with_dots": Table("--ext=.py,.test.ts", {}, "a.py b.test.ts", "b.ts test.ts.txt"),
    "fi08_extension_not_ascii": Table("--ext=\u00f1,\u65e5\u672c", {}, "a.\u00f1 b.\u65e5\u672c", "a.n a.py"),
    "fi08_extension_case": Table("--ext=py", {}, "a.py", "a.PY"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_table(case: str, place: Place, watch: Watch) -> None:
    table = TABLES[case]
    Repository(place, place.tree)
    build(place.tree, dict.fromkeys(table.counts + table.does_not, "old\n"))
    build(place.tree, table.files)
    marker = table.counts[0]  # what counts by these rules
    build(place.tree, {"d/e/": None})
    daemon = watch(SLOW, *table.options, marker=marker, read=(str(place.tree / marker),))
    at = daemon.mark()
    with daemon.restarts(1):
        for name in table.does_not + table.counts:
            edits.append(place.tree / name)
    first = daemon.named("changed", at)[0]
    assert {os.path.join(place.tree, path) for path in first["paths"]} == {
        str(place.tree / name) for name in table.counts
    }
    with daemon.restarts(0):
        for name in table.does_not:
            edits.replace(place.tree / name)
            os.unlink(place.tree / name)


@pytest.mark.needs("git")
def test_fi05_gits_other_sources(place: Place, watch: Watch) -> None:
    """info/exclude and core.excludesFile, and a .gitignore above the root."""
    repository = Repository(place, place.tree)
    build(place.tree, {".gitignore": "*.above\n", "src/a.py": "a\n", ".git/info/exclude": "*.excluded\n"})
    build(place.home, {"ignored": "*.mine\n"})
    repository.git("config", "core.excludesFile", "~/ignored")
    names = ("src/x.above", "src/x.excluded", "src/x.mine")
    daemon = watch(roots=("src",), marker="src/marker.py")
    with daemon.restarts(0):
        build(place.tree, dict.fromkeys(names, "x\n"))
    with daemon.restarts(1):
        edits.append(place.tree / "src/a.py")


def test_fi05_gits_default_excludes_file(place: Place, watch: Watch) -> None:
    Repository(place, place.tree)
    build(place.home, {".config/git/ignore": "*.mine\n"})
    daemon = watch()
    with daemon.restarts(0):
        build(place.tree, {"x.mine": "x\n", "d/x.mine": "x\n"})


def rules_settle(daemon: Daemon) -> None:
    """An edited ignore file may restart the child or not; after one more change it is in force."""
    seen = len(daemon.starts)
    edits.append(daemon.cwd / "settled.py")
    daemon.final_state_seen()
    assert len(daemon.starts) <= seen + 2


@pytest.mark.parametrize("name", [".gitignore", ".reloaderdignore"])
def test_fi06_fi07_ignore_file_edited(name: str, place: Place, watch: Watch) -> None:
    Repository(place, place.tree)
    build(place.tree, {name: "gen/\n*.txt\n", "gen/deep/a.py": "a\n", "b.txt": "b\n", "c.md": "c\n"})
    daemon = watch()
    with daemon.restarts(0):
        edits.append(place.tree / "gen/deep/a.py")
        edits.append(place.tree / "b.txt")
        build(place.tree, {"gen/new/n.py": "n\n"})
    edits.write(place.tree / name, "*.md\n")
    rules_settle(daemon)
    for changed in ("gen/deep/a.py", "gen/new/n.py", "b.txt"):
        with daemon.restarts(1):
            edits.append(place.tree / changed)
    with daemon.restarts(0):
        edits.append(place.tree / "c.md")
    edits.replace(place.tree / name, "gen/\n")
    rules_settle(daemon)
    with daemon.restarts(0):
        edits.append(place.tree / "gen/deep/a.py")
        edits.append(place.tree / "gen/new/n.py")
    with daemon.restarts(1):
        edits.append(place.tree / "c.md")
    os.unlink(place.tree / name)
    rules_settle(daemon)
    with daemon.restarts(1):
        edits.append(place.tree / "gen/deep/a.py")


@pytest.mark.needs("git")
def test_fi07_info_exclude_edited(place: Place, watch: Watch) -> None:
    Repository(place, place.tree)
    build(place.tree, {"a.txt": "a\n"})
    daemon = watch()
    edits.write(place.tree / ".git/info/exclude", "*.txt\n")
    rules_settle(daemon)
    with daemon.restarts(0):
        edits.append(place.tree / "a.txt")


def test_fi07_nested_ignore_file_appears_and_goes(place: Place, watch: Watch) -> None:
    Repository(place, place.tree)
    build(place.tree, {"d/a.txt": "a\n", "b.txt": "b\n"})
    daemon = watch()
    build(place.tree, {"d/.gitignore": "*.txt\n"})
    rules_settle(daemon)
    with daemon.restarts(0):
        edits.append(place.tree / "d/a.txt")
    with daemon.restarts(1):
        edits.append(place.tree / "b.txt")
    os.unlink(place.tree / "d/.gitignore")
    rules_settle(daemon)
    with daemon.restarts(1):
        edits.append(place.tree / "d/a.txt")


FILES = {
    "a.py": "a\n",
    "gen/m.py": "m\n",
    "node_modules/pkg/i.js": "i\n",
    "x.pyc": "x\n",
    ".hidden/h.py": "h\n",
}


@pytest.mark.parametrize(
    ("root", "edited"),
    [
        ("gen", "gen/m.py"),
        ("node_modules/pkg", "node_modules/pkg/i.js"),
        ("node_modules", "node_modules/pkg/i.js"),
        ("x.pyc", "x.pyc"),
        (".hidden", ".hidden/h.py"),
    ],
)
def test_fi10_path_that_is_ignored_but_named(root: str, edited: str, place: Place, watch: Watch) -> None:
    Repository(place, place.tree)
    build(place.tree, FILES | {".gitignore": "gen/\n"})
    daemon = watch(roots=(root, "marker.py"))
    with daemon.restarts(1):
        edits.append(place.tree / edited)
    with daemon.restarts(0):
        edits.append(place.tree / "a.py")


def test_fi10_named_file_counts_whatever_the_options_say(place: Place, watch: Watch) -> None:
    build(place.tree, {"src/a.py": "a\n", "src/b.txt": "b\n", "app.cfg": "c\n"})
    daemon = watch("--ext=py", "--ignore=*.cfg", roots=("src", "app.cfg"), marker="src/marker.py")
    with daemon.restarts(1):
        edits.append(place.tree / "app.cfg")
    with daemon.restarts(1):
        edits.replace(place.tree / "app.cfg")
    with daemon.restarts(0):
        edits.append(place.tree / "src/b.txt")


def test_fi_on_signal(place: Place, watch: Watch) -> None:
    """`--on GLOB=signal:SIG` sends the signal and leaves the run alone."""
    build(place.tree, {"a.py": "a\n", "app.conf": "c\n"})
    daemon = watch(
        "--on=*.conf=signal:USR1",
        "--on=*.css=ignore",
        read=(str(place.tree / "a.py"), str(place.tree / "marker.py")),
    )
    edits.append(place.tree / "app.conf")
    daemon.wait_record("SIGNAL", run=1, payload=10)
    assert len(daemon.starts) == 1
    with daemon.restarts(1):
        edits.append(place.tree / "a.py")
    at = len(daemon.records)
    edits.append(place.tree / "app.conf")
    daemon.wait_record("SIGNAL", run=3, payload=10, after=at)


def test_fi_every_verdict_names_its_rule(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n"})
    daemon = watch("--ext=py")
    with daemon.restarts(1):
        edits.append(place.tree / "a.py")
    assert all(one["rule"] for one in daemon.named("changed"))
    assert "py" in daemon.named("changed")[0]["rule"]
