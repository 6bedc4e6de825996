"""One service: changes settle into batches, batches drive the supervisor.

Rules:
- The first run starts when everything is watched; what changed before a start is part of that start.
- A batch with a restart in it is a restart; one without sends each signal once and tells the run of the rest.
- What the run was told of and did not handle is a change like any other, and a restart by then.
- What a batch did is said when it settles, in the words of the rule that decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reloaderd.commands import Command, Report
from reloaderd.core.announcer import Announcer
from reloaderd.core.batch import Batch
from reloaderd.core.debounce import Debounce
from reloaderd.core.modules import MODULE
from reloaderd.core.notices import Notices, Unhandled, signals
from reloaderd.core.origin import Origin
from reloaderd.core.passage import Passage
from reloaderd.core.pause import Pause
from reloaderd.core.rewalk import OVERFLOWED, Rewalk
from reloaderd.core.settling import Settling
from reloaderd.core.snapshot import SETTLING
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.telling import changed, environ
from reloaderd.core.transitions import State
from reloaderd.core.watcher import Watcher
from reloaderd.events import (
    CheckpointGone,
    CheckpointPassed,
    CheckpointReady,
    ChildAnswered,
    ChildEnded,
    ChildProbed,
    ChildReady,
    ChildStarted,
    ChildTold,
    Digested,
    Drained,
    EntryChanged,
    Event,
    EventsLost,
    FilesLoaded,
    KeeperDied,
    Kind,
    LimitRead,
    Looked,
    RepositoryFound,
    RunGone,
    StartFailed,
    SyntaxChecked,
    WatchEnded,
    WatchStale,
    ZygoteGone,
    ZygoteReady,
)
from reloaderd.settings import ServiceSettings

if TYPE_CHECKING:
    from reloaderd.core.overlap import Overlap
    from reloaderd.core.warm import Warm


class Service:
    """What the engine knows of one service."""

    def __init__(
        self,
        settings: ServiceSettings,
        source: str,
        late: float,
        joined: float | None = None,
        run: int = 0,
    ) -> None:
        """`source` is the name of the kernel's source, `late` by how many seconds polling may be late.

        `joined` is when it was asked to come to others that were at work, `run` the last one of this name.
        """
        self.settings = settings
        self._late = late
        self.watcher = Watcher(settings)
        self.announcer = Announcer(settings, self.watcher, source)
        self._rewalk = Rewalk()
        self.debounce = Debounce(settings.debounce)
        self.supervisor = _supervisor(settings, run, joins=joined is not None)
        self.notices = Notices(settings.name)
        self.passage = Passage(settings, self.supervisor, self.watcher.tree, self.debounce)
        self.gate = self.passage.gate
        self.gate.python_of = self.watcher.modules.pythons.of
        self._warm = self._make_warm()
        self._ready = False
        self._cause = Batch()  # what the next start is for
        self._since = joined
        self._asker = "start" if joined is None else "configuration"
        self.origin = Origin()
        self.pause = Pause(settings.name)
        self.settling = Settling(settings, self.debounce, self.pause)

    def _make_warm(self) -> Warm | None:
        if not self.settings.warm:
            return None
        from reloaderd.core.warm import Warm

        return Warm(self.settings.name, self.settings.checkpoints)

    # Events

    def start(self) -> list[Command]:
        """Begin to watch; the child starts when all is watched."""
        return self.watcher.start()

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from one event."""
        commands = self._dispatch(event, now) + self._go_through(now)
        self.watcher.modules.exact.alive = self.supervisor.alive and not self.supervisor.stale
        self.debounce.keep_locks(self.watcher.lock_name, now)
        self._collect(now)
        if not self._ready and not self.watcher.busy:
            return commands + self._watching(now)
        if self._ready:
            self.announcer.note(now)
        return commands

    def _dispatch(self, event: Event, now: float) -> list[Command]:
        watcher = self.watcher
        match event:
            case EntryChanged():
                lock = watcher.lock_name(event.watch)
                if lock and event.name == lock:
                    self.settling.lock_changed(event, now)
                return watcher.entry_changed(event, self.debounce.batch)
            case WatchEnded():
                self.debounce.unlock(event.watch, now)
                return watcher.handle(event, now)
            case WatchStale():
                self.announcer.source = event.source
                return watcher.handle(event, now)
            case Looked():
                self.debounce.looked(event.settled)
                return []
            case LimitRead():
                return watcher.coverage.limit_read(event)
            case EventsLost():
                watcher.lose_track()
                self.passage.lose_track()
                self._rewalk.lose(now)
                return []
            case RepositoryFound():
                if event.locked:
                    self.debounce.lock(event.watch, now)
                else:  # it may have been let go while events were lost
                    self.debounce.unlock(event.watch, now)
                return watcher.repository_found(event)
            case Drained():
                watcher.drained()
                self.passage.drained()
                return self._launch(now) if self.supervisor.starting else []
            case _:
                return self._of_runs(event, now)

    def _of_runs(self, event: Event, now: float) -> list[Command]:
        """What follows from what is told of runs, and from what is about none of these."""
        match event:
            case ZygoteReady() | ZygoteGone():
                return self._warm.handle(event) if self._warm is not None else []
            case CheckpointPassed() | CheckpointReady() | CheckpointGone():
                return self._checkpoint(event)
            case ChildStarted() | StartFailed() | ChildEnded() | RunGone():
                self._news(event, now)
                return self.supervisor.child(event, now)
            case ChildTold():
                self._not_handled(self.notices.told(event), now)
                return []
            case SyntaxChecked():
                return self.passage.checked(event)
            case Digested():
                return self.passage.digested(event, now)
            case KeeperDied():
                return self.supervisor.keeper_died(now, event.run)
            case ChildReady():
                return self.supervisor.ready(event.run, now)
            case ChildProbed():
                return self.supervisor.probed(event.run, event.got)
            case ChildAnswered():
                return self.supervisor.answered(event.run, now)
            case FilesLoaded():
                self._news(event, now)
                return self._loaded(event, now) if self.supervisor.has(event.run) else []
            case _:
                return self.watcher.handle(event, now)

    def _checkpoint(self, event: CheckpointPassed | CheckpointReady | CheckpointGone) -> list[Command]:
        checkpoints = self._warm.checkpoints if self._warm is not None else None
        late = isinstance(event, CheckpointPassed) and not self.supervisor.has(event.run)
        return [] if checkpoints is None or late else checkpoints.handle(event)

    def _news(self, event: Event, now: float) -> None:
        if self._warm is not None and isinstance(event, (ChildStarted, FilesLoaded)):
            self._warm.news(now)

    def _loaded(self, event: FilesLoaded, now: float) -> list[Command]:
        if self._warm is not None and self._warm.checkpoints is not None:
            self._warm.checkpoints.read(event, self.watcher.spelled)
        commands = self.watcher.modules.loaded(event, now)
        if event.unsound and self._warm is not None:
            self.supervisor.cold = True
            return commands + self._warm.unsound(event.unsound) + self.restart(now, "warm")
        for path in self.watcher.modules.disowned(event.own):
            self.debounce.batch.discard(path)  # it is that write, whose event was read before the word for it
        return commands

    def _collect(self, now: float) -> None:
        """Hand the changes that the watcher found to the debounce."""
        watcher = self.watcher
        for root in watcher.withdrawn:
            self.debounce.batch.discard_below(root)
        watcher.withdrawn.clear()
        changes = watcher.take_changes()
        for change in changes:
            self.passage.changed(change.path)
        if not self._ready:
            return
        for change in changes:
            verdict = watcher.modules.judge(change, now)
            if verdict.action == "ignore":
                self.passage.dismissed(change.path)
            else:
                found = self.supervisor.coming
                self.debounce.add(change.path, change.kind, verdict, change.existed, now, found)
                if watcher.coverage and watcher.coverage.is_polled(change.path):
                    self.debounce.wait_for_looks()

    def _watching(self, now: float) -> list[Command]:
        self._ready = True
        commands = self.announcer.announce()
        if self.settings.dry_run:
            self._found((), now)
            return commands
        return commands + self.supervisor.change(now)

    # Starting

    def _launch(self, now: float) -> list[Command]:
        late = self.debounce.take()
        self.notices.forget()
        told = [changed(self.settings, late, "restart")] if late and self.supervisor.latest else []
        if self._since is None and late and not self.pause.on:
            self._since = self.debounce.first
        batches = (self.passage.take(), self._cause, late)
        paths = dict.fromkeys(path for batch in batches for path in batch.paths)
        asked = bool(self._asker)
        self.origin, self._asker = Origin.of(self._asker, batches), ""
        since, self._since, self._cause = self._since, None, Batch()
        self._found(paths, now + (SETTLING if self.supervisor.latest else 0.0))
        since = since if self.supervisor.latest else None
        stale = self.supervisor.stale
        commands = self.supervisor.launch(environ(paths), since, now)
        if self._warm is not None:
            edited = [path for path in paths if self.watcher.modules.loaded_as(path) == MODULE]
            commands = self._warm.furnish(commands, () if asked else paths, edited)
        return told + self.watcher.modules.begin(self.supervisor.run, now, stale) + commands

    def _found(self, paths: Iterable[str], at: float) -> None:
        """A run finds everything as it is now, and `paths` otherwise than the one before."""
        self.watcher.baseline(at)
        self.passage.start(paths, at)

    def restart(self, now: float, asker: str) -> list[Command]:
        """Someone asks for a restart: by a signal of that name, or by the control socket."""
        if self.settings.dry_run or not self._ready:
            return []
        self._asker = asker
        self._since = now
        return self.gate.stop() + self.supervisor.change(now)

    def renumber(self, settings: ServiceSettings) -> None:
        """The same settings, which may stand on other lines of the configuration file by now."""
        self.settings = settings
        self.watcher.rules.renumber(settings.rules)

    def set_paused(self, on: bool, now: float) -> list[Command]:
        """Hold every batch from now on, or let go of what is held."""
        if self.pause.on and not on:  # it did not take that long
            self.debounce.restart_clock(now)
            self.gate.first = now
        self.pause.set(on)
        return self._go_through(now)

    def close(self, signum: int, now: float) -> list[Command]:
        """End for good."""
        return self.passage.stop() + self.supervisor.close(signum, now)

    @property
    def closed(self) -> bool:
        """Whether it has ended for good."""
        return self.supervisor.state is State.CLOSED

    # Time

    def deadline(self, now: float) -> float | None:
        """The next instant at which something is due; None at rest."""
        instants = [self.supervisor.deadline, self.watcher.deadline, self.notices.deadline]
        instants += [self._rewalk.deadline, self.announcer.deadline]
        instants.append(self._warm.deadline if self._warm is not None else None)
        instants.append(self.passage.deadline(now, not self._rewalk.pending))
        if self._settles():
            instants.append(self.settling.deadline(now))
        return min((instant for instant in instants if instant is not None), default=None)

    def _settles(self) -> bool:
        """Whether a batch may settle: not before all is looked at again, where events were lost."""
        closing = self.supervisor.state in (State.CLOSING, State.CLOSED)
        return self._ready and not closing and not self._rewalk.pending and not self.passage.busy

    def tick(self, now: float) -> list[Command]:
        """Serve what is due."""
        commands = self.supervisor.tick(now) + self._go_through(now)
        self._not_handled(self.notices.overdue(now), now)
        if self._settles():
            commands += self._settle(now)
        if self._rewalk.due(now):
            commands.append(Report("warning", self.settings.name, {"text": OVERFLOWED}))
            commands += self.watcher.look_everywhere()
        commands += self.announcer.tick(now)
        commands += self._warm.tick(now) if self._warm is not None else []
        commands += self.passage.tick(now, not self._rewalk.pending)
        commands += self.watcher.tick(now)
        self._collect(now)
        return commands

    def _settle(self, now: float) -> list[Command]:
        held = self.settling.tick(now, self._up(now))
        if held is not None:
            return held
        first = self.debounce.first
        return self.passage.meet(self.debounce.take(), first, now) + self._go_through(now)

    def _go_through(self, now: float) -> list[Command]:
        """What is through the passage is acted on."""
        commands = self.gate.tick(now)
        if self.pause.on:
            return commands
        if self.passage.signals:
            batch, self.passage.signals = self.passage.signals, None
            commands.append(changed(self.settings, batch, "tell"))
            if not self.settings.dry_run:
                run = self.supervisor.run
                for one in self.supervisor.runs:
                    commands += signals(self.settings.name, one, batch)
                commands += self.notices.tell(run, batch, now)
            self._found(batch.paths, now + SETTLING)
        if not self.gate.open:
            return commands
        batch, first = self.gate.take(), self.gate.first
        commands.append(changed(self.settings, batch, "restart"))
        if self.settings.dry_run:
            self._found(batch.paths, now + SETTLING)
            return commands
        self._since = first if self._since is None else self._since
        self._cause.absorb(batch)
        self.debounce.restarted(now)
        return commands + self.supervisor.change(now)

    def _not_handled(self, changes: Unhandled, now: float) -> None:
        """The run was told of these and did not deal with them: it must not go on as it was."""
        for path, verdict in changes:
            self.passage.dismissed(path)  # what it says by now is not what the run goes by
            self.debounce.add(path, Kind.CLOSED, verdict, True, now)

    def _up(self, now: float) -> float | None:
        """For how long the run is up, as far as it is known what changed meanwhile; None without one."""
        if self.settings.dry_run or not self.supervisor.latest:
            return None
        late = self._late if self.watcher.coverage else 0.0
        return now - self.supervisor.started_at - late


def _supervisor(settings: ServiceSettings, run: int, joins: bool) -> Supervisor | Overlap:
    if not settings.overlap:
        return Supervisor(settings, run, joins)
    from reloaderd.core.overlap import Overlap

    return Overlap(settings, run, joins)
