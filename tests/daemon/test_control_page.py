"""docs/control.md: what it shows is what a person sees."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support import edits
from tests.support.asking import told
from tests.support.daemon import Daemon, Watch
from tests.support.places import REPOSITORY, Place, build

PAGE = (REPOSITORY / "docs/control.md").read_text(encoding="utf-8")

[CONFIGURATION] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)

SHOWN = [
    (line[2:].split(), text)
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
    for line, text in re.findall(r"^(\$ .*)\n((?:(?!\$ ).*\n)*)", block, re.M)
]
"""Each command of the page with what it prints."""


def plain(text: str) -> list[str]:
    """The lines without what is never the same: times and numbers."""
    text = re.sub(r"^[A-Z][a-z]+day .*$", "DAY", text, flags=re.M)
    text = re.sub(r"\d\d:\d\d:\d\d", "CLOCK", text)
    text = re.sub(r"[0-9.]+ (ms|s|min|h)\b( [0-9]+ (s|min))?", "TIME", text)
    text = re.sub(r"\(\d+ of libraries[^)]*\)", "(N of libraries)", text)
    text = re.sub(r"(\(pid |, )\d+", r"\1N", text)
    return text.splitlines()


def shown(name: str, *words: str) -> list[str]:
    [text] = [text for line, text in SHOWN if line == ["reloaderd", name, *words]]
    return plain(text)


def stories(lines: list[str]) -> list[str]:
    """What is told of each run, in an order of its own."""
    return sorted(re.split(r"\n(?=  CLOCK)", "\n".join(lines)))


WEB = """
import http.server, sys, time
sys.path.append("src")
import cart
time.sleep(1000)
"""


@pytest.fixture
def shop(place: Place) -> Path:
    shop = place.home / "shop"
    build(
        shop,
        {
            "reloaderd.toml": CONFIGURATION,
            "web.py": WEB,
            "worker.sh": "exec sleep 1000\n",
            "src/cart.py": "1\n",
            "src/shop.css": "1\n",
        },
    )
    (shop / "reloaderd.toml").chmod(0o644)
    return shop


def pid_of(daemon: Daemon, service: str, run: int) -> int:
    pid: int = daemon.wait_event("started", service=service, run=run)["pid"]
    return pid


def test_the_page_is_true(watch: Watch, place: Place, shop: Path) -> None:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    daemon = watch(
        configured=True, cwd=shop, command=["-"], environ={"PATH": path}, children=None, marker="marker"
    )
    for service in ("web", "worker"):
        pid_of(daemon, service, 1)
    daemon.wait_event("armed", run=1)
    edits.write(shop / "src/cart.py", "2\n")
    pid_of(daemon, "web", 2)
    daemon.wait_event("armed", run=2)
    os.kill(pid_of(daemon, "worker", 2), signal.SIGSEGV)
    pid_of(daemon, "worker", 3)
    assert plain(told(place, "status", cwd=shop)) == shown("status")
    # services restart at the same time: which is first is not said
    assert stories(plain(told(place, "why", cwd=shop))) == stories(shown("why"))
    assert plain(told(place, "explain", "src/shop.css", cwd=shop)) == shown("explain", "src/shop.css")
    assert plain(told(place, "restart", "shop/worker", cwd=shop)) == shown("restart", "shop/worker")
    pid_of(daemon, "worker", 4)
    assert plain(told(place, "pause", "web", cwd=shop)) == shown("pause", "web")
    at = daemon.mark()
    for name in ("cart.py", "shop.css"):
        edits.write(shop / "src" / name, "3\n")
    daemon.wait_event("held", after=at)
    daemon.wait(lambda: "2 changes wait" in told(place, "status", "web", cwd=shop), "both to wait")
    assert plain(told(place, "resume", "web", cwd=shop)) == shown("resume", "web")
    pid_of(daemon, "web", 3)
    assert len(SHOWN) == 6


def test_the_limits_it_names_are_those_of_the_code() -> None:
    from reloaderd.core.history import MOST as RUNS
    from reloaderd.kernel.control import MOST
    from reloaderd.kernel.varlink import LONGEST
    from reloaderd.settings import ControlSettings

    text = " ".join(PAGE.split())
    assert f"more than {LONGEST // 1024} KiB" in text
    assert f"of more than {MOST} the oldest is" in text
    assert f"`--last {RUNS}` are all that are remembered" in text
    assert ControlSettings("why").last == 10
