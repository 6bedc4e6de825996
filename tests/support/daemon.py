"""reloaderd under test: start it, wait for what it says and what its children say, leave nothing."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support import edits, probe, procfs
from tests.support.lines import Event, Record, new_lines, parse_event, parse_record, tail
from tests.support.mounts import Mounts
from tests.support.places import REPOSITORY, Place
from tests.support.terminal import Terminal
from tests.support.waiting import LIMIT, Unfulfilled, wait_until

LAUNCHER = f"""import sys
sys.path[0] = {str(REPOSITORY)!r}
sys.argv[0] = "reloaderd"
from reloaderd.__main__ import main
sys.exit(main())
"""


Watch = Callable[..., "Daemon"]
"""What the fixture `watch` gives: start one, with the arguments of `Daemon` but the place."""


def reloaderd(place: Place) -> list[str]:
    """The command line's first words: RELOADERD_COMMAND, else this checkout under this interpreter.

    A launcher rather than `-m`, which would put the watched tree on the path of imports.
    """
    given = os.environ.get("RELOADERD_COMMAND")
    if given:
        return shlex.split(given)
    launcher = place.scratch / "reloaderd.py"
    launcher.write_text(LAUNCHER)
    return [sys.executable, str(launcher)]


def probe_command(log: Path, options: Sequence[str] = (), read: Sequence[str] = ()) -> list[str]:
    """The command line of a probe child; `read` are files and directories whose content START tells."""
    command = [sys.executable, "-I", "-S", probe.__file__, "--log", str(log), *options]
    for path in read:
        command += ["--read", path]
    return command


class Daemon:
    """One `reloaderd watch`, in `place.tree` unless told otherwise, with a probe as its command.

    `options` go before the PATHs (`roots`) and `--`.  `probe` are options of the probe; `read` is what it
    reads (default: the whole directory that the daemon is started in); `command` replaces it altogether.
    `prefix` wraps the daemon and must execute it in its own process (setpriv, `unshare -m`, `strace -D`).
    `marker` is the file that `settle` changes (relative to the start directory), `marker_path` the path
    under which reloaderd knows it, where that is another.
    `inside` is a mount namespace in which it all happens: paths are paths there, see `at`.
    With `configured` the command line has neither PATHs nor a command: `roots` are names of services, and the
    file that says what they are is there already (their probes log to `place.scratch / "probe-0.log"`).
    `backend` is what the daemon was told to learn of changes by (tests/daemon/conftest.py).
    `terminal` is True for a pty with the daemon as session leader, "shell" for one with a job-control
    shell between; its own lines go to a file all the same unless `log_format` is "text".

    Ended at the end of the test, with these checks: `final state seen`, exactly `children` live
    children, no warning or error (unless `warnings`), no traceback (unless `tracebacks`), nothing left.
    """

    running: list[Daemon] = []  # for the report of a failed test

    def __init__(
        self,
        place: Place,
        *options: str,
        roots: Sequence[str] | None = None,
        configured: bool = False,
        cwd: Path | None = None,
        command: Sequence[str] | None = None,
        probe: Sequence[str] = (),
        read: Sequence[str] | None = None,
        environ: Mapping[str, str | None] | None = None,
        prefix: Sequence[str] = (),
        inside: Mounts | None = None,
        backend: str = "auto",
        terminal: bool | str = False,
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        log_format: str = "json",
        marker: str | Path | None = None,
        marker_path: str | Path | None = None,
        children: int | None = 1,
        warnings: bool = False,
        tracebacks: bool = False,
        ready: bool = True,
    ) -> None:
        self.place = place
        self.cwd = cwd or place.tree
        self.inside = inside
        self.polls = backend == "poll"
        self.children = children
        self.warnings = warnings
        self.tracebacks = tracebacks
        self.probed = command is None
        self.ended = False
        self.finished = False
        self._events: list[Event] = []
        self._records: list[Record] = []
        self._noise: list[str] = []
        self._log_at = self._stderr_at = 0
        number = len(list(place.scratch.glob("stderr-*")))
        self.log = place.scratch / f"probe-{number}.log"
        self.stderr = place.scratch / f"stderr-{number}"
        self.stdout = place.scratch / f"stdout-{number}"
        self.log.touch()
        self.marker = self.cwd / (marker or "marker.py")
        if marker is None:
            edits.mark(self.at(self.marker), 0)
        self.marker_path = marker_path or self.marker
        self.marks = 0
        self.environ = place.environ()
        for name, value in (environ or {}).items():
            if value is None:
                self.environ.pop(name, None)
            else:
                self.environ[name] = value
        self.reads = list(read) if read is not None else [str(self.cwd)]
        self.command = list(command) if command is not None else probe_command(self.log, probe, self.reads)
        within = inside.prefix(self.cwd) if inside is not None else []
        self.argv = [*within, *prefix, *reloaderd(place), "watch"]
        if log_format != "text":
            self.argv += ["--log-format", log_format]
        words = (
            [*(roots or ())] if configured else [*((".",) if roots is None else roots), "--", *self.command]
        )
        self.argv += [*options, *words]
        self.terminal: Terminal | None = None
        self._start(terminal, stdin, stdout, log_format)
        Daemon.running.append(self)
        if ready:
            self.wait_ready()

    def _start(
        self, terminal: bool | str, stdin: int | IO[Any] | None, stdout: int | IO[Any] | None, log_format: str
    ) -> None:
        with open(self.stderr, "ab") as err, open(self.stdout, "ab") as out:
            if terminal == "shell":
                self.terminal = Terminal.shell(cwd=self.cwd, environ=self.environ)
                line = shlex.join(self.argv)
                if log_format != "text":
                    line += f" 2>>{shlex.quote(str(self.stderr))}"
                self.terminal.send(line + "\n")
                self.pid = wait_until(self._under_shell, "reloaderd under the shell", explain=self.report)
                return
            if terminal:
                self.terminal = Terminal(
                    self.argv,
                    cwd=self.cwd,
                    environ=self.environ,
                    stderr=None if log_format == "text" else err,
                )
                self.process = self.terminal.process
            else:
                self.process = subprocess.Popen(
                    self.argv,
                    cwd=self.cwd if self.inside is None else self.place.base,
                    env=self.environ,
                    stdin=stdin,
                    stdout=out if stdout is None else stdout,
                    stderr=err,
                    start_new_session=True,
                )
            self.pid = self.process.pid

    def _under_shell(self) -> int:
        assert self.terminal is not None
        self.terminal.pump()
        return next(iter(procfs.children(self.terminal.pid)), 0)

    def at(self, path: str | Path) -> Path:
        """Where we find what the daemon knows as `path`."""
        return Path(path) if self.inside is None else self.inside.at(path)

    # What it says

    def refresh(self) -> None:
        """Take in new lines of the probe's log, of stderr and of the terminal."""
        if self.terminal is not None:
            self.terminal.pump()
        self._log_at, lines = new_lines(self.log, self._log_at)
        self._records += [parse_record(line) for line in lines]
        self._stderr_at, lines = new_lines(self.stderr, self._stderr_at)
        for line in lines:
            event = parse_event(line)
            if event is None:
                self._noise.append(line.decode(errors="backslashreplace"))
            else:
                self._events.append(event)

    @property
    def events(self) -> list[Event]:
        """The log lines of the daemon, in order."""
        self.refresh()
        return self._events

    @property
    def records(self) -> list[Record]:
        """The log of the probes, in order."""
        self.refresh()
        return self._records

    @property
    def noise(self) -> list[str]:
        """Lines of stderr that are no log lines: the child's, the text format, a traceback."""
        self.refresh()
        return self._noise

    @property
    def starts(self) -> list[Record]:
        return self.words("START")

    def words(self, word: str) -> list[Record]:
        """All records of one kind."""
        return [record for record in self.records if record.word == word]

    def signals(self, run: int | None = None) -> list[int]:
        """The signals that probes got, in order; of one run."""
        return [one.payload for one in self.words("SIGNAL") if run is None or one.run == run]

    def named(self, event: str, after: int = 0) -> list[Event]:
        """Log lines of one name, from position `after` on (see `mark`)."""
        return [one for one in self.events[after:] if one["event"] == event]

    def mark(self) -> int:
        """A position in `events`, for `after=`."""
        return len(self.events)

    def changed_paths(self, after: int = 0) -> set[str]:
        """Absolute paths in the `changed` lines since."""
        found: set[str] = set()
        for event in self.named("changed", after):
            found.update(os.path.join(self.cwd, path) for path in event["paths"])
        return found

    # Waiting

    def wait(self, check: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
        """Wait for anything; a failure shows all that is known about the daemon."""
        return wait_until(check, what, limit=limit, explain=self.report)

    def wait_event(self, name: str, *, after: int = 0, limit: float = LIMIT, **match: Any) -> Event:
        """The first log line of this name whose fields have these values."""

        def look() -> Event | None:
            for event in self.named(name, after):
                if all(event.get(key) == value for key, value in match.items()):
                    return event
            return None

        found: Event = self.wait(look, f"event {name} {match or ''}", limit)
        return found

    def wait_word(self, after: int) -> None:
        """Wait until it has said anything at all: it knows of what was done."""
        self.wait(lambda: len(self.events) > after, "a word from reloaderd")

    def wait_line(self, check: Callable[[str], bool], limit: float = LIMIT) -> str:
        """The first line on stderr that is no log line and passes `check`."""
        line: str = self.wait(lambda: next(filter(check, self.noise), None), "a line on stderr", limit)
        return line

    def wait_record(self, word: str, *, run: int | None = None, payload: Any = ..., after: int = 0) -> Record:
        """The first record of the probes like this, from position `after` of `records` on."""

        def look() -> Record | None:
            for record in self.records[after:]:
                if record.word == word and run in (None, record.run) and payload in (..., record.payload):
                    return record
            return None

        found: Record = self.wait(look, f"{word} of run {run} with {payload}")
        return found

    def wait_starts(self, count: int, limit: float = LIMIT) -> Record:
        """Wait until there were `count` starts in all; the last of them."""
        self.wait(lambda: len(self.starts) >= count, f"{count} starts", limit)
        return self.starts[count - 1]

    def wait_watches(self, least: int, most: int = 1 << 30) -> None:
        """Wait until the kernel counts so many watches of its."""
        self.wait(
            lambda: least <= procfs.inotify_watches(self.pid) <= most,
            f"{least} to {most} watches (at first {procfs.inotify_watches(self.pid)})",
        )

    def wait_ready(self) -> None:
        """Wait until the trees are watched and the first child has said START."""
        self.wait(self._ready_or_ended, "the first child")
        if self.process_ended():
            raise Unfulfilled(f"reloaderd ended instead of starting\n{self.report()}")

    def _ready_or_ended(self) -> bool:
        if self.process_ended():
            return True
        if self.argv.count("json"):
            return bool(self.named("started")) and (bool(self.starts) or not self.probed)
        return bool(self.starts) or not self.probed

    def process_ended(self) -> bool:
        if self.terminal is not None and self.terminal.pid != self.pid:
            return not procfs.alive(self.pid)
        return self.process.poll() is not None

    def wait_exit(self, limit: float = LIMIT) -> int:
        """Its exit status, or minus the signal that killed it (not known under a shell: 0)."""
        self.wait(self.process_ended, "the end of reloaderd", limit)
        self.ended = True
        if self.terminal is not None and self.terminal.pid != self.pid:
            return 0
        status: int = self.process.wait()
        return status

    # What must be so

    def final_state_seen(self) -> None:
        """Wait until the last START read what is on the disk."""

        def same() -> bool:
            starts = self.starts
            return bool(starts) and starts[-1].payload == self._on_disk()

        try:
            self.wait(same, "the final state to be seen")
        except Unfulfilled as error:
            raise Unfulfilled(f"{error}\n--- differs\n{self._difference()}") from None

    def _on_disk(self) -> probe.Content:
        if self.inside is None:
            return probe.snapshot(self.reads)
        found = probe.snapshot([str(self.at(path)) for path in self.reads])
        return {path.removeprefix(str(self.inside.root)): content for path, content in found.items()}

    def _difference(self) -> str:
        seen = self.starts[-1].payload if self.starts else {}
        disk = self._on_disk()
        return "\n".join(
            f"{path}: seen {seen.get(path, 'nothing')!r}, on disk {disk.get(path, 'nothing')!r}"
            for path in sorted(seen | disk)
            if seen.get(path, 0) != disk.get(path, 0)
        )[:4000]

    def live_children(self) -> list[int]:
        """Pids of the runs' children that are alive."""
        ours = set(procfs.marked(self.place.mark))
        return [start.pid for start in self.starts if start.pid in ours]

    def exactly_one_live_child(self) -> int:
        """The pid of the last START, which must be alive, and alone."""

        def one() -> bool:
            return self.live_children() == [self.starts[-1].pid]

        self.wait(one, "exactly one live child, of the last start")
        return self.starts[-1].pid

    def change_marker(self) -> Record:
        """Make the visible change and wait for the run that saw it."""
        self.marks += 1
        path = str(self.marker)
        content = edits.mark(self.at(self.marker), self.marks)

        def seen() -> Record | None:
            last = self.starts[-1]
            return last if last.payload.get(path) == content else None

        start: Record = self.wait(
            seen, f"a start that saw the marker's change {self.marks} (else it is deaf)"
        )
        return start

    def settle(self, starts: int, most: int | None = None) -> None:
        """Show that nothing more than `starts` starts (at most `most`) came of what was done.

        The marker is changed: one start more must come, and of that change alone (unless `most` says
        that it is not known how many come, so that the last may have waited for the marker's).
        """
        at = self.mark()
        self.change_marker()
        seen = len(self.starts) - 1
        if not starts <= seen <= (most or starts):
            wanted = f"{starts}" if most is None else f"{starts} to {most}"
            raise Unfulfilled(f"{wanted} starts wanted, {seen} seen\n{self.report()}")
        paths = self.changed_paths(at)
        if most is None and paths != {str(self.marker_path)}:
            raise Unfulfilled(f"with the marker alone changed, {sorted(paths)} counted\n{self.report()}")

    @contextmanager
    def restarts(self, count: int, most: int | None = None, cut: int | None = None) -> Iterator[None]:
        """What is done inside leads to `count` restarts (at most `most`), to no more, and is seen.

        `cut` is `most` where it polls: a scan sees states and may fall between two calls of one act.
        """
        most = cut if self.polls and cut else most
        before = len(self.starts)
        yield
        self.wait_starts(before + count)
        if count:
            self.final_state_seen()
        self.settle(before + count, None if most is None else before + most)

    def finish(self) -> None:
        """Stop it as a person does and check all that every case ends with."""
        if self.finished:
            return
        self.finished = True
        try:
            if not self.ended:
                self._check_alive()
            self._stop()
            self._check_nothing_left()
        finally:
            self.end()
        self._check_output()

    def _check_alive(self) -> None:
        if self.process_ended():
            raise Unfulfilled(f"reloaderd ended by itself\n{self.report()}")
        if self.probed and self.children is not None:
            if self.children == 1:
                self.final_state_seen()
                self.exactly_one_live_child()
            else:
                self.wait(lambda: len(self.live_children()) == self.children, f"{self.children} children")

    def _stop(self) -> None:
        """SIGTERM, and the status that DESIGN section 4 gives for it."""
        if self.ended:
            return
        os.kill(self.pid, signal.SIGTERM)
        status = self.wait_exit()
        if status not in (0, -signal.SIGTERM) or (status == 0 and self.terminal is None):
            raise Unfulfilled(f"ended with {status} on SIGTERM\n{self.report()}")

    def _check_nothing_left(self) -> None:
        """The children are gone when the daemon is; whatever helped it follows at once."""
        left = self.live_children()
        if left:
            raise Unfulfilled(f"children outlived reloaderd: {left}\n{self.report()}")
        shell = {self.terminal.pid} if self.terminal is not None and self.terminal.pid != self.pid else set()
        self.wait(lambda: not set(procfs.marked(self.place.mark)) - shell, "nothing to be left")

    def _check_output(self) -> None:
        if not self.tracebacks and any("Traceback (most recent call last)" in line for line in self.noise):
            raise Unfulfilled(f"a traceback\n{self.report()}")
        complaints = [one for one in self.events if one["event"] in ("warning", "error")]
        if complaints and not self.warnings:
            raise Unfulfilled(f"unexpected: {complaints}\n{self.report()}")

    def end(self) -> None:
        """Make an end of everything that was started here, by pid, whatever state it is in."""
        self.finished = self.ended = True
        if self in Daemon.running:
            Daemon.running.remove(self)
        procfs.clear_away(self.place.mark)
        if self.terminal is not None:
            self.terminal.close()
        else:
            self.process.wait()

    def report(self) -> str:
        """All that is known, for people who read a failure."""
        self.refresh()
        processes = procfs.show(procfs.marked(self.place.mark))
        return (
            f"--- command\n{shlex.join(self.argv)}\n"
            f"--- probes (last 40 records)\n{tail(self.log, 40)}\n"
            f"--- events (last 20)\n{tail(self.stderr, 20, b'{')}\n"
            f"--- stderr (last 60 lines)\n{tail(self.stderr, 60)}\n"
            f"--- processes\n{processes}\n" + (self.terminal.report() if self.terminal is not None else "")
        )
