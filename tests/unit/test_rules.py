from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloaderd.core.rules import Rules, Verdict
from reloaderd.core.rules.rules import REMEMBERED
from reloaderd.settings import On, Pattern, RuleSettings

Spec = str | On
"""`--ext py`, `--filter GLOB`, `--ignore GLOB`, or an On."""


def make(
    *specs: Spec, files: dict[str, str] | None = None, roots: Iterable[str] = ("/p",), **more: bool
) -> Rules:
    """Rules of these options, and of ignore files by their path."""
    given = [spec.split(" ", 1) for spec in specs if isinstance(spec, str)]
    options = RuleSettings(
        ext=tuple(ending for option, value in given if option == "--ext" for ending in value.split(",")),
        patterns=tuple(
            Pattern(value, option == "--filter")
            for option, value in given
            if option in ("--filter", "--ignore")
        ),
        on=tuple(spec for spec in specs if isinstance(spec, On)),
        **more,
    )
    rules = Rules(options, list(roots))
    for path, text in (files or {}).items():
        base = path.rpartition("/")[0].removesuffix("/.git/info")
        rules.load(path, base or "/", text)
    return rules


def ignored(rules: Rules, *paths: str) -> list[str]:
    """Those of the paths (below /p; a directory ends in a slash) that are ignored."""
    return [
        path
        for path in paths
        if rules.verdict(f"/p/{path.rstrip('/')}", is_dir=path.endswith("/")).action == "ignore"
    ]


def by(rules: Rules, path: str) -> tuple[str, str, str]:
    """The action, rule and origin for a path below /p."""
    verdict = rules.verdict(f"/p/{path.rstrip('/')}", is_dir=path.endswith("/"))
    return verdict.action, verdict.rule, verdict.origin


# Default ignores


DEFAULT_IGNORED = [
    *(
        ".git/",
        ".git/index",
        ".git",
        ".hg/",
        ".svn/wc.db",
        ".jj/",
        "__pycache__/",
        "a/__pycache__/m.cpython-311.pyc",
    ),
    *("m.pyc", "m.pyc.140123", "node_modules/", "a/node_modules/x/y.js", ".venv/", "venv/lib/x.py", ".tox/"),
    *(
        ".nox/",
        ".mypy_cache/x",
        ".pytest_cache/x",
        ".ruff_cache/x",
        ".coverage",
        ".coverage.host.1.2",
        "htmlcov/",
    ),
    *(
        "a.swp",
        ".a.py.swp",
        ".a.py.swx",
        ".a.py.swo",
        "a.py~",
        ".a.py.un~",
        ".#a.py",
        "#a.py#",
        "4913",
        ".a.py.kate-swp",
    ),
    *(
        "a.py___jb_tmp___",
        "a.py___jb_old___",
        ".goutputstream-X1Y2Z3",
        ".~lock.a.odt#",
        ".nfs0000001",
        ".DS_Store",
    ),
    *(
        "a.log",
        "a.pid",
        "a.sock",
        "a.sqlite3",
        "a.sqlite3-journal",
        "a.sqlite3-wal",
        "a.db",
        "a.db-shm",
        "nohup.out",
    ),
    *(".gitignore", "a/.gitignore", ".reloaderdignore", ".gitattributes", ".idea/", ".vscode/settings.json"),
    *("x.egg-info/", ".hypothesis/x"),
]

NOT_IGNORED = [
    *(
        "a.py",
        "a/b/c",
        "Makefile",
        ".env",
        ".github/",
        ".gitlab-ci.yml",
        "git",
        "49130",
        "a#b",
        "#a",
        "a.swpx",
    ),
    *(
        "logs",
        "login.py",
        "a.log.py",
        "debug",
        "pid",
        "database.py",
        "venv2/",
        "#",
        "x.coverage",
        "a.dbx",
        "egg-info",
    ),
    *("x.egg-info", "pycache/", "_jb_", ".idea", "node_modules2/", ".pycode", "4913.py"),
]


