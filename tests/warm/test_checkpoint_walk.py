"""A run that goes on from a copy reads what one reads that is executed, whatever was edited."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import Unfulfilled
from tests.warm.conftest import ENVIRON, Resumed

MODULES = ("m0", "m1", "m2", "m3", "m4", "m5", "m6", "pack", "pack.inner", "late")
MAYBE = ("opt0", "opt1", "pack.opt2")
DATA = ("d0.txt", "d1.txt", "d2.txt", "d3.txt")
STEPS = 22

RECORD = """
LOG = []
def note(*words):
    LOG.append(list(words))
def read(path):
    try:
        with open(path) as file:
            note(path, file.read())
    except FileNotFoundError:
        note(path, None)
"""
"""A library: what the modules of the program say that they are, and what they read."""


class Program:
    """Modules that import each other and read files, and the edits of them."""

    def __init__(self, tree: Path, seed: int) -> None:
        self.tree = tree
        self.chance = random.Random(seed)
        self.version = 100
        for name in MODULES:
            self.write(name)
        self.write("app")
        for name in DATA[:-1]:
            self.write(name)

    def file(self, name: str) -> Path:
        if name == "pack":
            return self.tree / "pack/__init__.py"
        return self.tree / (name if name.endswith(".txt") else name.replace(".", "/") + ".py")

    def write(self, name: str) -> None:
        """A new version, which imports and reads something else, of the same size as often as not."""
        self.version += 1
        file = self.file(name)
        file.parent.mkdir(exist_ok=True)
        text = str(self.version) if name.endswith(".txt") else self.source(name)
        if self.chance.random() < 0.5 and file.exists():
            text = text.rjust(file.stat().st_size) if name.endswith(".txt") else self.same(file)
        if self.chance.random() < 0.3:
            beside = file.with_name(file.name + "~")
            beside.write_text(text)
            beside.rename(file)
        else:
            file.write_text(text)

    def same(self, file: Path) -> str:
        """The same with another version."""
        return f"VERSION = {self.version:>6}\n{file.read_text().partition(chr(10))[2]}"

    def source(self, name: str) -> str:
        lines = [f"VERSION = {self.version:>6}", "import record", "record.note(__name__, VERSION)"]
        later = MODULES[MODULES.index(name) + 1 : -1] if name in MODULES else MODULES[:-1]
        what = [f"import {one}" for one in self.chance.sample(later, min(len(later), 3))]
        what += [f"record.read({one!r})" for one in DATA if self.chance.random() < 0.3]
        if self.chance.random() < 0.4:
            what += [f"try: import {self.chance.choice(MAYBE)}\nexcept ImportError: record.note('without')"]
        self.chance.shuffle(what)
        lines += [*what, "record.note('end of', __name__)"]
        if name == "app":
            lines += ["def later():\n    import late", "later()"]
            lines += ["from telling import tell", "tell(record.LOG)"]
        return "\n".join([*lines, ""])

    def edit(self) -> None:
        """Change one file or several, or make or remove some."""
        for _ in range(self.chance.choice((1, 1, 2, 2, 3))):
            kind = self.chance.random()
            if kind < 0.75:
                self.write(self.chance.choice((*self.favourites, *MODULES, "app")))
            elif kind < 0.85:
                self.write(self.chance.choice(DATA))
            else:
                name = self.chance.choice((*MAYBE, DATA[-1]))
                if self.file(name).exists():
                    self.file(name).unlink()
                else:
                    self.write(name)

    @property
    def favourites(self) -> list[str]:
        """A person edits one file or two several times in a row."""
        at = self.version // 20 % (len(MODULES) - 1)
        return [*MODULES[at : at + 2]] * 12


def run_cold(resumed: Resumed, number: int) -> Any:
    """What the program tells that nobody has prepared anything for."""
    environ = {**resumed.daemon.environ, **ENVIRON, "RELOADERD_RUN": f"cold{number}"}
    environ = {name: value for name, value in environ.items() if value is not None}
    environ["PYTHONPYCACHEPREFIX"] = str(resumed.place.scratch / "nothing")
    command = [sys.executable, "-B", "app.py"]
    subprocess.run(command, cwd=resumed.place.tree, env=environ, check=True)
    return json.loads((resumed.told / f"cold{number}.json").read_text())


@pytest.mark.parametrize("walk", [1, 2])
def test_it_reads_what_a_run_reads_that_is_executed(resumed: Resumed, walk: int) -> None:
    """SEED=N in the environment has both walks go the way of N."""
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"SEED={seed}")
    resumed.place.tree.mkdir(exist_ok=True)
    resumed.libraries(**{"record.py": RECORD})
    program = Program(resumed.place.tree, seed)
    resumed.start({}, sys.executable, "app.py", options=["--debounce", "20ms"])
    resumed.wait_ready()
    daemon, counted = resumed.daemon, []
    for step in range(STEPS):
        after = daemon.mark()
        program.edit()
        cold = run_cold(resumed, step)

        def tells(cold: Any = cold) -> bool:
            run = daemon.named("started")[-1]["run"]
            file = resumed.told / f"{run}.json"
            return file.exists() and json.loads(file.read_text()) == cold

        try:
            daemon.wait(
                tells, f"the same as is read that is executed, at step {step} of seed {seed}", limit=10
            )
        except Unfulfilled:
            last = resumed.said(daemon.named("started")[-1]["run"])
            assert last == cold
            raise
        counted += daemon.named("started", after)
    used = [event for event in counted if "checkpoint" in event]
    print(f"{len(used)} of {len(counted)} went on from a copy")
    assert len(used) > len(counted) / 10, daemon.report()
