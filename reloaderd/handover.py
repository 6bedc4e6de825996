"""Which sockets each service's runs are handed: those of `--listen`, and those that we were started with.

Rules:
- A socket is opened before anything of its service starts, and stays open from run to run, from keeper to
  keeper and while the configuration is read again, for as long as some service names its address.
- What we were started with goes to the service that names its address; else to the one of its name; else to
  the only service.  What nobody wants at the start is closed.
- A configuration with an address that cannot be had is not taken.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from reloaderd.commands import Report
from reloaderd.errors import ReloaderdError
from reloaderd.kernel import sockets
from reloaderd.kernel.sockets import Bound
from reloaderd.settings import ServiceSettings, is_any_port

MENDS = {
    errno.EADDRINUSE: "end what listens there, or name another address",
    errno.EEXIST: "remove it, or name another path",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.ENOENT: "create the directory first",
}

Handed = Sequence[tuple[int, str]]
Key = tuple[str, str, int]


class Handover:
    """All of them, by service.  `tell` is told where something listens."""

    def __init__(self, tell: Callable[[Report], None], inherited: Sequence[Bound] = ()) -> None:
        self._tell = tell
        self._inherited = list(inherited)
        self._opened: dict[Key, Bound] = {}
        self._plan: dict[str, list[Bound]] = {}  # what the services get that are wanted by now
        self._given: dict[str, list[Bound]] = {}  # what those got that are there
        self._told: set[int] = set()

    def close(self) -> None:
        """Close all."""
        for one in (*self._opened.values(), *self._inherited):
            one.close()
        self._opened.clear()
        self._inherited.clear()

    def prepare(self, services: Iterable[ServiceSettings]) -> None:
        """Have open what these need.  Raises ReloaderdError, and then all is as it was."""
        services = [one for one in services if not one.dry_run]
        first = not self._plan and not self._given
        plan, rest = share(self._inherited, services)
        opened: dict[Key, Bound] = {}
        for service in services:
            for at, address in enumerate(service.listen):
                if plan[service.name][at] is None:
                    key = (service.name, address, at) if is_any_port(address) else ("", address, 0)
                    try:
                        one = self._opened.get(key) or opened.get(key) or sockets.open_at(address)
                    except OSError as error:
                        for made in opened.values():
                            made.close()
                        raise _refusal(address, error) from None
                    plan[service.name][at] = opened[key] = one
        self._opened |= opened
        self._plan = {name: [one for one in some if one is not None] for name, some in plan.items()}
        if first:
            self._refuse(rest)

    def take(self, name: str) -> Handed:
        """What the service begins to use: descriptors and their names."""
        some = self._given[name] = self._plan.get(name, [])
        for one in some:
            if one.fd not in self._told and one.address:
                fields = {"address": one.address, "inherited": one.inherited}
                self._tell(Report("listening", name, fields))
            self._told.add(one.fd)
        return [(one.fd, one.name or name) for one in some]

    def release(self, name: str) -> None:
        """The service is gone: close what no other one names, and what none that is still there uses."""
        self._given.pop(name, None)
        used = {one.fd for some in (*self._plan.values(), *self._given.values()) for one in some}
        for key, one in [*self._opened.items()]:
            if one.fd not in used:
                del self._opened[key]
                self._told.discard(one.fd)
                one.close()

    def _refuse(self, rest: Iterable[Bound]) -> None:
        for one in rest:
            what = f"{one.name} ({one.address})" if one.address else one.name
            text = f"no service is handed {what}, which we were started with: name its address with --listen"
            self._tell(Report("warning", "", {"text": text}))
            self._inherited.remove(one)
            one.close()


def share(
    inherited: Sequence[Bound], services: Sequence[ServiceSettings]
) -> tuple[dict[str, list[Bound | None]], list[Bound]]:
    """For each service what it gets of these, in the order of its addresses (None where that is to be opened)
    and then what else goes to it; and what goes to none.
    """
    rest = list(inherited)
    plan: dict[str, list[Bound | None]] = {}
    for service in services:
        plan[service.name] = [_pick(rest, address) for address in service.listen]
    for one in [*rest]:
        name = one.name if one.name in plan else services[0].name if len(services) == 1 else None
        if name is not None:
            plan[name].append(one)
            rest.remove(one)
    return plan, rest


def _pick(rest: list[Bound], address: str) -> Bound | None:
    for one in rest:
        if one.address == address:
            rest.remove(one)
            return one
    return None


def inherited(environ: Mapping[str, str]) -> Sequence[Bound]:
    """What we were started with."""
    if "LISTEN_FDS" not in environ:
        return ()
    from reloaderd.kernel import activation

    return activation.inherited(environ)


def _refusal(address: str, error: OSError) -> ReloaderdError:
    number = error.errno or 0
    mend = MENDS.get(number, "")
    if number == errno.EACCES:
        port = address.rpartition(":")[2]
        low = not address.startswith("/") and port.isdigit() and int(port) < 1024
        mend = "a port below 1024 takes CAP_NET_BIND_SERVICE: name a higher one" if low else mend
    reason = error.strerror or os.strerror(number)
    return ReloaderdError(f"cannot listen on {address}: {reason[:1].lower()}{reason[1:]}", mend)
