"""The ignore files that bear on one service: those in its tree, and those above or beside it.

Rules:
- What is below a root comes with the listing of its directory; what is not (of the directories above, of the
  repository, of the person) is anchored like a root and read whenever it changes.
"""

from __future__ import annotations

from reloaderd.core.rules import Rules
from reloaderd.events import IgnoreFile, Listing

NAMES = frozenset({".gitignore", ".reloaderdignore"})


class IgnoreFiles:
    """Feeds the rules; every method that loads returns whether that changed them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._outside: dict[str, tuple[str, str]] = {}  # path -> (base, kind)
        self._inside: set[str] = set()

    def is_outside(self, path: str) -> bool:
        """Whether `path` is an ignore file that no listing brings."""
        return path in self._outside

    def load_listed(self, listing: Listing) -> bool:
        """Those in a directory that was listed."""
        if not listing.texts and not self._inside:
            return False
        changed = False
        prefix = listing.path if listing.path == "/" else listing.path + "/"
        for name in NAMES:
            text = listing.texts.get(name)
            if text is not None or prefix + name in self._inside:
                changed = self._rules.load(prefix + name, listing.path, text, name[1:]) or changed
                self._inside.add(prefix + name)
        return changed

    def load_found(self, files: list[IgnoreFile]) -> bool:
        """Those that came with a repository."""
        changed = False
        for file in files:
            self._outside[file.path] = (file.base, file.kind)
            changed = self._rules.load(file.path, file.base, file.text, file.kind) or changed
        return changed

    def bears_on(self, path: str) -> str | None:
        """The directory that `path` bears on, without which nobody needs it; None for the person's own."""
        base, kind = self._outside[path]
        return None if kind == "excludesfile" else base

    def let_go(self, path: str) -> bool:
        """Nothing below its repository is watched any more."""
        changed = self.load_again(path, None)
        del self._outside[path]
        return changed

    def load_again(self, path: str, text: str | None) -> bool:
        """One outside was edited, made or removed."""
        base, kind = self._outside[path]
        return self._rules.load(path, base, text, kind)
