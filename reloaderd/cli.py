"""Turns the command line into `Settings`, or into one line that says what is wrong with it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from reloaderd import __version__, assembly, paths, values
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.parsers import HelpWanted, Parser, nearest
from reloaderd.settings import (
    ConfigSettings,
    ControlSettings,
    DoctorSettings,
    ExplainSettings,
    Settings,
    UnitSettings,
)
from reloaderd.wording import words

OVERVIEW = """\
reloaderd keeps a command running and restarts it when the files it depends on change.

usage: reloaderd watch [OPTIONS] [PATH ...] -- COMMAND [ARG ...]
       reloaderd watch [OPTIONS] [--config FILE] [SERVICE ...]
       reloaderd doctor [OPTIONS] [PATH ...]
       reloaderd status | restart | stop | pause | resume | why | events [NAME]
       reloaderd explain [OPTIONS] PATH
       reloaderd service install NAME [OPTIONS] [PATH ...] -- COMMAND [ARG ...]
       reloaderd service list | remove NAME
       reloaderd COMMAND --help
       reloaderd --version

For example, to run app.py and restart it when something in ./src changes:

    reloaderd watch src -- python app.py

and to see what would be watched, what is ignored, and whether the limits suffice:

    reloaderd doctor src

To see from elsewhere what it does, and why it did:

    reloaderd status
    reloaderd why

And to keep it running from now on, after your log-out and a reboot too:

    reloaderd service install web src -- python app.py

All options, with more examples: reloaderd watch --help (and so on for each)
"""


CONTROL = ("status", "restart", "stop", "pause", "resume", "why", "events")
"""What talks to one that runs (reloaderd.control)."""

USAGE = "reloaderd watch [PATH ...] -- COMMAND [ARG ...]"

NO_COMMAND = f"put -- before the command: {USAGE}; or have a reloaderd.toml"


class Said(NamedTuple):
    """The answer is a text to print (on stderr, where `status` is not 0) and nothing to run."""

    text: str
    status: int


Wanted = Settings | DoctorSettings | ControlSettings | ExplainSettings | UnitSettings | Said


def parse(argv: Sequence[str]) -> Wanted:
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
        return SUBCOMMANDS[first]([*argv[1:]])
    except HelpWanted as wanted:
        return Said(str(wanted), 0)


def _no_subcommand(word: str) -> ReloaderdError:
    if word.startswith("-"):
        return ReloaderdError(f"unknown option {word}", f"options come after watch: {USAGE}")
    near = nearest(word, [one for one in SUBCOMMANDS if abs(len(one) - len(word)) < 3])
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
    called = given.pop("name", None)
    file = given.pop("config", None)
    named = again.named if again else file is not None
    if named and not again and not os.path.lexists(file):
        _check_for_command(mine, rest)  # `sh -c …`
    found = source.read_again(again.path, cwd, named) if again else source.find(file, cwd)
    if found is None:
        _check_for_command(mine, rest)
    _check_for_options(rest, parser)
    if found is None:
        raise ReloaderdError("COMMAND is missing", NO_COMMAND)
    assembly.check_contradictions(given)
    config = again or ConfigSettings(found.path, named, tuple(mine))
    settings = reader.settings(found, given, rest, config, again=again is not None)
    name = called or values.name_of_file(found.path, (source.FILE, source.PROJECT))
    return settings._replace(name=name, named=called is not None)


def _service(argv: list[str]) -> UnitSettings:
    from reloaderd.units import options

    return options.parse(argv, _watch)


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
    cwd = paths.working_directory()
    cwd = paths.working_directory()
    service = assembly.service(given, (), paths.roots(roots, cwd), cwd)
    return DoctorSettings(service, **assembly.fields(DoctorSettings, given))


def _control(command: str, argv: list[str]) -> ControlSettings:
    from reloaderd.control.options import control_parser

    parser = control_parser(command)
    given, rest = _parsed(parser, argv)
    _check_for_options([word for word in rest if word != "--"], parser)
    names = [word for word in rest if word != "--"]
    if len(names) > 1:
        raise ReloaderdError(f"{command} takes one NAME: {words(names)}", f"see {parser.prog} --help")
    return ControlSettings(command, names[0] if names else None, **assembly.fields(ControlSettings, given))


def _explain(argv: list[str]) -> ExplainSettings:
    from reloaderd.control.options import explain_parser

    parser = explain_parser()
    given, rest = _parsed(parser, argv)
    _check_for_options([word for word in rest if word != "--"], parser, others=watch_parser())
    found = [word for word in rest if word != "--"]
    if len(found) != 1 or not found[0]:
        what = f"one PATH at a time: {words(found)}" if found[1:] else "an empty PATH"
        what = what if found else "PATH is missing"
        raise ReloaderdError(what, "reloaderd explain PATH")
    path = paths.absent(found[0], paths.working_directory())
    is_dir = os.path.isdir(path) and not os.path.islink(path)
    name, json = given.pop("name", None), given.pop("json", False)
    if name is not None and given:
        raise ReloaderdError("--name and options of what to watch contradict each other", "leave one out")
    return ExplainSettings(path, os.path.realpath(path), is_dir, given, name, json)


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
    if found := assembly.lonely(given):
        field, text, mend = found
        raise ReloaderdError(f"--{field.replace('_', '-')} {text}", f"add {mend}")
    cwd = paths.working_directory()
    named = "name" in given
    given.setdefault("name", values.name_of_directory(cwd))
    if given.get("shell"):
        command = assembly.shell(command)
    if "chdir" in given:
        given["chdir"] = paths.directory(given["chdir"], cwd)
    if "listen" in given:
        given["listen"] = assembly.addresses(given["listen"], cwd)
    environ = assembly.environ(given)
    service = assembly.service(given, command, paths.roots(roots, cwd), cwd, environ)
    return assembly.settings({**given, "named": named}, (service,))


SUBCOMMANDS: dict[str, Callable[[list[str]], Wanted]] = {
    "watch": _watch,
    "doctor": _doctor,
    "explain": _explain,
    "service": _service,
    **{name: partial(_control, name) for name in CONTROL},
}
"""What reads the words after each."""
