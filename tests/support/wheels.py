"""Wheels of this checkout and of what it needs, for a place without a network."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from tests.support.places import REPOSITORY

NEEDED = ("inotify_simple", "pathspec")

OF_PIP = ("RECORD", "INSTALLER", "REQUESTED")


def build(where: Path) -> None:
    """Fill a directory with them: ours is built as for a release, the others are packed as they are here."""
    build_own(where)
    for name in NEEDED:
        _pack(metadata.distribution(name), where)


def build_own(where: Path) -> Path:
    """The wheel of what git knows of this checkout or would be told of."""
    listing = ["git", "ls-files", "-coz", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as scratch:
        for name in filter(None, os.fsdecode(names).split("\0")):
            source, target = REPOSITORY / name, Path(scratch, name)
            if os.path.lexists(source):  # one that was deleted is in git's list still
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target, follow_symlinks=False)
        pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
        pip += ["--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "-w", str(where), scratch], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = where.glob("reloaderd-*.whl")
    return wheel


def _pack(found: metadata.Distribution, where: Path) -> None:
    """What pip has unpacked, as a wheel again: a zip of the files with a RECORD of them (PEP 427)."""
    assert found.files is not None
    info = next(file.parts[0] for file in found.files if file.name == "METADATA")
    name = f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(where / name, "w") as wheel:
        for file in found.files:
            if ".." in file.parts or file.suffix == ".pyc" or file.name in OF_PIP:
                continue
            content = file.read_binary()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            wheel.writestr(str(file), content)
            record.append(f"{file},sha256={digest},{len(content)}")
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
