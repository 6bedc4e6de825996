"""The ways to have a server restarted: reloaderd's, the other tools', and those that servers bring along."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.install import install
from benchmarks.served.projects import Project
from benchmarks.tools import FETCH_LIMIT, HERE

HOME = os.path.join(HERE, ".venv-served")
PYTHON = os.path.join(HOME, "bin", "python")
FROM_PYPI = ("django", "flask", "fastapi", "uvicorn", "pandas", "hupper", "watchfiles", "watchdog[watchmedo]")


class Way(NamedTuple):
    """`command(project, directory, port)` starts it in `directory`; None: it is not for this project.

    `title` is what it is called in tables, `name` what it is chosen by.  `listed`: it reads the names of
    files from stdin.
    """

    name: str
    title: str
    command: Callable[[Project, str, int], list[str] | None]
    listed: bool = False


def fetch() -> None:
    """Install the servers and tools below .venv-served, once.  Raises CalledProcessError."""
    if not os.path.exists(PYTHON):
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        pip = [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *FROM_PYPI], check=True, timeout=FETCH_LIMIT)
    npm = shutil.which("npm")
    if npm is not None and _nodemon() is None:
        quiet = ["--silent", "--no-audit", "--no-fund"]
        subprocess.run([npm, "install", *quiet, "--prefix", f"{HOME}/node", "nodemon"], timeout=FETCH_LIMIT)


def ways(scratch: str) -> list[Way]:
    """All that are there."""
    program = install(scratch, HERE)
    found = [] if program is None else _ours(program)
    for name, path, command, listed in (
        ("entr", shutil.which("entr"), lambda one: [one, "-n", "-r"], True),
        ("watchmedo", _tool("watchmedo"), _watchmedo, False),
    ):
        if path is not None:
            found.append(Way(name, name, _before(command(path)), listed))
    if (watchfiles := _tool("watchfiles")) is not None:
        found.append(Way("watchfiles", "watchfiles", _quoted([watchfiles], after=["."])))
    if (nodemon := _nodemon()) is not None:
        found.append(Way("nodemon", "nodemon", _quoted([nodemon, "--watch", ".", "--ext", "py", "--exec"])))
    if (hupper := _tool("hupper")) is not None:
        found.append(
            Way("hupper", "hupper", lambda one, _, port: [hupper, "-m", one.module, *one.arguments(port)])
        )
    own = Way("own", "its own reloader", lambda one, _, port: [*start(one), *one.reloading(port)])
    return [*found, own]


KEEP, OVERLAP = ("--keep-sockets",), ("--keep-sockets", "--overlap")

OURS = {
    "cold": ("reloaderd", ()),
    "keep": ("reloaderd --keep-sockets", KEEP),
    "overlap": ("reloaderd --overlap", OVERLAP),
    "warm": ("reloaderd --warm", ("--warm",)),
    "warm-keep": ("reloaderd --warm --keep-sockets", ("--warm", *KEEP)),
    "warm-overlap": ("reloaderd --warm --overlap", ("--warm", *OVERLAP)),
    "checkpoint": ("reloaderd --checkpoints", ("--checkpoints",)),
    "checkpoint-keep": ("reloaderd --checkpoints --keep-sockets", ("--checkpoints", *KEEP)),
}
"""The options of reloaderd that are compared, by the names of the ways.

Each save here edits the same module, which is what checkpoints are for: all but the first go on from one.
"""


def is_ours(name: str) -> bool:
    """Whether a way is one of reloaderd's."""
    return name in OURS


def _ours(program: str) -> list[Way]:
    """Those of a reloaderd."""
    return [Way(name, title, _reloaderd(program, options)) for name, (title, options) in OURS.items()]


def start(project: Project) -> list[str]:
    """What runs the server, without its arguments."""
    return [PYTHON, "manage.py"] if project.module == "manage" else [PYTHON, "-m", project.module]


def _reloaderd(program: str, options: Sequence[str]) -> Callable[[Project, str, int], list[str]]:
    return _before([program, "watch", *options, ".", "--"])


def _watchmedo(path: str) -> list[str]:
    return [path, "auto-restart", "-R", "-d", ".", "--debounce-interval", "0.05", "--"]


def _before(words: list[str]) -> Callable[[Project, str, int], list[str]]:
    return lambda project, directory, port: [*words, *start(project), *project.arguments(port)]


def _quoted(words: list[str], after: Sequence[str] = ()) -> Callable[[Project, str, int], list[str]]:
    return lambda project, directory, port: [
        *words,
        shlex.join([*start(project), *project.arguments(port)]),
        *after,
    ]


def _tool(name: str) -> str | None:
    return shutil.which(name, path=os.path.join(HOME, "bin"))


def _nodemon() -> str | None:
    return shutil.which("nodemon", path=f"{HOME}/node/node_modules/.bin") or shutil.which("nodemon")
