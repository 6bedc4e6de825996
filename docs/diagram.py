"""Draws the supervisor's table as the diagram in supervisor.md: `python docs/diagram.py` rewrites it."""

from __future__ import annotations

from pathlib import Path

from reloaderd.core.transitions import TRANSITIONS, Input, State

PAGE = Path(__file__).with_name("supervisor.md")
OPEN, CLOSE = "```mermaid\n", "```\n"

PLANS = {Input.AGAIN, Input.LATER, Input.REST, Input.DONE}
"""What follows when nothing of the run is left."""


def diagram() -> str:
    """The table as the lines of a mermaid state diagram: one arrow for each pair of states."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, what), (target, effect) in TRANSITIONS.items():
        label = f"gone, {what.value}" if what in PLANS else f"{what.value} / {effect.value}"
        arrows.setdefault((state, target), []).append(label)
    lines = ["stateDiagram-v2", "    [*] --> WAITING"]
    for (state, target), labels in arrows.items():
        lines.append(f"    {state.name} --> {target.name} : {'<br/>'.join(labels)}")
    lines.append("    CLOSED --> [*]")
    return "\n".join(lines) + "\n"


def replaced(page: str) -> str:
    """The text of the page with the diagram as it should be."""
    before, _, rest = page.partition(OPEN)
    _, _, after = rest.partition(CLOSE)
    return before + OPEN + diagram() + CLOSE + after


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
