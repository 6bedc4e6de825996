"""Sets what was measured against the budgets, and lays it out for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.measures import Row, Value

REFERENCE = "C"


class Budget(NamedTuple):
    """At most `limit` for one figure of one tool; with `times` set, `limit` times that tool's same figure.

    `exactly` is a word that must come out instead of a number.
    """

    what: str
    measure: str
    tool: str
    figure: str
    limit: float = 0.0
    times: str = ""
    exactly: str = ""


BUDGETS = (
    Budget("save to child, default", "save in place", "reloaderd", "median ms", 13),
    Budget("the same, saved by rename", "save by rename", "reloaderd", "median ms", 13),
    Budget("starts per save, default", "save in place", "reloaderd", "starts per save", 1),
    Budget("the same, saved by rename", "save by rename", "reloaderd", "starts per save", 1),
    Budget("save to child, --debounce 0", "save in place", "reloaderd-0", "median ms", 2, times="C"),
    Budget("the same, saved by rename", "save by rename", "reloaderd-0", "median ms", 2, times="C"),
    Budget("idle: context switches", "idle", "reloaderd", "switches", 0),
    Budget("idle: the same, with patterns", "idle", "reloaderd+gitignore", "switches", 0),
    Budget("idle RSS, no patterns", "idle", "reloaderd", "RSS MB", 14),
    Budget("idle RSS, with patterns", "idle", "reloaderd+gitignore", "RSS MB", 17),
    Budget("the whole family's PSS, no patterns", "idle", "reloaderd", "family PSS MB", 14),
    Budget("the whole family's PSS, with patterns", "idle", "reloaderd+gitignore", "family PSS MB", 17),
    Budget("start to watching and child", "start", "reloaderd", "median ms", 60),
    Budget("arm 5,000 directories", "arm 5000", "reloaderd", "arm ms", 1.3, times="C nftw + add_watch"),
    Budget("arm 50,000 directories", "arm 50000", "reloaderd", "arm ms", 1.3, times="C nftw + add_watch"),
    Budget(
        "arm 10,000 of 100,000", "arm 10000 of 100000", "reloaderd", "arm ms", 1.3, times="C nftw + add_watch"
    ),
    Budget("storm of 20,000: restarts", "storm", "reloaderd", "most restarts", 2),
    Budget("agent's cost on imports, % of CPU", "agent: Django and pandas", "agent", "cost %", 2),
    Budget("storm: last write seen", "storm", "reloaderd", "last write seen", exactly="yes"),
)


class Verdict(NamedTuple):
    """One budget and what came of it; `ratio` is measured to budget."""

    what: str
    budget: str
    measured: Value
    verdict: str
    ratio: float | None


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """One verdict for each budget that something was measured for."""
    known = {(row.measure, row.tool): row.figures for row in rows}
    found = []
    for budget in BUDGETS:
        value = known.get((budget.measure, budget.tool), {}).get(budget.figure)
        if value is None:
            continue
        if fault := known[budget.measure, budget.tool].get("fault"):
            found.append(Verdict(budget.what, _text(budget.limit), fault, "missed", None))
            continue
        if budget.exactly:
            found.append(Verdict(budget.what, budget.exactly, value, _met(value == budget.exactly), None))
            continue
        limit, shown = budget.limit, _text(budget.limit)
        if budget.times:
            reference = known.get((budget.measure, budget.times), {}).get(budget.figure)
            if reference is None:
                continue
            limit *= float(reference)
            shown = f"{_text(budget.limit)} x {_text(reference)}"
        ratio = float(value) / limit if limit else None
        found.append(Verdict(budget.what, shown, value, _met(float(value) <= limit), ratio))
    return found


def _met(met: bool) -> str:
    return "met" if met else "missed"


def _text(value: Value) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case int():
            return f"{value:,}"
        case _:
            return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; the first is flush left, the others right."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells)
        ).rstrip()
        for cells in (list(zip(line, widths, strict=True)) for line in (head, *lines))
    )


def measured_tables(rows: Sequence[Row]) -> str:
    """One table a measure; the last column is the first figure as a multiple of the C program's."""
    texts = []
    for measure in dict.fromkeys(row.measure for row in rows):
        ours = [row for row in rows if row.measure == measure]
        names = list(dict.fromkeys(name for row in ours for name in row.figures))
        names = [name for name in names if any(row.figures.get(name) not in (None, "") for row in ours)]
        reference = next((row.figures[names[0]] for row in ours if row.tool.startswith(REFERENCE)), None)
        lines = [
            [
                row.tool,
                *(_text(row.figures.get(name)) for name in names),
                _ratio(row, names[0], reference),
            ]
            for row in ours
        ]
        texts.append(table([measure, *names, "x C"], lines))
    return "\n\n".join(texts)


def _ratio(row: Row, name: str, reference: Value) -> str:
    value = row.figures.get(name)
    if isinstance(value, int | float) and isinstance(reference, int | float) and reference:
        return f"{value / reference:.2f}"
    return "-"


def budget_table(verdicts: Sequence[Verdict]) -> str:
    """The budgets of reloaderd."""
    lines = [[one.what, one.budget, _text(one.measured), one.verdict, _text(one.ratio)] for one in verdicts]
    return table(["reloaderd", "budget", "measured", "verdict", "ratio"], lines)
