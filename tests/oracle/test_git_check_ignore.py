"""The rules of git's own ignore files, against `git check-ignore`: what is ignored, and by which line."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reloaderd.core.rules import Rules
from reloaderd.settings import RuleSettings

pytestmark = pytest.mark.needs("git")

ONLY_GIT = RuleSettings(default_ignores=False)

EXCEPTIONS = {
    # gitignore(5): "Other consecutive asterisks are considered regular asterisks".  git itself cuts off
    # the literal beginning of a pattern first and then takes `**` for the start of what is left.
    ("a/b**/c", "a/bz/y/c"): True,
    # pathspec ends a set at the first `]`, escaped or not, and keeps a backslash as a member.
    (r"[\]]x", "]x"): True,
    # A reversed range: git takes its first character, which is how its loop happens to run.
    ("[z-a]x", "zx"): True,
    # A class that is not one: git gives up, pathspec reads a set of `[`, `:` and letters.
    ("[[:nope:]]x", ":]x"): False,
    # A slash in a set: we split at slashes first.  git's set never matches a slash either.
    ("[a/b]x", "ax"): True,
}
"""Where we disagree, and why it stays: pattern and path, and what git says."""


class Repository:
    """A git repository whose files are only names: `check-ignore --no-index` looks at no content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = str(path)
        self.excludes = path.parent / f"{path.name}.excludes"
        # No configuration, no ignore file of the machine or of who runs this.
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(path.parent / "nobody"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(path.parent),
        }
        path.mkdir()
        self.git("init", "--quiet")
        self.git("config", "core.excludesFile", str(self.excludes))
        self.git("config", "core.ignoreCase", "false")
        (path / ".git" / "info").mkdir(exist_ok=True)

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        run = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=self.environ,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert run.returncode in (0, 1), run.stderr.decode(errors="replace")  # 1: none is ignored
        return run.stdout

    def clear(self) -> None:
        """Everything but the repository."""
        self.excludes.unlink(missing_ok=True)
        (self.path / ".git" / "info" / "exclude").unlink(missing_ok=True)
        for entry in self.path.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def write(self, place: str, text: str) -> None:
        """`place` is "excludesfile", "exclude" or the directory of a .gitignore."""
        path, _, _ = self.where(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(text))

    def where(self, place: str) -> tuple[Path, str, str]:
        """The file, the directory its patterns are relative to, and its kind."""
        if place == "excludesfile":
            return self.excludes, self.root, place
        if place == "exclude":
            return self.path / ".git" / "info" / "exclude", self.root, place
        directory = self.path / place
        return directory / ".gitignore", str(directory), "gitignore"

    def check(self, paths: Iterable[str]) -> dict[str, tuple[bool, str]]:
        """For each relative path (a directory ends in a slash): ignored, and the deciding `file:line`.

        git looks itself whether it is a directory; given the slash, it asks the directory's own file too.
        """
        stdin = b"".join(os.fsencode(path.rstrip("/")) + b"\0" for path in paths)
        fields = self.git("check-ignore", "-z", "-v", "-n", "--no-index", "--stdin", stdin=stdin).split(b"\0")
        found = {}
        for source, line, pattern, path in zip(*(fields[start::4] for start in range(4)), strict=False):
            origin = f"{os.path.join(self.root, os.fsdecode(source))}:{line.decode()}" if source else ""
            name = os.fsdecode(path)
            found[name + "/" * (self.path / name).is_dir()] = (
                bool(source) and not pattern.startswith(b"!"),
                origin,
            )
        return found


def ours(
    repository: Repository, texts: Mapping[str, str], paths: Iterable[str]
) -> dict[str, tuple[bool, str]]:
    """The same of our own rules; an origin only where a line decided."""
    rules = Rules(ONLY_GIT, [repository.root])
    for place, text in texts.items():
        path, base, kind = repository.where(place)
        rules.load(str(path), base, text, kind)
    found = {}
    for path in paths:
        verdict = rules.verdict(f"{repository.root}/{path.rstrip('/')}", is_dir=path.endswith("/"))
        origin = "" if verdict.rule == "every file" else verdict.origin
        found[path] = (verdict.action == "ignore", origin)
    return found


