"""Two minutes of the soak; `make soak` goes on for longer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.places import REPOSITORY

SECONDS = 120

SPARE = 3
"""Watches: two seen in one soak of two minutes among ten, after mounts or moves between two calls of one walk
and not understood yet.  They take a little memory until that way is walked again; `make soak` allows none."""

LIMIT = 300
"""Seconds: the soak, a check that is waited for in vain, and its report."""


@pytest.mark.timeout(LIMIT)
def test_two_minutes() -> None:
    """By a seed of its own each time, which is printed: what fails by any seed is wrong in truth.

    In a process of its own, since it goes into namespaces of its own.
    """
    command = [sys.executable, "-m", "tests.soak", "--seconds", str(SECONDS), "--spare", str(SPARE)]
    soak = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = soak.communicate()
    finally:
        soak.terminate()  # by a signal after which it leaves nothing
        soak.wait()
    print(said)
    assert soak.returncode == 0, said
