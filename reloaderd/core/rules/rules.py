"""What a change of a path does, and by which rule (DESIGN 6.2): all paths of one service.

Going down from a root, the first directory that is ignored decides for all below it.  How each name
is decided on the way is in verdicts; here is which files have a say where, what is remembered, and
the fast answer for whole directories, where most names match no line at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from reloaderd.core.rules.patterns import Patterns, lines_of
from reloaderd.core.rules.sources import KINDS, Chain, Options, kind_of
from reloaderd.core.rules.verdicts import (
    EVERY_FILE,
    OPEN,
    Judge,
    State,
    Verdict,
    counted,
    ignored_by,
    names_it,
)
from reloaderd.settings import COMMAND_LINE, RuleSettings

REMEMBERED = 512
"""Most directories, and most names in each set of rules, whose answer is kept: some 100 kB."""


class Rules:
    """The rules of one service: of its settings and of the ignore files loaded by now."""

    def __init__(self, settings: RuleSettings, roots: Sequence[str]) -> None:
        self._settings = settings
        self._judge = Judge(settings)
        self._roots = frozenset(roots)
        self._options = {_key(root): Options(root, settings) for root in roots}
        self._named: dict[str, set[str]] = {}  # names of roots, by the directory they are in
        for root in roots:
            parent, _, name = root.rpartition("/")
            self._named.setdefault(parent, set()).add(name)
        self._inherits = bool(settings.on or any(pattern.include for pattern in settings.patterns))
        self._files: dict[str, dict[str, tuple[str, Patterns]]] = {}  # by directory, then by path
        self._chains: dict[str, Chain] = {}
        self._states: dict[str, State] = {}

    def load(self, path: str, base: str, text: str | None, kind: str = "") -> bool:
        """Take the content of an ignore file whose patterns are relative to the directory `base`.

        `kind` is one of `sources.KINDS`, by default what the name says.  None: it is gone.  Returns
        whether that may change a verdict.
        """
        kind = kind or kind_of(path)
        if kind not in KINDS:
            raise ValueError(kind)
        if kind != "reloaderdignore" and not self._settings.gitignore:
            return False
        lines = [] if text is None else lines_of(text, path)
        files = self._files.setdefault(_key(base), {})
        before = files[path][1].lines if path in files else ()
        if lines:
            files[path] = (kind, Patterns(base, lines))
        else:
            files.pop(path, None)
            if not files:
                del self._files[_key(base)]
        if tuple(lines) != before:
            self._chains.clear()
            self._states.clear()
        return [line.text for line in lines] != [line.text for line in before]

    def renumber(self, settings: RuleSettings) -> None:
        """The same settings, which tell otherwise where they stand."""
        if settings == self._settings:
            return
        self._settings = settings
        self._judge = Judge(settings)
        self._options = {key: Options(one.path, settings) for key, one in self._options.items()}
        self._chains.clear()
        self._states.clear()

    def partition(self, directory: str, dirs: list[str], files: list[str]) -> tuple[list[str], list[str]]:
        """Of the names in a directory that is not ignored: directories to go into, files that count."""
        directory = _key(directory)
        chain = self._chain(directory)
        if chain.options is None:
            return [], []
        state = self._state(directory) if self._inherits else OPEN
        return (
            self._kept(chain, state, directory, dirs, True),
            self._kept(chain, state, directory, files, False),
        )

    def prunes(self, path: str) -> bool:
        """Whether the directory `path` is not to be watched."""
        return self.verdict(path, is_dir=True).action == "ignore"

    def verdict(self, path: str, is_dir: bool = False) -> Verdict:
        """What a change of `path` does.  A symlink is no directory, unless it is followed."""
        directory, _, name = path.rpartition("/")
        chain = self._chain(directory)
        if path in self._roots:
            return self._of_root(path, chain, directory, name, is_dir)
        if chain.options is None:
            return Verdict("ignore", 0, "not below a PATH", COMMAND_LINE)
        state = self._state(directory)
        if state.ignored is not None:
            return state.ignored
        if state is OPEN and not chain.suspects.has(directory, name):
            return self._judge.unmatched(chain.options, name, is_dir)
        return self._judge.decide(chain, state, directory, name, is_dir)[0]

    def _of_root(self, path: str, chain: Chain, directory: str, name: str, is_dir: bool) -> Verdict:
        """A root counts; if it is a file, `--on` may say what that means."""
        if not is_dir and self._settings.on:
            options = chain.options or Options(directory or "/", self._settings)
            line = options.on.find(directory, name, False)
            if line is not None:
                return counted(line, None) if line.include else ignored_by(line)
        return Verdict("restart", 0, EVERY_FILE, f"named {path}")

    # One directory

    def _kept(self, chain: Chain, state: State, directory: str, names: list[str], is_dir: bool) -> list[str]:
        """Those of `names` that count, the same list where all do: most match no line."""
        if not names:
            return names
        suspects = chain.suspects.among(directory, names)
        named = self._named.get(directory)
        if named:
            suspects = [*suspects, *named]
        if not suspects:
            if state is OPEN and (is_dir or not self._judge.restricted):
                return names
            return self._unsuspected(state, names, is_dir)
        known = {name: self._counts(chain, state, directory, name, is_dir) for name in suspects}
        clear = [name for name in names if name not in known]
        kept = set(self._unsuspected(state, clear, is_dir))
        return [name for name in names if name in kept or known.get(name)]

    def _unsuspected(self, state: State, names: Sequence[str], is_dir: bool) -> list[str]:
        """Those that count of names which no line matches."""
        if is_dir:
            return list(names) if state.closed is None or state.open_below else []
        inherited = state.filtered is not None or names_it(state.on)
        if state.closed is not None and not inherited:
            return []
        if inherited or not self._judge.restricted:
            return list(names)
        return [name for name in names if name.endswith(self._judge.endings)]

    def _counts(self, chain: Chain, state: State, directory: str, name: str, is_dir: bool) -> bool:
        """Whether a name counts that some line may match."""
        if name in self._named.get(directory, ()):
            return self.verdict(f"{directory}/{name}", is_dir).action != "ignore"
        if state is not OPEN or chain.located.has(directory, name):
            return self._judge.decide(chain, state, directory, name, is_dir)[0].action != "ignore"
        counts = chain.known.get((name, is_dir))
        if counts is None:
            if len(chain.known) >= REMEMBERED:
                chain.known.clear()
            counts = self._judge.decide(chain, state, directory, name, is_dir)[0].action != "ignore"
            chain.known[(name, is_dir)] = counts
        return counts

    # What is above a directory

    def _state(self, directory: str) -> State:
        """What is left by the way down from the root."""
        missing = []
        state = None
        while state is None:
            state = OPEN if directory in self._options else self._states.get(directory)
            if state is None:
                missing.append(directory)
                directory = directory.rpartition("/")[0]
        for place in reversed(missing):
            if state.ignored is None:
                above, _, name = place.rpartition("/")
                chain = self._chain(above)
                if state is not OPEN or chain.suspects.has(above, name):
                    verdict, state = self._judge.decide(chain, state, above, name, True)
                    if verdict.action == "ignore":
                        state = State(ignored=verdict)
            if len(self._states) >= REMEMBERED:
                self._states.clear()
            self._states[place] = state
        return state

    def _chain(self, directory: str) -> Chain:
        """All that has a say in `directory`."""
        chain = self._chains.get(directory)
        if chain is not None:
            return chain
        above = self._chains.get(directory.rpartition("/")[0])
        if above is not None and directory not in self._files and directory not in self._options:
            if len(self._chains) >= REMEMBERED:
                self._chains.clear()
            self._chains[directory] = above
            return above
        missing = []
        while chain is None:
            chain = self._chains.get(directory)
            if chain is None:
                missing.append(directory)
                if not directory:
                    chain = Chain(None, (), self._judge.defaults)
                directory = directory.rpartition("/")[0]
        for place in reversed(missing):
            files = self._files.get(place)
            options = self._options.get(place, chain.options)
            if files or options is not chain.options:
                chain = Chain(options, (*(files or {}).values(), *chain.files), self._judge.defaults)
            if len(self._chains) >= REMEMBERED:
                self._chains.clear()
            self._chains[place] = chain
        return chain


def _key(directory: str) -> str:
    """A directory as `path.rpartition("/")[0]` gives it."""
    return "" if directory == "/" else directory
