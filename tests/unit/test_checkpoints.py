"""core.checkpoints: from which copy a run may go on."""

from __future__ import annotations

from reloaderd.commands import Report, StartChild
from reloaderd.core.checkpoints import LONGEST, MOST, Checkpoints
from reloaderd.core.warm import Warm
from reloaderd.events import CheckpointGone, CheckpointPassed, CheckpointReady, FilesLoaded, Loaded

VIEWS, FORMS, MODELS, PAGE = "/w/views.py", "/w/forms.py", "/w/models.py", "/w/page.html"


def read(checkpoints: Checkpoints, *modules: str, data: tuple[str, ...] = (), full: bool = False) -> None:
    files = [[Loaded(path, path, None) for path in paths] for paths in (modules, data)]
    checkpoints.read(FilesLoaded("web", 1, "", *files, (), (), (), 0, full), lambda real: real)


def passed(checkpoints: Checkpoints, number: int, before: str, ready: bool = True) -> None:
    checkpoints.handle(CheckpointPassed("web", 1, number, before, ""))
    if ready:
        checkpoints.handle(CheckpointReady("web", number))


def row() -> Checkpoints:
    """Models, a copy, views, a copy, forms and a page."""
    checkpoints = Checkpoints("web")
    read(checkpoints, MODELS)
    passed(checkpoints, 1, VIEWS)
    read(checkpoints, VIEWS)
    passed(checkpoints, 2, FORMS)
    read(checkpoints, FORMS, data=(PAGE,))
    return checkpoints


def test_the_latest_copy_before_which_nothing_was_read_that_changed() -> None:
    checkpoints = row()
    assert checkpoints.choose([FORMS]) == 2
    assert checkpoints.choose([PAGE]) == 2
    assert checkpoints.choose([VIEWS]) == 1
    assert checkpoints.choose([VIEWS, FORMS]) == 1
    assert checkpoints.choose([MODELS]) == 0
    assert checkpoints.choose([FORMS, MODELS]) == 0


def test_what_nobody_told_of_may_have_been_looked_at() -> None:
    assert row().choose([FORMS, "/w/other.py"]) == 0


def test_a_start_that_no_change_asked_for_begins_anew() -> None:
    assert row().choose([]) == 0


def test_a_copy_counts_when_it_waits() -> None:
    checkpoints = Checkpoints("web")
    read(checkpoints, MODELS)
    passed(checkpoints, 1, VIEWS, ready=False)
    read(checkpoints, VIEWS)
    assert checkpoints.choose([VIEWS]) == 0
    checkpoints.handle(CheckpointReady("web", 1))
    assert checkpoints.choose([VIEWS]) == 1
    checkpoints.handle(CheckpointGone("web", 1, ""))
    assert checkpoints.choose([VIEWS]) == 0


def test_an_earlier_copy_serves_where_the_later_one_is_gone() -> None:
    checkpoints = row()
    checkpoints.handle(CheckpointGone("web", 2, "it takes 300 MB"))
    assert checkpoints.choose([FORMS]) == 1


def test_what_is_read_again_was_read_before() -> None:
    checkpoints = row()
    read(checkpoints, MODELS)
    assert checkpoints.choose([MODELS]) == 0


def test_after_more_than_a_run_may_tell_no_copy_will_do() -> None:
    checkpoints = row()
    read(checkpoints, full=True)
    assert checkpoints.choose([FORMS]) == 0


def test_a_file_counts_by_each_of_its_names() -> None:
    checkpoints = Checkpoints("web")
    passed(checkpoints, 1, VIEWS)
    link = Loaded("/link/views.py", "/real/views.py", None)
    checkpoints.read(FilesLoaded("web", 1, "", [link], (), (), (), (), 0, False), lambda real: VIEWS)
    assert [checkpoints.choose([path]) for path in (VIEWS, "/link/views.py", "/real/views.py")] == [1, 1, 1]


def test_copies_are_left_before_what_was_edited_last() -> None:
    checkpoints = Checkpoints("web")
    names = [f"/w/{at}.py" for at in range(MOST + 2)]
    for name in names:
        checkpoints.edit([name])
    assert checkpoints.edited == tuple(reversed(names[2:]))
    checkpoints.edit([names[3]])
    assert checkpoints.edited[0] == names[3] and len(checkpoints.edited) == MOST
    checkpoints.edit(["/" + "x" * LONGEST])
    assert checkpoints.edited == ()


def test_a_start_is_told_all_of_it() -> None:
    warm = Warm("web", checkpoints=True)
    assert warm.checkpoints is not None
    read(warm.checkpoints, MODELS)
    passed(warm.checkpoints, 1, VIEWS)
    read(warm.checkpoints, VIEWS)
    [start] = warm.furnish([StartChild("web", 2, {}, True)], [VIEWS], [VIEWS])
    assert (start.checkpoint, start.edited) == (1, (VIEWS,))  # type: ignore[union-attr]
    assert warm.checkpoints.choose([VIEWS]) == 0, "the next run has told of nothing yet"
    cold = StartChild("web", 3, {}, False)
    assert warm.furnish([cold], [VIEWS], []) == [cold]


def test_why_there_is_none_is_said_once() -> None:
    checkpoints = Checkpoints("web")
    aside = CheckpointPassed("web", 1, 0, VIEWS, "it has threads")
    said = Report("checkpoint", "web", {"before": VIEWS, "reason": "it has threads"})
    assert checkpoints.handle(aside) == [said]
    checkpoints.begin()
    assert checkpoints.handle(aside._replace(run=2)) == []
    assert checkpoints.choose([VIEWS]) == 0
