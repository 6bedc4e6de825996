"""Answers what the core asks of the file system, by a source that is given: commands into events.

What looks at files is imported when it is first asked to: the keepers are forked before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reloaderd import commands as do
from reloaderd.events import Armed, Drained, Event, Examined, LimitRead
from reloaderd.kernel.sources import Sources


def arm(source: Sources, command: do.Arm) -> Sequence[Event]:
    """Watch directories and list them."""
    from reloaderd.kernel.files import list_directory

    listings = [list_directory(source, path) for path in command.paths]
    polled = source.polled(listings)
    armed = Armed(command.service, command.why, listings, polled)
    return [armed, *source.unsettled(one.watch for one in listings)]


def anchor(source: Sources, command: do.Anchor) -> Sequence[Event | do.Command]:
    """Find where a path leads, and hold on to the names on the way; let go of those that led elsewhere."""
    from reloaderd.kernel.files import find_way

    stray: list[int] = []
    found = find_way(source, command.service, command.path, command.read, stray)
    if found.identity is not None:
        if found.is_dir:  # nothing is armed below a file, and of those there may be thousands
            source.leads_to(command.path, found.identity[2])
        if found.identity[0] in source.forgetful:
            found = found._replace(identity=(found.identity[0], 0, found.identity[2]))
        found = found._replace(polled=source.reason(found.steps[-1].watch) if found.steps else "")
    unsettled = source.unsettled(step.watch for step in found.steps[-1:])
    return [found, *([do.Drop(stray)] if stray else []), *unsettled]


def find_repository(source: Sources, command: do.FindRepository) -> Sequence[Event]:
    """Find the repository that a directory is in."""
    from reloaderd.kernel import repository

    return [repository.find_repository(source, command)]


def drop(source: Sources, command: do.Drop) -> Sequence[Event]:
    """Stop watching."""
    for watch in command.watches:
        source.drop(watch)
    return ()


def examine(source: Sources, command: do.Examine) -> Sequence[Event]:
    """Take stamps of files."""
    from reloaderd.kernel.files import stamp

    stamps = {path: stamp(path, source.forgetful) for path in command.paths}
    return [Examined(command.service, command.why, stamps)]


def digest(source: Sources, command: do.Digest) -> Sequence[Event]:
    """Read files."""
    from reloaderd.kernel.digests import digest_files

    service, number, paths = command
    return [digest_files(service, number, paths, None if number else source.is_settled)]


def drain(source: Sources, command: do.Drain) -> Sequence[Event]:
    """Hand over what the source knows."""
    return [*source.read(), Drained(command.service)]


def read_limit(source: Sources, command: do.ReadLimit) -> Sequence[Event]:
    """Find the limit behind an errno."""
    from reloaderd.kernel.limits import limit

    return [LimitRead(command.service, command.why, *limit(command.why))]


ANSWERS: Mapping[type, Callable[[Sources, Any], Sequence[Event | do.Command]]] = {
    do.Arm: arm,
    do.Anchor: anchor,
    do.FindRepository: find_repository,
    do.Drop: drop,
    do.Examine: examine,
    do.Digest: digest,
    do.Drain: drain,
    do.ReadLimit: read_limit,
}
