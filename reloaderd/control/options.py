"""The command lines of the commands that talk to a running reloaderd."""

from __future__ import annotations

from typing import NamedTuple

from reloaderd import values
from reloaderd.options import add_what_to_watch
from reloaderd.parsers import Group, Help, Parser, new_parser


class Command(NamedTuple):
    """What `--help` says of one: in a line, at length, and with examples."""

    line: str
    description: str
    examples: str


WHO = """\
NAME is what a reloaderd is called (by default its directory), INSTANCE/SERVICE,
or a SERVICE if only one has it."""

WITHOUT = """\
Without it the only one that runs is meant, or the one of this directory."""

STATUS_OF_EXIT = """\
Exit status: 0; 1 when it does not answer; 2 when the command line is wrong or it
is not clear who is meant; 3 when none of that name runs."""

COMMANDS = {
    "status": Command(
        "what runs, what is watched, and why changes wait",
        "Shows all of this user's reloaderds that run, or the one that NAME means: their\n"
        "services and runs, what is watched by which means, and why changes wait.",
        "  reloaderd status\n      all of them\n  reloaderd status shop\n      one",
    ),
    "restart": Command(
        "restart now",
        "Restarts all services of one reloaderd, or one of them, as SIGUSR1 does.",
        "  reloaderd restart shop/worker\n      one service",
    ),
    "pause": Command(
        "hold every change while the commands go on",
        "Holds every batch of changes until `resume`. The commands go on; what restarts\n"
        "them for another reason still does.",
        "  reloaderd pause shop && git rebase -i main; reloaderd resume shop\n"
        "      one restart at the end, whatever happens in between",
    ),
    "resume": Command(
        "let go of what is held",
        "Ends a pause: what was held is one batch.",
        "  reloaderd resume shop",
    ),
    "stop": Command(
        "end it, and wait until it is gone",
        "Ends one reloaderd with all of its services, as SIGTERM does, and waits until\nit is gone.",
        "  reloaderd stop shop",
    ),
    "why": Command(
        "the latest restarts: when, for what, by which rule, how long",
        "Tells of the latest runs why each was started, how long that took, and how it\nended.",
        "  reloaderd why shop\n      what happened\n  reloaderd why shop/worker -n 50\n"
        "      of one service, all that is remembered",
    ),
    "events": Command(
        "each log line from now on, as JSON",
        "Prints what happens from now on: one JSON object a line, as with\n"
        "`watch --log-format json`, until it ends.",
        "  reloaderd events shop | jq .event",
    ),
}


EXPLAIN = """\
Tells what a change of PATH would do and by which rule, by what it is watched or
why it is not, whether the command has loaded it, and whether a change of it
waits. It asks the reloaderd that runs; where none does that is concerned, or with
options that say what to watch, it goes by the configuration file of this
directory or by these options, as `watch` would."""

EXPLAIN_EXAMPLES = """\
examples:
  reloaderd explain src/app.py
      would a change of it restart anything
  reloaderd explain build/ -i '/docs/'
      by these options, whatever runs

Exit status: 0; 1 when one that runs does not answer; 2 when the command line is
wrong; 3 when none of that NAME runs. GLOB is a pattern as in .gitignore."""


def explain_parser() -> Parser:
    """The parser for what follows `explain`; a PATH is what it leaves over."""
    parser = new_parser("explain", "", EXPLAIN, EXPLAIN_EXAMPLES)
    parser.usage = "reloaderd explain [OPTIONS] PATH"
    whom = Group(parser, "whom to ask")
    whom.value("-n, --name NAME", values.name, "the reloaderd of this NAME (default: all that run)")
    Group(parser, "instead of asking").value("-c, --config FILE", str, "go by this configuration file")
    add_what_to_watch(Group(parser, "or go by these options, for the current directory"))
    group = Group(parser, "output")
    group.flag("--json", "print what came over the wire, one JSON object a line")
    group.flag("-h, --help", "show this help", action=Help)
    return parser


def control_parser(name: str) -> Parser:
    """The parser of one of `COMMANDS`; a NAME is what it leaves over."""
    command = COMMANDS[name]
    description = f"{command.description}\n{WHO}" + (f"\n{WITHOUT}" if name != "status" else "")
    parser = new_parser(name, "", description, f"examples:\n{command.examples}\n\n{STATUS_OF_EXIT}")
    parser.usage = f"reloaderd {name} [OPTIONS] [NAME]"
    group = Group(parser, "options")
    if name == "why":
        group.value("-n, --last N", values.count, "of so many runs of each service (default: 10)")
    group.flag("--json", "print what came over the wire, one JSON object a line")
    group.flag("-h, --help", "show this help", action=Help)
    return parser
