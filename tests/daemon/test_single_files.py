"""SF: roots that are files, which are replaced rather than written more often than not."""

from __future__ import annotations

import os

import pytest

from tests.support import edits
from tests.support.daemon import Daemon, Watch
from tests.support.editors import run, vim
from tests.support.places import Place, build

pytestmark = pytest.mark.every_source


@pytest.fixture
def daemon(place: Place, watch: Watch) -> Daemon:
    """Two files of a directory are roots, app.py and the marker; their neighbours are not."""
    build(place.tree, {"app.py": "1\n", "other.py": "o\n"})
    return watch(
        roots=("app.py", "marker.py"), read=(str(place.tree / "app.py"), str(place.tree / "marker.py"))
    )


@pytest.mark.smoke
def test_sf01_in_place_write(place: Place, daemon: Daemon) -> None:
    with daemon.restarts(1):
        edits.write(place.tree / "app.py")
    with daemon.restarts(1):
        edits.append(place.tree / "app.py")


def test_sf02_replaced_five_times(place: Place, daemon: Daemon) -> None:
    for number in range(5):
        with daemon.restarts(1):
            edits.replace(place.tree / "app.py", f"{number}\n")


def test_sf02_replaced_from_another_directory(place: Place, daemon: Daemon) -> None:
    for number in range(2):
        with daemon.restarts(1):
            edits.replace_from(place.outside, place.tree / "app.py", f"{number}\n")


@pytest.mark.needs("vim")
def test_sf02_saved_by_vim(place: Place, daemon: Daemon) -> None:
    for _ in range(3):
        with daemon.restarts(1):
            vim(place, "app.py", "backupcopy=no", "writebackup")


def test_sf03_replaced_while_the_child_has_it_open(place: Place, watch: Watch) -> None:
    path = place.tree / "app.py"
    build(place.tree, {"app.py": "1\n"})
    with open(path) as held:
        daemon = watch(roots=("app.py", "marker.py"), stdin=held)
        for number in range(2):
            with daemon.restarts(1):
                edits.replace(path, f"{number}\n")


def test_sf04_deleted_and_recreated(place: Place, daemon: Daemon) -> None:
    path = place.tree / "app.py"
    daemon.warnings = True  # about a root that has gone
    for number in range(2):
        at = daemon.mark()
        os.unlink(path)
        daemon.wait_word(at)
        edits.write(path, f"again {number}\n")
        daemon.final_state_seen()
        with daemon.restarts(1):
            edits.append(path)


def test_sf04_renamed_away_and_back(place: Place, daemon: Daemon) -> None:
    daemon.warnings = True
    at = daemon.mark()
    os.rename(place.tree / "app.py", place.tree / "away.py")
    daemon.wait_word(at)
    with daemon.restarts(0):
        edits.append(place.tree / "away.py")
    os.rename(place.tree / "away.py", place.tree / "app.py")
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(place.tree / "app.py")


def test_sf07_neighbours_do_not_count(place: Place, daemon: Daemon) -> None:
    with daemon.restarts(0):
        edits.append(place.tree / "other.py")
        edits.write(place.tree / "new.py")
        edits.replace(place.tree / "other.py")
        build(place.tree, {"pkg/app.py": "below\n"})


def test_sf_file_behind_a_chain_of_links(place: Place, watch: Watch) -> None:
    """Each link of the chain counts, and so does the file at its end."""
    build(place.outside, {"one/real.py": "one\n", "two/real.py": "two\n"})
    (place.tree / "app.py").symlink_to("../outside/middle")
    (place.outside / "middle").symlink_to("one/real.py")
    daemon = watch(roots=("app.py", "marker.py"))
    with daemon.restarts(1):
        edits.append(place.outside / "one/real.py")
    with daemon.restarts(1):
        run(place, "ln", "-sf", "two/real.py", "middle", cwd=place.outside)
    with daemon.restarts(1):
        edits.replace(place.outside / "two/real.py")
    with daemon.restarts(0):
        edits.append(place.outside / "one/real.py")
    with daemon.restarts(1):
        run(place, "ln", "-sf", "../outside/one/real.py", "app.py")
    with daemon.restarts(1):
        edits.append(place.outside / "one/real.py")


def test_sf_many_files_of_one_directory(place: Place, watch: Watch) -> None:
    names = [f"m{number}.py" for number in range(30)]
    build(place.tree, dict.fromkeys(names, "m\n"))
    daemon = watch(roots=(*names[:20], "marker.py"))
    with daemon.restarts(1):
        edits.append(place.tree / names[19])
    with daemon.restarts(0):
        edits.append(place.tree / names[20])
