"""The command line: `python -m benchmarks.served`, or `make bench-served`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile

from benchmarks.__main__ import machine, say
from benchmarks.running import become_subreaper
from benchmarks.served import plot
from benchmarks.served.measure import Figures, measure
from benchmarks.served.projects import PROJECTS
from benchmarks.served.ways import fetch, ways
from benchmarks.tools import HERE

RESULTS = os.path.join(HERE, "benchmarks", "served.json")
PLOT = os.path.join(HERE, "docs", "served.svg")


def main() -> int:
    """Measure, print the table, write the JSON and the plot."""
    parser = argparse.ArgumentParser(prog="benchmarks.served", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="saves for each way (10)")
    parser.add_argument("--projects", metavar="A,B", help=", ".join(one.name for one in PROJECTS))
    parser.add_argument("--ways", metavar="A,B", help="only these")
    parser.add_argument("--json", default=RESULTS, metavar="FILE", help="where the figures go")
    parser.add_argument("--plot", metavar="FILE", help=f"draw them, too ({PLOT})")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    become_subreaper()
    fetch()
    scratch = tempfile.mkdtemp(prefix="reloaderd-served-", dir="/var/tmp")
    facts = machine()
    figures: list[Figures] = []
    try:
        wanted = options.ways and options.ways.split(",")
        chosen = [way for way in ways(scratch) if not wanted or way.name in wanted]
        for project in PROJECTS:
            if not options.projects or project.name in options.projects.split(","):
                figures += asyncio.run(measure(project, chosen, scratch, options.rounds, say))
    finally:
        shutil.rmtree(scratch)
    print(plot.table(figures, PROJECTS))
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"machine": facts, "measured": [one._asdict() for one in figures]}, file, indent=1)
        file.write("\n")
    if options.plot:
        with open(options.plot, "w", encoding="utf-8") as file:
            file.write(plot.draw(figures, PROJECTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
