"""The README and the docs say what the program does: commands, options, tables, links, the diagram."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloaderd import cli
from reloaderd.config import keys
from reloaderd.core.rules import defaults
from reloaderd.core.transitions import Input, State
from reloaderd.doctor.options import doctor_parser
from reloaderd.errors import ConfigError
from reloaderd.options import watch_parser

TOP = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(TOP)): path.read_text(encoding="utf-8")
    for path in [*TOP.glob("*.md"), *(TOP / "docs").glob("*.md")]
}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table of a page whose first heading is `heading`, without the headings."""
    lines = iter(PAGES[page].splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            break
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert len(found) > 1, f"{page} has no table that begins with {heading!r}"
    return found[1:]


def code_lines() -> Iterator[tuple[str, str]]:
    """(page, line) of every shell line: in sh and console blocks, indented blocks and inline code."""
    for page, text in PAGES.items():
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
            for line in block.splitlines():
                if language in ("sh", ""):
                    yield page, line
                elif language == "console" and line.startswith("$ "):
                    yield page, line[2:]
        for line in re.findall(r"^ {4}(\S.*)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
            yield page, line
        for line in re.findall(r"`([^`\n]+)`", text):
            yield page, line


EXAMPLES = [
    pytest.param(line, id=f"{page}: {line}")
    for page, line in dict.fromkeys(code_lines())
    if re.match(rf"reloaderd ({'|'.join(cli.SUBCOMMANDS)})\b", line)
    and "--help" not in line
    and "PATH" not in line
    and "SERVICE" not in line
    and "NAME" not in line
    and "…" not in line
    and ";" not in line
    and "$" not in line
    and "[" not in line
    and not re.fullmatch(r"reloaderd service \w+", line)  # it is only spoken of
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 12


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    for target in targets:
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (TOP / page).parent / path if path else TOP / page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)", file.read_text(encoding="utf-8"), re.M)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{page} links to {target}"


def test_every_page_of_docs_is_linked_from_the_readme_or_another_page() -> None:
    for page in PAGES:
        if page.startswith("docs/"):
            name = page.removeprefix("docs/")
            linked = any(f"{name})" in text for other, text in PAGES.items() if other != page)
            assert linked, f"nobody links to {page}"


def test_files_that_the_readme_and_the_makefile_name_exist() -> None:
    for name in re.findall(r"`((?:examples|systemd|docs|tests|\.ci)/[\w./@-]+)`", "\n".join(PAGES.values())):
        assert (TOP / name).exists(), name


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.M))
    for page, line in code_lines():
        match = re.match(r"make ([a-z]+)\b", line)
        if match and "&&" not in line:
            assert match[1] in targets, f"{page}: {line}"


def test_the_diagram_is_the_table() -> None:
    script = runpy.run_path(str(TOP / "docs/diagram.py"))
    page = PAGES["docs/supervisor.md"]
    assert script["replaced"](page) == page, "run .venv/bin/python docs/diagram.py"


def test_the_page_of_the_supervisor_explains_every_state_and_input() -> None:
    states = [name for name, _ in rows("docs/supervisor.md", "state")]
    assert states == [state.name for state in State]
    inputs = [name for cells in rows("docs/supervisor.md", "input") for name in cells[0].split(", ")]
    assert inputs == [what.value for what in Input]


