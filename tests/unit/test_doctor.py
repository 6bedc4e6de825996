"""The doctor's command line, and its findings as a table."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest

from reloaderd import cli
from reloaderd.core.diagnosis import Allowance, Ignored, Problem, Unreadable, problems
from reloaderd.doctor import record, table
from reloaderd.doctor.options import doctor_parser
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.settings import DoctorSettings, RuleSettings, ServiceSettings, Settings
from tests.support.findings import checkup, part, root


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `src/` and `app.py`."""
    (tmp_path / "src").mkdir()
    (tmp_path / "app.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The command line


def asked(*words: str) -> DoctorSettings:
    settings = cli.parse(["doctor", *words])
    assert isinstance(settings, DoctorSettings)
    return settings


def test_the_defaults_are_those_of_the_records(here: Path) -> None:
    assert asked() == DoctorSettings(ServiceSettings("doctor", (), (str(here),), dry_run=True))


WHAT = ["-e", "py", "-f", "a*", "-i", "b", "--no-gitignore", "--no-default-ignores", "--on", "x=ignore"]


def test_it_asks_for_what_watch_watches() -> None:
    options = [*WHAT, "--follow-links", "--backend", "inotify", "src", "app.py"]
    watch = cli.parse(["watch", *options, "--", "true"])
    assert isinstance(watch, Settings)
    [service] = watch.services
    found = asked(*options, "--json")
    assert found == DoctorSettings(
        service._replace(name="doctor", command=(), dry_run=True), watch.backend, json=True
    )
    assert service.rules != RuleSettings() and service.follow_links


def test_its_options_are_those_of_watch_and_two_of_its_own() -> None:
    def options(parser: object) -> set[str]:
        return set(parser._option_string_actions)  # type: ignore[attr-defined]

    assert options(doctor_parser()) - options(watch_parser()) == {"--json"}


@pytest.mark.parametrize("columns", ["80", "100"])
def test_help_tells_every_option_within_the_width(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = cli.parse(["doctor", "nope", "--help"])
    assert isinstance(said, cli.Said) and said.status == 0
    assert said.text.startswith("usage: reloaderd doctor [OPTIONS] [PATH ...]\n")
    for option in doctor_parser()._option_string_actions:
        assert option in said.text
    assert max(map(len, said.text.splitlines())) <= int(columns)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["nope"], "nope: no such file", "give a PATH that exists"),
        (["--qqqqqq"], "unknown option --qqqqqq", "see reloaderd doctor --help"),
        (["-v"], "-v changes nothing of what is watched", "leave it out"),
        (["--debounce=1s"], "--debounce changes nothing of what is watched", "leave it out"),
        (
            ["src", "--", "a b"],
            "doctor takes no COMMAND",
            "leave out -- and all after it: reloaderd doctor src",
        ),
        (["--"], "doctor takes no COMMAND", "leave out -- and all after it: reloaderd doctor"),
        (["--backend", "x"], "--backend x: no such choice", "choose auto"),
        (["--json=1"], "--json takes no value: '1'", "see reloaderd doctor --help"),
    ],
)
def test_mistakes(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(ReloaderdError) as caught:
        cli.parse(["doctor", *words])
    error = caught.value
    assert error.message.startswith(message) and error.hint.startswith(hint) and error.exit_code == 2


def test_it_is_suggested_where_it_is_misspelt() -> None:
    with pytest.raises(ReloaderdError) as caught:
        cli.parse(["docter"])
    assert caught.value.hint == "did you mean doctor?"
    assert "reloaderd doctor" in cli.OVERVIEW


# The table


def test_a_table() -> None:
    found = checkup(
        root(
            "/p/shop",
            part=part("/p/shop", directories=1200),
            parts=[part("/p/shop/mnt", "fuse.sshfs", "fuse.sshfs", 34), part("/p/shop/tmp", "tmpfs", "", 1)],
            files=9876,
            skipped=12,
            below=1201,
            way=4,
            ignored=[
                Ignored("/p/shop/node_modules", 50214, True, "node_modules", "default ignores"),
                Ignored("/p/shop/build", 3, True, "/build/", "/p/shop/.gitignore:3"),
                Ignored("/p/shop/x", 1, True, "x", "/home/.gitignore:1"),
            ],
            unreadable=[Unreadable("/p/shop/db", errno.EACCES)],
        ),
        root("/p/a.py", is_dir=False, part=part("/p/a.py", directories=0), below=0, way=2),
        needed=1206,
    )
    assert (
        table.text(found, [])
        == """\
/p/shop
  file system  ext4, mounted on /
  source       inotify (the kernel sees all writers)
  directories   1,235
  files         9,876 that count, 12 more do not
  watches       1,205 (1,201 for its directories, 4 for the way to it)
  of these         34 mnt/  poll (fuse.sshfs: others write to it)
                    1 tmp/  inotify (tmpfs: the kernel sees all writers)
  ignored      50,218 directories in 3 places
               50,214 node_modules/  default ignores: node_modules
                    3 build/         .gitignore:3: /build/
                    1 x/             /home/.gitignore:1: x
  not watched       1 directory
                      db/  permission denied

/p/a.py
  file system  ext4, mounted on /
  source       inotify (the kernel sees all writers)
  watches           2 (for the way to it)

limits of this user             allowed   taken   needed
fs.inotify.max_user_watches       8,192       5    1,206
fs.inotify.max_user_instances       128       1        1
fs.inotify.max_queued_events     16,384

Nothing needs a mend.
"""
    )


def test_problems_come_last_and_are_wrapped_but_not_their_mends() -> None:
    said = table.text(checkup(), [Problem("word " * 30, "sudo sysctl " + "x" * 100)])
    *_, first, second, third, mend = said.splitlines()
    assert first.startswith("problem: word word") and second.startswith("         word")
    assert max(map(len, (first, second, third))) <= 80
    assert mend == "   mend: sudo sysctl " + "x" * 100
    assert "Nothing needs a mend" not in said


def test_the_docs_show_a_problem_as_it_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs/usage.md").read_text(encoding="utf-8")
    shown = re.search(r"\$ reloaderd doctor\n(problem: .*?)```", page, re.S)
    assert shown is not None
    found = checkup(needed=3012, watches=Allowance("fs.inotify.max_user_watches", 8192, 6100))
    assert table.text(found, problems(found)).endswith(shown[1])


def test_a_line_that_would_be_too_long_is_two() -> None:
    long = "a/" * 25 + "node_modules"
    ignored = [
        Ignored(f"/p/{long}", 12, True, "node_modules", "default ignores"),
        Ignored("/p/b", 2, True, "b", "c:1"),
    ]
    said = table.text(checkup(root(ignored=ignored)), [])
    assert f"               12 {long}/\n                    default ignores: node_modules\n" in said
    assert "                2 b/  c:1: b\n" in said


def test_what_was_not_counted_to_the_end_is_said() -> None:
    ignored = [Ignored("/p/a", 90000, False, "a", "x:1"), Ignored("/p/b", 2, True, "b", "x:2")]
    said = table.text(checkup(root(ignored=ignored)), [])
    assert "  ignored      90,002+ directories in 2 places (+: too many to count them all)\n" in said
    assert "               90,000+ a/  x:1: a\n" in said
    assert "                    2 b/  x:2: b\n" in said


def test_what_is_out_of_sight_is_said() -> None:
    assert "(more may be taken" in table.text(checkup(complete=False), [])
    assert "(more may be taken" not in table.text(checkup(), [])


def test_limits_that_are_not_known_are_left_out() -> None:
    said = table.text(checkup(watches=Allowance(), instances=Allowance(), queue=("", 0)), [])
    assert "fs.inotify" not in said and "limits of this user" not in said


def test_a_root_that_is_gone_and_a_file_system_that_is_not_known() -> None:
    said = table.text(checkup(root(here=False, part=part(type=""))), [])
    assert "file system  not known\n" in said
    assert "directories" not in said.partition("limits")[0]


def test_nothing_in_it_is_obeyed_by_a_terminal() -> None:
    bad = "\x1b[2J\n\udcff\u202e"
    found = checkup(
        root(
            f"/{bad}",
            part=part(f"/{bad}", type=bad),
            parts=[part(f"/{bad}/{bad}", type=bad)],
            ignored=[Ignored(f"/{bad}/{bad}", 1, True, bad, f"/{bad}:1")],
            unreadable=[Unreadable(f"/{bad}/{bad}", errno.EIO)],
        )
    )
    said = table.text(found, [Problem(bad, bad)])
    assert said.isascii() and said.replace("\n", "").isprintable()
    assert len(said.splitlines()) == len(
        table.text(
            checkup(root(**{**found.roots[0]._asdict(), "path": "/x"})), [Problem("a", "b")]
        ).splitlines()
    )


# The object


def test_the_object_has_names_that_can_be_found_again_and_bounded_lists() -> None:
    many = [Ignored(f"/p/\udcff{n}", 2, n > 0, "x", "y:1") for n in range(1500)]
    line = record.text(checkup(root(ignored=many)), [Problem("a", "b")])
    assert line.isascii() and line.count("\n") == 1
    found = json.loads(line)
    [one] = found["roots"]
    assert (len(one["ignored"]), one["ignored_count"], one["ignored_directories"]) == (1000, 1500, 3000)
    assert os.fsencode(one["ignored"][0]["path"]) == b"/p/\xff0"
    assert [entry["complete"] for entry in one["ignored"][:2]] == [False, True]
    assert found["problems"] == [{"text": "a", "mend": "b"}]
    assert found["limits"]["complete"] is True
