"""Asks a run whether it is ready (`--ready URL`), at a socket at which another one may answer, too.

Rules:
- Only what a process of the run itself has accepted counts.  Nothing is asked before it is known whose it is.
- What the other run has accepted is closed unasked: to that, it is a client that has gone away.  Where it
  accepts only what was begun, it is asked to the end, and what it answers does not count.
- It is ready when it answers with a status from 200 to 399; where nothing is to be asked, when it accepts.
- Probes follow each other less and less often.  An answer has as long as all probes before it took, but
  `PATIENCE` at least.  Where the run has answered before, the other one's luck costs less time.
- One that waits to be accepted is not given up soon: the next one would have to wait behind all others.

Facts
- Whoever has accepted a connection has the socket of its other end among its open files (/proc/PID/fd).  In
  accept(2) it has an inode a moment before it has a descriptor; and one that is handed on by a message
  (SCM_RIGHTS) is nobody's meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from reloaderd.kernel import openfiles
from reloaderd.kernel.connections import TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_SYN_RECV
from reloaderd.kernel.questions import Question
from reloaderd.kernel.readiness import SHORTEST, pace
from reloaderd.settings import Probe

PATIENCE = 2.0
"""Seconds that an answer has at least: few servers take longer for the first one after they accept."""

QUEUED = 10.0
"""Seconds after which one that was not accepted is tried anew: of several queues (SO_REUSEPORT) it may be in
one that nobody looks at."""

SOONEST, LATEST = 0.001, 0.02
"""Seconds between two looks at a connection: a quarter of its age, but not less nor more.  Who has accepted
it may wait for nothing else until it is asked."""

NOBODY = 0.25
"""Seconds after which a connection that is accepted, and by neither run, is somebody else's."""

REST = 0.25
"""Seconds after its status in which an answer ends, if the server closes the connection as it was told to."""

READY = "is ready"
REFUSED = "is refused: nobody listens there"
NOT_ACCEPTED = "was not accepted"
OTHERS = "was accepted by the run before it only"
STRANGERS = "was accepted by a process of neither run"
NOT_ANSWERED = "was accepted and not answered"
CLOSED = "was closed without an answer"
NO_HTTP = "answered something that is not HTTP"
"""What comes of a probe, said of its URL."""

Processes = Callable[[], list[int]]


class Prober:
    """Asks one run until it is ready."""

    def __init__(
        self, now: float, probe: Probe, ours: Processes, others: Processes, tell: Callable[[str], None]
    ) -> None:
        """`ours` are the processes of the run by now, `others` those of the one before.

        `tell` is told what comes of it, where that is new, as long as the run is not ready.
        """
        self.due = now + SHORTEST
        self._since = now
        self._probe = probe
        self._ours = ours
        self._others = others
        self._tell = tell
        self._told = ""
        self._answered = False  # it is the run itself of which something was told
        self._question: Question | None = None
        self._begun = now  # when that was, and then when it was asked
        self._counts = False  # it is the run itself that has accepted it
        self._at: float | None = None  # since when it is accepted and not known whose, or has its status

    def listens(self, pid: int, inode: int, now: float) -> None:
        """A process of the run has called listen."""
        self.due = min(self.due, now + SHORTEST)

    def accepts(self, inode: int) -> None:
        """A process of the run has called accept."""

    def look(self, now: float) -> bool:
        """Whether it is ready."""
        got = self._step(now)
        if got is None and self._question is not None:
            age, asked = now - self._begun, self._question.asked
            if age >= PATIENCE:
                self._note(NOT_ANSWERED if asked else NOT_ACCEPTED)
            if age < max(PATIENCE if asked else QUEUED, self._begun - self._since):
                self.due = now + min(max(age / 4, SOONEST), LATEST)
                return False
        self.close()
        unlucky = got == OTHERS and self._answered  # the run itself does accept
        self.due = now + max(pace(now - self._since) / (4 if unlucky else 1), SHORTEST)
        if got == READY:
            return True
        if got is not None:
            self._note(got)
        return False

    def close(self) -> None:
        """Ask no more."""
        if self._question is not None:
            self._question.close()
            self._question = None

    def _step(self, now: float) -> str | None:
        """What comes of it; None as long as that is open."""
        try:
            if self._question is None:
                self._begun, self._counts, self._at = now, False, None
                self._question = Question(self._probe)
            question = self._question
            return self._hear(question, now) if question.asked else self._wait(question, now)
        except ConnectionRefusedError:
            return REFUSED
        except (ConnectionResetError, BrokenPipeError):
            return CLOSED
        except OSError as error:
            return f"cannot be asked: {os.strerror(error.errno or 0).lower()}"

    def _wait(self, question: Question, now: float) -> str | None:
        """See who accepts it, and ask then."""
        state, inode = question.far_end() or (TCP_ESTABLISHED, 0)
        if not inode:
            if state == TCP_SYN_RECV and self._probe.path:
                question.begin()
            return None if state in (TCP_SYN_RECV, TCP_ESTABLISHED, TCP_CLOSE_WAIT) else CLOSED
        self._counts = openfiles.has(self._ours(), inode)
        if self._counts and not self._probe.path:
            return READY
        if not self._counts and not openfiles.has(self._others(), inode):
            self._at = now if self._at is None else self._at
            return STRANGERS if now - self._at >= NOBODY else None
        if not self._counts and not question.begun:
            return OTHERS
        self._begun, self._at = now, None
        question.ask()
        return None

    def _hear(self, question: Question, now: float) -> str | None:
        """Take in what is answered, all of it."""
        question.read()
        if question.status is None:
            return CLOSED if question.over else None
        self._at = now if self._at is None else self._at
        if not question.over and now - self._at < REST:
            return None
        if not self._counts:
            return OTHERS
        if 200 <= question.status < 400:
            return READY
        return f"answered {question.status}" if question.status else NO_HTTP

    def _note(self, got: str) -> None:
        """Tell of it: of what others do as long as the run itself does nothing."""
        if self._counts or not self._answered:
            self._answered = self._counts
            if got != self._told:
                self._told = got
                self._tell(f"{self._probe.url} {got}")
