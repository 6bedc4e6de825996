"""What a person asked for, checked and complete: plain records that every layer may read."""

from __future__ import annotations

import signal
from typing import NamedTuple

AUTO = None
"""The adaptive debounce of core.debounce, where a quiet time in seconds would stand."""


COMMAND_LINE = "command line"
"""Where a rule stands that no file says."""


class Pattern(NamedTuple):
    """One `--filter` (`include` is true) or `--ignore` glob, in gitignore syntax."""

    glob: str
    include: bool
    origin: str = COMMAND_LINE


class On(NamedTuple):
    """One `--on GLOB=ACTION`: `action` is restart, ignore, notify, or signal, which `signum` goes with."""

    glob: str
    action: str
    signum: int = 0
    origin: str = COMMAND_LINE


class RuleSettings(NamedTuple):
    """Which changes count (DESIGN 6.2).  `ext` holds endings without their leading dot."""

    ext: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    on: tuple[On, ...] = ()
    gitignore: bool = True
    default_ignores: bool = True
    ext_origin: str = COMMAND_LINE


class ServiceSettings(NamedTuple):
    """One service.  Paths are absolute and normal (no `.`, `..`, `//`), times are seconds.

    `config` is the file that it was read from: a change of that is no change of what it watches.
    """

    name: str
    command: tuple[str, ...]
    roots: tuple[str, ...]
    rules: RuleSettings = RuleSettings()
    debounce: float | None = AUTO
    follow_links: bool = False
    modules: bool = True  # what a Python child loads is followed
    exact: bool = False  # only that counts while it runs
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 5.0
    kill: str = "tree"  # tree, group, child
    on_exit: str = "wait"  # wait, restart, exit
    restart_status: int | None = 3
    gate: str | None = None  # syntax
    chdir: str | None = None
    environ: tuple[tuple[str, str], ...] = ()  # added to what reloaderd itself was given
    listen: tuple[str, ...] = ()  # addresses: 127.0.0.1:8000, [::1]:8000, or the path of a socket
    skip_unchanged: bool = False
    warm: bool = False  # runs go on from a copy of an interpreter that has libraries imported
    config: str | None = None
    dry_run: bool = False


def is_any_port(address: str) -> bool:
    """Whether it is port 0: two of these are not the same place."""
    return address.endswith(":0") and not address.startswith("/")


class ConsoleSettings(NamedTuple):
    """What is shown, and how.  `verbosity` is -1 (`-q`), 0 or 1 and more (`-v`)."""

    log_format: str = "auto"  # text, json, journal; auto: journal where stderr is that, else text
    color: str = "auto"  # auto, always, never
    clear: bool = False
    verbosity: int = 0


class ConfigSettings(NamedTuple):
    """The configuration file that all was read from, and what else there is to read it again.

    `path` is absolute; `named` says whether a person named the file or it was found, and `words` are those
    after `watch` on the command line.  `stamp` is how it looked (`events.Stamp.value`; 0: not at all), and
    `beside` are the environment files that were read with it, by absolute path, and how they looked.
    """

    path: str
    named: bool
    words: tuple[str, ...]
    stamp: int = 0
    beside: tuple[tuple[str, int], ...] = ()


class Settings(NamedTuple):
    """All of one reloaderd.  `backend` is auto, inotify, pyinotify or poll; `poll_interval` in seconds."""

    services: tuple[ServiceSettings, ...]
    console: ConsoleSettings = ConsoleSettings()
    backend: str = "auto"
    poll_interval: float = 1.0  # Django, Werkzeug and hupper poll once a second, too
    config: ConfigSettings | None = None


class DoctorSettings(NamedTuple):
    """What `doctor` looks at: the service is one that `watch` would watch for, without a command."""

    service: ServiceSettings
    backend: str = "auto"
    json: bool = False