def test_fi01_default_ignores() -> None:
    assert ignored(make(), *DEFAULT_IGNORED, *NOT_IGNORED) == DEFAULT_IGNORED


@pytest.mark.parametrize(
    ("path", "rule"),
    [(".git/index", ".git"), ("a/m.pyc", "*.pyc"), (".#a", ".#*"), ("#a#", r"\#*#"), ("x/venv/a.py", "venv")],
)
def test_fi01_a_default_ignore_is_named(path: str, rule: str) -> None:
    assert by(make(), path) == ("ignore", rule, "default ignores")


def test_no_default_ignores() -> None:
    assert ignored(make(default_ignores=False), *DEFAULT_IGNORED) == []


def test_pathspec_is_imported_for_what_needs_it() -> None:
    code = r"""
import sys
from reloaderd.core.rules import Rules
from reloaderd.settings import RuleSettings
rules = Rules(RuleSettings(), ["/p"])
rules.load("/p/.gitignore", "/p", "*.py[cod]\n/a/*.c\n!x\n/b/**\n\\#c\nd/*/e\n")
rules.verdict("/p/x.swp"), rules.partition("/p", [".git"], ["a.py"])
print("pathspec" in sys.modules)
rules.load("/p/.gitignore", "/p", "a?b")
print("pathspec" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["False", "True"], run.stderr


def test_a_wildcard_does_not_bring_back_a_firm_one() -> None:
    """Whitelists as people write them; `.git` and emacs's lock links are not what they mean."""
    rules = make("--filter *.py", files={"/p/.gitignore": "*\n!*/\n!.git*\n!*.py\n!.*.swp\n"})
    paths = [".git/", ".git/config", ".#a.py", "a/.#b.py", ".a.py.swp", "node_modules/", "a/__pycache__/"]
    assert ignored(rules, *paths, "a.py", "a/", "a/b.py") == paths
    assert ignored(make(files={"/p/.gitignore": "!.git\n"}), ".git/", ".git/index") == []
    assert ignored(make("--filter 4913"), "4913") == []
    assert ignored(make(On(".#*", "restart")), ".#a") == []


def test_a_stronger_line_brings_back_the_others() -> None:
    files = {"/p/.gitignore": "*.db\n!fixtures/*.db\n", "/p/.reloaderdignore": "!app.log\n"}
    rules = make("--ignore !venv/", files=files)
    assert ignored(rules, "fixtures/a.db", "a.db", "app.log", "b.log", "venv/", "venv/a.py", ".venv/") == [
        "a.db",
        "b.log",
        ".venv/",
    ]


# Ignore files


def test_nested_ignore_files() -> None:
    rules = make(
        files={
            "/p/.git/info/exclude": "*.a\n",
            "/p/.gitignore": "!x.a\n*.b\n/c\n",
            "/p/d/.gitignore": "!*.b\n/e\n",
            "/p/d/.reloaderdignore": "keep.b\n",
        }
    )
    assert by(rules, "1.a") == ("ignore", "*.a", "/p/.git/info/exclude:1")
    assert by(rules, "x.a") == ("restart", "!x.a", "/p/.gitignore:1")
    assert by(rules, "c/y") == ("ignore", "/c", "/p/.gitignore:3")
    assert by(rules, "d/c") == ("restart", "every file", "named /p")
    assert by(rules, "d/z/1.b") == ("restart", "!*.b", "/p/d/.gitignore:1")
    assert by(rules, "d/keep.b") == ("ignore", "keep.b", "/p/d/.reloaderdignore:1")
    assert by(rules, "d/e") == ("ignore", "/e", "/p/d/.gitignore:2")


def test_excludesfile_is_the_weakest_of_gits() -> None:
    rules = make()
    assert rules.load("/home/u/.config/git/ignore", "/p", "*.x\n*.y\n/z\n")
    assert rules.load("/p/.git/info/exclude", "/p", "!*.x\n")
    assert by(rules, "a.x") == ("restart", "!*.x", "/p/.git/info/exclude:1")
    assert by(rules, "a/a.y") == ("ignore", "*.y", "/home/u/.config/git/ignore:2")
    assert ignored(rules, "z", "a/z") == ["z"]


