from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from reloaderd.core.exact import HELLO
from reloaderd.core.modules import MOST, MOST_AWAITED
from reloaderd.settings import On, Pattern, RuleSettings
from tests.support import model as op
from tests.support.core import at_rest, reports
from tests.support.model import Operation
from tests.support.world import Manner, World

TREE = (
    *(op.MakeDirs("/p/pkg"), op.MakeDirs("/p/build"), op.MakeDirs("/lib/more")),
    *(op.Save("/p/main.py"), op.Save("/p/pkg/views.py"), op.Save("/p/test_it.py"), op.Save("/p/page.html")),
    *(op.Save("/p/build/made.py"), op.Save("/p/build/made.html"), op.Save("/p/.gitignore", "build/\n")),
    *(op.Save("/lib/near.py"), op.Save("/lib/far.py")),
)


def running(
    *more: Operation,
    modules: Iterable[str] = (),
    data: Iterable[str] = (),
    missing: Iterable[str] = (),
    absent: Iterable[str] = (),
    **settings: Any,
) -> World:
    """A world at rest whose run has told what it loaded."""
    world = at_rest(*TREE, *more, **settings)
    world.say(modules=modules, data=data, missing=missing, absent=absent)
    world.settle()
    return world


def restarts(world: World, *operations: Operation) -> int:
    """How many restarts `operations` bring about."""
    before = len(world.started)
    world.do(*operations)
    world.settle()
    return len(world.started) - before


def rule(world: World) -> str:
    """The rule of the latest change."""
    return str(reports(world.reports, "changed")[-1]["rule"])


def holds(world: World, path: str) -> bool:
    """Whether the directory at `path` is watched."""
    return any(inode is world.files.at(path) for inode in world.kernel.held.values())


def warnings(world: World) -> Sequence[str]:
    return [fields["text"] for fields in reports(world.reports, "warning")]


# Modules from elsewhere


def test_a_module_from_elsewhere_counts_and_what_is_next_to_it_does_not() -> None:
    world = running(modules=["/lib/near.py"])
    assert restarts(world, op.Save("/lib/far.py")) == 0
    assert restarts(world, op.Save("/lib/near.py")) == 1
    assert rule(world) == "loaded by the command"


def test_it_is_watched_however_it_is_saved() -> None:
    for save in (op.Replace("/lib/near.py"), op.Truncate("/lib/near.py"), op.Touch("/lib/near.py")):
        assert restarts(running(modules=["/lib/near.py"]), save) == 1
    assert restarts(running(modules=["/lib/near.py"]), op.Chmod("/lib/near.py"), op.Read("/lib/near.py")) == 0


def test_a_module_that_goes_counts_and_comes_back() -> None:
    world = running(modules=["/lib/near.py"])
    assert restarts(world, op.Remove("/lib/near.py")) == 1
    world.say(modules=["/p/main.py"])
    assert restarts(world, op.Save("/lib/near.py")) == 0  # this run does without
    world = running(modules=["/lib/near.py"], runs=[Manner(), Manner(ends=1.0, status=1)])
    assert restarts(world, op.Remove("/lib/near.py")) == 1
    assert restarts(world, op.Save("/lib/near.py")) == 1  # it died of it


def test_a_link_on_the_way_to_it_counts() -> None:
    world = running(op.Symlink("/lib", "/current"), modules=["/current/near.py"])
    assert restarts(world, op.Save("/lib/near.py")) == 1
    world.say(modules=["/current/near.py"])
    world.settle()
    other = (op.MakeDirs("/lib2"), op.Save("/lib2/near.py"), op.Symlink("/lib2", "/next"))
    assert restarts(world, *other) == 0
    assert restarts(world, op.Rename("/next", "/current")) == 1


def test_a_file_that_a_link_in_the_tree_leads_out_to_counts() -> None:
    world = running(op.Symlink("/lib/near.py", "/p/near.py"), modules=["/p/near.py"])
    assert restarts(world, op.Save("/lib/near.py")) == 1


LINKED = (
    *(op.MakeDirs("/p/rel/1"), op.MakeDirs("/p/rel/2"), op.MakeDirs("/more")),
    *(op.Save("/p/rel/1/m.py"), op.Save("/p/rel/2/m.py"), op.Save("/more/m.py")),
    *(op.Symlink("/p/rel/1", "/p/now"), op.Symlink("/p/rel/2", "/p/next"), op.Symlink("/more", "/p/last")),
)


