from __future__ import annotations

import pytest

from reloaderd.core.ignorefiles import IgnoreFiles
from reloaderd.core.rules import Rules
from reloaderd.events import IgnoreFile, Listing
from reloaderd.settings import RuleSettings


def make(gitignore: bool = True) -> tuple[Rules, IgnoreFiles]:
    rules = Rules(RuleSettings(gitignore=gitignore), ["/p"])
    return rules, IgnoreFiles(rules)


def listing(path: str = "/p", **texts: str) -> Listing:
    """Of a directory with these ignore files, named without their dot."""
    named = {f".{name}": text for name, text in texts.items()}
    return Listing(path, 1, 0, [], list(named), [], named)


def origin(rules: Rules, path: str) -> str:
    """Where the rule stands that decides for `path`."""
    return rules.verdict(path).origin


@pytest.mark.parametrize("name", ["gitignore", "reloaderdignore"])
def test_what_is_in_a_tree_comes_with_the_listing_of_its_directory(name: str) -> None:
    rules, files = make()
    assert files.load_listed(listing(path="/p/a", **{name: "/x.py\n"}))
    assert origin(rules, "/p/a/x.py") == f"/p/a/.{name}:1"
    assert rules.verdict("/p/x.py").action == "restart"


def test_each_kind_keeps_its_strength() -> None:
    rules, files = make()
    files.load_listed(listing(gitignore="x.py\n", reloaderdignore="!x.py\n"))
    assert rules.verdict("/p/x.py").action == "restart"
    assert origin(rules, "/p/x.py") == "/p/.reloaderdignore:1"


def test_a_listing_without_ignore_files_changes_nothing() -> None:
    _, files = make()
    assert not files.load_listed(listing())
    files.load_listed(listing(path="/p/a", gitignore="x.py\n"))
    assert not files.load_listed(listing(path="/p/b"))


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("x.py\n", "y.py\n", True),
        ("x.py\n", "x.py\n", False),
        ("x.py\n", "# x\nx.py\n", False),
        ("", "x", True),
    ],
)
def test_a_listing_tells_whether_the_rules_changed(before: str, after: str, changed: bool) -> None:
    _, files = make()
    files.load_listed(listing(gitignore=before))
    assert files.load_listed(listing(gitignore=after)) is changed


def test_one_of_two_that_changed_changes_the_rules() -> None:
    for texts in ({"gitignore": "x", "reloaderdignore": "c"}, {"gitignore": "a", "reloaderdignore": "x"}):
        _, files = make()
        files.load_listed(listing(gitignore="a", reloaderdignore="c"))
        assert files.load_listed(listing(**texts))


@pytest.mark.parametrize("path", ["/p", "/"])
def test_one_that_is_not_listed_any_more_is_gone(path: str) -> None:
    rules = Rules(RuleSettings(), [path])
    files = IgnoreFiles(rules)
    inside = f"{path.rstrip('/')}/x.py"
    files.load_listed(listing(path=path, gitignore="/x.py\n"))
    assert rules.verdict(inside).action == "ignore"
    assert origin(rules, inside) == f"{path.rstrip('/')}/.gitignore:1"
    assert files.load_listed(listing(path=path))
    assert rules.verdict(inside).action == "restart"
    assert not files.load_listed(listing(path=path))


def test_one_that_comes_back_counts_again() -> None:
    rules, files = make()
    for texts in ({"gitignore": "x.py"}, {}, {"gitignore": "x.py"}):
        files.load_listed(listing(**texts))
    assert rules.verdict("/p/x.py").action == "ignore"


def test_git_s_are_left_out_where_they_are_not_wanted() -> None:
    rules, files = make(gitignore=False)
    assert not files.load_listed(listing(gitignore="x.py\n"))
    assert files.load_listed(listing(reloaderdignore="y.py\n"))
    assert [rules.verdict(f"/p/{name}").action for name in ("x.py", "y.py")] == ["restart", "ignore"]


# Those above or beside the tree

ABOVE = IgnoreFile("/.gitignore", "/", "gitignore", "x.py\n")
EXCLUDE = IgnoreFile("/.git/info/exclude", "/", "exclude", "y.py\n")
PERSONAL = IgnoreFile("/home/me/any name", "/", "excludesfile", "z.py\n")
MISSING = IgnoreFile("/q/.gitignore", "/", "gitignore", None)


@pytest.mark.parametrize(
    ("file", "name"), [(ABOVE, "x.py"), (EXCLUDE, "y.py"), (PERSONAL, "z.py")], ids=lambda one: str(one)[:20]
)
def test_those_of_the_repository_and_of_the_person_count(file: IgnoreFile, name: str) -> None:
    rules, files = make()
    assert files.load_found([file])
    assert origin(rules, f"/p/{name}") == f"{file.path}:1"


def test_those_found_again_as_they_were_change_nothing() -> None:
    _, files = make()
    assert files.load_found([ABOVE, EXCLUDE])
    assert not files.load_found([ABOVE, EXCLUDE])
    assert files.load_found([ABOVE._replace(text="a"), EXCLUDE])
    assert files.load_found([ABOVE._replace(text="a"), EXCLUDE._replace(text="b")])


def test_one_that_is_missing_is_waited_for() -> None:
    rules, files = make()
    assert not files.load_found([MISSING])
    assert files.is_outside(MISSING.path)
    assert files.load_again(MISSING.path, "x.py\n")
    assert rules.verdict("/p/x.py").action == "ignore"


def test_one_that_was_edited_is_read_with_the_base_and_the_kind_that_it_had() -> None:
    rules, files = make()
    files.load_found([PERSONAL._replace(base="/p"), ABOVE])
    assert files.load_again(PERSONAL.path, "/a.py\n!x.py\n")
    assert rules.verdict("/p/a.py").action == "ignore"
    assert origin(rules, "/p/x.py") == "/.gitignore:1"


def test_one_that_was_removed_ignores_nothing() -> None:
    rules, files = make()
    files.load_found([ABOVE])
    assert files.load_again(ABOVE.path, None)
    assert rules.verdict("/p/x.py").action == "restart"
    assert not files.load_again(ABOVE.path, None)


def test_what_a_listing_brings_is_not_outside() -> None:
    _, files = make()
    files.load_listed(listing(gitignore="x.py\n"))
    files.load_found([ABOVE])
    assert files.is_outside("/.gitignore")
    assert not files.is_outside("/p/.gitignore")


def test_a_personal_one_is_the_weakest_whatever_its_name() -> None:
    rules, files = make()
    files.load_found([PERSONAL._replace(path="/home/me/.gitignore"), EXCLUDE._replace(text="!z.py\n")])
    assert rules.verdict("/p/z.py").action == "restart"
