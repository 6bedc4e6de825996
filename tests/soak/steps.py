"""What a soak does, as data: operations on files, and what else can happen on a machine.

The repr of a step makes it again, so a printed list can be carried out once more (--replay).
"""

from __future__ import annotations

from typing import NamedTuple

from tests.support import model


class Pause(NamedTuple):
    """The pace, in seconds: not a wait for anything."""

    seconds: float


class Signal(NamedTuple):
    """Sent to reloaderd; `name` without SIG."""

    name: str


class Stutter(NamedTuple):
    """From now on, or not any more: reloaderd is stopped and continued every other millisecond."""

    on: bool


class SignalChild(NamedTuple):
    """Sent to the child of the latest run."""

    name: str


class Behave(NamedTuple):
    """Options of the probe for the runs to come."""

    options: tuple[str, ...]


class Burst(NamedTuple):
    """So many new files in a new directory."""

    path: str
    files: int


class Flood(NamedTuple):
    """More events than the kernel's queue holds, about directory `path`."""

    path: str


class MountTmpfs(NamedTuple):
    path: str


class MountBind(NamedTuple):
    path: str
    source: str


class Unmount(NamedTuple):
    """The latest mount at `path`; `lazily` while it is used."""

    path: str
    lazily: bool


class UnmountAll(NamedTuple):
    """Whatever was mounted, wherever it has moved to since."""


class Check(NamedTuple):
    """Everything must be as it should be, now or in a moment."""


Step = (
    model.Operation
    | Pause
    | Signal
    | Stutter
    | SignalChild
    | Behave
    | Burst
    | Flood
    | MountTmpfs
    | MountBind
    | Unmount
    | UnmountAll
    | Check
)
