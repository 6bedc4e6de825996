"""The one way in which tests wait: for something to be so, with a generous limit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

LIMIT = float(os.environ.get("RELOADERD_TEST_LIMIT") or 30)
"""Seconds after which what did not happen counts as not happening, on a slow and busy machine too."""

T = TypeVar("T")


class Unfulfilled(AssertionError):
    """What was waited for did not come."""


def wait_until(
    check: Callable[[], T | None],
    what: str,
    *,
    limit: float = LIMIT,
    explain: Callable[[], str] | None = None,
) -> T:
    """The first true value of `check()`; after `limit` seconds a failure that names `what`."""
    deadline = time.monotonic() + limit
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Unfulfilled(f"waited {limit:g} s in vain for: {what}\n{explain() if explain else ''}")
        time.sleep(0.004)
