"""Measures the time from a save to the first answer of a stock Django project, cold and warm.

    python -m benchmarks.measure_served [TIMES]

Facts
- The view that is edited says a number: an answer with the new one comes of a run that has read the edit.
- Cold and warm take turns, so that what else the machine does hits both.  Requests are made one after another
  with 1 ms between them while nobody listens, as by a browser that is reloaded by an impatient person.
- What is saved first comes when the service has been quiet for 3 s: a copy is there by then.
- Memory is Pss of /proc/PID/smaps_rollup (proc(5)): pages that are shared count for each by its part.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measures import median

URLS = """
from django.contrib import admin
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls), path("", lambda request: HttpResponse("number {}"))]
"""

QUIET = 3.0
PATIENCE = 30.0


class Site:
    """One project and one reloaderd that serves it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._urls = directory / "site_" / "urls.py"
        self._port = _free_port()
        self._number = 0
        django = [sys.executable, "-m", "django", "startproject", "site_", "."]
        directory.mkdir()
        subprocess.run(django, cwd=directory, check=True)
        self._urls.write_text(URLS.format(0))
        command = [sys.executable, "manage.py", "runserver", "--noreload", str(self._port)]
        words = [sys.executable, "-m", "reloaderd", "watch", *options, ".", "--", *command]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(words, cwd=directory, env=environ, stdout=quiet, stderr=quiet)
        self._wait()

    def save(self) -> float:
        """Save another number; the milliseconds until it is served."""
        self._number += 1
        time.sleep(QUIET)
        began = time.perf_counter()
        self._urls.write_text(URLS.format(self._number))
        self._wait()
        return (time.perf_counter() - began) * 1000

    def memory(self) -> float:
        """MB of all that is kept for it: the keeper, the run and the copies."""
        time.sleep(QUIET)
        keeper = _children(self.process.pid)[0]
        return sum(map(_pss, _children(keeper)))

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()

    def _wait(self) -> None:
        wanted = b"number %d" % self._number
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    answer = b""
                    while more := connection.recv(4096):
                        answer += more
            except OSError:
                time.sleep(0.001)
                continue
            if answer.endswith(wanted):
                return
        raise TimeoutError(f"{wanted!r} was not served")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(times: int) -> None:
    """Print what it comes to."""
    with tempfile.TemporaryDirectory() as scratch:
        sites = {"cold": Site(Path(scratch) / "cold"), "warm": Site(Path(scratch) / "warm", "--warm")}
        found: dict[str, list[float]] = {name: [] for name in sites}
        for _ in range(times):
            for name, site in sites.items():
                found[name].append(site.save())
        for name, site in sites.items():
            figures = sorted(found[name])
            line = f"median {median(figures):.0f} ms, least {figures[0]:.0f}, most {figures[-1]:.0f}"
            print(f"{name}: save to served {line}; {site.memory():.0f} MB")
            site.close()


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
