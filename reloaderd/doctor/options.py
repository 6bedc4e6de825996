"""The options of `doctor`: those of `watch` that decide what is watched, and its own."""

from __future__ import annotations

from reloaderd.options import add_what_to_watch
from reloaderd.parsers import Group, Help, Parser, new_parser

DESCRIPTION = """\
Tells what `watch` would watch with the same options: by which means, what is
ignored by which rule, and whether this user may have so many watches. It starts
nothing and watches nothing."""

EXAMPLES = """\
examples:
  reloaderd doctor
      look at the current directory
  reloaderd doctor src templates -e py,html
      look at two directories, and in them only at .py and .html files
  reloaderd doctor --no-gitignore --no-default-ignores
      what it would cost to ignore nothing
  reloaderd doctor --json src
      the same as one JSON object

Exit status: 0 when all can be watched, 1 when something needs a mend that it
names, 2 when the command line is wrong. GLOB is a pattern as in .gitignore."""


def doctor_parser() -> Parser:
    """The parser for what follows `doctor`; PATHs are what it leaves over."""
    doctor = new_parser("doctor", "", DESCRIPTION, EXAMPLES)
    add_what_to_watch(Group(doctor, "what would be watched"))
    output = Group(doctor, "output")
    output.flag("--json", "print one JSON object instead of a table")
    output.flag("-h, --help", "show this help", action=Help)
    return doctor
