"""SK: sockets that reloaderd listens on and hands on; SD12: those that it was started with."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_cf_usage import run
from tests.support import edits, procfs
from tests.support.clients import ON_IPV6, Clients, ask
from tests.support.daemon import Daemon, Watch
from tests.support.manager import Manager
from tests.support.places import Place, build
from tests.support.waiting import wait_until

SERVER = """\
import os, signal, socket, sys, time
VERSION = 0
server = socket.socket(fileno=3)
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
server.settimeout(0.02)
time.sleep(0.05)  # a start takes its time
print("up", VERSION, flush=True)
while not stopped:
    try:
        client, _ = server.accept()
    except TimeoutError:
        continue
    client.settimeout(5)
    client.recv(4096)
    client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nversion %d of %d\\n" % (VERSION, os.getpid()))
    client.close()
"""

COMMAND = [sys.executable, "server.py"]

Serve = Callable[..., Daemon]


@pytest.fixture
def serve(place: Place, watch: Watch) -> Serve:
    """reloaderd with the server above."""
    build(place.tree, {"server.py": SERVER})

    def start(*options: str, **keywords: Any) -> Daemon:
        return watch(*options, **{"command": COMMAND, "children": None, **keywords})

    return start


def edit(place: Place, version: int) -> None:
    edits.write(place.tree / "server.py", SERVER.replace("VERSION = 0", f"VERSION = {version}"))


def addresses(daemon: Daemon) -> list[str]:
    return [one["address"] for one in daemon.named("listening")]


def listen_variables(pid: int) -> dict[str, str]:
    wait_until(lambda: procfs.environ(pid), "a program that runs")
    return {name: value for name, value in procfs.environ(pid).items() if name.startswith("LISTEN_")}


def has(daemon: Daemon, pid: int, descriptors: list[int]) -> None:
    """Wait until it has these and no others: a program opens files of its own while it starts."""
    daemon.wait(lambda: sorted(procfs.fds(pid)) == descriptors, f"{descriptors} of {pid}")


# Restarts that nobody notices


@pytest.mark.parametrize("where", ["127.0.0.1:0", pytest.param("[::1]:0", marks=ON_IPV6), "./web.sock"])
def test_sk01_none_is_refused_over_twenty_restarts(where: str, place: Place, serve: Serve) -> None:
    daemon = serve(f"--listen={where}")
    [address] = addresses(daemon)
    with Clients(address) as clients:
        clients.wait_served(1)
        for number in range(20):  # another file each time: one alone would be slowed down
            edits.write(place.tree / f"part{number}.py")
            last = daemon.wait_event("restarted", run=number + 2)
        pid = b"of %d" % daemon.wait_event("started", run=last["run"])["pid"]
        wait_until(lambda: any(pid in one for one in clients.served[-50:]), "the last run")
        clients.wait_served(50)
    assert clients.faults == []
    assert len(clients.served) == clients.asked > 200


def test_none_is_refused_while_nothing_runs(place: Place, serve: Serve) -> None:
    """The command has ended by itself: who asks then is served by the run of the next change."""
    daemon = serve("--listen=0", command=["true"])
    [address] = addresses(daemon)
    daemon.wait_event("ended")
    with socket.create_connection(address.split(":"), timeout=20) as client:  # type: ignore[arg-type]
        os.kill(daemon.pid, signal.SIGUSR1)
        daemon.wait_event("ended", run=2)
        client.sendall(b"?")


def test_none_is_refused_when_the_keeper_is_killed(place: Place, serve: Serve) -> None:
    daemon = serve("--listen=0", warnings=True)
    [address] = addresses(daemon)
    with Clients(address) as clients:
        clients.wait_served(5)
        started = daemon.named("started")[0]
        stat_ = procfs.stat(started["pid"])
        assert stat_ is not None
        # stopped first, so that it has accepted nothing when it goes with its keeper
        os.kill(started["pid"], signal.SIGSTOP)
        served = len(clients.served)
        procfs.kill(stat_.ppid)
        daemon.wait_event("ended", run=1)
        edit(place, 1)
        daemon.wait(lambda: any(one["run"] == 2 for one in daemon.named("started")), "the next run")
        wait_until(lambda: len(clients.served) > served + 20, "answers")
    assert [one for one in clients.faults if "Refused" in one] == []
    assert len(clients.faults) <= 1  # the one that the killed run had accepted, maybe


def test_a_server_that_shuts_its_socket_down_leaves_it_to_the_next(place: Place, serve: Serve) -> None:
    """And one that makes it short and impatient."""
    tail = "server.listen(1)\nserver.setblocking(False)\nserver.shutdown(socket.SHUT_RDWR)\n"
    build(place.tree, {"server.py": SERVER + tail})
    daemon = serve("--listen=127.0.0.1:0")
    [address] = addresses(daemon)
    assert b"version 0" in ask(address)
    os.kill(daemon.pid, signal.SIGUSR1)
    daemon.wait_event("restarted", run=2)
    wait_until(lambda: daemon.stdout.read_text().count("up") == 2, "the second run")
    assert b"version 0" in ask(address)


# What the command gets


@pytest.mark.parametrize("shell", [[], ["--shell"]])
def test_sk03_sk08_what_the_command_gets(shell: list[str], place: Place, watch: Watch) -> None:
    daemon = watch(
        *("--listen=0", "--listen=./a.sock", "--listen", "0.0.0.0:0", *shell),
        command=["exec sleep 1000"] if shell else ["sleep", "1000"],
        environ={"LISTEN_PID": "1", "LISTEN_FDS": "9", "LISTEN_FDNAMES": "x"},
        children=None,
    )
    for number in (1, 2):
        pid = daemon.wait_event("started", run=number)["pid"]
        daemon.wait(lambda pid=pid: procfs.cmdline(pid)[:1] == ["sleep"], "sleep")
        wanted = {"LISTEN_FDS": "3", "LISTEN_PID": str(pid), "LISTEN_FDNAMES": "tree:tree:tree"}
        assert listen_variables(pid) == wanted
        has(daemon, pid, [0, 1, 2, 3, 4, 5])
        sets = procfs.signal_sets(pid)
        assert (sets.blocked, sets.ignored - {32, 33}) == (set(), set())
        group = procfs.stat(pid)
        assert group is not None and group.pgid == pid
        if number == 1:
            os.kill(daemon.pid, signal.SIGUSR1)
    assert [one.rpartition(":")[0] for one in addresses(daemon)] == ["127.0.0.1", "", "0.0.0.0"]
    assert addresses(daemon)[1] == str(place.tree / "a.sock")


def test_without_it_the_command_gets_nothing(watch: Watch) -> None:
    daemon = watch(command=["sleep", "1000"], children=None, environ={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    pid = daemon.wait_event("started")["pid"]
    daemon.wait(lambda: procfs.cmdline(pid)[:1] == ["sleep"], "sleep")
    assert listen_variables(pid) == {}
    has(daemon, pid, [0, 1, 2])


def test_with_dry_run_nothing_listens(place: Place, watch: Watch) -> None:
    daemon = watch("--dry-run", "--listen=./a.sock", ready=False, children=None)
    daemon.wait_event("watching")
    assert not (place.tree / "a.sock").exists()
    assert not daemon.named("listening")


def test_a_command_that_is_missing(place: Place) -> None:
    """The errors of a start are those of one without sockets."""
    (place.tree / "plain").write_text("")
    (place.tree / "script").write_text("#!/nowhere/sh\n")
    for name in ("plain", "script"):
        (place.tree / name).chmod(0o755)
    for command in ("nothing", "./nothing", "./plain", "./script", "/"):
        plain = run(place, "watch", "--", command)
        handed = run(place, "watch", "--listen=0", "--", command)
        text = "".join(line + "\n" for line in handed.stderr.splitlines() if "listening" not in line)
        assert (plain.returncode, plain.stderr) == (handed.returncode, text)


# Addresses that cannot be had


def refused(place: Place, address: str, **keywords: Any) -> str:
    done = run(place, "watch", f"--listen={address}", "--", "true", **keywords)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"reloaderd: cannot listen on {address}: "), line
    return line


def test_sk05_a_port_that_is_in_use(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "address already in use" in refused(place, f"127.0.0.1:{other.getsockname()[1]}")


def test_an_address_that_is_not_here(place: Place) -> None:
    assert "does not have that address" in refused(place, "192.0.2.1:0")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("mine"), "there is a file"),
        (lambda path: path.mkdir(), "there is a directory"),
        (lambda path: path.symlink_to("elsewhere"), "there is a symlink"),
    ],
)
def test_sk05_a_path_where_something_else_is(make: Callable[[Path], object], said: str, place: Place) -> None:
    path = place.tree / "web.sock"
    make(path)
    before = os.lstat(path)
    assert said in refused(place, str(path))
    assert os.lstat(path) == before
    assert not (place.tree / "elsewhere").exists()


def test_sk05_a_path_at_which_somebody_listens(place: Place) -> None:
    path = place.tree / "web.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        before = os.lstat(path).st_ino
        assert "address already in use" in refused(place, str(path))
        assert os.lstat(path).st_ino == before
    assert "create the directory first" in refused(place, str(place.tree / "nowhere/web.sock"))


def test_sk05_every_address_or_none(place: Place) -> None:
    """What was opened before the one that cannot be had is closed and gone."""
    done = run(place, "watch", "--listen=./a.sock", "--listen=./no/b.sock", "--", "true")
    assert done.returncode == 2
    assert os.listdir(place.tree) == []


# The file of a socket


def test_sk06_the_file_of_a_socket_comes_and_goes(place: Place, serve: Serve) -> None:
    path = place.tree / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    stale = os.lstat(path)
    daemon = serve("--listen=nowhere/../web.sock")
    assert os.lstat(path).st_mtime_ns != stale.st_mtime_ns
    assert b"version 0" in ask(str(path))
    daemon.finish()
    assert not path.exists()


@pytest.mark.parametrize("kind", ["socket", "file"])
def test_sk06_what_took_its_place_stays(kind: str, place: Place, serve: Serve) -> None:
    path = place.tree / "web.sock"
    daemon = serve("--listen=./web.sock")
    path.rename(place.outside / "web.sock")
    if kind == "file":
        path.write_text("mine")
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    before = os.lstat(path)
    daemon.finish()
    assert os.lstat(path) == before
    assert stat.S_ISSOCK(os.lstat(place.outside / "web.sock").st_mode)


def test_sk06_one_that_was_killed_is_no_hindrance(place: Place, serve: Serve) -> None:
    first = serve("--listen=./web.sock")
    procfs.kill(first.pid)
    first.wait_exit()
    first.wait(lambda: not procfs.marked(place.mark), "nothing to be left")
    first.end()
    serve("--listen=./web.sock")
    assert b"version 0" in ask(str(place.tree / "web.sock"))


# The configuration file


def table(listen: object, more: str = "", name: str = "web") -> str:
    command = json.dumps(COMMAND)
    # JSON of strings and numbers is TOML
    return f"[service.{name}]\ncommand = {command}\nlisten = {json.dumps(listen)}\n{more}\n"


def write(place: Place, *tables: str) -> None:
    edits.replace(place.tree / "reloaderd.toml", "".join(tables))
    (place.tree / "reloaderd.toml").chmod(0o644)


@pytest.mark.parametrize("listen", [0, "web.sock", ["127.0.0.1:0", "other.sock"]])
def test_a_service_that_changes_keeps_its_sockets(listen: object, place: Place, serve: Serve) -> None:
    write(place, table(listen))
    daemon = serve(configured=True)
    before = addresses(daemon)
    with Clients(before[0]) as clients:
        clients.wait_served(1)
        for number in (1, 2, 3):
            write(place, table(listen, f"env = {{ NUMBER = '{number}' }}"))
            started = daemon.wait_event("started", run=number + 1)
            assert procfs.environ(started["pid"])["NUMBER"] == str(number)
        clients.wait_served(20)
    assert clients.faults == []
    assert addresses(daemon) == before


def test_a_socket_goes_with_its_address_to_another_service(place: Place, serve: Serve) -> None:
    write(place, table("./web.sock"))
    daemon = serve(configured=True)
    with Clients(addresses(daemon)[0]) as clients:
        clients.wait_served(1)
        write(place, table("web.sock", name="site"))
        daemon.wait_event("started", service="site")
        clients.wait_served(20)
    assert clients.faults == []
    assert os.listdir(place.tree).count("web.sock") == 1


def test_a_port_that_was_found_can_be_written_down(place: Place, serve: Serve) -> None:
    write(place, table(0))
    daemon = serve(configured=True)
    [address] = addresses(daemon)
    with Clients(address) as clients:
        clients.wait_served(1)
        write(place, table(address))
        daemon.wait_event("started", run=2)
        write(place, table(address, name="site"))
        daemon.wait_event("started", service="site")
        clients.wait_served(20)
    assert clients.faults == []
    write(place, table("a.sock", name="site"))
    daemon.wait_event("started", service="site", run=2)
    with pytest.raises(ConnectionRefusedError):
        ask(address)


def test_an_address_that_is_named_no_more_is_closed(place: Place, serve: Serve) -> None:
    write(place, table(["a.sock", "b.sock"]))
    daemon = serve(configured=True)
    write(place, table(["a.sock", "c.sock"]))
    daemon.wait_event("started", run=2)
    assert sorted(one for one in os.listdir(place.tree) if one.endswith(".sock")) == ["a.sock", "c.sock"]
    assert [Path(one).name for one in addresses(daemon)] == ["a.sock", "b.sock", "c.sock"]
    assert b"version 0" in ask(str(place.tree / "a.sock"))


@pytest.mark.parametrize("hosts", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_an_address_may_overlap_with_one_that_it_replaces(
    hosts: tuple[str, str], place: Place, serve: Serve
) -> None:
    with socket.socket() as other:  # a port that is free
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    write(place, table(f"{hosts[0]}:{port}"))
    daemon = serve(configured=True)
    for number in (1, 0):
        write(place, table(f"{hosts[number]}:{port}"))
        pid = daemon.wait_event("started", run=3 - number)["pid"]
        assert b"of %d" % pid in ask(f"127.0.0.1:{port}")
    assert addresses(daemon) == [f"{hosts[number]}:{port}" for number in (0, 1, 0)]
    for option in (0, socket.SO_REUSEADDR):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            if option:
                other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind(("127.0.0.1", port))


def test_an_address_that_cannot_be_had_leaves_all_as_it_was(place: Place, serve: Serve) -> None:
    write(place, table("a.sock"))
    daemon = serve(configured=True, warnings=True)
    file = place.outside / "file"
    file.write_text("")
    pid = daemon.named("started")[0]["pid"]
    write(place, table(["a.sock", "b.sock", "../outside/file"], "env = { A = '1' }"))
    daemon.wait_event("warning", text="the configuration stays as it was")
    text = daemon.named("warning")[0]["text"]
    assert text == f"cannot listen on {file}: there is a file (remove it, or name another path)"
    assert not (place.tree / "b.sock").exists()
    assert procfs.alive(pid) and b"version 0" in ask(str(place.tree / "a.sock"))
    file.unlink()
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_event("started", run=2)
    assert (place.tree / "b.sock").exists()


# Files that are removed


def test_one_that_was_removed_is_opened_again_by_the_next_start(place: Place, serve: Serve) -> None:
    path = place.tree / "a.sock"
    daemon = serve("--listen=a.sock", "--listen=0", warnings=True)
    path.unlink()
    edit(place, 1)
    daemon.wait_event("started", run=2)
    texts = [one["text"] for one in daemon.named("warning")]
    assert texts == [f"{path} was removed: it is opened again, for this run and those to come"]
    assert b"version 1" in ask(str(path))
    edit(place, 2)
    daemon.wait_event("started", run=3)
    assert b"version 2" in ask(str(path))
    assert len(daemon.named("warning")) == 1
    daemon.finish()
    assert not path.exists()


def test_where_another_file_is_by_now_it_is_left_alone(place: Place, serve: Serve) -> None:
    path = place.tree / "a.sock"
    daemon = serve("--listen=a.sock", warnings=True)
    path.unlink()
    path.write_text("mine")
    for version in (1, 2):
        edit(place, version)
        daemon.wait_event("started", run=version + 1)
    [warning] = daemon.named("warning")
    assert warning["text"].startswith(
        f"nobody who connects to {path} reaches it: another file is there by now"
    )
    path.unlink()
    edit(place, 3)
    daemon.wait_event("started", run=4)
    assert b"version 3" in ask(str(path))


# What reloaderd itself was started with


ACTIVATE = """\
import os, socket, sys
count, pid, names, *command = sys.argv[1:]
sockets = []
for at, address in enumerate(os.environ.pop("OPEN").split()):
    family = socket.AF_UNIX if "/" in address else socket.AF_INET
    one = socket.socket(family)
    one.bind(address if "/" in address else tuple([address.split(":")[0], int(address.split(":")[1])]))
    one.listen(5)
    sockets.append(os.dup(one.fileno()) if one.fileno() < 20 else one.fileno())
