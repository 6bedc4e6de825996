"""Repositories with a configuration of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.places import Place, build


class Repository:
    """A git repository at `path`, made there; what is below already is not committed yet."""

    def __init__(self, place: Place, path: Path) -> None:
        self.path = path
        self.environ = place.environ(
            GIT_AUTHOR_DATE="2001-01-01T00:00:00Z", GIT_COMMITTER_DATE="2001-01-01T00:00:00Z"
        )
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in {
            "user.name": "T. Ester",
            "user.email": "tester@example.org",
            "commit.gpgsign": "false",
            "gc.auto": "0",
            "advice.detachedHead": "false",
            "rebase.autoSquash": "false",
        }.items():
            self.git("config", name, value)

    def git(self, *arguments: str) -> str:
        """Run git here; its output."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"git {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def commit(self, message: str, files: Mapping[str, str | bytes | None] | None = None) -> None:
        """Write these files and commit everything that is there."""
        build(self.path, files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
