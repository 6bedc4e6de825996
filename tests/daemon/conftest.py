"""Fixtures of the black-box tests: each source of events in turn, and mount namespaces.

A module or a test marked `every_source` runs once with each backend, unless it names one itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import Daemon, Watch
from tests.support.mounts import Mounts

SOURCES = ("inotify", "pyinotify", "poll")

POLL_INTERVAL = "--poll-interval=100ms"
"""Short, so that a suite is; the default is no other code."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"every_source: runs with each of {', '.join(SOURCES)}")
    config.addinivalue_line(
        "markers", "only(*sources, reason): of those, the test is about these alone, and why"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames and metafunc.definition.get_closest_marker("every_source"):
        package = pytest.mark.needs("pyinotify")
        params = [pytest.param(one, marks=package if one == "pyinotify" else ()) for one in SOURCES]
        metafunc.parametrize("backend", params)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if wanted(item)]


def wanted(item: pytest.Item) -> bool:
    """Whether the source that the test would run with is one of those that it is about."""
    backend = getattr(item, "callspec", None) and item.callspec.params.get("backend")
    for mark in item.iter_markers("only"):
        assert mark.kwargs.get("reason"), f"{item.nodeid}: `only` says no reason"
        if backend is not None and backend not in mark.args:
            return False
    return True


@pytest.fixture
def backend() -> str:
    """What the daemon is told to learn of changes by; "auto": it is not told."""
    return "auto"


@pytest.fixture
def watch(watch: Watch, backend: str) -> Watch:
    """Start `reloaderd watch` with the source that is this test's turn; see tests/conftest.py."""

    def start(*options: str, **keywords: Any) -> Daemon:
        if backend == "auto" or has(options, "--backend"):
            return watch(*options, **keywords)
        chosen = [f"--backend={backend}"]
        if backend == "poll" and not has(options, "--poll-interval"):
            chosen.append(POLL_INTERVAL)
        return watch(*chosen, *options, backend=backend, **keywords)

    return start


def has(options: tuple[str, ...], name: str) -> bool:
    return any(option.partition("=")[0] == name for option in options)


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """A mount namespace; to be asked for before `watch`, whose daemons end first then."""
    namespace = Mounts()
    yield namespace
    namespace.close()
