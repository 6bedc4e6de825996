"""The one wait of the loop: which descriptors are readable, and until when.

Facts
- epoll and poll count in milliseconds and round up; select(2) does not, and we wait for few.  It is asked
  without the module selectors, which is 0.1 MB for what it does by itself.
- select(2) knows no descriptor from FD_SETSIZE on, which is 1,024, and Python raises ValueError for one.
  Whoever starts us may hand down a thousand that it forgot to close, and ours come after those.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Protocol, TypeVar


class _Selectable(Protocol):
    def fileno(self) -> int: ...


Adapter = TypeVar("Adapter", bound=_Selectable)


def wait(adapters: Sequence[Adapter], limit: float | None) -> Sequence[Adapter]:
    """Those that are readable, as soon as one is; none after `limit` seconds (None: there is no limit)."""
    try:
        return select.select(adapters, (), (), limit)[0]
    except ValueError:
        poll = select.poll()
        by_number = {one.fileno(): one for one in adapters}
        for number in by_number:
            poll.register(number, select.POLLIN)
        ready = poll.poll(None if limit is None else limit * 1000)
        return [by_number[number] for number, _ in ready]
