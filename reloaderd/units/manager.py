"""Asks the user's systemd, by its own programs.

Facts
- systemctl(1) --user finds the manager by $XDG_RUNTIME_DIR, which a login sets (pam_systemd(8)); `su`, `sudo`
  and cron do not.  The directory is /run/user/UID whoever asks.
- loginctl(1) enable-linger NAME: logind asks polkit for org.freedesktop.login1.set-self-linger, which is
  allowed to everybody; where there is no polkit, only root may.  It leaves /var/lib/systemd/linger/NAME.
- `systemctl show` takes several units and answers in blocks, in their order, with an empty line between.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from reloaderd.errors import ReloaderdError

LINGERING = "/var/lib/systemd/linger"

LIMIT = 180.0
"""Seconds.  A start may take as long as its unit allows: 90 by default."""


def available() -> None:
    """Raises ReloaderdError unless the user's systemd answers."""
    if shutil.which("systemctl") is None:
        raise ReloaderdError(
            "there is no systemctl here", "services need systemd: without it, run reloaderd watch", 1
        )
    status, said = systemctl("show", "--property=Version")
    if status:
        who = account()
        mend = f"log in as {who} itself, or first: sudo loginctl enable-linger {who}"
        if os.geteuid() == 0 and (self := os.environ.get("SUDO_USER")):
            mend = f"without sudo: it becomes a service of {self}, who needs no root for it"
        if not os.path.isdir("/run/systemd/system"):
            mend = "it is not what runs this machine, as in most containers: run reloaderd watch"
        reason = said.splitlines()[0] if said else "no reason given"
        raise ReloaderdError(f"the systemd of {who} does not answer: {reason}", mend, 1)


def account() -> str:
    """The name of this user."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def systemctl(*words: str) -> tuple[int, str]:
    """Exit status of `systemctl --user`, and what it said."""
    return _run(["systemctl", "--user", "--no-pager", *words])


def properties(units: Sequence[str], names: Sequence[str]) -> list[dict[str, str]]:
    """These properties of each unit.  Raises ReloaderdError."""
    if not units:
        return []
    status, said = systemctl("show", f"--property={','.join(names)}", "--", *units)
    if status:
        raise ReloaderdError(f"systemctl show: {said.splitlines()[-1] if said else status}", exit_code=1)
    blocks = [[line.partition("=") for line in block.splitlines()] for block in said.split("\n\n")]
    return [{key: value for key, _, value in block} for block in blocks]


def do(*words: str) -> None:
    """`systemctl --user`, which must succeed.  Raises ReloaderdError."""
    status, said = systemctl(*words)
    if status:
        lines = said.splitlines() or [f"status {status}"]
        raise ReloaderdError(f"systemctl --user {' '.join(words)}: {lines[0]}", exit_code=1)


def lingers() -> bool:
    """Whether the user's services run without a session, after trying to see to that."""
    if os.path.exists(f"{LINGERING}/{account()}"):
        return True
    if shutil.which("loginctl") is None:
        return False
    status, _ = _run(["loginctl", "--no-ask-password", "enable-linger", account()])
    return status == 0


def last_words(unit: str, invocation: str) -> str:
    """What a unit said last in this life of it, one line; empty where that is not known."""
    if shutil.which("journalctl") is None:
        return ""
    match = [f"_SYSTEMD_INVOCATION_ID={invocation}"] if invocation else [f"_SYSTEMD_USER_UNIT={unit}"]
    status, said = _run(["journalctl", "--user", "--quiet", "--output=cat", "--lines=1", *match])
    return "" if status else said.strip()


def _run(argv: list[str]) -> tuple[int, str]:
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    runtime = f"/run/user/{os.geteuid()}"
    if not environ.get("XDG_RUNTIME_DIR") and os.path.isdir(runtime):
        environ["XDG_RUNTIME_DIR"] = runtime
    try:
        done = subprocess.run(
            argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
    except OSError as error:
        return 126, (error.strerror or str(error)).lower()
    except subprocess.TimeoutExpired:
        return 124, f"no answer in {LIMIT:g} s"
    return done.returncode, done.stdout.decode(errors="backslashreplace").rstrip("\n")
