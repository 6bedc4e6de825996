"""`make install`: for all users of a machine, and `make uninstall` leaves nothing of it."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import Machine
from tests.support.places import REPOSITORY
from tests.systemd.user import HOME, PROJECT, UNIT, User

pytestmark = pytest.mark.needs("systemd", "pip")

PYTHON = "/usr/bin/python3"

MAKE = ["make", "-s", "-C", str(REPOSITORY), f"PYTHON={PYTHON}"]


def files(machine: Machine) -> list[str]:
    return machine.root("find", "/usr/local", "-not", "-type", "d").splitlines()


WITHOUT_NETWORK = ["env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/var/tmp/wheels"]


@pytest.fixture(scope="module")
def builder(installed: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One that has what is needed to build reloaderd, besides what it needs itself."""
    wheelhouse = tmp_path_factory.mktemp("build")
    with open(REPOSITORY / "pyproject.toml", "rb") as file:
        needed = tomllib.load(file)["build-system"]["requires"]
    pip = [PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", wheelhouse, *needed], check=True)
    for wheel in wheelhouse.iterdir():
        (installed.at("/var/tmp/wheels") / wheel.name).write_bytes(wheel.read_bytes())
    return installed


@pytest.fixture
def for_all(builder: Machine, user: User) -> Iterator[User]:
    """A user without a reloaderd of one's own, where `make install` was run by root."""
    installed = builder
    before = files(installed)
    installed.root(*WITHOUT_NETWORK, *MAKE, "install")
    yield user
    installed.root(*MAKE, "uninstall")
    assert files(installed) == before


def test_everybody_has_it(for_all: User) -> None:
    user = for_all
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    install = ["reloaderd", "service", "install", "web", "src", "--", PYTHON, "src/app.py"]
    said = user.machine.run("env", "-C", PROJECT, *install, environ=path)
    assert "unit  " not in said
    assert not user.at(f".config/systemd/user/{UNIT}").exists()
    user.wait_run("one")
    user.edit("two")
    user.wait_run("two")
    assert user.show("FragmentPath") == "/usr/local/lib/systemd/user/reloaderd@.service"
    user.machine.run("reloaderd", "service", "remove", "web", environ=path)
    assert user.run("find", HOME / ".config", "-not", "-type", "d") == ""


def test_a_prefix_and_a_directory_of_a_package(builder: Machine) -> None:
    installed = builder
    words = ["PREFIX=/opt/it", "DESTDIR=/var/tmp/package"]
    installed.root(*WITHOUT_NETWORK, *MAKE, "install", *words)
    top = installed.at("/var/tmp/package/opt/it")
    assert (top / "bin/reloaderd").read_text().startswith(f"#!{PYTHON} -I\n")
    assert (
        "ExecStart=/opt/it/bin/reloaderd watch" in (top / "lib/systemd/user/reloaderd@.service").read_text()
    )
    assert (top / "share/man/man1/reloaderd.1").read_text().count(r"\-\-listen")
    assert (top / "share/bash-completion/completions/reloaderd").exists()
    installed.root("mv", "/var/tmp/package/opt/it", "/opt/it")
    assert installed.run("/opt/it/bin/reloaderd", "--version").startswith("reloaderd ")
    installed.root("rm", "-rf", "/var/tmp/package")
    installed.root(*MAKE, "uninstall", "PREFIX=/opt/it")
    assert installed.root("find", "/opt/it", "-not", "-type", "d") == ""


def test_where_one_may_not_write(installed: Machine) -> None:
    said = installed.run(*MAKE, "install", status=2)
    assert "sudo make install" in said


def test_an_interpreter_that_others_cannot_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python3").write_text(f"#!/bin/sh\necho {closed}/python3\n")
    (closed / "python3").chmod(0o755)
    done = subprocess.run(
        [".ci/install", str(closed / "python3"), str(tmp_path / "to"), ""],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "other users cannot run" in done.stderr
    assert not (tmp_path / "to").exists()
