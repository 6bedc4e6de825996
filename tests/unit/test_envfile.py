"""Environment files: the lines that are understood, and faults told by line and without values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reloaderd import envfile
from reloaderd.errors import ReloaderdError


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("PORT=8000", ("PORT", "8000")),
        ("  export NAME=web  ", ("NAME", "web")),
        ("EMPTY=", ("EMPTY", "")),
        ("A = spaced ", ("A", "spaced")),
        ("URL=http://x/#frag", ("URL", "http://x/#frag")),
        ("A=b # why", ("A", "b")),
        ("A=# why", ("A", "")),
        ("A=b=c", ("A", "b=c")),
        ("A=$HOME", ("A", "$HOME")),
        (r"A=C:\new", ("A", r"C:\new")),
        (r'A="two\nlines, \$5 \"so\" \\ \d"', ("A", 'two\nlines, $5 "so" \\ \\d')),
        ('A="it\'s # here" # not here', ("A", "it's # here")),
        (r"A='^\w+$ # x'", ("A", r"^\w+$ # x")),
        ("A=it's", ("A", "it's")),
        ("exportA=1", ("exportA", "1")),
        ("A=\udcff", ("A", "\udcff")),
        ("A=1\r", ("A", "1")),
    ],
)
def test_line(line: str, variable: tuple[str, str]) -> None:
    assert envfile.parse(line) == ([variable], [])


@pytest.mark.parametrize("line", ["", "   ", "# PORT=1", "  # x", "\r"])
def test_nothing_in_it(line: str) -> None:
    assert envfile.parse(line) == ([], [])


@pytest.mark.parametrize(
    "line",
    ["secret", "=secret", "1A=secret", "A B=secret", 'A="secret', "A='secret", 'A="x" secret', "A=secret\0"],
)
def test_faults_tell_the_line_and_not_the_value(line: str) -> None:
    variables, faults = envfile.parse(f"OK=1\n\n{line}\nLAST=2")
    assert variables == [("OK", "1"), ("LAST", "2")]
    [(number, fault)] = faults
    assert number == 3
    assert "secret" not in fault


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert envfile.parse("\ufeffA=1") == ([("A", "1")], [])


def test_faults_are_listed_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text("A=1\nnonsense\nB='open\n" + "bad\n" * 9)
    with pytest.raises(ReloaderdError) as caught:
        envfile.read(str(file))
    assert f"{file}:2: " in caught.value.message
    assert f"{file}:3: the quotes of B" in caught.value.message
    assert caught.value.message.endswith("; and 6 more")
    assert caught.value.exit_code == 2


def test_bytes_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_bytes(b"A=\xff\n")
    [(_, value)] = envfile.read(str(file))
    assert os.fsencode(value) == b"\xff"


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, message in [
        (str(fifo), "not a regular file"),
        (str(tmp_path), "is a directory"),
        ("/dev/zero", "not a regular file"),
        (str(tmp_path / "absent"), "no such file"),
    ]:
        with pytest.raises(ReloaderdError, match=message) as caught:
            envfile.read(path)
        assert path in caught.value.message


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    with file.open("wb") as huge:
        huge.truncate(100 << 20)
    with pytest.raises(ReloaderdError, match="larger"):
        envfile.read(str(file))
