"""Installs, lists and removes services of the user's systemd, and says what was done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from reloaderd.errors import ReloaderdError
from reloaderd.settings import UnitSettings
from reloaderd.units import manager, options, places, toml

PRIVATE, PUBLIC = 0o600, 0o644
"""Modes: `--env` may hold a secret, which is in the configuration, or among the words of a unit."""


def act(wanted: UnitSettings) -> tuple[str, int]:
    """Do it: what to print, and the exit status.  Raises ReloaderdError, with all as it was before."""
    manager.available()
    match wanted.act:
        case "install":
            return _install(wanted), 0
        case "remove":
            return _remove(wanted.name), 0
    return _listed(_services(), wanted.json), 0


# install


def _install(wanted: UnitSettings) -> str:
    name, unit = wanted.name, places.unit_of(wanted.name)
    config, unit_file = places.config_path(name), places.unit_path(name)
    for path in (config, unit_file):
        if path.exists() and not wanted.again and not _is_read(path, wanted):
            mend = f"reloaderd service remove {name}; or --force puts the new one in its place"
            raise ReloaderdError(f"there is a service {name}: {places.shown(path)}", mend, 1)
    files = places.Files()
    try:
        text = places.unit_text(name, wanted.elsewhere)
        if wanted.configuration:
            files.write(config, wanted.configuration, PRIVATE)
        elif toml.is_ours(_content(config), name):
            files.delete(config)
        if text:
            files.write(unit_file, text, PRIVATE if wanted.elsewhere else PUBLIC)
        else:
            files.delete(unit_file)
        _start(unit)
    except BaseException:
        _take_back(files, unit)
        raise
    return _told(wanted, unit, text != "")


def _is_read(path: Path, wanted: UnitSettings) -> bool:
    """Whether the file is none of ours but what the service is to read."""
    return wanted.elsewhere is not None and str(path) == wanted.elsewhere.config


def _start(unit: str) -> None:
    manager.do("daemon-reload")
    (known,) = manager.properties([unit], ["LoadState"])
    if known.get("LoadState") != "loaded":
        place = places.shown(places.home())
        raise ReloaderdError(
            f"your systemd does not find {unit} in {place}/systemd/user",
            "it was started with another XDG_CONFIG_HOME: unset it here, or log in anew",
            1,
        )
    manager.systemctl("reset-failed", unit)
    manager.do("enable", unit)
    status, said = manager.systemctl("restart", unit)
    if status:
        (state,) = manager.properties([unit], ["InvocationID", "StatusText"])
        why = manager.last_words(unit, state.get("InvocationID", "")) or state.get("StatusText") or said
        why = re.sub(r"^(?:reloaderd: |(?:\S+: )?(?:warning|error): )", "", why)
        mend = f"so all is as it was before; what it said: journalctl --user -u {unit}"
        raise ReloaderdError(f"it does not start: {why}", mend, 1)


def _take_back(files: places.Files, unit: str) -> None:
    """All as it was before: where there was a service of this name it runs again."""
    (state,) = manager.properties([unit], ["ActiveState"]) or [{}]
    manager.systemctl("disable", "--now", unit)
    files.undo()
    manager.systemctl("daemon-reload")
    manager.systemctl("reset-failed", unit)
    if places.config_path(_name_of(unit)).exists() and state.get("ActiveState"):
        manager.systemctl("enable", "--now", unit)


def _told(wanted: UnitSettings, unit: str, own: bool) -> str:
    name = wanted.name
    read = wanted.elsewhere.config if wanted.elsewhere else places.config_path(name)
    added = wanted.added or (tuple(key for key, _ in wanted.elsewhere.environ) if wanted.elsewhere else ())
    lines = [f"{name} runs, and starts with the machine.", f"  configuration  {places.shown(read)}"]
    if own:
        lines.append(f"  unit           {places.shown(places.unit_path(name))}")
    if added:
        lines.append(f"  environment    {' and '.join(added)} as here, so that it finds the same programs")
    lines += [
        f"  state          reloaderd status {name}, reloaderd why {name}, systemctl --user status {unit}",
        f"  log            journalctl --user -f -u {unit}",
        f"  away with it   reloaderd service remove {name}",
    ]
    if not manager.lingers():
        lines[0] = f"{name} runs, and starts when you log in."
        who = manager.account()
        lines.append(f"It ends when you log out, unless: sudo loginctl enable-linger {who}")
    return "\n".join(lines) + "\n"


# remove


def _remove(name: str) -> str:
    unit = places.unit_of(name)
    config, unit_file = places.config_path(name), places.unit_path(name)
    if name not in (service.name for service in _services()):
        others = ", ".join(service.name for service in _services())
        mend = f"there is {others}" if others else "reloaderd service list"
        raise ReloaderdError(f"there is no service {name}", mend, 1)
    manager.do("disable", "--now", unit)
    files = places.Files()
    gone: list[str] = []
    kept: list[str] = []
    for path, ours in (
        (config, toml.is_ours(_content(config), name)),
        (unit_file, _content(unit_file).startswith(places.HEAD.format(name=name))),
    ):
        if path.exists():
            (gone if ours and files.delete(path) else kept).append(places.shown(path))
    manager.systemctl("daemon-reload")
    manager.systemctl("reset-failed", unit)
    lines = [f"{name} has ended and starts no more."]
    lines += [f"  deleted  {path}" for path in gone]
    lines += [f"  kept     {path}: it was not written by reloaderd" for path in kept]
    return "\n".join(lines) + "\n"


# list


class Service(NamedTuple):
    """One that systemd knows, or could start."""

    name: str
    state: str
    enabled: bool
    config: str
    unit: str
    pid: int


def _services() -> list[Service]:
    """Those that have a file of their own, and those that run."""
    names = {path.stem for path in (places.home() / "reloaderd").glob("*.toml")}
    names |= {_name_of(path.name) for path in (places.home() / "systemd/user").glob("reloaderd@?*.service")}
    _, said = manager.systemctl("list-units", "--all", "--plain", "--no-legend", "reloaderd@*.service")
    names |= {_name_of(line.split()[0]) for line in said.splitlines() if line.startswith("reloaderd@")}
    found = sorted(filter(options.is_name, names))
    wanted = ["ActiveState", "LoadState", "UnitFileState", "MainPID"]
    states = manager.properties([places.unit_of(name) for name in found], wanted)
    return [
        Service(
            name,
            state.get("ActiveState", "unknown"),
            state.get("UnitFileState", "").startswith("enabled"),
            _config_of(name),
            places.unit_of(name),
            int(state.get("MainPID") or 0),
        )
        for name, state in zip(found, states, strict=True)
        if state.get("LoadState") == "loaded"
    ]


def _name_of(unit: str) -> str:
    return unit.partition("@")[2].removesuffix(".service")


def _config_of(name: str) -> str:
    read = re.search(rf"^{places.READS}(.*)$", _content(places.unit_path(name)), re.M)
    return read[1] if read else str(places.config_path(name))


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _listed(services: list[Service], as_json: bool) -> str:
    if as_json:
        return json.dumps([service._asdict() for service in services], indent=2) + "\n"
    if not services:
        return "There are none.  One is made by: reloaderd service install NAME [PATH ...] -- COMMAND\n"
    rows = [("NAME", "STATE", "AT START", "CONFIGURATION")]
    for one in services:
        rows.append((one.name, one.state, "yes" if one.enabled else "no", places.shown(one.config)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) + "\n"
        for row in rows
    )
