"""Where rules come from: the command line at a root, the ignore files above a directory, the defaults."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from functools import cached_property

from reloaderd.core.rules.defaults import FIRM, FURTHER
from reloaderd.core.rules.patterns import Line, Patterns, Suspects, line_of, lines_of
from reloaderd.settings import On, Pattern, RuleSettings

DEFAULTS = "default ignores"

FILTER = "filter"
"""The `action` of a `--filter` line."""

KINDS = ("reloaderdignore", "gitignore", "exclude", "excludesfile")
"""Of ignore files, the strongest first."""


def kind_of(path: str) -> str:
    """The kind of an ignore file by its name."""
    name = path.rpartition("/")[2]
    if name in (".gitignore", ".reloaderdignore"):
        return name[1:]
    return "exclude" if path.endswith("/info/exclude") else "excludesfile"


class Defaults:
    """The default ignores.  An `--ext` lifts the line that is about just that ending."""

    def __init__(self, enabled: bool, endings: Sequence[str]) -> None:
        lifted = {f"*{ending}" for ending in endings}
        self.firm = Patterns("/", self._lines(FIRM, lifted) if enabled else ())
        self.further = Patterns("/", self._lines(FURTHER, lifted) if enabled else ())

    def _lines(self, text: str, lifted: set[str]) -> list[Line]:
        return [line._replace(origin=DEFAULTS) for line in lines_of(text, "") if line.text not in lifted]


class Options:
    """The patterns of the command line, relative to the directory `base`: a root, whose path may begin them.

    `openers` are the directories (relative, without a slash at the end) that lead to what a
    `--filter` or an `--on` spells out, each with the last such line and whether directories further
    down, which it does not spell out, lead there as well.
    """

    def __init__(self, base: str, settings: RuleSettings) -> None:
        self.path = base
        self.patterns = Patterns(base, _pattern_lines(base, settings.patterns))
        self.on = Patterns(base, _on_lines(base, settings.on, first=len(settings.patterns)))
        self.openers: dict[str, tuple[Line, bool]] = {}
        for line in (*self.patterns.lines, *self.on.lines):
            if line.glob.depth != "anywhere" and line.action in (FILTER, "restart", "signal", "notify"):
                self._opens(line)

    def opener(self, directory: str, name: str) -> tuple[Line, bool] | None:
        """The last line that opens the directory `name`."""
        return self.openers.get(f"{directory}/{name}"[len(self.patterns.base) :]) if self.openers else None

    def _opens(self, line: Line) -> None:
        folders = line.glob.folders
        for count in range(1, len(folders) + 1):
            relative = "/".join(folders[:count])
            leads_on = count == len(folders) and line.glob.leads_on
            _, before = self.openers.get(relative, (line, False))
            self.openers[relative] = (line, leads_on or before)


def cleaned(glob: str, base: str = "") -> str:
    """`./name` is what a person types for `/name`, in the root itself; so is the path of that, `base`."""
    sign = "!" if glob.startswith("!") else ""
    path = glob.removeprefix("!")
    if path.startswith("./"):
        return f"{sign}/{path[2:]}"
    inside = base != "/" and path.startswith(f"{base}/")
    return f"{sign}{path[len(base) :]}" if inside else glob


def _pattern_lines(base: str, patterns: Sequence[Pattern]) -> Iterator[Line]:
    for number, pattern in enumerate(patterns):
        rule = f"{'--filter' if pattern.include else '--ignore'} {pattern.glob}"
        line = line_of(cleaned(pattern.glob, base), number, pattern.origin, rule)
        if line is not None:
            include = line.include != pattern.include
            yield line._replace(include=include, action=FILTER if pattern.include and include else "")


def _on_lines(base: str, ons: Sequence[On], first: int) -> Iterator[Line]:
    for number, on in enumerate(ons, first):
        line = line_of(cleaned(on.glob, base), number, on.origin, f"--on {on.glob}={_action_text(on)}")
        if line is not None:
            yield line._replace(include=on.action != "ignore", action=on.action, signum=on.signum)


def _action_text(on: On) -> str:
    if on.action != "signal":
        return on.action
    try:
        return f"signal:{signal.Signals(on.signum).name.removeprefix('SIG')}"
    except ValueError:  # most real-time signals have no name
        return f"signal:{on.signum}"


class Chain:
    """All that has a say in one directory; directories without ignore files share that of their parent."""

    def __init__(
        self, options: Options | None, files: tuple[tuple[str, Patterns], ...], defaults: Defaults
    ) -> None:
        self.options = options
        self.files = files  # with their kinds, those of the deepest directory first
        self.own = [patterns for kind, patterns in files if kind == "reloaderdignore"]
        self.git = [patterns for wanted in KINDS[1:] for kind, patterns in files if kind == wanted]
        self.defaults = defaults
        self.known: dict[tuple[str, bool], bool] = {}
        """Whether a name counts, as a directory or not, where only the name has a say."""

    def _lines(self) -> Iterator[tuple[str, Line]]:
        sources = [*self.own, *self.git, self.defaults.firm, self.defaults.further]
        if self.options is not None:
            sources += [self.options.patterns, self.options.on]
        for patterns in sources:
            for line in patterns.lines:
                yield patterns.base, line

    def _opener_names(self) -> list[str]:
        openers = self.options.openers if self.options is not None else {}
        return [relative.rpartition("/")[2] for relative in openers]

    @cached_property
    def suspects(self) -> Suspects:
        """Names that any line might match."""
        return Suspects(self._lines(), self._opener_names())

    @cached_property
    def located(self) -> Suspects:
        """Names that a line might match in some directories and not in others."""
        lines = ((base, line) for base, line in self._lines() if line.glob.depth != "anywhere")
        return Suspects(lines, self._opener_names())