def test_ignore_files_above_the_root() -> None:
    """They hold below it, but not for the root and what is above it."""
    files = {"/r/.gitignore": "p\n/p/build\nout/\n*.x\n", "/.gitignore": "/r/p/q\n"}
    rules = make(files=files, roots=["/r/p"])
    assert not rules.prunes("/r/p")
    assert rules.verdict("/r/p/a.py").action == "restart"
    assert rules.prunes("/r/p/build")
    assert rules.prunes("/r/p/a/out")
    assert rules.prunes("/r/p/q")
    assert rules.prunes("/r/p/p")
    assert rules.verdict("/r/p/a.x") == Verdict("ignore", 0, "*.x", "/r/.gitignore:4")


def test_fi07_a_file_is_loaded_again_and_goes() -> None:
    rules = make()
    assert rules.load("/p/.gitignore", "/p", "a\n")
    assert ignored(rules, "a", "b") == ["a"]
    assert not rules.load("/p/.gitignore", "/p", "# only a comment is new\na  \n")
    assert by(rules, "a") == ("ignore", "a", "/p/.gitignore:2")
    assert rules.load("/p/.gitignore", "/p", "b\n")
    assert ignored(rules, "a", "b") == ["b"]
    assert rules.load("/p/.gitignore", "/p", None)
    assert ignored(rules, "a", "b") == []
    assert not rules.load("/p/.gitignore", "/p", None)
    assert not rules.load("/p/c/.gitignore", "/p/c", "\n# nothing\n")


def test_what_is_remembered_is_forgotten_when_a_file_is_loaded() -> None:
    rules = make(On("*.css", "ignore"))
    for _ in range(2):  # asked twice: remembered
        assert rules.partition("/p/a", ["b"], ["c.py", "x.log"]) == (["b"], ["c.py"])
        assert ignored(rules, "a/b/c.py") == []
    rules.load("/p/a/.gitignore", "/p/a", "b/\n!x.log\n")
    assert rules.partition("/p/a", ["b"], ["c.py", "x.log"]) == ([], ["c.py", "x.log"])
    assert ignored(rules, "a/b/c.py") == ["a/b/c.py"]


def test_no_gitignore() -> None:
    rules = make(
        files={"/p/.gitignore": "a\n", "/p/.reloaderdignore": "b\n", "/p/.git/info/exclude": "c\n"},
        gitignore=False,
    )
    assert ignored(rules, "a", "b", "c") == ["b"]
    assert not rules.load("/p/.gitignore", "/p", "d\n")


def test_a_kind_that_is_not_one() -> None:
    with pytest.raises(ValueError, match="hgignore"):
        make().load("/p/.hgignore", "/p", "a\n", "hgignore")


def test_nothing_comes_back_below_an_ignored_directory() -> None:
    rules = make(files={"/p/.gitignore": "d/\n!d/keep\n", "/p/.reloaderdignore": "!d/other\n"})
    assert by(rules, "d/keep") == ("ignore", "d/", "/p/.gitignore:1")
    assert by(rules, "d/other") == ("ignore", "d/", "/p/.gitignore:1")
    rules.load("/p/.reloaderdignore", "/p", "!d/\n")
    assert ignored(rules, "d/", "d/keep", "d/x") == []


def test_stars_bring_nothing_back_from_a_weaker_source() -> None:
    rules = make(files={"/p/.gitignore": "*\n!*/\n!*.py\n", "/p/.reloaderdignore": "*.txt\n!*\n"})
    assert ignored(rules, "a/", "a/b.py", "b.py") == []
    assert ignored(rules, "a/x.c", "x.txt", ".venv/", "a/__pycache__/") == [
        "a/x.c",
        "x.txt",
        ".venv/",
        "a/__pycache__/",
    ]


