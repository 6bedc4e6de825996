"""The options of `watch` as an argparse parser: names, help and which check each value gets.

Each option's `dest` is the field of a record in `settings` (but `env`, `env_file`, `shell`, `quiet`
and `verbose`), and only what was given is in the namespace: the defaults are those of the records.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from reloaderd import values
from reloaderd.errors import ReloaderdError
from reloaderd.settings import Pattern

WIDEST = 100
"""Columns of the help: longer lines are hard to read."""

DESCRIPTION = """\
Runs COMMAND and watches each PATH (default: the current directory) with all
that is below it. When a file changes it stops the command, makes sure that
nothing of it is left, and runs it anew. Everything after -- is the command, as
it is. Ctrl-C stops both; a second Ctrl-C does not wait."""

EXAMPLES = """\
examples:
  reloaderd watch -- python app.py
      restart app.py when any file of this directory changes
  reloaderd watch src templates -e py,html -- python -m myapp --port 8000
      watch two directories, and in them only .py and .html files
  reloaderd watch -i '*.txt' -i /docs/ -- make test
      leave out what matches a pattern, written as in .gitignore
  reloaderd watch --on 'nginx.conf=signal:HUP' -- ./serve.sh
      send SIGHUP instead of a restart when nginx.conf changes
  reloaderd watch --shell -- 'npm run build && node server.js'
      let a shell run the command
  reloaderd watch --dry-run -v -- python app.py
      start nothing; show what each change would do, and by which rule

TIME is 50ms, 1.5s, 2min, or a number of seconds. GLOB is a pattern as in
.gitignore. Not watched unless an option says so: what git ignores, what
.reloaderdignore names, and caches, virtual environments, logs and the like."""

Convert = Callable[[str], Any]


class HelpWanted(Exception):
    """`--help` was met: print the help and do nothing else."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing and exiting."""

    def error(self, message: str) -> Any:
        """Called for what argparse does not raise itself."""
        raise ReloaderdError(message, "see reloaderd watch --help")


class _Help(argparse.Action):
    def __call__(self, *_: object) -> None:
        raise HelpWanted


