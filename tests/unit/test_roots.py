from __future__ import annotations

import pytest

from reloaderd.core.roots import GONE_FOR, Found, Roots
from reloaderd.events import Anchored, Step

ONE = (1, 10, "/p")
NOTHING = None

Identity = tuple[int, int, str] | None


def look(roots: Roots, identity: Identity, now: float = 0.0, path: str = "/p") -> Found:
    """One look at a root, as the watcher does it."""
    steps = [Step(1, path.rpartition("/")[2])]
    event = Anchored("web", path, steps, [], identity, True, 0 if identity else 2)
    former, _ = roots.anchors.put(event)
    return roots.judge(event, former, now)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (ONE, ONE, Found.SAME),
        (NOTHING, NOTHING, Found.SAME),
        (ONE, NOTHING, Found.GONE),
        (NOTHING, ONE, Found.BACK),
        (ONE, (1, 11, "/p"), Found.REPLACED),
        (ONE, (2, 10, "/p"), Found.REPLACED),
        (ONE, (1, 10, "/elsewhere"), Found.REPLACED),
    ],
    ids=["same", "still gone", "gone", "back", "other inode", "other file system", "link leads elsewhere"],
)
def test_a_root_is_what_its_path_leads_to(before: Identity, after: Identity, found: Found) -> None:
    roots = Roots(["/p"])
    look(roots, before)
    assert look(roots, after) is found


@pytest.mark.parametrize("identity", [ONE, NOTHING])
def test_the_first_look_compares_with_nothing(identity: Identity) -> None:
    roots = Roots(["/p"])
    roots.suspect("/p")
    assert look(roots, identity) is Found.FIRST
    assert roots.deadline is None


def test_a_root_whose_name_was_made_anew_was_replaced_though_its_number_is_the_same() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    roots.suspect("/p")
    assert look(roots, ONE) is Found.REPLACED


def test_a_suspicion_lasts_for_one_look() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    roots.suspect("/p")
    look(roots, ONE)
    assert look(roots, ONE) is Found.SAME


def test_a_suspicion_that_found_the_root_gone_is_over_when_it_is_back() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    roots.suspect("/p")
    assert [look(roots, identity) for identity in (NOTHING, ONE, ONE)] == [Found.GONE, Found.BACK, Found.SAME]


def test_a_suspicion_is_about_one_root_alone() -> None:
    roots = Roots(["/p", "/q"])
    look(roots, ONE)
    look(roots, ONE, path="/q")
    roots.suspect("/q")
    assert look(roots, ONE) is Found.SAME
    assert look(roots, ONE, path="/q") is Found.REPLACED


def test_a_root_that_is_gone_is_told_only_when_it_stays_away() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    look(roots, NOTHING, now=5.0)
    assert roots.deadline == 5.0 + GONE_FOR == 5.5
    assert roots.stay_away(5.0 + GONE_FOR - 0.001) == []
    assert roots.stay_away(5.0 + GONE_FOR) == ["/p"]


def test_a_root_that_stays_away_is_told_once_until_it_was_back() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    told = []
    for now, identity in [(5.0, NOTHING), (6.0, NOTHING), (7.0, ONE), (8.0, NOTHING)]:
        look(roots, identity, now)
        told += roots.stay_away(now + GONE_FOR)
    assert told == ["/p", "/p"]
    assert roots.deadline is None


def test_a_root_that_is_back_in_time_is_never_told() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    look(roots, NOTHING, now=5.0)
    look(roots, ONE, now=5.1)
    assert roots.stay_away(5.0 + GONE_FOR) == []
    assert roots.deadline is None


def test_those_that_are_gone_together_are_told_together_without_those_that_are_back() -> None:
    roots = Roots(["/r", "/q", "/p"])
    for identity in (ONE, NOTHING):
        for path in roots.paths:
            look(roots, identity, now=5.0, path=path)
    look(roots, ONE, now=5.1, path="/q")
    assert roots.stay_away(5.0 + GONE_FOR) == ["/p", "/r"]


def test_nothing_is_told_of_roots_that_are_there() -> None:
    roots = Roots(["/p"])
    look(roots, ONE)
    assert roots.deadline is None
    assert roots.stay_away(1e9) == []


def test_a_root_is_here_while_something_is_where_it_leads() -> None:
    roots = Roots(["/p"])
    assert not roots.here("/p")
    look(roots, ONE)
    assert roots.here("/p")
    look(roots, NOTHING)
    assert not roots.here("/p")


def test_only_what_was_given_is_a_root() -> None:
    roots = Roots(["/p"])
    look(roots, ONE, path="/home/me/.gitignore")
    assert "/p" in roots
    assert "/home/me/.gitignore" not in roots


def test_one_that_was_told_of_is_not_told_again_with_another() -> None:
    roots = Roots(["/p", "/q"])
    for path in roots.paths:
        look(roots, ONE, path=path)
    told = []
    for now, path in [(5.0, "/p"), (6.0, "/q")]:
        look(roots, NOTHING, now, path)
        told.append(roots.stay_away(now + GONE_FOR))
    assert told == [["/p"], ["/q"]]


def test_what_was_elsewhere_on_the_way_is_said_once() -> None:
    roots = Roots(("/p",))
    roots.stir("/p")
    assert [roots.settle("/p"), roots.settle("/p"), roots.settle("/q")] == [True, False, False]
