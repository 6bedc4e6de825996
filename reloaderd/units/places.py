"""Where the files of services are, what a unit of ours says, and writing them whole or not at all.

Facts
- systemd.unit(5), "User Unit Search Path": $XDG_CONFIG_HOME/systemd/user is ours; /etc/systemd/user,
  /usr/local/lib/systemd/user and /usr/lib/systemd/user are what packages and `make install` fill.
  `reloaderd@web.service` is looked for in all of them before the template `reloaderd@.service`.
- %E in a unit of a user is $XDG_CONFIG_HOME of its manager, or ~/.config.
- systemd.service(5), "Command lines": % and $ are doubled; in double quotes \\\\ and \\" are as in C.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from reloaderd.errors import ReloaderdError
from reloaderd.settings import Elsewhere

TEMPLATE = "reloaderd@.service"

PACKAGED = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")

STARTS = "ExecStart=/usr/local/bin/reloaderd watch --config %E/reloaderd/%i.toml\n"
"""The line of the template that says which reloaderd is run, and what it reads."""

HEAD = "# Written by `reloaderd service install`; `reloaderd service remove {name}` deletes it.\n"

READS = "X-Reloaderd-Config="
"""systemd.unit(5): what begins with X- is for others than systemd."""


def unit_of(name: str) -> str:
    """The unit of a service."""
    return f"reloaderd@{name}.service"


def home() -> Path:
    """Where this user's configuration is."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(given) if given.startswith("/") else Path(os.path.expanduser("~/.config"))


def config_path(name: str) -> Path:
    """The configuration file that the template reads."""
    return home() / "reloaderd" / f"{name}.toml"


def unit_path(name: str) -> Path:
    """The unit of this service alone."""
    return home() / "systemd/user" / unit_of(name)


def shown(path: str | Path) -> str:
    """A path as a person says it."""
    own = os.path.expanduser("~").rstrip("/")
    text = str(path)
    return f"~{text[len(own) :]}" if own and text.startswith(f"{own}/") else text


def entry() -> list[str]:
    """The words that run this reloaderd from anywhere, also when its environment is another."""
    program = sys.argv[0]
    if os.path.basename(program) == "reloaderd" and "/" in program and os.access(program, os.X_OK):
        return [os.path.abspath(program)]  # a symlink as it is: what it leads to may be newer tomorrow
    return [sys.executable, "-P", "-m", "reloaderd"]


def unit_text(name: str, elsewhere: Elsewhere | None) -> str:
    """The unit of a service that this reloaderd runs; empty if one that is packaged does just that."""
    template = (Path(__file__).parent / "systemd" / TEMPLATE).read_text(encoding="utf-8")
    if elsewhere is None:
        text = template.replace(STARTS, f"ExecStart={quoted(entry())} watch --config %E/reloaderd/%i.toml\n")
        if any(_reads(Path(directory, TEMPLATE)) == text for directory in PACKAGED):
            return ""
        return HEAD.format(name=name) + text
    lines = [
        f"WorkingDirectory={_escaped(elsewhere.cwd)}\n",
        *(f"Environment={quoted([f'{key}={value}'], dollars=False)}\n" for key, value in elsewhere.environ),
        f"ExecStart={quoted([*entry(), 'watch', '--name', name, *elsewhere.words])}\n",
    ]
    head = f"[Unit]\n{READS}{elsewhere.config}\n"
    return HEAD.format(name=name) + template.replace(STARTS, "".join(lines)).replace("[Unit]\n", head)


def quoted(words: Iterable[str], dollars: bool = True) -> str:
    """The words of a command line, or of an assignment, as a unit has them."""
    return " ".join(_quoted(word, dollars) for word in words)


def _quoted(word: str, dollars: bool) -> str:
    text = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    text = text.replace("$", "$$") if dollars else text
    return text if text and not set(text) & set(" '\"\\;") else f'"{text}"'


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise ReloaderdError(f"{text!r} cannot stand in a unit", "it has control characters or is not UTF-8")
    return text.replace("%", "%%")


def _reads(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


class Files:
    """Files that are written or deleted together: `undo` puts back what was there."""

    def __init__(self) -> None:
        self._before: list[tuple[Path, bytes | None]] = []

    def write(self, path: Path, text: str, mode: int) -> None:
        """Put a whole file in the place of what is there.  Raises ReloaderdError."""
        new = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._keep(path)
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(fd)  # after a power cut a service must not find half of it
            os.replace(new, path)
        except OSError as error:
            raise _refused("write", path, error) from None

    def delete(self, path: Path) -> bool:
        """Delete a file: whether it was there.  Raises ReloaderdError."""
        try:
            self._keep(path)
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _refused("delete", path, error) from None
        return True

    def undo(self) -> None:
        """Put all back, as far as it goes."""
        for path, content in reversed(self._before):
            with contextlib.suppress(OSError):
                if content is None:
                    path.unlink()
                else:
                    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
                    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
                    with open(fd, "wb") as file:
                        file.write(content)
        self._before.clear()

    def _keep(self, path: Path) -> None:
        try:
            self._before.append((path, path.read_bytes()))
        except FileNotFoundError:
            self._before.append((path, None))


def _refused(what: str, path: Path, error: OSError) -> ReloaderdError:
    reason = (error.strerror or str(error)).lower()
    return ReloaderdError(f"cannot {what} {shown(path)}: {reason}", exit_code=1)
