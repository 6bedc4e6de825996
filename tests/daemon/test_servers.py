"""Real Python servers and programs: what each of them has loaded restarts it, and nothing else does."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import edits
from tests.support.daemon import Watch
from tests.support.places import Place, build
from tests.support.serving import Alone, Served, ask, free_port, plain, project, tool
from tests.support.terminal import CTRL_D
from tests.support.waiting import wait_until

# Django

VIEWS = """\
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from .models import Book

def index(request):
    return render(request, "index.html", {"books": Book.objects.count(), "word": gettext("word")})

def lazy(request):
    from shop import late
    return HttpResponse(late.ANSWER)

def missing(request, name="missing"):
    return render(request, name + ".html")
"""
URLS = """\
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("shop.urls"))]
"""
SHOP_URLS = """\
from django.urls import path
from . import views

urlpatterns = [
    path("", views.index),
    path("lazy", views.lazy),
    path("missing", views.missing),
    path("missing/<name>", views.missing),
]
"""
MODELS = """\
from django.db import models

class Book(models.Model):
    name = models.TextField()
"""
WORK = """\
from django.core.management import BaseCommand
import time

class Command(BaseCommand):
    def handle(self, **options):
        self.stdout.write("working")
        time.sleep(999)
"""
SETTINGS = """
import os
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS += ["shop", "blog"]
LANGUAGE_CODE = "de"
LOCALE_PATHS = [BASE_DIR / "locale"]
STATICFILES_DIRS = [BASE_DIR / "static"]
try:
    from .local_settings import *
except ImportError:
    pass
