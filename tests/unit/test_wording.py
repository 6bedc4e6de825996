"""What each event reads like for a person, and what is shown at which verbosity."""

from __future__ import annotations

from typing import Any

import pytest

from reloaderd import wording
from reloaderd.core.reasons import NOT_HANDLED
from reloaderd.wording import Wording


def say(event: str, details: bool = False, cwd: str = "/w", **fields: Any) -> str:
    return Wording(details, cwd).say(event, "web", fields)[0]


def test_watching() -> None:
    roots = ["/w/src", "/w", "/etc/app", "/www"]
    assert say("watching", roots=roots, source="inotify", directories=42) == (
        "watching ./src, ., /etc/app, /www (42 directories, inotify)"
    )
    assert say("watching", roots=["/w/a"], directories=1, source="inotify").endswith("(1 directory, inotify)")
    assert say("watching", roots=[f"/{n}" for n in range(9)]) == "watching /0, /1, /2, /3 (+5)"


def test_warm() -> None:
    fields = {"modules": 601, "left": {"grpc": "it starts a thread"}}
    one, detailed = Wording(False, "/"), Wording(True, "/")
    text = "warm: 601 modules imported ahead of the next start"
    assert one.say("warm", "web", fields)[0] == text
    assert one.say("warm", "web", fields)[0] == ""
    assert one.say("warm", "worker", fields)[0] == text
    assert detailed.say("warm", "web", fields)[0] == f"{text}; left to it: grpc (it starts a thread)"
    said = one.say("warm", "web", {"reason": "x.py has changed", "given_up": False})[0]
    assert said == "the next start is a cold one: x.py has changed"
    assert say("warm", reason="it is run by sh", given_up=True) == "no warm restarts: it is run by sh"


def test_started() -> None:
    assert say("started", run=1, pid=123) == "started #1 (pid 123)"
    command = ("python", "my app.py", "$x")
    assert say("started", run=1, pid=123, command=command) == "started #1: python 'my app.py' '$x' (pid 123)"


def test_a_restart_is_told_once() -> None:
    both = Wording(False, "/w")
    assert (
        both.say("started", "web", {"run": 2, "pid": 130, "ms": 12.4})[0] == "restarted #2 in 12 ms (pid 130)"
    )
    assert both.say("restarted", "web", {"run": 2, "ms": 12.4})[0] == ""
    assert both.say("restarted", "worker", {"run": 2, "ms": 12.4})[0] == "restarted #2 in 12 ms"
    assert both.say("restarted", "web", {"run": 3, "ms": 5})[0] == "restarted #3 in 5 ms"


def test_changed() -> None:
    assert say("changed", paths=["/w/src/app.py"], count=1) == "changed: src/app.py"
    assert say("changed", paths=["/w/a", "/x/b"], count=2, action="restart") == "changed: a, /x/b"


def test_db12_many_changes_are_counted_and_few_are_named() -> None:
    paths = [f"/w/{name}.py" for name in "abcdefg"]
    assert say("changed", paths=paths, count=50) == "changed: 50 files: a.py, b.py (+48)"
    assert say("changed", paths=[], count=3) == "changed: 3 files"


def test_changed_says_what_it_does() -> None:
    paths = ["/w/a.css"]
    assert say("changed", paths=paths, action="signal:HUP") == "changed: a.css -> signal HUP"
    assert say("changed", paths=paths, action="ignore") == "changed: a.css -> ignored"
    assert say("changed", paths=paths, action="notify") == "changed: a.css -> notify"
    unhandled = {"rule": f"--on *.css=notify{NOT_HANDLED}", "action": "restart"}
    assert say("changed", paths=paths, **unhandled).endswith(" -> restart, as the command did not handle it")


def test_dry_run_says_what_it_would_do() -> None:
    paths = ["/w/a.css"]
    assert say("changed", paths=paths, dry_run=True) == "changed: a.css -> would restart"
    assert say("changed", paths=paths, dry_run=True, action="signal:HUP").endswith("-> would signal HUP")
    assert say("changed", paths=paths, dry_run=True, action="notify").endswith("-> would notify")
    assert say("changed", paths=paths, dry_run=False) == "changed: a.css"


def test_details_name_the_rule_and_its_origin() -> None:
    fields = {"paths": ["/w/a"], "rule": "*.py", "origin": "--filter"}
    assert say("changed", details=True, **fields) == "changed: a [*.py, --filter]"
    assert say("changed", details=True, **{**fields, "rule": ""}) == "changed: a [--filter]"
    assert say("changed", **fields) == "changed: a"


@pytest.mark.parametrize(
    ("cwd", "path", "shown"),
    [
        *(("/w", "/w/a", "a"), ("/w", "/w", "."), ("/w", "/wide/a", "/wide/a")),
        *(("/", "/etc/x", "/etc/x"), ("", "/etc/x", "/etc/x")),
    ],
)
def test_paths_are_shown_from_the_working_directory(cwd: str, path: str, shown: str) -> None:
    assert say("changed", cwd=cwd, paths=[path]) == f"changed: {shown}"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": 0, "seconds": 3.2}, "ended #1: done after 3.2 s"),
        ({"status": 1, "seconds": 0.0441}, "ended #1: exit status 1 after 0.044 s"),
        ({"signal": "SIGSEGV", "seconds": 0.0}, "ended #1: killed by SIGSEGV after 0 s"),
        ({"status": 2}, "ended #1: exit status 2"),
    ],
)
def test_ended(fields: dict[str, Any], text: str) -> None:
    assert say("ended", run=1, **fields) == text


