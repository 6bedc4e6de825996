from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from reloaderd.commands import Command, Examine
from reloaderd.core.asks import Asks
from reloaderd.core.snapshot import TRIES
from reloaderd.core.stamps import Stamps
from reloaderd.core.watchtree import WatchTree
from reloaderd.events import Examined, Kind, Stamp, Why

FILE = "/p/m.py"
OTHER = "/p/n.py"
ROOT = "/etc/app.conf"
OLD = Stamp(41, young=False)
NEW = Stamp(42, young=False)
YOUNG = Stamp(43, young=True)
DOUBTFUL = [Kind.CLOSED, Kind.TOUCHED]


def make(names: Sequence[str] = ("m.py",)) -> tuple[WatchTree, Asks, Stamps]:
    """A directory /p with these files, and a root that is a file: no stamp is known."""
    tree = WatchTree()
    tree.add("/p", 1, [], list(names))
    asks = Asks("web", ignore_files=True)
    stamps = Stamps(tree, asks)
    stamps.add_root(ROOT)
    return tree, asks, stamps


def answer(
    stamps: Stamps, looks: dict[str, Stamp | None], why: Why | None = None, now: float = 9.0
) -> list[tuple[str, Kind]]:
    """How these paths look, and no event is left that tells otherwise."""
    changed = stamps.examined(Examined("web", why, looks), now)
    stamps.trust()
    return changed


def examined(commands: Sequence[Command]) -> list[str]:
    """The paths of which stamps are to be taken."""
    assert all(type(command) is Examine and command.why is None for command in commands)
    return sorted(path for command in commands if isinstance(command, Examine) for path in command.paths)


def known(*names: str) -> tuple[WatchTree, Asks, Stamps]:
    """The same after a baseline."""
    tree, asks, stamps = make(names or ("m.py",))
    answer(stamps, {FILE: OLD, ROOT: OLD})
    return tree, asks, stamps


@pytest.mark.parametrize("path", [FILE, ROOT])
def test_what_is_in_doubt_is_examined(path: str) -> None:
    _, asks, stamps = known()
    assert stamps.doubt(path, Kind.TOUCHED) == [Examine("web", None, [path])]
    assert asks.outstanding == 1


@pytest.mark.parametrize("kind", DOUBTFUL)
@pytest.mark.parametrize("path", [FILE, ROOT])
@pytest.mark.parametrize("look", [NEW, YOUNG])
def test_a_doubt_about_a_file_that_looks_other_than_it_did_is_a_change(
    kind: Kind, path: str, look: Stamp
) -> None:
    _, _, stamps = known()
    stamps.doubt(path, kind)
    assert answer(stamps, {path: look}) == [(path, kind)]


@pytest.mark.parametrize("kind", DOUBTFUL)
@pytest.mark.parametrize("path", [FILE, ROOT])
@pytest.mark.parametrize("young", [False, True])
def test_a_doubt_about_a_file_that_looks_as_it_did_is_none(kind: Kind, path: str, young: bool) -> None:
    _, _, stamps = known()
    stamps.doubt(path, kind)
    assert answer(stamps, {path: OLD._replace(young=young)}) == []


@pytest.mark.parametrize("path", [FILE, ROOT])
def test_a_doubt_about_a_file_whose_looks_are_not_known_is_a_change(path: str) -> None:
    _, _, stamps = make()
    stamps.doubt(path, Kind.TOUCHED)
    assert answer(stamps, {path: OLD}) == [(path, Kind.TOUCHED)]


@pytest.mark.parametrize("path", [FILE, ROOT])
def test_a_file_that_changed_is_not_known_until_it_is_looked_at_again(path: str) -> None:
    _, _, stamps = known()
    for look in (NEW, NEW, OLD):
        stamps.doubt(path, Kind.TOUCHED)
        assert answer(stamps, {path: look}) == [(path, Kind.TOUCHED)]


def test_a_doubt_about_a_file_that_cannot_be_looked_at_counts() -> None:
    """It is gone, or was elsewhere for a moment: of a directory above that comes back nothing else tells."""
    _, _, stamps = known()
    stamps.doubt(FILE, Kind.TOUCHED)
    assert answer(stamps, {FILE: None}) == [(FILE, Kind.TOUCHED)]


def test_that_nothing_came_in_the_place_of_a_file_that_left_is_no_change() -> None:
    _, _, stamps = known()
    stamps.doubt(FILE, Kind.ARRIVED)
    assert answer(stamps, {FILE: None}) == []


def test_a_doubt_is_about_one_answer() -> None:
    tree, _, stamps = known()
    stamps.doubt(FILE, Kind.TOUCHED)
    answer(stamps, {FILE: OLD})
    assert answer(stamps, {FILE: NEW}) == []
    assert tree.stamp(FILE) == NEW.value


def test_events_were_lost_so_every_file_is_in_doubt() -> None:
    _, _, stamps = known("m.py", "n.py")
    changed = answer(stamps, {FILE: OLD, ROOT: NEW, OTHER: NEW}, why=Why.LOST)
    assert changed == [(ROOT, Kind.CLOSED), (OTHER, Kind.CLOSED)]


def test_a_first_look_is_no_change_and_is_remembered() -> None:
    tree, _, stamps = make()
    assert answer(stamps, {FILE: OLD, ROOT: OLD}) == []
    assert tree.stamp(FILE) == OLD.value
    stamps.doubt(ROOT, Kind.TOUCHED)
    assert answer(stamps, {ROOT: OLD}) == []


