"""Sees to it that two copies have no more in common than two interpreters that were started.

Facts
- A process that is forked has the state of each generator of random numbers that its parent had; the module
  random seeds its own anew at a fork, and no other.
- A generator that a library seeds with a number of its own is to give the same in each run.
- importlib remembers what was in a directory until that has another mtime.  What comes to it in the same tick
  of the kernel's clock as what was there last leaves it the same.
- A collection of garbage puts all that it finds alive into the oldest generation: so the first one in a copy
  does not have to look at, and thereby to copy, what the paused process has.
- multiprocessing, and billiard like it, makes its key for connections when it is imported.
- torch seeds its generator with a random number that it has from the kernel, which nothing tells of.
- A thread keeps its native id, which another process has another of.
"""

import gc
import sys
from os import environ, urandom
from posix import getpid
from time import time, time_ns

from _reloaderd_order import directory_of  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

YOUNG = 2.0
"""Seconds: what was changed earlier has another mtime when it is changed again, on whatever file system."""


class Fresh:
    """What is remembered of the paused process for those that come of it."""

    def __init__(self, places: "Any") -> None:
        """Before anything is imported ahead."""
        self.places = places
        self.began = time()
        self.forgetting: list[Any] = []  # of what directories hold that are no libraries
        self.generators: list[Any] = []
        self.seeded: list[Any] = []  # those that are to give the same numbers each time
        self.seed: Any = None

    def loaded(self, name: str) -> None:
        """A module was imported: with that of random, generators can be made."""
        if name == "random" and self.seed is None:
            kind = sys.modules[name].Random
            seed = self.seed = kind.seed

            def noted(generator: "Any", *seeds: "Any", **named: "Any") -> None:
                if (seeds[:1] or (named.get("a"),))[0] is not None:
                    self.seeded.append(generator)
                seed(generator, *seeds, **named)

            kind.seed = noted

    def settle(self) -> None:
        """All is imported."""
        gc.collect()
        self.remember()
        random = sys.modules.get("random")
        if random is not None:
            kind, exact = random.Random, random.SystemRandom
            if self.seed is not None:
                kind.seed = self.seed
            known = {id(random._inst), *map(id, self.seeded)}
            found = [one for one in gc.get_objects() if issubclass(type(one), kind) and id(one) not in known]
            self.generators = [one for one in found if not issubclass(type(one), exact)]

    def remember(self) -> None:
        """Go on with what directories of libraries hold by now, as long as their mtime is the same.

        Not with that of those that were changed lately: something may be there that came at the same time.
        """
        self.forgetting = []
        for place, finder in list(sys.path_importer_cache.items()):
            forget = getattr(finder, "invalidate_caches", None)
            old = getattr(finder, "_path_mtime", self.began) < self.began - YOUNG
            if forget is not None and not (old and self.places.directory(directory_of(place))[1]):
                self.forgetting.append(forget)

    def freshen(self) -> None:
        """In a copy that is to be a run."""
        for forget in self.forgetting:
            forget()
        for generator in self.generators:
            generator.seed()
        for name, freshen in _ANEW.items():
            module = sys.modules.get(name)
            if module is not None:
                try:
                    freshen(module)
                except Exception:  # of another version than is known
                    pass


def _logging(module: "Any") -> None:
    module._startTime = time() if type(module._startTime) is float else time_ns()


def _f2py(module: "Any") -> None:
    module.generationtime = int(environ.get("SOURCE_DATE_EPOCH", time()))


def _multiprocessing(module: "Any") -> None:
    config = module._current_process._config
    config["authkey"] = type(config["authkey"])(urandom(32))


def _torch(module: "Any") -> None:
    module.default_generator.seed()


def _threading(module: "Any") -> None:
    module.main_thread()._native_id = getpid()


_ANEW: "dict[str, Any]" = {
    "billiard.process": _multiprocessing,
    "linecache": lambda module: module.clearcache(),
    "logging": _logging,
    "multiprocessing.process": _multiprocessing,
    "numpy.f2py.rules": _f2py,
    "numpy.random": lambda module: module.seed(),
    "threading": _threading,
    "torch": _torch,
}
