"""NM: names that are not what one expects of a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place, build

pytestmark = pytest.mark.every_source

ODD_NAMES = {
    "nm01_not_utf8": b"\xff\xfe.py",
    "nm01_half_a_character": b"\xc3.py",
    "nm04_255_bytes": b"n" * 252 + b".py",
    "nm07_option": b"-rf",
    "nm07_long_option": b"--help",
    "nm07_space": b" ",
    "nm07_star": b"*",
    "nm07_bracket": b"[a-",
    "nm07_command": b"$(touch x)",
    "nm07_backticks": b"`touch x`.py",
    "nm07_separator": b";touch x",
    "nm07_newline": b"two\nlines.py",
    "nm07_escape": b"\x1b[2J\x1b]0;title\x07.py",
    "nm07_carriage_return": b"\rover.py",
    "nm07_quote": b"a'b\"c\\d.py",
    "nm07_bang": b"!important",
    "nm07_trailing_space": b"name ",
    "nm07_format": b"%s{0}%(x)s.py",
}


def nothing_was_run(place: Place) -> None:
    assert not list(place.base.rglob("x"))


def one_line_each(daemon: Daemon) -> None:
    """Nothing on stderr but log lines, without control characters."""
    data = daemon.stderr.read_bytes()
    assert not daemon.noise
    assert not any(byte < 32 and byte != 10 for byte in data)


@pytest.mark.parametrize("case", ODD_NAMES)
def test_odd_file_name(case: str, place: Place, watch: Watch) -> None:
    path = Path(os.fsdecode(bytes(place.tree) + b"/" + ODD_NAMES[case]))
    daemon = watch("--debounce=40ms")
    with daemon.restarts(1):
        edits.write(path, "created\n")
    assert str(path) in daemon.changed_paths()
    with daemon.restarts(1):
        edits.append(path)
    with daemon.restarts(1):
        os.unlink(path)
    nothing_was_run(place)
    one_line_each(daemon)


@pytest.mark.only("inotify", reason="what is shown of a name does not depend on who told of it")
@pytest.mark.parametrize("case", ODD_NAMES)
def test_odd_file_name_in_text(case: str, place: Place, watch: Watch) -> None:
    """The lines for people show it escaped, on one line."""
    path = Path(os.fsdecode(bytes(place.tree) + b"/" + ODD_NAMES[case]))
    daemon = watch(log_format="text")
    edits.write(path, "created\n")
    daemon.final_state_seen()
    lines = daemon.stderr.read_bytes().split(b"\n")[:-1]
    assert all(line.startswith(b"[reloaderd] ") for line in lines), lines
    assert not any(byte < 32 for line in lines for byte in line), lines
    b"\n".join(lines).decode("utf-8")
    nothing_was_run(place)


@pytest.mark.parametrize("as_root", [False, True], ids=["below", "as_path"])
def test_nm02_directory_not_utf8(as_root: bool, place: Place, watch: Watch) -> None:
    name = os.fsdecode(b"d\xff\xfeir")
    build(place.tree, {f"{name}/m.py": "m\n", "app/a.py": "a\n"})
    daemon = watch(roots=(name, "app") if as_root else (".",), marker="app/marker.py")
    with daemon.restarts(1):
        edits.append(place.tree / name / "m.py")
    with daemon.restarts(1):
        edits.write(place.tree / name / os.fsdecode(b"\xe9.py"))
    with daemon.restarts(1):
        os.rename(place.tree / name / "m.py", place.tree / name / "n.py")
    with daemon.restarts(1):
        edits.append(place.tree / "app/a.py")


def test_nm07_odd_names_as_paths(place: Place, watch: Watch) -> None:
    names = ("-dir", "a b", "[x]*", "!no", "~", "#hash", "%41", "back\\slash", "new\nline")
    build(place.tree, {f"{name}/m.py": "m\n" for name in names})
    daemon = watch("--debounce=40ms", roots=[f"./{name}" for name in (*names, "marker.py")])
    for name in names:
        with daemon.restarts(1):
            edits.append(place.tree / name / "m.py")
    one_line_each(daemon)


def test_nm07_names_do_not_become_patterns(place: Place, watch: Watch) -> None:
    """A root's own name has pattern characters; rules below it work as in any other."""
    build(place.tree, {"[ab]*/a.py": "a\n", "[ab]*/b.txt": "b\n", "a/a.py": "not watched\n"})
    daemon = watch("--ext=py", roots=("[ab]*",), marker="[ab]*/marker.py")
    with daemon.restarts(1):
        edits.append(place.tree / "[ab]*/a.py")
    with daemon.restarts(0):
        edits.append(place.tree / "[ab]*/b.txt")


def test_nm10_composed_and_decomposed(place: Place, watch: Watch) -> None:
    composed, decomposed = place.tree / "caf\u00e9.py", place.tree / "cafe\u0301.py"
    daemon = watch()
    for path in (composed, decomposed):
        with daemon.restarts(1):
            edits.write(path, f"{path.name}\n")
    with daemon.restarts(1):
        os.unlink(composed)
    with daemon.restarts(1):
        edits.append(decomposed)
    paths = daemon.changed_paths()
    assert {str(composed), str(decomposed)} <= paths


class Depths:
    """A chain of directories that ends deeper than any call takes a path for; made and reached by parts."""

    def __init__(self, top: Path, count: int = 20) -> None:
        self.names = ["d" * 250] * count
        self.fds = [os.open(top, os.O_PATH | os.O_DIRECTORY)]
        for name in self.names:
            os.mkdir(name, dir_fd=self.fds[-1])
            self.fds.append(os.open(name, os.O_PATH | os.O_DIRECTORY, dir_fd=self.fds[-1]))

    def write(self, name: str, depth: int = -1) -> None:
        """Append to a file in one of the directories, the last unless told otherwise."""
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, dir_fd=self.fds[depth])
        os.write(fd, b"more\n")
        os.close(fd)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


def test_nm_deeper_than_path_max(place: Place, watch: Watch) -> None:
    """Files that no path leads to are watched as any other, at the start and when they come later."""
    build(place.tree, {"pkg/m.py": "m\n"})
    depths = Depths(place.tree)
    depths.write("m.py")
    depths.write("n.py", 16)  # its own path is longer, that of its directory is not
    daemon = watch("--debounce=40ms", read=(str(place.tree / "pkg"), str(place.tree / "marker.py")))
    with daemon.restarts(1):
        edits.append(place.tree / "pkg/m.py")
    with daemon.restarts(1):
        depths.write("m.py")
    with daemon.restarts(1):
        depths.write("new.py")
    with daemon.restarts(1):
        depths.write("n.py", 16)
    with daemon.restarts(1, cut=2):
        os.mkdir("later", dir_fd=depths.fds[-1])
        depths.fds.append(os.open("later", os.O_PATH | os.O_DIRECTORY, dir_fd=depths.fds[-1]))
        depths.write("m.py")
    with daemon.restarts(1):
        depths.write("m.py")
    with daemon.restarts(1):
        os.unlink("m.py", dir_fd=depths.fds[-1])
    depths.close()
