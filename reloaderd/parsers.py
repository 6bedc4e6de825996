"""A way to say what options there are: on top of argparse, with errors that are raised and values checked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from reloaderd import values
from reloaderd.errors import ReloaderdError

WIDEST = 100
"""Columns of the help: longer lines are hard to read."""

Convert = Callable[[str], Any]


class HelpWanted(Exception):
    """`--help` was met: print this text and do nothing else."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing and exiting."""

    def error(self, message: str) -> Any:
        """Called for what argparse does not raise itself."""
        raise ReloaderdError(message, f"see {self.prog} --help")


class Help(argparse.Action):
    """`--help`: raises `HelpWanted`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Found: what else is on the command line does not matter."""
        raise HelpWanted(parser.format_help())


class Once(argparse.Action):
    """Keeps one checked value: a second one is an error, as is one that the check refuses."""

    def __init__(self, *args: Any, convert: Convert = str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.convert = convert

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the value, or the constant of an option that takes none."""
        if self.dest in namespace:
            raise ReloaderdError(f"{self.option_strings[-1]} is given twice", "leave one of them out")
        setattr(namespace, self.dest, self._value(value, option_string))

    def _value(self, value: Any, option: str | None) -> Any:
        if self.nargs == 0:
            return self.const
        try:
            return self.convert(value)
        except values.BadValue as fault:
            # --env may hold a secret: only its key is repeated
            shown = value.partition("=")[0] if self.dest == "env" else value or "''"
            raise ReloaderdError(f"{option} {shown}: {fault.message}", fault.hint) from None


class Each(Once):
    """Keeps every checked value, in the order given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the value."""
        before = getattr(namespace, self.dest, ())
        setattr(namespace, self.dest, (*before, self._value(value, option_string)))


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Options as `-n, --name NAME`, in at most `WIDEST` columns.

    The width is found without shutil, which argparse would import (4 ms) for each option added.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_width())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = ", ".join(action.option_strings)
        names = names if action.option_strings[0][1] != "-" else f"    {names}"
        return names if action.nargs == 0 else f"{names} {action.metavar}"


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return min(int(columns), WIDEST)
    try:
        return min(os.get_terminal_size(1).columns or WIDEST, WIDEST)
    except OSError:
        return WIDEST


def new_parser(subcommand: str, rest: str, description: str, epilog: str) -> Parser:
    """A parser without options for what follows `subcommand`; `rest` is what else its usage shows."""
    prog = f"reloaderd {subcommand}"
    return Parser(
        prog=prog,
        usage=f"{prog} [OPTIONS] [PATH ...]{rest}",
        description=description,
        epilog=epilog,
        formatter_class=Formatter,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )


class Group:
    """One group of options; `spec` is an option as the help shows it, `-n, --name NAME`."""

    def __init__(self, parser: argparse.ArgumentParser, title: str) -> None:
        self._group = parser.add_argument_group(title)

    def value(self, spec: str, convert: Convert, text: str) -> None:
        """An option with a value, once."""
        names, _, metavar = spec.rpartition(" ")
        self._add(names, text, action=Once, convert=convert, metavar=metavar)

    def values(self, spec: str, dest: str, convert: Convert, text: str) -> None:
        """An option with a value that may be repeated."""
        names, _, metavar = spec.rpartition(" ")
        self._add(names, text, action=Each, convert=convert, metavar=metavar, dest=dest)

    def flag(self, names: str, text: str, **more: Any) -> None:
        """An option without a value, once."""
        self._add(names, text, **{"action": Once, "nargs": 0, "const": True, **more})

    def _add(self, names: str, text: str, **more: Any) -> None:
        self._group.add_argument(*names.split(", "), help=text, **more)


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of `known` that was probably meant; empty where none is like it."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")
