"""How one name in one directory is decided, by all that has a say there (DESIGN 6.2).

Rules, the strongest source first:
- `--on`, then `--filter` and `--ignore`: patterns relative to the root that the path is under;
- `.reloaderdignore`, then git's own files, then the default ignores.
The strongest source with a line that matches decides, within a source the last such line; git's files
are one source, ordered as git orders them.  Going down from the root, the first directory that is
ignored decides for all below it: nothing brings back what is in there but a line for the directory
itself, from a source as strong or stronger.

- Patterns are about what is below a root, never about the root or what is above it.
- `--filter a/b/*.py` and `--on a/b/x.py=restart` open the directories that they spell out (a, a/b)
  where a weaker source ignores them, and nothing else in there.
- `--ext` and `--filter` restrict files: one that matches none does not count, unless `--on` names it.
  A `--filter` or `--on` that matches a directory is about all files below it.  `--ext` only
  restricts: a file with that ending is still for the weaker sources to ignore.
- A line whose last component is nothing but stars (`!*/`, `--filter 'src/**'`), and one that matches
  through a directory, brings back nothing from a weaker source: it means "whatever counts there".
- The firm default ignores yield only to a line that spells the name, and to `--on` (see defaults).
"""

from __future__ import annotations

from typing import NamedTuple

from reloaderd.core.rules.patterns import Line
from reloaderd.core.rules.sources import Chain, Defaults, Options
from reloaderd.settings import RuleSettings

EVERY_FILE = "every file"


class Verdict(NamedTuple):
    """What a change does: `action` is `restart`, `ignore`, `notify` or `signal` (with `signum`).

    `rule` is the pattern or option as it is written, `origin` where it stands.
    """

    action: str
    signum: int
    rule: str
    origin: str


class State(NamedTuple):
    """What the way down to a directory leaves for the names in it.

    `on` and `filtered` are the last lines that matched on the way.  `ignored`: nothing in there
    counts.  `closed`: a weaker source says so, and what lines of the command line spell out counts all
    the same; with `open_below`, directories further down may lead there.
    """

    on: Line | None = None
    filtered: Line | None = None
    ignored: Verdict | None = None
    closed: Verdict | None = None
    open_below: bool = False


OPEN = State()


