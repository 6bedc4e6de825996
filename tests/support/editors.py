"""Real editors, driven by keys on a pty or by their own scripting, without anybody's configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.places import Place
from tests.support.terminal import ESCAPE, Terminal


def run(place: Place, *command: str, cwd: Path | None = None, **environ: str) -> str:
    """Run a program in the tree to its end; its output."""
    done = subprocess.run(
        command,
        cwd=cwd or place.tree,
        env=place.environ(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Vim:
    """An open vim with the given options; a context manager that quits it without saving."""

    def __init__(self, place: Place, name: str, *options: str) -> None:
        argv = ["vim", "-N", "-u", "NONE", "-i", "NONE", "-c", "set ruler shortmess+=I"]
        if options:
            argv += ["-c", f"set {' '.join(options)}"]
        self.terminal = Terminal([*argv, name], cwd=place.tree, environ=place.environ())
        self.terminal.wait_screen("1,1")

    def save(self, text: str) -> None:
        """Open a line with this text below the cursor and write the file."""
        at = self.terminal.mark()
        self.terminal.send(b"o" + text.encode() + ESCAPE + b":w\r")
        self.terminal.wait_output("written", after=at)

    def type(self, text: str) -> None:
        """Put a line in without writing the file."""
        self.terminal.send(b"o" + text.encode() + ESCAPE)
        self.terminal.wait_screen(text)

    def __enter__(self) -> Vim:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.terminal.send(ESCAPE + b":q!\r")
            self.terminal.wait_exit()
        finally:
            self.terminal.close()


def vim(place: Place, name: str, *options: str) -> None:
    """Edit and save with vim without a screen, the swap file included."""
    settings = f"set {' '.join(options)}" if options else "set noautoread"
    run(
        place, "vim", "-N", "-u", "NONE", "-i", "NONE", "-es",
        "-c", settings, "-c", "call append(0, 'edited by vim')", "-c", "wq", name,
    )  # fmt: skip


def nano(place: Place, name: str, *options: str) -> None:
    """Type a word at the top, write out, exit."""
    with Terminal(["nano", "-I", *options, name], cwd=place.tree, environ=place.environ()) as terminal:
        terminal.wait_screen("Exit")
        terminal.send("edited by nano")
        terminal.wait_screen("edited by nano")
        terminal.send(b"\x0f")
        terminal.wait_screen("File Name to Write")
        terminal.send(b"\r")
        terminal.wait_screen("Wrote")
        terminal.send(b"\x18")
        assert terminal.wait_exit() == 0


def emacs(place: Place, name: str, lisp: str = "") -> None:
    """Edit and save with emacs in batch mode: lock file and backup included."""
    script = f'{lisp} (find-file "{name}") (insert "edited by emacs\\n") (save-buffer)'
    run(place, "emacs", "-Q", "--batch", "--eval", f"(progn {script})")


def emacs_on_terminal(place: Place, name: str) -> None:
    """Edit and save with emacs by its keys."""
    argv = ["emacs", "-Q", "-nw", name]
    with Terminal(argv, cwd=place.tree, environ=place.environ()) as terminal:
        terminal.wait_screen(name)
        terminal.send("edited by emacs")
        terminal.wait_screen("edited by emacs")
        terminal.send(b"\x18\x13")
        terminal.wait_screen("Wrote")
        terminal.send(b"\x18\x03")
        assert terminal.wait_exit() == 0
