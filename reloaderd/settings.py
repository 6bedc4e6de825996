"""What a person asked for, checked and complete: plain records that every layer may read."""

import signal
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

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

    def without_origins(self) -> Self:
        """What they say, wherever it stands."""
        return self._replace(
            patterns=tuple(one._replace(origin="") for one in self.patterns),
            on=tuple(one._replace(origin="") for one in self.on),
            ext_origin="",
        )


class Probe(NamedTuple):
    """`--ready URL`: where to connect, written as in `listen`, and what to ask for there.

    `host` is how the URL names the server; `path` is empty where a connection says enough.
    """

    url: str
    address: str
    host: str
    path: str


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
    overlap: bool = False  # the next run starts while the one before serves
    ready: float | str | Probe = "serves"  # when it takes over: serves, notify, after seconds, or if asked
    ready_timeout: float = 30.0
    keep_sockets: bool = False  # what a Python child listens at is kept from run to run
    skip_unchanged: bool = False
    warm: bool = False  # runs go on from a copy of an interpreter that has libraries imported
    checkpoints: bool = False  # with `warm`: or from a copy that a run left before it imported what is edited
    config: str | None = None
    dry_run: bool = False

    def same_as(self, other: Self) -> bool:
        """Whether they ask for the same; where a rule stands makes no difference."""
        rules = self.rules.without_origins()
        return self._replace(rules=rules) == other._replace(rules=other.rules.without_origins())


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
    """All of one reloaderd.  `backend` is auto, inotify, pyinotify or poll; `poll_interval` in seconds.

    `name` is what it is called, `""` where nobody is to talk to it; `named`: a person gave it that name.
    """

    services: tuple[ServiceSettings, ...]
    console: ConsoleSettings = ConsoleSettings()
    backend: str = "auto"
    poll_interval: float = 1.0  # Django, Werkzeug and hupper poll once a second, too
    config: ConfigSettings | None = None
    name: str = ""
    named: bool = False


class Identity(NamedTuple):
    """The reloaderd that runs: its name among those of this user, its process, and where it was started.

    `config` is the path of its configuration file or empty, `begun` the instant of its start.
    """

    name: str = ""
    pid: int = 0
    directory: str = ""
    config: str = ""
    begun: float = 0.0


class DoctorSettings(NamedTuple):
    """What `doctor` looks at: the service is one that `watch` would watch for, without a command."""

    service: ServiceSettings
    backend: str = "auto"
    json: bool = False


class Elsewhere(NamedTuple):
    """A configuration file that a service is to read where it is: by these words after `watch`, said in the
    directory `cwd`, with these variables.
    """

    config: str
    words: tuple[str, ...]
    cwd: str
    environ: tuple[tuple[str, str], ...]


class UnitSettings(NamedTuple):
    """What `service` is to do: `act` is install, list or remove.

    What is installed is a `configuration` (a text) with the variables that were `added` to it, or one that is
    `elsewhere`; `again` if one of this name may be there.
    """

    act: str
    name: str = ""
    configuration: str = ""
    added: tuple[str, ...] = ()
    elsewhere: Elsewhere | None = None
    again: bool = False
    json: bool = False


class ControlSettings(NamedTuple):
    """What is asked of a reloaderd that runs: `name` is whom, None where that is to be found out.

    `last` is how many runs of each service to tell of."""

    command: str
    name: str | None = None
    json: bool = False
    last: int = 10


class ExplainSettings(NamedTuple):
    """The path that is asked about: absolute, and `real` without symlinks.

    `name` is whom, None for all that run.  `given` are the options that say which rules to go by instead.
    """

    path: str
    real: str
    is_dir: bool
    given: Mapping[str, Any]
    name: str | None = None
    json: bool = False
