"""Fixtures of all tests: a place of one's own, reloaderd in it, and programs that must be there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.mounts import unshare_options
from tests.support.places import Place
from tests.support.waiting import Unfulfilled

COMPLETE = bool(os.environ.get("CI") or os.environ.get("RELOADERD_TESTS_COMPLETE"))
"""Nothing may skip: what a test needs is missing, so it fails."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "needs(*names): programs the test runs, or one of these: `root`, `users` and `mounts` (a namespace"
        " of one's own), `overlay`, `fuse` and `loop` (such a mount in it), `modes` (to be refused by file"
        " modes: root passes them unless setpriv is there), `systemd` (all that a machine of tests/systemd is"
        " made of, as root), `pip` (of the system's Python, with what builds wheels)",
    )
    config.addinivalue_line(
        "markers",
        "kernel(*names): file systems of the kernel that few kernels have and nothing can bring: such a test"
        " skips by name wherever one is missing, with CI=true too",
    )


NAMESPACE = ["unshare", *unshare_options()]
OVERLAY = (
    "mount -t tmpfs none /mnt && cd /mnt && mkdir l u w m"
    " && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m"
)

WITH_PIP = "import sys, setuptools, wheel, pip; assert sys.version_info >= (3, 11)"

SYSTEMD = (
    'test "$(id -u)" = 0 && test -x /lib/systemd/systemd && test -e /usr/lib/systemd/user/dbus.socket'
    " && command -v dbus-daemon nsenter setpriv useradd && grep ' cgroup2 ' /proc/mounts && " + OVERLAY
)

PROBES = {
    "django": [sys.executable, "-c", "import django"],
    "varlink": [sys.executable, "-W", "ignore", "-c", "import varlink"],
    "pip": ["/usr/bin/python3", "-c", WITH_PIP],
    "pyinotify": [sys.executable, "-W", "ignore", "-c", "import pyinotify"],
    "users": ["unshare", "-Ur", "true"],
    "mounts": [*NAMESPACE, "true"],
    "overlay": [*NAMESPACE, "sh", "-c", OVERLAY],
    "fuse": [*NAMESPACE, sys.executable, "-c", "import mfusepy; open('/dev/fuse', 'r+b', 0)"],
    "systemd": [*NAMESPACE, "sh", "-c", SYSTEMD],
    "loop": ["sh", "-c", 'test "$(id -u)" = 0 && losetup --find'],
}
"""What ends with 0 where that is to be had."""


@functools.cache
def missing(name: str) -> bool:
    if name == "root":
        return os.getuid() != 0
    if name == "modes":
        return os.getuid() == 0 and shutil.which("setpriv") is None
    if name in PROBES:
        return subprocess.run(PROBES[name], capture_output=True).returncode != 0
    return shutil.which(name) is None


@functools.cache
def unknown_to_kernel(name: str) -> bool:
    """Whether there is no such file system, also when the kernel is asked to load it."""
    with open("/proc/filesystems") as file:
        return name not in file.read().split() and not loadable(name)


def loadable(name: str) -> bool:
    modprobe = shutil.which("modprobe")
    return modprobe is not None and subprocess.run([modprobe, "-nq", f"fs-{name}"]).returncode == 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    unknown = [name for mark in item.iter_markers("kernel") for name in mark.args if unknown_to_kernel(name)]
    if unknown:
        pytest.skip(f"this kernel has no {', '.join(unknown)}")
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
