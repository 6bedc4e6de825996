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
from benchmarks.served import plot, tables
from benchmarks.served.measure import Figures, measure
from benchmarks.served.projects import PROJECTS
from benchmarks.served.ways import OURS, fetch, ways
from benchmarks.tools import HERE

RESULTS = os.path.join(HERE, "benchmarks", "served.json")
PLOT = os.path.join(HERE, "docs", "served.svg")


def main() -> int:
    """Measure, print the tables in Markdown, write the JSON and the plot."""
    options = _parse()
    if options.figures:
        with open(options.figures, encoding="utf-8") as file:
            figures = [Figures(**one) for one in json.load(file)["measured"]]
        figures = [one for one in figures if _is_wanted(one.way, options.ways)]
    else:
        figures = _measure(options)
    projects = [one for one in PROJECTS if _is_wanted(one.name, options.projects)]
    print(tables.summary(figures, projects), tables.details(figures, projects), sep="\n\n")
    print(tables.ratios(figures, projects), file=sys.stderr)
    if options.plot:
        with open(options.plot, "w", encoding="utf-8") as file:
            file.write(plot.draw(figures, projects))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.served", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="saves for each way (10)")
    parser.add_argument("--projects", metavar="A,B", help=", ".join(one.name for one in PROJECTS))
    others = "entr, watchmedo, watchfiles, nodemon, hupper, own"
    parser.add_argument("--ways", metavar="A,B", help=f"only these: {', '.join(OURS)}, {others}")
    parser.add_argument("--json", default=RESULTS, metavar="FILE", help="where the figures go")
    parser.add_argument("--figures", metavar="FILE", help="measure nothing: lay out what is in such a file")
    parser.add_argument("--plot", metavar="FILE", help=f"draw them, too ({PLOT})")
    return parser.parse_args()


def _is_wanted(name: str, given: str | None) -> bool:
    return not given or name in given.split(",")


def _measure(options: argparse.Namespace) -> list[Figures]:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell has what it puts aside ignore it, and all below
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    become_subreaper()
    fetch()
    scratch = tempfile.mkdtemp(prefix="reloaderd-served-", dir="/var/tmp")
    facts = machine()
    figures: list[Figures] = []
    try:
        chosen = [way for way in ways(scratch) if _is_wanted(way.name, options.ways)]
        for project in PROJECTS:
            if _is_wanted(project.name, options.projects):
                figures += asyncio.run(measure(project, chosen, scratch, options.rounds, say))
    finally:
        shutil.rmtree(scratch)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"machine": facts, "measured": [one._asdict() for one in figures]}, file, indent=1)
        file.write("\n")
    return figures


if __name__ == "__main__":
    sys.exit(main())
