"""What can happen: one record an event, named in the past tense.

Adapters make them, the engine reads them.  A record says what was seen and nothing of what
to do about it.  Two records with equal fields compare equal whatever their type: compare
the type too.

No module of records has `from __future__ import annotations`: typing compiles each annotation that is
text, and keeps that, which is 2 ms of every start for all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reloaderd.events.files import (
    Anchored,
    Armed,
    Digested,
    Drained,
    EntryChanged,
    EventsLost,
    Examined,
    FileDetached,
    IgnoreFile,
    Kind,
    LimitRead,
    Listing,
    Looked,
    MountsChanged,
    RepositoryFound,
    Stamp,
    Step,
    WatchEnded,
    WatchMoved,
    WatchStale,
    Why,
)
from reloaderd.events.runs import (
    CheckpointGone,
    CheckpointPassed,
    CheckpointReady,
    ChildAnswered,
    ChildEnded,
    ChildProbed,
    ChildReady,
    ChildStarted,
    ChildStopped,
    ChildTold,
    Fault,
    FilesLoaded,
    KeeperDied,
    Loaded,
    RunGone,
    StartFailed,
    SyntaxChecked,
    ZygoteGone,
    ZygoteReady,
)
from reloaderd.settings import Settings

__all__ = [
    "Anchored",
    "Armed",
    "Asked",
    "CheckpointGone",
    "CheckpointPassed",
    "CheckpointReady",
    "ChildAnswered",
    "ChildEnded",
    "ChildProbed",
    "ChildReady",
    "ChildStarted",
    "ChildStopped",
    "ChildTold",
    "ConfigRead",
    "Digested",
    "Drained",
    "EntryChanged",
    "Event",
    "EventsLost",
    "Examined",
    "Fault",
    "FileDetached",
    "FilesLoaded",
    "IgnoreFile",
    "KeeperDied",
    "Kind",
    "LimitRead",
    "Listing",
    "Loaded",
    "Looked",
    "MountsChanged",
    "PulseMade",
    "RepositoryFound",
    "RunGone",
    "SignalArrived",
    "Stamp",
    "StartFailed",
    "Step",
    "SyntaxChecked",
    "TerminalClosed",
    "WatchEnded",
    "WatchMoved",
    "WatchStale",
    "Why",
    "ZygoteGone",
    "ZygoteReady",
]


class ConfigRead(NamedTuple):
    """A `ReadConfig` was carried out: what the file says now, or None and all that is wrong with it."""

    settings: Settings | None
    faults: Sequence[str] = ()


class PulseMade(NamedTuple):
    """A `MakePulse` was carried out: the source will tell of it under `watch`.

    It may be `late` by so many seconds.  With -1 there is no place for it, and `trouble` says why.
    """

    watch: int
    late: float = 0.0
    trouble: str = ""


class SignalArrived(NamedTuple):
    """reloaderd itself was sent `signum`."""

    signum: int


class Asked(NamedTuple):
    """A client of the control socket calls `method` (kernel.control): answered by `Answer`.

    With `more` it takes several answers; with `oneway` it wants none.  `clock` tells the time of day: of each
    (since, offset) the offset to add to an instant that is not before `since`.
    """

    client: int
    method: str
    parameters: Mapping[str, Any]
    more: bool = False
    oneway: bool = False
    clock: Sequence[tuple[float, float]] = ()


class TerminalClosed(NamedTuple):
    """The terminal that was lent cannot be taken back: it is gone."""


Event = (
    EntryChanged
    | FileDetached
    | Looked
    | WatchEnded
    | WatchMoved
    | WatchStale
    | MountsChanged
    | LimitRead
    | EventsLost
    | Armed
    | Anchored
    | RepositoryFound
    | Examined
    | FilesLoaded
    | SyntaxChecked
    | Digested
    | Drained
    | ChildStarted
    | StartFailed
    | ChildStopped
    | ChildEnded
    | RunGone
    | ChildTold
    | ChildReady
    | ChildProbed
    | ChildAnswered
    | ZygoteReady
    | CheckpointPassed
    | CheckpointReady
    | CheckpointGone
    | ZygoteGone
    | KeeperDied
    | ConfigRead
    | PulseMade
    | SignalArrived
    | Asked
    | TerminalClosed
)
