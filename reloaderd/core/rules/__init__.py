"""Which changes count, and by which line of which file: `rules` is its front."""

from reloaderd.core.rules.rules import Rules
from reloaderd.core.rules.verdicts import Verdict

__all__ = ["Rules", "Verdict"]
