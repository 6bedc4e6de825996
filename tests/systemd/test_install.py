"""`reloaderd service` as a person has it from pip: two commands to a service that stays."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from tests.support.machine import USER
from tests.support.places import REPOSITORY
from tests.systemd.user import HOME, PROJECT, UNIT, VENV, User

pytestmark = pytest.mark.needs("systemd")

CONFIG = f"{HOME}/.config/reloaderd/web.toml"


def test_it_runs_it_restarts_and_it_survives_a_log_out_and_a_reboot(user: User) -> None:
    user.linger(False)
    with user.session():
        said = user.install()
        assert said.startswith("web runs, and starts with the machine.")
        user.wait_run("one")
        user.edit("two")
        user.wait_run("two")
    assert user.machine.at(f"/var/lib/systemd/linger/{USER}").exists()
    pid = user.wait_run("two")
    assert user.services()[0]["state"] == "active"
    before = len(user.runs())
    user.machine.shut_down()
    user.machine.boot()
    user.machine.wait_for_manager()
    user.wait_run("two", before)
    user.edit("three")
    user.wait_run("three", before)
    assert pid != user.wait_run("three")


def test_a_session_that_ends_is_the_end_without_linger(user: User) -> None:
    """SD11.  polkit is not there: so nobody may ask for linger but root, and it says what to do."""
    user.linger(False)
    with user.session():
        user.machine.root("systemctl", "mask", "--now", "polkit.service")
        try:
            said = user.install()
        finally:
            user.machine.root("systemctl", "unmask", "polkit.service")
        assert said.startswith("web runs, and starts when you log in.")
        assert f"sudo loginctl enable-linger {USER}" in said
        user.wait_run("one")
        main = user.main()
    user.wait_gone()
    assert not user.alive() and not user.machine.at(f"/proc/{main}").exists()
    with user.session():
        user.wait_run("one", after=1)


def test_what_it_leaves_and_what_it_takes_away(user: User) -> None:
    def files() -> list[str]:
        return user.run("find", HOME / ".config", "-not", "-type", "d").splitlines()

    user.run("mkdir", "-p", HOME / ".config/reloaderd", HOME / ".config/systemd/user")
    user.write(".config/reloaderd/other.toml", "[service.other]\ncommand = 'true'\n")
    before = files()
    user.install("--env", "SECRET=of mine")
    link = f"{HOME}/.config/systemd/user/default.target.wants/{UNIT}"
    assert sorted(files()) == sorted([*before, CONFIG, f"{HOME}/.config/systemd/user/{UNIT}", link])
    assert stat.S_IMODE(user.machine.at(CONFIG).stat().st_mode) == 0o600
    pid = user.wait_run("one")
    said = user.service("remove", "web")
    assert said.startswith("web has ended") and "~/.config/reloaderd/web.toml" in said
    assert files() == before
    assert not user.machine.at(f"/proc/{pid}").exists()
    assert [one["name"] for one in user.services()] == []


def test_it_finds_the_commands_that_the_shell_found(user: User) -> None:
    """The user's systemd has another PATH, and nothing of the virtual environment."""
    said = user.install()
    assert "PATH and VIRTUAL_ENV" in said
    pid = user.wait_run("one")
    assert os.readlink(user.machine.at(f"/proc/{pid}/cwd")) == str(PROJECT)
    environ = user.machine.at(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert f"VIRTUAL_ENV={VENV}".encode() in environ
    argv = user.machine.at(f"/proc/{user.main()}/cmdline").read_bytes().split(b"\0")
    assert f"{VENV}/bin/reloaderd".encode() in argv


def test_it_is_run_in_the_way_in_which_it_was_installed(user: User) -> None:
    """By a symlink, as pipx makes it, which may lead elsewhere after an update; or as a module."""
    user.run("mkdir", "-p", HOME / ".local/bin")
    user.run("ln", "-s", VENV / "bin/reloaderd", HOME / ".local/bin/reloaderd")
    ways = {
        f"{HOME}/.local/bin/reloaderd": [HOME / ".local/bin/reloaderd"],
        f"{VENV}/bin/python -P -m reloaderd": [VENV / "bin/python", "-m", "reloaderd"],
    }
    for starts, words in ways.items():
        user.run(*words, "service", "install", "web", "--force", "src", "--", "python", "src/app.py")
        text = user.at(f".config/systemd/user/{UNIT}").read_text()
        assert f"\nExecStart={starts} watch --config %E/reloaderd/%i.toml\n" in text
        user.wait_run("one")


def test_there_is_one_already(user: User) -> None:
    user.install()
    pid = user.wait_run("one")
    said = user.service("install", "web", "--", "sleep", "inf", status=1)
    assert said.startswith("reloaderd: there is a service web") and "--force" in said
    assert user.wait_run("one") == pid
    user.service("install", "web", "--force", "--shell", "--", "exec python src/app.py")
    assert user.wait_run("one", after=1) != pid


def test_a_configuration_file_stays_where_it_is(user: User) -> None:
    user.write("project/reloaderd.toml", "[service.app]\ncommand = 'python src/app.py'\npaths = ['src']\n")
    user.service("install", "web")
    user.wait_run("one")
    assert not user.machine.at(CONFIG).exists()
    (one,) = user.services()
    assert (one["name"], one["config"]) == ("web", f"{PROJECT}/reloaderd.toml")
    user.write("project/reloaderd.toml", "[service.app]\ncommand = 'python src/app.py'\nenv = { A = '1' }\n")
    user.wait_run("one", after=1)
    user.service("remove", "web")
    assert (user.project / "reloaderd.toml").exists()


def test_a_file_of_ones_own(user: User) -> None:
    """`~/.config/reloaderd/NAME.toml` written by hand, with a unit for it: it is kept in the end."""
    user.run("mkdir", "-p", HOME / ".config/reloaderd")
    user.write(
        ".config/reloaderd/web.toml",
        f"[service.web]\ncommand = 'python src/app.py'\nchdir = '{PROJECT}'\npaths = ['{PROJECT}/src']\n",
    )
    user.service("install", "web", "--config", CONFIG)
    user.wait_run("one")
    assert "kept     ~/.config/reloaderd/web.toml" in user.service("remove", "web")
    assert user.machine.at(CONFIG).exists()


def test_list(user: User) -> None:
    assert user.service("list").startswith("There are none.")
    user.install()
    user.write(".config/reloaderd/not a name.toml", "")
    user.service("install", "other", "--", "sleep", "inf")
    user.machine.systemctl("disable", "--now", "reloaderd@other")
    lines = [line.split() for line in user.service("list").splitlines()[1:]]
    assert lines == [
        ["other", "inactive", "no", "~/.config/reloaderd/other.toml"],
        ["web", "active", "yes", "~/.config/reloaderd/web.toml"],
    ]
    web = user.services()[1]
    assert web == {
        "name": "web",
        "state": "active",
        "enabled": True,
        "config": CONFIG,
        "unit": UNIT,
        "pid": user.main(),
    }


def test_a_name_that_there_is_not(user: User) -> None:
    user.install()
    said = user.service("remove", "wbe", status=1)
    assert said == "reloaderd: there is no service wbe (there is web)"


def test_names_and_words_that_a_unit_could_misread(user: User) -> None:
    odd = 'an "odd" $HOME %h \\place;'
    user.run("mkdir", odd)
    # it stays: journald does not find the unit of a process that is gone when it looks
    words = "['sh', '-c', 'echo is in $PWD; sleep 1000']"
    user.write(f"project/{odd}/reloaderd.toml", f"[service.web]\ncommand = {words}\n")
    user.run("reloaderd", "service", "install", "odd-1.x", "-i", "${HOME} %h", cwd=PROJECT / odd)
    user.wait(lambda: f"is in {PROJECT}/{odd}" in user.journal(unit="reloaderd@odd-1.x"), "its words")
    argv = user.machine.at(f"/proc/{user.show('MainPID', 'reloaderd@odd-1.x')}/cmdline").read_bytes()
    assert b"\0${HOME} %h\0" in argv
    user.service("remove", "odd-1.x")


def test_secrets_are_for_nobody_else(user: User) -> None:
    """Also where they are words of a unit."""
    user.write("project/reloaderd.toml", "[service.web]\ncommand = 'sleep inf'\n")
    user.service("install", "web", "--env", "SECRET=of mine")
    units = user.machine.at(f"{HOME}/.config/systemd/user")
    assert stat.S_IMODE((units / UNIT).stat().st_mode) == 0o600


def test_where_nothing_can_be_written(user: User) -> None:
    user.run("mkdir", HOME / ".config")
    user.write(".config/reloaderd", "a file in its place\n")
    said = user.service("install", "web", "--", "sleep", "inf", status=1)
    assert said.startswith("reloaderd: cannot write ~/.config/reloaderd/web.toml: ")
    assert user.run("find", HOME / ".config", "-type", "f") == f"{HOME}/.config/reloaderd"


def test_with_sudo(user: User) -> None:
    """Root has no manager here: and whoever types sudo wants a service of their own."""
    argv = ["env", f"SUDO_USER={USER}", VENV / "bin/reloaderd", "service", "list"]
    said = user.machine.root(*argv, status=1)
    assert f"without sudo: it becomes a service of {USER}" in said


def test_without_the_variables_of_a_session(user: User) -> None:
    """As by `su`, cron or an editor that was started elsewhere."""
    bare = ["env", "-u", "XDG_RUNTIME_DIR", "-u", "DBUS_SESSION_BUS_ADDRESS"]
    assert user.run(*bare, "reloaderd", "service", "list").startswith("There are none.")


def test_a_manager_that_does_not_run(user: User) -> None:
    user.linger(False)
    user.wait_gone()
    said = user.service("list", status=1)
    assert said.startswith(f"reloaderd: the systemd of {USER} does not answer: ")
    assert f"sudo loginctl enable-linger {USER}" in said and len(said.splitlines()) == 1


def test_a_manager_that_looks_elsewhere(user: User) -> None:
    elsewhere = ["env", f"XDG_CONFIG_HOME={PROJECT}/config"]
    said = user.run(*elsewhere, "reloaderd", "service", "install", "web", "src", "--", "sleep", "9", status=1)
    assert said.startswith("reloaderd: your systemd does not find reloaderd@web.service in ~/project/config")
    assert not user.run("find", "config", "-type", "f")


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "/nowhere"], ids=["systemctl", "without systemctl"])
def test_where_no_systemd_runs(path: str) -> None:
    """As in a container: here, in a network of no use and without a /run/systemd/system."""
    argv = [sys.executable, "-m", "reloaderd", "service", "list"]
    hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run; exec "$@"', "-"]
    environ = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "HOME": "/nowhere"}
    done = subprocess.run(
        [*hide, "env", "-i", *(f"{key}={value}" for key, value in environ.items()), *argv],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "run reloaderd watch" in done.stderr, done.stderr