# Options


def test_fi08_extensions() -> None:
    rules = make("--ext py,.html,test.js,häß", "--ext mo")
    assert ignored(rules, "a.py", "d/b.html", "c.test.js", "x.häß", "x.mo", ".py") == []
    others = ["a.PY", "apy", "py", "c.js", "test.js", "a.py.txt", "x.ha"]
    assert ignored(rules, *others) == others
    assert by(rules, "a.py") == ("restart", "--ext py,html,test.js,häß,mo", "command line")
    assert by(rules, "a.txt") == ("ignore", "--ext py,html,test.js,häß,mo", "command line")
    assert ignored(rules, "d/", "d.x/", "py/") == []


def test_an_extension_only_restricts() -> None:
    rules = make("--ext py", files={"/p/.gitignore": "generated.py\n"})
    assert by(rules, "generated.py") == ("ignore", "generated.py", "/p/.gitignore:1")
    assert ignored(rules, ".#a.py", "venv/a.py") == [".#a.py", "venv/a.py"]


def test_an_extension_lifts_the_default_ignore_of_that_ending() -> None:
    assert ignored(make("--ext log,sqlite3"), "a.log", "a.sqlite3", "a.db", "a.sqlite3-wal") == [
        "a.db",
        "a.sqlite3-wal",
    ]


def test_filters() -> None:
    rules = make("--filter *.py", "--filter conf/*.yaml", "--filter ./top", "--filter static/")
    assert ignored(rules, "a.py", "x/a.py", "conf/a.yaml", "top", "static/css/a.css", "x/static/b") == []
    others = ["a.yaml", "conf/x/a.yaml", "x/conf/a.yaml", "x/top", "a.css"]
    assert ignored(rules, *others, "x/", "conf/", "y/z/") == others
    assert by(rules, "a.py") == ("restart", "--filter *.py", "command line")
    assert by(rules, "static/css/a.css") == ("restart", "--filter static/", "command line")
    assert by(rules, "a.md")[:2] == (
        "ignore",
        "--filter *.py --filter conf/*.yaml --filter ./top --filter static/",
    )


def test_extensions_and_filters_add_up() -> None:
    rules = make("--ext py", "--filter Makefile")
    assert ignored(rules, "a.py", "Makefile", "x/Makefile", "a.c") == ["a.c"]
    assert by(rules, "a.c")[1] == "--ext py --filter Makefile"


def test_the_last_of_filter_and_ignore_wins() -> None:
    assert ignored(make("--filter *.py", "--ignore test_*"), "a.py", "test_a.py") == ["test_a.py"]
    assert ignored(make("--ignore test_*", "--filter test_m*"), "test_a", "test_m") == ["test_a"]
    assert ignored(make("--ignore *.md", "--ignore !README.md"), "a.md", "README.md", "a.py") == ["a.md"]
    assert ignored(make("--filter *.py", "--filter !b.py"), "a.py", "b.py") == ["b.py"]
    assert ignored(make("--filter !b.py"), "a.py", "b.py", "c") == ["b.py"]


def test_a_later_filter_of_a_directory_wins_over_an_ignore() -> None:
    rules = make("--ignore *.md", "--filter docs/", "--ignore *.tmp")
    assert ignored(rules, "docs/a.md", "docs/x/a.md", "a.md", "docs/a.tmp") == ["a.md", "docs/a.tmp"]


def test_an_ignore_taken_back_is_no_filter() -> None:
    rules = make("--ext py", "--ignore !venv/", "--ignore !a.txt")
    assert ignored(rules, "venv/a.py", "venv/b.txt", "a.txt", "b.txt") == ["venv/b.txt", "b.txt"]


def test_an_ignore_wins_over_the_files() -> None:
    rules = make("--ignore docs/", "--ignore /x/*.c", files={"/p/.reloaderdignore": "!docs/\n!*.c\n"})
    assert by(rules, "docs/a/b") == ("ignore", "--ignore docs/", "command line")
    assert by(rules, "x/a.c") == ("ignore", "--ignore /x/*.c", "command line")
    assert ignored(rules, "a.c", "y/x/a.c") == []


