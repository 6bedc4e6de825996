"""Tells what a library remembers of its process from what is the same in each process.

A number that is the one of the process may be so by chance: processes in containers have small numbers, as
errno and opcode have.  Another process that imports the library, too, has the same constants, and another
number of its own.

Facts
- A time in whole seconds is the same for who looks within the same second.
- A forked process has what was imported before, and imports by itself what was not.
- A message of a SOCK_SEQPACKET socket is whole; an empty one is the end of the other side.
- The keeper holds that a paused process is gone when nobody has its line open any more.
"""

from _socket import AF_UNIX, SOCK_SEQPACKET, socketpair
from marshal import dumps, loads
from posix import O_RDWR, _exit, close, dup2, fork, waitpid
from posix import open as posix_open
from time import sleep

from _reloaderd_values import values  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 1 << 17
"""Bytes of a message: a send buffer has 208 KiB, and what is asked for is a hundred names at most."""


class Witness:
    """A copy of this process, made before it imports anything, that waits to be asked."""

    def __init__(self, channel: int) -> None:
        """`channel` is the line to the keeper, which a witness has no part in."""
        self.line, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        self.process = fork()
        if not self.process:
            try:
                self.line.close()
                close(channel)
                _testify(theirs)
            finally:
                _exit(0)
        theirs.close()

    def ask(self, places: "list[tuple[str, str]]", later: bool) -> "list[Any]":
        """What is at each place, a module and a name in it: None where that cannot be told.

        `later` has it look in another second than this.
        """
        self.line.send(dumps((later, places)))
        said = self.line.recv(LARGEST)
        return loads(said) if said else [None] * len(places)

    def dismiss(self) -> None:
        """Have it end; whoever is to be copied has no children."""
        self.line.close()
        waitpid(self.process, 0)


def _testify(line: "Any") -> None:
    null = posix_open("/dev/null", O_RDWR)
    for number in (0, 1, 2):
        dup2(null, number)
    asked = line.recv(LARGEST)
    if asked:
        later, places = loads(asked)
        if later:
            sleep(1)
        line.send(dumps([_value(name, key) for name, key in places]))


def _value(name: str, key: str) -> "int | float | str | None":
    try:
        __import__(name)
        return dict(values(name)).get(key)
    except BaseException:
        return None
