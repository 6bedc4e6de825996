"""What can be asked of the adapters: one record a command, in the imperative."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reloaderd.events import Why
from reloaderd.settings import ServiceSettings


class Arm(NamedTuple):
    """Watch these directories, then list each: answered by `Armed`."""

    service: str
    why: Why
    paths: Sequence[str]


class Anchor(NamedTuple):
    """Find where `path` leads, watching every name on the way: answered by `Anchored`."""

    service: str
    path: str
    read: bool = False


class FindRepository(NamedTuple):
    """Find the repository that directory `path` is in: answered by `RepositoryFound`.

    Its lock directory is watched; `ignore_files` says whether git's ignore files are wanted too.
    """

    service: str
    path: str
    ignore_files: bool


class Drop(NamedTuple):
    """Stop watching.  Numbers that the source no longer knows are passed over."""

    watches: Sequence[int]


class Examine(NamedTuple):
    """Take stamps of these paths: answered by `Examined`, with the same `why`."""

    service: str
    why: Why | None
    paths: Sequence[str]


class CheckSyntax(NamedTuple):
    """Compile these files by the interpreter `python`, '' for that of the service's command.

    Answered by `SyntaxChecked` with the same number; whatever check was under way is ended.
    """

    service: str
    number: int
    python: str
    paths: Sequence[str]


class EndCheck(NamedTuple):
    """End the check of syntax that is under way: it is not answered."""

    service: str


class Digest(NamedTuple):
    """Digest the content of these files: answered by `Digested` with the same number.

    With number 0 it is meant to last: not of what changed so lately that the source may not have told yet.
    """

    service: str
    number: int
    paths: Sequence[str]


class Drain(NamedTuple):
    """Hand over what the source knows by now: its events, then `Drained`."""

    service: str


class ReadLimit(NamedTuple):
    """Find the limit behind the errno named `why`: answered by `LimitRead`."""

    service: str
    why: str


class StartChild(NamedTuple):
    """Execute the service's command; `environ` is added to its environment.

    With `warm` it goes on from a paused copy, if there is one: from the `checkpoint` of this number, or from
    one before it; and it is to leave one before it imports any of the `edited` files.  Answered by
    `ChildStarted` or `StartFailed`.
    """

    service: str
    run: int
    environ: Mapping[str, str]
    warm: bool = False
    checkpoint: int = 0
    edited: Sequence[str] = ()


class WarmUp(NamedTuple):
    """Have a paused copy of the command's interpreter ready: answered by `ZygoteReady` or `ZygoteGone`.

    Not answered where all is ready by now.
    """

    service: str


class SignalChild(NamedTuple):
    """Send `signum` to what `scope` names of the run: `tree`, `group` or `child`.

    With `ends` it is meant to end them: what is stopped there is then continued, so that it can act on it.
    """

    service: str
    run: int
    signum: int
    scope: str
    ends: bool = False


class RelieveChild(NamedTuple):
    """Have the run accept no more, as another one does: answered by `ChildAnswered`."""

    service: str
    run: int


class KillTree(NamedTuple):
    """SIGKILL all that is left of the run, until nothing is: answered by `RunGone`."""

    service: str
    run: int


class TellChild(NamedTuple):
    """Tell those processes of the run that listen of changed paths: answered by `ChildTold`.

    `notice` is a number for this telling.
    """

    service: str
    run: int
    notice: int
    paths: Sequence[str]


class ReadConfig(NamedTuple):
    """Read the configuration file again: answered by `ConfigRead`."""


class AddService(NamedTuple):
    """Have ready what a service needs to start: its keeper, and what its options ask for."""

    settings: ServiceSettings


class RemoveService(NamedTuple):
    """Let go of what a service needed; nothing of it is left alive."""

    service: str


class Answer(NamedTuple):
    """Answer an `Asked` of this client: with `parameters`, or where there is one with an `error`."""

    client: int
    parameters: Mapping[str, Any]
    error: str = ""


class Follow(NamedTuple):
    """Tell this client of every `Report` from now on."""

    client: int


class LendTerminal(NamedTuple):
    """Make the run's process group the terminal's foreground group, and continue it."""

    service: str
    run: int


class ReclaimTerminal(NamedTuple):
    """Make our own group the foreground group again, with the modes it had."""


class StopSelf(NamedTuple):
    """Stop reloaderd itself, as Ctrl-Z does, until it is continued."""


class Report(NamedTuple):
    """One log line: a stable name of DESIGN section 8 and its fields."""

    event: str
    service: str
    fields: Mapping[str, Any]

    def entry(self, time: float) -> dict[str, Any]:
        """All of it as one object; `time` is that of day, in seconds since 1970."""
        entry = {"event": self.event, "time": time, "service": self.service}
        return entry | {key: value for key, value in self.fields.items() if key not in entry}


class Notify(NamedTuple):
    """Tell the service manager (sd_notify(3)); the `descriptors` go with it."""

    variables: Mapping[str, str]
    descriptors: Sequence[int] = ()


class MakePulse(NamedTuple):
    """Make a change that the source has to tell of, and that concerns no service: answered by `PulseMade`."""


class Quit(NamedTuple):
    """End reloaderd: by its own signal `signum`, or where that is 0 with `status`."""

    status: int
    signum: int


Command = (
    Arm
    | Anchor
    | FindRepository
    | Drop
    | Examine
    | CheckSyntax
    | EndCheck
    | Digest
    | Drain
    | ReadLimit
    | StartChild
    | WarmUp
    | SignalChild
    | RelieveChild
    | KillTree
    | TellChild
    | ReadConfig
    | AddService
    | RemoveService
    | Answer
    | Follow
    | LendTerminal
    | ReclaimTerminal
    | StopSelf
    | Report
    | Notify
    | MakePulse
    | Quit
)