def test_a_filter_wins_over_the_files() -> None:
    rules = make("--filter *.log", "--filter gen.py", files={"/p/.gitignore": "gen.py\nout/\n"})
    assert ignored(rules, "a.log", "gen.py", "out/gen.py", "venv/x.log") == ["out/gen.py", "venv/x.log"]


def test_a_filter_of_a_whole_tree_brings_back_nothing_in_it() -> None:
    """`--filter 'src/**'` would otherwise restart for what the restart writes."""
    for glob in ("src/**", "src/", "src/**/*", "src", "*"):
        rules = make(f"--filter {glob}", files={"/p/.gitignore": "gen/\n"})
        noise = [
            "src/__pycache__/",
            "src/a.pyc",
            "src/x/a.log",
            "src/.a.swp",
            "src/gen/",
            "src/x/.git/",
            "src/gen/a.py",
        ]
        assert ignored(rules, *noise, "src/a", "src/x/", "src/x/a.py") == noise, glob


def test_a_filter_opens_the_directories_it_spells_out() -> None:
    rules = make("--filter node_modules/mine/*.js", "--ext py")
    assert ignored(rules, "node_modules/", "node_modules/mine/", "node_modules/mine/a.js", "a.py", "x/") == []
    closed = ["node_modules/other/", "node_modules/a.py", "node_modules/mine/lib/", "node_modules/mine/a.py"]
    closed += ["x/node_modules/", "node_modules/mine/lib/a.js", "a.js", ".venv/"]
    assert ignored(rules, *closed) == closed
    assert by(rules, "node_modules/") == ("restart", "--filter node_modules/mine/*.js", "command line")
    assert by(rules, "node_modules/other/") == ("ignore", "node_modules", "default ignores")
    assert rules.partition("/p/node_modules", ["mine", "other"], ["a.js"]) == (["mine"], [])


def test_a_filter_opens_what_lies_between_where_it_does_not_spell_it_out() -> None:
    rules = make("--filter build/gen/**/*.py", files={"/p/.gitignore": "build/\n"})
    assert ignored(rules, "build/", "build/gen/", "build/gen/x/", "build/gen/x/y/", "build/gen/x/a.py") == []
    closed = ["build/x/", "build/a.py", "build/gen/a.txt", "build/gen/__pycache__/", "build/gen/x/.venv/"]
    assert ignored(rules, *closed) == closed


def test_in_an_opened_directory_only_what_the_command_line_names_counts() -> None:
    rules = make("--filter node_modules/mine/*.js", "--filter *.py")
    assert ignored(
        rules, "node_modules/mine/a.py", "node_modules/other/a.py", "node_modules/other/x/a.py"
    ) == [
        "node_modules/other/a.py",
        "node_modules/other/x/a.py",
    ]
    rules = make(On("build/gen/**/*.py", "restart"), files={"/p/.gitignore": "build/\n"})
    assert rules.partition("/p/build", ["gen", "x"], ["a.py", "a.txt"]) == (["gen"], [])
    for directory in ("build/gen", "build/gen/x", "build/gen/x/y"):
        assert rules.partition(f"/p/{directory}", ["z"], ["a.py", "a.txt"]) == (["z"], ["a.py"])
        assert ignored(rules, f"{directory}/a.txt", f"{directory}/a.py") == [f"{directory}/a.txt"]


def test_a_later_ignore_closes_what_a_filter_opens() -> None:
    assert ignored(make("--filter build/a.py", "--ignore build/"), "build/", "build/a.py") == [
        "build/",
        "build/a.py",
    ]
    rules = make("--ignore build/", "--filter build/a.py")
    assert ignored(rules, "build/", "build/a.py", "build/b.py", "build/c/") == ["build/b.py", "build/c/"]


