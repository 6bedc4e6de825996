"""The Python of docs/python.md does what the page says."""

from __future__ import annotations

import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.places import REPOSITORY, Place, build
from tests.support.programs import Program

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text(encoding="utf-8")
LISTEN, RUN, MANAGE, APPS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)

ENVIRON = {"PYTHONPATH": str(REPOSITORY)}

SETTINGS = """\
SECRET_KEY = "x"
DEBUG = True
ROOT_URLCONF = "shop.urls"
"""
URLS = """\
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("one"))]
"""


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def start(*argv: str) -> Program:
        made.append(Program(place, argv, environ=ENVIRON))
        return made[-1]

    yield start
    for program in made:
        program.end()


@pytest.fixture
def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
        return number


def served(port: int, path: str = "") -> str:
    """What the server says by now, "" while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except (urllib.error.URLError, OSError):
        return ""


def test_listening(watch: Callable[..., Daemon], place: Place) -> None:
    tail = "\nimport time\nwhile True:\n    print(settings, flush=True)\n    time.sleep(0.02)\n"
    build(place.tree, {"app.py": LISTEN + tail, "settings.json": "{}"})
    (line,) = re.findall(r"reloaderd watch (--on 'settings.json.*) -- python app.py", PAGE)
    options = line.replace("'", "").split()
    daemon = watch(*options, command=[sys.executable, "app.py"], environ=ENVIRON, children=None)

    def says(text: str) -> bool:
        return text in daemon.stdout.read_text().splitlines()

    daemon.wait(lambda: says("{}"), "the first settings")
    build(place.scratch, {"new.json": '{"a": 1}'})
    (place.scratch / "new.json").rename(place.tree / "settings.json")
    daemon.wait(lambda: says("{'a': 1}"), "the second")
    assert [event["action"] for event in daemon.named("changed")] == ["notify"]
    assert len(daemon.named("started")) == 1


def test_running(start: Callable[..., Program], place: Place, port: int) -> None:
    build(place.tree, {"app.py": RUN.replace("8000", str(port)), "x.txt": "one", "x.css": ""})
    program = start(sys.executable, "app.py")
    program.wait(lambda: served(port, "x.txt") == "one", "the server")
    mended = RUN.replace("8000", str(port)).replace("HTTPServer((", "print('two', flush=True); HTTPServer((")
    build(place.tree, {"x.css": "a", "app.py": mended})
    program.wait_line("two")
    program.wait(lambda: served(port, "x.txt") == "one", "the server again")


def test_the_options_that_it_is_said_to_be_the_same_as() -> None:
    from reloaderd.program.watching import options_of

    (line,) = re.findall(r"reloaderd watch (--exact .*) -- python app.py", PAGE)
    words = re.sub(r"(--(?:on|on-exit|ext|gate)) ", r"\1=", line.replace("'", "")).split()
    assert sorted(options_of({"ext": "py", "on": {"*.css": "ignore"}}, "run")) == sorted(words)


@pytest.mark.needs("django")
@pytest.mark.parametrize("itself", [True, False], ids=["run", "watch"])
def test_django(
    start: Callable[..., Program], watch: Callable[..., Daemon], place: Place, port: int, itself: bool
) -> None:
    files = {"manage.py": MANAGE, "shop/__init__.py": "", "shop/settings.py": SETTINGS + APPS}
    build(place.tree, {**files, "shop/urls.py": URLS})
    words = [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}"]
    one: Any
    if itself:
        one = start(*words)
    else:
        (line,) = re.findall(r"reloaderd watch (--on .*) -- python manage.py runserver --noreload", PAGE)
        options = line.replace("'", "").split()
        one = watch(*options, command=[*words, "--noreload"], environ=ENVIRON, children=None, warnings=True)
    one.wait(lambda: served(port) == "one", "the first answer")
    build(place.tree, {"shop/urls.py": URLS.replace("one", "another")})
    one.wait(lambda: served(port) == "another", "the second answer")