class Once(argparse.Action):
    """Keeps one checked value: a second one is an error, as is one that the check refuses."""

    def __init__(self, *args: Any, convert: Convert = str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._convert = convert

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the value, or the constant of an option that takes none."""
        if self.dest in namespace:
            raise ReloaderdError(f"{self.option_strings[-1]} is given twice", "leave one of them out")
        setattr(namespace, self.dest, self._value(value, option_string))

    def _value(self, value: Any, option: str | None) -> Any:
        if self.nargs == 0:
            return self.const
        try:
            return self._convert(value)
        except values.BadValue as fault:
            # --env may hold a secret: only its key is repeated
            shown = value.partition("=")[0] if self.dest == "env" else value or "''"
            raise ReloaderdError(f"{option} {shown}: {fault.message}", fault.hint) from None


class Each(Once):
    """Keeps every checked value, in the order given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the value."""
        before = getattr(namespace, self.dest, ())
        setattr(namespace, self.dest, (*before, self._value(value, option_string)))


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Options as `-n, --name NAME`, in at most `WIDEST` columns.

    The width is found without shutil, which argparse would import (4 ms) for each option added.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_width())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = ", ".join(action.option_strings)
        names = names if action.option_strings[0][1] != "-" else f"    {names}"
        return names if action.nargs == 0 else f"{names} {action.metavar}"


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return min(int(columns), WIDEST)
    try:
        return min(os.get_terminal_size(1).columns or WIDEST, WIDEST)
    except OSError:
        return WIDEST


def watch_parser() -> Parser:
    """The parser for what stands between `watch` and `--`; PATHs are what it leaves over."""
    parser = Parser(
        prog="reloaderd watch",
        usage="reloaderd watch [OPTIONS] [PATH ...] -- COMMAND [ARG ...]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=Formatter,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    _add_what_to_watch(_Group(parser, "what to watch"))
    _add_what_to_run(_Group(parser, "what to run"))
    _add_how_to_stop(_Group(parser, "how to stop and restart it"))
    _add_output(_Group(parser, "output"))
    return parser


class _Group:
    """One group of options; `spec` is an option as the help shows it, `-n, --name NAME`."""

    def __init__(self, parser: argparse.ArgumentParser, title: str) -> None:
        self._group = parser.add_argument_group(title)

    def value(self, spec: str, convert: Convert, text: str) -> None:
        """An option with a value, once."""
        names, _, metavar = spec.rpartition(" ")
        self._add(names, text, action=Once, convert=convert, metavar=metavar)

    def values(self, spec: str, dest: str, convert: Convert, text: str) -> None:
        """An option with a value that may be repeated."""
        names, _, metavar = spec.rpartition(" ")
        self._add(names, text, action=Each, convert=convert, metavar=metavar, dest=dest)

    def flag(self, names: str, text: str, **more: Any) -> None:
        """An option without a value, once."""
        self._add(names, text, **{"action": Once, "nargs": 0, "const": True, **more})

    def _add(self, names: str, text: str, **more: Any) -> None:
        self._group.add_argument(*names.split(", "), help=text, **more)


def _included(text: str) -> Pattern:
    return Pattern(values.pattern(text), True)


def _ignored(text: str) -> Pattern:
    return Pattern(values.pattern(text), False)


def _add_what_to_watch(group: _Group) -> None:
    group.value(
        "-e, --ext EXT",
        values.endings,
        "only files with these endings, comma-separated: py,html (default: every file)",
    )
    group.values(
        "-f, --filter GLOB",
        "patterns",
        _included,
        "only files that match; may be repeated, and of -f and -i the last that matches wins",
    )
    group.values("-i, --ignore GLOB", "patterns", _ignored, "not these; likewise")
    group.flag("--no-gitignore", "count what git ignores, too", dest="gitignore", const=False)
    group.flag(
        "--no-default-ignores",
        "count caches, virtual environments, logs, editors' files and the like, too",
        dest="default_ignores",
        const=False,
    )
    group.values(
        "--on GLOB=ACTION",
        "on",
        values.on,
        "what a change of these files does: restart, ignore or signal:NAME; may be repeated",
    )
    group.value(
        "--debounce TIME",
        values.debounce,
        "how long it must be quiet after a change; 0 acts on the first event "
        "(default: auto, 10ms for a lone save and longer for many files)",
    )
    group.flag("--follow-links", "follow symlinked directories below a PATH")
    group.value(
        "--backend SOURCE",
        values.choice("auto", "inotify", "pyinotify", "poll"),
        "where changes are learnt from: inotify, pyinotify (the same by another package) or poll "
        "(default: auto, inotify where the kernel sees all writers and poll elsewhere)",
    )
    group.value(
        "--poll-interval TIME", values.interval, "how often to look at what has to be polled (default: 1s)"
    )


def _add_what_to_run(group: _Group) -> None:
    group.value(
        "-n, --name NAME", values.name, "what it is called (default: the name of the current directory)"
    )
    group.value("--chdir DIR", str, "the directory that the command starts in")
    group.values(
        "--env KEY=VALUE", "env", values.variable, "add this to the command's environment; may be repeated"
    )
    group.value("--env-file FILE", str, "add the KEY=VALUE lines of FILE; --env wins over them")
    group.flag("--shell", "run COMMAND with /bin/sh -c; several words are joined with spaces as they are")
    group.flag("--dry-run", "start nothing; show what each change would do")


def _add_how_to_stop(group: _Group) -> None:
    group.value(
        "--stop-signal SIGNAL",
        values.signal_number,
        "asks the command to end: TERM, SIGTERM, 15 (default: TERM)",
    )
    group.value(
        "--stop-timeout TIME",
        values.time,
        "how long it may take until it is killed; 0 kills at once (default: 5s)",
    )
    group.value(
        "--kill SCOPE",
        values.choice("tree", "group", "child"),
        "who gets the stop signal: tree, all descendants; group, the process group; child, the command "
        "alone. What is left after it ends is always cleared away (default: tree)",
    )
    group.value(
        "--on-exit WHAT",
        values.choice("wait", "restart", "exit"),
        "when the command ends by itself: wait for a change, restart it, or exit as it did (default: wait)",
    )
    group.value(
        "--restart-status N",
        values.restart_status,
        'the exit status that means "restart me", or none (default: 3)',
    )


def _add_output(group: _Group) -> None:
    group.flag("--clear", "clear the screen before each restart")
    group.flag("-q, --quiet", "show only warnings and errors")
    group.flag("-v, --verbose", "show details and rules; may be repeated", action=Each, const=True)
    group.value(
        "--color WHEN",
        values.choice("auto", "always", "never"),
        "auto, always or never (default: auto, on a terminal unless NO_COLOR is set)",
    )
    group.value(
        "--log-format FORMAT",
        values.choice("text", "json"),
        "text, or json: one object a line (default: text)",
    )
    group.flag("-h, --help", "show this help", action=_Help)
