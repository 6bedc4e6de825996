"""The restarters that are compared: how each is found, started, and given the other's room."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.install import install

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(HERE, ".venv-bench")
FROM_PYPI = ("watchfiles", "watchdog[watchmedo]")
FROM_NPM = ("nodemon",)
APPLICATION = ("Django", "pandas")
"""What a large Python program imports; from PyPI as well."""
FETCH_LIMIT = 300.0
"""Seconds that a registry may take before the bench goes on without its programs."""


class Tool(NamedTuple):
    """One restarter.  `command(root, child)` is what starts it; `listed`: it reads the files from stdin."""

    name: str
    version: str
    command: Callable[[str, Sequence[str]], list[str]]
    listed: bool = False
    note: str = ""


class Missing(NamedTuple):
    """A tool that is not there, and what would bring it."""

    name: str
    mend: str


def fetch() -> None:
    """Install the peers from PyPI and npm below .venv-bench, once; a failure is said and passed over."""
    pip = [os.path.join(PEERS, "bin", "pip"), "install", "-q", "--disable-pip-version-check"]
    if not os.path.exists(PEERS):
        os.mkdir(PEERS)
        there = _peer("watchfiles") and _peer("watchmedo")
        if not there and _attempt([sys.executable, "-m", "venv", PEERS]):
            _attempt([*pip, *FROM_PYPI])
        if npm := shutil.which("npm"):
            _attempt(
                [
                    npm,
                    "install",
                    "--silent",
                    "--no-audit",
                    "--no-fund",
                    "--prefix",
                    f"{PEERS}/node",
                    *FROM_NPM,
                ]
            )
    if application() is None and not os.path.exists(asked := os.path.join(PEERS, "asked-for-application")):
        open(asked, "w").close()
        if os.path.exists(pip[0]) or _attempt([sys.executable, "-m", "venv", PEERS]):
            _attempt([*pip, *APPLICATION])


def application() -> str | None:
    """A Python that has APPLICATION."""
    python = os.path.join(PEERS, "bin", "python")
    command = [python, "-c", "import django, pandas"]
    try:
        return python if subprocess.run(command, capture_output=True, check=False).returncode == 0 else None
    except OSError:
        return None


def _attempt(command: Sequence[str]) -> bool:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=FETCH_LIMIT)
    except (OSError, subprocess.SubprocessError) as fault:
        print(f"benchmarks: going on without: {shlex.join(command)}: {fault}", file=sys.stderr)
        return False
    return True


def find(restarter: str, scratch: str) -> list[Tool | Missing]:
    """Every tool, or why it is missing.  `restarter` is the compiled C program."""
    return [
        Tool("C", "", lambda root, child: [restarter, root, *child], note="no debounce"),
        *_reloaderd(scratch),
        _entr(),
        _watchfiles(),
        _watchmedo(),
        _nodemon(),
    ]


def _version(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    words = (done.stdout + done.stderr).replace(",", " ").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")


def _reloaderd(scratch: str) -> list[Tool | Missing]:
    program = install(scratch, HERE)
    version = _version([program, "--version"]) if program else ""
    if program is None or not version:
        return [Missing("reloaderd", "pip install -e . (for what it needs)")]

    def with_options(*options: str) -> Callable[[str, Sequence[str]], list[str]]:
        return lambda root, child: [program, "watch", *options, root, "--", *child]

    return [
        Tool("reloaderd", version, with_options()),
        Tool("reloaderd-0", version, with_options("--debounce", "0"), note="--debounce 0"),
    ]


def _entr() -> Tool | Missing:
    path = shutil.which("entr")
    if path is None:
        return Missing("entr", "apt-get install entr")
    return Tool("entr", _version([path]), lambda root, child: [path, "-n", "-r", *child], listed=True)


def _peer(name: str) -> str | None:
    ours = os.pathsep.join((os.path.join(PEERS, "bin"), os.path.dirname(sys.executable)))
    return shutil.which(name, path=ours) or shutil.which(name)


def _watchfiles() -> Tool | Missing:
    path = _peer("watchfiles")
    if path is None:
        return Missing("watchfiles", "pip install watchfiles (in .venv-bench)")
    return Tool(
        "watchfiles", _version([path, "--version"]), lambda root, child: [path, shlex.join(child), root]
    )


def _watchmedo() -> Tool | Missing:
    path = _peer("watchmedo")
    if path is None:
        return Missing("watchmedo", "pip install 'watchdog[watchmedo]' (in .venv-bench)")
    return Tool(
        "watchmedo",
        _version([path, "--version"]),
        # Without an interval it restarts once an event: nobody keeps it so.
        lambda root, child: [
            path,
            "auto-restart",
            "-R",
            "-d",
            root,
            "--debounce-interval",
            "0.05",
            "--",
            *child,
        ],
        note="--debounce-interval 0.05",
    )


def _nodemon() -> Tool | Missing:
    path = shutil.which("nodemon", path=f"{PEERS}/node/node_modules/.bin") or shutil.which("nodemon")
    if path is None:
        return Missing("nodemon", "npm install --prefix .venv-bench/node nodemon")
    return Tool(
        "nodemon",
        _version([path, "--version"]),
        lambda root, child: [path, "--watch", root, "--ext", "*", "--exec", shlex.join(child)],
        note="--ext '*'",
    )


def environment() -> dict[str, str]:
    """What every tool is given: nothing of the caller's that could change how one of them behaves."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "TERM": "dumb"}
