"""Fixtures of all tests: a place of one's own, reloaderd in it, and programs that must be there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.places import Place
from tests.support.waiting import Unfulfilled

COMPLETE = bool(os.environ.get("CI") or os.environ.get("RELOADERD_TESTS_COMPLETE"))
"""Nothing may skip: what a test needs is missing, so it fails."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "needs(*names): programs the test runs; `mounts` stands for a mount namespace of one's own,"
        " `modes` for being refused by file modes (root passes them unless setpriv is there)",
    )


@functools.cache
def missing(name: str) -> bool:
    if name == "mounts":
        return subprocess.run(["unshare", *unshare_options(), "true"], capture_output=True).returncode != 0
    if name == "modes":
        return os.getuid() == 0 and shutil.which("setpriv") is None
    return shutil.which(name) is None


def unshare_options() -> list[str]:
    """For a mount namespace of one's own, as root or through a user namespace."""
    return ["-m"] if os.getuid() == 0 else ["-Urm"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    names = [name for mark in item.iter_markers("needs") for name in mark.args if missing(name)]
    if not names:
        return
    if COMPLETE:
        pytest.fail(f"missing here: {', '.join(names)}", pytrace=False)
    pytest.skip(f"needs {', '.join(names)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed by a plain assert shows what the daemon and its children said."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True  # type: ignore[attr-defined]
        said = call.excinfo is not None and call.excinfo.errisinstance(Unfulfilled)
        for daemon in () if said else Daemon.running:
            report.sections.append(("reloaderd", daemon.report()))
    return report


@pytest.fixture
def place() -> Iterator[Place]:
    """Directories of this test's own; gone afterwards unless RELOADERD_TESTS_KEEP is set."""
    place = Place()
    yield place
    place.remove()


@pytest.fixture
def watch(place: Place, request: pytest.FixtureRequest) -> Iterator[Callable[..., Daemon]]:
    """Start `reloaderd watch` in `place`: arguments of `Daemon`.  Checked and ended after the test."""
    daemons: list[Daemon] = []

    def start(*options: str, **keywords: Any) -> Daemon:
        daemon = Daemon(place, *options, **keywords)
        daemons.append(daemon)
        return daemon

    try:
        yield start
        failed = getattr(request.node, "failed", False)
        for daemon in daemons:
            if not failed:
                daemon.finish()
    finally:
        for daemon in [*daemons, *Daemon.running]:
            daemon.end()
