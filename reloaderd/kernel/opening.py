"""Opens the kernel's source of events: by which package, and why there is none.

Facts
- inotify_init1(2): EMFILE is the user's limit of instances and the process's of descriptors alike.
- A kernel may be built without inotify (ENOSYS; so some sandboxes answer), and a filter of system calls may
  forbid it (seccomp(2): mostly EPERM, or EACCES).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

from reloaderd.core.reasons import ASKED_FOR, LIMITS, NO_INOTIFY, NO_PACKAGE
from reloaderd.errors import ReloaderdError
from reloaderd.kernel.source import Source

_NONE = frozenset((errno.ENOSYS, errno.EPERM, errno.EACCES))

ORDER: Mapping[str, Sequence[str]] = {
    "auto": ("inotify", "pyinotify"),
    "inotify": ("inotify",),
    "pyinotify": ("pyinotify",),
    "poll": (),
}
"""The sources to try, by what was asked for."""

_PACKAGES = {"inotify": "inotify_simple", "pyinotify": "pyinotify"}
_INSTALLED_BY = {"inotify": "inotify_simple", "pyinotify": "'reloaderd[pyinotify]'"}


def open_source(backend: str) -> tuple[Source | None, str]:
    """The source, or None and the reason why everything is to be polled.

    Raises ReloaderdError where the package of a backend that was asked for is missing, OSError where this
    process may open no more descriptors.
    """
    for name in ORDER[backend]:
        try:
            return make(name), ""
        except ImportError:
            if backend != "auto":
                message = f"--backend {name}: the package {_PACKAGES[name]} is not installed"
                raise ReloaderdError(message, f"python -m pip install {_INSTALLED_BY[name]}") from None
        except OSError as error:
            if error.errno in _NONE:
                return None, NO_INOTIFY
            why = limit_of(error)
            _check_descriptors()
            return None, why
    return None, ASKED_FOR if backend == "poll" else NO_PACKAGE


def make(name: str) -> Source:
    """The source of that name.  Raises ImportError or OSError."""
    if name == "inotify":
        from reloaderd.kernel.inotify import InotifySource

        return InotifySource()
    from reloaderd.kernel.pyinotify import PyinotifySource

    return PyinotifySource()


def limit_of(error: OSError) -> str:
    """The name of a limit of inotify; raises any other error again."""
    name = errno.errorcode.get(error.errno or 0, "")
    if name not in LIMITS:
        raise error
    return name


def _check_descriptors() -> None:
    """Raises OSError where it is this process that may open no more."""
    os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
