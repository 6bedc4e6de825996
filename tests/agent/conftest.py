"""What the tests of the agent share: a receiver, and Python programs of every version that is found.

Nothing of reloaderd runs here: the receiver stands for it, and the environment is set as it would set it.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.agent.receiver import Heard, Receiver
from tests.support.places import REPOSITORY, Place

AGENT = str(REPOSITORY / "reloaderd" / "agent")

FOLLOWED = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
OLD = ("2.7", "3.6", "3.7")

THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
LIMIT = 60


@functools.cache
def interpreter(version: str) -> str | None:
    """A Python of that version that starts: the one that runs the tests, pyenv's, or of PATH."""
    if version == THIS:
        return os.path.realpath(sys.executable)
    home = os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}")
    for found in [*sorted(glob.glob(home)), shutil.which(f"python{version}")]:
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "python" in metafunc.fixturenames:
        old = metafunc.definition.get_closest_marker("old_pythons")
        one = metafunc.definition.get_closest_marker("one_python")
        versions = OLD if old else (THIS,) if one else FOLLOWED
        metafunc.parametrize("python", versions, indirect=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "old_pythons: runs with those that cannot be followed")
    config.addinivalue_line("markers", "one_python: runs with the Python that runs the tests alone")


@pytest.fixture
def python(request: pytest.FixtureRequest) -> str:
    """An interpreter; where there is none of that version, the test skips, with CI=true too."""
    found = interpreter(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} here")
    return found


class Done(NamedTuple):
    """A program that has ended."""

    status: int
    out: str
    err: str


class Program:
    """Runs Python programs in `tree`, below the only root, with the agent unless told otherwise."""

    def __init__(self, place: Place, python: str) -> None:
        self.python = python
        self.tree = place.tree
        self.outside = place.outside
        self.address = str(place.scratch / "agent.sock")
        self.receiver = Receiver(self.address)
        self.roots = [str(self.tree)]
        self.base = place.environ()
        del self.base["PYTHONDONTWRITEBYTECODE"]

    def write(self, name: str | bytes, text: str = "", where: Path | None = None) -> str:
        path = os.path.join(os.fsencode(where or self.tree), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return os.fsdecode(path)

    def environ(self, pythonpath: str | None = None, agent: bool = True, **added: str) -> dict[str, str]:
        environ = {**self.base, **added}
        if pythonpath is not None:
            environ["PYTHONPATH"] = pythonpath
        if agent:
            environ["PYTHONPATH"] = AGENT if pythonpath is None else f"{AGENT}:{pythonpath}"
            environ |= {"RELOADERD": "web", "RELOADERD_RUN": "7"}
            quoted = [part.replace("%", "%25").replace("\n", "%0A") for part in (self.address, *self.roots)]
            environ["RELOADERD_AGENT"] = "\n".join(quoted)
        return environ

    def run(self, *arguments: str, cwd: Path | None = None, input: str | None = None, **added: Any) -> Done:
        """Run it to its end.  Keywords are those of `environ`, and variables."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=cwd or self.tree,
            env=self.environ(**added),
            input=input,
            stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=LIMIT,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments: str, **keywords: Any) -> str:
        done = self.run(*arguments, **keywords)
        assert done.status == 0 and not done.err, done
        return done.out

    def code(self, code: str, **keywords: Any) -> str:
        return self.good("-c", code, **keywords)

    def heard(self) -> Heard:
        """What was said by all programs that have ended."""
        return self.receiver.heard()

    def modules(self) -> set[str]:
        """The modules that were named, those below `tree` by their names there."""
        top = str(self.tree) + "/"
        return {path[len(top) :] if path.startswith(top) else path for path in self.heard().modules}


@pytest.fixture
def program(place: Place, python: str) -> Iterator[Program]:
    program = Program(place, python)
    yield program
    program.receiver.close()
