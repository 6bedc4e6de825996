"""What the tests of the command line and of the configuration file share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory `project` with `src/`, `lib/` and `app.py`."""
    project = tmp_path / "project"
    for name in ("src", "lib"):
        (project / name).mkdir(parents=True)
    (project / "app.py").touch()
    monkeypatch.chdir(project)
    return project
