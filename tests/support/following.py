"""A Python program to be followed: a probe that imports, and does what it is told while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support import probe
from tests.support.daemon import Daemon, Watch
from tests.support.lines import Event
from tests.support.places import Place, build

APP = f"""\
import os, sys, threading, traceback
sys.path.append({str(Path(probe.__file__).parent)!r})
import probe
{{imports}}
def obey():
    while True:
        with open(os.environ["ORDERS"]) as orders:
            for line in orders:
                try:
                    exec(line, globals())
                    me.record("LINE", line.strip())
                except BaseException as error:
                    me.record("LINE", type(error).__name__)
if __name__ == "__main__":  # the processes of a pool may import this, too
    me = probe.Probe(probe.parse(sys.argv[1:]))
    threading.Thread(target=obey, daemon=True).start()
    me.main()
"""


class Followed:
    """One reloaderd with such a program, `app.py` in the tree, which begins with the lines `imports`.

    `reads` are what its START tells of (default: the marker alone, so it is loaded); `files` are built in
    the tree before.
    """

    def __init__(
        self,
        place: Place,
        watch: Watch,
        *options: str,
        imports: str = "",
        files: dict[str, str | bytes | None] | None = None,
        python: Sequence[str] = (sys.executable,),
        program: Sequence[str] = ("app.py",),
        reads: Sequence[str] = (),
        environ: dict[str, str] | None = None,
        **keywords: Any,
    ) -> None:
        self.place = place
        self.orders = place.scratch / "orders"
        os.mkfifo(self.orders)
        build(place.tree, {"app.py": APP.format(imports=imports), **(files or {})})
        log = place.scratch / "probe-0.log"
        words = [*python, *program, "--log", str(log), "--read", str(place.tree / "marker.py")]
        for path in reads:
            words += ["--read", path]
        environ = {"ORDERS": str(self.orders), **(environ or {})}
        self.daemon: Daemon = watch(
            *options, command=words, read=[str(place.tree / "marker.py"), *reads], environ=environ, **keywords
        )
        self.daemon.wait_starts(1)
        self.armed(1)

    def armed(self, run: int, **counts: int) -> Event:
        """Wait until reloaderd has told what it armed for a run, with these counts."""
        return self.daemon.wait_event("armed", run=run, **counts)

    def tell(self, line: str, answer: str | None = None) -> None:
        """Have the program execute a line; waits until it has."""
        after = len(self.daemon.records)
        with open(self.orders, "w") as orders:
            orders.write(line + "\n")
        self.daemon.wait_record("LINE", payload=line if answer is None else answer, after=after)

    @property
    def run(self) -> int:
        """The number of the present run."""
        return self.daemon.starts[-1].run
