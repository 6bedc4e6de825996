"""A service through its life: start, reload, stop, crashes, the watchdog, and what systemd is told meanwhile.

Names as SD01 are those of the cases that these are.
"""

from __future__ import annotations

import pytest

from tests.support.machine import Machine
from tests.support.places import REPOSITORY
from tests.systemd.user import HOME, UNIT, User

pytestmark = pytest.mark.needs("systemd")

CONFIG = ".config/reloaderd/web.toml"

DROP_IN = f".config/systemd/user/{UNIT}.d/test.conf"

STUBBORN = """\
import os, signal, subprocess, sys
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    for session in (False, True):
        subprocess.Popen([sys.executable, __file__, "further"], start_new_session=session)
with open("runs", "a") as file:
    file.write(f"stubborn {os.getpid()}\\n")
while True:
    signal.pause()
"""
"""Ignores SIGTERM, and so do a process of its group and one with a session of its own."""

SLOW = """\
import os, signal, time
from pathlib import Path
def end(*_):
    time.sleep(3)
    Path("cleaned-up").touch()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
with open("runs", "a") as file:
    file.write(f"slow {os.getpid()}\\n")
while True:
    signal.pause()
"""
"""Needs three seconds to end as it should."""

LIAR = """\
import os, signal, subprocess
socket = os.environ["XDG_RUNTIME_DIR"] + "/systemd/notify"
for given in ({}, {"NOTIFY_SOCKET": socket}):
    subprocess.run(["systemd-notify", "STATUS=it is I"], env={**os.environ, **given}, capture_output=True)
names = [name for name in os.environ if name.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_"))]
with open("environ", "w") as file:
    file.write(repr(names))
with open("runs", "a") as file:
    file.write(f"liar {os.getpid()}\\n")
while True:
    signal.pause()
"""


def drop_in(user: User, *lines: str) -> None:
    """Change the unit as `systemctl --user edit` does."""
    user.run("mkdir", "-p", (HOME / DROP_IN).parent)
    user.write(DROP_IN, "[Service]\n" + "".join(f"{line}\n" for line in lines))
    user.machine.systemctl("daemon-reload")


def test_started_is_what_watches_and_runs(user: User) -> None:
    """SD01: an edit right after the start counts, and STATUS says what is so."""
    user.install()
    for number in range(1, 6):
        user.machine.systemctl("restart", UNIT)
        before = len(user.runs())
        user.edit(str(number))
        user.wait_run(str(number), before)
    assert "watching 1 directory" in user.show("StatusText")


def test_a_set_up_that_fails(user: User) -> None:
    """SD02: the start fails, says why, and is not tried again."""
    user.install()
    user.wait_run("one")
    user.machine.systemctl("stop", UNIT)
    user.run("mv", "src", "source")
    user.machine.systemctl("start", UNIT, status=1)
    assert user.show("Result") == "exit-code" and user.show("ExecMainStatus") == "78"
    assert "src: no such file or directory" in user.show("StatusText")
    assert user.show("ActiveState") == "failed" and user.show("NRestarts") == "0"
    user.run("mv", "source", "src")
    user.machine.systemctl("start", UNIT)
    user.wait_run("one")


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_a_command_that_there_is_not_is_not_installed(user: User, again: bool) -> None:
    if again:
        user.install()
        user.wait_run("one")
    before = user.run("find", HOME / ".config", status=None)
    said = user.service("install", "web", "--force", "src", "--", "no-such-command", status=1)
    assert said.startswith("reloaderd: it does not start: cannot start no-such-command: no such file")
    assert len(said.splitlines()) == 1
    if again:
        assert user.run("find", HOME / ".config") == before
        user.wait_run("one", after=1)
    else:
        assert user.run("find", HOME / ".config", "-type", "f", status=None) == ""
        assert user.services() == []


def test_reload(user: User) -> None:
    """SD04: what is wrong changes nothing and is told; what is right restarts what has changed."""
    user.install()
    pid = user.wait_run("one")
    text = user.at(CONFIG).read_text()
    user.write(CONFIG, text.replace("paths", "pahts"), "600")
    user.machine.systemctl("reload", UNIT)
    user.wait(lambda: "did you mean paths" in user.journal(), "what is wrong")
    assert user.show("ActiveState") == "active" and user.wait_run("one") == pid
    user.write(CONFIG, text + "MORE = '1'\n", "600")
    user.machine.systemctl("reload", UNIT)
    assert user.wait_run("one", after=1) != pid
    user.wait_show("ActiveState", "active")


def test_stop(user: User) -> None:
    """SD05: nothing is left, and it was no failure."""
    user.write("project/src/app.py", STUBBORN)
    user.install("--stop-timeout", "100ms")
    user.wait(lambda: len(user.alive()) == 3, "three processes")
    user.machine.systemctl("stop", UNIT)
    assert not user.alive()
    assert (user.show("ActiveState"), user.show("Result")) == ("inactive", "success")


def test_a_signal_by_hand_is_no_failure(user: User) -> None:
    user.install()
    user.wait_run("one")
    user.run("kill", str(user.main()))
    user.wait_show("ActiveState", "inactive")
    assert user.show("Result") == "success" and user.show("NRestarts") == "0"
    user.wait_nothing()


def test_a_stop_that_takes_longer_than_the_unit_allows(user: User) -> None:
    """The configuration says how long: systemd is asked for more time."""
    user.write("project/src/app.py", SLOW)
    user.install("--stop-timeout", "20s")
    drop_in(user, "TimeoutStopSec=1")
    user.wait_run("slow")
    user.machine.systemctl("stop", UNIT)
    assert user.show("Result") == "success" and (user.project / "cleaned-up").exists()


