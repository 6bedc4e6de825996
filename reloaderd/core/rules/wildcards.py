"""Components with `?`, a set or a class, translated by pathspec: imported when the first one is met.

Importing pathspec takes 20 ms and 3.3 MB (Python 3.11, pathspec 1.1.1 and 0.12.1 alike), and most
people's patterns do without.  What it makes of one component is used as it is, but for this:
- a set never matches a slash (git's wildmatch, WM_PATHNAME); one that is not closed matches nothing;
- POSIX classes, which pathspec does not know;
- white space at the end, which it strips although it is escaped.
"""

from __future__ import annotations

import re
from functools import cache

GLOB_SET = re.compile(r"\\.|\[[!^]?\]?[^]]*\]", re.DOTALL)
"""A set as pathspec delimits it, or an escape."""

REGEX_SET = re.compile(r"\\.|\[\^?\]?[^]]*\]", re.DOTALL)

POSIX_CLASS = re.compile(r"\[:([a-z]+):\]")

POSIX_CLASSES = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "blank": " \t",
    "cntrl": "\0-\x1f\x7f",
    "digit": "0-9",
    "graph": '"-~!',
    "lower": "a-z",
    "print": " -~",
    "punct": '"-,.:-@^-`{-~!',
    "space": "\t-\r ",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""As git's wildmatch.c has them, in ASCII; without those of punct that would end or confuse a set."""


@cache
def translator() -> tuple[type, str]:
    """The class of pathspec that knows gitignore patterns, and what it ends every translation with."""
    try:
        from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern as Pattern
    except ImportError:  # before pathspec 1.0
        from pathspec.patterns.gitwildmatch import GitWildMatchPattern as Pattern
    probe = Pattern.pattern_to_regex("/x")[0]
    assert probe is not None and probe.startswith("^x"), probe
    return Pattern, probe[2:]


def translate(part: str) -> str | None:
    """A regular expression of one component, without the ends that pathspec adds; None: it cannot match."""
    pattern, tail = translator()
    part = re.sub(r"\\?(\s)\Z", r"[\1]", part)
    part = POSIX_CLASS.sub(lambda found: POSIX_CLASSES.get(found[1], found[0]), part)
    if "[" in GLOB_SET.sub("", part):  # not closed: pathspec 0.12 has it stand for itself
        return None
    try:
        regex = pattern.pattern_to_regex("/" + part)[0]  # type: ignore[attr-defined]
        if regex is None:
            return None
        # Python reserves [[, &&, ~~ and || in sets, and warns.
        regex = REGEX_SET.sub(escape_set, str(regex)[1 : -len(tail)])
        re.compile(regex)
    except (ValueError, re.error):  # an escape of nothing, [z-a]
        return None
    return regex


def escape_set(found: re.Match[str]) -> str:
    """A set whose members mean only themselves and that matches no slash; what is no such set as it is."""
    text = found[0]
    if text[0] == "\\" or text == "[^/]":  # an escape, or what stands for `?` and in `*`
        return text
    return "(?!/)" + text[0] + re.sub(r"([\[&~|])", r"\\\1", text[1:])
