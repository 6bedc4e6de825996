"""A cgroup that is left to reloaderd as systemd leaves one to a unit: below a mount of a test's own."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.support.mounts import Mounts
from tests.support.waiting import wait_until

POINT = Path("/mnt")

ENTER = """\
import os, sys
directory, *command = sys.argv[1:]
with open(directory + "/cgroup.procs", "w") as file:
    file.write("0")
os.environ |= {"SYSTEMD_EXEC_PID": str(os.getpid()), "INVOCATION_ID": "0" * 32}
os.execvp(command[0], command)
"""


class Delegation:
    """`directory` is where the daemon knows it, `seen` where we do."""

    def __init__(self, mounts: Mounts, marked: bool = True, subgroup: str = "") -> None:
        self.mounts = mounts
        mounts.run("mount", "-t", "cgroup2", "none", POINT)
        self.name = f"reloaderd-test-{uuid.uuid4().hex}.service"
        self.seen = mounts.at(POINT / self.name)
        self.seen.mkdir()
        self.place = POINT / self.name / subgroup
        mounts.at(self.place).mkdir(exist_ok=True)
        if marked:
            os.setxattr(self.seen, "user.delegate", b"1")

    def keywords(self) -> dict[str, Any]:
        """For a `Daemon` that is in it."""
        prefix = [sys.executable, "-I", "-S", "-c", ENTER, str(self.place)]
        return {"prefix": prefix, "inside": self.mounts}

    def runs(self) -> list[str]:
        """The names of the runs that have a cgroup."""
        return sorted(one.name for one in self.seen.iterdir() if one.name.startswith("run-"))

    def within(self, name: str) -> list[int]:
        """The processes of one and of those below it."""
        files = (self.seen / name).rglob("cgroup.procs")
        return sorted(int(line) for file in files for line in file.read_text().split())

    def close(self) -> None:
        """Nothing of it is left."""
        kill = self.seen / "cgroup.kill"
        if kill.exists():
            kill.write_text("1")
        events = self.seen / "cgroup.events"
        wait_until(lambda: "populated 0" in events.read_text(), "an empty cgroup")
        find = ["find", str(self.seen), "-depth", "-type", "d"]
        subprocess.run([*find, "-exec", "rmdir", "{}", ";"], check=True)
