"""What may stand in the file: each option of `watch` under its name with `_`, and by the same checks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from reloaderd.options import watch_parser
from reloaderd.parsers import Each, Once
from reloaderd.settings import ConsoleSettings, RuleSettings, ServiceSettings, Settings
from reloaderd.values import BadValue

NOT_IN_A_FILE = frozenset({"config", "dry_run", "name"})
"""What is about one call of reloaderd, or what the name of the table says."""

OF_ALL = frozenset({*ConsoleSettings._fields, *Settings._fields, "quiet", "verbose"})
OF_A_SERVICE = frozenset({*ServiceSettings._fields, *RuleSettings._fields, "env", "env_file", "shell"})

MOST_VERBOSE = 9

NOTHING = object()
"""The checked value of what leaves the default as it is, and of what is wrong."""

Part = tuple[str | int, ...]

Complain = Callable[[Part, str, str], None]
"""Notes a fault: of which part of the value (indexes, keys), what it is, and the mend or nothing."""


class Key(NamedTuple):
    """One key: under which name its value is known to `assembly`, and what checks the value."""

    dest: str
    check: Callable[[Any, Complain], Any]


def keys() -> tuple[dict[str, Key], dict[str, Key]]:
    """The keys of the whole, and those of one service."""
    of_all: dict[str, Key] = {}
    of_a_service = {"command": Key("command", _command), "paths": Key("paths", _paths)}
    for action in watch_parser()._actions:
        if not isinstance(action, Once) or action.dest in NOT_IN_A_FILE:
            continue
        name = action.option_strings[-1].removeprefix("--").replace("-", "_")
        if action.nargs == 0:
            name = action.dest  # `gitignore = false` where the option is --no-gitignore
        target = of_a_service if action.dest in OF_A_SERVICE else of_all
        target[name] = Key(action.dest, _check_of(action, name))
    return of_all, of_a_service


def _check_of(action: Once, name: str) -> Callable[[Any, Complain], Any]:
    special = {"on": _table, "env": _table, "ext": _joined, "listen": _addresses}
    special |= dict.fromkeys(("filter", "ignore"), _list)
    if name == "verbose":
        return _times
    if name in special:
        return special[name](action.convert)
    if action.nargs == 0:
        return _flag(action.const)
    assert not isinstance(action, Each), f"{name} may be repeated: say how it is written in a file"
    return _one(action.convert)


# Each returns the checked value, or NOTHING.


def _flag(const: bool) -> Callable[[Any, Complain], Any]:
    def check(value: Any, complain: Complain) -> Any:
        if not isinstance(value, bool):
            complain((), f"must be true or false, not {kind_of(value)}", "")
            return NOTHING
        return value if value is const else NOTHING

    return check


def _times(value: Any, complain: Complain) -> Any:
    if not isinstance(value, int) or not 0 <= value <= MOST_VERBOSE:
        complain((), f"must be true, false or a number from 0 to {MOST_VERBOSE}", "")
        return NOTHING
    return (True,) * int(value) or NOTHING


def _one(convert: Callable[[str], Any]) -> Callable[[Any, Complain], Any]:
    def check(value: Any, complain: Complain) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and convert is not str:
            value = str(value)
        if not isinstance(value, str):
            wanted = "a string" if convert is str else "a string or a number"
            complain((), f"must be {wanted}, not {kind_of(value)}", "")
            return NOTHING
        return next(_converted([((), value, value)], convert, complain), NOTHING)

    return check


def _list(convert: Callable[[str], Any]) -> Callable[[Any, Complain], Any]:
    def check(value: Any, complain: Complain) -> Any:
        found = _strings(value, complain) or ()
        return tuple(_converted([((at,), text, text) for at, text in found], convert, complain)) or NOTHING

    return check


def _joined(convert: Callable[[str], Any]) -> Callable[[Any, Complain], Any]:
    def check(value: Any, complain: Complain) -> Any:
        parts = _list(convert)(value, complain)
        if parts is NOTHING:
            return NOTHING
        return tuple(dict.fromkeys(one for part in parts for one in part))

    return check


def _addresses(convert: Callable[[str], Any]) -> Callable[[Any, Complain], Any]:
    """A list in which a port may be a number."""

    def check(value: Any, complain: Complain) -> Any:
        many = value if isinstance(value, list) else [value]
        return _list(convert)([str(one) if type(one) is int else one for one in many], complain)

    return check


def _table(convert: Callable[[str], Any]) -> Callable[[Any, Complain], Any]:
    """`{ key = "value" }`, which on the command line is `key=value`."""

    def check(value: Any, complain: Complain) -> Any:
        if not isinstance(value, dict):
            complain((), f"must be a table, not {kind_of(value)}", "")
            return NOTHING
        texts = []
        for key, one in value.items():
            if isinstance(one, int) and not isinstance(one, bool):
                one = str(one)
            if not isinstance(one, str):
                complain((key,), f"must be a string, not {kind_of(one)}", "")
            else:
                texts.append(((key,), f"{key}={one}", ""))  # it is not shown: of env it may be a secret
        return tuple(_converted(texts, convert, complain)) or NOTHING

    return check


def _converted(
    texts: Iterable[tuple[Part, str, str]], convert: Callable[[str], Any], complain: Complain
) -> Iterator[Any]:
    """Of (part, text, how it is shown) each value that is one."""
    for part, text, shown in texts:
        if unfit := _unfit(text):
            complain(part, unfit, "")
            continue
        try:
            yield convert(text)
        except BadValue as fault:
            complain(part, f"{shown}: {fault.message}" if shown else fault.message, fault.hint)


def _strings(value: Any, complain: Complain) -> list[tuple[int, str]] | None:
    """A list of strings, or one string: each with its number."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        complain((), f"must be a string or a list of strings, not {kind_of(value)}", "")
        return None
    found = []
    for at, one in enumerate(value):
        if not isinstance(one, str):
            complain((at,), f"must be a string, not {kind_of(one)}", "")
        elif unfit := _unfit(one):
            complain((at,), unfit, "")
        else:
            found.append((at, one))
    return found


def _unfit(text: str) -> str:
    """Why the system cannot be given this text; empty where it can."""
    try:
        return "it holds a NUL character" if b"\0" in os.fsencode(text) else ""
    except UnicodeEncodeError:
        return "it holds a character that this locale does not have"


def _paths(value: Any, complain: Complain) -> Any:
    return _strings(value, complain) or NOTHING


def _command(value: Any, complain: Complain) -> Any:
    """A list of words, or a string as it is: how it is split depends on `shell`."""
    found = _strings(value, complain)
    if found is None or (isinstance(value, list) and len(found) < len(value)):
        return NOTHING
    words = [text for _, text in found]
    if not "".join(words).strip():
        complain((), "it is empty", 'for example ["python", "app.py"]')
        return NOTHING
    return words[0] if isinstance(value, str) and words else words


def split(command: list[str] | str, complain: Complain) -> list[str]:
    """The words of a command that no shell runs."""
    if not isinstance(command, str):
        return command
    try:
        words = shlex.split(command)
    except ValueError as error:
        complain((), f"it cannot be split: {str(error).lower()}", "a list of words needs no quotes")
        return []
    if not words or not words[0]:
        complain((), "it is empty", 'for example ["python", "app.py"]')
        return []
    return words


def kind_of(value: Any) -> str:
    """What TOML calls the type of a value."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"
