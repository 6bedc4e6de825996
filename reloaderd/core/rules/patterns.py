"""The lines of one ignore file, indexed so that most names are known not to match without a loop.

The last line that matches decides.  `Patterns.find` gives it for one name; `Suspects` is the cheap
question before that: which of these names could match any line of several files at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reloaderd.core.rules.globs import Glob, Spelling, octets, read, spells


class Line(NamedTuple):
    """One pattern and where it stands.  `include` means that it takes back what others ignore.

    `number` orders the lines of one source; `action` and `signum` are those of an `--on`.
    """

    number: int
    text: str
    glob: Glob
    include: bool
    origin: str
    action: str = ""
    signum: int = 0


def lines_of(text: str, path: str) -> list[Line]:
    """The patterns of an ignore file as git reads it; `path` is only for their origin."""
    found = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        written = without_trailing_spaces(raw.removesuffix("\r"))
        if not written or written.startswith("#"):
            continue
        line = line_of(written, number, f"{path}:{number}")
        if line is not None:
            found.append(line)
    return found


def line_of(written: str, number: int, origin: str, rule: str = "") -> Line | None:
    """One pattern, maybe with its `!`; None where it can match nothing.  `rule` is what to call it."""
    glob = read(written.removeprefix("!"))
    return None if glob is None else Line(number, rule or written, glob, written.startswith("!"), origin)


def without_trailing_spaces(line: str) -> str:
    """Without the spaces at its end, but for one that a backslash protects (git's dir.c; tabs stay)."""
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return line[: len(stripped) + 1] if backslashes % 2 else stripped


class Names:
    """Lines about names, by what it takes to see that they match."""

    __slots__ = ("exact", "spelled", "starts", "ends", "loose", "regexes")

    def __init__(self) -> None:
        self.exact: dict[str, list[Line]] = {}
        self.spelled: list[tuple[Spelling, Line]] = []
        self.starts: tuple[str, ...] = ()  # one of these begins a name that is spelled,
        self.ends: tuple[str, ...] = ()  # or one of these ends it,
        self.loose = False  # unless a spelling has neither
        self.regexes: list[tuple[re.Pattern[str], Line]] = []

    def add(self, line: Line) -> None:
        """Lines are added in their order."""
        if line.glob.spellings is None:
            self.regexes.append((re.compile(line.glob.name_regex, re.DOTALL), line))
        for spelling in line.glob.spellings or ():
            if len(spelling) == 1:
                self.exact.setdefault(spelling[0], []).append(line)
                continue
            self.spelled.append((spelling, line))
            if spelling[-1]:
                self.ends += (spelling[-1],)
            elif spelling[0]:
                self.starts += (spelling[0],)
            else:
                self.loose = True

    def find(self, name: str, is_dir: bool, best: Line | None) -> Line | None:
        """The last line that matches, where it comes after `best`."""
        for line in self.exact.get(name, ()):
            if later(line, best) and (is_dir or not line.glob.dir_only):
                best = line
        if self.loose or name.endswith(self.ends) or name.startswith(self.starts):
            for spelling, line in reversed(self.spelled):
                if not later(line, best):
                    break
                if (is_dir or not line.glob.dir_only) and spells(spelling, name):
                    best = line
                    break
        for regex, line in reversed(self.regexes):
            if not later(line, best):
                break
            if (is_dir or not line.glob.dir_only) and regex.fullmatch(octets(name)):
                best = line
                break
        return best


def later(line: Line, best: Line | None) -> bool:
    """Whether `line` is after `best`."""
    return best is None or line.number > best.number


class Patterns:
    """Lines of one source, relative to the directory `base`."""

    __slots__ = ("base", "lines", "anywhere", "here", "below")

    def __init__(self, base: str, lines: Iterable[Line]) -> None:
        self.base = base if base.endswith("/") else base + "/"
        self.lines = tuple(lines)
        self.anywhere = Names()
        self.here: dict[str, Names] = {}  # by the relative directory, with a slash at its end
        self.below: list[tuple[re.Pattern[str], Line]] = []
        for line in self.lines:
            if line.glob.depth == "anywhere":
                self.anywhere.add(line)
            elif line.glob.depth == "here":
                folder = "".join(name + "/" for name in line.glob.folders)
                self.here.setdefault(folder, Names()).add(line)
            else:
                self.below.append((re.compile(line.glob.path_regex, re.DOTALL), line))

    def find(self, directory: str, name: str, is_dir: bool) -> Line | None:
        """The last line that matches `name` in `directory`, which is `base` or below it."""
        best = self.anywhere.find(name, is_dir, None)
        if not (self.here or self.below):
            return best
        relative = directory[len(self.base) :]
        folder = relative and relative + "/"
        names = self.here.get(folder)
        if names is not None:
            best = names.find(name, is_dir, best)
        for regex, line in reversed(self.below):
            if not later(line, best):
                break
            if (is_dir or not line.glob.dir_only) and regex.fullmatch(octets(folder + name)):
                return line
        return best


class Suspects:
    """Which names could match any of some lines: never one too few, and nearly none too many."""

    __slots__ = ("exact", "starts", "ends", "first", "last", "middles", "regex", "everywhere", "under")

    def __init__(self, lines: Iterable[tuple[str, Line]], also: Iterable[str] = ()) -> None:
        """Of these lines, each after the directory that it is relative to, and of the names `also`."""
        self.exact = set(also)
        starts, ends, middles, regexes = set(), set(), set(), set()
        self.everywhere = False
        under = set()  # directories in and below which every name is suspect
        for base, line in lines:
            if line.glob.spellings is None:
                regexes.add(line.glob.name_regex)
            for spelling in line.glob.spellings or ():
                if len(spelling) == 1:
                    self.exact.add(spelling[0])
                elif spelling[-1]:
                    ends.add(spelling[-1])
                elif spelling[0]:
                    starts.add(spelling[0])
                elif any(spelling):
                    middles.add(max(spelling, key=len))
                elif line.glob.folders:
                    under.add(base + "/".join(line.glob.folders))
                else:
                    self.everywhere = True
        self.starts, self.ends, self.middles = tuple(starts), tuple(ends), tuple(middles)
        self.first = {start[0] for start in starts}
        self.last = {end[-1] for end in ends}
        self.regex = re.compile("|".join(sorted(regexes)), re.DOTALL) if regexes else None
        self.under = tuple(under)

    def among(self, directory: str, names: Sequence[str]) -> Iterable[str]:
        """Those of `names` in `directory` that need a closer look."""
        if self.everywhere or self.under and self.is_under(directory):
            return names
        # One character tells for most names: half the time of asking for all endings.
        exact, first, last = self.exact, self.first, self.last
        found = [name for name in names if name[-1] in last or name in exact or name[0] in first]
        if found:
            starts, ends = self.starts, self.ends
            found = [
                name for name in found if name in exact or name.endswith(ends) or name.startswith(starts)
            ]
        if self.middles:
            joined = "/".join(names)
            for middle in self.middles:
                if middle in joined:
                    found += [name for name in names if middle in name]
        if self.regex is not None:
            fits = self.regex.fullmatch
            found += [name for name in names if fits(octets(name))]
        return found

    def has(self, directory: str, name: str) -> bool:
        """Whether `name` in `directory` needs a closer look."""
        return (
            name in self.exact
            or name.endswith(self.ends)
            or name.startswith(self.starts)
            or self.everywhere
            or (bool(self.under) and self.is_under(directory))
            or any(middle in name for middle in self.middles)
            or (self.regex is not None and self.regex.fullmatch(octets(name)) is not None)
        )

    def is_under(self, directory: str) -> bool:
        """Whether `directory` is one of those where every name is suspect, or below one."""
        return any(directory == above or directory.startswith(above + "/") for above in self.under)