high = [os.dup2(fd, 50 + at) for at, fd in enumerate(sockets)]
os.closerange(3, 50)
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
    os.close(fd)
os.environ |= {"LISTEN_FDS": count, "LISTEN_PID": pid.replace("MINE", str(os.getpid()))}
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execvp(command[0], command)
"""


def activated(count: int, *where: str, names: str = "", pid: str = "MINE") -> dict[str, Any]:
    """Keywords for a daemon that is started with these sockets."""
    prefix = [sys.executable, "-I", "-S", "-c", ACTIVATE, str(count), pid, names]
    return {"prefix": prefix, "environ": {"OPEN": " ".join(where)}}


def test_sd12_what_it_was_started_with_is_passed_on(place: Place, serve: Serve) -> None:
    path = f"{place.runtime}/web"
    daemon = serve(**activated(2, path, "127.0.0.1:0", names="web:http"))
    for run_ in (1, 2):
        pid = daemon.wait_event("started", run=run_)["pid"]
        wanted = {"LISTEN_FDS": "2", "LISTEN_PID": str(pid), "LISTEN_FDNAMES": "web:http"}
        assert listen_variables(pid) == wanted
        has(daemon, pid, [0, 1, 2, 3, 4])
        assert b"of %d" % pid in ask(path)
        edit(place, run_)
    assert [one["inherited"] for one in daemon.named("listening")] == [True, True]
    # not those of the daemon: that it has them at 3 and 4 as well is by the way
    assert {3, 4} <= set(procfs.fds(daemon.pid))
    daemon.finish()
    assert os.path.exists(path)  # it is the service manager's


@pytest.mark.parametrize(("count", "pid"), [(1, "1"), (1, ""), (0, "MINE")])
def test_sd12_what_is_meant_for_another_is_not(count: int, pid: str, place: Place, watch: Watch) -> None:
    given = activated(count, f"{place.runtime}/web", pid=pid)
    daemon = watch(command=["sleep", "1000"], children=None, **given)
    child = daemon.wait_event("started")["pid"]
    daemon.wait(lambda: procfs.cmdline(child)[:1] == ["sleep"], "sleep")
    assert listen_variables(child) == {}
    has(daemon, child, [0, 1, 2])


def test_sd12_who_gets_what(place: Place, watch: Watch) -> None:
    """By address, then by name; one that nobody wants is closed, with a warning."""
    tables = [
        table(["./other.sock", f"{place.runtime}/a"], name="one"),
        table([], name="two"),
        table([f"{place.runtime}/c"], name="three"),
    ]
    build(place.tree, {"server.py": SERVER})
    write(place, *(one.replace("server.py", "sleep.py") for one in tables))
    build(place.tree, {"sleep.py": "import time\ntime.sleep(1000)\n"})
    where = [f"{place.runtime}/{name}" for name in "abc"] + ["127.0.0.1:0"]
    daemon = watch(
        configured=True,
        command=["sleep"],
        children=None,
        warnings=True,
        **activated(4, *where, names="x:two:two:nobody"),
    )
    daemon.wait(lambda: len(daemon.named("started")) == 3, "all")
    pids = {one["service"]: one["pid"] for one in daemon.named("started")}
    names = {name: listen_variables(pid)["LISTEN_FDNAMES"] for name, pid in pids.items()}
    assert names == {"one": "one:x", "two": "two", "three": "two"}
    [warning] = daemon.named("warning")
    assert re.match(r"no service is handed nobody \(127\.0\.0\.1:\d+\)", warning["text"])
    with pytest.raises(ConnectionRefusedError):
        ask(re.findall(r"[\d.]+:\d+", warning["text"])[0])


# What a service manager keeps for it (FDSTORE)


TAKE_BACK = """\
import os, socket, sys
where, names, *command = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as one:
    one.connect(where)
    _, fds, _, _ = socket.recv_fds(one, 100, 100)
