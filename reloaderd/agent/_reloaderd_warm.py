"""Whether the keeper wants to know in which order this process imports, or to have it paused.

RELOADERD_WARM names the file to tell the order in and, after a space each, the descriptor to be paused by and
the abstract address (unix(7)) where copies are taken in that runs leave.
"""

import sys
from os import environ
from posix import getppid

from _reloaderd_order import Order  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_path, _number, _address, *_ = [*environ.pop("RELOADERD_WARM").split(" "), "", ""]
if _number:
    from _reloaderd_zygote import become  # type: ignore[import-not-found]

if _address:
    from _reloaderd_checkpoint import Checkpoints  # type: ignore[import-not-found]


def join(agent: "Any", hook: "Callable[..., None]") -> "tuple[Order | None, bool]":
    """What tells the order, if this is the run's own process; and whether the audit hook is in place by now.

    Where the process is to be paused, this returns in each run that comes of it.
    """
    if _number:
        sys.addaudithook(hook)
        makes = (lambda *known: Checkpoints(_address, *known)) if _address else None
        return become(_path, int(_number), agent, makes), True
    own = _path.startswith(f"/proc/{getppid()}/")
    return (Order(_path, agent) if own else None), False
