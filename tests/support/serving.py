"""A real server under reloaderd: it is asked over HTTP, its project is edited, and what counted is read."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch
from tests.support.places import Place
from tests.support.waiting import LIMIT

ENVIRON: dict[str, str | None] = {"PYTHONDONTWRITEBYTECODE": None, "PYTHONUNBUFFERED": "1"}
"""A person's servers write their compiled files: what a later run loads is these."""

ASGI = """\
async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""
"""It says hello, and closes the connection."""

FLASK = """\
from flask import Flask
app = Flask(__name__)

@app.route("/")
def index():
    return "hello"
"""
URLS = """\
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
"""


def tool(name: str) -> str:
    """A console script of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


def free_port() -> int:
    """A port of the loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def ask(port: int, path: str = "/") -> str | None:
    """What a server answers, an error's page too; None while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LIMIT) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
    except OSError:
        return None


class Served:
    """One `reloaderd watch OPTIONS -- COMMAND` with a server or another program that is real."""

    def __init__(
        self,
        place: Place,
        watch: Watch,
        *options: str,
        command: Sequence[str],
        port: int = 0,
        environ: Mapping[str, str | None] | None = None,
        roots: Sequence[str] = (),
        **keywords: Any,
    ) -> None:
        self.place = place
        self.port = port
        self.daemon: Daemon = watch(
            *options,
            command=command,
            roots=roots,
            environ={**ENVIRON, **(environ or {})},
            children=None,
            **keywords,
        )

    @property
    def run(self) -> int:
        """The number of the run that was started last."""
        events = [one for one in self.daemon.events if one["event"] in ("started", "restarted")]
        return int(events[-1]["run"])

    def answers(self, text: str, path: str = "/") -> str:
        """Wait until the answer has `text`; all of it."""

        def look() -> str | None:
            answer = ask(self.port, path)
            return answer if answer is not None and text in answer else None

        found: str = self.daemon.wait(look, f"{text!r} in the answer to {path}")
        return found

    def says(self, text: str, times: int = 1) -> None:
        """Wait until all runs have printed that many lines with `text`, to stdout or stderr."""
        self.daemon.wait(
            lambda: sum(text in line for line in self.lines()) >= times, f"{text!r} in its output"
        )

    def lines(self) -> list[str]:
        """What all runs have printed."""
        return [*self.daemon.stdout.read_text().splitlines(), *self.daemon.noise]

    def armed(self, **counts: int) -> None:
        """Wait until the present run has told what it loaded."""
        self.daemon.wait_event("armed", run=self.run, **counts)

    @contextmanager
    def counts(self, *names: str) -> Iterator[None]:
        """What is done inside is one restart, by these files of the project or paths and no other."""
        run, at = self.run, self.daemon.mark()
        yield
        self.daemon.wait_event("restarted", run=run + 1)
        assert self.changed(at) == set(names)
        self.armed()

    def changed(self, at: int = 0) -> set[str]:
        """What counted since, relative to the project where it is below it."""
        top = str(self.daemon.cwd) + "/"
        return {path.removeprefix(top) for path in self.daemon.changed_paths(at)}

    def sweep(self, last: str, *more: Path) -> set[str]:
        """Every file of the project is written as it is, and `last`, which counts: what counted of them.

        They are written within one batch, and events come in order: what was not in it did not count.
        """
        run, at = self.run, self.daemon.mark()
        for path in [*project(self.daemon.cwd), *more, self.daemon.cwd / last]:
            edits.write(path, path.read_bytes())
        self.daemon.wait_event("restarted", run=run + 1)
        self.armed()
        return self.changed(at)


def project(top: Path) -> list[Path]:
    """All files below a directory but compiled ones and git's."""
    return sorted(
        path
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".git" not in path.parts
    )


# What a command says and does by itself


class Alone:
    """The command without reloaderd, in the same place: what it prints, and how it ends on a signal."""

    def __init__(self, place: Place, command: Sequence[str]) -> None:
        self.out, self.err = place.scratch / "alone-out", place.scratch / "alone-err"
        environ = {**place.environ(), **ENVIRON}
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=place.tree,
                env={name: value for name, value in environ.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def end(self, signum: int) -> int:
        """Its status, as subprocess gives it, after it and its group got that signal, as from a terminal."""
        os.killpg(self.process.pid, signum)
        return self.process.wait(LIMIT)

    def said(self) -> list[str]:
        return plain(self.report())

    def report(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [*procfs.descendants(self.process.pid), self.process.pid]:
            if self.process.poll() is None:
                procfs.kill(pid)
        self.process.wait()


def plain(text: str) -> list[str]:
    """Lines without what differs from one time to the next, in an order of their own."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    # gunicorn says the last whenever a thread of its comes to it, maybe after the workers are up
    lines = [line for line in text.splitlines() if line.strip() and "Control socket listening" not in line]
    return sorted(re.sub(r"[0-9]+", "0", line).strip() for line in lines)
