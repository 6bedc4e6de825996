"""Turns the command line into `Settings`, or into one line that says what is wrong with it."""

from __future__ import annotations

import argparse
import errno
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from reloaderd import __version__, values
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.parsers import HelpWanted, Parser
from reloaderd.settings import ConsoleSettings, DoctorSettings, RuleSettings, ServiceSettings, Settings
from reloaderd.wording import words

OVERVIEW = """\
reloaderd keeps a command running and restarts it when the files it depends on change.

usage: reloaderd watch [OPTIONS] [PATH ...] -- COMMAND [ARG ...]
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
    near = _nearest(word, SUBCOMMANDS)
    return ReloaderdError(f"unknown subcommand {word}", f"did you mean {near}?" if near else f"try {USAGE}")


def _watch(argv: list[str]) -> Settings:
    divided = "--" in argv
    at = argv.index("--") if divided else len(argv)
    mine, command = argv[:at], argv[at + 1 :]
    parser = watch_parser()
    given, rest = _parsed(parser, mine)
    if not divided:
        _check_for_command(mine, rest)
    _check_for_options(rest, parser)
    if not command or not "".join(command).strip():
        at_fault = "COMMAND is missing" if not command else "COMMAND is empty"
        raise ReloaderdError(at_fault, f"put it after --: {USAGE}")
    return _settings(given, rest, command)


def _doctor(argv: list[str]) -> DoctorSettings:
    from reloaderd.doctor.options import doctor_parser

    mine = argv[: argv.index("--")] if "--" in argv else argv
    parser = doctor_parser()
    given, paths = _parsed(parser, mine)
    _check_for_options(paths, parser, others=watch_parser())
    if mine is not argv:
        line = words(["reloaderd", "doctor", *mine])
        raise ReloaderdError("doctor takes no COMMAND", f"leave out -- and all after it: {line}")
    service = ServiceSettings(
        **{
            **_fields(ServiceSettings, given),
            "name": "doctor",
            "command": (),
            "roots": _roots(paths, working_directory()),
            "rules": RuleSettings(**_fields(RuleSettings, given)),
            "dry_run": True,
        }
    )
    return DoctorSettings(service, **_fields(DoctorSettings, given))


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
    near = _nearest(name.lstrip("-"), known)
    mend = f"did you mean {known[near]}?" if near else f"see {parser.prog} --help"
    return ReloaderdError(f"unknown option {name}", mend)


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")


def _check_for_command(mine: list[str], rest: list[str]) -> None:
    """There is no `--`: say where it belongs, unless an option before that is wrong anyway."""
    for word in rest:
        if word.startswith("-"):
            return
        if _is_command(word):
            at = mine.index(word)
            line = words(["reloaderd", "watch", *mine[:at], "--", *mine[at:]])
            raise ReloaderdError("COMMAND is missing", f"put -- before the command: {line}")
    raise ReloaderdError("COMMAND is missing", f"put -- before the command: {USAGE}")


def _is_command(word: str) -> bool:
    """Whether one could run `word`: it is an executable file, or PATH has one of this name."""
    if os.path.isdir(word):
        return False
    if "/" in word or os.path.exists(word):
        return "/" in word and os.access(word, os.X_OK)
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(place, word), os.X_OK) for place in places if place)


def _settings(given: dict[str, Any], paths: list[str], command: list[str]) -> Settings:
    if "quiet" in given and "verbose" in given:
        raise ReloaderdError("-q and -v contradict each other", "leave one of them out")
    if "exact" in given and "modules" in given:
        raise ReloaderdError("--exact and --no-modules contradict each other", "leave one of them out")
    given["verbosity"] = -1 if "quiet" in given else len(given.get("verbose", ()))
    cwd = working_directory()
    if given.get("shell"):
        command = ["/bin/sh", "-c", " ".join(command)]
    if "chdir" in given:
        given["chdir"] = _directory(given["chdir"], cwd)
    service = ServiceSettings(
        **{
            "name": values.name_of_directory(cwd),
            **_fields(ServiceSettings, given),
            "command": tuple(command),
            "roots": _roots(paths, cwd),
            "rules": RuleSettings(**_fields(RuleSettings, given)),
            "environ": _environ(given),
        }
    )
    console = ConsoleSettings(**_fields(ConsoleSettings, given))
    return Settings((service,), console, **_fields(Settings, given))


def _fields(record: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the given values that are fields of this record."""
    return {field: given[field] for field in record._fields if field in given}


def _environ(given: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is added to the environment; the last of a name wins, so --env over --env-file."""
    variables: tuple[tuple[str, str], ...] = ()
    if "env_file" in given:
        from reloaderd import envfile

        variables = envfile.read(given["env_file"])
    return tuple(dict((*variables, *given.get("env", ()))).items())


def working_directory() -> str:
    """The absolute path of the working directory."""
    try:
        return os.getcwd()
    except OSError:
        raise ReloaderdError("the current directory is gone", "cd to one that exists") from None


def _roots(paths: Iterable[str], cwd: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(root(path, cwd) for path in paths or ["."]))


def root(path: str, cwd: str) -> str:
    """The absolute and normal path of a PATH that is there and may be watched.

    Symlinks are kept, as they are followed by name again when they change.
    """
    if not path:
        raise ReloaderdError("an empty PATH", "the current directory is .")
    try:
        there = os.stat(path)
    except OSError as error:
        raise _cannot_use(path, error.errno) from None
    normal = _absolute(path, cwd, there)
    # a file is watched through its directory, which must be readable for that: inotify(7)
    needed, mode = [path, os.path.dirname(normal)], os.R_OK
    if stat.S_ISDIR(there.st_mode):
        needed, mode = [path], os.R_OK | os.X_OK
    for one in needed:
        if not os.access(one, mode, effective_ids=True):
            raise _cannot_use(one, errno.EACCES)
    return normal


def _cannot_use(path: str, number: int | None) -> ReloaderdError:
    reason = os.strerror(number or 0).lower()
    mends = {
        errno.ENOENT: "give a PATH that exists, or create it first",
        errno.EACCES: "EACCES: what is watched must be readable",
        errno.ENOTDIR: "something on the way to it is a file",
        errno.ELOOP: "its symlinks lead in a circle",
    }
    return ReloaderdError(f"{path}: {reason}", mends.get(number or 0, ""))


def _directory(path: str, cwd: str) -> str:
    """The absolute and normal path for --chdir."""
    try:
        there = os.stat(path)
        if not stat.S_ISDIR(there.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(path, os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReloaderdError(f"--chdir {path}: {reason}", "name a directory that one can cd to") from None
    return _absolute(path, cwd, there)


def _absolute(path: str, cwd: str, there: os.stat_result) -> str:
    """The path made absolute and normal by its letters alone; `there` is what it leads to.

    Only where a `..` climbs out of a symlink, and so elsewhere than its letters say, does the
    real path of that part take its place.
    """
    normal = _normal(os.path.join(cwd, path))
    if ".." in path.split("/") and not _leads_to(normal, there):
        up = path.rindex("..") + 2
        normal = _normal(os.path.realpath(path[:up]) + path[up:])
    return normal


def _normal(path: str) -> str:
    # two slashes in front may mean something else to POSIX, and mean nothing to Linux
    return "/" + os.path.normpath(path).lstrip("/")


def _leads_to(path: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), there)
    except OSError:
        return False
