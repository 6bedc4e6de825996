"""What the tests of warm restarts share: a program that is run twice, once executed and once of a copy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build

ENVIRON: dict[str, str | None] = {"PYTHONDONTWRITEBYTECODE": None}


class Twice:
    """One `reloaderd watch --warm -- COMMAND` in a tree with these files.

    What a run tells it writes to a file of `told`, in JSON: each program has `tell(value)` for that.
    """

    def __init__(self, place: Place, watch: Watch) -> None:
        self.place = place
        self.watch = watch
        self.told = place.scratch / "told"
        self.told.mkdir()

    def libraries(self, **sources: str) -> None:
        """Install modules, by the names of their files."""
        build(self.place.outside, {f"lib/site-packages/{name}": text for name, text in sources.items()})

    def start(
        self,
        files: Mapping[str, str],
        *command: str,
        options: Sequence[str] = (),
        environ: Mapping[str, str | None] | None = None,
        **keywords: Any,
    ) -> Daemon:
        """Start the first run, which is executed."""
        self.libraries(**{"telling.py": TELLING})
        build(self.place.tree, dict(files))
        words = command or (sys.executable, "app.py")
        path = str(self.place.outside / "lib" / "site-packages")
        self.daemon = self.watch(
            "--warm",
            *options,
            command=words,
            environ={**ENVIRON, "PYTHONPATH": path, "TOLD": str(self.told), **(environ or {})},
            children=None,
            warnings=True,
            tracebacks=True,
            **keywords,
        )
        return self.daemon

    def wait_ready(self, **match: Any) -> dict[str, Any]:
        """Wait until there is a copy for the next run."""
        event = self.daemon.wait(lambda: self.daemon.named("warm"), "a word about a copy")[-1]
        assert "modules" in event, event
        assert all(event[key] == value for key, value in match.items()), event
        return dict(event)

    def again(self, warm: bool = True, edit: Callable[[Path], Any] | None = None) -> int:
        """Change a file, and wait for the run that comes of it; returns its number."""
        after = self.daemon.mark()
        (edit or Path.touch)(self.place.tree / "app.py" if edit is None else self.place.tree)
        event = self.daemon.wait_event("started", after=after)
        assert event["warm"] is warm, self.daemon.report()
        return int(event["run"])

    def said(self, run: int) -> Any:
        """What a run told."""
        file = self.told / f"{run}.json"
        self.daemon.wait(file.exists, f"what run {run} tells")
        return json.loads(file.read_text())

    def ended(self, run: int) -> dict[str, Any]:
        """How a run ended."""
        return dict(self.daemon.wait_event("ended", run=run))

    def both(self, files: Mapping[str, str], *command: str, **keywords: Any) -> tuple[Any, Any]:
        """What a run tells that is executed, and one that comes of a copy."""
        self.start(files, *command, **keywords)
        cold = self.said(1)
        self.wait_ready()
        return cold, self.said(self.again())


TELLING = """
import json, os
def tell(value):
    path = os.path.join(os.environ["TOLD"], os.environ["RELOADERD_RUN"] + ".json")
    with open(path + "-", "w") as file:
        json.dump(value, file)
    os.rename(path + "-", path)
"""
"""A library of its own: `tell` writes what it is given to where the test reads it."""


@pytest.fixture
def twice(place: Place, watch: Watch) -> Twice:
    return Twice(place, watch)
