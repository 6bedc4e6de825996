"""What is told of files: by the sources, and in answer to what was asked about them."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Self


class Kind(Enum):
    """What happened to one name in a watched directory."""

    CREATED = "created"  # made, linked or symlinked; maybe not written yet
    WRITTEN = "written"  # written or truncated, maybe not for the last time
    REWRITTEN = "rewritten"  # it was looked at again and has changed: nothing will tell of its closing
    CLOSED = "closed"  # a descriptor that could write was closed
    TOUCHED = "touched"  # something about the inode: its times, mode, owner or link count
    ARRIVED = "arrived"  # renamed to this name
    LEFT = "left"  # renamed away from this name
    DELETED = "deleted"


class EntryChanged(NamedTuple):
    """Something happened to `name` in the directory that `watch` stands for."""

    watch: int
    name: str
    kind: Kind
    is_dir: bool


class FileDetached(NamedTuple):
    """The file of `name` is still seen there, but its own name is gone: what was mounted was replaced."""

    watch: int
    name: str


class Looked(NamedTuple):
    """A source that polls found something and looks again soon, or (`settled`) found nothing more."""

    settled: bool


class WatchEnded(NamedTuple):
    """The kernel will say nothing more under `watch`."""

    watch: int


class WatchMoved(NamedTuple):
    """The directory behind `watch` itself was renamed, deleted or unmounted."""

    watch: int


class WatchStale(NamedTuple):
    """What `watch` stands for should be armed again: the kernel's source has room for it now, or mounts came
    or went while it was armed."""

    watch: int
    source: str


class MountsChanged(NamedTuple):
    """File systems were mounted or unmounted at these paths (real ones): other directories may be there."""

    points: Sequence[str]


class LimitRead(NamedTuple):
    """A `ReadLimit` was carried out: the sysctl behind the errno named `why`, '' where there is none."""

    service: str
    why: str
    name: str
    value: int


class EventsLost(NamedTuple):
    """The source dropped events (a queue overflow): only a look at the trees can tell."""


class Listing(NamedTuple):
    """One directory as it was right after it was armed.

    `watch` is the source's number for it, or -1 where it could not be armed; `error` is then
    the errno (0 otherwise).  Two paths that are one inode share a watch.  `texts` holds the
    content of the ignore files found in it, by name.  `links` are symlinks to directories;
    symlinks to anything else are among `files`.
    """

    path: str
    watch: int
    error: int
    dirs: list[str]
    files: list[str]
    links: list[str]
    texts: dict[str, str]


class Why(Enum):
    """Why directories are armed, and so what a file found in one of them means."""

    START = "start"  # nothing: the child has not started yet
    APPEARED = "appeared"  # a change: the directory came under the root just now
    REREAD = "reread"  # nothing: an ignore file in the directory was edited
    RULES = "rules"  # nothing: other files count since the rules changed
    LOST = "lost"  # a change, if it is not as it was when last looked at
    STALE = "stale"  # the same, of these directories alone
    LOADED = "loaded"  # a change, if a file is not as the child saw it when it loaded it


class Armed(NamedTuple):
    """An `Arm` was carried out; the listings come in the order of its paths.

    `polled` tells of those for which the kernel sends no events why not: `asked for`, a file system's
    type, or the name of the errno with which inotify refused.
    """

    service: str
    why: Why
    listings: list[Listing]
    polled: Mapping[str, str] = {}


class Step(NamedTuple):
    """One name on the way to a root: should it change, the root must be found again."""

    watch: int
    name: str


class Anchored(NamedTuple):
    """An `Anchor` was carried out: how the path resolves now.

    `steps` are the names that lead to it (the path itself, each symlink of the chain; for a
    path that does not exist, the first missing component), `ancestors` the watches of the
    directories above it that report only their own going away.  `identity` is None where
    nothing is there, else something that compares unequal for another file or directory.
    `text` is the content, where the `Anchor` asked for it; `polled` is as in `Armed`, for the path itself.
    """

    service: str
    path: str
    steps: list[Step]
    ancestors: list[int]
    identity: tuple[int, int, str] | None
    is_dir: bool
    error: int
    text: str | None = None
    polled: str = ""


class IgnoreFile(NamedTuple):
    """The text of an ignore file (None: there is none) whose patterns are relative to `base`.

    `kind` is `excludesfile`, `exclude`, `gitignore` or `reloaderdignore`.
    """

    path: str
    base: str
    kind: str
    text: str | None


class RepositoryFound(NamedTuple):
    """A `FindRepository` was carried out: what of version control concerns `path`.

    `watch` stands for the directory in which `lock` appears while git (or hg) is at work, -1
    where there is none; `locked` says whether it is there now.  `files` are the ignore files that are
    not below `path`.
    """

    service: str
    path: str
    watch: int
    lock: str
    locked: bool
    files: list[IgnoreFile]


class Stamp(NamedTuple):
    """How a file looked.  `value` is unequal when inode, size or mtime are, `whole` also when ctime is.

    `young` is true when the file changed so lately that an event about it may still be on its way.
    """

    value: int
    young: bool
    whole: int = 0

    @classmethod
    def of(cls, inode: int, size: int, mtime_ns: int, ctime_ns: int, young: bool = False) -> Self:
        """That of a file with these figures of stat(2)."""
        return cls(hash((inode, size, mtime_ns)), young, hash((inode, size, mtime_ns, ctime_ns)))


class Examined(NamedTuple):
    """An `Examine` was carried out: a stamp a path, None where nothing is there."""

    service: str
    why: Why | None
    stamps: dict[str, Stamp | None]


class Digested(NamedTuple):
    """A `Digest` was carried out as far as it may at once; `left` are the paths that were not reached.

    A digest is None where no file is, or none that is compared.  `young` are those to be tried later: an
    event about them may still be on its way.
    """

    service: str
    number: int
    digests: Mapping[str, bytes | None]
    left: Sequence[str] = ()
    young: Sequence[str] = ()


class Drained(NamedTuple):
    """All that the source knew before a `Drain` has been handed over."""

    service: str