def agree(repository: Repository, texts: Mapping[str, str], paths: Iterable[str]) -> None:
    """Make the trees and ask both."""
    repository.clear()
    paths = sorted(set(paths))
    for path in paths:
        target = repository.path / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    for place, text in texts.items():
        repository.write(place, text)
    expected = repository.check(paths)
    assert expected.keys() == set(paths)
    assert ours(repository, texts, paths) == expected


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("oracle") / "repository")


CORPUS: dict[str, tuple[str, str]] = {
    "names": (
        "foo\nbar/\n*.pyc\n",
        "foo x/foo y/foo/y bar x/bar/ x/bar/z bar.pyc .pyc pyc x.pyc/ x.pyc/y y/foo/",
    ),
    "leading slash": ("/foo\n/bar/\n/*.c\n", "foo x/foo bar/ bar/x x/bar/y a.c x/a.c"),
    "inner slash": ("a/b\na/c/\nd/*.py\n", "a/b x/a/b a/c/e x/a/c/d a/c2/ d/x.py d/e/x.py e/d/x.py"),
    "two stars": (
        "**/foo\n**/a/b\nk/**\nm/**/n\n**/o/**/p/**/q\nr/**/\n",
        "foo x/foo a/b x/a/b x/y/a/b k/ k/x k/y/y m/n m/x/n m/x/y/n m/nn"
        " o/p/q z/o/x/p/x/y/q o/r r/ r/x r/y/ r/y/z",
    ),
    "all stars": ("*\n!*/\n!*.py\n", "a b.py c/ c/d c/e.py c/f/ c/f/g.py"),
    "only two stars": ("**\n!/keep\n", "keep a b/ b/c"),
    "slash and stars": ("/*\n!/src\n/src/*\n!/src/*.py\n", "keep/x src/ src/a src/a.py src/b/ src/b/a.py"),
    "stars within": ("a*b\n*x*y*\nq**r\n/s*t/u*v\n", "ab aXb abc xy 1x2y3 x qr q1r st/uv s1t/u2v s/t/u/v"),
    "re-included": ("*.log\n!keep.log\n!d/\nd/x\n", "a.log keep.log d/ d/x d/keep.log d/a.log"),
    "not below an ignored directory": ("d/\n!d/keep\n!e/keep\ne/*\n", "d/keep d/ e/keep e/x"),
    "last wins": ("a\n!a\na\n!b\nb\n!b\n", "a b x/a x/b"),
    "questions": ("?\n??.c\na?/b\nx?*/*?/c\n", "b ab x.c xy.c .c ax/b a/b xx/a xy/yz/c x/yz/c xyz/xyz/c"),
    "sets": (
        "[ab]1\n[!ab]2\n[^ab]3\n[a-cx]4\n[]x]5\n[a-]6\n[^]]7\n*.py[cod]\n[A-Z][0-9]*8\n",
        "a1 b1 c1 a2 c2 a3 c3 b4 x4 d4 ]5 x5 a6 -6 b6 ]7 a7 m.pyc m.pyo m.py m.pyx A08 Z0x8 a08",
    ),
    "sets match no slash": ("b[!x]b/c\nf[.-0]d/e\n*/g[!x]h\n", "b/b/c bxb/c byb/c f/d/e f.d/e a/g/h a/gh"),
    "classes": ("[[:digit:]]a\n[^[:alpha:]]b\n[[:space:][:upper:]_]c\n", "1a aa 1b ab _b _c Xc xc"),
    "sets that Python reserves": ("[[a]1\n[a&&b]2\n[a||b]3\n[~~]4\n", "[1 a1 b1 &2 a2 |3 a3 ~4 a4"),
    "sets that are not closed": ("[a\n[\n[!\nb[\n", "[a a [ b[ b"),
    "escapes": (
        "\\#a\n\\!b\n\\*c\n\\[d]\nx\\?y\ne\\\\f\ng\\h\n\\a\\b\n",
        "#a !b *c xc [d] x?y xzy e\\f gh ab",
    ),
    "an escape of nothing": ("a\\\n*b\\\n?c\\\n", "a a\\ b b\\ xc xc\\"),
    "an escaped slash": ("a\\/b\nc\\/?\n", "a/b x/a/b c/d"),
    "comments and blanks": ("#a\n\n  \n #b\n a\nb #c\n", "#a a b c"),
    "spaces at the end": ("a  \nb\\ \nc \\ \nd\\  \ne\t\n?f \n?g\\ \n", "a b c d e f g"),
    "spaces within": ("a b\n*x y\n", "ab a x"),
    "ends of lines": ("a\r\nb\r\n*.c\rd\r\n!\r\n", "a b x.c"),
    "a mark of byte order": ("\ufeffa\nb\n", "a b"),
    "no end of line": ("a\nb", "a b"),
    "nothing": ("/\n//\n!\n!/\n\\\n/ \na//b\n//c\n", "d b/ a/b c"),
    "exclamations": ("!!a\n!\\!b\n\\!c\nd\n!d\n", "!a !b !c d a"),
    "a directory or a file": ("d/\n!d\n*/\n/e/\n", "d d2/ e/ x/e/ f"),
    "a file is no directory": ("build/\n", "build x/build/"),
    "hidden": (
        ".*\n!.gitkeep\n*~\n.#*\n\\#*#\n*___jb_*___\n",
        ".a .gitkeep a~ .#a #a# a___jb_tmp___ ___jb____",
    ),
    "not ASCII": ("é\n*.ü\n?x\n??y\nz/[ñ]\nä/*\nß*\n", "é ä.ü ix éx éy abx z/ñ ä/x ßx"),
    "control characters": ("a\x01b\n*\x7f\n", "a\x01b x\x7f"),
    "with a dot": ("./a\na/./b\n../c\n", "x a/b c"),
    "case": ("Foo\n*.TXT\n/[A-Z]*\n", "foo Foo a.txt a.TXT Bar bar"),
    "regular expressions": (
        "a.c\na+b\n(x)\n{y}\n^z$\na|b\n*.(d)\n?.e|f\n",
        "abc a.c aab a+b (x) {y} ^z$ a|b x.(d) 1.e|f",
    ),
    "python": (
        "__pycache__/\n*.py[cod]\n*$py.class\n.env\nbuild/\n/site\ndocs/_build/\n*,cover\n",
        "a.pyc __pycache__/ p/__pycache__/m.pyc m$py.class .env x/.env build/a x/build/a site x/site"
        " docs/_build/h x/docs/_build/h a,cover",
    ),
    "node": (
        "logs\n*.log*\nreport.[0-9]*.[0-9]*.json\n.env.*\n!.env.example\n.yarn/*\n!.yarn/patches\nlib-cov\n",
        "logs/ logs/a x.log.1 report.1.2.json report.a.b.json .env.x .env.example .yarn/a .yarn/patches/p",
    ),
    "a long run of stars": (
        "*a*a*a*a*a*a*a*b\n?*a*a*a*a*a*b\nx/*a*a*a*a*b\n",
        f"{'a' * 40} {'a' * 40}b x/{'a' * 30}",
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_agrees_on_the_corpus(repository: Repository, name: str) -> None:
    text, paths = CORPUS[name]
    agree(repository, {"": text}, paths.split(" "))


def test_names_with_white_space(repository: Repository) -> None:
    text = "a b\nc\\ \nd \\ \n*\te\n*f g\nh?\\ \n[ ]i\nj?\t\nk\\\\ \n"
    agree(
        repository,
        {"": text},
        ["a b", "c ", "c", "d  ", "\te", "xf g", "hx ", "hx", " i", "jx\t", "jx", "k\\"],
    )


def test_names_with_a_newline(repository: Repository) -> None:
    agree(
        repository,
        {"": "a?b\n*.c\nd/**/e?\nf*g\n"},
        ["a\nb", "x\n.c", "d/\n/ex", "d/x\ny/ez", "f\ng", "a\nbx"],
    )


def test_names_that_are_not_text(repository: Repository) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    agree(
        repository,
        {"": f"{odd}\n*.{odd}\n?x\n??y\nd/{odd}?\n"},
        [odd, f"a.{odd}", f"{odd}x", f"{odd}y", f"d/{odd}z"],
    )


def test_several_files(repository: Repository) -> None:
    texts = {
        "excludesfile": "*.a\n*.b\n!*.c\n/e\n",
        "exclude": "!*.a\n*.c\n/f\nd/deep/x\n",
        "": "*.d\n!x.b\n/d/g\n",
        "d": "!*.d\n*.b\n/h\nx/y\n!/g\n",
        "d/x": "*.d\n!y\n/z\n",
    }
    places = ["", "d/", "d/x/", "d/deep/", "other/"]
    names = ["1.a", "1.b", "x.b", "1.c", "1.d", "e", "f", "g", "h", "x", "y", "z"]
    agree(repository, texts, [place + name for place in places for name in names if place + name != "d/x"])


@pytest.mark.parametrize(("pattern", "path"), EXCEPTIONS)
def test_known_exceptions(repository: Repository, pattern: str, path: str) -> None:
    """Each still is one: where git or pathspec changes, or we do, the list is to be mended."""
    with pytest.raises(AssertionError):
        agree(repository, {"": pattern + "\n"}, [path])
    assert repository.check([path])[path][0] == EXCEPTIONS[pattern, path]


NAMES = st.sampled_from(["a", "b", "ab", "ba", "a.b", ".a", "aa", "b.a.b", "é", "a b", "A", "1", "#a", "!b"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)

ATOMS = [
    "a",
    "b",
    "a",
    "b",
    ".",
    "*",
    "*",
    "?",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-b]",
    "[.-b]",
    "[]a]",
    "é",
    "A",
    "1",
    " ",
]
ATOMS += ["\\a", "\\*", "\\#", "\\!", "#", "!", "[[:alpha:]]", "[[:digit:]a]"]
COMPONENTS = st.one_of(
    NAMES, st.just("**"), st.just("*"), st.lists(st.sampled_from(ATOMS), min_size=1, max_size=4).map("".join)
)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    body = "/".join(draw(st.lists(COMPONENTS, min_size=1, max_size=4)))
    pattern = (
        draw(st.sampled_from(["", "", "", "!", "/", "!/"])) + body + draw(st.sampled_from(["", "", "/"]))
    )
    # EXCEPTIONS: two stars that share a component with something else.
    return re.sub(r"(?<=[^/!*])\*\*+|\*\*+(?=[^/*])|(?<=!.)\*\*+(?=[^/])", "*", pattern)


TEXTS = st.lists(patterns(), max_size=6).map(lambda lines: "".join(f"{line}\n" for line in lines))


def tree(files: Iterable[str]) -> Iterator[str]:
    """Of these paths the ones that can be together, and their directories."""
    taken: dict[str, bool] = {}  # whether it is a directory
    for path in files:
        parents = [path[:at] for at in range(len(path)) if path[at] == "/"]
        if path in taken or any(taken.get(parent) is False for parent in parents):
            continue
        taken.update(dict.fromkeys(parents, True))
        taken[path] = False
    for path, is_dir in taken.items():
        yield f"{path}/" if is_dir else path


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    texts=st.dictionaries(
        st.sampled_from(["excludesfile", "exclude", "", "a", "a/b", "b"]), TEXTS, min_size=1, max_size=4
    ),
    files=st.lists(PATHS, min_size=5, max_size=40),
)
def test_agrees_on_generated_trees(repository: Repository, texts: dict[str, str], files: list[str]) -> None:
    # The directories that hold a .gitignore are there.
    holders = [f"{place}/1" for place in ("a/b", "b") if any(key.startswith(place[0]) for key in texts)]
    agree(repository, texts, tree([*holders, *files]))


def test_agrees_on_many_patterns_at_once(repository: Repository) -> None:
    """One file with hundreds of lines: the last of many that match."""
    dice = random.Random(2)
    pieces = ["a", "b", "ab", "*", "a*", "*b", "?", "[ab]", "*.a", "a.b", "**"]
    lines = []
    for _ in range(400):
        body = "/".join(dice.choice(pieces) for _ in range(dice.choice([1, 2, 2, 3, 3, 4])))
        lines.append(dice.choice(["", "", "!", "!", "/", "!/"]) + body + dice.choice(["", "", "", "/"]))
    names = ["a", "b", "ab", "ba", "a.b", "b.a", "c"]
    files = ["/".join(dice.choice(names) for _ in range(dice.randint(1, 5))) for _ in range(1500)]
    for start in range(0, 400, 40):
        agree(
            repository,
            {"": "\n".join(lines[start : start + 40]), "a": "\n".join(lines[:7])},
            tree(["a/1", *files]),
        )
