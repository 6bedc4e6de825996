"""The projects that are served: stock ones, each with one view that answers with a word that is edited."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import NamedTuple

DJANGO_URLS = """\
from django.urls import path
from pages import views

urlpatterns = [path("", views.index)]
"""

DJANGO_VIEWS = """\
from django.http import HttpResponse
from django.shortcuts import render  # what startapp writes
from pages.models import Page

WORD = "{word}"


def index(request):
    return HttpResponse(WORD)
"""

DJANGO_MODELS = """\
from django.db import models


class Page(models.Model):
    title = models.CharField(max_length=80)
    text = models.TextField()
"""

FLASK_APP = """\
from flask import Flask

from views import index

app = Flask(__name__)
app.add_url_rule("/", view_func=index)
"""

FLASK_VIEWS = """\
from flask import request

WORD = "{word}"


def index():
    return WORD
"""

FASTAPI_APP = """\
import pandas
from fastapi import FastAPI

import views

api = FastAPI()
api.include_router(views.router)
table = pandas.DataFrame({"a": range(1000)})
"""

FASTAPI_VIEWS = """\
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

WORD = "{word}"
router = APIRouter()


class Answer(BaseModel):
    word: str


@router.get("/", response_class=PlainTextResponse)
def index() -> str:
    return Answer(word=WORD).word
"""


class Project(NamedTuple):
    """One kind.  `make(directory, python)` makes it; `views` is the file with the word, `{word}` in `text`.

    `module` and `arguments(port)` are how its server is started: `python -m module arguments`; `reloading`
    are those with which it restarts itself.
    """

    name: str
    title: str
    make: Callable[[str, str], None]
    views: str
    text: str
    module: str
    arguments: Callable[[int], list[str]]
    reloading: Callable[[int], list[str]]

    def save(self, directory: str, word: str) -> None:
        """Edit the view as an editor does that writes in place."""
        with open(os.path.join(directory, self.views), "w", encoding="utf-8") as file:
            file.write(self.text.replace("{word}", word))


def _django(directory: str, python: str) -> None:
    def call(*words: str) -> None:
        subprocess.run([python, "-m", "django", *words], cwd=directory, check=True, capture_output=True)

    call("startproject", "shop", ".")
    call("startapp", "pages")
    _write(f"{directory}/shop/urls.py", DJANGO_URLS)
    _write(f"{directory}/pages/models.py", DJANGO_MODELS)
    settings = f"{directory}/shop/settings.py"
    with open(settings, encoding="utf-8") as file:
        text = file.read()
    _write(settings, text.replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "pages",'))


def _flask(directory: str, python: str) -> None:
    _write(f"{directory}/web.py", FLASK_APP)


def _fastapi(directory: str, python: str) -> None:
    _write(f"{directory}/web.py", FASTAPI_APP)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


PROJECTS = (
    Project(
        "django",
        "Django, stock project",
        _django,
        "pages/views.py",
        DJANGO_VIEWS,
        "manage",
        lambda port: ["runserver", "--noreload", f"127.0.0.1:{port}"],
        lambda port: ["runserver", f"127.0.0.1:{port}"],
    ),
    Project(
        "flask",
        "Flask",
        _flask,
        "views.py",
        FLASK_VIEWS,
        "flask",
        lambda port: ["--app", "web", "run", "--no-reload", "--port", str(port)],
        lambda port: ["--app", "web", "run", "--reload", "--port", str(port)],
    ),
    Project(
        "fastapi",
        "FastAPI and pandas, uvicorn",
        _fastapi,
        "views.py",
        FASTAPI_VIEWS,
        "uvicorn",
        lambda port: ["web:api", "--port", str(port)],
        lambda port: ["web:api", "--reload", "--port", str(port)],
    ),
)
