"""Man pages and completions, of an installed reloaderd, as a person gets to see them."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from reloaderd import cli
from tests.support import wheels
from tests.support.places import REPOSITORY

LIMIT = 30
"""Seconds for a shell to answer: it takes a fraction of one."""

PAGES = runpy.run_path(str(REPOSITORY / "docs" / "pages.py"))


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix into which a wheel of this checkout was installed."""
    place = tmp_path_factory.mktemp("installed")
    wheel = wheels.build_own(place)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--ignore-installed", "--prefix", place / "prefix", wheel], check=True)
    return place / "prefix"


def shown(page: Path) -> str:
    """A man page as `man` shows it; that nothing is wrong with it."""
    environ = {**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MANROFFOPT": "-rHY=0"}
    done = subprocess.run(
        ["man", "--warnings", "-l", page], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return re.sub("\x1b\\[[0-9;]*m|.\b", "", done.stdout)


@pytest.mark.needs("man", "groff")
def test_the_manual_has_every_option_of_every_subcommand(prefix: Path) -> None:
    page = shown(prefix / "share/man/man1/reloaderd.1")
    assert {name.partition(" ")[0] for name in PAGES["PARSERS"]} == set(cli.SUBCOMMANDS)
    for name, new_parser in PAGES["PARSERS"].items():
        _, _, text = page.partition(f"\nRELOADERD {name.upper()}\n")
        text = re.split(r"\n[A-Z]", text)[0]
        for action in new_parser()._actions:
            value = "" if action.nargs == 0 else f" {action.metavar}"
            assert f"       {', '.join(action.option_strings)}{value}" in text, name


@pytest.mark.needs("man", "groff")
def test_the_manual_says_what_the_page_on_usage_says(prefix: Path) -> None:
    page = shown(prefix / "share/man/man1/reloaderd.1")
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "LOG LINES", "SEE ALSO"):
        assert f"\n{heading}\n" in page
    assert "RELOADERD_CHANGED_COUNT\n" in page
    assert "reloaderd.toml(5)" in page
    assert "](" not in page and "**" not in page


@pytest.mark.needs("man", "groff")
def test_the_page_of_the_file_names_every_key(prefix: Path) -> None:
    from reloaderd.config.keys import keys

    page = shown(prefix / "share/man/man5/reloaderd.toml.5")
    for some in keys():
        for name in some:
            assert re.search(rf"\b{name}\b", page), name
    assert '       gate   "syntax"' in page


@pytest.mark.needs("bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("reloaderd wa", {"watch"}),
        ("reloaderd watch --skip", {"--skip-unchanged"}),
        ("reloaderd watch --backend p", {"pyinotify", "poll"}),
        ("reloaderd doctor --js", {"--json"}),
        ("reloaderd why --la", {"--last"}),
        ("reloaderd service in", {"install"}),
        ("reloaderd service install --force", {"--force"}),
    ],
)
def test_bash_completes(prefix: Path, words: str, found: set[str]) -> None:
    script = (
        f". {prefix}/share/bash-completion/completions/reloaderd; COMP_WORDS=({words});"
        ' COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_reloaderd; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True)
    assert (set(done.stdout.split()), done.stderr) == (found, "")


@pytest.mark.needs("fish")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("reloaderd wa", {"watch"}),
        ("reloaderd watch --skip", {"--skip-unchanged"}),
        ("reloaderd watch --backend p", {"pyinotify", "poll"}),
        ("reloaderd doctor --js", {"--json"}),
        ("reloaderd service in", {"install"}),
        ("reloaderd service install --force", {"--force"}),
    ],
)
def test_fish_completes(prefix: Path, tmp_path: Path, line: str, found: set[str]) -> None:
    script = f"source {prefix}/share/fish/vendor_completions.d/reloaderd.fish; complete -C '{line}'"
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(["fish", "--no-config", "-c", script], env=environ, capture_output=True, text=True)
    assert {one.partition("\t")[0] for one in done.stdout.splitlines()} == found


@pytest.mark.needs("zsh")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("reloaderd wat", "reloaderd watch "),
        ("reloaderd watch --skip", "reloaderd watch --skip-unchanged "),
        ("reloaderd watch --backend py", "reloaderd watch --backend pyinotify "),
        ("reloaderd doctor --js", "reloaderd doctor --json "),
        ("reloaderd service in", "reloaderd service install "),
    ],
)
def test_zsh_completes(prefix: Path, tmp_path: Path, line: str, found: str) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "> "}
    shell = pexpect.spawn("zsh", ["-f", "-i"], env=environ, encoding="utf-8", timeout=LIMIT)
    try:
        shell.expect("> ")
        shell.sendline(f"fpath=({prefix}/share/zsh/site-functions $fpath)")
        shell.sendline("autoload compinit; compinit -u -D; echo re''ady")
        shell.expect("ready")
        shell.send(f"{line}\t")
        shell.expect_exact(found)
    finally:
        shell.close(force=True)
