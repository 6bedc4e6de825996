"""How one gitignore pattern is matched: by its literals where it has only `*`, else by a regular expression.

- A pattern without a slash (but at its end) is about names at any depth; one with a slash is about
  the path below the directory of its file.
- A pattern of literals and `*` is *spelled*: the literals between its stars, found one after the
  other.  Sets of plain characters (`*.py[cod]`) are written out as several spellings.
- Everything else becomes one regular expression for the whole relative path.  `pathspec` translates
  the components that have `?` or a set (see wildcards).
- Time is bounded whatever the pattern.  A star takes the earliest place where the literals after it
  fit and never tries another (an atomic group, as in fnmatch): that loses no match, as whatever
  stands between two stars has a fixed length.  `*a*a*a*b` is linear where backtracking takes days.
- git compares bytes: `?` is one byte.  So regular expressions see UTF-8 as Latin-1 (`octets`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

SPELLINGS = 32
"""Most spellings a component is written out to: `[Dd][Ee][Bb][Uu][Gg]` fits."""

PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")
"""What a set may have that is written out."""

Spelling = tuple[str, ...]
"""The literals between the stars: ("a", "", "b") is `a**b`, ("a",) is `a`."""


class Glob(NamedTuple):
    """One pattern, taken apart.

    `depth` says where it applies: "anywhere" (it has no slash), "here" (directly in `folders`, which
    are literal) or "below" (`path_regex` decides, on the whole relative path; `folders` are its leading
    literal components).  `spellings` are those of the last component; None: `name_regex` stands for it.
    `literal` has no wildcard, `vague` has nothing but stars as its last component, `total` nothing but
    stars at all; `leads_on` means that directories between `folders` and a match are yet to be found.
    """

    depth: str
    folders: tuple[str, ...]
    spellings: tuple[Spelling, ...] | None
    name_regex: str
    path_regex: str
    dir_only: bool
    literal: bool
    vague: bool
    total: bool
    leads_on: bool


def octets(text: str) -> str:
    """`text` as regular expressions see it: a character a byte."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def read(pattern: str) -> Glob | None:
    """Take a pattern apart (without its `!`).  None: it can never match anything."""
    body = pattern
    if "\\/" in body:  # the same as a slash, unless it is the backslash that is escaped
        body = re.sub(r"\\(.)", lambda pair: "/" if pair[1] == "/" else pair[0], body, flags=re.DOTALL)
    dir_only = body.endswith("/")
    body = body[:-1] if dir_only else body
    anchored = "/" in body
    parts = body.removeprefix("/").split("/")
    if not all(parts):
        return None
    while len(parts) > 1 and deep(parts[0]) and deep(parts[1]):
        del parts[0]
    if len(parts) == 2 and deep(parts[0]):  # **/name is name
        anchored, parts = False, parts[1:]
    spelled = [spell(part) for part in parts]
    folders = literals(spelled[:-1])
    below = anchored and (len(folders) < len(parts) - 1 or deep(parts[-1]))
    last = spelled[-1]
    regexes: list[str | None] = []
    if below or last is None:
        regexes = [component(part, spellings) for part, spellings in zip(parts, spelled, strict=True)]
    if [] in spelled or None in regexes:
        return None
    return Glob(
        depth="below" if below else "here" if anchored else "anywhere",
        folders=folders,
        spellings=None if last is None else tuple(last),
        name_regex=(regexes[-1] or "") if last is None else "",
        path_regex=whole(parts, regexes) if below else "",
        dir_only=dir_only,
        literal=len(literals(spelled)) == len(parts),
        vague=not parts[-1].strip("*"),
        total=not pattern.strip("*/"),
        leads_on=len(parts) - len(folders) > 1 or deep(parts[-1]),
    )


def deep(part: str) -> bool:
    """A component that stands for any number of components."""
    return len(part) > 1 and not part.strip("*")


def literals(spelled: list[list[Spelling] | None]) -> tuple[str, ...]:
    """The leading components that have one spelling and no star."""
    names = []
    for spellings in spelled:
        if spellings is None or len(spellings) != 1 or len(spellings[0]) > 1:
            break
        names.append(spellings[0][0])
    return tuple(names)


def spell(part: str) -> list[Spelling] | None:
    """The spellings of one component; none where it can never match, None where it needs a regex."""
    spellings: list[list[str]] = [[""]]
    at = 0
    while at < len(part):
        chars = part[at]
        if chars == "?":
            return None
        if chars == "*":
            for spelling in spellings:
                spelling.append("")
            at += 1
            continue
        if chars == "\\":
            at += 1
            if at == len(part):
                return []
            chars = part[at]
        elif chars == "[":
            end = part.find("]", at)
            chars = part[at + 1 : end]
            if not chars or not PLAIN.issuperset(chars):
                return None
            at = end
        spellings = [[*spelling[:-1], spelling[-1] + char] for spelling in spellings for char in chars]
        if len(spellings) > SPELLINGS:
            return None
        at += 1
    return [tuple(spelling) for spelling in spellings]


def spells(spelling: Spelling, name: str) -> bool:
    """Whether `name` is the literals of `spelling`, in order, with anything between them.  Linear."""
    first, last = spelling[0], spelling[-1]
    if len(spelling) == 1:
        return name == first
    start, end = len(first), len(name) - len(last)
    if start > end or not name.startswith(first) or not name.endswith(last):
        return False
    for literal in spelling[1:-1]:
        start = name.find(literal, start, end)
        if start < 0:
            return False
        start += len(literal)
    return True


def whole(parts: list[str], regexes: list[str | None]) -> str:
    """A regular expression for a whole relative path, of those of its components.

    What stands between two `**` is a number of components: its earliest place is as good as any.
    """
    runs: list[list[str]] = [[]]
    for part, regex in zip(parts, regexes, strict=True):
        if deep(part):
            runs.append([])
        else:
            runs[-1].append(regex or "")
    found = "".join(regex + "/" for regex in runs[0])
    if len(runs) == 1:
        return found[:-1]
    for run in runs[1:-1]:
        found += "(?>(?:[^/]+/)*?" + "".join(regex + "/" for regex in run) + ")"
    return found + ("(?:[^/]+/)*" + "/".join(runs[-1]) if runs[-1] else ".+")


def component(part: str, spellings: list[Spelling] | None) -> str | None:
    """A regular expression for one component, as `octets`; None where it cannot match."""
    if spellings is None:
        from reloaderd.core.rules.wildcards import translate

        regex = translate(octets(part))
        return None if regex is None else starred(regex.split("[^/]*"))
    choices = [starred([re.escape(octets(literal)) for literal in spelling]) for spelling in spellings]
    return None if not choices else choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"


def starred(fixed: list[str]) -> str:
    """Stars between expressions of a fixed length: none tries a second place but the last one."""
    if len(fixed) == 1:
        return fixed[0]
    middle = "".join(f"(?>[^/]*?{regex})" for regex in fixed[1:-1] if regex)
    return f"{fixed[0]}{middle}[^/]*{fixed[-1]}"
