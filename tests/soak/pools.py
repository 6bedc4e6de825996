"""What a soak picks from: names, places, paces and manners of a child."""

from __future__ import annotations

from tests.soak.judge import EITHER

ROOT_DIRS = ("/w/p", "/w/q", "/w/p/a", "/w/d/e/r")
ROOT_FILES = ("/w/s.py", "/w/d/s.py")
ROOTS = (*ROOT_DIRS, *ROOT_FILES)
"""What may be watched: `q` is a link to one of TARGETS, two are below directories that go."""

TARGETS = ("/w/t/one", "/w/t/two")

PLACES = (*ROOT_DIRS, *TARGETS, "/w/d/e", "/w/d", "/w/out", "/w/out", "/w")
"""Where things happen, a quarter of the time: else in what is watched."""

ODD_DIRS = ("\udcff\udcfe d", "-rf", "maybe")
DIRS = (*("a", "b") * 6, "c", "c", *ODD_DIRS)

ODD_FILES = ("a", "b", "\udcff\udcfe.py", "$(touch x);*.py", "two\nlines.py", "n" * 251 + ".py")
FILES = (*("m.py", "n.py") * 9, *ODD_FILES)

DEPTHS = (0, 0, 1, 1, 1, 2, 2)

LINKED = (
    "m.py",
    "a",
    "b/m.py",
    "a/b",
    ".",
    "..",
    "../out",
    "../p/a",
    "../p/a/m.py",
    "nowhere",
    "m.py/through",
)
"""Where links lead.  At most one level up, so that nothing leaves the directory of the soak."""

UNSEEN = ("x.tmp", ".m.py.swp", "m.pyc", "m.log")
CACHES = ("__pycache__", "node_modules")

UNCERTAIN = EITHER

GITIGNORES = ("", "maybe\n", "maybe*\n", "/maybe/\n", "*.tmp\n", "maybe\n!maybe\n", "!maybe.py\n")

PAUSES = (*(0.0,) * 10, 0.001, 0.002, 0.005, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Seconds: about as long as reloaderd takes for what it does, so that acts fall into the midst of it."""

ACTS_IN_A_ROW = (1, 1, 1, 1, 2, 2, 2, 3, 4, 6, 15, 40)
"""Between two checks: often one, as a restart makes good what was missed of the changes before."""

SIGNALS = ("USR1", "USR1", "HUP", "WINCH", "CONT")

CHILD_SIGNALS = ("KILL", "STOP", "USR2")

MANNERS = (
    (),
    (),
    ("--ignore", "TERM"),
    ("--slow", "0.2"),
    ("--exit", "0", "--after", "0.1"),
    ("--exit", "1"),
    ("--exit", "3", "--after", "0.02"),
    ("--crash", "SEGV", "--after", "0.1"),
    ("--spawn", "daemon"),
    ("--spawn", "setsid", "--spawn", "group"),
    ("--spawn", "orphans"),
)
"""Options of the probe."""

BURSTS = (300, 1000, 3000)

CROWDED = 5
"""So many bursts, or mounts, each of which can show a whole tree once more, and everything is swept away."""

WEIGHTS = {
    "save": 20,
    "replace": 12,
    "vim": 6,
    "long_write": 6,
    "truncate": 6,
    "touch": 8,
    "nothing": 5,
    "unseen": 6,
    "remove": 8,
    "rename": 9,
    "link": 6,
    "symlink": 5,
    "exchange": 6,
    "make_and_write": 10,
    "copy_tree": 6,
    "remove_tree": 4,
    "rename_tree": 8,
    "move_in": 6,
    "move_out": 4,
    "git": 2,
    "gitignore": 3,
    "root_removed": 2,
    "root_replaced": 2,
    "root_turned": 1,
    "ancestor_moved": 2,
    "retarget": 2,
    "rebuild": 2,
    "burst": 1,
    "flood": 2,
    "stop": 3,
    "stutter": 6,
    "signal": 4,
    "suspend": 1,
    "strike": 2,
    "behave": 6,
    "mount": 4,
    "unmount": 3,
}
"""How often each act of soak.days happens: saves most of all, as on a developer's day."""
