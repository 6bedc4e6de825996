"""Installs reloaderd for the bench as a person has it: not editable.

Facts
- An editable install puts a finder of setuptools into site, which imports pathlib, urllib and ipaddress at
  every start of the interpreter: 0.6 MB and some 6 ms that nobody has who installed a wheel.
- A .pth file that names a directory costs no more than a package in site-packages itself.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig

NEEDED = ("inotify_simple", "pathspec")

SCRIPT = """\
#!{python}
import sys
from reloaderd.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""
"""What pip makes of the entry point."""


def install(directory: str, source: str) -> str | None:
    """A virtual environment below `directory` with the reloaderd of `source`: its program's path.

    None where a package that it needs is not there.
    """
    home = os.path.join(directory, "venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    packages = sysconfig.get_path("purelib", "venv", {"base": home, "platbase": home})
    for name in NEEDED:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            return None
        single = os.path.basename(found.origin) != "__init__.py"
        target = found.origin if single else os.path.dirname(found.origin)
        os.symlink(target, os.path.join(packages, os.path.basename(target)))
    with open(os.path.join(packages, "reloaderd.pth"), "w", encoding="utf-8") as file:
        file.write(f"{source}\n")
    program = os.path.join(home, "bin", "reloaderd")
    with open(program, "w", encoding="utf-8") as file:
        file.write(SCRIPT.format(python=os.path.join(home, "bin", "python")))
    os.chmod(program, 0o755)
    return program
