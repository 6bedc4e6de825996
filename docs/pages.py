"""Makes the man pages and the completions of shells, from the parsers and from the pages beside it.

`python docs/pages.py DIRECTORY` writes them as they lie below a prefix; the build of the package does the
same (setup.cfg, cmdclass).  What is said in help texts and in the docs is said there alone.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import shtab
from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree
from myst_parser.docutils_ import Parser as Markdown
from setuptools import Command
from setuptools.command.build import build

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # the package that is built, not one that is installed

import reloaderd  # noqa: E402
from reloaderd.control.options import COMMANDS, control_parser, explain_parser  # noqa: E402
from reloaderd.doctor.options import doctor_parser  # noqa: E402
from reloaderd.options import watch_parser  # noqa: E402
from reloaderd.units.options import install_parser, list_parser, remove_parser  # noqa: E402
from reloaderd.values import Choice  # noqa: E402

PARSERS = {
    "watch": watch_parser,
    **{name: partial(control_parser, name) for name in COMMANDS},
    "explain": explain_parser,
    "doctor": doctor_parser,
    "service install": install_parser,
    "service list": list_parser,
    "service remove": remove_parser,
}
"""What there is to call, in the order of the manual."""

NAME = "keeps commands running and restarts them when the files they depend on change"
NAME_OF_FILE = "what reloaderd runs and watches"

COMPLETIONS = {
    "bash": "share/bash-completion/completions/reloaderd",
    "zsh": "share/zsh/site-functions/_reloaderd",
    "fish": "share/fish/vendor_completions.d/reloaderd.fish",
}
"""Where each shell looks for those of a program of this name."""

MARKDOWN = {"myst_enable_extensions": ["deflist"], "myst_suppress_warnings": ["myst.xref_missing"]}


class BuildPages(Command):
    """Makes them where `data_files` of setup.cfg finds them, along with whatever else is built."""

    user_options: list[tuple[str, str, str]] = []

    def initialize_options(self) -> None:
        """There are none."""

    def finalize_options(self) -> None:
        """There are none."""

    def run(self) -> None:
        """Write all of them."""
        write(Path("build/pages"))


build.sub_commands.append(("build_pages", None))


def write(prefix: Path) -> None:
    """Write all of them below this directory."""
    for place, text in pages().items():
        file = prefix / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Each by its place below a prefix (file-hierarchy(7), man-db, and what the shells document)."""
    made = {
        "share/man/man1/reloaderd.1": roff("reloaderd", 1, NAME, command_page()),
        "share/man/man5/reloaderd.toml.5": roff("reloaderd.toml", 5, NAME_OF_FILE, file_page()),
    }
    return made | {place: completion(shell) for shell, place in COMPLETIONS.items()}


# Man pages


def command_page() -> str:
    """reloaderd(1) as Markdown."""
    usage = sections("usage.md")
    calls, _, introduction = usage.pop("").strip("\n").partition("\n\n")
    parts = ["# SYNOPSIS", calls, "# DESCRIPTION", introduction]
    for name, parser in PARSERS.items():
        parts += [f"# RELOADERD {name.upper()}", *options(parser())]
    for title, text in usage.items():
        if title != "Options":
            parts += [f"# {title.upper()}", text]
    control = sections("control.md")
    parts += ["# TALKING TO ONE THAT RUNS", control.pop("").partition("\n\n")[2]]
    parts += [part for title, text in control.items() for part in (f"## {title}", text)]
    parts += ["# SEE ALSO", "**reloaderd.toml**(5), **inotify**(7), **systemd.service**(5)"]
    return "\n\n".join(parts)


def file_page() -> str:
    """reloaderd.toml(5) as Markdown."""
    found = sections("configuration.md")
    calls, _, introduction = found.pop("").strip("\n").partition("\n\n")
    parts = ["# SYNOPSIS", calls, "# DESCRIPTION", introduction]
    parts += [part for title, text in found.items() for part in (f"# {title.upper()}", text)]
    return "\n\n".join([*parts, "# SEE ALSO", "**reloaderd**(1)"])


def sections(page: str) -> dict[str, str]:
    """The texts of a page by the headings that they stand under; by "" what comes first."""
    text = (DOCS / page).read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)\n", re.sub(r"\A# .*\n", "", text), flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The help of a parser as Markdown."""
    yield escaped(parser.description or "")
    for group in parser._action_groups:
        if group._group_actions:
            yield f"## {escaped(str(group.title))}"
            yield "\n\n".join(map(option, group._group_actions))
    before, _, examples = (parser.epilog or "").partition("examples:\n")
    examples, _, after = examples.partition("\n\n")
    yield escaped(before)
    if examples:
        yield "## examples"
        yield f"```\n{re.sub('^  ', '', examples, flags=re.M)}\n```"
    yield escaped(after)


