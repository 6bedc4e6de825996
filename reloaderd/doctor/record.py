"""The findings as one JSON object, for programs.

It is pure ASCII: a byte of a name that is not UTF-8 comes as a lone surrogate, `\\udcff` for 0xff (PEP 383).
"""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from typing import Any

from reloaderd.core.diagnosis import Allowance, Checkup, Part, Problem, Root, reason_of, source_of

LISTED = 1000
"""Entries of a list at most; how many there are is told beside it."""


def text(checkup: Checkup, problems: Sequence[Problem]) -> str:
    """One line."""
    entry = {
        "roots": [_root(root, checkup) for root in checkup.roots],
        "watches_needed": checkup.needed,
        "limits": {
            "watches": _allowance(checkup.watches),
            "instances": _allowance(checkup.instances),
            "queued_events": {"sysctl": checkup.queue[0], "value": checkup.queue[1]},
            "complete": checkup.complete,
        },
        "problems": [problem._asdict() for problem in problems],
    }
    return json.dumps(entry) + "\n"


def _root(root: Root, checkup: Checkup) -> dict[str, Any]:
    return {
        **_part(root.part, checkup),
        "directories": root.directories,
        "files": root.files,
        "files_ignored": root.skipped,
        "watches": {"below": root.below, "way": root.way},
        "parts": [_part(part, checkup) for part in root.parts[:LISTED]],
        "parts_count": len(root.parts),
        "ignored": [one._asdict() for one in root.ignored[:LISTED]],
        "ignored_count": len(root.ignored),
        "ignored_directories": sum(one.directories for one in root.ignored),
        "unreadable": [
            {"path": one.path, "error": errno.errorcode.get(one.error, str(one.error))}
            for one in root.unreadable[:LISTED]
        ],
        "unreadable_count": len(root.unreadable),
    }


def _part(part: Part, checkup: Checkup) -> dict[str, Any]:
    return {
        "path": part.path,
        "type": part.type,
        "mount": part.mount,
        "source": source_of(part, checkup),
        "why": reason_of(part, checkup),
        "directories": part.directories,
    }


def _allowance(allowance: Allowance) -> dict[str, Any]:
    return {"sysctl": allowance.name, "value": allowance.value, "used": allowance.used}
