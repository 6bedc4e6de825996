"""What the tests of warm restarts share: a program that is run twice, once executed and once of a copy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import procfs
from tests.support.daemon import Daemon, Watch
from tests.support.mounts import Mounts
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


class Resumed(Twice):
    """The same with --checkpoints: what a run of a copy tells that another run has left of itself."""

    def start(self, files: Mapping[str, str], *command: str, **keywords: Any) -> Daemon:
        """Start the first run, which is executed."""
        keywords["options"] = ["--checkpoints", *keywords.get("options", ())]
        return super().start(files, *command, **keywords)

    def edit(self, name: str, text: str | None = None) -> dict[str, Any]:
        """Write a file, as it is where there is no text; the event of the run that comes of it."""
        file = self.place.tree / name
        if text is None:
            text = file.read_text()
        after = self.daemon.mark()
        file.write_text(text)
        return dict(self.daemon.wait_event("started", after=after))

    @property
    def waiting(self) -> list[int]:
        """What waits beside the run: the children of the keeper but the run's own."""
        keeper = procfs.children(self.daemon.pid)[0]
        run = self.daemon.named("started")[-1]["pid"]
        return [pid for pid in procfs.children(keeper) if pid != run]

    def leave(self, name: str) -> dict[str, Any]:
        """Have the run leave a copy before it imports this file, and that one be ready; the run's event.

        The copy has a spare by then, which it gets only when it is kept; so has the zygote.
        """
        self.wait_ready()
        event = self.edit(name)
        assert event["warm"], self.daemon.report()
        found = self.daemon.wait_event("checkpoint", before=str(self.place.tree / name))
        assert "reason" not in found, found
        self.daemon.wait(lambda: len(self.waiting) == 4, "the zygote, a copy, and a spare of each")
        return event

    def resumed(self, name: str, text: str | None = None) -> int:
        """Edit a module, and have a run go on from before it; its number."""
        event = self.edit(name, text)
        assert event.get("checkpoint") == str(self.place.tree / name), self.daemon.report()
        return int(event["run"])

    def thrice(self, files: Mapping[str, str], name: str, *command: str, **keywords: Any) -> tuple[Any, Any]:
        """What a run tells that is executed, and one that goes on from before this module."""
        self.start(files, *command, **keywords)
        cold = self.said(1)
        self.leave(name)
        return cold, self.said(self.resumed(name))

    def alone(self, *command: str) -> list[str]:
        """What a command prints to stderr that nobody has prepared anything for."""
        environ = {**self.daemon.environ, "RELOADERD_RUN": "alone"}
        result = subprocess.run(
            command, cwd=self.place.tree, env=environ, capture_output=True, text=True, check=False
        )
        return result.stderr.splitlines()

    def reason(self, name: str) -> str:
        """Why a run leaves no copy before it imports this file, once that was edited."""
        self.wait_ready()
        self.edit(name)
        before = str(self.place.tree / name)

        def said() -> list[str]:
            events = self.daemon.named("checkpoint")
            return [one["reason"] for one in events if one["before"] == before and "reason" in one]

        return str(self.daemon.wait(said, "why there is no copy")[0])


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
def mounts() -> Iterator[Mounts]:
    """A mount namespace; to be asked for before `twice`, whose daemons end first then."""
    namespace = Mounts()
    yield namespace
    namespace.close()


@pytest.fixture
def twice(place: Place, watch: Watch) -> Twice:
    return Twice(place, watch)


@pytest.fixture
def resumed(place: Place, watch: Watch) -> Resumed:
    return Resumed(place, watch)
