"""Real programs whose runs come of a copy: what was edited is served, and by a run of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.support.serving import ask, free_port, tool
from tests.warm.conftest import Twice

FLASK = """
import flask, os
app = flask.Flask(__name__)
@app.route("/")
def index():
    return f"TEXT {os.getpid()} {os.environ['RELOADERD_RUN']}"
"""

ASGI = """
import os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
    text = f"TEXT {os.getpid()} {os.environ['RELOADERD_RUN']}".encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
"""

FASTAPI = """
import fastapi, os, pandas
app = fastapi.FastAPI()
@app.get("/")
def index() -> str:
    return f"TEXT {os.getpid()} {os.environ['RELOADERD_RUN']} {pandas.DataFrame({'a': [1, 2]}).a.sum()}"
"""

VIEWS = """
import os
from django.http import HttpResponse
def index(request):
    return HttpResponse(f"TEXT {os.getpid()} {os.environ['RELOADERD_RUN']}")
"""

URLS = """
from django.contrib import admin
from django.urls import path
from site_ import views
urlpatterns = [path("", views.index), path("admin/", admin.site.urls)]
"""


class Program(NamedTuple):
    needs: tuple[str, ...]
    file: str
    text: str
    command: Callable[[int], list[str]]


PROGRAMS = {
    "flask": Program(
        ("flask",),
        "web.py",
        FLASK,
        lambda port: [tool("flask"), "--app", "web", "run", "--no-reload", "-p", str(port)],
    ),
    "flask -m": Program(
        ("flask",),
        "web.py",
        FLASK,
        lambda port: [sys.executable, "-m", "flask", "--app", "web", "run", "-p", str(port)],
    ),
    "uvicorn": Program(
        ("uvicorn",), "web.py", ASGI, lambda port: [tool("uvicorn"), "web:app", "--port", str(port)]
    ),
    "uvicorn -m": Program(
        ("uvicorn",),
        "web.py",
        ASGI,
        lambda port: [sys.executable, "-m", "uvicorn", "web:app", "--port", str(port)],
    ),
    "uvicorn, workers": Program(
        ("uvicorn",),
        "web.py",
        ASGI,
        lambda port: [tool("uvicorn"), "web:app", "--workers", "2", "--port", str(port)],
    ),
    "gunicorn": Program(
        ("gunicorn", "flask"),
        "web.py",
        FLASK,
        lambda port: [tool("gunicorn"), "-w", "2", "-b", f"127.0.0.1:{port}", "web:app"],
    ),
    "fastapi": Program(
        ("fastapi", "pandas", "uvicorn"),
        "web.py",
        FASTAPI,
        lambda port: [tool("uvicorn"), "web:app", "--port", str(port)],
    ),
    "django": Program(
        ("django",),
        "site_/views.py",
        VIEWS,
        lambda port: [sys.executable, "manage.py", "runserver", "--noreload", str(port)],
    ),
    "django-admin": Program(
        ("django",),
        "site_/views.py",
        VIEWS,
        lambda port: [
            tool("django-admin"),
            "runserver",
            "--noreload",
            "--pythonpath=.",
            "--settings=site_.settings",
            str(port),
        ],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_was_edited_is_served(twice: Twice, name: str) -> None:
    program = PROGRAMS[name]
    lacking = [one for one in program.needs if importlib.util.find_spec(one) is None]
    if lacking:
        pytest.skip(f"no {', '.join(lacking)} here")
    port = free_port()
    files = {program.file: program.text}
    if "django" in name:
        subprocess.run([tool("django-admin"), "startproject", "site_", "."], cwd=twice.place.tree, check=True)
        files["site_/urls.py"] = URLS
    twice.start(
        files, *program.command(port), environ={"PYTHONUNBUFFERED": "1"}, options=["--stop-timeout", "2s"]
    )

    def served(text: str, run: int) -> bool:
        words = (ask(port) or "").strip('"').split()
        return words[:1] == [text] and words[2] == str(run)

    twice.daemon.wait(lambda: served("TEXT", 1), "an answer")
    ready = twice.wait_ready()
    assert ready["modules"] > 100
    run = 1
    for text in ("second", "third", "fourth"):
        run = twice.again(
            edit=lambda tree, text=text: (tree / program.file).write_text(program.text.replace("TEXT", text))
        )
        twice.daemon.wait(lambda text=text, run=run: served(text, run), f"{text} of run {run}")
    assert twice.daemon.named("started")[-1]["warm"] is True
    assert not [line for line in twice.daemon.noise if "Traceback" in line]


CELERY = """
from celery import Celery
folders = {"data_folder_in": "queue", "data_folder_out": "queue"}
app = Celery("tasks", broker="filesystem://", broker_transport_options=folders)
app.conf.broker_connection_retry_on_startup = True
@app.task
def add(a, b):
    open(f"done-{a}-{b}", "w").close()