high = [os.dup2(fd, 50 + at) for at, fd in enumerate(fds)]
os.closerange(3, 50)
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
    os.close(fd)
os.environ |= {"LISTEN_FDS": str(len(fds)), "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": names}
os.execvp(command[0], command)
"""


class Store(Manager):
    """A service manager that keeps descriptors, and hands them to the next reloaderd."""

    def __init__(self, place: Place) -> None:
        super().__init__(str(place.runtime / "notify"))
        self.kept: list[tuple[str, int]] = []
        self.given = str(place.runtime / "given")

    def refresh(self) -> None:
        while not self.hears_nothing():
            text, descriptors = self.hear_with()
            told = dict(line.split("=", 1) for line in text.splitlines())
            if "FDSTORE" in told:
                self.kept.append((told["FDNAME"], descriptors.pop()))
            if "FDSTOREREMOVE" in told:
                for one in [one for one in self.kept if one[0] == told["FDNAME"]]:
                    self.kept.remove(one)
                    os.close(one[1])
            assert not descriptors

    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.socket.getsockname()), "FDSTORE": "16"}

    def hand_back(self) -> dict[str, Any]:
        """Keywords for a daemon that is started with what was kept, which is given away to the first."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.given)
        listener.listen()

        def give() -> None:
            with listener, listener.accept()[0] as client:
                socket.send_fds(client, [b"x"], [fd for _, fd in self.kept])
            os.unlink(self.given)

        threading.Thread(target=give).start()
        names = ":".join(name for name, _ in self.kept)
        prefix = [sys.executable, "-I", "-S", "-c", TAKE_BACK, self.given, names]
        return {"prefix": prefix, "environ": self.environ()}

    def close(self) -> None:
        super().close()
        for _, fd in self.kept:
            os.close(fd)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = Store(place)
    yield store
    store.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("where", ["127.0.0.1:0", "./web.sock"])
