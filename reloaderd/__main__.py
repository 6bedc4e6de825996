"""Runs reloaderd: reads the command line, hands over to the loop, and ends as it should.

This is the one place that prints errors.  Imports are where they are needed: an answer to
`--help` or to a mistake must not wait for what a watching daemon needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reloaderd.errors import ReloaderdError

if TYPE_CHECKING:
    from reloaderd.console import Console
    from reloaderd.journaling import JournalConsole
    from reloaderd.servicemanager import ServiceManager
    from reloaderd.settings import ConfigSettings, ConsoleSettings, Settings

EX_SOFTWARE = 70
"""An internal error: sysexits.h."""

NEEDED_ONCE = (
    *("argparse", "gettext", "locale"),
    *("reloaderd.assembly", "reloaderd.cli", "reloaderd.options", "reloaderd.parsers"),
    *(
        "reloaderd.config.keys",
        "reloaderd.config.lines",
        "reloaderd.config.reader",
        "reloaderd.config.source",
    ),
    *("reloaderd.config", "reloaderd.envfile", "reloaderd.paths", "reloaderd.values"),
    *(
        "tomllib._parser",
        "tomllib._re",
        "tomllib._types",
        "tomllib",
        "datetime",
        "difflib",
        "shlex",
        "string",
    ),
)
"""What only reads the command line and the configuration file: 0.6 MB, and 1 MB for the latter, that a daemon
that runs all day has no use for until the file changes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (default: the process's) and return the exit status.

    Does not return when reloaderd is to die of the signal that ended it.
    """
    signum = 0
    manager = _service_manager()
    try:
        status, signum = _run(sys.argv[1:] if argv is None else argv, manager)
    except ReloaderdError as error:
        status = _complain(error, manager)
    except KeyboardInterrupt:
        status, signum = 130, 2  # SIGINT, before the loop answers to it
    except Exception:
        status = _confess(manager)
    if manager is not None:
        manager.close()
    if signum:
        from reloaderd.kernel.signals import die_of

        die_of(signum)
    return status


def _service_manager() -> ServiceManager | None:
    """The one that started us, if it wants to be told."""
    from os import environ

    if "NOTIFY_SOCKET" not in environ:
        return None
    from reloaderd.servicemanager import ServiceManager

    return ServiceManager.of(environ)


def _run(argv: Sequence[str], manager: ServiceManager | None) -> tuple[int, int]:
    """The exit status, and the signal to die of instead or 0."""
    _occupy_standard_descriptors()
    from reloaderd import cli
    from reloaderd.settings import DoctorSettings

    wanted = cli.parse(argv)
    if isinstance(wanted, cli.Said):
        return _say(wanted.text, wanted.status, error=bool(wanted.status)), 0
    if isinstance(wanted, DoctorSettings):
        from reloaderd.doctor.visit import visit

        return _say(*visit(wanted)), 0
    del cli
    _forget(NEEDED_ONCE)
    from reloaderd.loop import run

    config = wanted.config
    console = _console(wanted.console, named=config is not None)
    if config is None:
        status, signum = run(wanted, console, None, manager)
    else:
        status, signum = run(wanted, console, lambda: _read_again(config), manager)
    return status, signum


def _console(settings: ConsoleSettings, named: bool) -> Console | JournalConsole:
    if settings.log_format == "journal" or (settings.log_format == "auto" and _in_the_journal()):
        from reloaderd.journaling import JournalConsole

        return JournalConsole(settings, named=named)
    from reloaderd.console import Console

    return Console(settings, named=named)


def _in_the_journal() -> bool:
    """Whether stderr is a stream to the journal."""
    from os import environ

    if "JOURNAL_STREAM" not in environ:
        return False
    from reloaderd.kernel.journal import is_journal

    return is_journal(environ["JOURNAL_STREAM"])


def _read_again(config: ConfigSettings) -> Settings:
    from reloaderd import cli

    try:
        return cli.parse_again(config)
    finally:
        del cli
        _forget(NEEDED_ONCE)


def _forget(modules: Sequence[str]) -> None:
    """Unload modules, so that the memory they took serves what is imported next."""
    import gc

    for name in modules:
        sys.modules.pop(name, None)
        package, _, own = name.rpartition(".")
        if package in sys.modules:
            vars(sys.modules[package]).pop(own, None)
    gc.collect()


def _occupy_standard_descriptors() -> None:
    """Open /dev/null for each of 0, 1, 2 that is closed: else the next file opened would be it,
    and what the child or a traceback prints would end up there.
    """
    import os

    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _say(text: str, status: int, error: bool = False) -> int:
    """Print on stdout, or where it is about an `error` on stderr; returns `status`."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # it was closed when we were started
        return status
    try:
        # a name may have what the locale has not
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        stream.write(text)
        stream.flush()
    except BrokenPipeError:  # `reloaderd --help | head -1` read enough
        _forget_output()
    except OSError as error:
        _forget_output()
        raise ReloaderdError(f"cannot write: {(error.strerror or '').lower()}", exit_code=1) from None
    return status


def _forget_output() -> None:
    """Keep the interpreter from complaining about the same at its exit."""
    import os

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _complain(error: ReloaderdError, manager: ServiceManager | None) -> int:
    from reloaderd.core.escaping import escaped

    if manager is not None:
        manager.complain(error.lines)

    for line in error.lines:
        _print_error(escaped(f"reloaderd: {line}"))
    return error.exit_code


def _confess(manager: ServiceManager | None) -> int:
    import traceback

    if manager is not None:
        manager.complain(["a bug in reloaderd: the journal has more"])

    _print_error(traceback.format_exc().rstrip("\n"))
    _print_error("reloaderd: this is a bug in reloaderd: please report it with the lines above")
    return EX_SOFTWARE


def _print_error(text: str) -> None:
    if sys.stderr is None:  # it was closed when we were started; print would take stdout then
        return
    if _in_the_journal():
        from reloaderd.kernel.journal import ERROR, prefixed

        text = prefixed(text, ERROR)
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # its reader has gone: nobody to tell
        pass


if __name__ == "__main__":
    sys.exit(main())
