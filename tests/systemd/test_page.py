"""docs/systemd.md: what it tells a person to type does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.systemd.user import HOME, PROJECT, UNIT, VENV, User

pytestmark = pytest.mark.needs("systemd")

PAGE = (Path(__file__).parents[2] / "docs/systemd.md").read_text(encoding="utf-8")

PIP, INSTALL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)[0].splitlines()


def answer(command: str) -> str:
    """What the page says that a command says."""
    (text,) = re.findall(rf"^\$ {re.escape(command)}\n(.*?)^```", PAGE, re.M | re.S)
    return str(text).strip()


def test_two_commands(user: User) -> None:
    """The first one was run for all tests: without a network, from a wheel."""
    assert PIP == "pip install reloaderd"
    assert user.machine.at(VENV / "bin/reloaderd").exists()
    assert user.run("sh", "-c", INSTALL) == answer(INSTALL)
    user.wait_run("one")
    user.edit("two")
    user.wait_run("two")
    for command in re.findall(r"^  (?:state|log|away with it) +(.*)$", answer(INSTALL), re.M):
        for one in command.replace(" -f ", " ").split(", "):
            assert user.run("sh", "-c", one)
    user.wait_nothing()


def test_a_configuration_file(user: User) -> None:
    lines = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)[1].replace("~/shop", str(PROJECT))
    user.write("project/reloaderd.toml", "[service.web]\ncommand = 'python src/app.py'\npaths = ['src']\n")
    user.run("sh", "-ec", lines, cwd=HOME)
    user.wait_run("one")
    assert [one["name"] for one in user.services()] == ["shop"]
    assert "#1" in user.run("reloaderd", "status", "shop")


def test_units_by_hand(user: User) -> None:
    """The template where a package has it, and a file that a person has written."""
    template = (Path(__file__).parents[2] / "systemd/reloaderd@.service").read_text()
    user.run("mkdir", "-p", HOME / ".config/systemd/user", HOME / ".config/reloaderd")
    user.write(".config/systemd/user/reloaderd@.service", template.replace("/usr/local/bin", f"{VENV}/bin"))
    command = f"['{VENV}/bin/python', 'src/app.py']"
    user.write(
        ".config/reloaderd/web.toml",
        f"[service.web]\ncommand = {command}\nchdir = '{PROJECT}'\npaths = ['{PROJECT}']\n",
    )
    assert "\nsystemctl --user enable --now reloaderd@web\n" in PAGE
    user.machine.systemctl("daemon-reload")
    user.machine.systemctl("enable", "--now", "reloaderd@web")
    user.wait_run("one")
    user.machine.systemctl("disable", "--now", "reloaderd@web")


def exposure(user: User) -> str:
    said = user.machine.run("systemd-analyze", "--user", "security", "--no-pager", UNIT)
    level = re.search(r"Overall exposure level for \S+: (\S+)", said)
    assert level is not None
    return level[1]


def test_locked_up(user: User) -> None:
    """The figures of the page, and that reloaderd itself does all it has to with that drop-in."""
    (lines,) = re.findall(r"^```ini\n(.*?)^```", PAGE, re.M | re.S)
    before, after = re.search(r"calls that (\S+) of 10", PAGE), re.search(r"That leaves (\S+)\. ", PAGE)
    assert before and after
    user.install()
    user.wait_run("one")
    assert exposure(user) == before[1]
    user.run("mkdir", "-p", HOME / f".config/systemd/user/{UNIT}.d")
    user.write(f".config/systemd/user/{UNIT}.d/locked.conf", lines)
    user.machine.systemctl("daemon-reload")
    user.machine.systemctl("restart", UNIT)
    pid = user.wait_run("one", after=1)
    assert "NoNewPrivs:\t1" in user.machine.at(f"/proc/{pid}/status").read_text()
    user.edit("two")
    assert user.wait_run("two") != pid
    assert exposure(user) == after[1]
    assert all(int(one["PRIORITY"]) > 4 for one in user.records())
