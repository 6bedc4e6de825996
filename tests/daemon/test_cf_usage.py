"""Case CF01 and its kin: what is wrong with a command line is told in one line, with status 2."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import reloaderd
from tests.support.places import Place
from tests.support.waiting import LIMIT


def run(
    place: Place, *words: str | bytes, prefix: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run reloaderd to its end in `place.tree`; `prefix` is a shell's redirection."""
    argv: list[str | bytes] = [*reloaderd(place), *words]
    if prefix:
        argv = ["/bin/sh", "-c", f'exec "$@" {prefix}', "sh", *argv]
    return subprocess.run(
        argv,
        cwd=place.tree,
        env=place.environ(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=LIMIT,
        check=False,
    )


def complaint(place: Place, *words: str | bytes) -> str:
    """The one line of an error, which must be all there is."""
    done = run(place, *words)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("reloaderd: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def started(place: Place) -> Path:
    """A file that the command would make if it were started."""
    return place.outside / "started"


@pytest.mark.parametrize(
    ("line", "named", "mend"),
    [
        ("watch", "COMMAND is missing", "put -- before the command"),
        ("watch .", "COMMAND is missing", "put -- before the command"),
        ("watch . --", "COMMAND is missing", "after --"),
        ("watch . sh run.sh", "COMMAND is missing", "reloaderd watch . -- sh run.sh"),
        ("wacth . -- touch {started}", "wacth", "did you mean watch?"),
        ("watch --bogus -- touch {started}", "--bogus", "--help"),
        ("watch --debonce 1s -- touch {started}", "--debonce", "--debounce"),
        ("watch --debounce 1x -- touch {started}", "--debounce 1x", "50ms"),
        ("watch --name a --name b -- touch {started}", "--name is given twice", "leave"),
        ("watch --ext -- touch {started}", "--ext needs a value", ""),
        ("watch --stop-signal NOPE -- touch {started}", "NOPE", "TERM"),
        ("watch --on x -- touch {started}", "--on x", "GLOB=ACTION"),
        ("watch --backend kqueue -- touch {started}", "--backend kqueue", "inotify"),
        ("watch --chdir nope -- touch {started}", "--chdir nope", ""),
        ("watch --env-file nope -- touch {started}", "--env-file nope", ""),
        ("watch nope -- touch {started}", "nope: no such file or directory", "create it"),
    ],
)
def test_cf01_mistakes_are_one_line_and_nothing_starts(
    place: Place, started: Path, line: str, named: str, mend: str
) -> None:
    said = complaint(place, *line.format(started=started).split())
    assert named in said
    assert mend in said
    assert not started.exists()


def test_cf01_no_arguments_at_all_shows_what_to_type(place: Place) -> None:
    done = run(place)
    assert (done.returncode, done.stdout) == (2, "")
    assert "reloaderd watch src -- python app.py" in done.stderr


def test_cf02_options_of_the_command_are_not_ours(place: Place) -> None:
    done = run(place, "watch", "nope", "--", "cmd", "--help", "--", "--version")
    assert done.returncode == 2
    assert "nope" in done.stderr


def test_cf01_a_fifo_as_env_file_does_not_hang(place: Place) -> None:
    os.mkfifo(place.tree / "fifo")
    assert "fifo: not a regular file" in complaint(place, "watch", "--env-file", "fifo", "--", "true")


def test_cf01_faults_of_an_env_file_have_file_and_line_and_no_value(place: Place) -> None:
    (place.tree / "x.env").write_text("A=1\nhunter2\n")
    said = complaint(place, "watch", "--env-file", "x.env", "--", "true")
    assert "x.env:2:" in said
    assert "hunter2" not in said


@pytest.mark.needs("modes")
@pytest.mark.parametrize("name", ["dir", "file"])
def test_di33_an_unreadable_root_is_named(place: Place, name: str) -> None:
    (place.tree / "dir").mkdir()
    (place.tree / "file").touch()
    (place.tree / name).chmod(0)
    argv = [*reloaderd(place), "watch", name, "--", "true"]
    if os.getuid() == 0:  # the owner still, who is asked for the modes when these capabilities are gone
        argv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *argv]
    done = subprocess.run(
        argv, cwd=place.tree, env=place.environ(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 2, done
    assert f"{name}: permission denied (EACCES" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nm07_what_a_terminal_would_obey_is_escaped(place: Place) -> None:
    said = complaint(place, b"watch", b"\x1b[2J\n\xff", b"--", b"true")
    assert r"\x1b[2J\n\xff: no such file" in said


def test_help_and_version_go_to_stdout(place: Place) -> None:
    for words in (("--help",), ("watch", "--help"), ("--version",)):
        done = run(place, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "reloaderd" in done.stdout


def test_help_survives_a_reader_that_stops(place: Place) -> None:
    argv = [*reloaderd(place), "watch", "--help"]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:
        done = subprocess.run(argv, env=place.environ(), stdout=out, stderr=subprocess.PIPE, timeout=LIMIT)
    assert done.returncode == 0
    assert done.stderr == b""


def test_help_that_cannot_be_written_is_an_error(place: Place) -> None:
    done = run(place, "--help", prefix=">/dev/full")
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_change_nothing(place: Place, closed: str) -> None:
    assert run(place, "watch", "nope", "--", "true", prefix=closed).returncode == 2
    assert run(place, "--version", prefix=closed).returncode == 0


def test_out01_errors_stay_off_stdout_when_stderr_is_closed(place: Place) -> None:
    done = run(place, "watch", "nope", "--", "true", prefix="2>&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_locale_without_utf8_is_no_reason_to_fail(place: Place) -> None:
    for encoding in ("ascii", "latin-1"):
        done = run(place, "watch", "größe", "--", "true", PYTHONIOENCODING=encoding)
        assert done.returncode == 2
        assert "no such file" in done.stderr
        assert "Traceback" not in done.stderr


def test_no_file_of_the_tree_is_imported(place: Place) -> None:
    """`reloaderd` in a project with a `signal.py` of its own."""
    (place.tree / "signal.py").write_text("raise SystemExit(99)\n")
    assert run(place, "--version").returncode == 0
