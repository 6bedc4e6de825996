"""Makes the sockets that a run is handed this program's, where a wrapper stands between it and reloaderd.

Facts
- A program takes the descriptors from 3 on for its own if LISTEN_PID is its pid: sd_listen_fds(3).  reloaderd
  executes the wrapper (`uv run`, a shell with more than one command), and so LISTEN_PID is the wrapper's pid.
- A wrapper that closes its descriptors has taken the sockets for itself, or does not want to hand them on.
"""

from os import environ, fstat, getpid, getppid
from posix import O_RDONLY, close, open, read

FIRST = 3
"""SD_LISTEN_FDS_START."""

_S_IFMT, _S_IFSOCK = 0o170000, 0o140000


def mend() -> None:
    """Put our own pid in the place of that of a process above us, if its sockets are here.

    Raises OSError.
    """
    meant, count = environ.get("LISTEN_PID", ""), environ.get("LISTEN_FDS", "")
    if "RELOADERD_RUN" not in environ or not meant.isdigit() or not count.isdigit():
        return
    if int(meant) == getpid() or not 0 < int(count) < 1024 or not _is_above(int(meant)):
        return
    for at in range(int(count)):
        if fstat(FIRST + at).st_mode & _S_IFMT != _S_IFSOCK:
            return
    environ["LISTEN_PID"] = str(getpid())


def _is_above(pid: int) -> bool:
    above = getppid()
    while above > 1 and above != pid:
        file = open(f"/proc/{above}/stat", O_RDONLY)
        try:
            above = int(read(file, 4096).rpartition(b")")[2].split()[1])
        finally:
            close(file)
    return above == pid
