"""Compiles the C programs of the bench: the child, the bare restarter and the bare armer."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NamedTuple

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "c")


class Programs(NamedTuple):
    """Paths of what was compiled."""

    child: str
    restarter: str
    arm: str


def compile_programs(directory: str) -> Programs:
    """Compile everything into `directory`; SystemExit names what is missing.

    Where a static libc is there, it is linked: the dynamic linker is no part of what is measured.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("benchmarks: a C compiler is needed: apt-get install gcc libc6-dev")
    made = []
    for name in Programs._fields:
        target = os.path.join(directory, name)
        command = [compiler, "-O2", "-o", target, os.path.join(SOURCES, f"{name}.c")]
        if subprocess.run([*command, "-static"], capture_output=True, check=False).returncode != 0:
            subprocess.run(command, check=True)
        made.append(target)
    return Programs(*made)
