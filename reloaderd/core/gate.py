"""The gate: a batch whose Python files do not compile waits, and the run that is up goes on.

Rules:
- There is something to keep only while a run is up; without one a batch just goes on.
- What is held is checked again together with each further batch, and goes on with the first of them with
  which everything compiles.
- One check at a time: changes that come meanwhile settle after it.  An answer to another check is dropped.
- What cannot be checked goes on, and one line says why.
- Whatever starts a run takes what is held with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reloaderd.commands import CheckSyntax, Command, EndCheck, Report
from reloaderd.core.batch import Batch
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.transitions import UP, State
from reloaderd.events import Fault, SyntaxChecked
from reloaderd.settings import ServiceSettings

ENDINGS = (".py", ".pyw")

LIMIT = 10.0
"""Seconds of a check: some thousand files.  A person who waits longer takes it for broken."""

TOO_LONG = f"that took more than {LIMIT:.0f} s"


class Gate:
    """What one service holds because it does not compile; without `--gate` it is open for all."""

    def __init__(self, settings: ServiceSettings, supervisor: Supervisor) -> None:
        """`supervisor` is asked whether there is a run to keep, and told to keep it."""
        self.python_of: Callable[[Sequence[str]], str] = lambda paths: ""
        """The interpreter that compiles these paths in the run, once it is known."""
        self.open = False  # what waits is to be taken
        self.first = 0.0  # when the first change of the latest batch was seen
        self.deadline: float | None = None  # of the check that is under way
        self._on = settings.gate is not None and not settings.dry_run
        self._name = settings.name
        self._supervisor = supervisor
        self._number = 0
        self._waiting = Batch()  # what is held, with what is being checked
        self._told = False  # of what is held
        self._trouble = ""  # what was said last of why nothing could be checked

    @property
    def waiting(self) -> int:
        """How many changes wait here."""
        return len(self._waiting)

    @property
    def failing(self) -> bool:
        """Whether what waits does not compile."""
        return self._told

    @property
    def checking(self) -> bool:
        """Whether a check is under way."""
        return self.deadline is not None

    @property
    def busy(self) -> bool:
        """Whether the next batch has to wait: for an answer, or to see whether there is a run to keep."""
        supervisor = self._supervisor
        return self.checking or (
            self._on and supervisor.state is State.RUNNING and not (supervisor.alive or supervisor.starting)
        )

    def meet(self, batch: Batch, first: float, now: float) -> list[Command]:
        """A batch settled that is to be a restart; its first change was seen at `first`."""
        self._waiting.absorb(batch)
        if not self._waiting:  # all of it is as it was before
            self._waiting = batch
        self.first = first
        paths = [path for path in self._waiting.existing() if path.endswith(ENDINGS)]
        if not self._on or not self._is_up() or not paths:
            self.open = True
            return []
        self._number += 1
        self.deadline = now + LIMIT
        commands = self._supervisor.hold(now)
        return [*commands, CheckSyntax(self._name, self._number, self.python_of(paths), paths)]

    def checked(self, event: SyntaxChecked) -> list[Command]:
        """The answer: hold what waits, or let it go on."""
        if not self.checking or event.number != self._number:
            return []
        self.deadline = None
        if event.trouble:
            self.open = True
            return self._warn(event.trouble)
        self._trouble = ""
        if not event.faults:
            self.open = True
            return []
        again, self._told = self._told, True
        return [self._tell(event.faults[0], max(event.failing, len(event.faults)), again)]

    def tick(self, now: float) -> list[Command]:
        """End a check that takes too long, or without whose run there is nothing to keep any more."""
        if self.deadline is None or (now < self.deadline and self._is_up()):
            return []
        late = now >= self.deadline
        commands = self.stop()
        self.open = True
        return commands + (self._warn(TOO_LONG) if late else [])

    def stop(self) -> list[Command]:
        """Let go of the check that is under way, if one is."""
        if not self.checking:
            return []
        self.deadline = None
        return [EndCheck(self._name)]

    def holds(self, path: str) -> bool:
        """Whether it is among what waits."""
        return path in self._waiting

    def take(self) -> Batch:
        """What waits, for the run that is about to start."""
        batch, self._waiting = self._waiting, Batch()
        self.open = self._told = False
        return batch

    def _is_up(self) -> bool:
        return self._supervisor.alive and self._supervisor.state in UP

    def _warn(self, trouble: str) -> list[Command]:
        """Once, until a check succeeds: it is the same with each save."""
        if trouble == self._trouble:
            return []
        self._trouble = trouble
        return [Report("warning", self._name, {"text": f"the syntax is not checked: {trouble}"})]

    def _tell(self, fault: Fault, count: int, again: bool) -> Command:
        fields = {"reason": "syntax", **fault._asdict(), "count": count, "again": again}
        return Report("held", self._name, fields)
