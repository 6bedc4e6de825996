"""Puts values that were checked one by one together into the records of `settings`.

`given` has them by field name, and those that are not fields by the name of their option: `env`,
`env_file`, `quiet`, `verbose`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reloaderd import paths
from reloaderd.errors import ReloaderdError
from reloaderd.settings import (
    ConfigSettings,
    ConsoleSettings,
    RuleSettings,
    ServiceSettings,
    Settings,
    is_any_port,
)

LONGEST_SOCKET = 107
"""Bytes: sockaddr_un.sun_path, unix(7), without the NUL."""

Variables = Iterable[tuple[str, str]]


def fields(record: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given values that are fields of this record."""
    return {field: given[field] for field in record._fields if field in given}


def check_contradictions(given: Mapping[str, Any]) -> None:
    """Raises ReloaderdError for two options of which one undoes the other."""
    if "quiet" in given and "verbose" in given:
        raise ReloaderdError("-q and -v contradict each other", "leave one of them out")
    if "warm" in given and "modules" in given:
        raise ReloaderdError("--warm and --no-modules contradict each other", "leave one of them out")
    if "exact" in given and "modules" in given:
        raise ReloaderdError("--exact and --no-modules contradict each other", "leave one of them out")


def addresses(given: Iterable[str], directory: str) -> tuple[str, ...]:
    """Addresses to listen on; relative paths are below `directory`.  Raises ReloaderdError."""
    found: list[str] = []
    for one in given:
        if "/" in one:
            one = paths.absent(one, directory)
            if len(os.fsencode(one)) > LONGEST_SOCKET:
                raise ReloaderdError(
                    f"too long: {one}", f"the path of a socket has at most {LONGEST_SOCKET} bytes"
                )
        if one in found and not is_any_port(one):
            raise ReloaderdError(f"{one} is given twice", "leave one of them out")
        found.append(one)
    return tuple(found)


def listened_twice(services: Iterable[ServiceSettings]) -> tuple[str, str, str] | None:
    """An address that two services would listen on, and the names of the two."""
    taken: dict[str, str] = {}
    for service in services:
        for one in service.listen:
            if one in taken and not is_any_port(one):
                return one, taken[one], service.name
            taken[one] = service.name
    return None


def shell(command: Sequence[str]) -> list[str]:
    """The command that has a shell run these words."""
    return ["/bin/sh", "-c", " ".join(command)]


def environ(given: Mapping[str, Any]) -> Variables:
    """The variables that are asked for, in the order of their weight: --env wins over --env-file."""
    variables: tuple[tuple[str, str], ...] = ()
    if "env_file" in given:
        from reloaderd import envfile

        variables = envfile.read(given["env_file"])
    return (*variables, *given.get("env", ()))


def service(
    given: Mapping[str, Any], command: Sequence[str], roots: Sequence[str], environ: Variables = ()
) -> ServiceSettings:
    """One service; of several values of a variable the last one wins."""
    return ServiceSettings(
        **{
            **fields(ServiceSettings, given),
            "command": tuple(command),
            "roots": tuple(roots),
            "rules": RuleSettings(**fields(RuleSettings, given)),
            "environ": tuple(dict(environ).items()),
        }
    )


def settings(
    given: Mapping[str, Any], services: Iterable[ServiceSettings], config: ConfigSettings | None = None
) -> Settings:
    """All of one reloaderd."""
    verbosity = -1 if given.get("quiet") else len(given.get("verbose", ()))
    console = ConsoleSettings(**fields(ConsoleSettings, {**given, "verbosity": verbosity}))
    return Settings(tuple(services), console, **fields(Settings, given), config=config)
