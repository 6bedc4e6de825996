"""The configuration file with the real command line: several services, edits of the file, whose it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_cf_usage import run
from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch, probe_command, reloaderd
from tests.support.lines import Event
from tests.support.places import Place, build
from tests.support.waiting import LIMIT

FILE = "reloaderd.toml"


@pytest.fixture(autouse=True)
def tree(place: Place) -> Path:
    build(place.tree, {"src/a.py": "1\n", "lib/b.py": "1\n"})
    return place.tree


def table(place: Place, name: str, *probe: str, paths: str = "src", **more: str) -> str:
    """A service with a probe as its command; `more` are keys with what stands behind their `=`."""
    command = probe_command(place.scratch / "probe-0.log", probe, [str(place.tree / paths)])
    keys = "".join(f"{key} = {value}\n" for key, value in more.items())
    # a JSON string of these characters is a TOML string
    return f"[service.{name}]\ncommand = {json.dumps(command)}\npaths = [{json.dumps(paths)}]\n{keys}"


def write(place: Place, *tables: str, name: str = FILE) -> None:
    path = place.tree / name
    path.write_text("".join(tables))
    path.chmod(0o644)


def both(place: Place) -> tuple[str, str]:
    return table(place, "web"), table(place, "worker", paths="lib")


def one(place: Place, paths: str = "src") -> dict[str, Any]:
    """Keywords for a daemon of one service that reads these: where the marker is, and what is read."""
    return {"configured": True, "marker": f"{paths}/marker.py", "read": [str(place.tree / paths)]}


@pytest.fixture
def started(watch: Watch, place: Place) -> Callable[..., Daemon]:
    """Start reloaderd with a file of these tables (default: `both`) and wait for all of them."""

    def start(*tables: str, **keywords: Any) -> Daemon:
        tables = tables or both(place)
        write(place, *tables)
        daemon = watch(**{"configured": True, "children": len(tables), "marker": "src/marker.py", **keywords})
        daemon.wait(lambda: len(daemon.named("started")) == len(tables), "all services")
        daemon.wait_starts(len(tables))
        return daemon

    return start


def starts(daemon: Daemon, service: str) -> list[int]:
    """The pids of a service's runs, in order."""
    return [one["pid"] for one in daemon.named("started") if one["service"] == service]


def wait_run(daemon: Daemon, service: str, number: int) -> int:
    pid: int = daemon.wait_event("started", service=service, run=number)["pid"]
    daemon.wait_record("START", run=number)
    return pid


def read(daemon: Daemon, after: int) -> Event:
    """The file was read again, with success."""
    return daemon.wait_event("configured", after=after)


# Several services


def test_two_services_share_one_inotify_instance_and_each_has_its_own_files(
    started: Callable[..., Daemon], tree: Path
) -> None:
    daemon = started()
    instances = [target for target in procfs.fds(daemon.pid).values() if "inotify" in target]
    assert len(instances) == 1
    web, worker = starts(daemon, "web")[0], starts(daemon, "worker")[0]
    assert procfs.environ(web)["RELOADERD"] == "web"
    edits.write(tree / "lib/b.py", "2\n")
    wait_run(daemon, "worker", 2)
    edits.write(tree / "src/a.py", "2\n")
    wait_run(daemon, "web", 2)
    assert [len(starts(daemon, name)) for name in ("web", "worker")] == [2, 2]
    assert not {web, worker} & {*daemon.live_children()}


def test_services_are_chosen_by_name(watch: Watch, place: Place, tree: Path) -> None:
    write(place, *both(place))
    daemon = watch(roots=["worker"], **one(place, "lib"))
    daemon.settle(1)
    assert starts(daemon, "web") == []


def test_lines_are_tagged_with_the_service(watch: Watch, place: Place) -> None:
    write(place, *both(place))
    daemon = watch(configured=True, log_format="text", children=2)
    for name in ("web", "worker"):
        daemon.wait_line(lambda line, name=name: line.startswith(f"[reloaderd {name}] started #1: "))  # type: ignore[misc]


def test_one_that_exits_ends_all_with_its_status(watch: Watch, place: Place) -> None:
    leaves = table(place, "web", "--exit", "7", "--after", "0.3", on_exit='"exit"')
    write(place, leaves, table(place, "worker", paths="lib"))
    daemon = watch(configured=True, ready=False, children=None)
    assert daemon.wait_exit() == 7
    assert daemon.live_children() == []


