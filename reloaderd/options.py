"""The options of `watch` as an argparse parser: names, help and which check each value gets.

Each option's `dest` is the field of a record in `settings` (but `config`, `env`, `env_file`, `shell`,
`quiet` and `verbose`), and only what was given is in the namespace: the defaults are those of the records.
"""

from __future__ import annotations

from reloaderd import values
from reloaderd.parsers import Each, Group, Help, Parser, new_parser
from reloaderd.settings import Pattern

DESCRIPTION = """\
Runs COMMAND and watches each PATH (default: the current directory) with all
that is below it. When a file changes it stops the command, makes sure that
nothing of it is left, and runs it anew. Everything after -- is the command, as
it is. Ctrl-C stops both; a second Ctrl-C does not wait.

Without -- it runs the services of a configuration file: all of them, or each
SERVICE. Options that are given too win over the file, for each service."""

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
  reloaderd watch --on '*.mo=notify' -- python app.py
      tell app.py, which calls reloaderd.on_change, of new translations
  reloaderd watch --shell -- 'npm run build && node server.js'
      let a shell run the command
  reloaderd watch --listen 8000 -- uvicorn web:app --fd 3
      keep the socket open: nobody is refused while it restarts
  reloaderd watch --dry-run -v -- python app.py
      start nothing; show what each change would do, and by which rule
  reloaderd watch
      run all that reloaderd.toml describes

TIME is 50ms, 1.5s, 2min, or a number of seconds. GLOB is a pattern as in
.gitignore. Not watched unless an option says so: what git ignores, what
.reloaderdignore names, and caches, virtual environments, logs and the like."""


def watch_parser() -> Parser:
    """The parser for what stands between `watch` and `--`; PATHs are what it leaves over."""
    watch = new_parser("watch", " -- COMMAND [ARG ...]", DESCRIPTION, EXAMPLES)
    watch.usage = f"{watch.usage}\n       reloaderd watch [OPTIONS] [SERVICE ...]"
    Group(watch, "the configuration file").value(
        "-c, --config FILE",
        str,
        "read the services from this file, without a COMMAND (default: reloaderd.toml, else [tool.reloaderd] "
        "of pyproject.toml)",
    )
    what = Group(watch, "what to watch")
    add_what_to_watch(what)
    _add_modules(what)
    _add_when(what)
    _add_what_to_run(Group(watch, "what to run"))
    _add_how_to_stop(Group(watch, "how to stop and restart it"))
    _add_output(Group(watch, "output"))
    return watch


def _included(text: str) -> Pattern:
    return Pattern(values.pattern(text), True)


def _ignored(text: str) -> Pattern:
    return Pattern(values.pattern(text), False)


def add_what_to_watch(group: Group) -> None:
    """The options that decide what is watched, and by which source."""
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
        "what a change of these files does: restart, ignore, signal:NAME or notify (tell the Python command, "
        "see reloaderd.on_change); may be repeated",
    )
    group.flag("--follow-links", "follow symlinked directories below a PATH")
    group.value(
        "--backend SOURCE",
        values.choice("auto", "inotify", "pyinotify", "poll"),
        "where changes are learnt from: inotify, pyinotify (the same by another package) or poll "
        "(default: auto, inotify where the kernel sees all writers and poll elsewhere)",
    )


def _add_modules(group: Group) -> None:
    group.flag(
        "--exact",
        "while a Python command runs, only files that it has loaded count: modules, wherever they are, and "
        "what it opened for reading below a PATH",
    )
    group.flag("--no-modules", "do not follow what a Python command imports", dest="modules", const=False)


def _add_when(group: Group) -> None:
    group.value(
        "--debounce TIME",
        values.debounce,
        "how long it must be quiet after a change; 0 acts on the first event "
        "(default: auto, 10ms for a lone save and longer for many files)",
    )
    group.value(
        "--poll-interval TIME", values.interval, "how often to look at what has to be polled (default: 1s)"
    )

    group.flag("--skip-unchanged", "a file that was written and says the same as before does not count")


def _add_what_to_run(group: Group) -> None:
    group.value(
        "-n, --name NAME", values.name, "what it is called (default: the name of the current directory)"
    )
    group.value("--chdir DIR", str, "the directory that the command starts in")
    group.values(
        "--env KEY=VALUE", "env", values.variable, "add this to the command's environment; may be repeated"
    )
    group.value("--env-file FILE", str, "add the KEY=VALUE lines of FILE; --env wins over them")
    group.flag(
        "--warm",
        "start the runs of a Python command from a copy of its interpreter that has imported the libraries",
    )
    group.flag(
        "--checkpoints",
        "--warm, and each run leaves copies of itself just before it imports what was edited last, for the "
        "next one to go on from",
    )
    group.flag("--shell", "run COMMAND with /bin/sh -c; several words are joined with spaces as they are")
    group.values(
        "--listen ADDR",
        "listen",
        values.address,
        "listen there and hand the socket on to every run, from descriptor 3 on: a port (0: a free one), "
        "IP:PORT, or a path, which has a / in it or ends in .sock; may be repeated",
    )
    group.flag(
        "--keep-sockets",
        "keep open what a Python command listens at and give it back to the next run that binds the same: "
        "connections wait meanwhile, and none is refused",
    )
    group.flag(
        "--overlap",
        "start the next run while the one before serves, and stop that when the new one is ready; one that "
        "ends before leaves the old one serving (with --keep-sockets or --listen)",
    )
    group.value(
        "--ready WHAT",
        values.ready,
        "when a run is ready with --overlap: serves, it waits for connections; notify, it says READY=1 to "
        "NOTIFY_SOCKET; http://HOST[:PORT]/PATH, it answers that itself with a status from 200 to 399; "
        "tcp://HOST:PORT, it accepts there; or a TIME after its start (default: serves)",
    )
    group.value(
        "--ready-timeout TIME",
        values.time,
        "how long it may take to be ready (default: 30s)",
    )
    group.flag("--dry-run", "start nothing; show what each change would do")


def _add_how_to_stop(group: Group) -> None:
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
    group.value(
        "--gate CHECK",
        values.choice("syntax"),
        "syntax: keep the old run while a changed Python file does not compile (default: no gate)",
    )


def _add_output(group: Group) -> None:
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
        values.choice("auto", "text", "json", "journal"),
        "text; json: one object a line; journal: entries with fields in the journal of systemd (default: "
        "auto, journal where stderr goes there and else text)",
    )
    group.flag("-h, --help", "show this help", action=Help)
