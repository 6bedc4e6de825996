"""What the watching half of the core hands to the deciding half."""

from __future__ import annotations

from typing import NamedTuple

from reloaderd.events import Kind

NAMING = frozenset({Kind.CREATED, Kind.ARRIVED, Kind.LEFT, Kind.DELETED})
"""What makes a name mean something else than before."""

WRITING = frozenset({Kind.WRITTEN, Kind.REWRITTEN})
"""What leaves other bytes behind, maybe not the last ones."""

GONE = frozenset({Kind.LEFT, Kind.DELETED})


class Change(NamedTuple):
    """Something happened to a path that counts; `existed` tells whether it was there before."""

    path: str
    kind: Kind
    existed: bool
