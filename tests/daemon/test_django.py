"""Django: a translation that is compiled anew is read by the running project, in one process."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.places import Place, build
from tests.support.programs import HEAD, Program

pytestmark = pytest.mark.needs("django")

SERVE = """
import django
from django.conf import settings
settings.configure(
    USE_I18N=True,
    LANGUAGE_CODE="de",
    LOCALE_PATHS=[os.path.join(os.getcwd(), "locale")],
    INSTALLED_APPS=%s,
)

def main():
    django.setup()
    from django.utils import translation
    say("pid", os.getpid())
    last = None
    while True:
        with translation.override("de"):
            word = translation.gettext("cheese")
        if word != last:
            say("cheese is", word)
            last = word
        time.sleep(0.02)
"""

OURS = '["reloaderd.contrib.django"]'


def compiled(**words: str) -> bytes:
    """A .mo file, as msgfmt makes it (gettext manual, "The Format of GNU MO Files")."""
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **words}.items())
    texts = [[key.encode(), value.encode()] for key, value in pairs]
    at = 28 + 16 * len(texts)
    tables, data = [b"", b""], b""
    for column in (0, 1):
        for pair in texts:
            tables[column] += struct.pack("<2I", len(pair[column]), at + len(data))
            data += pair[column] + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(texts), 28, 28 + 8 * len(texts), 0, 28 + 16 * len(texts))
    return header + b"".join(tables) + data


def translate(place: Place, word: str) -> Path:
    """Compile anew, as msgfmt does: written into a file of another name, renamed into place."""
    path = place.tree / "locale/de/LC_MESSAGES/django.mo"
    build(place.scratch, {"new.mo": compiled(cheese=word)})
    path.parent.mkdir(parents=True, exist_ok=True)
    os.rename(place.scratch / "new.mo", path)
    return path


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def start(*argv: str, **more: Any) -> Program:
        made.append(Program(place, argv, **more))
        return made[-1]

    yield start
    for program in made:
        program.end()


def check(program: Any, lines: Callable[[], list[str]], place: Place) -> None:
    """The word changes twice, and all is said by one process."""
    for word in ("Quark", "Fromage"):
        translate(place, word)
        program.wait(lambda word=word: f"cheese is {word}" in lines(), f"cheese to be {word}")
    assert [line.split()[0] for line in lines()] == ["pid", "cheese", "cheese", "cheese"]


def test_in_a_program_that_runs_itself_nothing_has_to_be_said(start: Any, place: Place) -> None:
    translate(place, "Kaese")
    run = 'reloaderd.run(main, debounce=0.01, log_format="json")\n'
    build(place.tree, {"app.py": HEAD + SERVE % "[]" + run, ".gitignore": "*.mo\n"})
    program = start(sys.executable, "app.py")
    program.wait_line("cheese is Kaese")
    check(program, lambda: program.lines, place)
    actions = [event["action"] for event in program.events if event["event"] == "changed"]
    assert actions == ["notify", "notify"]
    (place.tree / "app.py").write_text(HEAD + SERVE % "[]" + "# edited\n" + run)
    program.wait(lambda: len([line for line in program.lines if line.startswith("pid")]) == 2, "a restart")


def test_django_may_come_later(start: Any, place: Place) -> None:
    translate(place, "Kaese")
    late = "\n".join(f"    {line}" for line in (SERVE % "[]").splitlines())
    source = f"def late():\n{late}\n    main()\nreloaderd.run(late, debounce=0.01)\n"
    build(place.tree, {"app.py": HEAD + source})
    program = start(sys.executable, "app.py")
    program.wait_line("cheese is Kaese")
    check(program, lambda: program.lines, place)


def test_the_application_does_it_under_watch(watch: Callable[..., Daemon], place: Place) -> None:
    translate(place, "Kaese")
    build(place.scratch, {"app.py": HEAD + SERVE % OURS + "main()\n"})
    command = [sys.executable, str(place.scratch / "app.py")]
    daemon = watch("--on", "*.mo=notify", command=command, children=None)

    def lines() -> list[str]:
        return daemon.stdout.read_text().splitlines()

    daemon.wait(lambda: "cheese is Kaese" in lines(), "the first word")
    check(daemon, lines, place)
    assert [event["action"] for event in daemon.named("changed")] == ["notify", "notify"]


def test_without_it_the_project_is_restarted(watch: Callable[..., Daemon], place: Place) -> None:
    translate(place, "Kaese")
    build(place.scratch, {"app.py": HEAD + SERVE % "[]" + "main()\n"})
    command = [sys.executable, str(place.scratch / "app.py")]
    daemon = watch("--on", "*.mo=notify", command=command, children=None)
    daemon.wait(lambda: "cheese is Kaese" in daemon.stdout.read_text(), "the first word")
    translate(place, "Quark")
    daemon.wait(lambda: "cheese is Quark" in daemon.stdout.read_text(), "the second word")
    assert [event["action"] for event in daemon.named("changed")] == ["notify", "restart"]


def test_nothing_of_reloaderd_imports_django(start: Any, place: Place) -> None:
    source = """
import reloaderd.contrib.django
def main():
    reloaderd.on_change("*.mo", print)
    say("django" in sys.modules)
reloaderd.run(main)
"""
    build(place.tree, {"app.py": HEAD + source})
    program = start(sys.executable, "app.py")
    assert program.wait_exit() == 0
    assert program.lines == ["False"]


def test_an_older_django_is_reset_by_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    import gettext

    import django.utils.translation.trans_real as real

    from reloaderd.contrib.django import reset_translations

    monkeypatch.setitem(sys.modules, "django.utils.translation.reloader", None)
    monkeypatch.setattr(gettext, "_translations", {"x": 1})
    for name, value in (("_translations", {"de": 1}), ("_default", 1), ("_active", 1)):
        monkeypatch.setattr(real, name, value)
    reset_translations("/p/django.mo")
    assert gettext._translations == {}  # type: ignore[attr-defined]
    assert (real._translations, real._default) == ({}, None)
    assert not vars(real._active)
