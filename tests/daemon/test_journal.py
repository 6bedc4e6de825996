"""What a real reloaderd leaves in the journal (SD10): entries, or lines with their priority."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from reloaderd.kernel.journal import Journal
from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch, reloaderd
from tests.support.journald import Journald
from tests.support.places import Place, build
from tests.support.waiting import LIMIT

WITH_A_JOURNAL = """
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
mount --bind "$0" /run/systemd/journal
exec "$@"
"""


@pytest.fixture(autouse=True)
def tree(place: Place) -> Path:
    build(place.tree, {"a.py": "1\n"})
    return place.tree


@pytest.fixture
def journald(place: Place) -> Iterator[Journald]:
    (place.base / "journal").mkdir()
    journald = Journald(str(place.base / "journal/socket"))
    yield journald
    journald.close()


def with_a_journal(place: Place) -> Sequence[str]:
    """A prefix: its socket is where journald has it, for what follows alone."""
    unshare = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Urm"]
    return [*unshare, "sh", "-ec", WITH_A_JOURNAL, str(place.base / "journal")]


def stream(file: Path) -> dict[str, str | None]:
    """The variable by which systemd says that this file is a stream to the journal."""
    file.touch()
    look = file.stat()
    return {"JOURNAL_STREAM": f"{look.st_dev}:{look.st_ino}"}


def restart(daemon: Daemon, place: Place) -> None:
    """One change, one run more that saw it."""
    count = len(daemon.starts)
    edits.append(place.tree / "a.py")
    daemon.wait_starts(count + 1)
    daemon.final_state_seen()


Start = Callable[..., Daemon]


@pytest.fixture
def start(watch: Watch, place: Place, journald: Journald) -> Start:
    def start(*options: str, journal: str | None = None, **keywords: object) -> Daemon:
        environ = stream(place.scratch / "stderr-1") if journal is None else {"JOURNAL_STREAM": journal}
        prefix = with_a_journal(place)
        return watch(*options, environ=environ, prefix=prefix, log_format="text", **keywords)

    return start


def test_entries_where_stderr_is_the_journal(start: Start, journald: Journald, place: Place) -> None:
    daemon = start()
    restart(daemon, place)
    changed = journald.wait("changed")
    assert changed["RELOADERD_PATH"] == [os.fsencode(place.tree / "a.py")]
    assert changed["RELOADERD_SERVICE"] == [b"tree"]
    assert changed["MESSAGE"] == [b"changed: a.py"]
    restarted = [one for one in journald.of("started") if one["RELOADERD_RUN"] == [b"2"]]
    assert len(restarted) == 1
    assert daemon.noise == []
    assert procfs.environ(daemon.exactly_one_live_child())["JOURNAL_STREAM"], "its stderr is the same"


def test_a_redirected_stderr_is_not_the_journal(start: Start, journald: Journald, place: Place) -> None:
    daemon = start(journal="1:2")
    daemon.wait_line(lambda line: line.startswith("[reloaderd] started"))
    assert journald.messages() == []


def test_entries_where_they_are_asked_for(start: Start, journald: Journald, place: Place) -> None:
    daemon = start("--log-format", "journal", "-v", journal="")
    restart(daemon, place)
    journald.wait("stopping")
    assert daemon.noise == []


def test_text_where_it_is_asked_for(start: Start, journald: Journald) -> None:
    daemon = start("--log-format", "text")
    daemon.wait_line(lambda line: line.startswith("[reloaderd] started"))
    assert journald.messages() == []


def test_a_journal_that_does_not_read_delays_nothing(start: Start, journald: Journald, place: Place) -> None:
    daemon = start()
    other = Journal(journald.path)
    while other.send([("MESSAGE", "of another"), ("RELOADERD_EVENT", "")]):
        pass
    other.close()
    for _ in range(3):
        restart(daemon, place)
    journald.refresh()
    assert not journald.of("restarted")
    restart(daemon, place)
    assert [one for one in journald.messages() if "lost here" in one]


def test_sd10_a_journal_that_goes_and_comes_back(start: Start, journald: Journald, place: Place) -> None:
    """Nothing ends by that, and entries go on."""
    daemon = start()
    journald.wait("started")
    journald.close()
    os.unlink(journald.path)
    restart(daemon, place)
    assert daemon.wait_line(lambda line: line.startswith("<6>[reloaderd] restarted #2"))
    again = Journald(journald.path)
    restart(daemon, place)
    again.wait("changed")
    again.close()


def test_no_journal_at_all(watch: Watch, place: Place) -> None:
    """A pipe that is closed while it is stderr, too."""
    reader, writer = os.pipe()
    argv = [*reloaderd(place), "watch", "--log-format", "journal", ".", "--", "sleep", "60"]
    without = [*with_a_journal(place)[:-1], "/nowhere"]
    without[-2] = 'mount -t tmpfs none /run; exec "$@"'
    process = subprocess.Popen([*without, *argv], cwd=place.tree, env=place.environ(), stderr=writer)
    os.close(writer)
    with open(reader) as lines:
        for line in lines:
            assert line.startswith("<6>[reloaderd] ")
            if "started" in line:
                break
    process.terminate()
    assert process.wait(LIMIT) == -15


@pytest.mark.parametrize("words", [["nowhere"], ["--backend", "none"]])
def test_errors_have_a_priority(place: Place, words: Sequence[str]) -> None:
    file = place.scratch / "stderr"
    environ = place.environ(**{name: value or "" for name, value in stream(file).items()})
    argv = [*reloaderd(place), "watch", *words, "--", "true"]
    with open(file, "ab") as stderr:
        run = subprocess.run(argv, cwd=place.tree, env=environ, stderr=stderr, timeout=LIMIT, check=False)
    assert run.returncode == 2
    assert file.read_text().startswith("<3>reloaderd: ")