def test_sockets_outlive_reloaderd(where: str, end: int, store: Store, place: Place, serve: Serve) -> None:
    first = serve(f"--listen={where}", environ=store.environ())
    [address] = addresses(first)
    variables = listen_variables(first.named("started")[0]["pid"])
    store.refresh()
    assert [name.rstrip("0123456789") for name, _ in store.kept] == ["+" if "/" in where else "tree+"]
    with Clients(address) as clients:
        clients.wait_served(5)
        # it may have accepted what it does not answer any more
        os.kill(first.named("started")[0]["pid"], signal.SIGSTOP if end == signal.SIGKILL else signal.SIGCONT)
        procfs.kill(first.pid, end)
        first.wait_exit()
        first.wait(lambda: not procfs.marked(place.mark), "nothing to be left")
        first.end()
        second = serve(f"--listen={where}", **store.hand_back())
        clients.wait_served(20)
    assert addresses(second) == [address]
    assert [one for one in clients.faults if "Refused" in one or "NotFound" in one] == []
    assert len(clients.faults) <= 1
    pid = second.named("started")[0]["pid"]
    assert listen_variables(pid) == {**variables, "LISTEN_PID": str(pid)}
    kept = len(store.kept)
    store.refresh()
    assert len(store.kept) == kept == 1


