"""Runs reloaderd: reads the command line, hands over to the loop, and ends as it should.

This is the one place that prints errors.  Imports are where they are needed: an answer to
`--help` or to a mistake must not wait for what a watching daemon needs; and Ctrl-C during an import
that is outside of `main` would show Python's traceback.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the part in C, which needs no import of another
import sys
import time

from reloaderd.errors import ReloaderdError

TYPE_CHECKING = False  # typing's own costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from reloaderd.console import Console
    from reloaderd.journaling import JournalConsole
    from reloaderd.servicemanager import ServiceManager
    from reloaderd.settings import ConfigSettings, ConsoleSettings, Settings

STARTED = time.time()

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
    manager = None
    try:
        manager = _service_manager()
        status, signum = _run(sys.argv[1:] if argv is None else argv, manager)
    except ReloaderdError as error:
        status = _complain(error, manager)
    except KeyboardInterrupt:  # before the loop answers to it
        status, signum = 130, _signal.SIGINT
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # for a second one
    except Exception as error:
        status = _complain(_replaced(error), manager) if _is_replaced() else _confess(manager)
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
    from reloaderd.settings import Settings

    wanted = cli.parse(argv)
    if isinstance(wanted, Settings):
        del cli
        _forget(NEEDED_ONCE)
        return _watch(wanted, manager)
    return _CARRIED_OUT_BY[type(wanted).__name__](wanted), 0


def _answer(said: Any) -> int:
    return _say(said.text, said.status, error=bool(said.status))


def _doctor(settings: Any) -> int:
    from reloaderd.doctor.visit import visit

    return _say(*visit(settings))


def _control(settings: Any) -> int:
    from reloaderd.control.visit import visit

    return _to_reader(visit, settings)


def _to_reader(visit: Callable[[Any, Callable[[str], object]], int], settings: Any) -> int:
    try:
        return visit(settings, _write)
    except BrokenPipeError:  # `reloaderd events | head -1` read enough
        _forget_output()
        return 0


def _explain(settings: Any) -> int:
    from reloaderd.control.explain import visit

    return _to_reader(visit, settings)


def _service(settings: Any) -> int:
    from reloaderd.units.acts import act

    return _say(*act(settings))


_CARRIED_OUT_BY: dict[str, Callable[[Any], int]] = {
    "Said": _answer,
    "DoctorSettings": _doctor,
    "ControlSettings": _control,
    "ExplainSettings": _explain,
    "UnitSettings": _service,
}
"""By what the command line was read as: what does it, and returns the exit status."""


def _watch(wanted: Settings, manager: ServiceManager | None) -> tuple[int, int]:
    from reloaderd.loop import run

    config = wanted.config
    console = _console(wanted.console, named=config is not None)
    if config is None:
        return run(wanted, console, None, manager)
    return run(wanted, console, lambda: _read_again(config), manager)


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


def _say(text: str, status: int = 0, error: bool = False) -> int:
    """Print on stdout, or where it is about an `error` on stderr; returns `status`."""
    try:
        _write(text, error)
    except BrokenPipeError:  # `reloaderd --help | head -1` read enough
        _forget_output()
    return status


def _write(text: str, error: bool = False) -> None:
    """Write it at once.  Raises BrokenPipeError where nobody reads any more."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # it was closed when we were started
        return
    try:
        # a name may have what the locale has not
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as fault:
        _forget_output()
        raise ReloaderdError(f"cannot write: {(fault.strerror or '').lower()}", exit_code=1) from None


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


def _is_replaced() -> bool:
    """Whether a file that was loaded is not there any more, or was written since the start."""
    from os import stat

    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == "reloaderd" and (file := getattr(module, "__file__", None)):
            try:
                if stat(file).st_ctime > STARTED:
                    return True
            except OSError:
                return True
    return False


def _replaced(error: Exception) -> ReloaderdError:
    """What was not needed until now is of another version than what runs, or gone."""
    message = f"another reloaderd was installed since this one was started, or it was removed: {error}"
    return ReloaderdError(message, "start it again", EX_SOFTWARE)


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
