"""Reads the words after `reloaderd service`: what is to be done, complete and checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from reloaderd import paths, values
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.parsers import Group, Help, HelpWanted, Parser, nearest, new_parser
from reloaderd.settings import Elsewhere, Settings, UnitSettings
from reloaderd.units import toml

OVERVIEW = """\
Services of your systemd: they start at boot and survive your log-out.

usage: reloaderd service install NAME [OPTIONS] [PATH ...] -- COMMAND [ARG ...]
       reloaderd service install NAME [OPTIONS] [--config FILE] [SERVICE ...]
       reloaderd service list [--json]
       reloaderd service remove NAME

For example, to keep app.py running from now on:

    reloaderd service install web src -- python app.py

All options: reloaderd service install --help
"""

INSTALL = """\
Makes a service of what `reloaderd watch` would do with the same OPTIONS, here:
it runs now, after your log-out and after a reboot.

With a COMMAND, ~/.config/reloaderd/NAME.toml is written, with PATH and
VIRTUAL_ENV as they are here. Without one, the service reads the configuration
file of this directory, or FILE, where it is."""

EXAMPLES = """\
examples:
  reloaderd service install web src -e py,html -- python app.py
  reloaderd service install shop
      all that reloaderd.toml of this directory describes
  reloaderd service list
  reloaderd service remove web"""

USAGE = "reloaderd service install NAME [OPTIONS] [PATH ...] -- COMMAND [ARG ...]"

ACTS = ("install", "list", "remove")

CAPTURED = ("PATH", "VIRTUAL_ENV")
"""What a shell has set, and the user's systemd has not: by these the command finds its programs."""

Watch = Callable[[list[str]], Settings]


def parse(argv: Sequence[str], watch: Watch) -> UnitSettings:
    """What is asked for; `watch` reads the words after `reloaderd watch`.

    Raises `ReloaderdError`, and `HelpWanted` with the text.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        raise HelpWanted(OVERVIEW)
    act, *rest = argv
    match act:
        case "install":
            return _install(rest, watch)
        case "list":
            return _list(rest)
        case "remove":
            return _remove(rest)
    near = nearest(act, ACTS)
    mend = f"did you mean {near}?" if near else "install, list or remove"
    raise ReloaderdError(f"unknown: service {act}", mend)


def list_parser() -> Parser:
    """The parser for what follows `service list`."""
    parser = new_parser("service list", "", "Shows the services that `service install` made.", "")
    parser.usage = "reloaderd service list [OPTIONS]"
    group = Group(parser, "options")
    group.flag("--json", "print one JSON object")
    group.flag("-h, --help", "show this help", action=Help)
    return parser


def remove_parser() -> Parser:
    """The parser for what follows `service remove`; NAME is what it leaves over."""
    text = "Stops a service, and removes what `service install` wrote for it and nothing else."
    parser = new_parser("service remove", "", text, "")
    parser.usage = "reloaderd service remove [OPTIONS] NAME"
    Group(parser, "options").flag("-h, --help", "show this help", action=Help)
    return parser


def _list(words: list[str]) -> UnitSettings:
    if any(word in ("-h", "--help") for word in words):
        raise HelpWanted(list_parser().format_help())
    if others := [word for word in words if word != "--json"]:
        raise ReloaderdError(f"service list takes no {others[0]}", "reloaderd service list [--json]")
    return UnitSettings("list", json=bool(words))


def _remove(words: list[str]) -> UnitSettings:
    if any(word in ("-h", "--help") for word in words):
        raise HelpWanted(remove_parser().format_help())
    if len(words) != 1:
        raise ReloaderdError("one NAME is needed", "reloaderd service remove NAME")
    return UnitSettings("remove", checked_name(words[0]))


def _install(words: list[str], watch: Watch) -> UnitSettings:
    at = words.index("--") if "--" in words else len(words)
    mine, command = words[:at], words[at + 1 :]
    parser = install_parser()
    if any(word in ("-h", "--help") for word in mine):
        raise HelpWanted(parser.format_help())
    if not mine or mine[0].startswith("-"):
        raise ReloaderdError("NAME is missing", f"it comes first: {USAGE}")
    name = checked_name(mine.pop(0))
    again = "--force" in mine
    mine = [word for word in mine if word != "--force"]
    asked = watch([*mine, *words[at:]])
    _check(parser, mine, asked)
    added = {key: os.environ[key] for key in CAPTURED if os.environ.get(key)}
    cwd = paths.working_directory()
    if asked.config is not None:
        place = Elsewhere(asked.config.path, tuple(mine), cwd, tuple(added.items()))
        return UnitSettings("install", name, elsewhere=place, again=again)
    service = asked.services[0]
    known = {key for key, _ in service.environ}
    added = {key: value for key, value in added.items() if key not in known}
    text = toml.document(name, mine, service, command, cwd, added)
    return UnitSettings("install", name, text, tuple(added), again=again)


NAME_HINT = "letters, digits and _ . - in it, no . or - in front"
"""What `values.name` says, but for the @, which ends the name of a template (systemd.unit(5))."""


def checked_name(text: str) -> str:
    """A NAME that is one for reloaderd and, as it stands, for an instance of a unit (systemd.unit(5))."""
    try:
        name = values.name(text)
        if "@" in name:
            raise values.BadValue("not a NAME of a service", NAME_HINT)
    except values.BadValue as fault:
        hint = NAME_HINT if fault.message.startswith("not a NAME") else fault.hint
        raise ReloaderdError(f"{text or 'an empty NAME'}: {fault.message}", hint) from None
    return name


def is_name(text: str) -> bool:
    """Whether a service can have this NAME: what else is in these directories is not ours."""
    try:
        return checked_name(text) == text
    except ReloaderdError:
        return False


def install_parser() -> Parser:
    """The parser for what follows `service install NAME`: that of `watch`, and its own option."""
    parser = watch_parser()
    shown = new_parser("service install NAME", " -- COMMAND [ARG ...]", INSTALL, EXAMPLES)
    parser.prog, parser.description, parser.epilog = shown.prog, shown.description, shown.epilog
    parser.usage = f"{shown.usage}\n       {shown.prog} [OPTIONS] [--config FILE] [SERVICE ...]"
    Group(parser, "the service").flag("--force", "put it in the place of an earlier one of this NAME")
    return parser


def _check(parser: Parser, mine: list[str], asked: Settings) -> None:
    given, _ = parser.parse_known_args(mine)
    if "dry_run" in given:
        raise ReloaderdError("--dry-run makes no service", "leave it out")
    if "name" in given:
        raise ReloaderdError("--name is said twice", "the first word is the NAME: leave it out")