def test_what_is_kept_and_named_no_more_is_taken_out(store: Store, place: Place, serve: Serve) -> None:
    first = serve("--listen=a.sock", "--listen=b.sock", environ=store.environ())
    store.refresh()
    assert len(store.kept) == 2
    first.finish()
    assert (place.tree / "a.sock").exists()  # it is only away for a moment
    write(place, table(["b.sock", "c.sock"]))
    second = serve(configured=True, **store.hand_back())
    store.refresh()
    assert len(store.kept) == 2
    assert sorted(one for one in os.listdir(place.tree) if one.endswith(".sock")) == ["b.sock", "c.sock"]
    assert b"version 0" in ask(str(place.tree / "b.sock"))
    write(place, table(["c.sock"]))
    second.wait_event("started", run=2)
    store.refresh()
    assert len(store.kept) == 1
    assert not (place.tree / "b.sock").exists()


def test_one_whose_file_is_gone_is_made_anew(store: Store, place: Place, serve: Serve) -> None:
    serve("--listen=a.sock", environ=store.environ()).finish()
    store.refresh()
    (place.tree / "a.sock").unlink()
    serve("--listen=a.sock", **store.hand_back())
    assert b"version 0" in ask(str(place.tree / "a.sock"))
    store.refresh()
    assert len(store.kept) == 1


def test_what_is_opened_again_is_kept_in_the_place_of_the_former(
    store: Store, place: Place, serve: Serve
) -> None:
    daemon = serve("--listen=a.sock", environ=store.environ(), warnings=True)
    store.refresh()
    [(former, _)] = store.kept
    (place.tree / "a.sock").unlink()
    edit(place, 1)
    daemon.wait_event("started", run=2)
    store.refresh()
    [(name, _)] = store.kept
    assert name != former
    daemon.finish()
    serve("--listen=a.sock", **store.hand_back())
    assert b"version 1" in ask(str(place.tree / "a.sock"))
