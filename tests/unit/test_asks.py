from __future__ import annotations

from collections.abc import Callable

import pytest

from reloaderd.commands import Anchor, Arm, Command, Examine, FindRepository
from reloaderd.core.asks import Asks
from reloaderd.events import Why

Ask = Callable[[Asks], Command]

ASKS: list[tuple[Ask, Command]] = [
    (lambda asks: asks.anchor("/p"), Anchor("web", "/p", read=False)),
    (lambda asks: asks.anchor("/p", read=True), Anchor("web", "/p", read=True)),
    (lambda asks: asks.arm(Why.LOST, ["/p", "/q"]), Arm("web", Why.LOST, ["/p", "/q"])),
    (lambda asks: asks.examine(None, ["/p/m.py"]), Examine("web", None, ["/p/m.py"])),
    (lambda asks: asks.examine(Why.LOST, ["/p/m.py"]), Examine("web", Why.LOST, ["/p/m.py"])),
    (lambda asks: asks.find_repository("/p"), FindRepository("web", "/p", ignore_files=True)),
]


@pytest.mark.parametrize(("ask", "command"), ASKS)
def test_each_ask_is_one_command_and_stands_out_until_it_is_answered(ask: Ask, command: Command) -> None:
    asks = Asks("web", ignore_files=True)
    made = ask(asks)
    assert (type(made), made) == (type(command), command)
    assert asks.outstanding == 1
    asks.answered()
    assert asks.outstanding == 0


def test_asks_are_counted_one_by_one() -> None:
    asks = Asks("web", ignore_files=True)
    for ask, _ in ASKS:
        ask(asks)
    asks.answered()
    assert asks.outstanding == len(ASKS) - 1


def test_ignore_files_of_git_are_asked_for_only_where_they_are_wanted() -> None:
    assert not Asks("web", ignore_files=False).find_repository("/p").ignore_files
