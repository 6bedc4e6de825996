"""The porter of a service: a tiny process that keeps its listening sockets open from run to run.

The daemon forks it early and tells it of the runs through a pipe (kernel.frames, kernel.porters); the agents
of the runs speak to it by sockets, one a slot.  A service has one run at a time, in slot 0, or with
--overlap two, in slots 0 and 1.  A process of its own, since whoever binds must not wait until the daemon
has done what it does.

    requests  ("started", slot, run, keeper, beside)  ("leaving", slot)  ("stopping", slot)  ("gone", slot)
    reports   ("below", address, name)  ("ready", run)  ("probed", run, what came of it)  ("answered", run)
    packets   of an agent, one a connection
        keep INODE PATH
                       with a descriptor: the process listens there; PATH is that of a Unix socket
        below INODE PATH
                       the same; it may be that it does not tell when it has closed it
        free INODE     it listens where the kernel has chosen the port
        shut INODE     it has closed what it listened at
        accept INODE   it has begun to accept
        stay           it accepts below Python: the connection stays open, `leave` tells it to accept no more,
                       and it says `left` when it does not
        take FAMILY PROTOCOL V6ONLY REUSEPORT PORT HOST
                       it is about to bind: answered by `take` with a descriptor, `again` or `none`
    notice    a link beside the door: its text is the inodes at which the run is to accept no more

Facts
- What the daemon wrote before it had a signal sent can be read before what the process did upon the signal is
  told: requests are read first.
- symlink(2) makes a link with its text in one step, and readlink(2) takes no descriptor: a process that looks
  at each accept whether there is one (_reloaderd_leave) waits for nobody.
- A pidfd becomes readable when its process ends (pidfd_open(2)).
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, NoReturn

from reloaderd.kernel import frames, openfiles, proctree
from reloaderd.kernel.answering import Answering
from reloaderd.kernel.callers import Caller, Callers, numbers, rings
from reloaderd.kernel.keeper import settle
from reloaderd.kernel.probes import Prober
from reloaderd.kernel.readiness import Readiness
from reloaderd.kernel.slots import LOOKS, Slot
from reloaderd.kernel.staying import Staying
from reloaderd.kernel.stock import Key, Stock
from reloaderd.kernel.unheard import Unheard
from reloaderd.settings import Probe

MOST_PROCESSES = 64
"""Processes of a run that listen, whose end is waited for."""

LEAVE = 1.0
"""Seconds between the closing of a socket and a look at who else has it: a run that ends closes first."""

EX_SOFTWARE = 70
"""A fault of ours: sysexits.h."""


class Duty(NamedTuple):
    """What a porter is there for.

    `doors` are the sockets to which agents connect, `bells` those to which runs say that they are ready, one
    a slot each; `given` are the inodes of what --listen hands on.  With `wants` it is to tell when a run is
    ready: `serves`, `notify`, or when it answers a probe.  With `keeps` it keeps what listens.  `notices` is
    where to put one, a slot each.
    """

    service: str
    doors: Sequence[Any]
    bells: Sequence[Any]
    given: Collection[int]
    wants: str | Probe
    keeps: bool
    notices: Sequence[str]


def mind(duty: Duty, requests: int, reports: int) -> NoReturn:
    """Be a porter until the daemon closes `requests`.

    To be called in a fresh fork, with all signals blocked.
    """
    status = EX_SOFTWARE
    try:
        kept = {requests, reports, *(one.fileno() for one in (*duty.doors, *duty.bells))}
        settle(f"porter of {duty.service}", kept)
        Porter(duty, requests, reports).serve()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


class Porter:
    """The porter's own state."""

    def __init__(self, duty: Duty, requests: int, reports: int) -> None:
        self._duty = duty
        self._requests = requests
        self._reports = reports
        self._doors = {door.fileno(): (slot, door) for slot, door in enumerate(duty.doors)}
        self._bells = {bell.fileno(): (slot, bell) for slot, bell in enumerate(duty.bells)}
        self._given = set(duty.given)
        self._slots = [Slot() for _ in duty.doors]
        self._stock = Stock(self._in_use)
        self._frames = frames.Frames()
        self._asked: deque[tuple[Any, ...]] = deque()
        self._processes: dict[int, tuple[int, int]] = {}  # by pidfd: the slot, the pid
        self._told: set[str] = set()
        self._poll = select.poll()
        self._callers = Callers(self._poll, self._answer)
        self._staying = Staying(self._poll)
        self._unheard = Unheard()

    def serve(self) -> None:
        """Mind the door until the daemon is gone."""
        os.set_blocking(self._requests, False)
        for fd in (self._requests, self._unheard.fileno(), *self._doors, *self._bells):
            self._poll.register(fd, select.POLLIN)
        while True:
            deadline = self._deadline()
            limit = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000 + 1
            ready = [fd for fd, _ in self._poll.poll(limit)]
            if not self._obey():
                return
            for fd in ready:
                if fd in self._doors:
                    self._callers.accept(*self._doors[fd])
                elif fd in self._bells:
                    self._rung(*self._bells[fd])
                elif fd in self._processes:
                    self._ended(fd)
                elif fd in self._staying:
                    self._staying.hear(fd)
                elif fd == self._unheard.fileno():
                    self._unheard.read(time.monotonic())
            self._hear()
            self._tick(time.monotonic())

    # The daemon

    def _obey(self) -> bool:
        """Read what the daemon says; False: it is gone."""
        try:
            data = os.read(self._requests, 65536)
        except BlockingIOError:
            return True
        self._asked += self._frames.feed(data)
        while self._asked:
            self._note(self._asked.popleft(), time.monotonic())
        return bool(data)

    def _note(self, request: tuple[Any, ...], now: float) -> None:
        match request:
            case ("started", number, run, keeper, beside):
                self._withdraw(number)
                slot = self._slots[number] = Slot(run, keeper)
                slot.looks = [now + seconds for seconds in LOOKS] if self._duty.keeps else []
                slot.readiness = self._readiness(slot, now) if beside else None
                for slot_of, bell in self._bells.values():
                    if slot_of == number:
                        # the one before has said what it said; this one may have been quick
                        self._ring(slot, any(_is_below(pid, keeper) for pid in rings(bell)))
                self._stock.started(number)
            case ("leaving", number):
                self._slots[number].forget_readiness()
                self._leave(number, now)
            case ("stopping", number):
                self._slots[number].answering = None
                self._slots[number].forget_readiness()
                self._slots[number].stopping = True
            case ("gone", number):
                self._hear_out(number)
                self._staying.gone(number)
                self._stock.gone(number, self._slots[number].stopping, now)
                self._withdraw(number)
                for slot in self._slots:  # nobody waits for one without which no other serves
                    slot.forget_readiness()
                self._slots[number] = Slot()
                for fd, (slot_of, _) in [*self._processes.items()]:
                    if slot_of == number:
                        self._forget(fd)
            case _:
                raise AssertionError(request[0])

    def _leave(self, number: int, now: float) -> None:
        """Another run serves what this one does: have it accept no more there, and see it answer."""
        slot = self._slots[number]
        slot.stopping = slot.leaving = True  # what it closes from now on it was told to
        inodes = self._stock.shared(number) | self._given
        self._withdraw(number)
        try:
            os.symlink(" ".join(map(str, inodes)) or "none", self._duty.notices[number])
        except OSError:  # then it accepts until it is stopped
            pass
        self._staying.leave(number)
        listening = openfiles.listening(os.getpid())
        ports = {int(listening[one].rpartition(":")[2]) for one in inodes if one in listening}
        slot.answering = Answering(now, slot.processes, ports)

    def _withdraw(self, number: int) -> None:
        """Take the notice away: the next run there is to accept."""
        with suppress(OSError):
            os.unlink(self._duty.notices[number])

    def _report(self, *record: Any) -> None:
        try:
            frames.send(self._reports, record)
        except BrokenPipeError:
            pass  # the daemon is gone, as the request pipe is about to say

    # The agents

    def _hear(self) -> None:
        """Hear all who have said something; each after what the daemon said before."""
        for fd in self._callers.ready():
            self._obey()  # it may be that the run is gone, and then this was heard
            if fd in self._callers:
                self._callers.hear(fd)

    def _hear_out(self, number: int) -> None:
        """Hear what the slot's run said before it went: who lives is of the next one."""
        for slot_of, door in self._doors.values():
            if slot_of == number:
                self._callers.accept(number, door)
        for fd in self._callers.left(number):
            self._callers.hear(fd)

    def _answer(self, caller: Caller, data: bytes, given: list[int]) -> None:
        """What an agent of the slot's run says.  Of `given` it removes what it keeps."""
        number, pid, _ = caller
        slot, now = self._slots[number], time.monotonic()
        verb, _, rest = data.partition(b" ")
        below = _is_below(pid, slot.keeper)
        if not slot.run or not (below or (below is None and verb in (b"keep", b"below"))):
            caller.answer(b"none")
            return
        if verb == b"take":
            *words, host = rest.split(b" ", 5)
            found = self._stock.take(Key._make((*numbers(words), host)), number, now)
            if found is not None and found >= 0:
                self._wait_for(pid, number)
                caller.answer(b"take", found)
            else:
                caller.answer(b"none" if found is None else b"again")
        elif verb in (b"keep", b"below"):
            inode, _, path = rest.partition(b" ")
            if slot.readiness is not None:
                slot.readiness.listens(pid, numbers([inode])[0], now)
            if given:
                self._wait_for(pid, number)
                kept = self._stock.keep(given.pop(), path, number, now)
                if kept >= 0 and verb == b"below":
                    self._unheard.add(kept)
        elif verb == b"accept" and slot.readiness is not None:
            slot.readiness.accepts(*numbers([rest]))
        elif verb == b"free":
            slot.free.update(numbers([rest]))
        elif verb == b"shut":
            slot.look = now + LEAVE
        elif verb == b"stay" and self._staying.add(caller, slot.leaving):
            self._callers.release(caller)

    def _rung(self, number: int, bell: Any) -> None:
        """The slot's run says how it is."""
        self._obey()
        slot = self._slots[number]
        self._ring(slot, bool(rings(bell)))

    def _ring(self, slot: Slot, is_ready: bool) -> None:
        if is_ready and slot.run:
            self._report("ready", slot.run)

    def _wait_for(self, pid: int, number: int) -> None:
        """Look who has its sockets when this process of the run ends."""
        if (number, pid) in self._processes.values() or len(self._processes) >= MOST_PROCESSES:
            return
        try:
            fd = os.pidfd_open(pid)
        except OSError:  # it has ended already
            self._slots[number].look = time.monotonic() + LEAVE
            return
        self._processes[fd] = number, pid
        self._poll.register(fd, select.POLLIN)

    def _ended(self, fd: int) -> None:
        slot = self._slots[self._processes[fd][0]]
        self._forget(fd)
        slot.look = time.monotonic() + LEAVE

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._processes[fd]
        os.close(fd)

    # What is due

    def _deadline(self) -> float | None:
        instants = [self._stock.deadline, self._unheard.due, *(slot.due for slot in self._slots)]
        return min((one for one in instants if one is not None), default=None)

    def _tick(self, now: float) -> None:
        self._stock.tick(now)
        if self._unheard.due is not None and self._unheard.due <= now:
            for slot in self._slots:
                slot.look = now
            self._unheard.looked()
        for number, slot in enumerate(self._slots):
            if slot.look is not None and slot.look <= now:
                slot.look = None
                if slot.run and not slot.stopping:
                    self._stock.look(number)
            if slot.looks and slot.looks[0] <= now:
                slot.looks = [one for one in slot.looks if one > now]
                if slot.run and not slot.stopping:
                    self._look_below(slot)
            if slot.is_ready(now):
                self._report("ready", slot.run)
            if slot.has_answered(now, self._staying.waits(number)):
                self._report("answered", slot.run)

    def _readiness(self, slot: Slot, now: float) -> Readiness | Prober | None:
        """What looks until the slot's run is ready."""
        wants = self._duty.wants
        if isinstance(wants, Probe):
            told = partial(self._report, "probed", slot.run)
            return Prober(now, wants, slot.processes, partial(self._beside, slot), told)
        if wants == "serves":
            return Readiness(now, slot.processes, partial(self._awaited, slot))
        return None

    def _beside(self, slot: Slot) -> list[int]:
        """The processes of the run in another slot."""
        return [pid for one in self._slots if one is not slot for pid in one.processes()]

    def _awaited(self, slot: Slot) -> set[int]:
        """What the slot's run is to listen at: what that in another one does."""
        others = [number for number, one in enumerate(self._slots) if one is not slot]
        return self._given.union(*map(self._stock.awaited, others))

    def _look_below(self, slot: Slot) -> None:
        """Tell, once, of what listens without having told: it does not bind by Python's module."""
        known = self._stock.inodes() | self._given | slot.free
        for address, name in slot.unknown(known).items():
            if address not in self._told:
                self._told.add(address)
                self._report("below", address, name)

    def _in_use(self, number: int, inode: int) -> bool:
        return openfiles.has(self._slots[number].processes(), inode)


def _is_below(pid: int, keeper: int) -> bool | None:
    """Whether a process is one of those that the keeper keeps; None: it has ended by now."""
    stat = proctree.read_stat(pid)
    if stat is None:
        return None
    while stat is not None and pid != keeper:
        pid = stat.parent
        stat = proctree.read_stat(pid)
    return pid == keeper
