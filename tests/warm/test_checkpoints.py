"""What a program sees of its process is the same where its run goes on from a copy of another one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import FOLLOWED, interpreter
from tests.warm.conftest import Resumed

PROBE = (Path(__file__).parent / "probe.py").read_text()
OF_A_PROBE = PROBE.replace("def main() -> None:\n", "def main() -> None:\n    import edited\n")

WAYS = {
    "script": (sys.executable, "app.py", "--option", "an argument"),
    "module": (sys.executable, "-m", "app", "x"),
    "options": (sys.executable, "-u", "-O", "-X", "dev", "app.py"),
    "code": (sys.executable, "-c", "import app; app.main()", "x"),
}


def differs(cold: dict[str, Any], again: dict[str, Any]) -> None:
    """They are the same, but that the first of sys.meta_path has the agent know what is looked for."""
    assert again["meta_path"].pop(0) == "_Finder"
    different = [(key, cold[key], again[key]) for key in cold if cold[key] != again[key]]
    assert not different, different


@pytest.mark.parametrize("way", WAYS)
def test_the_process_is_as_if_it_was_executed(resumed: Resumed, way: str) -> None:
    cold, again = resumed.thrice({"app.py": OF_A_PROBE, "edited.py": ""}, "edited.py", *WAYS[way])
    differs(cold, again)


ROUND = """
import multiprocessing, os, sys, threading, asyncio, random, logging
from telling import tell
def work(x):
    return x + 1
if __name__ == "__main__":
    import edited
    threading.Thread(target=print).start()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.map(work, [1])
    tell([sys.version, sys.argv, sys.path, __file__, result, edited.X,
      asyncio.run(asyncio.sleep(0, 3)), str(sys.flags)])
"""


@pytest.mark.parametrize("version", FOLLOWED)
def test_a_program_of_any_version(resumed: Resumed, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    cold, again = resumed.thrice({"app.py": ROUND, "edited.py": "X = 1"}, "edited.py", python, "app.py")
    assert cold == again


@pytest.mark.parametrize("version", FOLLOWED)
def test_a_process_of_any_version(resumed: Resumed, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    words = python, *([] if version == "3.8" else ["-X", "dev"]), "app.py", "x"  # test_versions says why
    differs(*resumed.thrice({"app.py": OF_A_PROBE, "edited.py": ""}, "edited.py", *words))


LOOP = """
import asyncio, os, signal, sys
from telling import tell
async def main():
    loop = asyncio.get_running_loop()
    due, got, usr = loop.create_future(), loop.create_future(), loop.create_future()
    if MODE == "handler": loop.add_signal_handler(signal.SIGUSR1, usr.set_result, "usr")
    loop.call_later(0.3, due.set_result, "timer")
    task = loop.create_task(asyncio.sleep(0.05, "task"))
    await asyncio.sleep(0)
    import edited
    if MODE != "handler": loop.add_signal_handler(signal.SIGUSR1, usr.set_result, "usr")
    os.kill(os.getpid(), signal.SIGUSR1)
    await loop.run_in_executor(None, lambda: loop.call_soon_threadsafe(got.set_result, "thread"))
    process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    ended = await reader.read(); writer.close(); server.close()
    return [await due, await got, await usr, await task, out.decode(), process.returncode,
      ended.decode(), edited.X]
tell(asyncio.run(main()))
"""


@pytest.mark.parametrize("version", FOLLOWED)
@pytest.mark.parametrize("mode", ["plain", "handler"])
def test_a_loop_of_asyncio_runs_on(resumed: Resumed, version: str, mode: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    files = {"app.py": LOOP.replace("MODE", repr(mode)), "edited.py": "X = 'x'"}
    cold, again = resumed.thrice(files, "edited.py", python, "app.py")
    assert cold == again
    assert resumed.said(resumed.resumed("edited.py", "X = 'y'"))[-1] == "y"