class Judge:
    """Decides by the settings of one service and what the chain of a directory holds."""

    def __init__(self, settings: RuleSettings) -> None:
        endings = [ending.removeprefix(".") for ending in settings.ext]
        self.endings = tuple(f".{ending}" for ending in endings if ending)
        self.defaults = Defaults(settings.default_ignores, self.endings)
        extensions = [f"--ext {','.join(endings)}"] if self.endings else []
        restrictions = extensions + [
            f"--filter {pattern.glob}"
            for pattern in settings.patterns
            if pattern.include and not pattern.glob.startswith("!")
        ]
        self.restricted = bool(restrictions)
        origins = [settings.ext_origin] if extensions else []
        origins += [pattern.origin for pattern in settings.patterns if pattern.include]
        self._extensions = Verdict("restart", 0, "".join(extensions), settings.ext_origin)
        self._unmatched = Verdict("ignore", 0, " ".join(restrictions), ", ".join(dict.fromkeys(origins)))

    def decide(
        self, chain: Chain, state: State, directory: str, name: str, is_dir: bool
    ) -> tuple[Verdict, State]:
        """The verdict on a name in a directory that is not ignored, and what it leaves for those below."""
        options = chain.options
        assert options is not None
        own_on = options.on.find(directory, name, is_dir)
        own = options.patterns.find(directory, name, is_dir)
        on, option = _last(own_on, state.on), _last(own, state.filtered)
        opener = options.opener(directory, name) if is_dir else None
        denied = _denial(on, own_on, option)
        if denied is not None and (opener is None or opener[0].number < denied.number):
            return ignored_by(denied), OPEN
        on = on if on is not None and on.include else None
        filtered = option if option is not None and option.action else state.filtered
        below = State(on, filtered) if on or filtered else OPEN
        if _brings_back(own_on):
            return counted(on, own_on), below
        named = option is not None and option.include or names_it(on)
        if self.restricted and not is_dir and not named and not name.endswith(self.endings):
            return self._unmatched, OPEN
        weaker = self._firm(own, name, is_dir) if _brings_back(own) else None
        if weaker is None and _brings_back(own):
            return counted(on, own), below
        weaker = weaker or self._weaker(chain, directory, name, is_dir)
        closed = ignored_by(denied) if denied is not None else state.closed
        if weaker is not None and not weaker.include:
            if opener is None:
                return ignored_by(weaker), OPEN
            closed = closed or ignored_by(weaker)
        if opener is not None:
            below = below if closed is None else below._replace(closed=closed, open_below=opener[1])
            return counted(on, opener[0]), below
        if closed is not None:
            if not (state.open_below if is_dir else named):
                return closed, OPEN
            below = below._replace(closed=closed, open_below=True)
        return self._ordinary(options, on, option or weaker), below

    def unmatched(self, options: Options, name: str, is_dir: bool) -> Verdict:
        """The verdict on a name that no line matches, where nothing came down from above."""
        if self.restricted and not is_dir and not name.endswith(self.endings):
            return self._unmatched
        return self._ordinary(options, None, None)

    def _ordinary(self, options: Options, on: Line | None, line: Line | None) -> Verdict:
        """Nothing ignores it: the verdict by the strongest line that matches, or by none."""
        if on is not None or line is not None:
            return counted(on, line)
        if self.endings:
            return self._extensions
        return Verdict("restart", 0, EVERY_FILE, f"named {options.path}")

    def _weaker(self, chain: Chain, directory: str, name: str, is_dir: bool) -> Line | None:
        """The line that decides where the command line does not."""
        vague = None
        for source in (chain.own, chain.git):
            for patterns in source:
                line = patterns.find(directory, name, is_dir)
                if line is None:
                    continue
                if _brings_back(line):
                    return self._firm(line, name, is_dir) or line
                if not line.include:
                    return line
                vague = vague or line
                break
        defaults = self.defaults
        return defaults.firm.find("", name, is_dir) or defaults.further.find("", name, is_dir) or vague

    def _firm(self, line: Line | None, name: str, is_dir: bool) -> Line | None:
        """The firm default ignore that holds against `line`, which would bring `name` back."""
        if line is None or line.glob.literal:
            return None
        return self.defaults.firm.find("", name, is_dir)


def _last(line: Line | None, other: Line | None) -> Line | None:
    """The later of two lines of one source."""
    return line if other is None or line is not None and line.number > other.number else other


def _denial(on: Line | None, own_on: Line | None, option: Line | None) -> Line | None:
    """The line of the command line that ignores."""
    if on is not None and not on.include:
        return on
    return option if option is not None and not option.include and not _brings_back(own_on) else None


def _brings_back(line: Line | None) -> bool:
    """Whether a line that matches the name itself is one to bring it back from a weaker source."""
    return line is not None and line.include and not line.glob.vague


def names_it(on: Line | None) -> bool:
    """Whether an `--on` says more than which action: `*` does not."""
    return on is not None and not on.glob.total


def ignored_by(line: Line) -> Verdict:
    """The verdict of a line that ignores."""
    return Verdict("ignore", 0, line.text, line.origin)


def counted(on: Line | None, line: Line | None) -> Verdict:
    """It counts by `line`, and does what `on` says."""
    if on is not None:
        return Verdict(on.action, on.signum, on.text, on.origin)
    assert line is not None
    return Verdict("restart", 0, line.text, line.origin)


def is_explicit(verdict: Verdict) -> bool:
    """Whether an `--on` says so that names more than everything."""
    return verdict.rule.startswith("--on ") and not verdict.rule.startswith("--on *=")


def is_overruled(verdict: Verdict) -> bool:
    """Whether that is ignored unless the run loads it."""
    return verdict.action == "ignore" and not is_explicit(verdict)


def is_of_git(verdict: Verdict) -> bool:
    """Whether git's ignore files say so: they tell what is not to be committed, not what is of no concern."""
    file, _, line = verdict.origin.rpartition(":")
    of_a_file = line.isdigit() and not verdict.rule.startswith("--")  # which may stand in the configuration
    return of_a_file and not file.endswith(".reloaderdignore")