@pytest.mark.parametrize("settings", [{"exact": True}, {"rules": RuleSettings(ext=("py",))}])
def test_a_link_in_the_tree_counts_when_it_leads_elsewhere(settings: Any) -> None:
    """The file that it led to is what it was."""
    world = running(*LINKED, modules=["/p/now/m.py"], **settings)
    assert restarts(world, op.Replace("/p/rel/1/m.py")) == 1
    assert reports(world.reports, "changed")[-1]["paths"] == ["/p/rel/1/m.py"]
    world.say(modules=["/p/now/m.py"])
    world.settle()
    assert restarts(world, op.Rename("/p/next", "/p/now")) == 1
    world.say(modules=["/p/now/m.py"])
    world.settle()
    assert restarts(world, op.Save("/p/rel/2/m.py")) == 1
    world.say(modules=["/p/now/m.py"])
    world.settle()
    assert restarts(world, op.Rename("/p/last", "/p/now")) == 1
    world.say(modules=["/p/now/m.py"])
    world.settle()
    assert restarts(world, op.Save("/more/m.py")) == 1
    world.say(modules=["/p/now/m.py"])
    world.settle()
    assert restarts(world, op.Remove("/p/now")) == 1


def test_a_link_that_led_elsewhere_before_it_was_watched_counts() -> None:
    world = running(*LINKED, exact=True)
    world.say(modules=["/p/now/m.py"])
    assert restarts(world, op.Rename("/p/next", "/p/now")) == 1


def test_a_link_into_the_tree_from_outside_counts() -> None:
    world = running(*LINKED, op.Symlink("/p/rel", "/rel"), modules=["/rel/1/m.py"])
    assert restarts(world, op.Save("/p/rel/1/m.py")) == 1
    world.say(modules=["/rel/1/m.py"])
    world.settle()
    assert restarts(world, op.Remove("/rel")) == 1


def test_what_changed_before_it_was_watched_counts() -> None:
    world = at_rest(*TREE)
    world.say(modules=["/lib/near.py", "/p/main.py"])
    world.do(op.Save("/lib/near.py"))
    assert restarts(world) == 1
    world.say(modules=["/lib/near.py"])
    world.do(op.Remove("/lib/near.py"))
    assert restarts(world) == 1


def test_what_has_not_changed_since_it_was_loaded_is_compared_and_is_no_change() -> None:
    world = running(modules=["/lib/near.py", "/p/main.py"])
    world.say(modules=["/lib/near.py", "/p/main.py"])  # another process of the run
    assert restarts(world) == 0


def test_two_processes_of_a_run_that_saw_it_differently_are_a_change() -> None:
    world = running(modules=["/lib/near.py", "/p/main.py"])
    for path in ("/lib/near.py", "/p/main.py"):
        world.do(op.Touch(path))
        world.kernel.queue.clear()  # as if it had been written through a mapping
        assert restarts(world) == 0
        world.say(modules=[path])
        assert restarts(world) == 1
        world.say(modules=["/lib/near.py", "/p/main.py"])
        world.settle()


def test_a_run_that_is_over_has_nothing_to_say() -> None:
    world = running(modules=["/p/main.py"])
    assert restarts(world, op.Save("/p/main.py")) == 1
    world.say(modules=["/lib/near.py"], run=1)
    world.settle()
    assert not holds(world, "/lib")


def test_what_no_run_needs_any_more_is_let_go_after_the_next_one() -> None:
    world = running(modules=["/lib/near.py", "/p/main.py"])
    assert holds(world, "/lib")
    assert restarts(world, op.Save("/p/main.py")) == 1
    world.say(modules=["/p/main.py"])
    world.settle()
    assert holds(world, "/lib")
    assert restarts(world, op.Save("/lib/near.py")) == 0  # not loaded by this run
    assert restarts(world, op.Save("/p/main.py")) == 1
    world.say(modules=["/p/main.py"])
    world.settle()
    assert not holds(world, "/lib")


def test_what_the_last_run_had_loaded_counts_while_none_is_alive() -> None:
    world = running(modules=["/lib/near.py"], runs=[Manner(), Manner(ends=0.5, status=1)])
    assert restarts(world, op.Save("/p/main.py")) == 1  # and this one dies before it loads anything
    assert restarts(world, op.Save("/lib/near.py")) == 1


