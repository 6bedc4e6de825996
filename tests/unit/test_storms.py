from __future__ import annotations

from reloaderd.core.storms import Storms

SOON = 0.999


def test_three_restarts_by_one_path_right_after_the_start_are_tolerated_and_the_fourth_waits() -> None:
    storms = Storms()
    delays = [storms.delay(["/p/out"], SOON) for _ in range(6)]
    assert delays == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0]


def test_a_change_later_than_that_ends_it() -> None:
    storms = Storms()
    for _ in range(5):
        storms.delay(["/p/out"], SOON)
    assert storms.delay(["/p/out"], 1.0) == 0.0
    assert [storms.delay(["/p/out"], SOON) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_another_path_ends_it() -> None:
    storms = Storms()
    for _ in range(5):
        storms.delay(["/p/out"], SOON)
    assert storms.delay(["/p/m.py"], SOON) == 0.0
    assert storms.delay(["/p/m.py"], SOON) == 0.0


def test_other_paths_beside_it_do_not_hide_it() -> None:
    storms = Storms()
    delays = [storms.delay(["/p/out", f"/p/{number}"], SOON) for number in range(4)]
    assert delays[3] == 0.5
    assert storms.to_name() == "/p/out"


def test_a_path_is_named_once() -> None:
    storms = Storms()
    storms.delay(["/p/out"], SOON)
    assert storms.to_name() == "/p/out"
    storms.delay(["/p/out"], SOON)
    assert storms.to_name() is None


def test_each_path_is_named() -> None:
    storms = Storms()
    named = []
    for path in ("/p/out", "/p/other"):
        storms.delay([path], 1.0)
        storms.delay([path], SOON)
        named.append(storms.to_name())
    assert named == ["/p/out", "/p/other"]