def test_each_python_command_is_followed_for_its_own_service(watch: Watch, place: Place) -> None:
    """Two programs load modules from outside: a change concerns the one that loaded it."""
    build(place.outside, {"one.py": "1\n", "two.py": "2\n"})
    program = "import sys, time; sys.path.append({!r}); import {}; time.sleep(1000)"
    tables: list[str] = []
    for name in ("one", "two"):
        command = [sys.executable, "-c", program.format(str(place.outside), name)]
        tables.append(f'[service.{name}]\ncommand = {json.dumps(command)}\npaths = ["src"]\n')
    write(place, *tables)
    daemon = watch(configured=True, command=[], children=None)
    for name in ("one", "two"):
        daemon.wait_event("armed", service=name)
    edits.write(place.outside / "two.py", "3\n")
    daemon.wait_event("started", service="two", run=2)
    daemon.wait_event("armed", service="two", run=2)
    edits.write(place.outside / "one.py", "3\n")
    daemon.wait_event("started", service="one", run=2)
    assert [len(starts(daemon, name)) for name in ("one", "two")] == [2, 2]


def test_each_service_has_its_own_gate(started: Callable[..., Daemon], place: Place, tree: Path) -> None:
    gated = {"gate": '"syntax"', "modules": "false"}
    daemon = started(
        table(place, "web", **gated),
        table(place, "worker", paths="lib", **gated),
    )
    edits.write(tree / "src/a.py", "(\n")
    edits.write(tree / "lib/b.py", "2\n")
    daemon.wait_event("held", service="web", reason="syntax")
    wait_run(daemon, "worker", 2)
    edits.write(tree / "src/a.py", "()\n")
    wait_run(daemon, "web", 2)
    assert len(daemon.named("held")) == 1


# It is edited


def sed(path: Path, text: str) -> None:
    edits.replace(path, text)
    path.chmod(0o644)


def anew(path: Path, text: str) -> None:
    path.unlink()
    edits.write(path, text)


def as_vim(path: Path, text: str) -> None:
    path.rename(f"{path}~")
    edits.write(path, text)
    Path(f"{path}~").unlink()


@pytest.mark.parametrize("edit", [edits.write, sed, anew, as_vim])
def test_cf06_only_the_service_whose_table_changed_restarts(
    started: Callable[..., Daemon], place: Place, edit: Callable[[Path, str], None]
) -> None:
    daemon = started()
    worker = starts(daemon, "worker")
    at = daemon.mark()
    edit(
        place.tree / FILE,
        table(place, "web", env='{ COLOUR = "blue" }') + table(place, "worker", paths="lib"),
    )
    assert read(daemon, at)["changed"] == ["web"]
    pid = wait_run(daemon, "web", 2)
    assert procfs.environ(pid)["COLOUR"] == "blue"
    assert daemon.wait_event("restarted", service="web")["run"] == 2
    edits.write(place.tree / "lib/b.py", "2\n")  # it is watched still
    wait_run(daemon, "worker", 2)
    assert starts(daemon, "worker")[0] == worker[0]
    assert [one["service"] for one in daemon.named("watching", at)] == ["web"]
    assert len(daemon.named("configured")) == 1
    assert len(starts(daemon, "web")) == 2


def test_cf06_services_come_and_go(started: Callable[..., Daemon], place: Place, tree: Path) -> None:
    daemon = started()
    web, worker = both(place)
    at = daemon.mark()
    write(place, worker, table(place, "mail", gate='"syntax"', follow_links="true"))
    found = read(daemon, at)
    assert (found["added"], found["removed"], found["changed"]) == (["mail"], ["web"], [])
    pid = wait_run(daemon, "mail", 1)
    daemon.wait(lambda: not procfs.alive(starts(daemon, "web")[0]), "web to end")
    daemon.wait(lambda: len(procfs.children(daemon.pid)) == 2, "the keeper of web to end")
    edits.write(tree / "src/a.py", "2\n")
    assert wait_run(daemon, "mail", 2) != pid
    at = daemon.mark()
    write(place, web, worker)
    assert read(daemon, at)["added"] == ["web"]
    daemon.wait(lambda: len(starts(daemon, "web")) == 2, "web again")
    assert len(starts(daemon, "worker")) == 1


def test_cf06_a_broken_file_keeps_the_old_one_in_force(started: Callable[..., Daemon], place: Place) -> None:
    daemon = started(warnings=True)
    web, worker = both(place)
    write(place, web, worker, "stop_timout = 3\nkill = 3\n")
    daemon.wait_event("warning", text="the configuration stays as it was")
    faults = [one["text"] for one in daemon.named("warning")]
    assert (
        faults[0] == "reloaderd.toml:7: service.worker.stop_timout: unknown key (did you mean stop_timeout?)"
    )
    assert faults[1].startswith("reloaderd.toml:8: service.worker.kill: 3: no such choice")
    assert len(faults) == 3
    at = daemon.mark()
    (place.tree / FILE).unlink()
    daemon.wait_event("warning", after=at, text="reloaderd.toml: no such file or directory")
    at = daemon.mark()
    write(place, table(place, "web", debounce="0"), worker)
    assert read(daemon, at)["changed"] == ["web"]
    wait_run(daemon, "web", 2)
    assert len(starts(daemon, "worker")) == 1


