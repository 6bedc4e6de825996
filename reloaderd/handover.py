"""Which sockets each service's runs are handed: those of `--listen`, and those that we were started with.

Rules:
- A socket is opened before anything of its service starts, and stays open from run to run, from keeper to
  keeper and while the configuration is read again, for as long as some service names its address.
- What we were started with goes to the service that names its address; else to the one of its name; else to
  the only service.  What nobody wants at the start is closed.
- A configuration with an address that cannot be had is not taken.
- One whose file was removed is opened again when the next run starts, under the same descriptor.
- The service manager is given each socket that was opened here, to keep it while reloaderd itself is started
  again: it comes back among those that we are started with.  One that nobody names any more is taken out.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

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

STORED = re.compile(r"[^:+]*\+[0-9]+")
"""The names under which the service manager keeps ours; no NAME of a service has a +.  Each is another, as
all of one name are taken out together (sd_notify(3))."""

Say = Callable[[Mapping[str, str], Sequence[int]], object]
Handed = Sequence[tuple[int, str]]


class Key(NamedTuple):
    """What is opened once: an address, or port 0 as it stands with one service at this place of its list."""

    address: str
    service: str = ""
    at: int = 0


class Handover:
    """All of them, by service.  `tell` is told where something listens."""

    def __init__(
        self, tell: Callable[[Report], None], inherited: Sequence[Bound] = (), say: Say | None = None
    ) -> None:
        self._tell = tell
        self._say = say
        self._stored = [one for one in inherited if STORED.fullmatch(one.name)]
        self._inherited = [one for one in inherited if one not in self._stored]
        for one in self._stored:
            one.own()
        self._stays = say is not None and os.environ.get("FDSTORE", "0") != "0"
        self._opened: dict[Key, Bound] = {}
        self._plan: dict[str, list[Bound]] = {}  # what the services get that are wanted by now
        self._given: dict[str, list[Bound]] = {}  # what those got that are there
        self._told: set[int] = set()
        self._lost: set[int] = set()  # that nobody can connect to, and it was told

    def close(self) -> None:
        """Close all."""
        for one in (*self._opened.values(), *self._inherited):
            one.close(stays=self._stays)
        self._opened.clear()
        self._inherited.clear()

    def prepare(self, services: Iterable[ServiceSettings]) -> None:
        """Have open what these need.  Raises ReloaderdError, and then all is as it was."""
        services = [one for one in services if not one.dry_run]
        first = not self._plan and not self._given
        plan, rest = share(self._inherited, services)
        keys = dict.fromkeys(one for some in plan.values() for one in some if isinstance(one, Key))
        found = self._found_ports(keys)
        beside = [one for key, one in self._opened.items() if key not in keys and key not in found.values()]
        self._open([key for key in keys if key not in self._opened and key not in found], beside)
        for key, former in found.items():
            self._opened[key] = self._opened.pop(former)
        for one in self._stored:
            self._forget(one)
        self._stored.clear()
        self._plan = {
            name: [self._opened[one] if isinstance(one, Key) else one for one in some]
            for name, some in plan.items()
        }
        if first:
            self._refuse(rest)

    def _found_ports(self, keys: Iterable[Key]) -> dict[Key, Key]:
        """What is open as port 0 and is wanted by the number now: people write down what they were told."""
        left = {one.address: key for key, one in self._opened.items() if key.service and key not in keys}
        new = (key for key in keys if key not in self._opened)
        return {key: left[key.address] for key in new if key.address in left}

    def _open(self, keys: Iterable[Key], beside: Sequence[Bound]) -> None:
        opened: dict[Key, Bound] = {}
        for key in keys:
            try:
                opened[key] = self._come_back(key) or sockets.open_at(key.address, beside)
            except OSError as error:
                for one in opened.values():
                    one.close(stays=bool(one.name))
                raise _refusal(key.address, error) from None
        self._opened |= opened
        for key, one in opened.items():
            if not one.name:
                self._keep(key, one)

    # What the service manager keeps

    def _come_back(self, key: Key) -> Bound | None:
        for one in self._stored:
            same = one.address == key.address
            if key.service and one.name.partition("+")[0] == key.service:  # the port that was found for it
                same = one.address.rpartition(":")[0] == key.address.rpartition(":")[0]
            if same and not one.deaf:
                self._stored.remove(one)
                return one
        return None

    def _keep(self, key: Key, one: Bound) -> None:
        if self._say is not None:
            one.name = f"{key.service}+{os.fstat(one.fd).st_ino}"
            # FDPOLL: one that a server has shut down would be thrown away, and comes to life again here
            self._say({"FDSTORE": "1", "FDNAME": one.name, "FDPOLL": "0"}, [one.fd])

    def _take_out(self, one: Bound) -> None:
        if self._say is not None and STORED.fullmatch(one.name):
            self._say({"FDSTOREREMOVE": "1", "FDNAME": one.name}, [])

    def _forget(self, one: Bound) -> None:
        self._take_out(one)
        one.close()

    # The services

    def take(self, name: str) -> Handed:
        """What the service begins to use: descriptors and their names."""
        some = self._given[name] = self._plan.get(name, [])
        for one in some:
            if one.fd not in self._told and one.address:
                fields = {"address": one.address, "inherited": one.inherited}
                self._tell(Report("listening", name, fields))
            self._told.add(one.fd)
        return [(one.fd, name if STORED.fullmatch(one.name) else one.name or name) for one in some]

    def mend(self, name: str) -> None:
        """A run of the service is about to start: open again what somebody removed."""
        for one in self._given.get(name, ()):
            fault = ""
            if one.deaf:
                fault = self._reopen(one, name)
            elif one.replaced:
                fault = "another file is there by now (remove it: the next start listens there again)"
            if fault and one.fd not in self._lost:
                self._warn(name, f"nobody who connects to {one.address} reaches it: {fault}")
            (self._lost.add if fault else self._lost.discard)(one.fd)

    def _reopen(self, one: Bound, name: str) -> str:
        """What kept it from that."""
        try:
            one.reopen()
        except OSError as error:
            return f"it was removed, and cannot be opened again: {_reason(error)}"
        if one.name:
            self._take_out(one)
        for key, opened in self._opened.items():
            if opened is one:
                self._keep(key, one)
        self._warn(name, f"{one.address} was removed: it is opened again, for this run and those to come")
        return ""

    def _warn(self, name: str, text: str) -> None:
        self._tell(Report("warning", name, {"text": text}))

    def release(self, name: str) -> None:
        """The service is gone: close what no other one names, and what none that is still there uses."""
        self._given.pop(name, None)
        used = {one.fd for some in (*self._plan.values(), *self._given.values()) for one in some}
        for key, one in [*self._opened.items()]:
            if one.fd not in used:
                del self._opened[key]
                self._told.discard(one.fd)
                self._lost.discard(one.fd)
                self._forget(one)

    def _refuse(self, rest: Iterable[Bound]) -> None:
        for one in rest:
            what = f"{one.name} ({one.address})" if one.address else one.name
            text = f"no service is handed {what}, which we were started with: name its address with --listen"
            self._warn("", text)
            self._inherited.remove(one)
            one.close()


def share(
    inherited: Sequence[Bound], services: Sequence[ServiceSettings]
) -> tuple[dict[str, list[Bound | Key]], list[Bound]]:
    """For each service what it gets of these, in the order of its addresses (a Key where it is to be opened)
    and then what else goes to it; and what goes to none.
    """
    rest = list(inherited)
    plan: dict[str, list[Bound | Key]] = {}
    for service in services:
        plan[service.name] = [
            _pick(rest, address) or (Key(address, service.name, at) if is_any_port(address) else Key(address))
            for at, address in enumerate(service.listen)
        ]
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
    return ReloaderdError(f"cannot listen on {address}: {_reason(error)}", mend)


def _reason(error: OSError) -> str:
    reason = error.strerror or os.strerror(error.errno or 0)
    return f"{reason[:1].lower()}{reason[1:]}"
