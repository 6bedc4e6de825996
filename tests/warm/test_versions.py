"""Every version of Python that the agent is for can be paused and copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.conftest import FOLLOWED, interpreter
from tests.warm.conftest import Twice

APP = """
import json, os, sys, threading, logging, random, subprocess, asyncio, multiprocessing, email.message
from telling import tell
def work(x):
    return x + 1
if __name__ == "__main__":
    threading.Thread(target=print).start()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.map(work, [1])
    tell([sys.version, sys.argv, sys.path, __file__, result, asyncio.run(asyncio.sleep(0, 3)), str(sys.flags),
      "sitecustomize" in sys.modules, len(os.listdir("/proc/self/fd"))])
"""

PROBE = (Path(__file__).parent / "probe.py").read_text()


@pytest.mark.parametrize("version", FOLLOWED)
def test_a_program_of_any_version(twice: Twice, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    cold, warm = twice.both({"app.py": APP}, python, "app.py")
    assert cold == warm
    ready = [one for one in twice.daemon.named("warm") if "modules" in one][-1]
    assert ready["modules"] > 50 and not ready["left"], ready


@pytest.mark.parametrize("version", FOLLOWED)
def test_a_process_of_any_version(twice: Twice, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    options = [] if version == "3.8" else ["-X", "dev"]  # see below
    cold, warm = twice.both({"app.py": PROBE}, python, *options, "app.py", "x")
    different = [(key, cold[key], warm[key]) for key in cold if cold[key] != warm[key]]
    assert not different, different


def test_what_cannot_be_forked_is_executed(twice: Twice) -> None:
    python = interpreter("3.8")
    if python is None:
        pytest.skip("no Python 3.8 here")
    twice.start({"app.py": APP}, python, "-X", "dev", "app.py")
    assert "CPython 3.8 aborts" in twice.daemon.wait_event("warm")["reason"]
    assert twice.ended(1)["status"] == 0
    assert twice.ended(twice.again(warm=False))["status"] == 0


@pytest.mark.parametrize("version", FOLLOWED)
def test_a_run_of_any_version_ends_as_it_is_told_to(twice: Twice, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    options = [] if version == "3.8" else ["-X", "dev"]
    twice.start({"app.py": APP}, python, *options, "app.py")
    assert twice.ended(1)["status"] == 0
    twice.wait_ready()
    assert twice.ended(twice.again())["status"] == 0
