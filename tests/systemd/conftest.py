"""The machine that these tests share, and a clean user on it for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.machine import Machine


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted one: tests leave on it nothing that runs."""
    machine = Machine()
    yield machine
    machine.close()
