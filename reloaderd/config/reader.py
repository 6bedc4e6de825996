"""Turns a configuration file into settings, or says all that is wrong with it at once.

Rules:
- Relative paths are relative to the directory of the file, and the commands start there.
- Options of the command line win, for every service; their patterns come after those of the file, and what
  they add to the environment after that of the file.
- Of `filter` and `ignore`, which are two lists, `ignore` comes last: an ignored file does not count.
- The whole file is checked, whichever services are wanted of it.
- While reloaderd runs a PATH may be away: it is waited for, as it is when it goes later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reloaderd import assembly, envfile, paths, values
from reloaderd.config import keys
from reloaderd.config.lines import Lines, Path
from reloaderd.config.source import Source, stamp_at
from reloaderd.errors import ConfigError, ReloaderdError
from reloaderd.parsers import nearest
from reloaderd.settings import ConfigSettings, ServiceSettings, Settings

Given = Mapping[str, Any]

WRITTEN = {"modules": "modules = false"}

NO_COMMAND = 'for example command = ["python", "app.py"]'


def settings(
    source: Source, given: Given, wanted: Sequence[str], config: ConfigSettings, again: bool
) -> Settings:
    """What the file and the options of the command line ask for, of the services that are `wanted` (all).

    `config` is kept, with how the file and those beside it looked; `again`: reloaderd runs.  Raises
    ConfigError for the faults of the file, and ReloaderdError where a service is wanted that is not in it.
    """
    reader = Reader(source, given, again)
    of_all, services = reader.read()
    if reader.faults:
        raise ConfigError([text for _, text in sorted(reader.faults)])
    chosen = [*_chosen(services, wanted, source.shown)]
    if twice := assembly.listened_twice(chosen):
        address, one, other = twice
        text = f"{source.shown}: {one} and {other} both listen on {address}"
        raise ConfigError([f"{text} (leave it to one of them)"])
    config = config._replace(stamp=source.stamp, beside=tuple(reader.beside.items()))
    return assembly.settings({**of_all, **given}, chosen, config)


def _chosen(
    services: Mapping[str, ServiceSettings], wanted: Sequence[str], shown: str
) -> Iterable[ServiceSettings]:
    for name in wanted:
        if name not in services:
            near = nearest(name, services)
            meant = f"did you mean {near}? " if near else ""
            has = f"{meant}{shown} has {', '.join(services)}; a COMMAND goes after --"
            raise ReloaderdError(f"unknown service {name}", has)
    return [one for name, one in services.items() if not wanted or name in wanted]


class Reader:
    """Reads one file; `faults` are (line, text), `beside` how the environment files looked before."""

    def __init__(self, source: Source, given: Given, again: bool) -> None:
        self.faults: list[tuple[int, str]] = []
        self.beside: dict[str, int] = {}
        self._source = source
        self._given = given
        self._again = again
        self._cwd = paths.working_directory()
        self._base = os.path.dirname(source.path)
        self._lines = Lines(source.text)
        self._of_all, self._of_a_service = keys.keys()

    def read(self) -> tuple[dict[str, Any], dict[str, ServiceSettings]]:
        """The options of the whole, and the services by name: as far as there are no faults."""
        at = self._source.table
        table: Any = self._source.document
        for part in at:
            table = table[part]
        if not isinstance(table, dict):
            self._complain(at, f"must be a table, not {keys.kind_of(table)}", "")
            return {}, {}
        services = table.get("service", {})
        of_all = self._values(
            {name: value for name, value in table.items() if name != "service"}, at, self._of_all
        )
        if "quiet" in of_all and "verbose" in of_all:
            self._complain((*at, "verbose"), "quiet and verbose contradict each other", "leave one out")
        if "quiet" in self._given or "verbose" in self._given:
            of_all = {name: value for name, value in of_all.items() if name not in ("quiet", "verbose")}
        return of_all, self._services(services, (*at, "service"))

    def _services(self, tables: Any, at: Path) -> dict[str, ServiceSettings]:
        example = f"a table [{'.'.join(map(str, (*at, 'NAME')))}] with a command makes one"
        if not isinstance(tables, dict):
            self._complain(at, f"must be a table, not {keys.kind_of(tables)}", example)
            return {}
        if not tables:
            self._complain(at, "there are no services", example)
        found = {}
        for name, table in tables.items():
            place = (*at, name)
            try:
                values.name(name)
            except values.BadValue as fault:
                self._complain(place, fault.message, fault.hint)
            if not isinstance(table, dict):
                self._complain(place, f"must be a table, not {keys.kind_of(table)}", example)
                continue
            if "command" not in table:
                self._complain(place, "it has no command", NO_COMMAND)
            service = self._service(name, self._values(table, place, self._of_a_service), place)
            if service is not None:
                found[name] = service
        return found

    def _values(self, table: Given, at: Path, known: Mapping[str, keys.Key]) -> dict[str, Any]:
        """The checked values by key."""
        found = {}
        for name, value in table.items():
            place = (*at, name)
            key = known.get(name)
            if key is None:
                self._complain(place, "unknown key", self._meant(name, known))
                continue
            checked = key.check(value, self._complainer(place))
            if checked is not keys.NOTHING:
                found[name if key.dest == "patterns" else key.dest] = checked
        return found

    def _meant(self, name: str, known: Mapping[str, keys.Key]) -> str:
        if name in self._of_all:
            return "it is for all services: put it before the first [table]"
        if name in self._of_a_service:
            return "it belongs into the table of a service"
        if name in keys.NOT_IN_A_FILE:
            return "it is an option of the command line alone"
        near = nearest(name, known)
        return f"did you mean {near}?" if near else ""

    # One service

    def _service(self, name: str, given: dict[str, Any], at: Path) -> ServiceSettings | None:
        for one, other in assembly.CONTRADICTIONS:
            if one in given and other in given:
                text = f"{one} and {WRITTEN.get(other, other)} contradict each other"
                self._complain((*at, other), text, "leave one out")
        line = len(self.faults)
        roots = self._roots(given.pop("paths", [(0, ".")]), (*at, "paths"))
        environ = [*self._variables(given, at), *self._variables_of_all()]
        chdir = self._directory(given.get("chdir"), (*at, "chdir"))
        merged = self._merged(given, at)
        merged |= {"name": name, "chdir": chdir, "config": self._source.path}
        if "listen" in merged:
            merged["listen"] = self._addresses(merged["listen"], at)
        if alone := assembly.lonely(merged):
            field, text, mend = alone
            self._complain((*at, field), f"{field} {text}", f"add {mend}, or its key")
        command = self._command(merged, at)
        if len(self.faults) > line or not command:
            return None
        return assembly.service(merged, command, roots, self._base, environ)

    def _merged(self, given: dict[str, Any], at: Path) -> dict[str, Any]:
        """The values of the file with those of the command line over them."""
        over = self._given
        merged = {**given, **over}
        if "ext" in given and "ext" not in over:
            merged["ext_origin"] = self._origin((*at, "ext"))
        patterns = [
            one._replace(origin=self._origin((*at, name, number)))
            for name in ("filter", "ignore")
            for number, one in enumerate(merged.pop(name, ()))
        ]
        ons = [one._replace(origin=self._origin((*at, "on", one.glob))) for one in given.get("on", ())]
        for name, before in (("patterns", patterns), ("on", ons)):
            merged[name] = (*before, *over.get(name, ()))
        for pair in assembly.CONTRADICTIONS:
            if any(field in over for field in pair):  # the command line wins
                merged = {key: value for key, value in merged.items() if key in over or key not in pair}
        return merged

    def _command(self, merged: Given, at: Path) -> Sequence[str]:
        command = merged.get("command", [])
        if merged.get("shell"):
            return assembly.shell([command] if isinstance(command, str) else command)
        return keys.split(command, self._complainer((*at, "command")))

    def _roots(self, given: list[tuple[int, str]], at: Path) -> list[str]:
        found = []
        for number, path in given or [(0, ".")]:
            located = self._located(path)
            if self._again and path and not os.path.lexists(located):
                found.append(paths.absent(located, self._base))
                continue
            try:
                found.append(paths.root(located, self._base))
            except ReloaderdError as error:
                self._complain(at, error.message, error.hint, (number,))
        return list(dict.fromkeys(found))

    def _addresses(self, given: Sequence[str], at: Path) -> tuple[str, ...]:
        ours = "listen" not in self._given
        if ours:  # an address has no ~ in front
            given = [os.path.expanduser(one) if one.startswith("~/") else one for one in given]
        try:
            return assembly.addresses(given, self._base if ours else self._cwd)
        except ReloaderdError as error:
            if not ours:
                raise
            self._complain((*at, "listen"), error.message, error.hint)
            return ()

    def _variables(self, given: dict[str, Any], at: Path) -> assembly.Variables:
        found: list[tuple[str, str]] = []
        if "env_file" in given:
            path = self._located(given.pop("env_file"))
            self._note(path)
            try:
                found += envfile.read(path, "")
            except ReloaderdError as error:
                self._complain((*at, "env_file"), error.message.strip(), error.hint)
        return [*found, *given.pop("env", ())]

    def _variables_of_all(self) -> assembly.Variables:
        if "env_file" in self._given:
            self._note(self._given["env_file"])
        return assembly.environ(self._given)

    def _note(self, path: str) -> None:
        """Note how an environment file looks that is about to be read."""
        self.beside.setdefault(paths.absent(path, self._cwd), stamp_at(path))

    def _directory(self, given: str | None, at: Path) -> str | None:
        if "chdir" in self._given:
            return paths.directory(self._given["chdir"], self._cwd)
        if given is None:
            return None if self._base == self._cwd else self._base
        try:
            return paths.directory(self._located(given), self._base, "")
        except ReloaderdError as error:
            self._complain(at, error.message.strip(), error.hint)
            return None

    def _located(self, path: str) -> str:
        """A path of the file as it can be used from the working directory."""
        if path.startswith("~/"):
            path = os.path.expanduser(path)
        return path if self._base == self._cwd or not path else os.path.join(self._base, path)

    def _origin(self, key: Path) -> str:
        """Where a rule stands."""
        return f"{self._source.shown}:{self._lines.of(key)}"

    # Faults

    def _complain(self, key: Path, text: str, hint: str, part: Path = ()) -> None:
        line = self._lines.of((*key, *part))
        own = [str(one) for one in (*key, *part)[len(self._source.table) :] if not isinstance(one, int)]
        name = f"{'.'.join(own)}: " if own else ""
        mend = f" ({hint})" if hint else ""
        self.faults.append((line, f"{self._source.shown}:{line}: {name}{text}{mend}"))

    def _complainer(self, key: Path) -> keys.Complain:
        def complain(part: Path, text: str, hint: str) -> None:
            self._complain(key, text, hint, part)

        return complain
