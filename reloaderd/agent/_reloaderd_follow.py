"""Lets the agent follow into Python programs that are started with an environment of their own.

Facts
- PYTHONPATH in the environment of C still names the agent; in os.environ it does not.  So a program that is
  started with a copy of os.environ would not be followed.
- The audit events subprocess.Popen, os.exec and os.posix_spawn come with the environment that the caller
  gave.  execve(2) and posix_spawn(3) have taken a copy of it by then; and it is the caller's, not ours to
  change.  So an exec is done here with another one: where it fails, the caller's fails in the same way.
- subprocess calls fork_exec by a name of its own module (3.11 and later) or of _posixsubprocess, with the
  environment as a list, its sixth argument.  By os.posix_spawn it goes only where `_USE_POSIX_SPAWN` is set,
  and takes os.environ for env=None then.
- A program that sets PYTHONPATH in os.environ, or that takes it out of there, does so in the environment of
  C.  os.putenv and os.unsetenv are raised before that is done: so it is mended when something is started.
- Not followed: os.posix_spawn that is called directly with a copy of os.environ; and, after the program
  itself has set PYTHONPATH, what os.system starts, whose line may name it, and what multiprocessing spawns,
  which raises no event.
"""

import sys
from os import environb, fsencode
from posix import execve, putenv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Fork = Callable[..., int]

_KEY = b"RELOADERD_AGENT="
_PATH = b"PYTHONPATH="


class Followers:
    """Handlers of audit events about what is started.  `directory` is the agent's."""

    def __init__(self, directory: str) -> None:
        self.directory = fsencode(directory)
        self.lost: bytes | None = None
        """What the program has made of PYTHONPATH since it was last mended."""

    def handlers(self) -> "dict[str, Callable[[tuple[Any, ...]], None]]":
        """Those of this, by the event that each is for."""
        return {
            "subprocess.Popen": self.popen,
            "os.exec": self.exec,
            "os.putenv": self.putenv,
            "os.unsetenv": self.putenv,
        }

    def putenv(self, args: "tuple[Any, ...]") -> None:
        """os.putenv(key, value) or os.unsetenv(key)."""
        key, value = args[0], b"".join(args[1:])
        if key == _PATH[:-1] and self.directory not in value.split(b":"):
            self.lost = value

    def mend(self, args: "tuple[Any, ...]") -> None:
        """Something is about to be started with the environment of C: put the agent back there."""
        if self.lost is None:
            return
        value, self.lost = self.lost, None
        if _KEY[:-1] in environb:
            putenv(_PATH[:-1], self.directory + (b":" + value if value else b""))

    def popen(self, args: "tuple[Any, ...]") -> None:
        """subprocess.Popen(executable, args, cwd, env): from now on what it starts is followed."""
        module = sys.modules.get("subprocess")
        if module is None:
            return
        names = module.__dict__
        names["_USE_POSIX_SPAWN"] = False
        if args[3] is None:
            self.mend(args)
            return
        if "_fork_exec" not in names:
            names = names["_posixsubprocess"].__dict__
        name = "_fork_exec" if "_fork_exec" in names else "fork_exec"
        original = names[name]
        if getattr(original, "__code__", None) is not _WRAPPER:
            names[name] = _wrapped(original, self.extended)

    def exec(self, args: "tuple[Any, ...]") -> None:
        """os.exec(path, argv, env): executes it with the extended environment, where that differs."""
        path, argv, env = args
        if env is None:
            self.mend(args)
        if env is None or not hasattr(env, "items"):
            return
        pairs = [_pair(key, value) for key, value in env.items()]
        extended = self.extended(pairs)
        if extended is pairs:
            return
        try:
            execve(path, argv, dict(pair.split(b"=", 1) for pair in extended))
        except (OSError, TypeError, ValueError):
            pass

    def extended(self, pairs: "list[bytes]") -> "list[bytes]":
        """An environment that was made of ours and has lost the agent, with it; any other as it is."""
        where = -1
        ours = False
        for index, pair in enumerate(pairs):
            if pair.startswith(_PATH):
                where = index
            elif pair.startswith(_KEY):
                ours = True
        if not ours:
            return pairs
        given = pairs[where][len(_PATH) :] if where >= 0 else b""
        if self.directory in given.split(b":"):
            return pairs
        entry = _PATH + self.directory + (b":" + given if given else b"")
        return [entry] + [pair for index, pair in enumerate(pairs) if index != where]


def _pair(key: "str | bytes", value: "str | bytes") -> bytes:
    return fsencode(key) + b"=" + fsencode(value)


def _wrapped(
    original: "Callable[..., int]", extended: "Callable[[list[bytes]], list[bytes]]"
) -> "Callable[..., int]":
    def fork_exec(*args: "Any") -> int:
        try:
            if args[5] is not None:
                args = args[:5] + (extended(args[5]),) + args[6:]
        except Exception:
            pass
        return original(*args)

    return fork_exec


_WRAPPER = _wrapped(len, list).__code__
