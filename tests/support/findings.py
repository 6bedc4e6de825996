"""Short ways to say what the doctor found."""

from __future__ import annotations

from typing import Any

from reloaderd.core.diagnosis import Allowance, Checkup, Part, Root


def part(
    path: str = "/p", type: str = "ext4", polled: str = "", directories: int = 1, blind: bool = False
) -> Part:
    return Part(path, type, "/", polled, blind, directories)


def root(path: str = "/p", **more: Any) -> Root:
    """A directory with one file in it."""
    plain = Root(path, True, True, part(path), (), 1, 0, 1, 2, (), ())
    return plain._replace(**more)


def checkup(*roots: Root, **more: Any) -> Checkup:
    """One where there is room."""
    watches = Allowance("fs.inotify.max_user_watches", 8192, 5)
    instances = Allowance("fs.inotify.max_user_instances", 128, 1)
    queue = ("fs.inotify.max_queued_events", 16384)
    plain = Checkup("auto", "inotify", roots or (root(),), 3, watches, instances, queue)
    return plain._replace(**more)
