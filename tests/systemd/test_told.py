"""What systemd is told by a real service, and what its journal has of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import procfs
from tests.support.deafen import deafen
from tests.systemd.test_life import CONFIG, drop_in
from tests.systemd.user import PROJECT, UNIT, User

pytestmark = pytest.mark.needs("systemd")

ONCE = """\
import os, sys
with open("runs", "a") as file:
    file.write(f"once {os.getpid()}\\n")
print("<3>of the command", file=sys.stderr)
sys.exit(7)
"""
"""Ends at once, as a program with a mistake in it does."""

DEEP = Path(*["directory" * 20] * 21)
"""A path as long as one may be: a hundred of them are more than a datagram holds."""


def entries(user: User, *matches: str) -> list[dict[str, Any]]:
    """What reloaderd itself wrote, with these fields."""
    names = [match.partition("=") for match in matches]
    return [
        one
        for one in user.records()
        if one.get("SYSLOG_IDENTIFIER") == "reloaderd"
        and "RELOADERD_EVENT" in one
        and all(one.get(name) == value for name, _, value in names)
    ]


def wait_entry(user: User, *matches: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = user.wait(lambda: entries(user, *matches), f"an entry with {matches}")
    return found[-1]


def outside(user: User, pid: int) -> int:
    """The number that a process of the machine has for us."""
    for one in procfs.descendants(user.machine.pid):
        text = Path(f"/proc/{one}/status").read_text()
        numbers: Sequence[str] = next(line for line in text.splitlines() if line.startswith("NSpid:")).split()
        if numbers[-1] == str(pid):
            return one
    raise AssertionError(f"no process {pid}")


# STATUS and the rest


def test_the_status_tells_of_an_end_and_of_what_is_waited_for(user: User) -> None:
    user.write("project/src/app.py", ONCE)
    user.install()
    user.wait_show("StatusText", "web: run 1 ended: exit status 7; waiting for a change")
    user.edit("two")
    user.wait_run("two")
    user.wait(lambda: user.show("StatusText").startswith("web: run 2, pid "), "the status of run 2")
    assert f"pid {user.alive()[0]}, watching 1 directory" in user.show("StatusText")


def test_what_does_not_compile_is_in_the_status_and_is_one_entry(user: User) -> None:
    user.install("--gate", "syntax")
    user.wait_run("one")
    user.write("project/src/app.py", "def \n")
    held = "held: syntax in src/app.py:1"
    user.wait(lambda: held in user.show("StatusText"), "the hold in the status")
    entry = wait_entry(user, "RELOADERD_EVENT=held")
    assert entry["PRIORITY"] == "4"
    assert entry["RELOADERD_PATH"] == str(PROJECT / "src/app.py")
    first, *more = entry["MESSAGE"].splitlines()
    assert first.endswith("src/app.py:1 does not compile; the old run stays")
    assert more[-1].startswith("SyntaxError")
    user.edit("two")
    user.wait_run("two")
    user.wait(lambda: "held" not in user.show("StatusText"), "the status without a hold")


def test_a_reload_is_over_when_it_is(user: User) -> None:
    """`systemctl reload` has a job for it; the unit is active again when the new run is up."""
    user.install()
    user.wait_run("one")
    text = user.at(CONFIG).read_text()
    user.write(CONFIG, text + "MORE = '1'\n", "600")
    user.machine.systemctl("reload", UNIT)
    user.wait_show("ActiveState", "active")
    user.wait(lambda: user.show("StatusText").startswith("web: run 2, "), "the status of run 2")
    user.wait_run("one", after=1)


def test_a_configuration_that_is_refused_is_in_the_status_until_it_is_mended(user: User) -> None:
    user.install()
    user.wait_run("one")
    text = user.at(CONFIG).read_text()
    user.write(CONFIG, text.replace("paths", "pahts"), "600")
    user.machine.systemctl("reload", UNIT)
    refused = "the configuration stays as it was; web: run 1"
    user.wait(lambda: refused in user.show("StatusText"), "the refusal")
    assert "did you mean paths" in user.show("StatusText")
    user.wait_show("ActiveState", "active")
    user.write(CONFIG, text, "600")
    user.wait(lambda: user.show("StatusText").startswith("web: run 1, "), "the status as before")


def test_why_a_start_failed_is_left_in_the_status(user: User) -> None:
    user.install()
    user.wait_run("one")
    user.machine.systemctl("stop", UNIT)
    text = user.at(CONFIG).read_text()
    user.write(CONFIG, text.replace("python", "pyhton"), "600")
    user.machine.systemctl("start", UNIT, status=1)
    assert user.show("ExecMainStatus") == "127"
    assert "cannot start" in user.show("StatusText") and "no such file" in user.show("StatusText")
    assert user.show("StatusErrno") == "2"
    status = user.machine.systemctl("status", UNIT, status=3)
    assert "Error: 2" in status


def test_one_that_is_deaf_is_replaced(user: User) -> None:
    """It runs, its loop goes round, and no change reaches it: this is what the watchdog is for."""
    user.install()
    drop_in(user, "WatchdogSec=1s", "TimeoutAbortSec=200ms", "RestartSec=0")
    user.machine.systemctl("restart", UNIT)
    user.wait_run("one", after=1)
    deafen(outside(user, user.main()))
    user.wait_show("NRestarts", "1")
    user.wait_run("one", after=2)
    user.wait_show("ActiveState", "active")
    user.edit("two")
    user.wait_run("two")


# The journal


def test_what_changed_is_found_by_its_fields(user: User) -> None:
    user.install()
    user.wait_run("one")
    user.edit("two")
    user.wait_run("two")
    wait_entry(user, "RELOADERD_EVENT=changed")
    file = PROJECT / "src/app.py"
    said = user.machine.run("journalctl", "--user", "-o", "cat", "RELOADERD_EVENT=changed", "-u", UNIT)
    assert said.splitlines()[-1].startswith("web: changed: ")
    said = user.machine.run("journalctl", "--user", "-o", "cat", f"RELOADERD_PATH={file}", "-u", UNIT)
    assert said.splitlines()[-1].startswith("web: changed: ")
    [started] = entries(user, "RELOADERD_EVENT=started", "RELOADERD_RUN=2")
    assert started["RELOADERD_SERVICE"] == "web"
    assert started["_SYSTEMD_USER_UNIT"] == UNIT
    assert started["_PID"] == str(user.main())
    assert started["PRIORITY"] == "6"


def test_each_line_is_one_entry_and_what_failed_is_a_warning(user: User) -> None:
    user.write("project/src/app.py", ONCE)
    user.install()
    entry = wait_entry(user, "RELOADERD_EVENT=ended")
    assert entry["PRIORITY"] == "4"
    assert entry["MESSAGE"].startswith("web: ended #1: exit status 7")
    events = [one["RELOADERD_EVENT"] for one in entries(user)]
    assert events == ["watching", "started", "ended", "waiting"]
    said = user.machine.run("journalctl", "--user", "-t", "web", "-o", "json")
    own = json.loads(said.splitlines()[-1])
    assert own["MESSAGE"] == "of the command"
    assert own["PRIORITY"] == "3"
    assert own["_PID"] != str(user.main())


def test_errors_before_anything_began_have_their_priority(user: User) -> None:
    user.install()
    user.wait_run("one")
    user.machine.systemctl("stop", UNIT)
    user.write(CONFIG, "[service.web]\ncommand = 7\n", "600")
    user.machine.systemctl("start", UNIT, status=1)
    user.wait(lambda: [one for one in user.records() if "command" in str(one["MESSAGE"])], "the error")
    [error] = [one for one in user.records() if str(one["MESSAGE"]).startswith("reloaderd: ")]
    assert error["PRIORITY"] == "3"


def test_a_change_of_many_files_with_long_names(user: User) -> None:
    """More than a datagram holds: it is one entry all the same."""
    user.install()
    user.wait_run("one")
    names = " ".join(f"{number}.py" for number in range(90))
    user.write("project/touch.sh", f"mkdir -p 'src/{DEEP}' && cd 'src/{DEEP}' && touch {names}\n")
    user.run("sh", "touch.sh")
    user.wait(lambda: len(user.runs()) > 1, "a restart")
    entry = wait_entry(user, "RELOADERD_EVENT=changed")
    assert len(entry["RELOADERD_PATH"]) == 64
    assert sum(map(len, entry["RELOADERD_PATH"])) > 212_992  # net.core.wmem_default