def test_a_file_that_others_may_write_now_is_not_followed(
    started: Callable[..., Daemon], place: Place
) -> None:
    daemon = started(warnings=True)
    (place.tree / FILE).chmod(0o666)
    daemon.wait(lambda: len(daemon.named("warning")) == 2, "a warning")
    assert "others may write it" in daemon.named("warning")[0]["text"]
    at = daemon.mark()
    (place.tree / FILE).chmod(0o644)
    assert read(daemon, at)["changed"] == []


def test_cf06_sighup_reads_it_again(started: Callable[..., Daemon], place: Place) -> None:
    (place.outside / "x.env").write_text("A=1\n")
    web = table(place, "web", env_file=json.dumps(str(place.outside / "x.env")))
    daemon = started(web, table(place, "worker", paths="lib"))
    (place.outside / "x.env").write_text("A=2\n")
    os.kill(daemon.pid, signal.SIGHUP)
    assert read(daemon, 0)["changed"] == ["web"]
    assert procfs.environ(wait_run(daemon, "web", 2))["A"] == "2"
    assert len(starts(daemon, "worker")) == 1


def test_an_environment_file_that_is_edited_restarts_what_reads_it(
    started: Callable[..., Daemon], place: Place
) -> None:
    env = place.outside / "x.env"
    env.write_text("A=1\n")
    daemon = started(
        table(place, "web", env_file=json.dumps(str(env))), table(place, "worker", paths="lib"), warnings=True
    )
    env.write_text("A=2\n")
    assert procfs.environ(wait_run(daemon, "web", 2))["A"] == "2"
    env.unlink()
    assert "x.env: no such file" in daemon.wait_event("warning")["text"]
    env.write_text("A=3\n")
    assert procfs.environ(wait_run(daemon, "web", 3))["A"] == "3"
    assert len(starts(daemon, "worker")) == 1


def test_options_of_the_command_line_still_win_when_it_is_read_again(watch: Watch, place: Place) -> None:
    write(place, table(place, "web", stop_signal='"INT"'))
    daemon = watch("--stop-signal=USR1", "--stop-timeout=0.2", **one(place))
    write(place, table(place, "web", stop_signal='"HUP"', env='{ A = "1" }'))
    wait_run(daemon, "web", 2)
    assert daemon.wait_event("stopping", run=1)["signal"] == "SIGUSR1"


def test_what_cannot_change_is_told(started: Callable[..., Daemon], place: Place) -> None:
    daemon = started(warnings=True)
    write(place, 'backend = "poll"\n', *both(place))
    text = daemon.wait_event("warning")["text"]
    assert "backend: what it says now counts when reloaderd is started again" in text
    assert len(daemon.starts) == 2


def test_a_command_that_cannot_be_started_waits_for_a_change(
    started: Callable[..., Daemon], place: Place
) -> None:
    daemon = started(warnings=True, children=1)
    web, worker = both(place)
    write(place, '[service.web]\ncommand = "no-such-command"\n', worker)
    assert "no-such-command" in daemon.wait_event("warning", service="web")["text"]
    write(place, web, worker)
    daemon.wait(lambda: len(starts(daemon, "web")) == 2, "web again")
    daemon.children = 2


@pytest.mark.every_source
def test_it_is_watched_by_every_source(watch: Watch, place: Place) -> None:
    write(place, table(place, "web"))
    daemon = watch(**one(place))
    write(place, table(place, "web", debounce="0.001"))
    wait_run(daemon, "web", 2)
    daemon.settle(2)


def test_a_process_that_read_it_again_has_not_grown_for_good(
    started: Callable[..., Daemon], place: Place
) -> None:
    """What reads the file is unloaded each time: it takes about 1 MB."""
    daemon = started()

    def edit(times: int) -> int:
        for number in range(times):
            at = daemon.mark()
            write(place, *both(place), f"# {at} {number}\n")
            read(daemon, at)
        return procfs.rss(daemon.pid)

    first = edit(10)
    assert edit(20) - first < 1024 * 1024


# The terminal


def test_a_second_child_waits_for_the_terminal(watch: Watch, place: Place) -> None:
    asks = ("--ask", "--stdin")
    write(place, table(place, "web", *asks), table(place, "worker", *asks, paths="lib"))
    daemon = watch(configured=True, terminal=True, children=2, warnings=True)
    waits = daemon.wait_event("warning")
    second = waits["service"]
    first = {"web": "worker", "worker": "web"}[second]
    assert waits["text"] == f"it waits for the terminal, which {first} has"
    terminal = daemon.terminal
    assert terminal is not None
    daemon.wait(lambda: terminal.foreground() == starts(daemon, first)[0], "the terminal to be lent")
    terminal.send("hello\n")
    assert daemon.wait_record("LINE", payload=b"hello").pid == starts(daemon, first)[0]
    os.kill(starts(daemon, first)[0], signal.SIGKILL)
    daemon.wait(lambda: terminal.foreground() == starts(daemon, second)[0], "the other one's turn")
    terminal.send("again\n")
    assert daemon.wait_record("LINE", payload=b"again").pid == starts(daemon, second)[0]
    daemon.children = None


