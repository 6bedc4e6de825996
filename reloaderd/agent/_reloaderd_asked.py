"""Stands where libraries ask for what differs from run to run, while they are imported ahead.

Facts
- os.environ and os.environb look up each key in one `_data`, a dict of bytes; what goes through all of them
  makes a list of that first, and so asks it for an iterator.
- secrets, uuid and SystemRandom have their random numbers from os.urandom, by that name or one of random's.
- __main__ is a module from the start, and gets __file__ when the program is run: whoever lacks that takes the
  interpreter for an interactive one.  The class of a module can be set to one that is derived from its own.
- inspect looks at all modules in search of one, and rlcompleter imports __main__: both only to use it later.
"""

import os
import sys
from os import environ, environb, fsdecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PER_RUN = ("RELOADERD_RUN", "RELOADERD_CHANGED", "RELOADERD_CHANGED_COUNT")
"""Variables that no two runs have the same of."""

FORGIVEN = ("multiprocessing.process", "billiard.process", "numpy.random", "scipy.stats._new_distributions")
"""Whose random numbers are made anew in each run, or are in nothing but docstrings."""

WITHIN = {"create_key": "opentelemetry.context"}
"""Functions that make a name at random by which something is found within the process, and nowhere else."""

_getframe = sys._getframe
_MODULE = type(sys)
_STANDARD = os.__file__.rpartition("/")[0] + "/"


class Variables(dict):  # type: ignore[type-arg]
    """The data of os.environ, which tells what is looked up."""

    asked: "Asked"

    def __getitem__(self, key: bytes) -> "Any":
        self.asked.read(key)
        return dict.__getitem__(self, key)

    def __iter__(self) -> "Any":
        self.asked.read_all()
        return dict.__iter__(self)

    def items(self) -> "Any":
        """As for all of them."""
        self.asked.read_all()
        return dict.items(self)


class Asked:
    """What `ahead` hears of that is asked for."""

    def __init__(self, ahead: "Any") -> None:
        self.ahead = ahead
        self.variables: dict[str, str | None] = {}  # what was looked up, and what was found
        self.all = False  # somebody went through all variables

    def begin(self) -> "dict[bytes, bytes]":
        """Stand there; returns the variables as they are."""
        self.plain: dict[bytes, bytes] = environ._data  # type: ignore[attr-defined]
        self.data = Variables(self.plain)
        self.data.asked = self
        environ._data = environb._data = self.data  # type: ignore[attr-defined]
        self.random, os.urandom = os.urandom, self.urandom
        sys.modules["__main__"].__class__ = _main(self.ahead)
        return dict(self.plain)

    def end(self) -> None:
        """Have all as it was, with what was set meanwhile."""
        self.plain.clear()
        self.plain.update(dict.items(self.data))
        environ._data = environb._data = self.plain  # type: ignore[attr-defined]
        sys.modules["__main__"].__class__ = _MODULE
        os.urandom = self.random
        random = sys.modules.get("random")
        if random is not None and random._urandom == self.urandom:
            random._urandom = self.random  # type: ignore[attr-defined]

    def urandom(self, size: int, /) -> bytes:
        """os.urandom, in whose place it stands, and for good where that is imported by name."""
        stack = self.ahead.stack
        if os.urandom == self.urandom and stack and not stack[-1].startswith(FORGIVEN) and not _is_within():
            self.ahead.notice("it keeps a random number")
        return self.random(size)

    def read(self, key: bytes) -> None:
        """A variable is looked up."""
        name = fsdecode(key)
        if name in self.ahead.plan.variables:
            self.ahead.notice(f"it looks at {name}, which the program sets")
        elif name in PER_RUN:
            self.ahead.notice(f"it looks at {name}, which differs from run to run")
        if name not in self.variables:
            value = dict.get(self.data, key)
            self.variables[name] = None if value is None else fsdecode(value)

    def read_all(self) -> None:
        """All are looked at, and so those, too, that are not there."""
        if self.ahead.plan.variables:
            self.ahead.notice("it looks at all variables, and the program sets some")
        self.all = True


def _is_within() -> bool:
    """Whether one of `WITHIN` asks."""
    frame: Any = _getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        if WITHIN.get(frame.f_code.co_name) == frame.f_globals.get("__name__"):
            return True
        frame = frame.f_back
    return False


def _main(ahead: "Any") -> type:
    """What __main__ is for as long as nothing may look at it."""

    class Main(_MODULE):  # type: ignore[valid-type,misc]
        def __getattribute__(self, name: str) -> "Any":
            caller = _getframe(1).f_code.co_filename
            if not caller.startswith(_STANDARD) or "/site-packages/" in caller:
                ahead.notice("it looks at __main__")
            return _MODULE.__getattribute__(self, name)

    return Main
