"""The places of a porter for runs, and when something is to be looked at in one.

A service has one run at a time, in slot 0, or with --overlap two, in slots 0 and 1.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from reloaderd.kernel import openfiles, proctree
from reloaderd.kernel.answering import Answering
from reloaderd.kernel.probes import Prober
from reloaderd.kernel.readiness import Readiness

LOOKS = (2.0, 10.0, 30.0)
"""Seconds after the start of a run when a look is taken at what listens without having told."""


class Slot:
    """The run that is in one of the places for them."""

    def __init__(self, run: int = 0, keeper: int = 0) -> None:
        self.run = run  # 0: none
        self.keeper = keeper
        self.stopping = False
        self.leaving = False
        self.free: set[int] = set()  # inodes of what listens at a port that the kernel chose
        self.look: float | None = None  # when to look who has what was closed
        self.looks: list[float] = []  # when to look at what listens
        self.readiness: Readiness | Prober | None = None  # until it is ready, where somebody waits for that
        self.answering: Answering | None = None  # while it leaves, until it has answered all

    def processes(self) -> list[int]:
        """Those of the run by now."""
        return [pid for pid in proctree.descendants(self.keeper) if pid != os.getpid()] if self.run else []

    @property
    def due(self) -> float | None:
        """When something is to be looked at."""
        instants = [self.look, *self.looks[:1]]
        instants += [one.due for one in (self.readiness, self.answering) if one is not None]
        return min((one for one in instants if one is not None), default=None)

    def is_ready(self, now: float) -> bool:
        """Look whether it is by now, if that is due; True but once."""
        if self.readiness is None or self.readiness.due > now or not self.readiness.look(now):
            return False
        self.forget_readiness()
        return True

    def has_answered(self, now: float, may_accept: bool) -> bool:
        """Look whether it has answered all by now, if that is due; True but once.

        `may_accept`: a process of it has not said yet that it accepts no more, so there may be more to come.
        """
        if self.answering is None or self.answering.due > now:
            return False
        if not self.answering.look(now) or may_accept:
            return False
        self.answering = None
        return True

    def forget_readiness(self) -> None:
        """Nobody waits for it to be ready, or it is."""
        if self.readiness is not None:
            self.readiness.close()
            self.readiness = None

    def unknown(self, known: Collection[int]) -> dict[str, str]:
        """What listens and is none of these: by its address, the name of the process."""
        tree = self.processes()
        listening = openfiles.listening(tree[0]) if tree else {}
        return {
            listening[inode]: _name_of(pid)
            for pid in tree
            for inode in openfiles.sockets_of(pid).values()
            if inode in listening and inode not in known
        }


def _name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