def test_the_directory_itself_is_brought_back_with_all_in_it() -> None:
    rules = make("--filter node_modules/mine/")
    assert ignored(rules, "node_modules/mine/x/a.js", "node_modules/mine/x/a.log", "node_modules/a") == [
        "node_modules/mine/x/a.log",
        "node_modules/a",
    ]


# --on


def test_on() -> None:
    rules = make(
        On("*.css", "ignore"),
        On("*.conf", "signal", signal.SIGHUP),
        On("keep.css", "restart"),
        On("x/*.q", "signal", 40),
    )
    assert rules.verdict("/p/a.css") == Verdict("ignore", 0, "--on *.css=ignore", "command line")
    assert rules.verdict("/p/x/a.conf") == Verdict(
        "signal", signal.SIGHUP, "--on *.conf=signal:HUP", "command line"
    )
    assert rules.verdict("/p/keep.css") == Verdict("restart", 0, "--on keep.css=restart", "command line")
    assert rules.verdict("/p/x/a.q") == Verdict("signal", 40, "--on x/*.q=signal:40", "command line")
    assert rules.verdict("/p/a.py") == Verdict("restart", 0, "every file", "named /p")


def test_on_with_a_notice_opens_what_git_ignores_as_a_restart_does() -> None:
    files = {"/p/.gitignore": "*.mo\n/build/\n"}
    rules = make(On("*.mo", "notify"), On("build/conf/*.yaml", "notify"), files=files)
    assert rules.verdict("/p/de.mo") == Verdict("notify", 0, "--on *.mo=notify", "command line")
    assert rules.verdict("/p/build/conf/a.yaml").action == "notify"
    assert rules.verdict("/p/build/a.py").action == "ignore"
    assert not rules.prunes("/p/build/conf")


def test_on_is_the_strongest() -> None:
    rules = make(
        *(
            "--ext py",
            "--ignore *.mo",
            On("*.mo", "restart"),
            On("local.log", "restart"),
            On("/t/b.py", "ignore"),
        ),
        files={"/p/.gitignore": "*.mo\n"},
    )
    assert ignored(rules, "a.mo", "x/local.log", "t/a.py", "t/b.py", "b.log") == ["t/b.py", "b.log"]


def test_on_ignore_prunes_a_directory() -> None:
    rules = make(On("static/", "ignore"), "--filter *.js")
    assert rules.prunes("/p/a/static")
    assert by(rules, "a/static/x.js") == ("ignore", "--on static/=ignore", "command line")


def test_on_opens_the_directories_it_spells_out() -> None:
    rules = make(On("build/app.js", "restart"), files={"/p/.gitignore": "build/\n"})
    assert ignored(rules, "build/", "build/app.js", "build/x.js", "build/d/", "x.js") == [
        "build/x.js",
        "build/d/",
    ]
    assert ignored(make(On("build/app.js", "ignore"), files={"/p/.gitignore": "build/\n"}), "build/") == [
        "build/"
    ]


def test_on_for_a_directory_is_about_what_counts_in_it() -> None:
    rules = make("--ext py", On("templates/", "signal", signal.SIGHUP))
    assert rules.verdict("/p/templates/x/a.html")[:2] == ("signal", signal.SIGHUP)
    assert ignored(rules, "templates/a.log", "templates/__pycache__/", "a.html") == [
        "templates/a.log",
        "templates/__pycache__/",
        "a.html",
    ]


def test_on_for_all_names_the_action_only() -> None:
    rules = make("--ext py", On("*", "signal", signal.SIGHUP))
    assert rules.verdict("/p/a.py").action == "signal"
    assert ignored(rules, "a.txt", ".git/", "venv/a.py", ".#a.py", "x/") == [
        "a.txt",
        ".git/",
        "venv/a.py",
        ".#a.py",
    ]


# Roots


