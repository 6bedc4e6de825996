"""Puts values that were checked one by one together into the records of `settings`.

`given` has them by field name, and those that are not fields by the name of their option: `env`,
`env_file`, `quiet`, `verbose`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


CONTRADICTIONS = (
    *(("quiet", "verbose"), ("exact", "modules")),
    *(("warm", "modules"), ("checkpoints", "modules"), ("checkpoints", "overlap")),
)
"""Fields of which one undoes the other, or that cannot be had together: two runs at a time have two keepers,
and a copy that a run has left is one keeper's."""

_WRITTEN = {"quiet": "-q", "verbose": "-v", "modules": "--no-modules"}


def check_contradictions(given: Mapping[str, Any]) -> None:
    """Raises ReloaderdError for two options of which one undoes the other."""
    for pair in CONTRADICTIONS:
        if given.keys() >= {*pair}:
            one, other = (_WRITTEN.get(field, f"--{field}") for field in pair)
            raise ReloaderdError(f"{one} and {other} contradict each other", "leave one of them out")


def lonely(given: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """An option that does nothing without another one: its field, what it needs, and the mend."""
    if "overlap" in given and not given.get("listen") and "keep_sockets" not in given:
        return "overlap", "needs a socket that both runs have", "--keep-sockets or --listen ADDR"
    for field in ("ready", "ready_timeout"):
        if field in given and "overlap" not in given:
            return field, "is for --overlap", "--overlap"
    return None


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


def located(ones: Iterable[Any], roots: Sequence[str], directory: str) -> Iterator[Any]:
    """Patterns (or `On`s), each followed by what else it means where it spells out the way to a root.

    For the root `src` of `directory`, `src/gen` is `src/src/gen` to git, and `gen` in there to people.
    """
    for one in ones:
        yield one
        sign = "!" if one.glob.startswith("!") else ""
        glob = one.glob.removeprefix("!").removeprefix("./")
        for root in roots:
            way = root.removeprefix(f"{directory.rstrip('/')}/")
            if way != root and glob.startswith(f"{way}/") and glob != f"{way}/":
                yield one._replace(glob=f"{sign}{root}{glob[len(way) :]}")


def service(
    given: Mapping[str, Any],
    command: Sequence[str],
    roots: Sequence[str],
    directory: str,
    environ: Variables = (),
) -> ServiceSettings:
    """One service, described in `directory`; of several values of a variable the last one wins."""
    given = {
        **given,
        **{key: tuple(located(given[key], roots, directory)) for key in ("patterns", "on") if key in given},
    }
    return ServiceSettings(
        **{
            **fields(ServiceSettings, given),
            "command": tuple(command),
            "roots": tuple(roots),
            "rules": RuleSettings(**fields(RuleSettings, given)),
            "environ": tuple(dict(environ).items()),
            "warm": bool(given.get("warm") or given.get("checkpoints")),
        }
    )


def settings(
    given: Mapping[str, Any], services: Iterable[ServiceSettings], config: ConfigSettings | None = None
) -> Settings:
    """All of one reloaderd."""
    verbosity = -1 if given.get("quiet") else len(given.get("verbose", ()))
    console = ConsoleSettings(**fields(ConsoleSettings, {**given, "verbosity": verbosity}))
    return Settings(tuple(services), console, **fields(Settings, given), config=config)
