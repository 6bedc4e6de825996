"""Ways to make the kernel refuse something to reloaderd alone: limits of a user namespace, and strace."""

from __future__ import annotations

import subprocess

from tests.support.daemon import Daemon


def injecting(*arguments: str) -> list[str]:
    """A prefix: reloaderd under an strace that stays out of the way and injects faults."""
    return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", *arguments]


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
