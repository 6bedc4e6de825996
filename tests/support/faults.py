"""Ways to make the kernel refuse something to reloaderd alone, or be late with it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import procfs
from tests.support.daemon import Daemon

UNPRIVILEGED = (
    ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
    if os.getuid() == 0
    else []
)
"""A prefix: root without the right to pass over file modes."""


def injecting(*arguments: str) -> list[str]:
    """A prefix: reloaderd under an strace that stays out of the way and injects faults.

    Only the calls that are traced stop (a seccomp filter), so the rest is as fast as ever.
    """
    return ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "signal=none", *arguments]


def limited(**limits: int) -> list[str]:
    """A prefix: reloaderd in a user namespace that may have so many inotify `watches` or `instances`."""
    script = "; ".join(f"echo {value} > {_limit(name)}" for name, value in limits.items())
    return ["unshare", "-Ur", "sh", "-ec", f'{script}; exec "$@"', "sh"]


def allow(daemon: Daemon, **limits: int) -> None:
    """Set such limits from inside, while it runs: these files are about the namespace of who writes them."""
    script = "; ".join(f"echo {value} > {_limit(name)}" for name, value in limits.items())
    enter = ["nsenter", "-t", str(daemon.pid), "-U", "--preserve-credentials"]
    subprocess.run([*enter, "sh", "-ec", script], check=True)


def _limit(name: str) -> str:
    return f"/proc/sys/user/max_inotify_{name}"


def wait_late(daemon: Daemon) -> None:
    """Wait until reloaderd is in a call that strace makes late; any traced call stops it for a moment."""
    looks = 0

    def several_looks() -> bool:
        nonlocal looks
        looks = looks + 1 if procfs.state(daemon.pid) == "t" else 0
        return looks > 5

    daemon.wait(several_looks, "the call that is late")


@contextmanager
def stopped(daemon: Daemon, pid: int = 0) -> Iterator[None]:
    """While this lasts reloaderd (or another process of its) does nothing."""
    pid = pid or daemon.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        daemon.wait(lambda: procfs.state(pid) in ("T", "t"), "a stopped process")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
