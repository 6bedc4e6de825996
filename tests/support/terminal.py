"""A real terminal: a pty with a program on it, keys to type and a screen to read."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.support import procfs
from tests.support.waiting import LIMIT, wait_until

CTRL_C = b"\x03"
CTRL_D = b"\x04"
CTRL_Z = b"\x1a"
CTRL_BACKSLASH = b"\x1c"
ESCAPE = b"\x1b"

PROMPT = "READY> "


STRANGE = re.compile(rb"\x1b\[(?:[<>=][0-9;]*[a-zA-Z]|\?[0-9;]*(?:\$p|m))")
"""Questions to xterm and its private attributes, which pyte does not know and draws or dies of."""


class Terminal:
    """`argv` as leader of a new session whose controlling terminal is ours to hold the other end of.

    All that it writes is in `output`; `screen()` is what a person would see.  Who waits for anything
    else has to call `pump()` meanwhile, or the program blocks on a full terminal.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        rows: int = 24,
        columns: int = 80,
        stderr: IO[Any] | None = None,
        stdout: IO[Any] | None = None,
    ) -> None:
        self.output = b""
        self.rows, self.columns = rows, columns
        self.master, slave = os.openpty()
        os.set_blocking(self.master, False)
        self.resize(rows, columns)
        self.first = self.modes()
        """Those before anybody has it."""
        try:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(environ),
                stdin=slave,
                stdout=slave if stdout is None else stdout,
                stderr=slave if stderr is None else stderr,
                start_new_session=True,
                preexec_fn=_take_terminal,
            )
        finally:
            os.close(slave)

    @classmethod
    def shell(cls, *, cwd: Path, environ: Mapping[str, str], **options: Any) -> Terminal:
        """A job-control shell at its prompt."""
        environ = {**environ, "PS1": PROMPT, "HISTFILE": "/dev/null", "BASH_SILENCE_DEPRECATION_WARNING": "1"}
        argv = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
        terminal = cls(argv, cwd=cwd, environ=environ, **options)
        terminal.wait_output(re.escape(PROMPT))
        return terminal

    @property
    def pid(self) -> int:
        return self.process.pid

    def pump(self, patience: float = 0.0) -> None:
        """Take in what has been written."""
        while self.master >= 0 and select.select([self.master], [], [], patience)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError as error:
                if error.errno in (errno.EIO, errno.EAGAIN):  # EIO: nobody has the slave open
                    return
                raise
            if not data:
                return
            self.output += data

    def send(self, keys: bytes | str) -> None:
        """Type keys."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            self.pump()
            try:
                data = data[os.write(self.master, data) :]
            except BlockingIOError:
                self.pump(0.01)

    def mark(self) -> int:
        """A position in the output, for `after=`."""
        self.pump()
        return len(self.output)

    def wait_output(self, pattern: str, *, after: int = 0, limit: float = LIMIT) -> re.Match[bytes]:
        """The first match of `pattern` in what was written after the mark."""

        def look() -> re.Match[bytes] | None:
            self.pump()
            return re.search(pattern.encode(), self.output[after:])

        return wait_until(look, f"/{pattern}/ on the terminal", limit=limit, explain=self.report)

    def wait_screen(self, text: str, *, limit: float = LIMIT) -> None:
        """Wait until `text` stands on the screen, however it was drawn."""
        wait_until(lambda: text in self.screen(), f"{text!r} on the screen", limit=limit, explain=self.report)

    def screen(self) -> str:
        """The lines of the screen as a person sees them."""
        import pyte

        self.pump()
        screen = pyte.Screen(self.columns, self.rows)
        pyte.ByteStream(screen).feed(STRANGE.sub(b"", self.output))
        return "\n".join(line.rstrip() for line in screen.display)

    def resize(self, rows: int, columns: int) -> None:
        """As a window manager does: the kernel sends SIGWINCH to the foreground group."""
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def foreground(self) -> int:
        """The foreground process group."""
        return os.tcgetpgrp(self.master)

    def modes(self) -> list[Any]:
        """As termios.tcgetattr gives them; they are the same seen from either end."""
        return termios.tcgetattr(self.master)

    def echoes(self) -> bool:
        return bool(self.modes()[3] & termios.ECHO)

    def hang_up(self) -> None:
        """Close the window: SIGHUP to the session leader and the foreground group."""
        if self.master >= 0:
            self.pump()
            os.close(self.master)
            self.master = -1

    def wait_exit(self, limit: float = LIMIT) -> int:
        """The status as subprocess gives it."""

        def ended() -> tuple[int] | None:
            self.pump()
            status = self.process.poll()
            return None if status is None else (status,)

        return wait_until(ended, "the end of the program on the terminal", limit=limit, explain=self.report)[
            0
        ]

    def close(self) -> None:
        """End the program by its pid, and let the terminal go."""
        if self.process.poll() is None:
            for pid in [*procfs.descendants(self.pid), self.pid]:
                procfs.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.hang_up()

    def report(self) -> str:
        if self.master >= 0:
            self.pump()
        return f"--- terminal\n{self.output[-4000:].decode(errors='backslashreplace')}"

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _take_terminal() -> None:
    """Runs in the child, after setsid and dup2: make descriptor 0 the controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
