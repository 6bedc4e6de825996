"""The descriptors that a service manager started us with: sd_listen_fds(3).

Facts
- They are those from 3 on, LISTEN_FDS of them, meant for the process LISTEN_PID alone: the variables may be
  left over from a process above, with other files or none under these numbers.
- LISTEN_FDNAMES has their names, divided by ":"; one without a name is "unknown" (systemd.socket(5)).
- systemd leaves close-on-exec off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from reloaderd.kernel.sockets import Bound, inherit

FIRST = 3
"""SD_LISTEN_FDS_START."""

MOST = 1024
"""Descriptors: more than any manager hands on, and what it takes to look at them is nothing."""


def inherited(environ: Mapping[str, str]) -> list[Bound]:
    """Those that are meant for us, in order.  Numbers behind which there is nothing are passed over."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID", "") != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return []
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for at in range(min(int(count), MOST)):
        name = names[at] if at < len(names) and names[at] else "unknown"
        try:
            found.append(inherit(FIRST + at, name))
        except OSError:
            continue
    return found
