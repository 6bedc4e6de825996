"""The keeper of a service: a tiny process that starts, signals and reaps its runs.

It outlives the daemon, just long enough to leave nothing of them behind.  The daemon forks it early and
speaks to it through two pipes (kernel.frames, kernel.helpers), one run at a time:

    requests  ("start", run, environ)  ("signal", run, signum, scope, ends)  ("kill", run)
              ("resume", run, environ, checkpoint, edited)  ("prepare", environ)
    reports   ("ChildStarted", run, pid, warm, checkpoint)  ("StartFailed", run, errno, what)
              ("ChildStopped", run, signum)  ("ChildEnded", run, status, left)  ("RunGone", run)
              ("ZygoteReady", modules, left)  ("ZygoteGone", why, final)
              ("CheckpointReady", number)  ("CheckpointGone", number, why)

Facts
- prctl(2) PR_SET_CHILD_SUBREAPER: whatever is orphaned below the keeper becomes its child, so that
  waitpid(2) saying ECHILD is the kernel's own word that nothing of the run is left, double forks and new
  sessions included.
- If a keeper is killed, its children go to the next subreaper, the daemon: see kernel.helpers.
- Only the daemon holds the other end of the request pipe: read(2) gives EOF when it is gone, whatever
  killed it.
- A process group is orphaned when no member has a parent in another group of its session (setpgid(2)),
  and an orphaned group gets EIO where others get SIGTTIN.  The keeper has a group of its own, so that of
  the child, whose parent it is, is not orphaned; and stays in the session, so the child keeps its
  terminal.
- SIGCHLD merges: one may stand for many.  It comes for stops too, unless SA_NOCLDSTOP, which Python does
  not set.
- signal(7): ignored signals are discarded when they are generated, so a keeper is never woken by them.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from reloaderd.kernel import frames, libc, proctree
from reloaderd.kernel.spawn import Begin, by_posix_spawn, spawn

if TYPE_CHECKING:
    from reloaderd.kernel.cgroups import Cgroup
    from reloaderd.kernel.warm import Warm

_FAULTS = frozenset(
    (
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    )
)
_LEFT_ALONE = _FAULTS | {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}

EX_SOFTWARE = 70
"""A fault of ours: sysexits.h."""


class Kept(NamedTuple):
    """What a keeper keeps: a service, and what each of its runs is started with.

    `handed` are descriptors that each run gets, from 3 on in this order, with their names.  `cgroup` is the
    directory of the one below which each run has its own, or "".  With --overlap a service has keepers in two
    slots, and what is handed on is `shared` by their runs.  `warm`: runs may come of a copy, and with
    `checkpoints` of one that a run has left; what runs tell for that goes to `order`, a file without a name
    that two keepers share, or -1.
    """

    service: str
    command: Sequence[str]
    directory: str
    environ: Mapping[str, str]
    handed: Sequence[tuple[int, str]] = ()
    cgroup: str = ""
    slot: int = 0
    shared: bool = False
    warm: bool = False
    checkpoints: bool = False
    order: int = -1


def keep(kept: Kept, requests: int, reports: int) -> NoReturn:
    """Be the keeper of a service until the daemon closes `requests`; then leave nothing and exit.

    To be called in a fresh fork, with all signals blocked; closes every descriptor but 0, 1, 2, its two and
    what is handed to each run.
    """
    status = EX_SOFTWARE
    cgroup: Cgroup | None = None
    try:
        try:
            name = f"{kept.service}+{kept.slot}" if kept.slot else kept.service
            own = {requests, reports, kept.order, *(fd for fd, _ in kept.handed)}
            settle(f"keeper of {name}", own - {-1})
            libc.become_subreaper()
            if kept.cgroup:
                from reloaderd.kernel.cgroups import Cgroup

                cgroup = Cgroup(kept.cgroup, name)
            Keeper(kept, cgroup, requests, reports).serve()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        _leave_nothing()
        if cgroup is not None:
            cgroup.leave_nothing()
    finally:
        os._exit(status)


def settle(title: str, kept: Iterable[int]) -> None:
    """Turn a copy of the daemon into a process of its own, with 0, 1, 2 and what is to be `kept`."""
    gc.freeze()  # so that no collection touches, and thereby copies, pages shared with the daemon
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - _LEFT_ALONE:
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGCONT, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, _wake)
    os.setpgid(0, 0)
    os.chdir("/")
    libc.set_title(title)


def _wake(signum: int, frame: object) -> None:
    """Nothing: a caught signal is what set_wakeup_fd wakes for."""


def _leave_nothing() -> None:
    """SIGKILL all that is below us, until the kernel says that nothing is."""
    woken = select.poll()
    read, write = frames.open_pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    woken.register(read, select.POLLIN)
    while True:
        proctree.kill_descendants()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        woken.poll()
        os.read(read, 4096)


class Keeper:
    """The keeper's own state: which run, which child, what was asked."""

    def __init__(self, kept: Kept, cgroup: Cgroup | None, requests: int, reports: int) -> None:
        self._kept = kept
        self._cgroup = cgroup
        self._requests = requests
        self._reports = reports
        self._begin: Begin = by_posix_spawn
        if kept.handed or cgroup is not None:
            from reloaderd.kernel.forking import Forking

            self._begin = Forking(kept.handed, os.fork if cgroup is None else cgroup.fork)
        self._poll = select.poll()
        self._warm: Warm | None = None
        if kept.warm:
            from reloaderd.kernel.pages import Habits
            from reloaderd.kernel.warm import Warm

            self._habits = Habits()
            run = kept.command, kept.directory, kept.environ, kept.handed
            self._warm = Warm(*run, self._tell_of_copies, self._poll, kept.checkpoints, kept.order)
        self._frames = frames.Frames()
        self._run: int | None = None  # until nothing of it is left
        self._number = 0  # that of the latest run
        self._settled: dict[int, int] = {}  # the spares that were made ready, with what they are copies of
        self._child = 0  # the child's pid until it was reaped
        self._group = 0  # its process group
        self._killing = False
        self._ending = False  # a signal that ends was sent, and the child has not stopped since

    def serve(self) -> None:
        """Carry out requests and report, until the daemon is gone."""
        woken, wakeup = frames.open_pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        poll = self._poll
        poll.register(woken, select.POLLIN)  # first: requests are judged by what is true now
        poll.register(self._requests, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == woken:
                    os.read(woken, 4096)
                    self._reap()
                elif fd != self._requests:
                    self._hear(fd)
                else:
                    data = os.read(self._requests, 65536)
                    if not data:
                        return
                    for request in self._frames.feed(data):
                        self._obey(request)

    def _obey(self, request: tuple[Any, ...]) -> None:
        match request:
            case ("start", run, environ):
                if self._warm is not None and self._run is None:
                    self._warm.reset()
                self._start(run, environ)
            case ("resume", run, environ, checkpoint, edited):
                self._resume(run, environ, checkpoint, edited)
            case ("prepare", environ):
                if self._warm is not None:
                    self._warm.prepare(environ)
            case ("signal", run, signum, scope, ends):
                if run == self._run:
                    self._signal(signum, scope, ends)
            case ("kill", run):
                if run == self._run:
                    self._killing = True
                    self._kill()
            case _:
                raise AssertionError(request[0])

    def _start(self, run: int, environ: Mapping[str, str]) -> None:
        if self._run is not None:
            self._report("StartFailed", run, errno.EBUSY, self._kept.command[0])
            return
        kept = self._kept
        if self._warm is not None:
            environ = self._warm.environ(environ)
        if self._cgroup is not None:
            self._cgroup.make(run, self._poll)
        try:
            pid = spawn(kept.command, kept.directory, {**kept.environ, **environ}, self._begin)
        except OSError as error:
            if self._cgroup is not None:
                self._cgroup.remove()
            self._report("StartFailed", run, error.errno, error.filename)
            return
        self._began(run, pid, False, "")

    def _began(self, run: int, pid: int, warm: bool, checkpoint: str) -> None:
        self._run = self._number = run
        self._child = self._group = pid
        self._killing = self._ending = False
        self._report("ChildStarted", run, pid, warm, checkpoint)

    def _resume(self, run: int, environ: Mapping[str, str], checkpoint: int, edited: Sequence[str]) -> None:
        """Start a run as a copy, or where there is none as any other."""
        pid, before = 0, ""
        if self._warm is not None and self._run is None:
            take_in = lambda copy: self._take_in(run, copy)  # noqa: E731
            pid, before = self._warm.start(environ, take_in, checkpoint, edited)
        if pid:
            self._began(run, pid, True, before)
            return
        if self._cgroup is not None and self._run is None:
            self._cgroup.remove()
        self._start(run, environ)

    def _hear(self, fd: int) -> None:
        """A copy said something, and may be known from now on as one that is not the run's."""
        if self._warm is not None and self._warm.owns(fd):
            self._warm.read(fd)
            self._settle()
            self._reap()
        else:
            self._read_cgroup()

    def _tell_of_copies(self, kind: str, *fields: Any) -> None:
        """What there is to report of copies; those that the run has left are none of it from now on."""
        if self._cgroup is not None and self._warm is not None and kind == "CheckpointReady":
            self._cgroup.expel(self._warm.left_behind(*fields))
        self._report(kind, *fields)

    def _take_in(self, run: int, copy: int) -> None:
        """A copy is to be this run, if nothing is against that."""
        if self._cgroup is not None:
            self._cgroup.enter(run, copy, self._poll)

    def _settle(self) -> None:
        """Do for a copy that waits what takes long, while nobody waits for a run."""
        if self._warm is None:
            return
        waiting, known = self._warm.waiting(), self._warm.pids
        for copy, of in waiting.items():
            if copy not in self._settled:
                self._habits.give(of, copy, self._child)
                if self._cgroup is not None:
                    self._cgroup.settle(self._number + 1, copy)
        self._settled = waiting
        self._habits.keep(known)

    @property
    def _spared(self) -> set[int]:
        """Our children that are not the run's."""
        return self._warm.spared() if self._warm is not None else set()

    def _clean(self) -> None:
        """Have nobody refused by what was handed on, whatever the run did to it, and nothing left to see."""
        if self._cgroup is not None:
            self._cgroup.remove()
        if self._kept.handed:
            from reloaderd.kernel.sockets import deepen, refresh

            for fd, _ in self._kept.handed:
                (deepen if self._kept.shared else refresh)(fd)

    def _populated(self) -> bool:
        return self._cgroup is not None and self._cgroup.populated()

    def _read_cgroup(self) -> None:
        """Something came into it, or nothing is left in it; it may be another than it was about."""
        if self._cgroup is not None and not self._cgroup.populated():
            self._reap()

    def _signal(self, signum: int, scope: str, ends: bool) -> None:
        """Signal; if it `ends`, then continue what is stopped there, so that it can act on it.

        A child that is just about to stop, or does so on its way to the end as it puts back the terminal's
        modes, is continued by `_reap`: once, as it might do nothing else.
        """
        self._ending = self._ending or ends
        if scope == "tree":
            told = proctree.signal_tree(signum, self._spared)
            if ends:
                proctree.continue_stopped(told)
        elif scope == "group":
            if self._child:
                _pass_over_gone(os.killpg, self._group, signum)
            else:
                proctree.signal_group(self._group, signum)
            if ends:
                proctree.continue_stopped(proctree.descendants(os.getpid(), self._spared), self._group)
        elif self._child:
            _pass_over_gone(os.kill, self._child, signum)
            stat = proctree.read_stat(self._child)
            if ends and stat is not None and stat.state == "T":
                _pass_over_gone(os.kill, self._child, signal.SIGCONT)

    def _kill(self) -> None:
        """One walk; `_reap` makes the next.  The child and its group do not depend on what /proc shows."""
        if self._child:
            _pass_over_gone(os.killpg, self._group, signal.SIGKILL)
        if self._cgroup is None or not self._cgroup.kill():
            proctree.kill_descendants(self._spared)

    def _reap(self) -> None:
        """Take in what ended or stopped; only what concerns the child and the run's end is reported."""
        ended: int | None = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                gone = not self._populated()
                break
            if pid == 0:
                gone = self._warm is not None and self._warm.are_all() and not self._populated()
                break
            if self._warm is not None and self._warm.ended(pid, status):
                if self._cgroup is not None and not os.WIFSTOPPED(status):
                    self._cgroup.release(pid)
                continue
            if pid == self._child and os.WIFSTOPPED(status):
                self._report("ChildStopped", self._run, os.WSTOPSIG(status))
                if self._ending:
                    self._ending = False
                    _pass_over_gone(os.killpg, self._group, signal.SIGCONT)
            elif pid == self._child:
                ended, self._child = os.waitstatus_to_exitcode(status), 0
        told: list[tuple[Any, ...]] = []  # at once, so that the daemon is woken once
        if ended is not None:
            left = 0 if gone else max(1, len(proctree.descendants(os.getpid(), self._spared)))
            told.append(("ChildEnded", self._run, ended, left))
        if gone and self._run is not None:
            self._clean()
            told.append(("RunGone", self._run))
            self._run, self._group, self._killing = None, 0, False
        self._send(told)
        if self._killing:
            self._kill()

    def _report(self, *record: Any) -> None:
        self._send([record])

    def _send(self, records: Sequence[tuple[Any, ...]]) -> None:
        try:
            frames.send(self._reports, *records)
        except BrokenPipeError:
            pass  # the daemon is gone, as the request pipe is about to say


def _pass_over_gone(send: Any, number: int, signum: int) -> None:
    """Signal a child or its group, where being gone, or another user's, is no error."""
    try:
        send(number, signum)
    except (ProcessLookupError, PermissionError):
        pass