def test_fi10_a_root_counts_even_if_it_is_ignored() -> None:
    rules = make(
        "--ignore build", files={"/p/.gitignore": "build/\n"}, roots=["/p/build", "/p/a.log", "/p/venv/x.py"]
    )
    assert not rules.prunes("/p/build")
    assert rules.verdict("/p/build/x") == Verdict("restart", 0, "every file", "named /p/build")
    assert rules.verdict("/p/a.log") == Verdict("restart", 0, "every file", "named /p/a.log")
    assert rules.verdict("/p/venv/x.py").origin == "named /p/venv/x.py"
    assert rules.verdict("/p/build/build").action == "ignore"


def test_a_root_that_is_a_file_does_what_on_says() -> None:
    for roots in (["/p/a.css", "/b.css"], ["/p", "/p/a.css", "/b.css"]):
        rules = make("--ext py", On("*.css", "signal", signal.SIGHUP), On("/b.css", "ignore"), roots=roots)
        assert rules.verdict("/p/a.css").action == "signal"
        assert rules.verdict("/b.css").action == "ignore"


def test_roots_in_roots() -> None:
    rules = make("--ignore /x", "--ext py", roots=["/p", "/p/node_modules/mine", "/p/a.log", "/p/build"],
                 files={"/p/.gitignore": "build/\n"})  # fmt: skip
    assert rules.partition("/p", ["node_modules", "build", "x"], ["a.log", "b.log", "a.py"]) == (
        ["build"],
        ["a.log", "a.py"],
    )
    assert rules.partition("/p/node_modules/mine", ["x", "y"], ["a.py"]) == (["y"], ["a.py"])
    assert ignored(rules, "node_modules/", "node_modules/mine/a.py", "node_modules/a.py") == [
        "node_modules/",
        "node_modules/a.py",
    ]


def test_patterns_are_relative_to_the_root() -> None:
    rules = make("--ignore /x", "--ignore a/b", roots=["/p", "/q"])
    assert [rules.prunes(path) for path in ("/p/x", "/q/x", "/p/y/x", "/q/a/b", "/q/z/a/b")] == [
        *(True, True, False, True, False)
    ]


def test_patterns_may_begin_with_the_path_of_the_root() -> None:
    rules = make("--ignore /p/x", "--ignore /p/gen/*", "--ignore !/p/gen/keep.py", roots=["/p", "/q"])
    assert [rules.prunes(path) for path in ("/p/x", "/q/x", "/p/p/x", "/q/p/x", "/p/y/x")] == [
        *(True, False, False, True, False)
    ]
    assert ignored(rules, "gen/a.py", "gen/keep.py") == ["gen/a.py"]
    rules = make("--filter /p/*.py", On("/p/a.css", "ignore"))
    assert ignored(rules, "a.py", "a.css", "b.css") == ["a.css", "b.css"]


def test_the_root_directory() -> None:
    rules = make("--ignore /x", "--filter usr/*.c", roots=["/"], files={"/.gitignore": "/y\nz/w\n"})
    assert rules.partition("/", ["x", "y", "usr", "z"], ["a.c"]) == (["usr", "z"], [])
    assert rules.partition("/usr", [], ["a.c"]) == ([], ["a.c"])
    assert rules.prunes("/z/w")
    assert not rules.prunes("/")


def test_what_is_below_no_root() -> None:
    rules = make()
    assert rules.verdict("/q/a.py") == Verdict("ignore", 0, "not below a PATH", "command line")
    assert rules.partition("/q", ["a"], ["b"]) == ([], [])
    assert rules.verdict("/pp/a").action == "ignore"


# Whole directories


def test_partition() -> None:
    rules = make(files={"/p/.gitignore": "/dist\n*.min.js\n!keep.min.js\na?c\n"})
    assert rules.partition(
        "/p", ["dist", ".git", "src"], ["a.py", "x.min.js", "keep.min.js", "abc", "a.log"]
    ) == (
        ["src"],
        ["a.py", "keep.min.js"],
    )
    assert rules.partition("/p/src", ["dist"], []) == (["dist"], [])


