"""Talking to a reloaderd that runs, as a person types it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_config import both, started, table, write  # noqa: F401
from tests.support import edits, procfs
from tests.support.asking import ask, call, complaint, connected, objects, replies, socket_of, status, told
from tests.support.daemon import Daemon, Watch, reloaderd
from tests.support.places import Place, build
from tests.support.waiting import LIMIT, wait_until

Started = Callable[..., Daemon]


@pytest.fixture(autouse=True)
def tree(place: Place) -> Path:
    build(place.tree, {"src/a.py": "1\n", "src/b.css": "1\n", "lib/b.py": "1\n"})
    return place.tree


def changed(daemon: Daemon, path: Path, content: str) -> None:
    """Change a file, and wait for the run that comes of it."""
    run = len(daemon.starts)
    edits.write(path, content)
    daemon.wait_starts(run + 1)


def stop(place: Place, daemon: Daemon, name: str) -> None:
    """End one of several: what is left is looked for after each."""
    told(place, "stop", name)
    daemon.wait_exit()


# status


@pytest.mark.smoke
def test_status_tells_what_runs_and_what_is_watched(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    answer = status(place)
    assert (answer["name"], answer["pid"], answer["directory"]) == ("tree", daemon.pid, str(tree))
    assert answer["config"] is None
    [service] = answer["services"]
    assert (service["name"], service["state"], service["run"]) == ("tree", "running", 1)
    assert service["pid"] == daemon.starts[0].pid
    assert service["command"] == daemon.command
    assert (service["roots"], service["source"], service["polled"]) == ([str(tree)], "inotify", [])
    watching = daemon.wait_event("watching")
    assert (service["directories"], service["watches"]) == (watching["directories"], watching["watches"])
    assert service["not_followed"].startswith("-I: ")  # as the probe is run
    assert (service["hold"], service["paused"], service["waiting"]) == (None, False, 0)
    shown = told(place, "status")
    assert shown.startswith(f"tree (pid {daemon.pid}, up ")
    assert "running #1 for " in shown
    assert f"(pid {service['pid']})" in shown


def test_status_tells_of_the_last_restart(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch("--ignore", "*.css")
    changed(daemon, tree / "src/a.py", "2\n")
    restarted = daemon.wait_event("restarted", run=2)
    last = status(place, "tree")["last"]
    assert (last["run"], last["cause"], last["all_ms"]) == (2, "change", restarted["ms"])
    assert f"in {restarted['ms']:.0f} ms: src/a.py changed [every file, named .]" in told(place, "status")


def test_status_tells_what_a_python_command_has_loaded(watch: Watch, place: Place, tree: Path) -> None:
    app = "import part, time\nopen('data.txt')\ntime.sleep(1000)\n"
    build(tree, {"app.py": app, "part.py": "", "data.txt": ""})
    daemon = watch(command=[sys.executable, "app.py"])
    daemon.wait_event("armed")
    service = status(place, "tree")
    assert (service["followed"], service["not_followed"]) == (True, None)
    assert (service["modules"], service["data"]) == (2, 1)
    assert "2 modules, 1 other file" in told(place, "status")


def test_status_tells_what_is_polled_and_why(watch: Watch, place: Place) -> None:
    watch("--backend=poll", "--poll-interval=100ms")
    service = status(place, "tree")
    assert (service["source"], [part["why"] for part in service["polled"]]) == ("poll", ["asked for"])
    assert "polling)" in told(place, "status")


def test_status_shows_all_that_run_and_one_that_is_named(
    watch: Watch,
    place: Place,
    started: Started,  # noqa: F811
) -> None:
    started()
    other = watch("--name=other", roots=["lib"], read=[str(place.tree / "lib")], marker="lib/marker.py")
    assert [one["name"] for one in objects(place, "status")] == ["other", "tree"]
    [answer] = objects(place, "status", "tree")
    assert [one["name"] for one in answer["services"]] == ["web", "worker"]
    [answer] = objects(place, "status", "tree/web")
    assert [one["name"] for one in answer["services"]] == ["web"]
    [answer] = objects(place, "status", "worker")
    assert (answer["name"], [one["name"] for one in answer["services"]]) == ("tree", ["worker"])
    stop(place, other, "other")


def test_what_does_not_run_is_one_line_and_status_3(watch: Watch, place: Place) -> None:
    assert complaint(place, "status", exit_code=3) == "no reloaderd is running"
    assert complaint(place, "restart", exit_code=3) == "no reloaderd is running"
    watch()
    line = complaint(place, "status", "web", exit_code=3)
    assert line == "no reloaderd called web is running (running: tree)"
    assert complaint(place, "why", "tree/web", exit_code=3) == "tree has no service web (it has tree)"


def test_a_name_in_a_terminal_is_escaped(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    edits.write(tree / "a\x1b[31m.py", "1\n")
    daemon.wait_starts(2)
    for words in (["status"], ["why"], ["explain", "a\x1b[31m.py"]):
        shown = told(place, *words)
        assert "\\x1b[31m.py" in shown
        assert "\x1b" not in shown


# restart


def test_restart_restarts_now_and_why_says_who_asked(watch: Watch, place: Place) -> None:
    daemon = watch()
    assert told(place, "restart") == "tree: restarting (run 1)\n"
    daemon.wait_starts(2)
    os.kill(daemon.pid, signal.SIGUSR1)
    daemon.wait_starts(3)
    daemon.wait_event("started", run=3)
    [answer] = objects(place, "why")
    asked = [(run["run"], run["cause"], run["by"]) for run in answer["runs"]]
    assert asked == [(1, "start", ""), (2, "asked", "control"), (3, "asked", "SIGUSR1")]


def test_restart_of_one_service_leaves_the_others_alone(place: Place, started: Started) -> None:  # noqa: F811
    daemon = started()
    assert told(place, "restart", "worker") == "tree/worker: restarting (run 1)\n"
    daemon.wait_event("restarted", service="worker", run=2)
    assert told(place, "restart", "tree/worker") == "tree/worker: restarting (run 2)\n"
    daemon.wait_event("restarted", service="worker", run=3)
    daemon.wait_starts(4)
    assert [one["run"] for one in status(place)["services"]] == [1, 3]


# stop


@pytest.mark.smoke
def test_stop_ends_it_as_sigterm_does_and_waits_for_that(watch: Watch, place: Place) -> None:
    daemon = watch()
    assert told(place, "stop", "tree") == "tree: stopped\n"
    assert not procfs.alive(daemon.pid)
    assert daemon.wait_exit() == -signal.SIGTERM
    assert daemon.wait_event("closing")["signal"] == "SIGTERM"
    assert not socket_of(place).parent.exists()
    assert complaint(place, "stop", exit_code=3) == "no reloaderd is running"


def test_stop_is_for_all_of_it(place: Place, started: Started) -> None:  # noqa: F811
    daemon = started()
    line = complaint(place, "stop", "web", exit_code=2)
    assert line == "stop ends a whole reloaderd: tree has web, worker (reloaderd stop tree)"
    told(place, "stop", "tree")
    assert daemon.wait_exit() == -signal.SIGTERM


# pause and resume


@pytest.mark.smoke
def test_what_is_held_by_a_pause_is_one_restart(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    told(place, "pause")
    at = daemon.mark()
    edits.write(tree / "src/a.py", "2\n")
    assert daemon.wait_event("held", after=at)["reason"] == "paused"
    for number in range(3):
        edits.write(tree / f"new-{number}.py", "1\n")
    wait_until(lambda: status(place, "tree")["waiting"] == 4, "four changes that wait")
    assert "paused; 4 changes wait" in told(place, "status")
    assert len(daemon.starts) == 1
    assert told(place, "resume") == "tree: resumed; 4 changes let go\n"
    daemon.wait_starts(2)
    paths = {str(tree / name) for name in ("src/a.py", "new-0.py", "new-1.py", "new-2.py")}
    assert daemon.changed_paths(at) == paths
    assert [one["reason"] for one in daemon.named("held", at)] == ["paused"]
    assert daemon.wait_event("restarted", after=at)["ms"] < 5000  # since it was let go
    daemon.settle(2)


def test_what_came_to_nothing_while_paused_is_no_restart(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    told(place, "pause")
    at = daemon.mark()
    edits.write(tree / "new.py", "1\n")
    daemon.wait_event("held", after=at)
    (tree / "new.py").unlink()
    wait_until(lambda: status(place, "tree")["waiting"] == 0, "nothing that waits")
    told(place, "resume")
    daemon.settle(1)


def test_a_restart_while_paused_takes_in_what_is_held_and_the_pause_stays(
    watch: Watch, place: Place, tree: Path
) -> None:
    daemon = watch()
    told(place, "pause")
    edits.write(tree / "src/a.py", "2\n")
    daemon.wait_event("held")
    told(place, "restart")
    daemon.wait_starts(2)
    assert daemon.starts[1].payload == daemon._on_disk()
    service = status(place, "tree")
    assert (service["paused"], service["waiting"]) == (True, 0)
    at = daemon.mark()
    edits.write(tree / "src/a.py", "3\n")
    daemon.wait_event("held", after=at)
    assert len(daemon.starts) == 2
    told(place, "resume")
    daemon.wait_starts(3)


def test_a_command_that_ends_while_paused_is_started_as_on_exit_says(watch: Watch, place: Place) -> None:
    daemon = watch("--on-exit=restart")
    told(place, "pause")
    os.kill(daemon.starts[0].pid, signal.SIGKILL)
    daemon.wait_starts(2)
    assert status(place, "tree")["paused"]
    told(place, "resume")


def test_one_service_is_paused_and_the_other_is_not(place: Place, tree: Path, started: Started) -> None:  # noqa: F811
    daemon = started()
    assert told(place, "pause", "web") == "tree/web: paused; `resume` lets go of what changes\n"
    assert told(place, "pause", "web") == "tree/web: already paused\n"
    edits.write(tree / "src/a.py", "2\n")
    daemon.wait_event("held", service="web")
    edits.write(tree / "lib/b.py", "2\n")
    daemon.wait_event("restarted", service="worker", run=2)
    assert told(place, "resume", "worker") == "tree/worker: it is not paused\n"
    assert told(place, "resume") == "tree/web: resumed; 1 change let go\ntree/worker: it is not paused\n"
    daemon.wait_event("restarted", service="web", run=2)
    daemon.wait_starts(4)


# why


@pytest.mark.smoke
def test_why_tells_of_changes_and_the_lines_that_made_them_count(
    watch: Watch, place: Place, tree: Path
) -> None:
    build(tree, {".gitignore": "*.txt\n# notes\n!keep.txt\n", ".git/HEAD": "ref: refs/heads/main\n"})
    daemon = watch()
    with daemon.restarts(1):
        edits.write(tree / "keep.txt", "1\n")
    run = daemon.wait_event("started", run=2)
    [answer] = objects(place, "why")
    first, second, _ = answer["runs"]
    assert (first["cause"], first["changes"]) == ("start", [])
    assert (first["stopped"], first["signal"]) == ("SIGTERM", "SIGTERM")
    assert first["ended"] >= first["started"]
    origin = f"{tree}/.gitignore:3"
    assert second["changes"] == [
        {"path": f"{tree}/keep.txt", "what": "made", "rule": "!keep.txt", "origin": origin}
    ]
    assert (second["cause"], second["count"], second["pid"]) == ("change", 1, run["pid"])
    assert 0 < second["stop_ms"] + second["start_ms"] <= second["all_ms"]
    assert "#2  keep.txt made [!keep.txt, .gitignore:3]" in told(place, "why")


def test_why_tells_of_a_crash_and_of_what_came_of_it(watch: Watch, place: Place) -> None:
    daemon = watch("--on-exit=restart")
    os.kill(daemon.starts[0].pid, signal.SIGSEGV)
    daemon.wait_starts(2)
    daemon.wait_event("started", run=2)
    [answer] = objects(place, "why")
    first, second = answer["runs"]
    assert (first["signal"], first["stopped"], first["killed"]) == ("SIGSEGV", None, False)
    assert (second["cause"], second["by"]) == ("ended", "SIGSEGV")
    shown = told(place, "why")
    assert "ended by itself" in shown
    assert "#2  #1 ended by itself: killed by SIGSEGV" in shown


def test_why_tells_that_the_configuration_changed(place: Place, started: Started) -> None:  # noqa: F811
    daemon = started()
    write(place, table(place, "web"), table(place, "worker", paths="lib", stop_timeout="1"))
    daemon.wait_event("started", service="worker", run=2)
    daemon.wait_starts(3)
    [answer] = objects(place, "why", "worker")
    assert [run["cause"] for run in answer["runs"]] == ["start", "configuration"]
    assert "the configuration changed" in told(place, "why", "worker")


def test_why_tells_that_a_start_failed(watch: Watch, place: Place, tree: Path) -> None:
    program = place.scratch / "program"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    daemon = watch(command=[str(program)], warnings=True, children=None)
    program.rename(place.scratch / "elsewhere")
    edits.write(tree / "src/a.py", "2\n")
    daemon.wait_event("warning")
    [answer] = objects(place, "why")
    assert answer["runs"][1]["failed"] == f"{program}: no such file or command"
    assert f"could not be started: {program}: no such file or command" in told(place, "why")


def test_why_tells_of_the_last_runs(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    for number in range(3):
        changed(daemon, tree / f"src/new-{number}.py", "1\n")
    daemon.wait_event("started", run=4)
    [answer] = objects(place, "why", "--last", "2")
    assert [run["run"] for run in answer["runs"]] == [3, 4]


# events


def sockets(daemon: Daemon) -> int:
    """How many it has: one more where somebody is connected."""
    return sum(target.startswith("socket:") for target in procfs.fds(daemon.pid).values())


def heard(daemon: Daemon, follower: subprocess.Popen[str], path: Path) -> dict[str, Any]:
    """Change the file until the follower has said something: before that it may not follow yet."""
    assert follower.stdout is not None
    while not select.select([follower.stdout], [], [], 0)[0]:
        changed(daemon, path, f"{len(daemon.starts) + 1}\n")
        select.select([follower.stdout], [], [], 1.0)
    first: dict[str, Any] = json.loads(follower.stdout.readline())
    return first


def following(place: Place, *words: str) -> subprocess.Popen[str]:
    argv = [*reloaderd(place), "events", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv, cwd=place.tree, env=place.environ(), stdout=pipe, stderr=pipe, text=True, bufsize=1
    )


def timeless(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "time": 0} for one in events]


def test_events_are_the_log_lines_from_now_on_until_it_ends(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    with following(place) as follower:
        assert follower.stdout is not None and follower.stderr is not None
        seen = [heard(daemon, follower, tree / "src/a.py")]
        told(place, "stop")
        seen += [json.loads(line) for line in follower.stdout]
        assert follower.stderr.read() == ""
        assert follower.wait(LIMIT) == 0
    daemon.wait_exit()
    assert seen[-1]["event"] == "closed"
    assert timeless(seen) == timeless(daemon.events[-len(seen) :])


def test_events_of_one_service(place: Place, tree: Path, started: Started) -> None:  # noqa: F811
    daemon = started()
    with following(place, "worker") as follower:
        assert follower.stdout is not None and follower.stderr is not None
        seen = [heard(daemon, follower, tree / "lib/b.py")]
        changed(daemon, tree / "src/a.py", "2\n")
        told(place, "stop")
        seen += [json.loads(line) for line in follower.stdout]
    daemon.wait_exit()
    assert {one["service"] for one in seen} == {"worker"}
    assert {"changed", "restarted", "closed"} <= {one["event"] for one in seen}


@pytest.mark.parametrize("end", ["interrupt", "pipe", "killed"])
def test_the_end_of_a_follower_or_of_what_it_follows_is_without_a_word(
    end: str, watch: Watch, place: Place, tree: Path
) -> None:
    daemon = watch()
    with following(place) as follower:
        assert follower.stdout is not None and follower.stderr is not None
        heard(daemon, follower, tree / "src/a.py")
        status = 0
        if end == "interrupt":
            follower.send_signal(signal.SIGINT)
            status = -signal.SIGINT
        elif end == "pipe":
            follower.stdout.close()
            changed(daemon, tree / "src/a.py", "end\n")
        else:
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait_exit()
        assert follower.wait(LIMIT) == status
        assert follower.stderr.read() == ""


# explain


def test_explain_is_what_happens(place: Place, tree: Path, started: Started) -> None:  # noqa: F811
    write(place, table(place, "web", ignore='["*.css"]'), table(place, "worker", paths="lib"))
    daemon = started(table(place, "web", ignore='["*.css"]'), table(place, "worker", paths="lib"))
    shown = told(place, "explain", "src/b.css")
    assert shown.splitlines() == [
        "src/b.css",
        "  tree/web     does nothing: it is ignored [--ignore *.css, reloaderd.toml:4]",
        "  tree/worker  does nothing: it is below no PATH",
    ]
    [answer] = objects(place, "explain", "src/a.py")
    web, worker = answer["services"]
    assert (web["action"], web["watched"], web["concerned"]) == ("restart", "inotify", True)
    assert (worker["action"], worker["concerned"]) == ("ignore", False)
    edits.write(tree / "src/b.css", "2\n")
    edits.write(tree / "src/a.py", "2\n")
    daemon.wait_event("restarted", service="web", run=2)
    daemon.wait_starts(3)
    assert daemon.changed_paths() == {str(tree / "src/a.py")}


def test_explain_knows_what_is_loaded_and_what_waits(watch: Watch, place: Place, tree: Path) -> None:
    build(place.outside, {"part.py": ""})
    app = f"import sys; sys.path.append({str(place.outside)!r})\nimport part, time\ntime.sleep(1000)\n"
    build(tree, {"app.py": app})
    daemon = watch(command=[sys.executable, "app.py"])
    daemon.wait_event("armed")
    module = str(place.outside / "part.py")
    shown = told(place, "explain", module)
    assert "restarts it [loaded by the command]" in shown
    assert "the command has loaded it, as code" in shown
    told(place, "pause")
    edits.write(place.outside / "part.py", "1\n")
    daemon.wait_event("held")
    assert "a change of it waits: paused" in told(place, "explain", module)


def test_explain_goes_by_the_rules_where_nothing_runs(place: Place, tree: Path) -> None:
    shown = told(place, "explain", "src/a.py")
    assert shown.splitlines()[0] == "src/a.py (by the rules alone: none runs that is concerned)"
    assert "restarts it [every file, named .]" in shown
    assert "does nothing: it is ignored [--ignore *.py, command line]" in told(
        place, "explain", "-i", "*.py", "src/a.py"
    )
    write(place, *both(place))
    assert "web     restarts it [every file, named ./src]" in told(place, "explain", "src/a.py")
    assert "cache" in told(place, "explain", "src/__pycache__")
    assert complaint(place, "explain", exit_code=2) == "PATH is missing (reloaderd explain PATH)"
    assert complaint(place, "explain", "", exit_code=2) == "an empty PATH (reloaderd explain PATH)"
    line = complaint(place, "explain", "-n", "tree", "src/a.py", exit_code=3)
    assert line == "no reloaderd called tree is running"


def test_explain_does_not_go_by_what_watch_would_do_where_one_runs(
    place: Place,
    tree: Path,
    started: Started,  # noqa: F811
) -> None:
    started(table(place, "web"), read=[str(tree / "src")])
    assert told(place, "explain", "lib/b.py").splitlines() == [
        "lib/b.py",
        "  tree/web  does nothing: it is below no PATH",
    ]
    [shown] = told(place, "explain", "reloaderd.toml").splitlines()[1:]
    assert shown == "  tree/web  does nothing: it is ignored [the configuration file: it is read again]"


def test_explain_knows_what_is_not_there_yet(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    (tree / "link").symlink_to(place.outside)
    told_of = {path: told(place, "explain", path) for path in ("new/deep/a.py", "link/a.py")}
    assert "its directory is not there, and is watched as soon as it is" in told_of["new/deep/a.py"]
    assert "not watched: its directory is not watched" in told_of["link/a.py"]
    daemon.wait_starts(2)  # the link itself
    build(tree, {"new/deep/a.py": "1\n"})
    daemon.wait_starts(3)


# Names


def test_a_name_that_was_given_and_is_taken_is_refused(watch: Watch, place: Place) -> None:
    daemon = watch("--name=web")
    done = ask(place, "watch", "--name", "web", "--", "true")
    assert done.returncode == 2
    assert done.stderr == (
        f"reloaderd: --name web: another reloaderd has this name (pid {daemon.pid})"
        " (choose another, or reloaderd stop web)\n"
    )
    assert status(place)["pid"] == daemon.pid


def test_a_second_one_of_the_same_directory_has_the_next_name(watch: Watch, place: Place) -> None:
    daemons = [
        watch(roots=[where], read=[str(place.tree / where)], marker=f"{where}/marker.py")
        for where in ("src", "lib")
    ]
    answers = objects(place, "status")
    assert [(one["name"], one["pid"]) for one in answers] == [
        ("tree", daemons[0].pid),
        ("tree-2", daemons[1].pid),
    ]
    assert complaint(place, "restart", exit_code=2) == "which one: tree, tree-2? (give a NAME)"
    assert complaint(place, "restart", "other/tree", exit_code=3).startswith("no reloaderd called other/tree")
    stop(place, daemons[1], "tree-2")


def test_without_a_name_the_one_of_this_directory_is_meant(watch: Watch, place: Place) -> None:
    watch("--name=here")
    there = watch("--name=there", cwd=place.outside)
    assert complaint(place, "restart", exit_code=2, cwd=place.home) == "which one: here, there? (give a NAME)"
    assert told(place, "restart", cwd=place.outside) == "there: restarting (run 1)\n"
    there.wait_starts(2)
    told(place, "stop", cwd=place.outside)
    there.wait_exit()


def test_one_that_was_started_through_a_link_is_of_this_directory(watch: Watch, place: Place) -> None:
    link = place.base / "link"
    link.symlink_to(place.tree)
    daemon = watch(cwd=link, environ={"PWD": str(link)}, roots=["src"], children=None)
    other = watch("--name=other", cwd=place.outside)
    assert objects(place, "status", "tree")[0]["directory"] == str(place.tree)
    assert "watching   ./src (" in told(place, "status", "tree")
    assert told(place, "restart") == "tree: restarting (run 1)\n"
    daemon.wait_starts(2)
    stop(place, other, "other")


@pytest.mark.parametrize(("options", "name"), [((), "blog"), (("--name=mine",), "mine")])
def test_what_has_a_file_is_called_by_it_or_as_it_is_told(
    options: tuple[str, ...], name: str, watch: Watch, place: Place
) -> None:
    write(place, table(place, "web"), name="blog.toml")
    reads = [str(place.tree / "src")]
    watch("--config=blog.toml", *options, configured=True, marker="src/marker.py", read=reads)
    answer = status(place)
    assert (answer["name"], answer["config"]) == (name, str(place.tree / "blog.toml"))
    assert [service["name"] for service in answer["services"]] == ["web"]
    assert told(place, "restart") == f"{name}/web: restarting (run 1)\n"
    Daemon.running[0].wait_starts(2)


def test_one_that_was_killed_leaves_its_name_to_the_next(watch: Watch, place: Place) -> None:
    daemon = watch("--name=web")
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait_exit()
    assert socket_of(place, "web").exists()
    assert complaint(place, "status", exit_code=3) == "no reloaderd is running"
    again = watch("--name=web")
    assert status(place)["pid"] == again.pid
    stop(place, again, "web")


# What must not be in the way


def test_it_runs_without_a_socket_too_and_says_so(watch: Watch, place: Place, tree: Path) -> None:
    (place.runtime / "reloaderd").mkdir(mode=0o700)
    (place.runtime / "reloaderd" / "tree").write_text("a file\n")
    daemon = watch(warnings=True)
    [warning] = daemon.named("warning")
    assert warning["text"].startswith("nobody can talk to this reloaderd")
    with daemon.restarts(1):
        edits.write(tree / "src/a.py", "2\n")


def test_the_socket_is_of_this_user_alone_and_gone_at_the_end(watch: Watch, place: Place) -> None:
    daemon = watch()
    directory = socket_of(place).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_exit()
    assert not directory.exists()


@pytest.mark.smoke
def test_clients_that_are_stuck_keep_nothing_up(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch()
    path = socket_of(place)
    stuck = []
    for number in range(100):
        with_half = connected(path)
        connection = with_half.__enter__()
        stuck.append(with_half)
        match number % 4:
            case 0:
                connection.sendall(b'{"method": "io.reload')
            case 1:
                connection.sendall(b"\xff\x00garbage\x00" * 100)
            case 2:
                call(connection, "io.reloaderd.Events", more=True)
            case 3:
                for _ in range(50):
                    call(connection, "io.reloaderd.Status")
    for number in range(5):
        changed(daemon, tree / f"src/new-{number}.py", "1\n")
    slowest = max(one["ms"] for one in daemon.named("restarted"))
    assert slowest < 2000, "a restart waited for a client"
    assert status(place)["pid"] == daemon.pid
    for one in stuck:
        one.__exit__(None, None, None)


def test_a_follower_that_does_not_read_is_dropped(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch("--dry-run", "--debounce=0.02", ready=False, children=0)
    daemon.wait_event("watching")
    alone = sockets(daemon)
    with connected(socket_of(place)) as connection:
        call(connection, "io.reloaderd.Events", more=True)
        daemon.wait(lambda: sockets(daemon) > alone, "a follower")
        for number in range(200):  # some 25 kB each time
            at = daemon.mark()
            build(tree, {f"many-{other}-{'x' * 150}.py": f"{number}\n" for other in range(100)})
            daemon.wait_event("changed", after=at)
            if sockets(daemon) == alone:
                break
        assert number > 5
        assert sockets(daemon) == alone
    assert status(place)["pid"] == daemon.pid


def test_events_that_are_not_read_in_time_are_no_end(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch("--dry-run", "--debounce=0.02", ready=False, children=0)
    daemon.wait_event("watching")
    alone = sockets(daemon)
    with following(place) as follower:
        daemon.wait(lambda: sockets(daemon) > alone, "a follower")
        while sockets(daemon) > alone:
            at = daemon.mark()
            build(tree, {f"many-{other}-{'x' * 150}.py": f"{at}\n" for other in range(100)})
            daemon.wait_event("changed", after=at)
        out, err = follower.communicate(timeout=LIMIT)
    assert json.loads(out.splitlines()[0])["event"] == "changed"
    assert err == "reloaderd: tree goes on, and hung up: what happened was not read in time\n"
    assert follower.returncode == 1


def test_one_that_is_stopped_does_not_answer(watch: Watch, place: Place) -> None:
    daemon = watch()
    os.kill(daemon.pid, signal.SIGSTOP)
    for words in (["status"], ["restart"], ["stop", "tree"], ["status", "tree"]):
        line = complaint(place, *words, exit_code=1)
        assert line == f"tree does not answer (pid {daemon.pid} is busy, or stopped)"
    os.kill(daemon.pid, signal.SIGCONT)
    daemon.settle(1)  # who was not answered has asked for nothing


@contextmanager
def saying(place: Place, answer: bytes, name: str = "odd") -> Iterator[Path]:
    """Something that says `answer` to everything."""
    path = socket_of(place, name)
    path.parent.parent.mkdir(0o700, exist_ok=True)
    path.parent.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while connection.recv(4096):
                            connection.sendall(answer + b"\0")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("answer", [b"no JSON", b"\xff", b"[1]", b"5", b'{"parameters": 5}'])
def test_who_listens_there_and_is_no_reloaderd_is_named(answer: bytes, place: Place) -> None:
    with saying(place, answer) as path:
        line = complaint(place, "why", "odd", exit_code=1)
    assert line == f"odd says what is no answer (no reloaderd listens at {path}, but pid {os.getpid()})"


def test_one_of_another_version_is_named_and_hides_no_other(watch: Watch, place: Place) -> None:
    daemon = watch()
    service = {"name": "web", "dry_run": True}
    known = {"name": "odd", "pid": 1, "seconds": 1, "config": None, "directory": "/", "services": [service]}
    with saying(place, json.dumps({"parameters": known}).encode()):
        line = "odd is of another version: it does not tell waiting (restart it)"
        assert complaint(place, "status", "odd", exit_code=1) == line
        done = ask(place, "status")
        assert (done.returncode, done.stderr) == (1, f"reloaderd: {line}\n")
        assert done.stdout.startswith(f"tree (pid {daemon.pid}, ")
        line = "odd is of another version: it does not tell runs (restart it)"
        assert complaint(place, "why", "odd", exit_code=1) == line
        assert "of another version" in complaint(place, "explain", "-n", "odd", "src/a.py", exit_code=1)
    with saying(place, b'{"parameters": {}}'):
        for words in (["restart", "odd"], ["status"], ["explain", "-n", "odd", "a"], ["why", "odd/web"]):
            done = ask(place, *words)
            assert done.returncode == 1
            assert done.stderr.startswith("reloaderd: odd is of another version: it does not tell ")
    unknown = json.dumps({"error": "org.varlink.service.MethodNotFound", "parameters": {}})
    with saying(place, unknown.encode()):
        line = "it is of another version and does not know that (restart it)"
        assert complaint(place, "explain", "-n", "odd", "a", exit_code=1) == line


def test_one_that_is_stopped_hides_no_other(watch: Watch, place: Place) -> None:
    daemon = watch()
    other = watch("--name=other", cwd=place.outside)
    os.kill(other.pid, signal.SIGSTOP)
    done = ask(place, "status")
    os.kill(other.pid, signal.SIGCONT)
    assert (done.returncode, done.stdout.startswith(f"tree (pid {daemon.pid}, ")) == (1, True)
    assert done.stderr == f"reloaderd: other does not answer (pid {other.pid} is busy, or stopped)\n"
    stop(place, other, "other")


def test_one_that_is_stopped_is_passed_over_by_those_who_do_not_mean_it(watch: Watch, place: Place) -> None:
    daemon = watch()
    other = watch("--name=other", cwd=place.outside)
    os.kill(other.pid, signal.SIGSTOP)
    line = f"other does not answer (pid {other.pid} is busy, or stopped)"
    try:
        done = ask(place, "explain", "src/a.py")
        assert (done.returncode, done.stderr) == (1, f"reloaderd: {line}\n")
        assert "  tree  restarts it [every file, named .]\n" in done.stdout
        assert "src/a.py changed" not in told(place, "why")
        assert told(place, "restart") == "tree: restarting (run 1)\n"
        assert complaint(place, "why", cwd=place.scratch, exit_code=1) == line
        assert complaint(place, "why", "web", exit_code=1) == line
    finally:
        os.kill(other.pid, signal.SIGCONT)
    daemon.wait_starts(2)
    stop(place, other, "other")


def test_a_dry_run_answers(watch: Watch, place: Place, tree: Path) -> None:
    daemon = watch("--dry-run", ready=False, children=0)
    daemon.wait_event("watching")
    service = status(place, "tree")
    assert (service["dry_run"], service["run"], service["pid"]) == (True, 0, None)
    assert "dry run: nothing is started" in told(place, "status")
    assert told(place, "why") == "nothing was started yet\n"
    line = complaint(place, "restart", exit_code=1)
    assert line == "there is nothing to restart: it is a --dry-run"
    told(place, "pause")
    edits.write(tree / "src/a.py", "2\n")
    daemon.wait_event("held")
    told(place, "resume")
    assert daemon.wait_event("changed")["dry_run"]


FOREIGN = """
import sys, varlink
with varlink.Client(f"unix:{sys.argv[1]}") as client, client.open("io.reloaderd") as reloaderd:
    print([service["name"] for service in reloaderd.Status()["services"]])
    print(reloaderd.Why(["tree"], 1)["runs"][0]["cause"])
    print(reloaderd.Restart())
    try:
        reloaderd.Pause(["nobody"])
    except varlink.VarlinkError as error:
        print(error.error(), error.parameters()["services"])
