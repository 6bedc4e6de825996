"""Finds the line of each key in a TOML text, as tomllib does not tell.

The text is one that tomllib took: what is not told apart here cannot be wrong.  Keys are paths, `("service",
"web", "paths", 0)` is the first value of an array.  A key inside of something that is not understood has the
line of what it is in.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.S,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


class Lines:
    """The lines of the keys of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted = (0, 1)  # up to where lines were counted, and the line there
        self._lines: dict[Path, int] = {(): 1}
        self._arrays: dict[Path, int] = {}  # arrays of tables -> how many there are
        try:
            self._document()
        except (_NotUnderstood, RecursionError):
            pass  # what was found until there is right

    def of(self, path: Path) -> int:
        """The line of a key, or of the nearest around it that is known; from 1."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def __contains__(self, path: Path) -> bool:
        return path in self._lines

    def _document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._take("[["):
                table = self._element(self._key())
                self._expect("]]")
            elif self._take("["):
                table = self._resolved(self._key())
                self._expect("]")
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _element(self, path: Path) -> Path:
        path = (*self._resolved(path[:-1]), path[-1])
        number = self._arrays.get(path, 0)
        self._arrays[path] = number + 1
        self._note((*path, number))
        return (*path, number)

    def _resolved(self, path: Path) -> Path:
        """The path with the number of the latest element wherever it leads through an array of tables."""
        resolved: Path = ()
        for part in path:
            resolved = (*resolved, part)
            if resolved in self._arrays:
                resolved = (*resolved, self._arrays[resolved] - 1)
        self._note(resolved)
        return resolved

    def _note(self, path: Path) -> None:
        start, line = self._counted
        line += self._text.count("\n", start, self._at)
        self._counted = (self._at, line)
        for end in range(1, len(path) + 1):
            self._lines.setdefault(path[:end], line)

    def _key(self) -> Path:
        """`a.b."c d"`; ends after spaces."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            parts.append(self._part())
            self._skip(_SPACE)
            if not self._take("."):
                return tuple(parts)

    def _part(self) -> str:
        bare = _BARE.match(self._text, self._at)
        if bare is not None:
            self._at = bare.end()
            return bare[0]
        raw = self._string()
        try:
            return str(tomllib.loads(f"x = {raw}")["x"])
        except tomllib.TOMLDecodeError:
            raise _NotUnderstood from None

    def _pair(self, table: Path) -> None:
        path = (*table, *self._key())
        self._note(path)
        self._expect("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        elif self._text[self._at : self._at + 1] in ('"', "'"):
            self._string()
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        number = 0
        self._skip(_BLANK)
        while not self._take("]"):
            self._note((*path, number))
            self._value((*path, number))
            self._skip(_BLANK)
            if not self._take(","):
                self._expect("]")
                return
            self._skip(_BLANK)
            number += 1

    def _inline_table(self, path: Path) -> None:
        self._skip(_BLANK)
        while not self._take("}"):
            self._pair(path)
            self._skip(_BLANK)
            if not self._take(","):
                self._expect("}")
                return
            self._skip(_BLANK)

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise _NotUnderstood
        self._at = match.end()
        return match[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _take(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _NotUnderstood


class _NotUnderstood(Exception):
    """No such thing stands here."""