"""
PO = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\\\n"\n\nmsgid "word"\nmsgstr "Wort"\n'


def catalogue(pairs: dict[str, str]) -> bytes:
    """A .mo file."""
    pairs = {"": "Content-Type: text/plain; charset=UTF-8\n", **pairs}
    ids = strs = b""
    offsets = []
    for key, value in sorted(pairs.items()):
        offsets.append((len(key.encode()), len(ids), len(value.encode()), len(strs)))
        ids += key.encode() + b"\0"
        strs += value.encode() + b"\0"
    start = 7 * 4 + 16 * len(offsets)
    table = b"".join(struct.pack("<2I", a, b + start) for a, b, _, _ in offsets)
    table += b"".join(struct.pack("<2I", c, d + start + len(ids)) for _, _, c, d in offsets)
    head = struct.pack("<7I", 0x950412DE, 0, len(offsets), 28, 28 + len(offsets) * 8, 0, 0)
    return head + table + ids + strs


INDEX = "{% extends 'base.html' %}{% block body %}{{ word }} {{ books }}{% endblock %}"
MIGRATION = """\
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
"""

FILES = {
    "README.md": "read me\n",
    "shop/views.py": VIEWS,
    "shop/urls.py": SHOP_URLS,
    "shop/late.py": "ANSWER = 'late 1'\n",
    "shop/models.py": MODELS,
    "shop/templates/index.html": INDEX,
    "shop/templates/base.html": "<p>{% block body %}{% endblock %}",
    "shop/templates/never.html": "never",
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/work.py": WORK,
    "shop/management/commands/other.py": WORK,
    "site_/urls.py": URLS,
    "static/site.css": "p {}\n",
    "static/other.css": "p {}\n",
    "locale/de/LC_MESSAGES/django.po": PO,
    "locale/de/LC_MESSAGES/django.mo": catalogue({"word": "Wort"}),
    "locale/fr/LC_MESSAGES/django.po": PO,
    "locale/fr/LC_MESSAGES/django.mo": catalogue({"word": "mot"}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two apps, made as a person makes one."""
    pytest.importorskip("django")
    top = tmp_path_factory.mktemp("django")

    def run(*words: str) -> None:
        done = subprocess.run([sys.executable, *words], cwd=top, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run("-m", "django", "startproject", "site_", ".")
    for app in ("shop", "blog"):
        run("manage.py", "startapp", app)
    os.unlink(top / "blog/admin.py")
    build(top, FILES)
    edits.append(top / "site_/settings.py", SETTINGS)
    run("manage.py", "makemigrations")
    run("manage.py", "migrate")
    return top


@pytest.fixture
def django(made: Path, place: Place) -> Place:
    shutil.copytree(made, place.tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def runserver(place: Place, watch: Watch, *options: str, **keywords: Any) -> Served:
    port = free_port()
    command = [sys.executable, "manage.py", "runserver", "--noreload", str(port)]
    return Served(place, watch, *options, command=command, port=port, **keywords)


DJANGO = {
    *("manage.py", "site_/__init__.py", "site_/settings.py", "site_/urls.py", "site_/wsgi.py"),
    *("shop/__init__.py", "shop/apps.py", "shop/models.py", "shop/admin.py", "shop/urls.py", "shop/views.py"),
    *("blog/__init__.py", "blog/apps.py", "blog/models.py"),
    *("shop/migrations/__init__.py", "shop/migrations/0001_initial.py", "blog/migrations/__init__.py"),
}
"""What runserver has loaded when it is up: it looks whether migrations are missing, and imports them all."""

ASKED = {"locale/de/LC_MESSAGES/django.mo", "shop/templates/index.html", "shop/templates/base.html"}
"""What a request for / adds."""


def test_django_counts_what_it_has_loaded_and_nothing_else(django: Place, watch: Watch) -> None:
    served = runserver(django, watch, "--exact")
    served.answers("Wort 0")
    assert served.sweep("manage.py") == DJANGO | ASKED
    served.answers("Wort 0")
    served.answers("late 1", "/lazy")
    served.answers("p {}", "/static/site.css")
    # the development server opened it to send it: nobody can tell that from a file which it goes by
    assert served.sweep("manage.py") == DJANGO | ASKED | {"shop/late.py", "static/site.css"}


def test_django_restarts_for_what_a_person_does(django: Place, watch: Watch) -> None:
    tree = django.tree
    build(tree, {".git/HEAD": "", ".gitignore": "local_settings.py\n"})
    served = runserver(django, watch, "--exact", "--ignore=/static/", tracebacks=True)
    served.answers("Wort 0")
    served.answers("late 1", "/lazy")
    served.answers("p {}", "/static/site.css")
    with served.counts("shop/late.py"):
        edits.write(tree / "static/site.css", "p { }\n")
        edits.write(tree / "shop/tests.py", "")
        edits.write(tree / "shop/migrations/0002_new.py", MIGRATION)
        edits.replace(tree / "shop/late.py", "ANSWER = 'late 2'\n")
    served.answers("late 2", "/lazy")
    with served.counts("blog/admin.py"):
        edits.write(tree / "blog/admin.py", "from django.contrib import admin\n")
    served.answers("Wort 0")
    with served.counts("site_/local_settings.py"):
        edits.write(tree / "site_/local_settings.py", "LANGUAGE_CODE = 'fr'\n")
    served.answers("mot 0")
    with served.counts("locale/fr/LC_MESSAGES/django.mo"):
        edits.replace(tree / "locale/fr/LC_MESSAGES/django.po", "")
        (tree / "new.mo").write_bytes(catalogue({"word": "parole"}))
        os.replace(tree / "new.mo", tree / "locale/fr/LC_MESSAGES/django.mo")
    served.answers("parole 0")
    with served.counts("shop/templates/base.html"):
        edits.write(tree / "shop/templates/base.html", "<b>{% block body %}{% endblock %}")
    served.answers("<b>parole 0")
    served.answers("TemplateDoesNotExist", "/missing")
    with served.counts("shop/templates/missing.html"):
        edits.write(tree / "shop/templates/missing.html", "found")
    served.answers("found", "/missing")
    served.answers("TemplateDoesNotExist", "/missing/other")
    with served.counts("blog/templates/other.html"):  # Django has not looked there: it was not there
        build(tree, {"blog/templates/other.html": "found, too"})
    served.answers("found, too", "/missing/other")


def test_django_with_code_that_does_not_run(django: Place, watch: Watch) -> None:
    tree = django.tree
    served = runserver(django, watch, "--exact", tracebacks=True)
    served.answers("Wort 0")
    for name in ("shop/views.py", "site_/settings.py", "shop/models.py"):
        text = (tree / name).read_text()
        with served.counts(name):
            edits.write(tree / name, text + "\ndef broken(:\n")
        served.daemon.wait_event("ended", run=served.run, status=1)
        with served.counts(name):
            edits.write(tree / name, text)
        served.answers("Wort 0")


def test_django_behind_a_gate(django: Place, watch: Watch) -> None:
    views = django.tree / "shop/views.py"
    served = runserver(django, watch, "--exact", "--gate=syntax")
    served.answers("Wort 0")
    edits.write(views, VIEWS + "\ndef broken(:\n")
    held = served.daemon.wait_event("held", reason="syntax")
    assert held["path"].endswith("shop/views.py")
    served.answers("Wort 0")
    with served.counts("shop/views.py"):
        edits.write(views, VIEWS.replace("late.ANSWER", "'mended'"))
    served.answers("mended", "/lazy")


def test_django_without_exact(django: Place, watch: Watch) -> None:
    served = runserver(django, watch)
    served.answers("Wort 0")
    files = {str(path.relative_to(django.tree)) for path in project(django.tree)}
    assert served.sweep("manage.py") == files - {"db.sqlite3"}


def test_a_management_command(django: Place, watch: Watch) -> None:
    served = Served(django, watch, "--exact", command=[sys.executable, "manage.py", "work"])
    served.says("working")
    work = {f"shop/management/{name}" for name in ("__init__.py", "commands/__init__.py", "commands/work.py")}
    django_ = {name for name in DJANGO if "migrations" not in name and name != "site_/wsgi.py"}
    assert served.sweep("manage.py") == django_ | work | {"locale/de/LC_MESSAGES/django.mo"}


# Flask, uvicorn, gunicorn

FLASK = """\
from flask import Flask, render_template
import helper

app = Flask(__name__)

@app.get("/")
def index():
    return render_template("page.html", word=helper.WORD)

@app.get("/lazy")
def lazy():
    import late
    return late.ANSWER

@app.get("/missing")
def missing():
    return render_template("missing.html")

if __name__ == "__main__":
    import sys
    app.run(port=int(sys.argv[1]))
"""
STARLETTE = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import helper

async def index(request):
    return PlainTextResponse(helper.WORD)

async def lazy(request):
    import late
    return PlainTextResponse(late.ANSWER)

app = Starlette(routes=[Route("/", index), Route("/lazy", lazy)])
"""
BESIDE = {
    "helper.py": "WORD = 'word 1'\n",
    "late.py": "ANSWER = 'late 1'\n",
    "unused.py": "",
    "tests/test_web.py": "import web\n",
    "templates/page.html": "<p>{{ word }}",
    "templates/never.html": "",
    "static/site.css": "",
    "README.md": "",
}
BIND = "--bind=127.0.0.1:PORT"
SERVERS = {
    "flask": [tool("flask"), "--app", "web", "run", "--port", "PORT"],
    "python": [sys.executable, "web.py", "PORT"],
    "uvicorn": [tool("uvicorn"), "web:app", "--port", "PORT"],
    "uvicorn-workers": [tool("uvicorn"), "web:app", "--port", "PORT", "--workers", "2"],
    "gunicorn": [tool("gunicorn"), "web:app", BIND, "--workers", "2"],
    "gunicorn-preload": [tool("gunicorn"), "web:app", BIND, "--workers", "2", "--preload"],
}


def serve(place: Place, watch: Watch, name: str, *options: str, **keywords: Any) -> Served:
    build(place.tree, {**BESIDE, "web.py": STARLETTE if "uvicorn" in name else FLASK})
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in SERVERS[name]]
    return Served(place, watch, *options, command=command, port=port, **keywords)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_counts_what_it_has_loaded_and_nothing_else(place: Place, watch: Watch, name: str) -> None:
    loaded = {"web.py", "helper.py"} | (set() if "uvicorn" in name else {"templates/page.html"})
    # three in a row are a warning: a worker that comes late makes one more of a change
    served = serve(place, watch, name, "--exact", warnings=True)
    served.answers("word 1")
    assert served.sweep("web.py") == loaded
    served.answers("word 1")
    served.answers("late 1", "/lazy")  # in one of the workers
    assert served.sweep("web.py") == loaded | {"late.py"}
    served.answers("word 1")
    with served.counts("helper.py"):  # the same size, and often within the same second
        edits.replace(place.tree / "helper.py", "WORD = 'word 2'\n")
    served.answers("word 2")


@pytest.mark.parametrize("name", [*SERVERS, "django"])
def test_a_server_says_and_does_the_same_as_alone(
    place: Place, watch: Watch, request: pytest.FixtureRequest, name: str
) -> None:
    if name == "django":
        request.getfixturevalue("django")
        command, word = [sys.executable, "manage.py", "runserver", "--noreload", "PORT"], "Wort 0"
    else:
        build(place.tree, {**BESIDE, "web.py": STARLETTE if "uvicorn" in name else FLASK})
        command, word = SERVERS[name], "word 1"
    port = free_port()
    alone = Alone(place, [one.replace("PORT", str(port)) for one in command])
    with alone:
        wait_until(lambda: word in (ask(port) or ""), "its answer", explain=alone.report)
        wait_until(lambda: ready(name, alone.said()), "its workers", explain=alone.report)
        said = alone.said()
        status = alone.end(signal.SIGINT)
    port = free_port()
    command = [one.replace("PORT", str(port)) for one in command]
    served = Served(place, watch, "--exact", command=command, port=port, tracebacks=True)
    served.answers(word)
    served.daemon.wait(lambda: plain("\n".join(served.lines())) == said, f"the same words: {said}")
    os.kill(served.daemon.pid, signal.SIGINT)
    assert served.daemon.wait_exit() == -signal.SIGINT
    ended = served.daemon.named("ended")[-1]
    assert ended.get("status", ended.get("signal")) == (
        status if status >= 0 else signal.Signals(-status).name
    )
    if name not in READY:  # what several processes say when they are stopped comes by chance
        assert plain("\n".join(served.lines())) == alone.said()


READY = {
    "uvicorn-workers": "INFO:     Application startup complete.",
    "gunicorn": "Booting worker",
    "gunicorn-preload": "Booting worker",
}
"""What each of two workers says when it is up."""


def ready(name: str, lines: list[str]) -> bool:
    """Whether all workers are up and the request is logged by those that log it."""
    workers = name not in READY or sum(READY[name] in line for line in lines) == 2
    return workers and ("gunicorn" in name or any('"GET / ' in line for line in lines))


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_whose_code_does_not_run(place: Place, watch: Watch, name: str) -> None:
    """Whether it ends, with whatever status, or lives on and starts workers anew: the mend is a restart."""
    helper = place.tree / "helper.py"
    served = serve(place, watch, name, "--exact", warnings=True, tracebacks=True)
    served.answers("word 1")
    for broken, word in (("WORD = (\n", "never closed"), ("raise RuntimeError('broken')\n", "broken")):
        at = served.daemon.mark()
        edits.write(helper, broken)
        served.daemon.wait_event("restarted", after=at)
        said = len(served.daemon.noise)  # a worker of the last run that came late may have said it, too
        served.daemon.wait(lambda: any(word in line for line in served.daemon.noise[said:]), word)  # noqa: B023
        edits.replace(helper, "WORD = 'mended'\n")
        served.answers("mended")
        assert served.changed(at) == {"helper.py"}


@pytest.mark.parametrize("option", [[], ["--restart-status=none"]])
def test_gunicorn_whose_only_worker_cannot_start(place: Place, watch: Watch, option: list[str]) -> None:
    """It ends with 3, its own way to say so; ours is "restart me", which slows down and says why."""
    build(place.tree, {**BESIDE, "web.py": FLASK, "helper.py": "WORD = (\n"})
    port = free_port()
    command = [tool("gunicorn"), "web:app", f"--bind=127.0.0.1:{port}"]
    keywords: dict[str, Any] = {"warnings": True, "tracebacks": True}
    served = Served(place, watch, "--exact", *option, command=command, port=port, **keywords)
    served.daemon.wait_event("ended", run=1, status=3)
    if option:
        served.daemon.wait_event("waiting")
    else:
        warning = served.daemon.wait_event("warning")
        assert "--restart-status none" in warning["text"]
        served.daemon.wait_event("waiting", seconds=1)
    at = served.daemon.mark()
    edits.replace(place.tree / "helper.py", "WORD = 'mended'\n")
    served.answers("mended")
    assert served.changed(at) == {"helper.py"}
    assert not served.daemon.named("ended", after=at)


def test_flask_finds_a_template_that_was_missing_by_itself(place: Place, watch: Watch) -> None:
    """Jinja asks whether it is there and does not open it: nobody sees that, and nothing has to restart."""
    served = serve(place, watch, "flask", "--exact", tracebacks=True)
    served.answers("500", "/missing")
    edits.write(place.tree / "templates/missing.html", "found")
    served.answers("found", "/missing")
    assert served.sweep("web.py") == {"web.py", "helper.py", "templates/missing.html"}


# Celery

TASKS = """\
from celery import Celery
from celery.signals import worker_ready
import helper

app = Celery("tasks", broker="BROKER", backend="cache+memory://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}

@app.task
def work():
    import late
    print(f"worked {helper.WORD} {late.ANSWER}", flush=True)

@worker_ready.connect
def begin(**_):
    work.delay()
"""


@pytest.mark.parametrize(
    ("broker", "pool"), [("memory://", "solo"), ("memory://", "prefork"), ("filesystem://", "prefork")]
)
def test_celery(place: Place, watch: Watch, broker: str, pool: str) -> None:
    """A task that runs in the worker, or in a process of its pool, imports lazily."""
    build(place.tree, {**BESIDE, "tasks.py": TASKS.replace("BROKER", broker), "queue/": None})
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tasks",
        "worker",
        f"--pool={pool}",
        "--concurrency=2",
        "-l",
        "WARNING",
    ]
    # by itself it takes its four seconds to end
    served = Served(place, watch, "--exact", "--stop-timeout=0s", command=command)
    served.says("worked word 1 late 1")
    assert served.sweep("tasks.py") == {"tasks.py", "helper.py", "late.py"}
    served.says("worked word 1 late 1", times=2)
    with served.counts("helper.py"):
        edits.replace(place.tree / "helper.py", "WORD = 'word 2'\n")
    served.says("worked word 2 late 1")


# pytest

TESTED = {
    "pytest.ini": "[pytest]\naddopts = -q -s\n",
    "pkg/__init__.py": "def f():\n    return 1\n",
    "pkg/unused.py": "",
    "tests/conftest.py": "import pytest\n\n@pytest.fixture\ndef one():\n    return 1\n",
    "tests/test_a.py": "import pkg\n\ndef test_a(one):\n    assert pkg.f() == one\n",
    "tests/test_b.py": "def test_b():\n    assert open('data.txt').read() == 'x'\n",
    "tests/notes.txt": "",
    "data.txt": "x",
    "README.md": "",
}

STAY = """
@pytest.fixture(scope="session", autouse=True)
def stay():
    yield
    import time; print("all done", flush=True); time.sleep(99)
"""


def test_a_run_of_pytest(place: Place, watch: Watch) -> None:
    """It ends: what counts then is every file; while it runs, what it has loaded."""
    build(place.tree, TESTED)
    served = Served(place, watch, "--exact", command=[sys.executable, "-m", "pytest"])
    served.says("2 passed")
    served.daemon.wait_event("waiting")
    with served.counts("tests/test_a.py"):  # the one that pytest has rewritten and cached
        edits.replace(place.tree / "tests/test_a.py", TESTED["tests/test_a.py"].replace("== one", "== two"))
    served.says("1 failed, 1 passed")
    served.daemon.wait_event("ended", run=2, status=1)
    with served.counts("README.md"):
        edits.write(place.tree / "README.md", "")
    served.daemon.wait_event("ended", run=3, status=1)
    with served.counts("tests/conftest.py"):
        edits.append(place.tree / "tests/conftest.py", STAY)
    loaded = {"pkg/__init__.py", "tests/conftest.py", "tests/test_a.py", "tests/test_b.py", "data.txt"}
    served.says("all done")
    assert served.sweep("pkg/__init__.py") == loaded | {"pytest.ini"}


# Pools, prompts

POOL = """\
import multiprocessing, sys, time
import job

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(job.work, [1, 2]), flush=True)
        time.sleep(99)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool(place: Place, watch: Watch, method: str) -> None:
    job = "def work(number):\n    import late\n    return late.ANSWER\n"
    build(place.tree, {**BESIDE, "main.py": POOL, "job.py": job})
    served = Served(place, watch, "--exact", command=[sys.executable, "main.py", method])
    served.says("['late 1', 'late 1']")
    assert served.sweep("main.py") == {"main.py", "job.py", "late.py"}
    served.says("['late 1', 'late 1']", times=2)
    with served.counts("late.py"):
        edits.replace(place.tree / "late.py", "ANSWER = 'late 2'\n")
    served.says("['late 2', 'late 2']")


@pytest.mark.parametrize("options", [[], ["-i"]])
def test_the_prompt_of_python(place: Place, watch: Watch, options: list[str]) -> None:
    build(place.tree, BESIDE)
    served = Served(place, watch, "--exact", command=[sys.executable, *options], terminal=True)
    terminal = served.daemon.terminal
    assert terminal is not None
    at = 0
    for word in ("word 1", "word 2"):
        terminal.wait_output(">>> ", after=at)
        terminal.send("import helper; print('<' + helper.WORD + '>')\n")
        terminal.wait_output(f"<{word}>", after=at)
        terminal.send("1 +\x7f\x7f + 41\n")  # it edits its line
        terminal.wait_output("42", after=at)
        served.armed(modules=1)
        edits.write(place.tree / "unused.py", "")
        mark, at = served.daemon.mark(), terminal.mark()
        edits.replace(place.tree / "helper.py", "WORD = 'word 2'\n")
        served.daemon.wait_event("restarted", after=mark)
        assert served.changed(mark) == {"helper.py"}
    terminal.wait_output(">>> ", after=at)
    terminal.send(CTRL_D)
    served.daemon.wait_event("ended", status=0)


# Installed from elsewhere


FINDER = """\
import sys
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "lib":
            return spec_from_file_location(name, "TOP/lib/__init__.py")

sys.meta_path.append(Finder)
"""


LIB = """\
import time
from lib import part

def main():
    print(part.X, flush=True)
    time.sleep(99)
"""


@pytest.mark.parametrize("style", ["compat", "finder", "strict"])
def test_a_console_script_of_an_editable_install(place: Place, watch: Watch, style: str) -> None:
    """As pip and setuptools write it: a line in a .pth file, a finder, or links into the checkout."""
    top = place.outside / "src"
    build(top, {"lib/__init__.py": LIB, "lib/part.py": "X = 'part 1'\n", "lib/unused.py": ""})
    venv = place.base / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    if style == "compat":
        build(site, {"__editable__.lib.pth": f"{top}\n"})
    elif style == "finder":
        build(
            site,
            {"__editable__.lib.pth": "import _lib_finder", "_lib_finder.py": FINDER.replace("TOP", str(top))},
        )
    else:
        build(place.outside, {"build/lib/": None})
        for name in ("__init__.py", "part.py", "unused.py"):
            (place.outside / "build/lib" / name).symlink_to(top / "lib" / name)
        build(site, {"__editable__.lib.pth": f"{place.outside / 'build'}\n"})
    script = venv / "bin/lib"
    script.write_text(f"#!{venv}/bin/python\nimport sys\nfrom lib import main\nsys.exit(main())\n")
    script.chmod(0o755)
    known = place.outside / "build/lib" if style == "strict" else top / "lib"
    served = Served(place, watch, "--exact", command=[str(script)])
    served.says("part 1")
    served.armed(modules=3)
    with served.counts(str(known / "part.py")):
        edits.write(top / "lib/unused.py", "")
        edits.write(top / "lib/part.py", "X = 'part 2'\n")
    served.says("part 2")
    served.armed(modules=3)
    with served.counts(str(known / "__init__.py")):
        edits.replace(top / "lib/__init__.py", LIB)