def test_what_is_remembered_is_bounded() -> None:
    rules = make("--filter *.py", files={"/p/.gitignore": "*.x\n"})
    for number in range(3 * REMEMBERED):
        rules.partition(f"/p/{number}", [f"{number}.x"], [f"{number}.py"])
        assert ignored(rules, f"{number}/a/b.py") == []
    assert len(rules._chains) <= REMEMBERED
    assert len(rules._states) <= REMEMBERED
    assert len(rules._chain("/p").known) <= REMEMBERED


def test_a_tree_deeper_than_the_stack() -> None:
    deep = "/p" + "/d" * 2000
    assert make("--filter *.py").verdict(f"{deep}/a.py").action == "restart"


NAMES = [
    "a",
    "b",
    "src",
    "build",
    "venv",
    ".git",
    "a.py",
    "b.py",
    "a.log",
    "x.css",
    ".#a.py",
    "a.pyc",
    "é.py",
]
GLOBS = [
    "*.py",
    "a",
    "b/",
    "/src",
    "src/**",
    "build/",
    "build/a/*.py",
    "*",
    "*/",
    "**/a/b",
    "a/b",
    "!a.py",
    "src/",
    "x.css",
]
GLOBS += ["venv/**/*.py", "?.py", "a*", "*.[cl]*", "/a/*", ".git/a", "*.log", "src/a.py"]
PATTERNS = st.builds(Pattern, st.sampled_from(GLOBS), st.booleans())
ONS = st.builds(
    On,
    st.sampled_from([glob for glob in GLOBS if glob[0] != "!"]),
    st.sampled_from(["restart", "ignore", "signal", "notify"]),
)
LINES = st.lists(st.sampled_from([*GLOBS, "!build/", "!*/", "!*.py"]), max_size=4).map("\n".join)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(
    options=st.builds(
        RuleSettings,
        ext=st.sampled_from([(), (), ("py",)]),
        patterns=st.lists(PATTERNS, max_size=3).map(tuple),
        on=st.lists(ONS, max_size=2).map(tuple),
        default_ignores=st.booleans(),
    ),
    files=st.dictionaries(
        st.sampled_from(["/p/.gitignore", "/p/a/.gitignore", "/p/.reloaderdignore"]), LINES
    ),
    roots=st.sampled_from([["/p"], ["/p", "/p/build"], ["/p", "/p/a/a.log", "/p/venv/a"]]),
)
def test_partition_says_what_verdict_says(
    options: RuleSettings, files: dict[str, str], roots: list[str]
) -> None:
    """On a tree of every name in every directory, two deep; and what is below a pruned one is ignored."""
    rules, other = Rules(options, roots), Rules(options, roots)
    for path, text in files.items():
        rules.load(path, path.rpartition("/")[0], text)
        other.load(path, path.rpartition("/")[0], text)
    pending = ["/p"]
    while pending:
        directory = pending.pop()
        dirs, counted = rules.partition(directory, NAMES, NAMES)
        assert dirs == [name for name in NAMES if not other.prunes(f"{directory}/{name}")]
        assert counted == [name for name in NAMES if other.verdict(f"{directory}/{name}").action != "ignore"]
        if directory.count("/") < 2:
            pending += [f"{directory}/{name}" for name in dirs[:6]]
        for name in set(NAMES[:6]) - set(dirs):
            path = f"{directory}/{name}"
            if not any(root.startswith(path) for root in roots):
                assert other.verdict(f"{path}/a.py") == other.verdict(path, is_dir=True)


def test_a_verdict_names_the_configuration_file_that_says_so() -> None:
    settings = RuleSettings(
        ("py",), (Pattern("*.md", True, "r.toml"), Pattern("x.py", False)), ext_origin="r.toml"
    )
    rules = Rules(settings, ["/p"])
    assert rules.verdict("/p/a.md").origin == rules.verdict("/p/a.py").origin == "r.toml"
    assert rules.verdict("/p/x.py").origin == "command line"
    assert rules.verdict("/p/a.css").origin == "r.toml"
