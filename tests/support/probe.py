"""The probe child: appends what it is, what it read and every signal it gets to a log.

Run as `python -I -S probe.py --log FILE [OPTION ...]`.  Every record is one line made by one
O_APPEND write, so records of several processes never mix and their order is the true one:

    WORD PID RUN MONOTONIC PAYLOAD          PAYLOAD is the repr of a literal

    START   what it read: {path: bytes, None where nothing is}; handlers are in place by now
    SIGNAL  the number; one record a delivery
    BYE     the end of a slow cleanup: None
    CHILD   (kind, pid) of a process it left running
    DUMP    a dict of what it was born with
    LINE    a line (bytes) from its standard input; None at its end
    TTY     (kind, error) of a terminal call that was asked for

Uses what a bare interpreter has loaded already (_signal, not signal, which costs enum), so that a
start takes milliseconds.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys
import time

SAFETY = 240
"""Seconds after which a process that was left running ends by itself: twice a test's limit."""

CAUGHT = ("HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "CONT", "WINCH")
"""Logged by default.  TSTP, TTIN and TTOU keep their default action: job control is under test."""

DEADLY = ("HUP", "INT", "QUIT", "TERM")
"""After the record the probe dies of these as if it had no handler."""

OPTIONS = {  # name: number of arguments
    "--log": 1,  # where records go
    "--also": 1,  # a file with more options, one word a line: how this run behaves
    "--read": 1,  # file, or directory with all below it that does not look ignored; repeatable
    "--looks": 0,  # tell also when each file was written, and where each link leads
    "--ignore": 1,  # log this signal (TERM) and live on
    "--slow": 1,  # seconds of cleanup between a deadly signal and BYE
    "--exit": 1,  # end with this status right after START
    "--exit-once": 1,  # the same, in the first run only
    "--crash": 1,  # die of this signal (SEGV) right after START
    "--after": 1,  # seconds between START and --exit or --crash
    "--spawn": 1,  # leave a process running: group setsid daemon forking orphans; repeatable
    "--write": 1,  # write this file, anew each start
    "--write-once": 1,  # write this file in the first run only
    "--dump": 0,
    "--stdin": 0,  # log the lines of the standard input
    "--print": 1,  # say this on the standard output at the start; repeatable
    "--say-bye": 1,  # say this on the standard output as the last thing before the end
    "--ask": 0,  # change the terminal's modes (tcsetattr), which stops a background process
}

Content = dict[str, "bytes | None"]


def parse(argv: list[str]) -> dict[str, list[str]]:
    """Options by name; what is not an option is kept under an empty name."""
    if "--also" in argv:
        with open(argv[argv.index("--also") + 1]) as file:
            argv = argv + file.read().splitlines()
    found: dict[str, list[str]] = {"": []}
    words = iter(argv)
    for word in words:
        arguments = OPTIONS.get(word)
        if arguments is None:
            found[""].append(word)
        else:
            found.setdefault(word, []).append(next(words) if arguments else "")
    return found


def counts(name: str) -> bool:
    """Whether a name looks like source rather than a dropping that default rules ignore."""
    return not (
        name.startswith((".", "#")) or name.endswith(("~", ".pyc")) or name in ("4913", "__pycache__")
    )


def read(path: str, into: Content, looks: bool = False) -> None:
    """Put `path`, or each file below it, into `into`; 256 bytes of a file are told apart well enough."""
    try:
        names = sorted(os.listdir(path))
    except FileNotFoundError:
        into[path] = None
        return
    except NotADirectoryError:
        into[path] = read_file(path, looks)
        return
    except OSError as error:
        into[path] = str(error.errno).encode()
        return
    for name in names:
        if counts(name):
            below = os.path.join(path, name)
            try:
                read_entry(below, into, looks)
            except OSError:
                continue
            if into.get(below, b"") is None and not os.path.lexists(below):
                del into[below]  # it went after it was listed: there is nothing to tell of


def read_entry(path: str, into: Content, looks: bool) -> None:
    """The same for what is in a directory: a link to a directory is told, not followed."""
    if not os.path.islink(path):
        read(path, into, looks)
    elif looks:
        content = (read_file(path, looks) or b"") if os.path.isfile(path) else b""
        into[path] = b"-> " + os.fsencode(os.readlink(path)) + b"\0" + content
    elif os.path.isdir(path):
        into[path] = os.fsencode(os.readlink(path))
    elif os.path.exists(path):
        read(path, into, looks)


def read_file(path: str, looks: bool) -> bytes | None:
    """The content; with `looks` when it was written, too."""
    try:
        with open(path, "rb", buffering=0) as file:
            written = b"\0%d" % os.fstat(file.fileno()).st_mtime_ns if looks else b""
            return (file.read(256) or b"") + written
    except OSError:
        return None


def snapshot(paths: list[str], looks: bool = False) -> Content:
    """The content of files and trees, as START tells it and as the harness compares it."""
    content: Content = {}
    for path in paths:
        read(path, content, looks)
    return content


class Probe:
    def __init__(self, options: dict[str, list[str]]) -> None:
        self.options = options
        self.born = birth() if "--dump" in options else None  # before it has descriptors of its own
        self.run = os.environ.get("RELOADERD_RUN", "0")
        self.log = os.open(options["--log"][0], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def one(self, name: str) -> str | None:
        return self.options[name][-1] if name in self.options else None

    def record(self, word: str, payload: object = None) -> None:
        line = f"{word} {os.getpid()} {self.run} {time.monotonic():.6f} {payload!r}\n"
        os.write(self.log, line.encode("utf-8", "backslashreplace"))

    def main(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for name in set(CAUGHT) | set(self.options.get("--ignore", ())):
            _signal.signal(number(name), lambda *_: None)
        self.write_files()
        for text in self.options.get("--print", ()):
            os.write(1, text.encode() + b"\n")
        for kind in self.options.get("--spawn", ()):
            spawn(self, kind)
        if self.born is not None:
            self.record("DUMP", self.born)
        self.record("START", snapshot(self.options.get("--read", []), "--looks" in self.options))
        if "--ask" in self.options:
            self.change_modes()
        self.end_by_itself()
        self.serve(reading)

    def write_files(self) -> None:
        paths = list(self.options.get("--write", ()))
        if self.run in ("0", "1"):
            paths += self.options.get("--write-once", ())
        for path in paths:
            with open(path, "w") as file:
                file.write(f"written by run {self.run}\n")

    def change_modes(self) -> None:
        """Turn echo off, as getpass does; in the background this stops the group by SIGTTOU."""
        import termios

        try:
            modes = termios.tcgetattr(0)
            modes[3] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, modes)
            self.record("TTY", ("modes", 0))
        except termios.error as error:
            self.record("TTY", ("modes", error.args[0]))

    def end_by_itself(self) -> None:
        status = self.one("--exit")
        if "--exit-once" in self.options and self.run in ("0", "1"):
            status = self.one("--exit-once")
        crash = self.one("--crash")
        if status is None and crash is None:
            return
        time.sleep(float(self.one("--after") or 0))
        self.say_bye()
        if crash is not None:
            die_of(number(crash))
        os._exit(int(status or 0))

    def serve(self, reading: int) -> None:
        """Log what comes until a signal ends it."""
        waited_for = [reading]
        if "--stdin" in self.options:
            waited_for.append(0)
        rest = b""
        while True:
            if len(waited_for) > 1:
                import select

                ready = select.select(waited_for, [], [])[0]
            else:
                ready = [reading]
            if reading in ready:
                for signum in os.read(reading, 512):
                    self.handle(signum)
            if 0 in ready:
                try:
                    data = os.read(0, 4096)
                except OSError as error:
                    self.record("TTY", ("read", error.errno))
                    data = b""
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.record("LINE", line)
                if not data:
                    self.record("LINE", None)
                    waited_for.remove(0)

    def handle(self, signum: int) -> None:
        self.record("SIGNAL", signum)
        if signum in map(number, self.options.get("--ignore", ())):
            return
        if signum not in map(number, DEADLY):
            return
        slow = self.one("--slow")
        if slow is not None:
            time.sleep(float(slow))
            self.record("BYE")
        self.say_bye()
        die_of(signum)

    def say_bye(self) -> None:
        text = self.one("--say-bye")
        if text is not None:
            os.write(1, text.encode() + b"\n")


def number(name: str) -> int:
    return int(getattr(_signal, "SIG" + name))


def die_of(signum: int) -> None:
    _signal.signal(signum, _signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def birth() -> dict[str, object]:
    """What a process gets from its parent.  An interpreter of its own ignores PIPE and XFSZ."""
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass  # the descriptor of the listing itself
    mask = os.umask(0)
    os.umask(mask)
    return {
        "argv": sys.argv,
        "environ": dict(os.environ),
        "fds": fds,
        "cwd": os.getcwd(),
        "umask": mask,
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "pgid": os.getpgid(0),
        "sid": os.getsid(0),
        "isatty": [os.isatty(fd) for fd in (0, 1, 2)],
        "blocked": int(status["SigBlk"], 16),
        "ignored": int(status["SigIgn"], 16),
    }


def spawn(probe: Probe, kind: str) -> None:
    """Leave a process of this kind running and log its pid (of the last generation for `daemon`)."""
    if kind == "orphans":
        for _ in range(20):
            if os.fork() == 0:
                if os.fork() == 0:
                    time.sleep(0.01)
                os._exit(0)
            os.wait()
        return
    child = os.fork()
    if child:
        if kind == "daemon":
            os.waitpid(child, 0)
        return
    _signal.set_wakeup_fd(-1)
    for name in (*CAUGHT, *probe.options.get("--ignore", ())):
        _signal.signal(number(name), _signal.SIG_IGN)
    _signal.alarm(SAFETY)
    if kind in ("setsid", "daemon"):
        os.setsid()
    if kind == "daemon" and os.fork():
        os._exit(0)
    _signal.alarm(SAFETY)
    probe.record("CHILD", (kind, os.getpid()))
    if kind == "forking":
        keep_forking()
    while True:
        _signal.pause()


def keep_forking() -> None:
    """Be another process every few milliseconds, so that a walk over pids is always behind."""
    end = time.monotonic() + SAFETY
    while time.monotonic() < end:
        if os.fork():
            time.sleep(0.002)
            os._exit(0)
        os.setpgid(0, 0)
    os._exit(0)


if __name__ == "__main__":
    Probe(parse(sys.argv[1:])).main()