def test_an_end_that_was_asked_for_is_a_detail() -> None:
    for details in (False, True):
        one = Wording(details, "/w")
        assert bool(one.say("stopping", "web", {"run": 1, "signal": "SIGTERM"})[0]) is details
        assert bool(one.say("ended", "web", {"run": 1, "signal": "SIGTERM"})[0]) is details
        assert one.say("ended", "worker", {"run": 1, "signal": "SIGTERM"})[0]
        assert one.say("ended", "web", {"run": 2, "status": 1})[0]


def test_killed_is_news_where_there_was_a_signal_before() -> None:
    assert say("killed", run=1) == ""
    one = Wording(False, "/w")
    one.say("stopping", "web", {"run": 1, "signal": "SIGTERM"})
    assert one.say("killed", "web", {"run": 1})[0] == "killed #1: it had not ended in time"
    assert one.say("ended", "web", {"run": 1, "signal": "SIGKILL"})[0] == ""


def test_waiting_and_held() -> None:
    assert say("waiting", **{"for": "change"}) == "waiting for a change"
    assert say("waiting", **{"for": "back-off", "seconds": 0.5}) == "waiting 0.5 s (back-off)"
    assert say("held", reason="version control is at work") == "held: version control is at work"


FAULT = {
    "reason": "syntax",
    "path": "/w/app.py",
    "line": 3,
    "column": 7,
    "text": "def f(:",
    "message": "SyntaxError: invalid syntax",
    "count": 1,
    "again": False,
}


def test_held_for_a_run_that_did_not_get_ready() -> None:
    fields = {
        "reason": "not ready",
        "run": 5,
        "message": "ended with status 1 before it was ready",
        "serving": 4,
    }
    assert say("held", **fields) == "held: #5 ended with status 1 before it was ready; #4 goes on"
    assert wording.is_fault("held", fields)
    assert Wording(details=False, cwd="/").block("held", fields) == []


def test_held_for_a_fault() -> None:
    one = Wording(False, "/w")
    assert one.say("held", "web", FAULT) == (
        "held: app.py:3 does not compile; the old run stays",
        wording.BAD,
    )
    assert one.block("held", FAULT) == ["    def f(:", "          ^", "SyntaxError: invalid syntax"]
    again = {**FAULT, "again": True, "count": 3, "line": 0}
    assert one.say("held", "web", again)[0] == (
        "still held: app.py: SyntaxError: invalid syntax (and 2 other files)"
    )
    assert one.block("held", again) == []
    assert one.block("held", {"reason": "version control is at work"}) == []
    assert one.block("warning", FAULT) == []


def test_small_events() -> None:
    assert say("warning", text="mind the gap") == "warning: mind the gap"
    assert say("closing", signal="SIGINT") == "closing (SIGINT)"
    assert say("closing") == "closing"
    assert say("closed") == ""
    assert say("closed", details=True) == "closed"
    assert say("armed", modules=12) == ""
    assert say("armed", details=True, modules=["a"]) == "armed 1 module"


def test_what_a_configuration_file_changes() -> None:
    wording = Wording(False, "/p")
    fields = {"path": "/p/reloaderd.toml", "changed": ["web", "mail"], "added": [], "removed": ["worker"]}
    assert wording.say("configured", "", fields)[0] == "reloaderd.toml: web, mail changed; worker removed"
    nothing = {"path": "/p/reloaderd.toml", "changed": [], "added": [], "removed": []}
    assert wording.say("configured", "", nothing)[0] == ""
    assert Wording(True, "/p").say("configured", "", nothing)[0] == "reloaderd.toml: no service changed"


def test_an_event_without_a_sentence_shows_its_fields() -> None:
    assert (
        say("frobbed", run=3, why=None, names=["a", "b", "c"]) == "frobbed: run=3, why=None, names=a, b (+1)"
    )
    assert say("frobbed") == "frobbed"


EVENTS = (
    "watching started changed held stopping killed ended restarted armed warning error closing closed waiting"
)


@pytest.mark.parametrize("event", EVENTS.split())
def test_no_event_needs_all_of_its_fields(event: str) -> None:
    assert say(event, details=True)


def test_colours() -> None:
    one = Wording(True, "/w")
    assert one.say("started", "web", {"run": 1})[1] == wording.GOOD
    assert one.say("warning", "web", {"text": "x"})[1] == wording.CAUTION
    assert one.say("ended", "web", {"run": 1, "status": 1})[1] == wording.BAD
    assert one.say("ended", "web", {"run": 1, "status": 0})[1] == ""
    one.say("stopping", "web", {"run": 1})
    assert one.say("ended", "web", {"run": 1, "signal": "SIGTERM"})[1] == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *(
            (0, "0 s"),
            (0.0123, "0.012 s"),
            (1.0, "1 s"),
            (9.94, "9.9 s"),
            (9.96, "10.0 s"),
            (59.99, "60.0 s"),
        ),
        *((185, "3 min 5 s"), (7800, "2 h 10 min"), (3600, "1 h 0 min"), (119.7, "2 min 0 s")),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text
