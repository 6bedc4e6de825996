from __future__ import annotations

from reloaderd.core.anchors import Anchors
from reloaderd.events import Anchored, Step


def anchored(path: str, *steps: tuple[int, str], above: tuple[int, ...] = (), there: bool = True) -> Anchored:
    identity = (1, 2, path) if there else None
    return Anchored("web", path, [Step(*step) for step in steps], list(above), identity, True, 0)


def test_every_name_on_the_way_leads_to_the_path() -> None:
    anchors = Anchors()
    anchors.put(anchored("/w/link", (1, "link"), (2, "target"), above=(1, 3)))
    assert anchors.through(1, "link") == ["/w/link"]
    assert anchors.through(2, "target") == ["/w/link"]
    assert anchors.through(1, "target") == []


def test_only_the_last_name_is_the_path_itself() -> None:
    anchors = Anchors()
    anchors.put(anchored("/w/link", (1, "link"), (2, "target")))
    assert anchors.ends_at("/w/link", 2, "target")
    assert not anchors.ends_at("/w/link", 1, "link")


def test_a_path_rests_on_the_directories_above_it_and_on_those_of_its_names() -> None:
    anchors = Anchors()
    anchors.put(anchored("/w/p", (2, "p"), above=(1, 2)))
    anchors.put(anchored("/w/q", (2, "q"), above=(2,)))
    assert anchors.resting_on(1) == ["/w/p"]
    assert anchors.resting_on(2) == ["/w/p", "/w/q"]
    assert anchors.resting_on(3) == []
    assert set(anchors.watches()) == {1, 2}


def test_a_path_found_again_gives_back_what_it_needs_no_more() -> None:
    anchors = Anchors()
    first = anchored("/w/p", (2, "p"), above=(1, 2))
    assert anchors.put(first) == (None, [])
    former, unused = anchors.put(anchored("/w/p", (1, "w"), there=False))
    assert former == first
    assert unused == [2]
    assert anchors.through(2, "p") == []


def test_a_watch_that_another_path_needs_is_not_given_back() -> None:
    anchors = Anchors()
    anchors.put(anchored("/w/p", (2, "p")))
    anchors.put(anchored("/w/q", (2, "q")))
    assert anchors.put(anchored("/w/p", (1, "w")))[1] == []
    assert anchors.uses(2)


def test_the_way_to_a_path_without_names_ends_nowhere() -> None:
    anchors = Anchors()
    anchors.put(anchored("/"))
    assert not anchors.ends_at("/", 1, "")
    assert anchors.get("/") is not None


def test_a_path_that_leads_nowhere_is_waited_for_by_the_first_name_that_is_missing() -> None:
    anchors = Anchors()
    anchors.put(anchored("/w/a/b/p", (2, "a"), above=(1,), there=False))
    assert anchors.through(2, "a") == ["/w/a/b/p"]
    assert anchors.resting_on(1) == ["/w/a/b/p"]


def test_all_paths_that_lead_through_a_name_are_found_again_each_once() -> None:
    anchors = Anchors()
    anchors.put(anchored("/w/link/p", (1, "link"), (1, "link"), (2, "p")))
    anchors.put(anchored("/w/link/q", (1, "link"), (2, "q")))
    assert anchors.through(1, "link") == ["/w/link/p", "/w/link/q"]