def test_the_changelog_is_in_the_form_it_names() -> None:
    headings = re.findall(r"^(##+) (.*)", PAGES["CHANGELOG.md"], re.M)
    for level, text in headings:
        if level == "##":
            assert re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", text)
        else:
            assert text in {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_no_page_leaves_a_shell_line_unbalanced() -> None:
    for page, line in code_lines():
        if line.startswith(("reloaderd ", "make ")):
            assert shlex.split(line, comments=True), page


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with the directories and the services that the examples name."""
    for name in ("src", "templates", "conf", "build", "web/src", "examples/hello"):
        (tmp_path / name).mkdir(parents=True)
    services = "".join(f"[service.{name}]\ncommand = 'x'\n" for name in ("web", "worker"))
    (tmp_path / "reloaderd.toml").write_text(services, encoding="utf-8")
    (tmp_path / "reloaderd.toml").chmod(0o644)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def accepts(line: str) -> bool:
    return not isinstance(cli.parse(shlex.split(line, comments=True)[1:]), cli.Said)


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_a_command_line_that_reloaderd_takes(project: Path, line: str) -> None:
    assert accepts(line)


def test_the_makefile_runs_a_command_line_that_reloaderd_takes(project: Path) -> None:
    line = re.search(r"\$\(BIN\)/(reloaderd watch .*)", (TOP / "Makefile").read_text(encoding="utf-8"))
    assert line is not None
    assert accepts(line[1])


def test_the_forms_of_a_command_line_are_those_of_the_help() -> None:
    said = cli.parse(["--help"])
    assert isinstance(said, cli.Said)
    helped = re.findall(r"^(?:usage:|      ) (reloaderd .*)$", said.text, re.MULTILINE)
    page = (TOP / "docs/usage.md").read_text().partition("\n\n")[2].partition("\n\n")[0]
    shown = [line.strip() for line in page.splitlines()]
    assert shown == [line for line in helped if not line.endswith(("--help", "--version"))]


def test_the_table_of_options_is_the_parser() -> None:
    """Each option once, with its short name and its metavar, in any order."""
    wanted = set()
    for action in watch_parser()._actions:
        names = ", ".join(action.option_strings)
        wanted.add(f"`{names}`" if action.nargs == 0 else f"`{names} {action.metavar}`")
    written = [cells[0] for cells in rows("docs/usage.md", "option")]
    assert sorted(written) == sorted(wanted)


BLOCKS = re.findall(
    r"^```toml\n(.*?)^```\n(?:\n```console\n\$ reloaderd watch\n(.*?)^```)?",
    "\n".join(PAGES.values()),
    re.M | re.S,
)
"""Of each configuration: its text, and what it is said to lead to where it is wrong."""


@pytest.mark.parametrize(("text", "complaint"), BLOCKS)
def test_a_configuration_is_one_that_reloaderd_takes(project: Path, text: str, complaint: str) -> None:
    name = re.match(r"# (\S+\.toml)$", text, re.M)
    (project / "reloaderd.toml").unlink()
    path = project / (name[1] if name else "reloaderd.toml")
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    if not complaint:
        assert accepts("reloaderd watch")
        return
    with pytest.raises(ConfigError) as caught:
        accepts("reloaderd watch")
    assert [f"reloaderd: {line}" for line in caught.value.lines] == complaint.splitlines()


def test_there_are_configurations() -> None:
    assert len(BLOCKS) > 4
    assert sum(bool(complaint) for _, complaint in BLOCKS) == 1


def test_the_page_of_the_configuration_names_all_keys() -> None:
    of_all, of_a_service = keys.keys()
    told = [key for names, _ in rows("docs/configuration.md", "key") for key in re.findall(r"`(\w+)`", names)]
    assert sorted(told) == sorted(of_a_service)
    part = PAGES["docs/configuration.md"].partition("## Keys of the whole")[2].partition("```")[0]
    assert {*re.findall(r"`(\w+)`", part)} - {"true"} == {*of_all}


def test_the_defaults_in_the_table_are_those_of_the_records(project: Path) -> None:
    """A default that is written down is given explicitly: nothing may come out different."""
    plain = cli.parse(["watch", "--", "true"])
    for name, default, _ in rows("docs/usage.md", "option"):
        if re.fullmatch(r"`[^`]+`", default) and "--config" not in name:
            option = name.strip("`").split()[-2]
            assert cli.parse(["watch", option, default.strip("`"), "--", "true"]) == plain, option


def test_the_options_of_doctor_are_its_parser() -> None:
    told = re.search(r"It takes the options .*?The exit status", PAGES["docs/usage.md"], re.S)
    assert told is not None
    long = {name for name in doctor_parser()._option_string_actions if name.startswith("--")}
    assert {*re.findall(r"`(--[a-z-]+)`", told[0])} == long - {"--help", "--json"}


def test_the_readme_repeats_rows_of_the_table_of_options() -> None:
    everything = rows("docs/usage.md", "option")
    for cells in rows("README.md", "option"):
        assert cells in everything


def literals(directory: Path) -> Iterator[ast.AST]:
    for path in directory.rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_the_table_of_log_lines_is_what_is_reported() -> None:
    reported = {
        node.args[0].value
        for node in literals(TOP / "reloaderd")
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Report"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert {cells[0].strip("`") for cells in rows("docs/usage.md", "event")} == reported


def test_the_table_of_variables_is_what_a_run_gets() -> None:
    named = {
        node.value
        for node in literals(TOP / "reloaderd/core")
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"RELOADERD(_[A-Z]+)*", node.value)
    }
    assert {cells[0].strip("`") for cells in rows("docs/usage.md", "variable")} == named


def test_the_table_of_default_ignores_is_the_defaults() -> None:
    written = [re.findall(r"`([^`]+)`", patterns) for _, patterns in rows("docs/rules.md", "what")]
    firm, further = [
        {line for line in text.splitlines() if line and not line.startswith("#")}
        for text in (defaults.FIRM, defaults.FURTHER)
    ]
    assert set(sum(written[:5], [])) == firm
    assert set(sum(written[5:], [])) == further
