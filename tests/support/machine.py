"""A machine to try services on: a real systemd, process 1 of namespaces of its own, over a copy of this root.

Facts
- The root is an overlay (overlayfs): lower is this machine's `/`, upper a tmpfs of the machine's own.  So
  what is installed here is there, and what happens there is gone with it.
- systemd.io/CONTAINER_INTERFACE: $container set tells systemd to leave clock, modules and consoles alone; a
  /sys that is read-only keeps udev away.  /proc/sys is read-only, for it is the kernel's, no namespace's.
- journald keeps a journal for each user, which `journalctl --user` reads, in /var/log/journal alone.
- Process 1 of a pid namespace takes all of it along when it is killed (pid_namespaces(7)).  `unshare
  --kill-child` kills it when unshare ends, and `setpriv --pdeathsig` ends unshare when we are killed.
- A cgroup namespace shows a part of the tree as its root: a cgroup of the machine's own, removed after.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import procfs
from tests.support.mounts import Mounts
from tests.support.places import BASE, REPOSITORY
from tests.support.waiting import LIMIT, wait_until

USER = "dev"

PREFIX = "machine-"

SYSTEMD = "/lib/systemd/systemd"

DEVICES = {"null": "1 3", "zero": "1 5", "full": "1 7", "random": "1 8", "urandom": "1 9", "tty": "5 0"}

MASKED = (
    *("getty.target", "remote-fs.target", "timers.target", "swap.target", "cryptsetup.target"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "proc-sys-fs-binfmt_misc.automount"),
    *("sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount"),
    *("sys-kernel-tracing.mount", "kmod-static-nodes.service", "systemd-binfmt.service"),
    *("systemd-firstboot.service", "systemd-modules-load.service", "systemd-repart.service"),
    *("systemd-random-seed.service", "systemd-sysctl.service", "systemd-sysusers.service"),
    *("systemd-tmpfiles-setup-dev.service", "systemd-update-utmp.service", "systemd-networkd.service"),
    *("systemd-update-utmp-runlevel.service", "systemd-resolved.service", "systemd-timesyncd.service"),
    *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-pcrphase.service"),
    *("systemd-pcrphase-sysinit.service", "systemd-ask-password-wall.path", "systemd-initctl.socket"),
    *("systemd-ask-password-console.path", "systemd-machine-id-commit.service"),
)
"""What has nothing to do here, or would wait for a device."""

BOOT = f"""set -eu
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir dev/pts dev/shm run/before
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
{" ".join(f"mknod -m 666 dev/{name} c {number};" for name, number in DEVICES.items())}
shift
for path do
    number=$((${{number:-0}} + 1))
    mkdir -p ".$path" "../$number/upper" "../$number/work"
    mount -t overlay -o "lowerdir=$path,upperdir=../$number/upper,workdir=../$number/work" overlay ".$path"
    chmod go+rx ".$path"
done
pivot_root . run/before
umount -l /run/before
rmdir /run/before
exec env -i container=reloaderd-tests PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \\
    setpriv --bounding-set -sys_time,-sys_module,-sys_rawio,-syslog \\
    {SYSTEMD} --system --unit=multi-user.target --log-target=journal --show-status=no
"""


OURS = dict.fromkeys([REPOSITORY, Path(sys.prefix), Path(sys.prefix).resolve(), Path(sys.base_prefix)])
"""This checkout and this Python, which run there, too."""


def is_hidden(path: Path) -> bool:
    """Whether it is not there in a copy of the root that has other file systems mounted on it."""
    elsewhere = path.stat().st_dev != Path("/").stat().st_dev
    return elsewhere or path.parts[1] in ("tmp", "run", "dev", "proc", "sys")


def cgroup2() -> Path | None:
    """Where the unified tree of cgroups is mounted here."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            return Path(where)
    return None