@pytest.mark.parametrize("mode", ["mixed", "control-group", "process"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_nothing_is_left_whatever_ends_it(user: User, mode: str, how: str) -> None:
    """KillMode=process leaves all to reloaderd; a daemon that is killed is started again."""
    user.write("project/src/app.py", STUBBORN)
    user.install("--stop-timeout", "100ms")
    drop_in(user, f"KillMode={mode}", "RestartSec=0")
    user.machine.systemctl("restart", UNIT)
    user.wait(lambda: len(user.alive()) == 3, "three processes")
    first = user.alive()
    if how == "stop":
        user.machine.systemctl("stop", UNIT)
        user.wait_nothing()
        return
    user.run("kill", "-KILL", str(user.main()))
    user.wait_show("NRestarts", "1")
    user.wait(lambda: len(user.alive()) == 3 and not {*first} & {*user.alive()}, "three others")
    user.machine.systemctl("stop", UNIT)
    user.wait_nothing()


def test_crashes_over_and_over_are_given_up(user: User) -> None:
    user.install()
    drop_in(user, "RestartSec=0", "[Unit]", "StartLimitBurst=3")
    for kills in range(4):
        user.wait_run("one", after=kills)
        user.run("kill", "-KILL", str(user.main()))
    user.wait_show("ActiveState", "failed")
    user.wait_nothing()


def test_the_watchdog(user: User) -> None:
    """One that does not answer is replaced; one that does is left alone for many times its limit."""
    user.install()
    drop_in(user, "WatchdogSec=500ms", "TimeoutAbortSec=200ms", "RestartSec=0")
    user.machine.systemctl("restart", UNIT)
    pid = user.wait_run("one", after=1)
    said = user.show("WatchdogTimestampMonotonic")
    for _ in range(6):
        user.wait(lambda: user.show("WatchdogTimestampMonotonic") != said, "a sign of life")  # noqa: B023
        said = user.show("WatchdogTimestampMonotonic")
    assert user.wait_run("one") == pid and user.show("NRestarts") == "0"
    user.run("kill", "-STOP", str(user.main()))
    user.wait_show("NRestarts", "1")
    user.wait_run("one", after=2)
    assert "watchdog" in user.journal()
    user.wait_show("ActiveState", "active")


def test_the_manager_is_reloaderds_own(user: User) -> None:
    """SD09: the command gets nothing of what systemd gave reloaderd, and cannot speak for it if it tries."""
    user.write("project/src/app.py", LIAR)
    user.install()
    user.wait_run("liar")
    assert (user.project / "environ").read_text() == "[]"
    assert "it is I" not in user.show("StatusText")


def test_a_journal_that_is_started_anew(user: User) -> None:
    """SD10: it goes on, and is heard again."""
    user.install()
    user.wait_run("one")
    user.machine.root("systemctl", "restart", "systemd-journald.service")
    user.edit("two")
    user.wait_run("two")
    user.edit("three")
    user.wait_run("three")
    user.wait(lambda: "#3" in user.journal(), "the third run in the journal")
    assert user.show("NRestarts") == "0"


def test_a_session_that_goes_leaves_it_alone(user: User) -> None:
    """With linger the service is not the session's."""
    with user.session():
        user.install()
        pid = user.wait_run("one")
    user.edit("two")
    assert user.wait_run("two") != pid


def test_a_user_manager_that_is_started_anew(user: User) -> None:
    user.install()
    pid = user.wait_run("one")
    user.machine.root("systemctl", "restart", f"user@{user.machine.uid}.service")
    user.machine.wait_for_manager()
    assert user.wait_run("one", after=1) != pid
    assert user.alive() == [user.runs()[-1][1]]


def test_a_manager_that_executes_itself_anew(user: User) -> None:
    """As an update of systemd does: the service is not touched, and is still heard."""
    user.install()
    pid = user.wait_run("one")
    user.machine.systemctl("daemon-reexec")
    user.machine.wait_for_manager()
    assert user.wait_run("one") == pid
    user.edit("two")
    user.wait_run("two")
    user.wait(lambda: "run 2" in user.show("StatusText"), "the status of run 2")


def test_verified(machine: Machine) -> None:
    """`systemd-analyze verify` has nothing to say about the units."""
    program = machine.at("/usr/local/bin/reloaderd")
    program.symlink_to("/bin/true")
    for unit in (REPOSITORY / "systemd").iterdir():
        assert machine.run("systemd-analyze", "--user", "verify", "--man=no", unit) == ""
    program.unlink()


def test_what_happened_overnight(user: User) -> None:
    """SD10: in the journal with fields, and by `reloaderd why`."""
    user.install()
    user.wait_run("one")
    user.edit("two")
    user.wait_run("two")
    path = f"{HOME}/project/src/app.py"

    def told() -> bool:
        fields = {(one.get("RELOADERD_EVENT"), one.get("RELOADERD_RUN")) for one in user.records()}
        return {("started", "1"), ("started", "2")} <= fields

    user.wait(told, "both runs in the journal")
    (changed,) = [one for one in user.records() if one.get("RELOADERD_EVENT") == "changed"]
    assert changed["RELOADERD_SERVICE"] == "web" and changed["RELOADERD_PATH"] == path
    assert changed["SYSLOG_IDENTIFIER"] == "reloaderd" and "\n" not in changed["MESSAGE"]
    assert user.machine.run("journalctl", "--user", "-q", "-o", "cat", f"RELOADERD_PATH={path}")
    assert "src/app.py" in user.run("reloaderd", "why", "web")
    assert "web" in user.run("reloaderd", "status")
