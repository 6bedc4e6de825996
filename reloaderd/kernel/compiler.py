"""Compiles Python files by another interpreter, the child's, and makes an event of what it says of them.

Facts
- Whether a file compiles depends on the interpreter: `print "x"` does in 2.7, `match` from 3.10 on.
- compile() executes nothing and writes no .pyc.  Of a SyntaxError Python 2.7 knows the line always, the
  column and the text sometimes; from 3.0 on the column counts characters.  Other errors it raises:
  ValueError and TypeError for null bytes, UnicodeDecodeError, RecursionError, MemoryError, OverflowError.
- Python 2.7 refuses a file with bytes above 127 and no declared encoding, but compile() takes its text.
- `-I` came with Python 3.4; `-E -s` is most of it and is known to all.  What is left is that `-c` puts the
  current directory on the path of imports: the code takes it off before it imports anything.
- A memfd holds any number of paths without anybody who writes on (memfd_create(2)).
- waitpid(-1) of the loop (kernel.helpers.reap_strays) may well reap it before us.  A pidfd still names it
  then and no other (pidfd_open(2)), and a group with a living leader is its own.
- posix_spawn(3) gives its errno; see kernel.spawn.

So: one process a check, in a group of its own, that reads from a memfd and writes to a pipe; its answer is
complete when it ends in END, and its exit status is not asked for.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping, Sequence

from reloaderd.events import Event, Fault, SyntaxChecked
from reloaderd.kernel import proctree
from reloaderd.kernel.spawn import candidates, interpreted_by

SHOWN = 10
"""Faults that are told in full: a person reads one, a program a few."""

LONGEST = 1000
"""Characters of a line and of a message: more than a terminal shows of them."""

MOST = 1 << 18
"""Bytes of an answer: many times what SHOWN faults of LONGEST characters need."""

END = "end"

INTERPRETERS = ("python", "pypy")

CODE = f"""
import sys
sys.path[:] = [path for path in sys.path if path]

def tell(*fields):
    for field in fields:
        if not isinstance(field, bytes):
            field = (u"%s" % (field,)).encode("utf-8", "replace")
        out.write(field.replace(b"\\0", b" ")[:4 * {LONGEST}] + b"\\0")

def declared(source):
    head = b"".join(source.split(b"\\n", 2)[:2])
    if not (source.startswith(b"\\xef\\xbb\\xbf") or b"coding" in head):
        try:
            source.decode("ascii")
        except UnicodeDecodeError as error:
            place = (None, source.count(b"\\n", 0, error.start) + 1, 0, None)
            raise SyntaxError("Non-ASCII character, but no encoding declared", place)

def check(path):
    try:
        with open(path, "rb") as file:
            source = file.read()
    except EnvironmentError:
        return
    line = column = 0
    try:
        if sys.version_info < (3,):
            declared(source)
        compile(source, path, "exec", 0, True)
        return
    except SyntaxError as error:
        line, column = max(error.lineno or 0, 0), max(error.offset or 0, 0)
        name, message = type(error).__name__, error.msg
    except Exception as error:
        name, message = type(error).__name__, error
    lines = source.replace(b"\\r\\n", b"\\n").replace(b"\\r", b"\\n").split(b"\\n")
    text = lines[line - 1] if 0 < line <= len(lines) else b""
    try:
        text = text.decode("utf-8")
    except ValueError:
        text = text.decode("latin-1")
    try:
        message = u"%s" % (message,)
    except ValueError:
        message = repr(message)
    return line, column, text, u"%s: %s" % (name, message)

out = getattr(sys.stdout, "buffer", sys.stdout)
failing = 0
paths = getattr(sys.stdin, "buffer", sys.stdin).read().split(b"\\0")
for number, path in enumerate(paths):
    fault = check(path)
    if fault:
        failing += 1
        if failing <= {SHOWN}:
            tell(number, *fault)
