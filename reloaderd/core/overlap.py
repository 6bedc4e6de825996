"""The runs of a service with --overlap: the next one starts while the one before serves.

Rules:
- Two supervisors, each with one run at a time: one *serves*, the other has the run that comes or leaves.
- A change while a run serves starts another.  When that is ready the former accepts no more, and is stopped
  when it has answered what it had accepted, or after --stop-timeout.  One that ends before it is ready, or is
  not in time, is told of as held, and the former goes on until the next change.
- One that is not in time answers first, too: it may have accepted long before it was ready.
- A change while one comes stops that (in the same way, where it may have accepted) and starts the next; while
  one finishes or leaves, it waits for that: there are never three runs.
- A run that ends while another comes has no successor but that one, be it ready or not.
- Where no run serves, all is as without --overlap.
- reloaderd ends, or makes place, when both have ended.
"""

from __future__ import annotations

from enum import Enum

from reloaderd.commands import Command, Quit, RelieveChild, Report
from reloaderd.core.reasons import NOT_READY, signal_name
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.transitions import ALIVE, UP, State
from reloaderd.events import ChildEnded, ChildStarted, RunGone, StartFailed
from reloaderd.settings import ServiceSettings


class Phase(Enum):
    """What the other supervisor is there for."""

    ALONE = "alone"  # nothing
    COMING = "coming"  # its run is to take over
    FINISHING = "finishing"  # its run answers what it has accepted: another serves
    LEAVING = "leaving"  # its run is being stopped: another serves
    ENDING = "ending"  # both are