# What is wrong with it


def complaint(place: Place, *words: str, status: int = 78) -> list[str]:
    done = run(place, "watch", *words)
    assert done.returncode == status, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(line.startswith("reloaderd: ") for line in lines)
    return [line.removeprefix("reloaderd: ") for line in lines]


def test_cf05_every_fault_is_told_with_its_line_and_nothing_starts(place: Place) -> None:
    write(place, table(place, "web", "--exit", "0"), "patsh = 1\n[service.x]\ncommand = 3\n")
    lines = complaint(place)
    assert [line.partition(": ")[0] for line in lines] == ["reloaderd.toml:4", "reloaderd.toml:6"]
    assert not (place.scratch / "probe-0.log").exists()


def test_cf05_a_fifo_does_not_hang_and_a_directory_is_none(place: Place) -> None:
    os.mkfifo(place.tree / FILE)
    assert complaint(place) == ["reloaderd.toml: not a regular file"]
    assert complaint(place, "--config", "src") == ["src: is a directory"]


def test_a_locale_without_utf8_is_no_reason_to_fail(place: Place) -> None:
    text = '[service.web]\ncommand = "größe"\npaths = [\n"größe"]\nenv = { A = "ö" }\nignore = "ö"\n'
    (place.tree / FILE).write_text(text, encoding="utf-8")
    (place.tree / FILE).chmod(0o644)
    done = run(place, "watch", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 78, done
    assert done.stderr.count("it holds a character that this locale does not have") == 4


@pytest.mark.needs("modes")
def test_cf05_an_unreadable_file(place: Place) -> None:
    write(place, *both(place))
    (place.tree / FILE).chmod(0)
    argv = [*reloaderd(place), "watch"]
    if os.getuid() == 0:  # the owner still, who is asked for the modes when these capabilities are gone
        argv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *argv]
    done = subprocess.run(
        argv, cwd=place.tree, env=place.environ(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (done.returncode, done.stderr) == (78, "reloaderd: reloaderd.toml: permission denied\n")


def test_an_unknown_service_is_a_matter_of_usage(place: Place) -> None:
    write(place, *both(place))
    [line] = complaint(place, "worke", status=2)
    assert line.startswith("unknown service worke (did you mean worker? reloaderd.toml has web, worker;")


def test_a_file_that_others_may_write_is_refused(place: Place, watch: Watch) -> None:
    write(place, table(place, "web"))
    (place.tree / FILE).chmod(0o664)
    [line] = complaint(place)
    assert "others may write it" in line
    watch("--config", FILE, **one(place)).settle(1)


@pytest.mark.needs("root")
def test_a_file_of_another_user_is_refused(place: Place) -> None:
    """By root, too, who may read and run anything."""
    write(place, "[service.web]\ncommand = 'true'\non_exit = 'exit'\n")
    assert run(place, "watch").returncode == 0
    os.chown(place.tree / FILE, 12345, -1)
    [line] = complaint(place)
    assert "it is of another user, and says what is run" in line
    assert run(place, "watch", "--config", FILE).returncode == 0


# Another file


def test_pyproject_toml_has_a_table_for_it(watch: Watch, place: Place) -> None:
    web = table(place, "web").replace("[service", "[tool.reloaderd.service")
    write(place, '[project]\nname = "x"\n', web, name="pyproject.toml")
    daemon = watch(**one(place))
    at = daemon.mark()
    write(place, '[project]\nname = "y"\n', web, name="pyproject.toml")
    assert read(daemon, at)["changed"] == []
    write(place, web, "debounce = 0\n", name="pyproject.toml")
    wait_run(daemon, "web", 2)


def test_a_file_elsewhere_is_named(watch: Watch, place: Place) -> None:
    build(place.outside, {"deep/data/x": "1\n"})
    text = table(place, "web", "--dump").replace('paths = ["src"]', 'paths = ["data"]')
    (place.outside / "deep/my.toml").write_text(text)
    daemon = watch("--config", str(place.outside / "deep/my.toml"), configured=True, children=None)
    assert daemon.named("watching")[0]["roots"] == [str(place.outside / "deep/data")]
    assert procfs.cwd(starts(daemon, "web")[0]) == str(place.outside / "deep")
    edits.write(place.outside / "deep/data/x", "2\n")
    wait_run(daemon, "web", 2)
    edits.replace(place.outside / "deep/my.toml", text + "debounce = 0\n")
    wait_run(daemon, "web", 3)
