"""`--on 'GLOB=notify'` and `reloaderd.on_change`, with real programs that listen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.places import REPOSITORY, Place, build

Listen = Callable[..., Daemon]

HEAD = f"""\
import os, signal, sys, threading, time
sys.path.insert(0, {str(REPOSITORY)!r})
import reloaderd

def say(*words):
    os.write(1, (" ".join(map(str, [os.environ.get("RELOADERD_RUN"), *words])) + "\\n").encode())

"""
TAIL = """
say("up")
while True:
    signal.pause()
"""


@pytest.fixture
def listen(watch: Callable[..., Daemon], place: Place) -> Listen:
    """Start a program of these lines, under a reloaderd with these options; wait until it is up."""

    def start(lines: str, *options: str, on: str = "*.mo=notify", **more: Any) -> Daemon:
        program = place.scratch / "program.py"
        program.write_text(HEAD + lines + TAIL)
        build(place.tree, {"de.mo": "1", "sub/fr.mo": "1", "x.css": "1", "a.py": "1"})
        command = [sys.executable, str(program)]
        daemon = watch("--on", on, *options, command=command, warnings=True, **more)
        wait_said(daemon, "1 up")
        return daemon

    return start


def said(daemon: Daemon) -> list[str]:
    return daemon.stdout.read_text().splitlines()


def wait_said(daemon: Daemon, line: str) -> list[str]:
    daemon.wait(lambda: line in said(daemon), f"{line!r} on stdout")
    return said(daemon)


def touch(daemon: Daemon, name: str, text: str = "2") -> Path:
    path = daemon.cwd / name
    path.write_text(text)
    return path


def actions(daemon: Daemon) -> list[tuple[str, list[str]]]:
    return [(one["action"], sorted(one["paths"])) for one in daemon.named("changed")]


@pytest.mark.smoke
def test_the_program_is_told_and_not_restarted(listen: Listen) -> None:
    daemon = listen('reloaderd.on_change("*.mo", lambda path: say("told", path))')
    path = touch(daemon, "sub/fr.mo")
    wait_said(daemon, f"1 told {path}")
    other = touch(daemon, "de.mo")
    wait_said(daemon, f"1 told {other}")
    assert actions(daemon) == [("notify", [str(path)]), ("notify", [str(other)])]
    touch(daemon, "a.py")
    lines = wait_said(daemon, "2 up")
    assert lines == ["1 up", f"1 told {path}", f"1 told {other}", "2 up"]
    touch(daemon, "de.mo")
    wait_said(daemon, f"2 told {other}")


def test_callbacks_are_called_one_at_a_time_in_order_in_one_daemon_thread(listen: Listen) -> None:
    daemon = listen(
        """
def told(path):
    one = threading.current_thread()
    say("begin", os.path.basename(path), one.name, one.daemon, one is threading.main_thread())
    time.sleep(0.05)
    say("end", os.path.basename(path))

@reloaderd.on_change("*.mo")
def first(path):
    told(path)