def test_a_module_counts_though_git_ignores_it() -> None:
    world = running(modules=["/p/build/made.py"])
    assert restarts(world, op.Save("/p/build/made.html")) == 0
    assert restarts(world, op.Save("/p/build/made.py")) == 1
    assert rule(world) == "loaded by the command"


def test_a_module_counts_though_an_option_leaves_it_out_but_not_against_on() -> None:
    ignoring = RuleSettings(patterns=(Pattern("*.py", False),))
    assert restarts(running(modules=["/p/main.py"], rules=ignoring), op.Save("/p/main.py")) == 1
    denying = RuleSettings(on=(On("*.py", "ignore"),))
    assert restarts(running(modules=["/p/main.py"], rules=denying), op.Save("/p/main.py")) == 0


# --exact


def exact(
    *more: Operation, modules: Iterable[str] = ("/p/main.py", "/p/pkg/views.py"), **settings: Any
) -> World:
    return running(*more, modules=modules, exact=True, **settings)


def test_only_what_is_loaded_counts() -> None:
    world = exact(data=["/p/page.html"])
    assert restarts(world, op.Save("/p/test_it.py"), op.Save("/p/new.py"), op.Remove("/p/new.py")) == 0
    assert restarts(world, op.Save("/p/pkg/views.py")) == 1
    world.say(modules=["/p/main.py"], data=["/p/page.html"])
    world.settle()
    assert restarts(world, op.Replace("/p/page.html")) == 1


def test_a_file_that_is_loaded_late_counts_from_then_on() -> None:
    world = exact(modules=["/p/main.py"])
    assert restarts(world, op.Save("/p/pkg/views.py")) == 0
    world.say(modules=["/p/pkg/views.py"])
    assert restarts(world) == 0
    assert restarts(world, op.Save("/p/pkg/views.py")) == 1


def test_a_change_that_was_dismissed_counts_if_it_came_after_the_loading() -> None:
    world = exact(modules=["/p/main.py"])
    world.say(modules=["/p/pkg/views.py"])
    said, world.said = world.said, []
    assert restarts(world, op.Save("/p/pkg/views.py")) == 0
    world.said = said
    assert restarts(world) == 1


def test_everything_counts_while_no_run_is_alive() -> None:
    world = exact(runs=[Manner(ends=1.0)])
    assert restarts(world, op.Save("/p/test_it.py")) == 1


def test_everything_counts_until_the_first_run_tells_of_itself() -> None:
    world = at_rest(*TREE, exact=True)
    assert restarts(world, op.Save("/p/test_it.py")) == 1


def test_a_run_is_believed_to_tell_of_itself_if_the_one_before_did() -> None:
    world = exact()
    world.do(op.Save("/p/main.py"))
    world.pause(0.1)
    assert len(world.started) == 2
    world.do(op.Save("/p/test_it.py"))
    world.pause(1.0)
    assert len(world.started) == 2
    world.say(modules=["/p/main.py"])
    world.settle()
    assert len(world.started) == 2


def test_what_was_dismissed_counts_after_all_if_it_never_does() -> None:
    world = exact()
    world.do(op.Save("/p/main.py"))
    world.pause(0.1)
    world.do(op.Save("/p/test_it.py"))
    world.pause(HELLO - 1)
    assert len(world.started) == 2
    world.settle()
    assert len(world.started) == 3
    assert restarts(world, op.Save("/p/test_it.py")) == 1  # from now on at once


def test_a_command_that_never_does_is_told_once() -> None:
    world = at_rest(*TREE, exact=True)
    assert len([text for text in warnings(world) if "--exact" in text]) == 1
    assert restarts(world, op.Save("/p/main.py")) == 1
    assert len([text for text in warnings(world) if "--exact" in text]) == 1
    assert not [text for text in warnings(at_rest(*TREE)) if "--exact" in text]


def test_an_option_that_names_a_file_makes_it_count() -> None:
    rules = RuleSettings(on=(On("*.html", "restart"),))
    assert restarts(exact(rules=rules), op.Save("/p/page.html")) == 1
    rules = RuleSettings(on=(On("*", "restart"),))
    assert restarts(exact(rules=rules), op.Save("/p/page.html")) == 0


def test_a_path_that_is_a_file_counts() -> None:
    assert restarts(exact(roots=("/p", "/lib/far.py")), op.Save("/lib/far.py")) == 1


