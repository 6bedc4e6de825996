"""A person at a machine: has a project, makes services of it, logs in and out, and looks what runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.machine import USER, Machine

HOME = Path("/home") / USER

PROJECT = HOME / "project"

VENV = HOME / "venv"

ACTIVATED = {"VIRTUAL_ENV": str(VENV), "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin"}
"""What `. ~/venv/bin/activate` sets."""

APP = """\
import os, signal
def note(word):
    with open("runs", "a") as file:
        file.write(f"{word} {os.getpid()}\\n")
note("one")
while True:
    signal.pause()
"""
"""Notes which of its versions runs, and as which process."""

UNIT = "reloaderd@web.service"

CLEAN = """
systemctl --user stop 'reloaderd@*'
rm -rf ~/.config ~/.local ~/project
systemctl --user daemon-reload
systemctl --user reset-failed
"""

Checked = Callable[[], Any]


class User:
    """The user of the machine; `run` is a line in a shell in ~/project, with ~/venv activated."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.project = machine.at(PROJECT)

    def at(self, path: str | Path) -> Path:
        """A path of the user's home, for us who are outside."""
        return self.machine.at(HOME / path)

    def make_project(self) -> None:
        self.machine.run("mkdir", "-p", PROJECT / "src")
        self.write("project/src/app.py", APP)

    def write(self, name: str, content: str, mode: str = "644") -> None:
        """Put a file in the place of what is there, as the user."""
        argv = self.machine.as_user(["sh", "-c", 'cat > "$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"'])
        subprocess.run([*argv, "write", name, mode], input=content.encode(), check=True)

    def run(self, *command: str | Path, status: int | None = 0, cwd: Path = PROJECT) -> str:
        """What a command says, which must end with this status."""
        return self.machine.run("env", "-C", cwd, *command, status=status, environ=ACTIVATED)

    def service(self, *words: str, status: int | None = 0) -> str:
        """`reloaderd service`."""
        return self.run("reloaderd", "service", *words, status=status)

    def install(self, *words: str) -> str:
        """The service `web` that runs the project, with further options."""
        return self.service("install", "web", "src", *words, "--", "python", "src/app.py")

    def services(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.service("list", "--json"))
        return found

    # What runs

    def runs(self) -> list[tuple[str, int]]:
        """The versions of app.py that have run, each with its process."""
        try:
            lines = self.at("project/runs").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(word, int(pid)) for word, pid in map(str.split, lines)]

    def alive(self) -> list[int]:
        """The processes of these runs that are there."""
        return [pid for _, pid in self.runs() if self.machine.at(f"/proc/{pid}").exists()]

    def wait_run(self, word: str, after: int = 0) -> int:
        """Wait until this version runs, alone, and is not one of the first `after` runs: its process."""

        def found() -> int:
            runs = self.runs()
            ready = len(runs) > after and runs[-1][0] == word and self.alive() == [runs[-1][1]]
            return runs[-1][1] if ready else 0

        pid: int = self.wait(found, f"a run of app.py that says {word}")
        return pid

    def wait_nothing(self) -> None:
        """Wait until no process of a run is there."""
        self.wait(lambda: not self.alive(), "the end of all runs")

    def edit(self, word: str) -> None:
        """Save another version of app.py."""
        self.write("project/src/app.py", APP.replace('"one"', f'"{word}"'))

    def show(self, name: str, unit: str = UNIT) -> str:
        """One property of a unit."""
        return self.machine.systemctl("show", f"--property={name}", "--value", unit)

    def wait_show(self, name: str, value: str, unit: str = UNIT) -> None:
        """Wait until a unit has this property."""
        self.wait(lambda: self.show(name, unit) == value, f"{name}={value} of {unit}")

    def main(self) -> int:
        """The process of reloaderd."""
        return int(self.show("MainPID"))

    def journal(self, *words: str, unit: str = UNIT) -> str:
        return self.machine.run("journalctl", "--user", "--no-pager", "-o", "cat", "-u", unit, *words)

    def records(self, unit: str = UNIT) -> list[dict[str, Any]]:
        """What is in the journal of the last life of a unit, with its fields."""
        match = f"_SYSTEMD_INVOCATION_ID={self.show('InvocationID', unit)}"
        said = self.machine.run("journalctl", "--user", "--no-pager", "-o", "json", match)
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    def wait(self, check: Checked, what: str) -> Any:
        return self.machine.wait(check, what)

    # Sessions

    @contextmanager
    def session(self) -> Iterator[None]:
        """Logged in, in the way of login(1) and sshd."""
        argv = self.machine.as_root(["runuser", "-l", USER, "-c", "echo; exec cat"])
        shell = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert shell.stdout is not None
        shell.stdout.readline()
        self.machine.wait_for_manager()
        try:
            yield
        finally:
            shell.communicate()

    def linger(self, on: bool) -> None:
        """As root sets it; without, and without a session, the user's systemd ends."""
        self.machine.root("loginctl", "enable-linger" if on else "disable-linger", USER)

    def wait_gone(self) -> None:
        """Wait until the user's systemd has ended."""
        state = ["systemctl", "is-active", f"user@{self.machine.uid}.service"]
        self.wait(lambda: self.machine.root(*state, status=None) == "inactive", "the end of the manager")

    def clean(self) -> None:
        """Neither services nor a project, and a manager that lingers."""
        self.linger(True)
        self.machine.wait_for_manager()
        self.machine.run("sh", "-ec", CLEAN)
