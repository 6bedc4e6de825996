"""Where a test lives: a directory of its own, outside any repository and outside /tmp.

Outside /tmp since vim's `backupskip` saves in place there, outside the checkout since git's rules of
the checkout would apply, and where another user could look in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

BASE = Path(os.environ.get("RELOADERD_TEST_TREES") or f"/var/tmp/reloaderd-tests-{os.getuid()}")

REPOSITORY = Path(__file__).resolve().parents[2]

KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "RELOADERD_COMMAND", "VIRTUAL_ENV")


class Place:
    """`tree` to watch, `outside` on the same file system, `scratch` for logs, `home`; all in `base`.

    `mark` is in the environment of everything that is started here and nowhere else.
    """

    def __init__(self) -> None:
        BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.base = Path(tempfile.mkdtemp(prefix="t", dir=BASE))
        self.base.chmod(0o755)
        self.tree = self.base / "tree"
        self.outside = self.base / "outside"
        self.scratch = self.base / "scratch"
        self.home = self.base / "home"
        self.runtime = self.base / "runtime"
        for directory in (self.tree, self.outside, self.scratch, self.home, self.runtime):
            directory.mkdir()
        self.runtime.chmod(0o700)
        self.mark = f"reloaderd-test-{uuid.uuid4().hex}"

    def environ(self, **added: str) -> dict[str, str]:
        """An environment that owes nothing to the person who runs the tests."""
        environ = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environ |= {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "RELOADERD_TEST_MARK": self.mark,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_EDITOR": "true",
            "HGRCPATH": "",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return environ | added

    def remove(self) -> None:
        """Delete all of it, whatever modes the test left behind."""
        if os.environ.get("RELOADERD_TESTS_KEEP"):
            return
        subprocess.run(["chmod", "-R", "u+rwX", str(self.base)], check=True)
        shutil.rmtree(self.base)


def build(where: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Make files by relative name; a name that ends in `/` is an empty directory."""
    for name, content in files.items():
        path = where / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content or b"")
