"""Turns the command line into `Settings`, or into one line that says what is wrong with it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from reloaderd import __version__, assembly, paths, values
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.parsers import HelpWanted, Parser, nearest
from reloaderd.settings import ConfigSettings, DoctorSettings, Settings
from reloaderd.wording import words

OVERVIEW = """\
reloaderd keeps a command running and restarts it when the files it depends on change.

usage: reloaderd watch [OPTIONS] [PATH ...] -- COMMAND [ARG ...]
       reloaderd watch [OPTIONS] [--config FILE] [SERVICE ...]
       reloaderd doctor [OPTIONS] [PATH ...]
       reloaderd watch --help
       reloaderd --version

For example, to run app.py and restart it when something in ./src changes:

    reloaderd watch src -- python app.py

and to see what would be watched, what is ignored, and whether the limits suffice:

    reloaderd doctor src

All options, with more examples: reloaderd watch --help
"""

SUBCOMMANDS = ("watch", "doctor")

USAGE = "reloaderd watch [PATH ...] -- COMMAND [ARG ...]"

NO_COMMAND = f"put -- before the command: {USAGE}; or have a reloaderd.toml"


class Said(NamedTuple):
    """The answer is a text to print (on stderr, where `status` is not 0) and nothing to run."""

    text: str
    status: int


def parse(argv: Sequence[str]) -> Settings | DoctorSettings | Said:
    """What the arguments after the program's name ask for.

    Raises `ReloaderdError` (exit status 2) for anything that is not right about them or about the
    files they name.
    """
    if not argv:
        return Said(OVERVIEW, 2)
    first = argv[0]
    if first in ("-h", "--help", "help"):
        return Said(OVERVIEW, 0)
    if first in ("-V", "--version"):
        return Said(f"reloaderd {__version__}\n", 0)
    if first not in SUBCOMMANDS:
        raise _no_subcommand(first)
    try:
        return _doctor([*argv[1:]]) if first == "doctor" else _watch([*argv[1:]])
    except HelpWanted as wanted:
        return Said(str(wanted), 0)


def _no_subcommand(word: str) -> ReloaderdError:
    if word.startswith("-"):
        return ReloaderdError(f"unknown option {word}", f"options come after watch: {USAGE}")
    near = nearest(word, SUBCOMMANDS)
    return ReloaderdError(f"unknown subcommand {word}", f"did you mean {near}?" if near else f"try {USAGE}")


def parse_again(config: ConfigSettings) -> Settings:
    """What `parse` made of this file and these words, as the file is now.  Raises ReloaderdError."""
    return _watch([*config.words], config)


def _watch(argv: list[str], again: ConfigSettings | None = None) -> Settings:
    divided = "--" in argv
    at = argv.index("--") if divided else len(argv)
    mine, command = argv[:at], argv[at + 1 :]
    parser = watch_parser()
    given, rest = _parsed(parser, mine)
    if not divided:
        return _configured(parser, given, mine, rest, again)
    _check_for_options(rest, parser)
    if "config" in given:
        raise ReloaderdError("--config and a COMMAND contradict each other", "leave one of them out")
    if not command or not "".join(command).strip():
        at_fault = "COMMAND is missing" if not command else "COMMAND is empty"
        raise ReloaderdError(at_fault, f"put it after --: {USAGE}")
    return _settings(given, rest, command)


def _configured(
    parser: Parser, given: dict[str, Any], mine: list[str], rest: list[str], again: ConfigSettings | None
) -> Settings:
    """There is no `--`: the words are services of a configuration file, if there is one."""
    from reloaderd.config import reader, source

    cwd = paths.working_directory()
    name = given.pop("config", None)
    named = again.named if again else name is not None
    if named and not again and not os.path.lexists(name):
        _check_for_command(mine, rest)  # `sh -c …`
    found = source.read_again(again.path, cwd, named) if again else source.find(name, cwd)
    if found is None:
        _check_for_command(mine, rest)
    _check_for_options(rest, parser)
    if found is None:
        raise ReloaderdError("COMMAND is missing", NO_COMMAND)
    if "name" in given:
        raise ReloaderdError(
            "--name is for a COMMAND", f"the services of {found.shown} have names: leave it out"
        )
    assembly.check_contradictions(given)
    config = again or ConfigSettings(found.path, named, tuple(mine))
    return reader.settings(found, given, rest, config, again=again is not None)


def _doctor(argv: list[str]) -> DoctorSettings:
    from reloaderd.doctor.options import doctor_parser

    mine = argv[: argv.index("--")] if "--" in argv else argv
    parser = doctor_parser()
    given, roots = _parsed(parser, mine)
    _check_for_options(roots, parser, others=watch_parser())
    if mine is not argv:
        line = words(["reloaderd", "doctor", *mine])
        raise ReloaderdError("doctor takes no COMMAND", f"leave out -- and all after it: {line}")
    given |= {"name": "doctor", "dry_run": True}
    service = assembly.service(given, (), paths.roots(roots, paths.working_directory()))
    return DoctorSettings(service, **assembly.fields(DoctorSettings, given))


def _parsed(parser: Parser, argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of the options, and the words that are left over.  Raises HelpWanted."""
    try:
        namespace, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise _syntax_error(error, parser) from None
    return vars(namespace), rest


