"""The command line of the bench: what is measured, with which tools, and where the figures go."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from benchmarks import (
    measure_agent,
    measure_arm,
    measure_idle,
    measure_save,
    measure_start,
    measure_storm,
    report,
    tools,
)
from benchmarks.build import compile_programs
from benchmarks.measures import Room, Row
from benchmarks.running import become_subreaper
from benchmarks.tools import Missing, Tool

MEASURES: dict[str, Callable[[Room], list[Row]]] = {
    "save": measure_save.measure,
    "idle": measure_idle.measure,
    "start": measure_start.measure,
    "arm": measure_arm.measure,
    "storm": measure_storm.measure,
    "agent": measure_agent.measure,
}


RESULTS = os.path.join(tools.HERE, "benchmarks", "results.json")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the bench."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Measure reloaderd beside other restarters."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 5 s idle, no 50,000 directories")
    parser.add_argument("--only", action="append", choices=MEASURES, metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--tools", metavar="A,B", help="only these (the C restarter is always there)")
    parser.add_argument(
        "--idle", type=float, metavar="SECONDS", help="how long to be idle (60; 5 with --quick)"
    )
    parser.add_argument(
        "--dir", default="/var/tmp", help="where trees are made: on a disk (default: %(default)s)"
    )
    parser.add_argument("--json", default=RESULTS, metavar="FILE", help="where the figures go")
    parser.add_argument("--no-fetch", action="store_true", help="install nothing: compare with what is there")
    return parser.parse_args(arguments)


def choose(found: Sequence[Tool | Missing], wanted: str | None) -> list[Tool]:
    """The tools to measure; names on stderr those that are missing or unknown."""
    names = None if wanted is None else {"C", *wanted.split(",")}
    for unknown in sorted((names or set()) - {one.name for one in found}):
        say(f"no such tool: {unknown}")
    chosen = [one for one in found if names is None or one.name in names]
    for one in chosen:
        if isinstance(one, Missing):
            say(f"missing: {one.name}: {one.mend}")
    return [one for one in chosen if isinstance(one, Tool)]


def say(text: str) -> None:
    """Tell how far it is, on stderr."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON.  It judges nothing by its exit status."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    become_subreaper()
    if not options.no_fetch:
        tools.fetch()
    scratch = tempfile.mkdtemp(prefix="reloaderd-bench-", dir=options.dir)
    facts = machine()
    rows: list[Row] = []
    chosen: list[Tool] = []
    try:
        programs = compile_programs(scratch)
        chosen = choose(tools.find(programs.restarter, scratch), options.tools)
        idle = options.idle if options.idle is not None else 5.0 if options.quick else 60.0
        room = Room(chosen, programs, scratch, options.quick, idle, say)
        for name, measure in MEASURES.items():
            if not options.only or name in options.only:
                rows += measure(room)
    except KeyboardInterrupt:
        say("interrupted: what was measured until then follows")
    finally:
        shutil.rmtree(scratch)
    verdicts = report.judge(rows)
    print(f"{report.measured_tables(rows)}\n")
    if verdicts:
        print(f"{report.budget_table(verdicts)}\n")
    print("\n".join(f"{one.name} {one.version} {one.note}".rstrip() for one in chosen))
    with open(options.json, "w", encoding="utf-8") as file:
        result = {
            "machine": facts,
            "tools": [{"name": one.name, "version": one.version, "note": one.note} for one in chosen],
            "measured": [row._asdict() for row in rows],
            "budgets": [verdict._asdict() for verdict in verdicts],
        }
        json.dump(result, file, indent=1)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
