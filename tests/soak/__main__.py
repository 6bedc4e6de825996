"""`make soak`: reloaderd on the real kernel for as long as you like, through whatever a random day brings.

python -m tests.soak [--seconds N] [--seed N] [--backend inotify|pyinotify|poll] [--without ACT ...]
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from random import SystemRandom
from types import FrameType

from tests.soak.days import Days
from tests.soak.pools import WEIGHTS
from tests.soak.soak import Soak
from tests.support import syscalls
from tests.support.places import Place
from tests.support.waiting import Unfulfilled

MOUNTING = {"mount", "unmount"}


def main() -> int:
    given = _arguments()
    without = set(given.without)
    if not MOUNTING & without:
        try:
            syscalls.have_mounts_of_our_own()
        except OSError as error:
            print(f"no mounts: {error}")
            without |= MOUNTING
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names of any bytes
    signal.signal(signal.SIGTERM, _terminate)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # children that crash leave no file
    days = Days(given.seed, given.backend, frozenset(without))
    command = " ".join(["reloaderd watch", *days.options, *days.roots])
    if days.one_cpu:
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        command += " on one CPU"
    print(f"seed {given.seed}, {given.seconds:g} s: {command}", flush=True)
    place = Place()
    try:
        return _soak(place, days, given.seconds, given.spare)
    finally:
        place.remove()


def _soak(place: Place, days: Days, seconds: float, spare: int) -> int:
    began = time.monotonic()
    soak = Soak(place, days.beginning(), days.roots, days.options)
    soak.checks.spare = spare
    try:
        soak.carry_out(days.warm_up())
        while time.monotonic() - began < seconds:
            soak.carry_out(days.until_check())
        soak.finish()
    except Unfulfilled as error:
        print("the latest steps:", *map(repr, soak.latest), sep="\n")
        print(error)
        return 1
    finally:
        soak.close()
        _tell_numbers(soak, time.monotonic() - began)
    return 0


def _tell_numbers(soak: Soak, seconds: float) -> None:
    daemon, checks = soak.daemon, soak.checks
    print(
        f"{seconds:.0f} s: {sum(soak.done.values())} steps, {soak.passed_over} more that could not be done:"
    )
    print("  " + ", ".join(f"{name} {count}" for name, count in sorted(soak.done.items())))
    print(
        f"{checks.count} checks, {daemon.said['started']} starts, {daemon.said['killed']} kills,"
        f" {daemon.said['overflow']} overflows, at most {checks.memory / (1 << 20):.1f} MB"
        f" and {checks.descriptors} descriptors",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--backend", choices=("auto", "inotify", "pyinotify", "poll"))
    parser.add_argument(
        "--spare", type=int, default=0, help="watches that may be left though none needs them"
    )
    parser.add_argument("--without", nargs="*", default=[], choices=WEIGHTS, metavar="ACT")
    return parser.parse_args()


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
