"""DB: many changes, one restart; changes at any moment, never two children, never a lost one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Watch
from tests.support.places import Place, build


def each(paths: list[Path], over: float) -> None:
    """Write to each in turn, the first two at once, the rest evenly over so many seconds."""
    gap = over / max(1, len(paths) - 2)
    for number, path in enumerate(paths):
        edits.append(path)
        if number:
            time.sleep(gap)  # the pace of the case, nothing is waited for


@pytest.mark.parametrize("options", [(), ("--debounce=100ms",)], ids=["auto", "number"])
@pytest.mark.parametrize("existing", [False, True], ids=["db01_creates", "db02_edits"])
def test_fifty_over_200_ms(existing: bool, options: tuple[str, ...], place: Place, watch: Watch) -> None:
    names = [f"m{number}.py" for number in range(50)]
    if existing:
        build(place.tree, dict.fromkeys(names, "m\n"))
    daemon = watch(*options)
    with daemon.restarts(1):
        each([place.tree / name for name in names], 0.2)
    first = daemon.named("changed")[0]
    assert first["count"] == 50


def test_db04_change_while_the_old_child_is_stopping(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "1\n"})
    daemon = watch(probe=("--slow", "0.7"))
    with daemon.restarts(1):
        edits.write(place.tree / "a.py", "2\n")
        daemon.wait_record("SIGNAL", run=1)
        for number in range(3, 6):
            edits.write(place.tree / "a.py", f"{number}\n")
    words = [record.word for record in daemon.records]
    assert words.index("BYE") < words.index("START", 1)
    assert daemon.starts[1].payload[str(place.tree / "a.py")] == b"5\n"


def test_db06_change_during_the_initial_scan(place: Place, watch: Watch) -> None:
    """Edits at the moments when more and more of a big tree is watched: each is seen in the end."""
    for number in range(1500):
        (place.tree / f"d{number % 50}/e{number}").mkdir(parents=True)
    deep = [place.tree / f"d{number % 50}/e{number}/m.py" for number in (0, 700, 1499)]
    for path in deep:
        edits.write(path, "old\n")
    read = [str(path) for path in (*deep, place.tree / "marker.py")]
    daemon = watch(ready=False, read=read)
    for least in (1, 300, 1000):
        daemon.wait_watches(least)
        for path in deep:
            edits.append(path, f"at {least}\n")
    daemon.wait_ready()
    daemon.final_state_seen()
    with daemon.restarts(1):
        edits.append(deep[1])


def test_db09_overflow_with_a_change_before_and_after(place: Place, watch: Watch) -> None:
    """More events than the kernel keeps, while reloaderd is stopped; what came after them is seen too."""
    build(place.tree, {"a.py": "a\n", "z.py": "z\n", "many/": None, "later/deep/": None})
    new = place.tree / "later/deep/new/er/n.py"
    read = [str(path) for path in (place.tree / "a.py", place.tree / "z.py", place.tree / "marker.py", new)]
    daemon = watch(read=read, warnings=True)
    with daemon.restarts(1):
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            daemon.wait(lambda: procfs.state(daemon.pid) == "T", "a stopped reloaderd")
            edits.append(place.tree / "a.py")
            for number in range(9000):
                (place.tree / f"many/{number}.txt").touch()
            build(new.parent, {"n.py": "n\n"})
            edits.append(place.tree / "z.py")
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
    with daemon.restarts(1):
        edits.append(new)
    with daemon.restarts(1):
        edits.append(place.tree / "z.py")


def test_db10_without_debounce_every_save_restarts(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n", "b.py": "b\n"})
    daemon = watch("--debounce=0")
    for number in range(10):
        edits.append(place.tree / ("b.py" if number % 2 else "a.py"), f"{number}\n")
        daemon.wait_starts(number + 2)
        daemon.exactly_one_live_child()
    daemon.final_state_seen()  # a save is two events: with time between them, it is two restarts


def test_db11_restart_that_takes_longer_than_the_limit(place: Place, watch: Watch) -> None:
    """Edits go on and on, the child needs its time to stop: never two, and no standing still."""
    build(place.tree, {"a.py": "a\n"})
    daemon = watch("--debounce=20ms", probe=("--slow", "0.3"))
    number = 0
    while len(daemon.starts) < 5:
        number += 1
        edits.write(place.tree / f"m{number % 7}.py", f"{number}\n")
        time.sleep(0.02)  # the pace of the edits, nothing is waited for
    daemon.final_state_seen()
    words = [record.word for record in daemon.records if record.word in ("START", "BYE")]
    assert words == [("START", "BYE")[place % 2] for place in range(len(words))]


def test_db12_count_is_right_and_the_list_is_bounded(place: Place, watch: Watch) -> None:
    daemon = watch("--debounce=300ms")
    with daemon.restarts(1):
        for number in range(600):
            edits.write(place.tree / f"m{number}.py")
    first = daemon.named("changed")[0]
    assert first["count"] == 600
    assert 0 < len(first["paths"]) < 600
    assert len(set(first["paths"])) == len(first["paths"])


def test_db12_line_for_people(place: Place, watch: Watch) -> None:
    daemon = watch("--debounce=300ms", log_format="text")
    build(place.tree, {f"m{number}.py": "m\n" for number in range(50)})
    daemon.final_state_seen()
    line = daemon.wait_line(lambda line: "changed" in line)
    assert "50 files" in line and "(+" in line and len(line) < 200, line


def test_db_limit_is_kept_while_edits_go_on(place: Place, watch: Watch) -> None:
    """With auto, edits without a pause do not put the restart off for ever."""
    daemon = watch()
    number = 0
    while len(daemon.starts) < 3:
        number += 1
        edits.append(place.tree / f"m{number % 5}.py", f"{number}\n")
        time.sleep(0.005)  # the pace of the edits, nothing is waited for


def test_db_storm_of_rewrites(place: Place, watch: Watch) -> None:
    """Budget of DESIGN section 9, on a smaller scale: one restart, two at most, and the last write seen."""
    names = [f"d{number % 20}/m{number}.py" for number in range(4000)]
    build(place.tree, dict.fromkeys(names, "old\n"))
    last = place.tree / names[-1]
    daemon = watch(read=(str(last), str(place.tree / "marker.py")))
    with daemon.restarts(1, most=2):
        for name in names:
            edits.write(place.tree / name)
