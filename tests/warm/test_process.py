"""What a program sees of its process is the same, whether that was executed or comes of a copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.warm.conftest import Twice

PROBE = (Path(__file__).parent / "probe.py").read_text()


WAYS = {
    "script": (sys.executable, "app.py", "--option", "an argument"),
    "module": (sys.executable, "-m", "app", "x"),
    "package": (sys.executable, "-m", "pkg"),
    "option": (sys.executable, "-u", "-O", "-X", "utf8", "app.py"),
    "checks": (
        *(
            sys.executable,
            "-X",
            "faulthandler",
            "-X",
            "tracemalloc=5",
            "-W",
            "error",
            "-W",
            "ignore::ImportWarning",
        ),
        *("-b", "-B", "-P", "app.py"),
    ),
    "first line": (sys.executable, "-x", "app.py"),
    "code": (sys.executable, "-c", "import app; app.main()", "x"),
    "directory": (sys.executable, "folder"),
    "script of its own": ("./script",),
    "env": ("env", "ADDED=1", sys.executable, "app.py"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_process_is_as_if_it_was_executed(twice: Twice, way: str) -> None:
    files = {"app.py": PROBE, "pkg/__init__.py": "", "pkg/__main__.py": PROBE, "folder/__main__.py": PROBE}
    files["script"] = f"#!{sys.executable} -B\n{PROBE}"
    twice.place.tree.mkdir(exist_ok=True)
    (twice.place.tree / "script").touch()
    (twice.place.tree / "script").chmod(0o755)
    cold, warm = twice.both(files, *WAYS[way])
    different = [(key, cold[key], warm[key]) for key in cold if cold[key] != warm[key]]
    assert not different, different


GIVEN = {
    "ignored signals": ["nohup"],
    "a niceness": ["nice", "-n", "5"],
    "a mask": ["sh", "-c", "umask 077; ulimit -n 300; trap '' USR1 PIPE; exec \"$@\"", "sh"],
}


@pytest.mark.parametrize("what", GIVEN)
def test_what_reloaderd_was_given_is_handed_on(twice: Twice, what: str) -> None:
    cold, warm = twice.both({"app.py": PROBE}, prefix=GIVEN[what])
    different = [(key, cold[key], warm[key]) for key in cold if cold[key] != warm[key]]
    assert not different, different


AHEAD = """
import sys
frame, files = sys._getframe(), []
while frame is not None:
    files.append(frame.f_code.co_filename)
    frame = frame.f_back
AHEAD = any("_reloaderd_ahead" in file for file in files)
"""

MAIN = """
import json, sys
from telling import tell
import tool, tool.part
names = sorted(name for name in sys.modules if name.startswith(("tool", "single")))
tell([tool.AHEAD, tool.part.AHEAD, __name__, names])
"""


@pytest.mark.parametrize(("target", "extra"), [("tool", []), ("single", []), ("tool.inner", ["tool.inner"])])
def test_a_library_that_is_run_as_a_module(twice: Twice, target: str, extra: list[str]) -> None:
    """Its package is imported ahead, and what is run is not: of a module that is, Python warns."""
    files = {"tool/__init__.py": AHEAD, "tool/part.py": AHEAD, "tool/__main__.py": MAIN, "single.py": MAIN}
    twice.libraries(**files, **{"tool/inner/__init__.py": "", "tool/inner/__main__.py": MAIN})
    cold, warm = twice.both({"app.py": ""}, sys.executable, "-W", "error", "-m", target)
    names = ["tool", *extra, "tool.part"]
    assert cold == [False, False, "__main__", names]
    assert warm == [True, True, "__main__", names]
