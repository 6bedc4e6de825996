"""What is told of runs: by their keeper, by what follows a Python command, and of what they load."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reloaderd.events.files import Stamp


class Loaded(NamedTuple):
    """A file as the child saw it when it loaded it.

    `real` is the path without links; `stamp` is None where the child found nothing to take one of.
    """

    path: str
    real: str
    stamp: Stamp | None


class FilesLoaded(NamedTuple):
    """A Python process of a run told of itself: what it loaded since it last did (reloaderd.agent).

    `pid` is the process, `python` its interpreter, said once, before all else; '' otherwise.  `modules` are
    files whose code it runs, `data` others below a root that it opened for reading, `own` those of them that
    it opened for writing since.  `missing` is where imports found nothing: paths of modules without their
    endings; `absent` are files below a root or in a library that it
    would have read.  `libraries` counts files of the
    standard library and of site-packages; with `full` there was more to tell than it may.  `unsound` says why
    a run that came of a copy is not as one that was executed.
    """

    service: str
    run: int
    python: str
    modules: Sequence[Loaded]
    data: Sequence[Loaded]
    own: Sequence[str]
    missing: Sequence[str]
    absent: Sequence[str]
    libraries: int
    full: bool
    pid: int = 0
    unsound: str = ""


class Fault(NamedTuple):
    """A file that does not compile.  `line` and `column` count from 1, 0 where they are not known.

    `text` is that line, `message` begins with the name of the exception.
    """

    path: str
    line: int
    column: int
    text: str
    message: str


class SyntaxChecked(NamedTuple):
    """The `CheckSyntax` of this number was carried out: some of the `failing` files that do not compile.

    `trouble` says why nothing could be checked, if so.
    """

    service: str
    number: int
    faults: Sequence[Fault] = ()
    failing: int = 0
    trouble: str = ""


class ChildStarted(NamedTuple):
    """The command of a run was executed, as process `pid`, leader of its own group; `warm`: from a copy.

    `checkpoint` is the file before whose import the copy was made, if a run has left it.
    """

    service: str
    run: int
    pid: int
    warm: bool = False
    checkpoint: str = ""


class StartFailed(NamedTuple):
    """The command of a run could not be executed.  `what` is the file or directory at fault."""

    service: str
    run: int
    errno: int
    what: str


class ChildStopped(NamedTuple):
    """The child (not its tree) was stopped by job control signal `signum`."""

    service: str
    run: int
    signum: int


class ChildEnded(NamedTuple):
    """The child ended: `status` is its exit status, or minus the signal that killed it.

    `left` is the number of processes of its tree that are still there.
    """

    service: str
    run: int
    status: int
    left: int


class RunGone(NamedTuple):
    """Nothing of the run's tree is left."""

    service: str
    run: int


class ChildTold(NamedTuple):
    """A `TellChild` was carried out: `unhandled` are those of its paths that the run did not deal with."""

    service: str
    run: int
    notice: int
    unhandled: Sequence[str]


class ChildReady(NamedTuple):
    """The run does what it is there for (`--ready`)."""

    service: str
    run: int


class ChildProbed(NamedTuple):
    """The run was asked whether it is ready (`--ready URL`), and is not: `got` is what came of it."""

    service: str
    run: int
    got: str


class ChildAnswered(NamedTuple):
    """The run has answered all that it has accepted, as far as can be told (`RelieveChild`)."""

    service: str
    run: int


class ZygoteReady(NamedTuple):
    """There is a paused copy of the command's interpreter with so many modules imported ahead.

    `left` are those that each run has to import by itself, and why.
    """

    service: str
    modules: int
    left: Mapping[str, str]


class ZygoteGone(NamedTuple):
    """There is none (any more); with `final` there can be none of this command."""

    service: str
    why: str
    final: bool


class CheckpointPassed(NamedTuple):
    """The run is about to import the file `before`, and leaves a paused copy of itself there.

    `number` counts those of the run; 0 stands for none, as `why` says.  It is told in one row with what is
    loaded (`FilesLoaded`).
    """

    service: str
    run: int
    number: int
    before: str
    why: str


class CheckpointReady(NamedTuple):
    """The copy that the run has left at this checkpoint waits."""

    service: str
    number: int


class CheckpointGone(NamedTuple):
    """It does not, or not any more; `why` is empty where a run went on from one before it."""

    service: str
    number: int
    why: str


class KeeperDied(NamedTuple):
    """A keeper of a service is gone, and with it all that it kept (see kernel.keeper).

    `run` is that which it had last, where it is not the only keeper.
    """

    service: str
    run: int = 0
