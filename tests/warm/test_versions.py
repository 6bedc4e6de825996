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
    cold, warm = twice.both({"app.py": PROBE}, python, "-X", "dev", "app.py", "x")
    different = [(key, cold[key], warm[key]) for key in cold if cold[key] != warm[key]]
    assert not different, different
