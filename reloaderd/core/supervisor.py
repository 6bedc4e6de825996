"""The life of one service's child, by the table in transitions.

Rules (DESIGN 6.4):
- A run is over when nothing of its tree is left, and only then does the next one start.
- At most one restart is in flight: a change during a stop only makes sure that a start follows.
- What the machine does next when a run is over is its plan: core.plan.
- A report about an earlier run is dropped in one place, `Supervisor.child`.
- At rest (WAITING, RUNNING, HELD, CLOSED) there is no deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from signal import SIGINT, SIGQUIT, Signals
from typing import Any

from reloaderd.commands import Command, Drain, KillTree, Quit, Report, SignalChild, StartChild
from reloaderd.core.plan import Plan
from reloaderd.core.reasons import signal_name
from reloaderd.core.transitions import ALIVE, TRANSITIONS, UP, Effect, Input, State
from reloaderd.events import ChildEnded, ChildStarted, RunGone, StartFailed
from reloaderd.settings import ServiceSettings

UNKILLABLE = 2.0
"""Seconds after SIGKILL when a process that is still there is stuck in the kernel (state D)."""

FELT = 0.2
"""Seconds of delay from which on a person wonders, and so is told."""


class Supervisor:
    """The state of one service and what it asks of the adapters."""

    def __init__(self, settings: ServiceSettings, run: int = 0, joins: bool = False) -> None:
        """`run` is the number of the last run that there was; it `joins` others that are at work: that its
        command cannot be started is no reason to end.
        """
        self.state = State.WAITING
        self.run = run
        self.starting = False  # START was asked: `launch` is due once the source is drained
        self.alive = False  # a child was started and has not ended
        self.cold = not settings.warm  # the next run is to be executed, whatever copies there are
        self.started_at = 0.0
        self.deadline: float | None = None
        self.trial = False  # whatever becomes of the run, there is none after it but by a change
        self._settings = settings
        self._plan = Plan(settings, known=joins)
        self._first = run + 1
        self._since: float | None = None  # when the first change that caused this run was seen
        self._closing_signal = 0
        self._kills = 0
        self._effects: dict[Effect, Callable[[float], list[Command]]] = {
            Effect.START: self._start,
            Effect.KEEP: lambda now: [],
            Effect.STOP: self._stop,
            Effect.SWEEP: self._sweep,
            Effect.KILL: self._kill,
            Effect.COMPLAIN: self._complain,
            Effect.RENEW: self._renew,
            Effect.DELAY: self._wait,
            Effect.REST: self._rest,
            Effect.FINISH: self._finish,
        }

    @property
    def coming(self) -> bool:
        """Whether a run is being started and was not told to have: it may find what is made now."""
        return self.state is State.RUNNING and not self.starting and not self.alive

    @property
    def latest(self) -> int:
        """The highest number that any run had."""
        return self.run

    @property
    def numbers(self) -> list[int]:
        """Those that runs have of which something may be there."""
        return [self.run] if self.run else []

    @property
    def runs(self) -> list[int]:
        """Those whose child is alive."""
        return [self.run] if self.alive else []

    @property
    def since(self) -> float:
        """When the run was started."""
        return self.started_at

    @property
    def stale(self) -> bool:
        """Whether an earlier run than the latest serves."""
        return False

    @property
    def ends(self) -> bool:
        """Whether nothing comes after this run, or did."""
        return self._plan.what is Input.DONE

    @property
    def result(self) -> tuple[int, int]:
        """Exit status and signal to end with, once CLOSED."""
        return self._plan.result

    def has(self, run: int) -> bool:
        """Whether it is the latest run."""
        return run == self.run

    # What can happen

    def change(self, now: float) -> list[Command]:
        """A batch settled, or someone asked for a restart."""
        self._plan.changed()
        if self.starting or (self.state, Input.CHANGE) not in TRANSITIONS:
            return []  # a run that is about to start sees it; an end is not called off
        self._plan.what = Input.AGAIN
        return self._handle(Input.CHANGE, now)

    def hold(self, now: float) -> list[Command]:
        """A batch settled and waits: the run goes on until `change`."""
        return self._handle(Input.HOLD, now) if self.alive else []

    def close(self, signum: int, now: float) -> list[Command]:
        """End for good; `signum` is what reloaderd was sent, 0 if it ends for another reason.

        A person's Ctrl-C or Ctrl-\\ reaches the child as it is; other reasons use the stop signal.
        """
        self._plan.what = Input.DONE
        if self.starting:  # and nothing was started yet
            self.starting = False
            return self._over(now)
        if self.state is not State.CLOSING:
            self._closing_signal = signum
        return self._handle(Input.CLOSE, now)

    def tick(self, now: float) -> list[Command]:
        """The clock moved on: serve the deadline, if it is reached."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        return self._handle(Input.TIME, now)

    def launch(self, environ: dict[str, str], since: float | None, now: float) -> list[Command]:
        """All is known that happened before: start the run that START asked for."""
        self.run += 1
        self.starting = False
        self._since = since
        self._kills = 0
        self.alive = False
        self.started_at = now
        name = self._settings.name
        numbered = {"RELOADERD": name, "RELOADERD_RUN": str(self.run), **environ}
        warm, self.cold = not self.cold, not self._settings.warm
        return [StartChild(name, self.run, numbered, warm)]

    def child(self, event: ChildStarted | StartFailed | ChildEnded | RunGone, now: float) -> list[Command]:
        """A report about a run; one about an earlier run is dropped here and only here."""
        if event.run != self.run or self.starting or self.state not in ALIVE:
            return []
        if isinstance(event, ChildStarted):
            return self._child_started(event, now)
        if isinstance(event, StartFailed):
            return self._start_failed(event, now)
        if isinstance(event, ChildEnded):
            return self._child_ended(event, now)
        return self._over(now)

    def retire(self, now: float) -> list[Command]:
        """End the run and come to rest, whatever was to follow."""
        if self.state in (State.CLOSING, State.CLOSED):
            return []
        self._plan.what = Input.REST
        if self.starting or self.state is State.BACKOFF:  # nothing was started yet
            self.starting = False
            return self._over(now)
        return self._handle(Input.CHANGE, now) if self.state in UP else []

    def ready(self, run: int, now: float) -> list[Command]:
        """The run is ready, for which nobody waits."""
        return []

    def probed(self, run: int, got: str) -> list[Command]:
        """The run was asked whether it is ready, for which nobody waits."""
        return []

    def answered(self, run: int, now: float) -> list[Command]:
        """The run has answered all, for which nobody waits."""
        return []

    def keeper_died(self, now: float, run: int = 0) -> list[Command]:
        """The process that keeps the child was killed, and all that it kept."""
        name = self._settings.name
        told = self._warning("the process that keeps the child was killed, and the child with it")
        ended = self.child(ChildEnded(name, self.run, -9, 0), now)
        return [told, *ended, *self.child(RunGone(name, self.run), now)]

    # What it does about it

    def _handle(self, what: Input, now: float) -> list[Command]:
        transition = TRANSITIONS.get((self.state, what))
        if transition is None:
            return []
        self.state, effect = transition
        return self._effects[effect](now)

    def _over(self, now: float) -> list[Command]:
        self.deadline = None
        self.alive = False
        return self._handle(self._plan.what, now)

    def _start(self, now: float) -> list[Command]:
        self.deadline = None
        self.starting = True
        return [Drain(self._settings.name)]

    def _stop(self, now: float) -> list[Command]:
        settings = self._settings
        if settings.stop_timeout <= 0:
            return self._enter_killing(now)
        passed_on = self._closing_signal in (SIGINT, SIGQUIT) and self.state is State.CLOSING
        signum = self._closing_signal if passed_on else settings.stop_signal
        self.deadline = now + settings.stop_timeout
        return [
            Report("stopping", settings.name, {"run": self.run, "signal": Signals(signum).name}),
            SignalChild(settings.name, self.run, signum, settings.kill, ends=True),
        ]

    def _enter_killing(self, now: float) -> list[Command]:
        if self.state is State.STOPPING:
            self.state = State.KILLING
        return self._kill(now)

    def _sweep(self, now: float) -> list[Command]:
        settings = self._settings
        self.deadline = now + settings.stop_timeout
        return [SignalChild(settings.name, self.run, settings.stop_signal, "tree", ends=True)]

    def _kill(self, now: float) -> list[Command]:
        self._kills += 1
        commands: list[Command] = []
        if self._kills == 1:
            commands.append(Report("killed", self._settings.name, {"run": self.run}))
        elif self._kills == 3:
            commands += self._complain(now)
        self.deadline = now + UNKILLABLE
        return [*commands, KillTree(self._settings.name, self.run)]

    def _complain(self, now: float) -> list[Command]:
        text = (
            f"run {self.run} survives SIGKILL (a process of it is stuck in the kernel); waiting for it to end"
        )
        return [self._warning(text)]

    def _renew(self, now: float) -> list[Command]:
        self._plan.what = Input.AGAIN
        return []

    def _wait(self, now: float) -> list[Command]:
        self.deadline = now + self._plan.delay
        if self._plan.delay < FELT:
            return []
        return [Report("waiting", self._settings.name, {"for": "back-off", "seconds": self._plan.delay})]

    def _rest(self, now: float) -> list[Command]:
        self.deadline = None
        return [Report("waiting", self._settings.name, {"for": "change"})]

    def _finish(self, now: float) -> list[Command]:
        self.deadline = None
        return [Quit(*self.result)]

    # Reports about the run

    def _child_started(self, event: ChildStarted, now: float) -> list[Command]:
        self.alive = True
        self._plan.started()
        if self.state is State.RUNNING:
            self._plan.what = Input.REST
        name = self._settings.name
        fields: dict[str, Any] = {"run": event.run, "pid": event.pid}
        if event.run == self._first:
            fields["command"] = self._settings.command
        if self._settings.warm:
            fields["warm"] = event.warm
        if event.checkpoint:
            fields["checkpoint"] = event.checkpoint
        if self._since is None:
            return [Report("started", name, fields)]
        ms = round((now - self._since) * 1000, 1)
        return [
            Report("started", name, {**fields, "ms": ms}),
            Report("restarted", name, {"run": event.run, "ms": ms}),
        ]

    def _child_ended(self, event: ChildEnded, now: float) -> list[Command]:
        self.alive = False
        up = now - self.started_at
        how = {"status": event.status} if event.status >= 0 else {"signal": signal_name(-event.status)}
        report = Report("ended", self._settings.name, {"run": event.run, **how, "seconds": round(up, 3)})
        if self.state not in UP:
            return [report, *(self._tell_rest() if event.left else [])]
        if self.trial:
            self._plan.what = Input.REST
        else:
            self._plan.ended(event.status, up)
        strange = self._plan.strange(event.status)
        told = [self._warning(strange)] if strange else []
        commands = self._handle(Input.ENDED, now)
        return [report, *told, *(commands if event.left else [])]

    def _tell_rest(self) -> list[Command]:
        """The child obeyed; what the stop signal did not reach would wait for SIGKILL."""
        settings = self._settings
        if settings.kill == "tree" or self._kills:
            return []
        return [SignalChild(settings.name, self.run, settings.stop_signal, "tree", True)]

    def _start_failed(self, event: StartFailed, now: float) -> list[Command]:
        if self.state is not State.RUNNING:
            return self._over(now)
        text = self._plan.failed(event, now)
        return [*([self._warning(text)] if text else []), *self._over(now)]

    def _warning(self, text: str) -> Command:
        return Report("warning", self._settings.name, {"text": text})
