"""The machine that these tests share, reloaderd installed on it by pip, and a clean user for each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wheels
from tests.support.machine import Machine
from tests.systemd.user import User


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted one: tests leave on it nothing that runs."""
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def installed(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The same with `pip install reloaderd` in ~/venv, from a wheel and without a network."""
    wheelhouse = tmp_path_factory.mktemp("wheels")
    wheels.build(wheelhouse)
    there = machine.at("/var/tmp/wheels")
    there.mkdir()
    for wheel in wheelhouse.iterdir():
        (there / wheel.name).write_bytes(wheel.read_bytes())
    python = Path(sys.base_prefix, "bin/python3")
    machine.run(python, "-m", "venv", "venv")
    machine.run("venv/bin/pip", "install", "--quiet", "--no-index", "-f", "/var/tmp/wheels", "reloaderd")
    return machine


@pytest.fixture
def user(installed: Machine) -> User:
    """The user with a project in ~/project, and without any service that another test has left running."""
    user = User(installed)
    user.clean()
    user.make_project()
    return user
