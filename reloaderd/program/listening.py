"""`reloaderd.on_change`: a program takes in changes of its files by itself, instead of being restarted.

- The first call connects to reloaderd and starts the thread that listens (reloaderd.program.listener).  All
  callbacks are called in it, one at a time, in the order of the changes and of the calls.
- The words are those of `--on`, and so is the meaning of a pattern, which may be an absolute path as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from reloaderd import values
from reloaderd.core.rules.patterns import Patterns, line_of
from reloaderd.core.rules.sources import cleaned
from reloaderd.program.listener import listen, told

Function = TypeVar("Function", bound=Callable[[str], object])


@overload
def on_change(glob: str) -> Callable[[Function], Function]: ...


@overload
def on_change(glob: str, callback: Function) -> Function: ...


def on_change(glob: str, callback: Any = ...) -> Any:
    """Call `callback(path)` when a file changes that matches `glob`, where `--on 'GLOB=notify'` says so.

    `glob` is a pattern as in `.gitignore`: `*.mo` at any depth, `locale/**/*.mo` below a watched PATH,
    `/etc/app/*.conf` as an absolute path.  The callback gets the absolute path and is called in a thread of
    its own; if it raises, or runs for longer than 5 s, the program is restarted.  One that returns
    NotImplemented leaves the path to others.  Returns the callback; without one, a decorator.

    Does nothing where the program was not started by reloaderd.  Raises TypeError and ValueError.
    """
    globs = _globs(glob)
    if callback is ...:
        return lambda function: on_change(glob, function)
    if not callable(callback):
        raise TypeError(f"on_change: the callback is not callable: {callback!r}")
    listen(globs.match, callback)
    return callback


class Globs:
    """One pattern, relative to / and to each PATH that is watched."""

    def __init__(self, glob: str, roots: list[str]) -> None:
        line = line_of(cleaned(glob), 0, "")
        if line is None or glob.startswith("!"):
            raise ValueError(f"on_change: a pattern that matches nothing: {glob!r}")
        bases = ["/"] if line.glob.depth == "anywhere" else ["/", *roots]
        self._patterns = [Patterns(base, [line]) for base in bases]

    def match(self, path: str) -> bool:
        """Whether the file `path` matches, or a directory above it."""
        return any(_matches(one, path) for one in self._patterns if path.startswith(one.base))


def _matches(patterns: Patterns, path: str) -> bool:
    end = len(patterns.base) - 1
    while end < len(path):
        at, end = end, path.find("/", end + 1)
        end = len(path) if end < 0 else end
        if patterns.find(path[:at], path[at + 1 : end], is_dir=end < len(path)) is not None:
            return True
    return False


def _globs(glob: object) -> Globs:
    if not isinstance(glob, str):
        raise TypeError(f"on_change: the pattern is not a str: {glob!r}")
    try:
        values.pattern(glob)
    except values.BadValue as fault:
        raise ValueError(f"on_change: {fault.message}: {glob!r} ({fault.hint})") from None
    return Globs(glob, told()[1:])
