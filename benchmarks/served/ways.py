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


KEEP, OVERLAP, WARM = ("--keep-sockets",), ("--keep-sockets", "--overlap"), ("--warm",)
OFF = ("--checkpoints", "0")

OURS = {
    "cold": ("reloaderd", ()),
    "keep": ("reloaderd --keep-sockets", KEEP),
    "overlap": ("reloaderd --overlap", OVERLAP),
    "warm": ("reloaderd --warm, first edit", (*WARM, *OFF)),
    "warm-keep": ("reloaderd --warm --keep-sockets, first edit", (*WARM, *KEEP, *OFF)),
    "warm-overlap": ("reloaderd --warm --overlap, first edit", (*WARM, *OVERLAP, *OFF)),
    "checkpoint": ("reloaderd --warm", WARM),
    "checkpoint-keep": ("reloaderd --warm --keep-sockets", (*WARM, *KEEP)),
    "checkpoint-overlap": ("reloaderd --warm --overlap", (*WARM, *OVERLAP)),
}
"""The options of reloaderd that are compared, by the names of the ways.

With checkpoints the first edit of a module is served by a copy that has the libraries, each later one by a
copy that was made just before the module was imported.  Each save here edits the same module; so the first
edit of one is what is measured where there are no checkpoints.
"""


def is_ours(name: str) -> bool:
    """Whether a way is one of reloaderd's."""
    return name in OURS


def _ours(program: str) -> list[Way]:
    """Those of a reloaderd; without checkpoints there is one way for each that has them elsewhere."""
    told = subprocess.run([program, "watch", "--help"], capture_output=True, text=True, check=True).stdout
    has_checkpoints = OFF[0] in told
    found = []
    for name, (title, options) in OURS.items():
        if not has_checkpoints:
            if name.startswith("checkpoint"):
                continue
            title, options = (
                title.removesuffix(", first edit"),
                tuple(one for one in options if one not in OFF),
            )
        found.append(Way(name, title, _reloaderd(program, options)))
    return found


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