"""


@pytest.mark.needs("varlink")
def test_a_foreign_client_finds_out_what_there_is_and_asks(watch: Watch, place: Place) -> None:
    daemon = watch()
    argv = [sys.executable, "-c", FOREIGN, str(socket_of(place))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.stdout.splitlines() == [
        "['tree']",
        "start",
        "{'services': ['tree']}",
        "io.reloaderd.NoSuchService ['tree']",
    ], done.stderr
    daemon.wait_starts(2)


def test_the_wire_format(watch: Watch, place: Place) -> None:
    watch()
    with connected(socket_of(place)) as connection:
        call(connection, "org.varlink.service.GetInfo")
        call(connection, "io.reloaderd.Nothing")
        call(connection, "io.reloaderd.Events")
        connection.sendall(b'{"method": "io.reloaderd.Status", "oneway": true}\0')
        call(connection, "io.reloaderd.Status")
        info, missing, single, answer = replies(connection, 4)
    assert info["parameters"]["interfaces"] == ["io.reloaderd", "org.varlink.service"]
    assert missing["error"] == "org.varlink.service.MethodNotFound"
    assert missing["parameters"] == {"method": "io.reloaderd.Nothing"}
    assert single["error"] == "org.varlink.service.ExpectedMore"
    assert answer["parameters"]["name"] == "tree"