reloaderd.on_change("de.mo", lambda path: say("second"))
"""
    )
    touch(daemon, "de.mo")
    touch(daemon, "sub/fr.mo")
    lines = wait_said(daemon, "1 end fr.mo")
    begin = "reloaderd True False"
    wanted = [f"1 begin de.mo {begin}", "1 end de.mo", "1 second", f"1 begin fr.mo {begin}", "1 end fr.mo"]
    assert lines == ["1 up", *wanted]


@pytest.mark.parametrize(
    "lines",
    [
        "",
        'reloaderd.on_change("*.po", print)',
        'reloaderd.on_change("*.mo", lambda path: NotImplemented)',
        'reloaderd.on_change("*.mo", lambda path: sys.exit(0))',
        'reloaderd.on_change("*.mo", print); reloaderd.program.listener._after_fork()',
        'reloaderd.on_change("*.mo", lambda path: os._exit(1))',
    ],
    ids=["nobody", "no pattern", "not implemented", "raises SystemExit", "let go", "ended"],
)
def test_what_is_not_handled_is_a_restart(listen: Listen, lines: str) -> None:
    daemon = listen(lines)
    path = touch(daemon, "de.mo")
    wait_said(daemon, "2 up")
    assert actions(daemon) == [("notify", [str(path)]), ("restart", [str(path)])]
    rule = daemon.named("changed")[-1]["rule"]
    assert rule == "--on *.mo=notify: not handled by the command"


def test_a_callback_that_raises_is_shown_as_python_does_and_is_a_restart(listen: Listen) -> None:
    daemon = listen('reloaderd.on_change("*.mo", lambda path: 1 / 0)', tracebacks=True)
    touch(daemon, "de.mo")
    wait_said(daemon, "2 up")
    assert "Exception in thread reloaderd:" in daemon.noise
    assert "ZeroDivisionError: division by zero" in daemon.noise


def test_a_callback_that_hangs_is_a_restart(listen: Listen) -> None:
    daemon = listen('reloaderd.on_change("*.mo", lambda path: time.sleep(60))')
    touch(daemon, "de.mo")
    wait_said(daemon, "2 up")
    times = [event["time"] for event in daemon.named("changed")]
    assert 4.5 < times[1] - times[0] < 20


def test_every_process_that_listens_is_told_and_a_forked_one_listens_only_by_itself(listen: Listen) -> None:
    daemon = listen(
        """
reloaderd.on_change("*.mo", lambda path: say("parent"))
if os.fork() == 0:
    signal.alarm(120)
    if os.fork() == 0:
        signal.alarm(120)
        reloaderd.on_change("*.mo", lambda path: say("grandchild"))
        say("ready")
    while True:
        signal.pause()
"""
    )
    wait_said(daemon, "1 ready")
    touch(daemon, "de.mo")
    daemon.wait(lambda: {"1 parent", "1 grandchild"} <= set(said(daemon)), "both")
    touch(daemon, "a.py")
    lines = wait_said(daemon, "2 up")
    assert (lines.count("1 parent"), lines.count("1 grandchild")) == (1, 1)


def test_one_batch_may_be_told_and_signalled(listen: Listen) -> None:
    daemon = listen(
        """
signal.signal(signal.SIGUSR1, lambda *_: say("signal"))
reloaderd.on_change("*.mo", lambda path: say("told"))
""",
        *("--on", "*.css=signal:USR1", "--debounce", "300ms"),
    )
    touch(daemon, "x.css")
    touch(daemon, "de.mo")
    wait_said(daemon, "1 told")
    wait_said(daemon, "1 signal")
    assert [action for action, _ in actions(daemon)] == ["signal:USR1,notify"]


def test_many_paths_are_told_in_order(listen: Listen) -> None:
    daemon = listen('reloaderd.on_change("*.mo", lambda path: say(path))', "--debounce", "500ms")
    paths = [touch(daemon, f"sub/{'x' * 180}{number}.mo") for number in range(1500)]
    wait_said(daemon, f"1 {paths[-1]}")
    found = dict.fromkeys(said(daemon)[1:])  # a batch that waited for the limit may cut a write in two
    assert list(found) == [f"1 {path}" for path in paths]


def test_it_needs_no_agent(listen: Listen) -> None:
    daemon = listen('reloaderd.on_change("*.mo", lambda path: say("told"))', "--no-modules")
    touch(daemon, "de.mo")
    wait_said(daemon, "1 told")


def test_a_dry_run_says_that_it_would(watch: Callable[..., Daemon], place: Place) -> None:
    build(place.tree, {"de.mo": "1"})
    options = ("--dry-run", "--on", "*.mo=notify")
    daemon = watch(*options, log_format="text", ready=False, children=None)
    daemon.wait(lambda: any("watching" in line for line in daemon.noise), "the trees to be watched")
    touch(daemon, "de.mo")
    daemon.wait(lambda: "[reloaderd] changed: de.mo -> would notify" in daemon.noise, "the line")