class Overlap:
    """Two supervisors that look like one to whoever has to do with a service."""

    def __init__(self, settings: ServiceSettings, run: int = 0, joins: bool = False) -> None:
        """As a `Supervisor`."""
        self._settings = settings
        self._serving = Supervisor(settings, run, joins)
        self._other = Supervisor(settings, run, joins=True)
        self.phase = Phase.ALONE
        self.cold = not settings.warm  # the next run is to be executed, whatever copies there are
        self._again = False  # a change waits until there is room for another run
        self._since: float | None = None  # when the first change that the coming run is for was seen
        self._due: float | None = None  # when the coming run is ready or late, the finishing one is stopped
        self._why = ""  # how the coming run ended
        self._got = ""  # what came of asking it whether it is ready
        self._quit = False

    # What it is asked

    @property
    def _both(self) -> tuple[Supervisor, Supervisor]:
        return self._serving, self._other

    @property
    def _newest(self) -> Supervisor:
        return self._other if self.phase is Phase.COMING else self._serving

    @property
    def state(self) -> State:
        """That of what serves; CLOSED when both are."""
        if self.phase is not Phase.ENDING:
            return self._serving.state
        return State.CLOSED if all(one.state is State.CLOSED for one in self._both) else State.CLOSING

    @property
    def run(self) -> int:
        """The one that comes, else the one that serves."""
        return self._newest.run

    @property
    def latest(self) -> int:
        """The highest number that any run had."""
        return max(one.run for one in self._both)

    @property
    def numbers(self) -> list[int]:
        """Those that runs have of which something may be there."""
        return [one.run for one in self._both if one.run]

    @property
    def runs(self) -> list[int]:
        """Those whose child is alive."""
        return [one.run for one in self._both if one.alive]

    @property
    def stale(self) -> bool:
        """Whether an earlier run than the latest serves."""
        return self._serving.state in UP and self._serving.run < self.latest

    @property
    def starting(self) -> bool:
        """Whether `launch` is due once the source is drained."""
        return any(one.starting for one in self._both)

    @property
    def alive(self) -> bool:
        """Whether the child of a run that comes or serves is."""
        return self._serving.alive or (self.phase is Phase.COMING and self._other.alive)

    @property
    def coming(self) -> bool:
        """Whether a run is being started and was not told to have: it may find what is made now."""
        return any(one.coming for one in self._both)

    @property
    def started_at(self) -> float:
        """When the latest one was."""
        return max(one.started_at for one in self._both)

    @property
    def since(self) -> float:
        """When the one that comes, else the one that serves, was."""
        return self._newest.started_at

    @property
    def result(self) -> tuple[int, int]:
        """(status, signal) to end with."""
        return self._serving.result

    @property
    def deadline(self) -> float | None:
        """The next instant at which something is due."""
        instants = (self._due, *(one.deadline for one in self._both))
        return min((one for one in instants if one is not None), default=None)

    def has(self, run: int) -> bool:
        """Whether it is one of those that are not over, or was the last of one of the two."""
        return any(one.run == run for one in self._both)

    # What can happen

    def change(self, now: float) -> list[Command]:
        """A batch settled, or someone asked for a restart."""
        return self._settle(self._change(now), now)

    def hold(self, now: float) -> list[Command]:
        """A batch settled and waits."""
        return self._serving.hold(now)

    def close(self, signum: int, now: float) -> list[Command]:
        """End for good."""
        self.phase, self._due, self._again = Phase.ENDING, None, False
        return self._settle(self._serving.close(signum, now) + self._other.close(signum, now), now)

    def tick(self, now: float) -> list[Command]:
        """The clock moved on."""
        commands = self._serving.tick(now) + self._other.tick(now)
        if self._due is not None and now >= self._due:
            self._due = None
            commands += self._serve_due(now)
        return self._settle(commands, now)

    def _serve_due(self, now: float) -> list[Command]:
        if self.phase is Phase.FINISHING:
            seconds = self._settings.stop_timeout
            text = f"run {self._other.run} has not answered all within {seconds:g} s, and is stopped"
            return [Report("warning", self._settings.name, {"text": text}), *self._leave(now)]
        if isinstance(self._settings.ready, float):
            return self._take_over(now)
        got = f": {self._got}" if self._got else ""
        self._why = f"was not ready within {self._settings.ready_timeout:g} s{got}"
        return [*self._give_up(now), *self._finish(now)]

    def launch(self, environ: dict[str, str], since: float | None, now: float) -> list[Command]:
        """Start the run that START asked for."""
        one = self._other if self._other.starting else self._serving
        one.run = self.latest
        one.cold, self.cold = self.cold, not self._settings.warm
        if one is self._serving:
            return one.launch(environ, since, now)
        self._since = since
        self._why = self._got = ""
        self._due = None if isinstance(self._settings.ready, float) else now + self._settings.ready_timeout
        return one.launch(environ, None, now)

    def child(self, event: ChildStarted | StartFailed | ChildEnded | RunGone, now: float) -> list[Command]:
        """A report about a run."""
        one = self._other if event.run == self._other.run else self._serving
        commands = one.child(event, now)
        if self.phase is Phase.COMING and one is self._other:
            ready = self._settings.ready
            if isinstance(event, ChildStarted) and one.alive and isinstance(ready, float):
                self._due = now + ready
            elif isinstance(event, ChildEnded):
                self._why = _ended(event.status)
            elif isinstance(event, StartFailed):
                self._why = "cannot be started"
        return self._settle(commands, now)

    def ready(self, run: int, now: float) -> list[Command]:
        """The run is ready."""
        waits = self.phase is Phase.COMING and not isinstance(self._settings.ready, float)
        if not waits or run != self._other.run:
            return []
        return self._settle(self._take_over(now), now)

    def probed(self, run: int, got: str) -> list[Command]:
        """The run was asked whether it is ready, and is not."""
        if run == self._other.run:
            self._got = got
        return []

    def answered(self, run: int, now: float) -> list[Command]:
        """The run that finishes has answered all."""
        if self.phase is not Phase.FINISHING or run != self._other.run:
            return []
        return self._settle(self._leave(now), now)

    def keeper_died(self, now: float, run: int) -> list[Command]:
        """The process that keeps the child of this run was killed."""
        one = self._other if run == self._other.run else self._serving
        if one is self._other and self.phase is Phase.COMING:
            self._why = "was killed before it was ready"
        return self._settle(one.keeper_died(now), now)

    # What it does about it

    def _change(self, now: float) -> list[Command]:
        if self.phase is Phase.ENDING:
            return []
        if self.phase is Phase.COMING:
            self._due = None
            if self._settings.ready != "serves" and self._other.alive and self._other.state in UP:
                self._again = True
                return self._finish(now)
            return self._other.change(now)
        if not (self._serving.alive and self._serving.state in UP):
            return self._serving.change(now)
        if self.phase in (Phase.FINISHING, Phase.LEAVING):
            self._again = True
            return []
        self.phase = Phase.COMING
        self._other.trial = True
        return self._other.change(now)

    def _take_over(self, now: float) -> list[Command]:
        """The run that comes serves from now on; the former is stopped."""
        if not (self._other.alive and self._other.state in UP):
            return []  # it is about to be told that it is not
        ms = {} if self._since is None else {"ms": round((now - self._since) * 1000, 1)}
        report = Report("restarted", self._settings.name, {"run": self._other.run, **ms})
        self._swap()
        return [report, *self._finish(now)]

    def _swap(self) -> None:
        self._serving, self._other = self._other, self._serving
        self._serving.trial = False
        self._other.trial = True

    def _finish(self, now: float) -> list[Command]:
        """The run that does not serve accepts no more, and is stopped when it has answered."""
        if self._settings.stop_timeout <= 0 or self._other.state not in UP:
            return self._leave(now)
        self.phase, self._due = Phase.FINISHING, now + self._settings.stop_timeout
        return [RelieveChild(self._settings.name, self._other.run)]

    def _leave(self, now: float) -> list[Command]:
        """The run that does not serve is stopped."""
        self.phase, self._due = Phase.LEAVING, None
        return self._other.retire(now)

    def _give_up(self, now: float) -> list[Command]:
        """Say that what came did not take over."""
        fields = {"reason": NOT_READY, "run": self._other.run, "message": self._why}
        held = Report("held", self._settings.name, {**fields, "serving": self._serving.run})
        return [held, *self._serving.hold(now)]

    def _settle(self, commands: list[Command], now: float) -> list[Command]:
        """What follows from where the two stand by now."""
        commands = self._without_rest(commands)
        if self.phase is not Phase.ENDING and self._serving.ends:
            self.phase, self._due = Phase.ENDING, None
            commands += self._other.close(0, now)
        if self.phase is Phase.COMING and self._serving.state not in UP:
            self._swap()
            commands += self._leave(now)
        if self.phase is Phase.COMING and self._other.state is State.WAITING:
            self.phase, self._due = Phase.ALONE, None
            commands += self._give_up(now)
        if self.phase is Phase.FINISHING and self._other.state not in UP:
            self.phase, self._due = Phase.LEAVING, None  # it ended by itself
        if self.phase is Phase.LEAVING and self._other.state is State.WAITING:
            self.phase = Phase.ALONE
            if self._again:
                self._again = False
                commands += self._change(now)
        commands = [one for one in self._without_rest(commands) if not isinstance(one, Quit)]
        if self.state is State.CLOSED and not self._quit:
            self._quit = True
            commands.append(Quit(*self.result))
        return commands

    def _without_rest(self, commands: list[Command]) -> list[Command]:
        """Whoever comes to rest beside one that serves does not wait for anything."""
        if self._serving.state not in ALIVE and not self._serving.starting:
            return commands
        return [one for one in commands if not (isinstance(one, Report) and _is_rest(one))]


def _is_rest(report: Report) -> bool:
    return report.event == "waiting" and report.fields.get("for") == "change"


def _ended(status: int) -> str:
    how = f"ended with status {status}" if status >= 0 else f"was killed by {signal_name(-status)}"
    return f"{how} before it was ready"