class Machine:
    """Booted when made, and gone without a trace after `close`, or when we are killed.

    There is a user, `dev`, whose manager runs without a session (linger).  `run` does something as that user,
    `root` as root; `at` is where a path of the machine is found from here while it runs.  `boot` and
    `shut_down` are what a person does with a real one: what is on its disk stays.
    """

    def __init__(self) -> None:
        BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.sweep()
        self._base = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=BASE))
        self._disk = self._base / "root"
        self._output = self._base.with_name(self._base.name + ".log")
        where = cgroup2()
        assert where is not None, "no cgroup2 is mounted"
        self.cgroup = where / self._base.name
        self._mounts = Mounts(net=True)
        self._init: subprocess.Popen[bytes] | None = None
        self.pid = 0
        try:
            self._make_disk()
            self.boot()
            self.root("useradd", "-m", "-s", "/bin/bash", USER)
            self.root("loginctl", "enable-linger", USER)
            self.wait_for_manager()
        except BaseException:
            self.close()
            raise

    # The disk

    def _make_disk(self) -> None:
        run = self._mounts.run
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", self._base)
        for name in ("upper", "work", "root"):
            run("mkdir", self._base / name)
        self._mounts.overlay(self._disk, Path("/"), self._base / "upper", self._base / "work")
        disk = self._mounts.at(self._disk)
        for directory in ("etc/systemd/system", "etc/systemd/user", "etc/init.d", "var/log/journal"):
            shutil.rmtree(disk / directory, ignore_errors=True)
            (disk / directory).mkdir(parents=True)
        for unit in MASKED:
            (disk / "etc/systemd/system" / unit).symlink_to("/dev/null")
        for generator in (disk / "lib/systemd/system-generators").iterdir():
            mask = disk / "etc/systemd/system-generators" / generator.name
            mask.parent.mkdir(exist_ok=True)
            mask.symlink_to("/dev/null")
        files = {
            "etc/fstab": "",
            "etc/hostname": "machine\n",
            "etc/machine-id": os.urandom(16).hex() + "\n",
            "etc/systemd/logind.conf": "[Login]\nUserStopDelaySec=0\n",
            "etc/systemd/journald.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
        }
        for name, content in files.items():
            (disk / name).unlink(missing_ok=True)
            (disk / name).write_text(content)
        self._open_up(disk)

    def _open_up(self, disk: Path) -> None:
        """Let another user reach this checkout and this Python, which may be in root's home."""
        for path in OURS:
            for part in [path, *path.parents][:-1]:
                inside = disk / part.relative_to("/")
                if inside.exists() and not (mode := inside.stat().st_mode) & 0o001:
                    inside.chmod(mode & 0o7777 | 0o011)

    # Its life

    def boot(self) -> None:
        """Start it, and wait until it says that it runs."""
        self.cgroup.mkdir(exist_ok=True)
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--uts", "--ipc"]
        start = [*unshare, "sh", "-c", BOOT, "boot", str(self._disk), *map(str, filter(is_hidden, OURS))]
        entered = f"echo $$ > {self.cgroup}/cgroup.procs; exec {shlex.join(start)}"
        with open(self._output, "ab") as output:
            self._init = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._mounts.enter, "sh", "-c", entered],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = wait_until(self._systemd, "systemd as process 1", explain=self.report)
        self.wait(lambda: self.at("/run/systemd/private").exists(), "systemd to answer")
        state = self.root("systemctl", "is-system-running", "--wait", status=None)
        assert state == "running", f"{state}\n{self.report()}"

    def _systemd(self) -> int:
        assert self._init is not None
        found = procfs.children(self._init.pid)
        return next((pid for pid in found if (one := procfs.stat(pid)) and one.comm == "systemd"), 0)

    def shut_down(self) -> None:
        """Power it off as the button does."""
        assert self._init is not None
        os.kill(self.pid, signal.SIGRTMIN + 4)
        self._init.wait(LIMIT)
        self._remove_cgroup()

    def close(self) -> None:
        """Kill it and all that runs in it, and remove what it was on."""
        if self._init is not None:
            self._init.kill()
            self._init.wait()
            self._remove_cgroup()
        self._mounts.close()
        self._base.rmdir()
        self._output.unlink(missing_ok=True)

    def _remove_cgroup(self) -> None:
        wait_until(lambda: _removed(self.cgroup), f"{self.cgroup} to be empty")

    @staticmethod
    def sweep() -> None:
        """Remove what machines have left whose tests were killed."""
        for left in [*(cgroup2() or BASE).glob(f"{PREFIX}*"), *BASE.glob(f"{PREFIX}*")]:
            if procfs.alive(int(left.name.split("-")[1])):
                continue
            if left.is_dir():
                _removed(left)
            else:
                left.unlink(missing_ok=True)

    # What is done with it

    def at(self, path: str | Path) -> Path:
        """A path of the machine, for us who are outside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def enter(self) -> list[str]:
        """The first words of a command that runs in it as root, counted to process 1's cgroup."""
        spaces = ["nsenter", "-t", str(self.pid), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
        procs = self.cgroup / "init.scope/cgroup.procs"
        return ["sh", "-c", f'echo $$ > {procs}; exec "$@"', "enter", *spaces, "--wd=/", "env", "-i"]

    def as_root(self, command: Sequence[str | Path]) -> list[str]:
        """The words of a command there, as root."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*self.enter(), path, "HOME=/root", "LANG=C.UTF-8", *map(str, command)]

    def as_user(self, command: Sequence[str | Path], environ: Mapping[str, str] = {}) -> list[str]:
        """The words of a command there as in a shell of the user, whose manager runs."""
        uid = self.uid
        variables = {
            "PATH": f"/home/{USER}/.local/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": f"/home/{USER}",
            "USER": USER,
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": f"/run/user/{uid}",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus",
            **environ,
        }
        who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups"]
        said = [f"{name}={value}" for name, value in variables.items()]
        return [*self.enter(), *said, *who, "env", "-C", f"/home/{USER}", *map(str, command)]

    @property
    def uid(self) -> int:
        lines = self.at("/etc/passwd").read_text().splitlines()
        return next(int(line.split(":")[2]) for line in lines if line.startswith(f"{USER}:"))

    def root(self, *command: str | Path, status: int | None = 0) -> str:
        """What a command of root's says; it must end with this status, unless that is None."""
        return self._done(self.as_root(command), status)

    def run(
        self, *command: str | Path, status: int | None = 0, environ: Mapping[str, str] | None = None
    ) -> str:
        """The same as the user."""
        return self._done(self.as_user(command, environ or {}), status)

    def _done(self, argv: Sequence[str], status: int | None) -> str:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100
        )
        said = done.stdout.decode(errors="replace").strip()
        if status is not None and done.returncode != status:
            command = shlex.join(argv[argv.index("-i") + 1 :])
            raise AssertionError(f"{command}: {done.returncode}\n{said}\n{self.report()}")
        return said

    def systemctl(self, *words: str, status: int | None = 0) -> str:
        """`systemctl --user`."""
        return self.run("systemctl", "--user", *words, status=status)

    def wait_for_manager(self) -> None:
        """Wait until the manager of the user has started, whatever became of its services."""
        self.wait(lambda: self.at(f"/run/user/{self.uid}/systemd/private").exists(), "the user's manager")
        self.wait(
            lambda: self.systemctl("is-system-running", status=None) in ("running", "degraded"), "its start"
        )

    def wait(self, check: object, what: str, limit: float = LIMIT) -> object:
        """Wait for anything; a failure shows what the journal has."""
        return wait_until(check, what, limit=limit, explain=self.report)  # type: ignore[arg-type]

    def report(self) -> str:
        """What is known, for people who read a failure."""
        said = self._output.read_text(errors="replace") if self._output.exists() else ""
        journal = ""
        if self.pid and procfs.alive(self.pid):
            argv = self.as_root(["journalctl", "-n", "60", "--no-pager", "-o", "short-monotonic"])
            journal = subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
        return f"--- boot\n{said}\n--- journal (last 60 lines)\n{journal}"


def _removed(tree: Path) -> bool:
    """Remove these directories, which must be empty of all else: whether they are gone."""
    for directory, _, _ in os.walk(tree, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not tree.exists()