def test_data_counts_though_git_ignores_it_but_by_all_other_rules() -> None:
    assert restarts(exact(data=["/p/build/made.html"]), op.Save("/p/build/made.html")) == 1
    only_python = RuleSettings(ext=("py",))
    assert restarts(exact(data=["/p/page.html"], rules=only_python), op.Save("/p/page.html")) == 0
    world = exact(op.Save("/p/it.sqlite3"), data=["/p/it.sqlite3"])
    assert restarts(world, op.Save("/p/it.sqlite3")) == 0
    world = exact(op.Save("/p/.reloaderdignore", "*.html\n"), data=["/p/page.html"])
    assert restarts(world, op.Save("/p/page.html")) == 0
    assert restarts(running(data=["/p/build/made.html"]), op.Save("/p/build/made.html")) == 0


def test_data_that_the_command_writes_itself_does_not_count() -> None:
    world = exact(data=["/p/page.html"])
    world.say(own=["/p/page.html", "/p/main.py"])
    world.settle()
    assert restarts(world, op.Save("/p/page.html")) == 0
    assert restarts(world, op.Save("/p/main.py")) == 1  # but a module does


def test_one_process_may_write_what_another_reads() -> None:
    world = exact()
    world.say(own=["/p/page.html"])
    world.say(data=["/p/page.html"])
    world.settle()
    assert restarts(world, op.Save("/p/page.html")) == 0


def test_that_it_does_may_be_told_after_the_event_of_its_write() -> None:
    world = exact(data=["/p/page.html"])
    world.say(own=["/p/page.html"])
    assert restarts(world, op.Save("/p/page.html")) == 0


def test_what_there_was_too_much_of_to_tell_counts() -> None:
    world = exact()
    world.say(full=True)
    world.settle()
    assert restarts(world, op.Save("/p/page.html")) == 1


def test_what_was_dismissed_and_then_loaded_is_not_compared_with_what_it_was_before() -> None:
    world = exact(op.Save("/p/page.html", "one"), skip_unchanged=True)
    assert restarts(world, op.Save("/p/page.html", "two")) == 0
    world.say(data=["/p/page.html"])
    world.settle()
    assert restarts(world, op.Save("/p/page.html", "one")) == 1
    world.say(modules=["/p/main.py"], data=["/p/page.html"])
    world.settle()
    assert restarts(world, op.Save("/p/page.html", "one")) == 0


def test_what_a_run_may_have_loaded_is_bounded() -> None:
    world = exact()
    for first in range(0, MOST + 5000, 5000):
        world.say(missing=[f"/p/{number}" for number in range(first, first + 5000)])
        world.settle()
    world.say(modules=["/lib/near.py"])
    world.settle()
    assert not holds(world, "/lib")
    assert restarts(world, op.Save("/p/page.html")) == 1


# Imports that found nothing


def test_what_an_import_looked_for_counts_when_it_comes() -> None:
    world = exact(missing=["/p/local_settings", "/p/extra", "/p/pkg/tasks"])
    assert restarts(world, op.Save("/p/local_setting.py"), op.Save("/p/settings.py")) == 0
    assert restarts(world, op.Save("/p/local_settings.py")) == 1
    for path in ("/p/extra/__init__.py", "/p/pkg/tasks.cpython-311-x86_64-linux-gnu.so", "/p/extra/a/b.py"):
        world = exact(missing=["/p/local_settings", "/p/extra", "/p/pkg/tasks"])
        assert restarts(world, op.MakeDirs(path.rpartition("/")[0]), op.Save(path)) == 1


def test_it_is_waited_for_outside_the_tree_too() -> None:
    for path in ("/lib/gone.py", "/lib/gone/__init__.py"):
        world = running(missing=["/lib/gone"])
        assert restarts(world, op.Save("/lib/other.py")) == 0
        assert restarts(world, op.MakeDirs(path.rpartition("/")[0]), op.Save(path)) == 1


def test_what_was_made_before_it_was_waited_for_counts() -> None:
    world = at_rest(*TREE)
    world.say(missing=["/lib/gone"])
    assert restarts(world, op.Save("/lib/gone.py")) == 1


def test_what_is_there_and_is_not_found_all_the_same_does_not_restart_for_ever() -> None:
    world = at_rest(*TREE)
    for count in (1, 0, 0):
        world.say(missing=["/lib/near"])
        assert restarts(world) == count
    world.say(missing=["/lib/near"])
    assert restarts(world, op.Remove("/lib/near.py"), op.Save("/lib/near.py")) == 1