def test_a_first_look_at_what_is_not_there_is_passed_over() -> None:
    tree, _, stamps = make()
    assert answer(stamps, {FILE: None, ROOT: None}) == []
    assert tree.stamp(FILE) is None


# When stamps are taken


def test_a_run_looks_at_all_that_is_not_known_from_then_on() -> None:
    _, asks, stamps = make()
    stamps.lose_in(["/p"])
    deadlines = [stamps.deadline]
    stamps.baseline(5.0)
    deadlines.append(stamps.deadline)
    assert stamps.tick(4.9) == []
    assert examined(stamps.tick(5.0)) == [ROOT, FILE]
    assert asks.outstanding == 1
    assert [*deadlines, stamps.deadline] == [None, 5.0, None]


def test_a_run_looks_at_nothing_that_is_known() -> None:
    _, asks, stamps = known()
    stamps.lose_in(["/p"])
    stamps.baseline(5.0)
    assert stamps.tick(5.0) == []
    assert asks.outstanding == 0


def test_what_changed_is_looked_at_when_the_next_run_starts() -> None:
    _, _, stamps = known("m.py", "n.py")
    answer(stamps, {OTHER: OLD})
    stamps.lose(FILE)
    assert stamps.tick(5.0) == []
    stamps.baseline(6.0)
    assert examined(stamps.tick(6.0)) == [FILE]
    stamps.lose(ROOT)
    stamps.baseline(7.0)
    assert examined(stamps.tick(7.0)) == [ROOT]


def test_a_file_in_the_root_directory_is_looked_at_too() -> None:
    tree, _, stamps = known()
    tree.add("/", 2, [], ["n.py"])
    stamps.lose("/n.py")
    stamps.baseline(6.0)
    assert examined(stamps.tick(6.0)) == ["/n.py"]


def test_a_run_that_knows_all_has_nothing_to_wait_for() -> None:
    _, _, stamps = make()
    stamps.lose_in(["/p"])
    stamps.baseline(5.0)
    stamps.tick(5.0)
    answer(stamps, {FILE: OLD, ROOT: OLD})
    stamps.baseline(6.0)
    assert stamps.deadline is None


def test_a_stamp_that_is_too_young_is_taken_again_a_few_times_at_most() -> None:
    tree, _, stamps = make()
    answer(stamps, {ROOT: OLD})
    stamps.lose_in(["/p"])
    stamps.baseline(5.0)
    now, looks = 5.0, 0
    while (deadline := stamps.deadline) is not None:
        assert deadline > now or not looks
        now = deadline
        looks += examined(stamps.tick(now)) == [FILE]
        answer(stamps, {FILE: YOUNG}, now=now)
        assert tree.stamp(FILE) is None
    assert looks == TRIES


def test_a_stamp_that_has_come_of_age_is_trusted() -> None:
    tree, _, stamps = make()
    answer(stamps, {FILE: YOUNG})
    assert stamps.deadline is not None
    stamps.tick(stamps.deadline)
    answer(stamps, {FILE: NEW})
    assert tree.stamp(FILE) == NEW.value
    assert stamps.deadline is None


# Roots that are files


def test_roots_that_are_files_are_known_as_such() -> None:
    _, _, stamps = make()
    assert stamps.is_root(ROOT)
    assert not stamps.is_root(FILE)
    assert stamps.roots() == [ROOT]
    stamps.remove_root(ROOT)
    stamps.remove_root(ROOT)
    assert not stamps.is_root(ROOT)


def test_a_root_that_is_another_file_now_is_not_known() -> None:
    _, _, stamps = known()
    stamps.add_root(ROOT)
    stamps.doubt(ROOT, Kind.TOUCHED)
    assert answer(stamps, {ROOT: OLD}) == [(ROOT, Kind.TOUCHED)]


def test_a_root_in_the_tree_of_another_has_one_stamp_alone() -> None:
    tree, _, stamps = make()
    stamps.add_root(FILE)
    answer(stamps, {FILE: OLD})
    assert tree.stamp(FILE) is None
    stamps.doubt(FILE, Kind.TOUCHED)
    assert answer(stamps, {FILE: OLD}) == []


def test_a_first_look_is_trusted_when_the_source_was_drained_after_it() -> None:
    tree, _, stamps = make()
    stamps.examined(Examined("web", None, {FILE: OLD}), 9.0)
    assert stamps.first_look
    assert tree.stamp(FILE) is None
    stamps.trust()
    assert tree.stamp(FILE) == OLD.value


def test_an_answer_to_a_doubt_is_no_first_look() -> None:
    _, _, stamps = known()
    stamps.doubt(FILE, Kind.TOUCHED)
    stamps.examined(Examined("web", None, {FILE: OLD}), 9.0)
    assert not stamps.first_look


@pytest.mark.parametrize("happens", [Stamps.lose, Stamps.distrust])
def test_a_first_look_that_an_event_contradicts_is_not_trusted(
    happens: Callable[[Stamps, str], None],
) -> None:
    tree, _, stamps = make()
    stamps.examined(Examined("web", None, {FILE: OLD}), 9.0)
    happens(stamps, FILE)
    stamps.trust()
    assert tree.stamp(FILE) is None


def test_no_first_look_is_trusted_that_is_older_than_lost_events() -> None:
    tree, _, stamps = make()
    stamps.examined(Examined("web", None, {FILE: OLD}), 9.0)
    stamps.distrust_all()
    stamps.trust()
    assert tree.stamp(FILE) is None
