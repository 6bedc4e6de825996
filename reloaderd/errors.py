"""What can go wrong that a person can mend: one line, a hint, an exit status."""

from __future__ import annotations

TYPE_CHECKING = False  # __main__ imports this before it can answer to Ctrl-C
if TYPE_CHECKING:
    from collections.abc import Sequence

EX_USAGE = 2
"""Usage error, as argparse and most of GNU use it."""

EX_CONFIG = 78
"""Configuration error: sysexits.h."""

EX_NOEXEC = 126
"""The command was found but cannot be executed: POSIX shell, "Exit Status for Commands"."""

EX_NOTFOUND = 127
"""The command was not found: the same."""


class ReloaderdError(Exception):
    """Something that a person did or their machine refused; printed once, in `__main__`.

    `message` names the thing, `hint` the mend (may be empty), `exit_code` the status to end with.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = EX_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    @property
    def lines(self) -> Sequence[str]:
        """What to say: one line."""
        return [self.message + (f" ({self.hint})" if self.hint else "")]


class ConfigError(ReloaderdError):
    """What is wrong with a configuration file: each fault a line that begins with FILE:LINE or FILE."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(faults[0], exit_code=EX_CONFIG)
        self.faults = tuple(faults)

    @property
    def lines(self) -> Sequence[str]:
        """All faults."""
        return self.faults
