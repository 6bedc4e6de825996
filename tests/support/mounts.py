"""Mount namespaces of a test's own: nothing that is mounted there is seen elsewhere or outlives the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.waiting import wait_until

PASSTHROUGH = Path(__file__).with_name("passthrough.py")


def unshare_options() -> list[str]:
    """For a mount namespace of one's own, as root or through a user namespace."""
    return ["-m"] if os.getuid() == 0 else ["-Urm"]


class Mounts:
    """A mount namespace, held by a process that waits for us to close its standard input.

    `run` does something in it, `prefix` starts reloaderd in it (see `Daemon`), and `at` is where a path
    of it is seen from here.  unshare(1) makes all its mounts private.  With `net` it has a network of its
    own as well.
    """

    def __init__(self, net: bool = False) -> None:
        self._net = ["-n"] if net else []
        self._holder = subprocess.Popen(
            ["unshare", *unshare_options(), *self._net, "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._servers: list[subprocess.Popen[bytes]] = []
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            self.close()
            raise AssertionError("no mount namespace is to be had")
        self.pid = self._holder.pid
        self.root = Path(f"/proc/{self.pid}/root")

    @property
    def enter(self) -> list[str]:
        """The first words of a command that runs in the namespace, from its root directory."""
        return ["nsenter", "-t", str(self.pid), *user_options(), "-m", *self._net]

    def prefix(self, cwd: Path) -> list[str]:
        """The same for one that starts in a directory there."""
        return [*self.enter, "env", "-C", str(cwd)]

    def run(self, *command: str | Path) -> None:
        """Run a command there to its end."""
        done = subprocess.run([*self.enter, *map(str, command)], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"

    def at(self, path: str | Path) -> Path:
        """A path of the namespace, for us who are outside."""
        return Path(f"{self.root}{path}")

    def seen(self, mountpoint: Path) -> bool:
        """Whether something is mounted there, in the namespace."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return any(line.split(" ")[4] == str(mountpoint) for line in lines)

    def tmpfs(self, mountpoint: Path) -> None:
        self.run("mount", "-t", "tmpfs", "none", mountpoint)

    def bind(self, source: Path, target: Path) -> None:
        self.run("mount", "--bind", source, target)

    def move(self, source: Path, target: Path) -> None:
        """Without a note in /run/mount, which is another user's where a user namespace is needed."""
        self.run("mount", "--no-mtab", "--move", source, target)

    def unmount(self, mountpoint: Path, *options: str) -> None:
        """Unmount, as soon as nobody who polls has a directory of it open."""
        command = [*self.enter, "umount", *options, str(mountpoint)]
        wait_until(lambda: subprocess.run(command, capture_output=True).returncode == 0, "the unmount")

    def overlay(self, mountpoint: Path, lower: Path, upper: Path, work: Path) -> None:
        where = f"lowerdir={lower},upperdir={upper},workdir={work}"
        self.run("mount", "-t", "overlay", "-o", where, "overlay", mountpoint)

    def fuse(self, backing: Path, mountpoint: Path, subtype: str = "passthrough") -> None:
        """Serve a directory as a FUSE file system whose server knows of changes that the kernel does not."""
        self.serve(sys.executable, PASSTHROUGH, backing, mountpoint, subtype)
        wait_until(lambda: self.seen(mountpoint), "the FUSE file system")

    def serve(self, *command: str | Path) -> None:
        """Keep a command running there, until the end or until `kill_servers`."""
        argv = [*self.enter, *map(str, command)]
        self._servers.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))

    def kill_servers(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait()
        self._servers.clear()

    def close(self) -> None:
        """End what holds the namespace: with it go its mounts."""
        self.kill_servers()
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()
        self._holder.wait()


def user_options() -> Sequence[str]:
    """For nsenter(1), where a user namespace was needed to be let into another."""
    return () if os.getuid() == 0 else ("-U", "--preserve-credentials")
