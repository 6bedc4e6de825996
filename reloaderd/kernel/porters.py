"""The daemon's side of one porter: tells it of the runs, and makes events of what it reports.

Facts
- The porter has the sockets to which agents connect from the fork on; who connects before it waits for them
  waits in their queue.  They stay open here, so that another porter can take its place.
"""

from __future__ import annotations

import os
import select
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from reloaderd.commands import Command, Report
from reloaderd.events import ChildAnswered, ChildProbed, ChildReady, Event
from reloaderd.kernel.helpers import Helper
from reloaderd.kernel.runtime import datagram_socket, listening_socket, runtime_directory
from reloaderd.settings import Probe

BACKLOG = 128
"""Connections that may wait: each agent has one at a time."""

NOTICE = "-leaves~"
"""The end of a notice's name, as the agent knows it.  Names like it are ignored by default."""


class Porter:
    """One service's porter.  One that died is replaced when the next run starts, without what it kept."""

    def __init__(
        self,
        service: str,
        slots: int,
        words: Sequence[str],
        given: Collection[int],
        wants: str | Probe = "",
    ) -> None:
        """`words` tell the agents what is wanted of them, `given` are descriptors that --listen hands on.

        `wants` says when a run is ready, if that is to be told: `serves`, `notify`, or when it answers a
        probe.  Raises OSError.
        """
        self._service = service
        self._words = words
        self._given = [os.fstat(fd).st_ino for fd in given]
        directory = runtime_directory()
        name = f"agent-{os.getpid()}-{os.urandom(4).hex()}"
        self._paths = [os.path.join(directory, f"{name}-{slot}") for slot in range(slots)]
        self._notices = [f"{path}{NOTICE}" for path in self._paths]
        self._doors: list[Any] = []
        self._bells: list[Any] = []
        self._wants = wants
        self._taken: set[int] = set()  # the slots that have a run
        self._epoll = select.epoll()
        self._porter = Helper(self._become, self._epoll, may_stand_still=True)
        try:
            for path in self._paths:
                self._doors.append(listening_socket(path, BACKLOG))
                if wants == "notify":
                    self._bells.append(datagram_socket(f"{path}-notify"))
            self._porter.start()
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Porter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when `read` has something; stays the same from porter to porter."""
        return self._epoll.fileno()

    def environ(self, slot: int) -> dict[str, str]:
        """What the runs of a slot get, so that the agents in them find their way here."""
        environ = {"RELOADERD_PORTER": f"{self._paths[slot]}\n{' '.join(self._words)}"}
        return {**environ, "NOTIFY_SOCKET": f"{self._paths[slot]}-notify"} if self._bells else environ

    def started(self, slot: int, run: int, keeper: int) -> None:
        """A run is about to be started, by this keeper."""
        if not self._porter.pid:
            try:
                self._porter.start()
            except OSError:
                return
        self._taken.add(slot)
        self._porter.ask("started", slot, run, keeper, len(self._taken) > 1)

    def leaving(self, slot: int) -> bool:
        """It is to accept no more, and to be told of when it has answered all; False: there is no porter."""
        return self._porter.ask("leaving", slot)

    def stopping(self, slot: int) -> None:
        """It is about to be told to end."""
        self._porter.ask("stopping", slot)

    def gone(self, slot: int) -> None:
        """Nothing of it is left."""
        self._taken.discard(slot)
        self._porter.ask("gone", slot)

    def read(self) -> list[Event | Command]:
        """What it reports, without waiting."""
        told = self._porter.read()
        if told is None:
            return [self._warn("the process that keeps the sockets was killed, and they are closed")]
        return [self._event(*record) for record in told]

    def close(self) -> None:
        """Have the porter end: what it kept is closed."""
        self._porter.end()
        for one in (*self._doors, *self._bells):
            one.close()
        for path in self._paths:
            for name in (path, f"{path}-notify", f"{path}{NOTICE}"):
                with suppress(OSError):
                    os.unlink(name)
        self._doors.clear()
        self._bells.clear()
        self._epoll.close()

    def _event(self, kind: str, *fields: Any) -> Event | Command:
        if kind == "ready":
            return ChildReady(self._service, *fields)
        if kind == "probed":
            return ChildProbed(self._service, *fields)
        if kind == "answered":
            return ChildAnswered(self._service, *fields)
        address, name = fields
        return self._warn(
            f"{address} is not kept: {name} does not bind it by Python's module socket"
            f" (add: --listen {address})"
        )

    def _warn(self, text: str) -> Report:
        return Report("warning", self._service, {"text": text})

    def _become(self, requests: int, reports: int) -> None:
        from reloaderd.kernel.porter import Duty, mind

        keeps = "keep" in self._words
        duty = Duty(self._service, self._doors, self._bells, self._given, self._wants, keeps, self._notices)
        mind(duty, requests, reports)