"""


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_celery_works_on_tasks(twice: Twice, pool: str) -> None:
    if importlib.util.find_spec("celery") is None:
        pytest.skip("no celery here")
    (twice.place.tree / "queue").mkdir()
    command = [tool("celery"), "-A", "tasks", "worker", "-P", pool, "-c", "1"]
    twice.start(
        {"tasks.py": CELERY, ".reloaderdignore": "queue/\ndone-*\n"},
        *command,
        options=["--stop-timeout", "1s"],
    )

    def work(number: int) -> None:
        code = f"import tasks; tasks.add.delay({number}, 1)"
        subprocess.run([sys.executable, "-c", code], cwd=twice.place.tree, check=True)
        twice.daemon.wait(
            lambda: os.path.exists(twice.place.tree / f"done-{number}-1"), "the task to be done"
        )

    work(1)
    twice.daemon.wait(lambda: "modules" in (twice.daemon.named("warm") or [{}])[-1], "a copy")
    twice.again(edit=lambda tree: (tree / "tasks.py").write_text(CELERY + "# edited\n"))
    work(2)


def test_coverage_counts_the_same_lines(twice: Twice) -> None:
    if importlib.util.find_spec("coverage") is None:
        pytest.skip("no coverage here")
    files = {
        "app.py": "import json, lib\nif json:\n    x = 1\nelse:\n    x = 2\nlib.f()\n",
        "lib.py": "def f():\n    return 1\n\ndef g():\n    return 2\n",
    }
    twice.start(
        files,
        sys.executable,
        "-m",
        "coverage",
        "run",
        "--data-file",
        str(twice.place.scratch / "data"),
        "app.py",
    )
    twice.ended(1)

    def report() -> str:
        command = [
            sys.executable,
            "-m",
            "coverage",
            "report",
            "-m",
            "--data-file",
            str(twice.place.scratch / "data"),
        ]
        return subprocess.run(
            command, cwd=twice.place.tree, check=True, capture_output=True, text=True
        ).stdout

    cold = report()
    twice.wait_ready()
    os.remove(twice.place.scratch / "data")
    twice.ended(twice.again())
    assert report() == cold and "lib.py" in cold


NUMBERS = """
import os, numpy
from telling import tell
a = numpy.random.rand(600, 600)
b = a @ a @ numpy.linalg.inv(a)
tell([bool(abs(b - a).max() < 1e-6), float(numpy.random.random()) != 0])
"""


def test_numpy_computes_with_its_threads(twice: Twice) -> None:
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("no numpy here")
    cold, warm = twice.both({"app.py": NUMBERS})
    assert cold == warm
    left = twice.daemon.named("warm")[-1]["left"]
    assert not [name for name in left if name in ("numpy", "numpy.linalg")], left


SHOP = """
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from telling import tell
engine = sqlalchemy.create_engine("sqlite://")
class Base(DeclarativeBase):
    pass
class Order(Base):
    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[list["Line"]] = relationship(back_populates="order")
class Line(Base):
    __tablename__ = "lines"
    number: Mapped[int] = mapped_column(primary_key=True)
    of: Mapped[int] = mapped_column(sqlalchemy.ForeignKey("orders.number"))
    order: Mapped[Order] = relationship(back_populates="lines")
said = []
@event.listens_for(engine, "before_cursor_execute")
def executes(connection, cursor, statement, *rest):
    said.append(statement)
@event.listens_for(Session, "before_flush")
def flushes(*rest):
    said.append("flush")
@event.listens_for(Order, "load")
def loads(order, context):
    said.append(f"load {order.number}")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(Order(lines=[Line(), Line()]))
    session.commit()
with Session(engine) as session:
    order = session.scalars(sqlalchemy.select(Order)).one()
    tell([len(order.lines), said, Order.__module__, type(engine.pool).__name__,
      sqlalchemy.util.has_compiled_ext(), sqlalchemy.engine.Row.__mro__[1].__module__])
"""


def test_sqlalchemy_maps_classes_and_calls_its_listeners(twice: Twice) -> None:
    if importlib.util.find_spec("sqlalchemy") is None:
        pytest.skip("no sqlalchemy here")
    cold, warm = twice.both({"app.py": SHOP})
    assert cold == warm and warm[0] == 2 and "flush" in warm[1] and "load 1" in warm[1]
    assert not twice.daemon.named("warm")[-1]["left"]


PATCHED = """
from gevent import monkey
monkey.patch_all()
import socket, json, gevent
from telling import tell
tell([socket.socket.__module__, monkey.is_module_patched("threading")])
"""


def test_gevent_is_left_to_the_run(twice: Twice) -> None:
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("no gevent here")
    cold, warm = twice.both({"app.py": PATCHED})
    assert cold == warm and warm[0].startswith("gevent")
