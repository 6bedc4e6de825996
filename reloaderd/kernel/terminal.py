"""The controlling terminal: lent to a child that asks for it, and taken back.

Facts
- /dev/tty is the controlling terminal of the process, whatever 0, 1 and 2 are; opening it is ENXIO
  without one (tty(4)).
- One process group of the session is in the foreground.  Reading from any other brings SIGTTIN to the
  reader's whole group; writing with TOSTOP set, tcsetattr(3) and tcsetpgrp(3) bring SIGTTOU (termios(3),
  "job control").
- Where SIGTTIN is ignored or blocked, or the group is orphaned, such a read is EIO instead.  Where
  SIGTTOU is ignored or blocked, the act is allowed: kernel.signals ignores both, so that we may take the
  terminal back from the background.
- A stopped child that was made the foreground group must still be continued; its read then starts anew.
- tcsetpgrp to a group that is gone is ESRCH, to one of another session EPERM.  tcgetpgrp goes on naming a
  group that is gone.
- Modes (echo, raw) belong to the terminal, not to a process: a child that was killed in raw mode leaves
  them.
- After a hang-up tcgetpgrp is EIO, tcsetpgrp ENOTTY, and so is a session leader's end.  TCSADRAIN waits
  for output that a person may have stopped with Ctrl-S: TCSANOW does not.
"""

from __future__ import annotations

import errno
import os
import termios
from typing import Any

_HUNG_UP = frozenset((errno.EIO, errno.ENXIO, errno.ENOTTY))
_NO_SUCH_GROUP = frozenset((errno.ESRCH, errno.EPERM))


class TerminalGone(Exception):
    """There was a terminal, and it has been hung up."""


class Terminal:
    """The controlling terminal; where there is none, nothing can be lent and nothing comes back."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        self._lent = 0  # the process group that has it from us
        self._modes: list[Any] = []

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __bool__(self) -> bool:
        """Whether there is a controlling terminal."""
        return self._fd >= 0

    def is_foreground(self) -> bool:
        """Whether our process group has the terminal.  Raises TerminalGone."""
        return self._fd >= 0 and self._foreground() == os.getpgrp()

    def lend(self, pgid: int) -> bool:
        """Make `pgid` the foreground group if we are it (or it is already); the caller then continues it.

        False when the terminal is not ours to lend, or the group is gone.  Raises TerminalGone.
        """
        if self._fd < 0:
            return False
        foreground = self._foreground()
        if foreground == pgid:
            return True
        if foreground != os.getpgrp():
            return False
        modes = self._ask(termios.tcgetattr, self._fd)
        try:
            self._ask(os.tcsetpgrp, self._fd, pgid)
        except OSError as error:
            if error.errno in _NO_SUCH_GROUP:
                return False
            raise
        self._lent, self._modes = pgid, modes
        return True

    def reclaim(self) -> bool:
        """Take back what was lent, and put back the modes it had; needs SIGTTOU ignored.

        False when nothing was lent, or another group has the terminal by now (a shell put us in the
        background): not ours to take.  Raises TerminalGone.
        """
        if self._fd < 0 or not self._lent:
            return False
        foreground = self._foreground()
        if foreground not in (self._lent, os.getpgrp()) and _exists(foreground):
            return False
        self._ask(os.tcsetpgrp, self._fd, os.getpgrp())
        self._ask(termios.tcsetattr, self._fd, termios.TCSANOW, self._modes)
        self._lent = 0
        return True

    def close(self) -> None:
        """Let go of the terminal, as it is."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _foreground(self) -> int:
        return int(self._ask(os.tcgetpgrp, self._fd))

    def _ask(self, call: Any, *arguments: Any) -> Any:
        """`call`, with a hang-up told apart from other errors."""
        try:
            return call(*arguments)
        except (OSError, termios.error) as error:
            if error.args[0] in _HUNG_UP:
                self._lent = 0
                raise TerminalGone(error.args[1]) from None
            raise


def _exists(group: int) -> bool:
    """Whether a process group has a member.  The number 0 is what a terminal without one gives."""
    if group <= 0:
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
