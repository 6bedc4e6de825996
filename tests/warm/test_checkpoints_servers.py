"""Real servers whose runs go on from a copy, as far as they can, answer what was edited last."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.support.serving import ask, free_port, tool
from tests.warm.conftest import Resumed

TEXT = "TEXT = 'TEXT'\n"

VIEWS = (
    TEXT
    + """
from django.conf import settings
from django.http import HttpResponse
from shop import models
def index(request):
    return HttpResponse(f"{TEXT} {models.TEXT} {settings.TEXT}")
"""
)
URLS = """
from django.contrib import admin
from django.urls import path
from shop import views
urlpatterns = [path("", views.index), path("admin/", admin.site.urls)]
"""
MODELS = TEXT + "from django.db import models\nclass Thing(models.Model):\n    name = models.TextField()\n"

FLASK = {
    "web.py": "import flask, shop\napp = flask.Flask(__name__)\napp.register_blueprint(shop.shop)\n" + TEXT,
    "shop.py": "import flask\nshop = flask.Blueprint('shop', __name__)\n"
    + TEXT
    + "@shop.route('/')\ndef index():\n    import web\n    return f'{TEXT} {web.TEXT}'\n",
}
FASTAPI = {
    "web.py": "import fastapi, routers.shop\napp = fastapi.FastAPI()\n"
    "app.include_router(routers.shop.router)\n" + TEXT,
    "routers/__init__.py": "",
    "routers/shop.py": "import fastapi\nrouter = fastapi.APIRouter()\n"
    + TEXT
    + "@router.get('/')\ndef index() -> str:\n    import web\n    return f'{TEXT} {web.TEXT}'\n",
}


class Server(NamedTuple):
    needs: tuple[str, ...]
    files: dict[str, str]
    command: Callable[[int], list[str]]
    edits: tuple[str, ...]


SERVERS = {
    "django": Server(
        ("django",),
        {"shop/__init__.py": "", "shop/models.py": MODELS, "shop/views.py": VIEWS, "site_/urls.py": URLS},
        lambda port: [sys.executable, "manage.py", "runserver", "--noreload", str(port)],
        (
            "shop/views.py",
            "shop/views.py",
            "shop/models.py",
            "shop/models.py",
            "site_/settings.py",
            "shop/views.py",
            "shop/views.py",
        ),
    ),
    "flask": Server(
        ("flask",),
        FLASK,
        lambda port: [tool("flask"), "--app", "web", "run", "--no-reload", "-p", str(port)],
        ("shop.py", "shop.py", "web.py", "shop.py"),
    ),
    "uvicorn": Server(
        ("uvicorn", "fastapi"),
        FASTAPI,
        lambda port: [tool("uvicorn"), "web:app", "--port", str(port)],
        ("routers/shop.py", "routers/shop.py", "web.py", "web.py", "routers/shop.py"),
    ),
    "gunicorn": Server(
        ("gunicorn", "flask"),
        FLASK,
        lambda port: [tool("gunicorn"), "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "web:app"],
        ("shop.py", "shop.py", "web.py", "shop.py"),
    ),
}


def shown(file: str) -> bool:
    """Whether its text is in the answer."""
    return not file.endswith(("__init__.py", "urls.py"))


@pytest.mark.parametrize("options", [(), ("--keep-sockets",)])
@pytest.mark.parametrize("name", SERVERS)
def test_what_was_edited_is_served(resumed: Resumed, name: str, options: tuple[str, ...]) -> None:
    server = SERVERS[name]
    lacking = [one for one in server.needs if importlib.util.find_spec(one) is None]
    if lacking:
        pytest.skip(f"no {', '.join(lacking)} here")
    port = free_port()
    if name == "django":
        resumed.place.tree.mkdir(exist_ok=True)
        subprocess.run(
            [tool("django-admin"), "startproject", "site_", "."], cwd=resumed.place.tree, check=True
        )
        settings = resumed.place.tree / "site_/settings.py"
        apps = settings.read_text().replace("INSTALLED_APPS = [", "INSTALLED_APPS = [\n    'shop',")
        settings.write_text(apps + TEXT)
    resumed.start(
        server.files,
        *server.command(port),
        environ={"PYTHONUNBUFFERED": "1"},
        options=["--stop-timeout", "2s", *options],
    )
    texts = {file: "TEXT" for file in {*server.files, *server.edits} if shown(file)}

    def served() -> bool:
        return sorted((ask(port) or "").strip('"').split()) == sorted(texts.values())

    resumed.daemon.wait(served, "an answer")
    resumed.wait_ready()
    used = []
    for number, file in enumerate(server.edits):
        text = (resumed.place.tree / file).read_text()
        texts[file] = f"text{number}"
        text = re.sub("(?m)^TEXT = .*$", f"TEXT = 'text{number}'", text)
        event = resumed.edit(file, text)
        used += [event.get("checkpoint", "")]
        resumed.daemon.wait(served, f"{texts}")
    print(name, [os.path.relpath(one, resumed.place.tree) if one else "-" for one in used])
    assert any(used), resumed.daemon.report()
    assert not [line for line in resumed.daemon.noise if "Traceback" in line]
