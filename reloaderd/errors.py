"""What can go wrong that a person can mend: one line, a hint, an exit status."""

from __future__ import annotations

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
