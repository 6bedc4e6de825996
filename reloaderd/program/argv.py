"""How the program that we are a part of was started, and how to start it again.

Facts (CPython 3.11)
- sys.orig_argv is the command line as it was given, with the interpreter's own options; sys.argv lacks them,
  and with -m holds a path instead of the module's name.
- __main__.__file__ of a script, a directory and a zip file is its absolute path: the directory in which the
  program was started, a slash, and the path as it was given.
- With -m the directory in which the program was started is put in front of sys.path.
- -c and -m end the options; -W and -X have a value; each may follow other letters, and its value may follow
  at once.
- A script that Python reads from its standard input is gone once it was read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from reloaderd.errors import ReloaderdError

AGAIN = "start it as a script, with -m or with -c, or by: reloaderd watch -- COMMAND"


class Program(NamedTuple):
    """`argv` starts it again; in `directory` where that is known and is not the present one."""

    argv: Sequence[str]
    directory: str = ""


class Given(NamedTuple):
    """What Python was told to run: `kind` is script, -m, -c, or "" where it is nothing that stays."""

    kind: str
    what: str = ""


def this_program() -> Program:
    """How to start this program again.  Raises ReloaderdError."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise _cannot("it has no Python interpreter of its own")
    given = read(sys.orig_argv)
    main: Any = sys.modules.get("__main__")
    file = getattr(main, "__file__", None) or ""
    if hasattr(sys, "ps1") or not given.kind or (given.kind == "script" and not file):
        raise _cannot("it is typed in, read from the standard input, or embedded in another program")
    if given.kind == "script":
        directory = _of_script(given.what, file)
    else:
        directory = _of_module(getattr(main, "__spec__", None)) if given.kind == "-m" else ""
    if directory and os.path.exists(os.curdir) and os.path.samefile(directory, os.curdir):
        directory = ""
    return Program([sys.executable, *sys.orig_argv[1:]], directory)


def read(words: Sequence[str]) -> Given:
    """What a command line has Python run."""
    rest = iter(words[1:])
    for word in rest:
        if word == "--":
            script = next(rest, "")
            return Given("script", script) if script not in ("", "-") else Given("")
        if word == "--check-hash-based-pycs":
            next(rest, "")
            continue
        if word == "-" or not word:
            return Given("")
        if not word.startswith("-"):
            return Given("script", word)
        for at, letter in enumerate(word[1:], 2):
            if letter in "cm":
                return Given(f"-{letter}", word[at:] or next(rest, ""))
            if letter in "WX":
                if not word[at:]:
                    next(rest, "")
                break
    return Given("")


def _of_script(script: str, file: str) -> str:
    """The directory in which `script` was started whose absolute path is `file`, if that can be told."""
    if file.startswith(("/dev/", "/proc/")):
        raise _cannot(f"{file} can be read only once")
    if not script.startswith("/"):
        for tail in (f"/{script}", f"/{script}/__main__.py"):
            if file.endswith(tail):
                return file[: -len(tail)] or "/"
    if not os.path.exists(script):  # another __main__ has taken its place, and it has gone elsewhere
        raise _cannot(f"{script} is not there any more")
    return ""


def _of_module(spec: Any) -> str:
    """The directory in which a module was started that is found only from there."""
    name, origin = getattr(spec, "name", ""), getattr(spec, "origin", None) or ""
    base = origin
    for _ in name.split("."):
        base = os.path.dirname(base)
    given = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    library = os.path.dirname(os.__file__)
    first = sys.path[: sys.path.index(library)] if library in sys.path else sys.path
    return base if base in first and base not in given else ""


def _cannot(why: str) -> ReloaderdError:
    return ReloaderdError(f"this program cannot be started again: {why}", AGAIN)
