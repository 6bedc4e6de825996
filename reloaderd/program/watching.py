"""Turns a program into a reloaderd that watches over it: the command line for that, and execve(2).

- Everything that `reloaderd watch` takes is an option here, read off its own parser: `debounce=0.1` is
  `--debounce=0.1`, `gitignore=False` is `--no-gitignore`.
- The reloaderd is the one that the program imported, wherever that was found, and runs in the same
  interpreter.  What only it needs is found where the program would find it; nothing there hides the standard
  library.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from reloaderd.errors import ReloaderdError
from reloaderd.kernel.spawn import given_environment
from reloaderd.options import watch_parser
from reloaderd.parsers import Each, nearest
from reloaderd.program.argv import this_program

NOT_HERE = frozenset({"help", "shell", "chdir"})
"""Options of `watch` that are about a COMMAND; here that is the program, in its own directory."""

DEFAULTS = {"exact": True, "on_exit": "exit", "gate": "syntax"}
"""What `watch` does only when it is told to."""

TRANSLATIONS = "*.mo=notify"
"""An `--on` that any other one overrules: see reloaderd.contrib.django."""

LAUNCHER = """\
import sys
sys.path.insert(0, {home!r})
import reloaderd
del sys.path[0]
sys.path += [path for path in {places!r} if path not in sys.path]
from reloaderd.__main__ import main
sys.exit(main())
"""


def watch_over(paths: Any, options: Mapping[str, Any], who: str) -> NoReturn:
    """Become a reloaderd whose command is this program; `who` is what the program called.

    Raises TypeError for options that are none.  What else is wrong is one line on stderr, and SystemExit(2).
    """
    try:
        arguments = command_line(paths, options, who)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os.execve(sys.executable, [*interpreter(), *arguments], given_environment())
    except ReloaderdError as error:
        print(f"reloaderd: {error.message} ({error.hint})", file=sys.stderr, flush=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"reloaderd: cannot run {sys.executable}: {reason}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def command_line(paths: Any, options: Mapping[str, Any], who: str) -> list[str]:
    """`watch [OPTIONS] [PATH ...] -- COMMAND [ARG ...]`.  Raises TypeError and ReloaderdError."""
    words = options_of(options, who)
    program = this_program()
    if program.directory:
        words.append(f"--chdir={program.directory}")
    places = [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    places = [f"./{path}" if path.startswith("-") else path for path in places]
    return ["watch", *words, "--env=RUN_MAIN=true", *places, "--", *program.argv]


def interpreter() -> list[str]:
    """The words that start this interpreter as this very reloaderd, as isolated as the program is."""
    import reloaderd

    home = os.path.dirname(os.path.dirname(os.path.abspath(reloaderd.__file__)))
    places = [os.path.abspath(path) for path in sys.path if path]
    flags = {
        "-I": sys.flags.isolated,
        "-E": sys.flags.ignore_environment,
        "-s": sys.flags.no_user_site,
        "-S": sys.flags.no_site,
        "-B": sys.flags.dont_write_bytecode,
    }
    words = [flag for flag, given in flags.items() if given]
    return [sys.executable, "-P", *words, "-c", LAUNCHER.format(home=home, places=places)]


def options_of(options: Mapping[str, Any], who: str) -> list[str]:
    """The words of `watch` for these options and the defaults.  Raises TypeError, naming the option."""
    parser = watch_parser()
    known = {
        name[2:].replace("-", "_"): action
        for name, action in parser._option_string_actions.items()
        if name.startswith("--") and name[2:] not in NOT_HERE
    }
    defaults = {key: value for key, value in DEFAULTS.items() if key not in options}
    if options.get("modules") is False or options.get("no_modules"):
        defaults.pop("exact", None)
    words = [f"--on={TRANSLATIONS}"]
    for key, value in {**defaults, **options}.items():
        if value is None:
            continue
        denied = key not in known and f"no_{key}" in known
        action = known.get(f"no_{key}" if denied else key)
        if action is None:
            raise TypeError(f"{who}() has no option {key!r}{_meant(key, known)}")
        words += _words(who, key, action, value, denied)
    return words


def _meant(key: str, known: Iterable[str]) -> str:
    names = [name for one in known for name in (one, one.removeprefix("no_"))]
    near = nearest(key, names)
    return f"; did you mean {near!r}?" if near else ""


def _words(who: str, key: str, action: argparse.Action, value: Any, denied: bool) -> list[str]:
    """One option as words."""
    name = next(one for one in action.option_strings if one.startswith("--"))
    if action.nargs == 0:
        most = 1 if denied or not isinstance(action, Each) else 9
        if not isinstance(value, int) or not 0 <= value <= most or (most == 1 and type(value) is not bool):
            raise TypeError(f"{who}(): {key} is True or False, not {value!r}")
        return [name] * (int(value) if not denied else 1 - int(value))
    if isinstance(action, Each):
        if isinstance(value, Mapping):
            value = [f"{one}={_text(who, key, what)}" for one, what in value.items()]
        elif isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            value = [value]
        return [f"{name}={_text(who, key, one)}" for one in value]
    if key == "ext" and isinstance(value, (list, tuple, set, frozenset)):
        value = ",".join(_text(who, key, one) for one in sorted(value))
    return [f"{name}={_text(who, key, value)}"]


def _text(who: str, key: str, value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{float(value):.6f}".rstrip("0").rstrip(".")
    raise TypeError(f"{who}(): {key} cannot be {value!r}")
