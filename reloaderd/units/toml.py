"""Writes the configuration file that says the same as a command line of `watch`.

Rules:
- Each value stands as it was typed, under the option's name; `config.reader` checks it as `watch` did.
- What is relative to a directory becomes absolute, for the file is elsewhere.
- In a file all of `filter` come before all of `ignore`.  A pattern that is ignored before a later --filter
  is a `!pattern` of `filter`, which is the same.
- TOML's basic strings are JSON's, but for DEL, which it wants escaped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from reloaderd.config import keys
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.parsers import Once
from reloaderd.settings import ServiceSettings

HEAD = "# Written by `reloaderd service install`; `reloaderd service remove {name}` deletes it.\n"
"""The first line of what is ours.  It may be edited: reloaderd reads it again."""

TABLES = {"env": False, "on": True}
"""Options of KEY=VALUE, which are tables; and whether it is the last `=` that divides."""


def is_ours(text: str, name: str) -> bool:
    """Whether this is the text of a file that was written here."""
    return text.startswith(HEAD.format(name=name))


def document(
    name: str,
    options: list[str],
    service: ServiceSettings,
    command: Sequence[str],
    cwd: str,
    added: Mapping[str, str],
) -> str:
    """The text of the file for `watch OPTIONS -- COMMAND`, which came out as this `service`.

    `added` are further variables.  Raises ReloaderdError for what no such file can say.
    """
    given = _typed(options)
    of_all = set(keys.keys()[0])
    values: dict[str, Any] = {
        "command": list(command),
        "paths": list(service.roots),
        "chdir": service.chdir or cwd,
        **{key: value for key, value in given.items() if key not in ("paths", "chdir")},
    }
    if "listen" in values:
        values["listen"] = list(service.listen)
    if "env_file" in values:
        values["env_file"] = os.path.normpath(os.path.join(cwd, values["env_file"]))
    env = {**values.pop("env", {}), **added}
    whole = {key: values.pop(key) for key in [*values] if key in of_all}
    tables = {key: values.pop(key) for key in TABLES if key in values} | ({"env": env} if env else {})
    at = f"service.{_key(name)}"
    lines = [*_lines(whole), "" if whole else None, f"[{at}]", *_lines(values)]
    for key, table in tables.items():
        lines += ["", f"[{at}.{key}]", *_lines(table)]
    return HEAD.format(name=name) + "\n".join(line for line in lines if line is not None) + "\n"


def _typed(options: list[str]) -> dict[str, Any]:
    """The options by their keys in a file, with the values as they were typed."""
    parser = watch_parser()
    for action in parser._actions:
        if isinstance(action, Once) and action.nargs != 0:
            action.convert = _labelled(action.option_strings[-1])
    given = vars(parser.parse_known_args(options)[0])
    found = _patterns(given.pop("patterns", ()))
    for dest, value in given.items():
        if dest == "verbose":
            found[dest] = len(value)
        elif isinstance(value, bool):  # `gitignore = false` where the option is --no-gitignore
            found[dest] = value
        elif isinstance(value[0], str):
            option, text = value
            found[_key_of(option)] = text.split(",") if dest == "ext" else text
        else:
            texts = [text for _, text in value]
            found[_key_of(value[0][0])] = _table(texts, TABLES[dest]) if dest in TABLES else texts
    return found


def _labelled(option: str) -> Callable[[str], tuple[str, str]]:
    return lambda text: (option, text)


def _key_of(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _table(texts: Iterable[str], last: bool) -> dict[str, str]:
    """Of several values of a key the last one counts, and so does its place."""
    table: dict[str, str] = {}
    for text in texts:
        key, _, value = text.rpartition("=") if last else text.partition("=")
        table.pop(key, None)
        table[key] = value
    return table


def _patterns(given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`filter` and `ignore`, so that of all of them the last that matches wins, as on the command line."""
    last = max((at for at, (option, _) in enumerate(given) if option == "--filter"), default=-1)
    first, then = [], []
    for at, (option, glob) in enumerate(given):
        if option == "--filter":
            first.append(glob)
        elif at > last:
            then.append(glob)
        elif glob.startswith("!"):
            raise ReloaderdError(
                f"--ignore {glob} before a --filter cannot be said in a file", "put --filter first"
            )
        else:
            first.append(f"!{glob}")
    return {key: globs for key, globs in (("filter", first), ("ignore", then)) if globs}


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            shown = value.encode(errors="backslashreplace").decode()
            raise ReloaderdError(f"{shown}: not UTF-8", "a configuration file must be") from None
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