def test_no_more_than_so_many_are_waited_for() -> None:
    world = running(missing=[f"/lib/gone{number}" for number in range(MOST_AWAITED)])
    assert restarts(world, op.Save("/lib/gone1.py")) == 1
    assert len(world.kernel.held) < 10


def test_what_an_import_looked_for_counts_though_git_ignores_it() -> None:
    ignored = op.Save("/p/.gitignore", "build/\n*local*\n")
    for is_exact in (True, False):
        world = running(ignored, modules=["/p/main.py"], missing=["/p/local_settings"], exact=is_exact)
        assert restarts(world, op.Save("/p/local_other.py"), op.Save("/p/local_settings.txt")) == 0
        assert restarts(world, op.Save("/p/local_settings.py")) == 1
        assert rule(world) == "looked for by the command"


# Data that was not there


def test_what_was_to_be_read_counts_when_it_comes() -> None:
    for path in ("/p/new.html", "/p/templates/new.html"):
        world = exact(absent=["/p/new.html", "/p/templates/new.html"])
        assert restarts(world, op.Save("/p/other.html")) == 0
        assert restarts(world, op.MakeDirs("/p/templates"), op.Save(path)) == 1
        assert not holds(world, "/lib")


def test_a_new_file_of_the_name_of_one_that_was_to_be_read_counts() -> None:
    world = exact(op.MakeDirs("/p/a"), op.Save("/p/a/it.html"), absent=["/library/templates/it.html"])
    assert restarts(world, op.Save("/p/a/it.html")) == 0  # it is not new
    assert restarts(world, op.MakeDirs("/p/new/dir"), op.Save("/p/new/dir/other.html")) == 0
    assert restarts(world, op.Save("/p/new/dir/it.html")) == 1
    world = exact()
    assert restarts(world, op.Save("/p/it.html")) == 0
    world.say(absent=["/library/it.html"])
    assert restarts(world) == 1


def test_what_was_to_be_read_counts_though_git_ignores_it_but_by_all_other_rules() -> None:
    ignored = op.Save("/p/.gitignore", "build/\n.env\n")
    assert restarts(exact(ignored, absent=["/p/.env"]), op.Save("/p/.env")) == 1
    assert restarts(exact(absent=["/p/it.sqlite3"]), op.Save("/p/it.sqlite3")) == 0
    assert restarts(running(ignored, absent=["/p/.env"]), op.Save("/p/.env")) == 0


def test_what_was_made_before_the_word_that_it_was_to_be_read() -> None:
    world = exact()
    assert restarts(world, op.Save("/p/new.html")) == 0
    world.say(absent=["/p/new.html"])
    assert restarts(world) == 1
    world.say(modules=["/p/main.py"])
    assert restarts(world, op.Save("/p/more.html"), op.Remove("/p/more.html")) == 0
    world.say(absent=["/p/more.html"])
    assert restarts(world) == 0


def test_what_was_to_be_read_and_is_made_by_the_command_does_not_count() -> None:
    for made_first in (True, False):
        world = exact()
        words = [{"absent": ["/p/new.html"]}, {"own": ["/p/new.html"]}]
        if made_first:
            world.do(op.Save("/p/new.html"))
            world.pause(0.0)
        for word in words:
            world.say(**word)
        assert restarts(world, op.Save("/p/new.html")) == 0
    world = exact(absent=["/p/new.html"], data=["/p/page.html"])
    world.do(op.Save("/p/new.html"), op.Save("/p/page.html"))
    world.pause(0.0)
    world.say(own=["/p/new.html", "/p/page.html"])  # it was said first, and is read last
    assert restarts(world) == 0


# What is told


def test_it_is_told_how_much_is_armed() -> None:
    world = running(modules=["/p/main.py", "/lib/near.py"], data=["/p/page.html"])
    assert reports(world.reports, "armed") == [{"run": 1, "modules": 2, "data": 1, "libraries": 0}]
    world.say(modules=["/p/pkg/views.py"])
    world.say(modules=["/p/pkg/views.py"])
    world.settle()
    assert [one["modules"] for one in reports(world.reports, "armed")] == [2, 3]


def test_nothing_is_due_at_rest() -> None:
    for world in (exact(data=["/p/page.html"], missing=["/lib/gone"]), at_rest(*TREE)):
        assert world.engine.deadline(world.now) is None