tell(failing, "{END}")
"""
"""Runs on Python 2.7 and on 3.x: number, line, column, text and message of each fault, each ended by NUL."""


class Compiler:
    """Checks for one service, one at a time."""

    def __init__(
        self, service: str, command: Sequence[str], directory: str, environ: Mapping[str, str]
    ) -> None:
        """The service's `command`, the directory that it starts in, and its environment."""
        self._service = service
        self._command = tuple(command)
        self._directory = directory
        self._environ = {name: value for name, value in environ.items() if not name.startswith("PYTHON")}
        self._paths: Sequence[str] = ()
        self._number = 0
        self._pid = self._pidfd = self._pipe = -1
        self._answer = b""
        self._epoll = select.epoll()

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when `read` has something; stays the same from check to check."""
        return self._epoll.fileno()

    def start(self, number: int, python: str, paths: Sequence[str]) -> Sequence[Event]:
        """Compile `paths`; whatever check was under way is ended.  `python` is '' where it is not known.

        Answered by `SyntaxChecked`: from here where it cannot be started, else by `read`.
        """
        self.end()
        self._number, self._paths, self._answer = number, paths, b""
        found = python or self._interpreter()
        if not found:
            words = " ".join(self._command)[:100]
            return self._cannot(f"which Python {words} runs on is not known")
        try:
            self._spawn(os.path.join(self._directory, found))
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            return self._cannot(f"cannot start {found}: {reason}")
        return ()

    def read(self) -> Sequence[Event]:
        """What it answered, without waiting."""
        if self._pipe < 0:
            return ()
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return ()
        self._answer += data
        if data and len(self._answer) <= MOST:
            return ()
        self.end()
        return self._judged()

    def end(self) -> None:
        """End the check that is under way, if one is: it is not answered."""
        if self._pidfd >= 0:
            self._kill()
            self._epoll.unregister(self._pipe)
        for descriptor in (self._pidfd, self._pipe):
            if descriptor >= 0:
                os.close(descriptor)
        self._pid = self._pidfd = self._pipe = -1

    def close(self) -> None:
        """End what is under way, and give back the descriptors."""
        self.end()
        self._epoll.close()

    def _kill(self) -> None:
        """Kill what is left of it.  Who leads the group may be gone and have left others, which are ours."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:  # reaped: its number may be another's
            proctree.signal_group(self._pid, signal.SIGKILL)
            return
        try:
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            pass

    def _spawn(self, python: str) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        given = -1
        try:
            given = os.memfd_create("paths", os.MFD_CLOEXEC)
            with open(given, "wb", closefd=False) as file:
                file.write(b"\0".join(map(os.fsencode, self._paths)))
            os.lseek(given, 0, os.SEEK_SET)
            os.set_blocking(writing, True)
            self._pid = os.posix_spawn(
                python,
                [python, "-E", "-s", "-S", "-B", "-W", "ignore", "-c", CODE],
                self._environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, given, 0),
                    (os.POSIX_SPAWN_DUP2, writing, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=signal.valid_signals(),
            )
            self._pidfd = os.pidfd_open(self._pid)
        except (OSError, ValueError):
            os.close(reading)
            raise
        finally:
            os.close(writing)
            if given >= 0:
                os.close(given)
        self._pipe = reading
        self._epoll.register(reading, select.EPOLLIN)

    def _interpreter(self) -> str:
        """That of the command, '' where it is no Python or an unknown one."""
        found = next(iter(candidates(self._command[0], self._environ.get("PATH"))), "")
        if is_python(self._command[0]):
            return found
        words = interpreted_by(os.path.join(self._directory, found)) if found else []
        if words and os.path.basename(words[0]) == "env":
            named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            words = list(candidates(named[0], self._environ.get("PATH")))[:1] if named else []
            return words[0] if words and is_python(named[0]) else ""
        return words[0] if words and is_python(words[0]) else ""

    def _cannot(self, trouble: str) -> Sequence[Event]:
        return [SyntaxChecked(self._service, self._number, trouble=trouble)]

    def _judged(self) -> Sequence[Event]:
        """What the answer says: it comes from a process that anybody may have written."""
        try:
            *fields, failing, end, rest = self._answer.decode("utf-8", "replace").split("\0")
            if end != END or rest or len(fields) % 5 or len(self._answer) > MOST:
                raise ValueError
            faults = [self._fault(*fields[at : at + 5]) for at in range(0, len(fields), 5)]
            return [SyntaxChecked(self._service, self._number, faults, max(int(failing), len(faults)))]
        except (ValueError, IndexError):
            return self._cannot("the interpreter did not answer as it should")

    def _fault(self, number: str, line: str, column: str, text: str, message: str) -> Fault:
        path = self._paths[_natural(number)]
        return Fault(path, _natural(line), _natural(column), text[:LONGEST], message[:LONGEST])


def is_python(word: str) -> bool:
    """Whether a program of this name or path is a Python interpreter: python, python3.11, pypy3."""
    name = os.path.basename(word)
    return any(name.startswith(one) and not name[len(one) :].strip("0123456789.") for one in INTERPRETERS)


def _natural(text: str) -> int:
    """A number from 0 on.  Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(text)
    return int(text)