def _syntax_error(error: argparse.ArgumentError, parser: Parser) -> ReloaderdError:
    name = error.argument_name or ""
    if error.message.startswith("ignored explicit argument"):
        given = error.message.removeprefix("ignored explicit argument ")
        return ReloaderdError(f"{name} takes no value: {given}", f"see {parser.prog} --help")
    if error.message.startswith("expected"):
        long = name.rpartition("/")[2]
        return ReloaderdError(f"{name} needs a value", f"one that starts with - is written {long}=-…")
    return ReloaderdError(f"{name}: {error.message}", f"see {parser.prog} --help")


def _check_for_options(words: list[str], parser: Parser, others: Parser | None = None) -> None:
    """Raises for the first word that looks like an option; `others` has those of another subcommand."""
    for word in words:
        if word.startswith("-"):
            raise _unknown_option(word, parser, others)


def _unknown_option(word: str, parser: Parser, others: Parser | None) -> ReloaderdError:
    name = word.partition("=")[0]
    if others is not None and name in others._option_string_actions:
        return ReloaderdError(f"{name} changes nothing of what is watched", "leave it out")
    known = {option.lstrip("-"): option for option in parser._option_string_actions if option[1] == "-"}
    near = nearest(name.lstrip("-"), known)
    mend = f"did you mean {known[near]}?" if near else f"see {parser.prog} --help"
    return ReloaderdError(f"unknown option {name}", mend)


def _check_for_command(mine: list[str], rest: list[str]) -> None:
    """There is no `--`: say where it belongs, unless an option before that is wrong anyway."""
    for word in rest:
        if word.startswith("-"):
            return
        if _is_command(word):
            at = mine.index(word)
            line = words(["reloaderd", "watch", *mine[:at], "--", *mine[at:]])
            raise ReloaderdError("COMMAND is missing", f"put -- before the command: {line}")


def _is_command(word: str) -> bool:
    """Whether one could run `word`: it is an executable file, or PATH has one of this name."""
    if os.path.isdir(word):
        return False
    if "/" in word or os.path.exists(word):
        return "/" in word and os.access(word, os.X_OK)
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(place, word), os.X_OK) for place in places if place)


def _settings(given: dict[str, Any], roots: list[str], command: list[str]) -> Settings:
    assembly.check_contradictions(given)
    cwd = paths.working_directory()
    given.setdefault("name", values.name_of_directory(cwd))
    if given.get("shell"):
        command = assembly.shell(command)
    if "chdir" in given:
        given["chdir"] = paths.directory(given["chdir"], cwd)
    if "listen" in given:
        given["listen"] = assembly.addresses(given["listen"], cwd)
    environ = assembly.environ(given)
    service = assembly.service(given, command, paths.roots(roots, cwd), environ)
    return assembly.settings(given, (service,))
