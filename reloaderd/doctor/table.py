"""The findings as a table for people: plain text, aligned, most of it within 80 columns.

Nothing in it is obeyed by a terminal: names are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reloaderd.core.diagnosis import Checkup, Problem, Root, reason_of, source_of
from reloaderd.core.escaping import escaped
from reloaderd.core.reasons import watch_failure

WIDTH = 80

SHOWN = 10
"""Lines of a list: the ones that matter come first, and `--json` has more."""

LABEL = 13
"""Columns of the longest label, with two of space after it."""

UNKNOWN = "not known"

Row = tuple[str, str, str, str]
"""A label, a number (or nothing), what it is of, and what there is to say about that."""


def text(checkup: Checkup, problems: Sequence[Problem]) -> str:
    """All that was found, with the problems at the end."""
    blocks = [_root(root, checkup) for root in checkup.roots]
    width = max((len(number) for block in blocks for _, number, *_ in block), default=0)
    lines: list[str] = []
    for root, block in zip(checkup.roots, blocks, strict=True):
        lines += [escaped(root.path), *(line for row in block for line in _lines(row, width)), ""]
    limits = [*_limits(checkup)]
    lines += [*limits, ""] if limits else []
    for problem in problems:
        lines += [*_wrapped("problem: ", escaped(problem.text)), f"   mend: {escaped(problem.mend)}"]
    if not problems:
        lines.append("Nothing needs a mend.")
    return "\n".join(lines) + "\n"


def _lines(row: Row, width: int) -> list[str]:
    """One line, or two where that would be too long."""
    label, number, name, rest = row
    number = f"{number:>{width}} " if number else ""
    start = f"  {label:<{LABEL}}{number}"
    for line in (f"{start}{name}  {rest}", f"{start}{name.rstrip()}  {rest}"):
        if not rest or len(line) <= WIDTH:
            return [line.rstrip()]
    return [f"{start}{name}".rstrip(), f"{' ' * len(start)}  {rest}"]


def _root(root: Root, checkup: Checkup) -> list[Row]:
    part = root.part
    system = f"{escaped(part.type)}, mounted on {escaped(part.mount)}" if part.type else UNKNOWN
    source = f"{source_of(part, checkup)} ({escaped(reason_of(part, checkup))})"
    rows: list[Row] = [("file system", "", system, ""), ("source", "", source, "")]
    if not root.here:
        return rows
    way = "(for the way to it)"
    if root.is_dir:
        rows.append(("directories", _number(root.directories), "", ""))
        skipped = f", {root.skipped:,} more do not" if root.skipped else ""
        rows.append(("files", _number(root.files), f"that count{skipped}", ""))
        way = f"({root.below:,} for its directories, {root.way:,} for the way to it)"
    rows.append(("watches", _number(root.below + root.way), way, ""))
    return [*rows, *_parts(root, checkup), *_ignored(root), *_unreadable(root)]


def _parts(root: Root, checkup: Checkup) -> Iterable[Row]:
    parts = sorted(root.parts, key=lambda part: (-part.directories, part.path))
    names = _padded([_name(root, part.path, part.directories > 0) for part in parts[:SHOWN]])
    told = []
    for part in parts[:SHOWN]:
        reason, type = reason_of(part, checkup), part.type or UNKNOWN
        reason = reason if reason.startswith(f"{type}: ") else f"{type}: {reason}"
        told.append(f"{source_of(part, checkup)} ({escaped(reason)})")
    yield from _list("of these", [_number(part.directories) for part in parts], names, told)


def _ignored(root: Root) -> Iterable[Row]:
    if not root.ignored:
        return
    complete = all(one.complete for one in root.ignored)
    places = "1 place" if len(root.ignored) == 1 else f"{len(root.ignored):,} places"
    total = sum(one.directories for one in root.ignored)
    short = "" if complete else " (+: too many to count them all)"
    yield "ignored", _number(total, complete), f"directories in {places}{short}", ""
    shown = root.ignored[:SHOWN]
    names = _padded([_name(root, one.path) for one in shown])
    inside = root.path.rstrip("/") + "/"
    told = [f"{escaped(one.origin.removeprefix(inside))}: {escaped(one.rule)}" for one in shown]
    yield from _list("", [_number(one.directories, one.complete) for one in root.ignored], names, told)


def _unreadable(root: Root) -> Iterable[Row]:
    if not root.unreadable:
        return
    count = len(root.unreadable)
    yield "not watched", _number(count), "directory" if count == 1 else "directories", ""
    names = _padded([_name(root, one.path) for one in root.unreadable[:SHOWN]])
    # without what is said there of the time to come
    told = [watch_failure(one.error).partition(" (")[0] for one in root.unreadable[:SHOWN]]
    yield from _list("", [" "] * count, names, told)


def _list(label: str, numbers: Sequence[str], names: Sequence[str], told: Sequence[str]) -> Iterable[Row]:
    """The first rows of a list, and how many there are more."""
    for number, name, rest in zip(numbers, names, told, strict=False):
        yield label, number, name, rest
        label = ""
    if len(numbers) > len(names):
        yield "", " ", f"and {len(numbers) - len(names):,} more (--json tells of more)", ""


def _name(root: Root, path: str, is_dir: bool = True) -> str:
    """What is below a root, relative to it."""
    return escaped(path[len(root.path.rstrip("/")) + 1 :]) + ("/" if is_dir else "")


def _padded(names: Sequence[str]) -> list[str]:
    """The names, as wide as the longest that is not very long."""
    width = max((len(name) for name in names if len(name) <= WIDTH // 3), default=0)
    return [name.ljust(width) for name in names]


def _number(value: int, complete: bool = True) -> str:
    return f"{value:,}" if complete else f"{value:,}+"


def _limits(checkup: Checkup) -> Iterable[str]:
    watches, instances, queue = checkup.watches, checkup.instances, checkup.queue
    rows = [("limits of this user", "allowed", "taken", "needed")]
    if watches.name:
        rows.append((watches.name, f"{watches.value:,}", f"{watches.used:,}", f"{checkup.needed:,}"))
    if instances.name:
        needed = "1" if checkup.needed else "0"
        rows.append((instances.name, f"{instances.value:,}", f"{instances.used:,}", needed))
    if queue[0]:
        rows.append((queue[0], f"{queue[1]:,}", "", ""))
    if not rows[1:]:
        return
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for name, *numbers in rows:
        cells = [f"{number:>{width + 3}}" for number, width in zip(numbers, widths[1:], strict=True)]
        yield f"{name:<{widths[0]}}{''.join(cells)}".rstrip()
    if not checkup.complete:
        yield "(more may be taken: not all processes of this user can be looked into)"


def _wrapped(label: str, sentence: str) -> list[str]:
    import textwrap

    lines = textwrap.wrap(sentence, WIDTH - len(label), break_long_words=False, break_on_hyphens=False)
    return [f"{label if not at else ' ' * len(label)}{line}" for at, line in enumerate(lines)]