def option(action: argparse.Action) -> str:
    """One option: its names, its value, and the help as its definition."""
    value = "" if action.nargs == 0 else f" *{escaped(str(action.metavar))}*"
    names = ", ".join(f"**{escaped(name)}**" for name in action.option_strings)
    return f"{names}{value}\n: {escaped(str(action.help))}"


def escaped(text: str) -> str:
    """The text so that Markdown takes all of it literally."""
    return re.sub(r"([\\`*_{}\[\]<>#|~-])", r"\\\1", text)


def roff(title: str, section: int, purpose: str, text: str) -> str:
    """A man page of Markdown."""
    settings = {**MARKDOWN, "report_level": 3, "halt_level": 3}
    document = publish_doctree(without_links(text), parser=Markdown(), settings_overrides=settings)
    for table in list(document.findall(nodes.table)):
        table.replace_self(definitions(table))
    document.insert(0, [nodes.title("", title), nodes.subtitle("", purpose), about(section)])
    made: bytes = publish_from_doctree(document, writer="manpage", settings_overrides=settings)
    return made.decode("utf-8").replace(".SH Name\n", ".SH NAME\n")


def about(section: int) -> nodes.docinfo:
    """What the head and the foot of a man page show."""
    day = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))  # reproducible-builds.org
    texts = {
        "manual_section": str(section),
        "manual_group": "reloaderd",
        "version": f"reloaderd {reloaderd.__version__}",
        "date": time.strftime("%Y-%m-%d", day),
    }
    fields = [
        nodes.field("", nodes.field_name("", name), nodes.field_body("", nodes.paragraph("", text)))
        for name, text in texts.items()
    ]
    return nodes.docinfo("", *fields)


def without_links(text: str) -> str:
    """Where a page of the docs is meant, its name stands; the file's own page has a man page."""
    text = re.sub(r"\[(?:configuration\.md)\]\([^)]*\)", "**reloaderd.toml**(5)", text)
    return re.sub(r"\[([^]]*)\]\([^)\s]+\)", r"\1", text)


def definitions(table: nodes.table) -> nodes.definition_list:
    """A table as a list: what the first column names, and what the others say of it."""
    items = []
    for row in table.findall(nodes.row):
        if isinstance(row.parent, nodes.thead):
            continue
        first, *others = (cell.children for cell in row.findall(nodes.entry))
        term = nodes.term("", "", *(part for cell in first for part in cell.children))
        items.append(nodes.definition_list_item("", term, nodes.definition("", *filled(others))))
    return nodes.definition_list("", *items)


def filled(cells: Iterable[Any]) -> list[Any]:
    """The paragraphs of the cells that are not empty; one at least."""
    return [part for cell in cells for part in cell] or [nodes.paragraph("", "(nothing more)")]


# Completions


def completion(shell: str) -> str:
    """What completes the command lines of this shell."""
    top = argparse.ArgumentParser(prog="reloaderd", add_help=False)
    top.add_argument("-h", "--help", action="store_true", help="show what there is")
    top.add_argument("-V", "--version", action="store_true", help="show the version")
    subcommands = {"": top.add_subparsers()}
    for name, new_parser in PARSERS.items():
        parser = new_parser()
        parser.description = brief(" ".join((parser.description or "").split()))
        for action in parser._actions:
            complete(action)
        if name not in COMMANDS:  # which take a NAME
            parser.add_argument("word", nargs="*", help="PATH").complete = shtab.FILE  # type: ignore[attr-defined]
        above, _, last = name.rpartition(" ")
        if above not in subcommands:
            group = argparse.ArgumentParser(description="services of your systemd", add_help=False)
            subcommands[above] = group.add_subparsers()
            put(subcommands[""], above, group)
        put(subcommands[above], last, parser)
    text: str = shtab.complete(top, shell=shell)
    return text


def put(subcommands: Any, name: str, parser: argparse.ArgumentParser) -> None:
    """Have a parser that is there for a subcommand: add_parser would make one."""
    subcommands._name_parser_map[name] = parser
    subcommands._choices_actions.append(argparse.Action([], name, help=parser.description))


def complete(action: argparse.Action) -> None:
    """Have the values of an option completed, and little said of it."""
    action.help = brief(action.help or "")
    if action.metavar in ("FILE", "DIR"):
        action.complete = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
    check = getattr(action, "convert", None)
    if isinstance(check, Choice):
        action.choices = check.words


def brief(text: str) -> str:
    """The first thing that a text says."""
    return re.split(r"\. |\.$|;| \(|: ", text)[0]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
