"""What follows when the run of a service is over, if nobody asks for another: the *plan*.

Rules (DESIGN 6.4):
- A program that ends is started again if it says so by its status, or if that is wanted of all that end; the
  oftener in a row, the later.
- One that cannot be started is no reason to go on before it ever could be, and afterwards is tried again:
  a build may be replacing it.
"""

from __future__ import annotations

import errno

from reloaderd.core.backoff import Backoff
from reloaderd.core.reasons import SHORT_OF, start_failure
from reloaderd.core.transitions import Input
from reloaderd.errors import EX_NOEXEC, EX_NOTFOUND
from reloaderd.events import StartFailed
from reloaderd.settings import ServiceSettings

BUSY_RETRY = 0.010
BUSY_LIMIT = 1.0
"""Seconds between retries of ETXTBSY, and in all: a copy of an executable into place takes that long."""

START_RETRIES = 5
"""Starts in a row that may fail, backed off, before only a change makes another: 15.5 s in all."""

STRANGE = 2.0
"""Seconds of delay, the fourth in a row, from which on "restart me" looks like a failure: gunicorn ends with
3 when its worker cannot be started."""

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


class Plan:
    """The plan of one service, by what became of its runs so far."""

    def __init__(self, settings: ServiceSettings, known: bool = False) -> None:
        """`known`: that the command cannot be started is no reason to end."""
        self.what = Input.REST
        """One of `AGAIN`, `LATER`, `REST`, `DONE`."""
        self.delay = 0.0
        """Seconds until `LATER`."""
        self.result = (0, 0)
        """Exit status and signal, with `DONE`."""
        self._settings = settings
        self._known = known  # or it has been started once
        self._failures = 0
        self._busy_since: float | None = None
        self._crashes = Backoff()
        self._repeats = Backoff(first=0.0)
        self._repeats_told = False

    def changed(self) -> None:
        """Something is another than it was, so it may go better."""
        self._crashes.reset()
        self._failures = 0

    def started(self) -> None:
        """The command could be started."""
        self._known = True
        self._failures = 0
        self._busy_since = None

    def ended(self, status: int, up: float) -> None:
        """It ended by itself after `up` seconds."""
        settings = self._settings
        if settings.restart_status is not None and status == settings.restart_status:
            self.delay = self._repeats.next(up)
            self.what = Input.LATER if self.delay else Input.AGAIN
            return
        self._repeats.reset()
        if settings.on_exit == "restart":
            self.delay = self._crashes.next(up)
            self.what = Input.LATER
        elif settings.on_exit == "exit":
            self.result = (status, 0) if status >= 0 else (128 - status, -status)
            self.what = Input.DONE
        else:
            self.what = Input.REST

    def strange(self, status: int) -> str:
        """Why it is started again, to be said once: the program may mean something else by that status."""
        repeats = status == self._settings.restart_status and self.delay >= STRANGE
        if self._repeats_told or not repeats:
            return ""
        self._repeats_told = True
        text = f'the command keeps ending with status {status}, which means "restart me"; slowing down'
        return f"{text} (if it does not mean that: --restart-status none)"

    def failed(self, event: StartFailed, now: float) -> str:
        """It could not be started: why, where that is to be said."""
        if event.errno == errno.ETXTBSY:
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since < BUSY_LIMIT:
                self.delay = BUSY_RETRY
                self.what = Input.LATER
                return ""
        self._busy_since = None
        passing = event.errno in SHORT_OF  # which says nothing about the command
        text = f"cannot start {event.what}: {start_failure(event.errno, event.what)}"
        if not self._known and not passing:
            self.result = (EX_NOTFOUND if event.errno in ABSENT else EX_NOEXEC, 0)
            self.what = Input.DONE
            return text
        self._failures += 1
        self.delay = self._crashes.next()
        self.what = Input.LATER if passing or self._failures <= START_RETRIES else Input.REST
        return text if self._failures == 1 else ""
