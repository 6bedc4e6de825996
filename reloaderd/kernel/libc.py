"""The few libc calls that the os module does not have.

Facts
- prctl(2) takes an int and four unsigned longs.  PR_SET_CHILD_SUBREAPER (Linux 3.4) is per process, is
  not inherited by fork and is kept by exec.  Orphans go to the nearest living ancestor that has it set.
- PR_SET_DUMPABLE 0 suppresses core dumps, those to a pipe in core_pattern too, which RLIMIT_CORE 0 does
  not (core(5): "the limit is not enforced for core dumps that are piped to a program").
- /proc/PID/cmdline is read from the process's own memory between arg_start and arg_end, fields 48 and 49
  of /proc/PID/stat (proc(5)); the kernel reads on into the environment where the last byte is not NUL.
  CPython copies argv before it runs any of our code and never looks at the original again.
- clone3(2) has no wrapper in glibc; its number is the same on all architectures but alpha.  Without CLONE_VM
  it is fork(2).  In a process of one thread the copy may go on with Python, if the lock of the interpreter
  was not let go of for the call (PyDLL): what Python does after its own fork is for threads and locks.
- process_vm_writev(2) with an address that cannot be read is EFAULT.  Nothing is ever at address 0 (mmap(2)).
- CDLL(None) is the running program itself: no find_library, which would run ldconfig.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
CLONE_INTO_CGROUP = 0x200000000
SYS_CLONE3 = 435

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
_libc.prctl.restype = ctypes.c_int
_libc.process_vm_writev.argtypes = (ctypes.c_int, *(ctypes.c_void_p, ctypes.c_ulong) * 2, ctypes.c_ulong)
_libc.process_vm_writev.restype = ctypes.c_ssize_t


def oserror(call: str) -> OSError:
    """The OSError for the errno that `call` has just left behind."""
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument.  Raises OSError."""
    if _libc.prctl(option, value, 0, 0, 0) < 0:
        raise oserror("prctl")


def become_subreaper() -> None:
    """Have every orphan below this process become its child.  Raises OSError."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def forbid_core_dump() -> None:
    """Leave no core file, and start no core handler, when a signal ends this process.  Raises OSError."""
    prctl(PR_SET_DUMPABLE, 0)


class _CloneArgs(ctypes.Structure):
    """struct clone_args of linux/sched.h, as of Linux 5.7."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
            *("set_tid", "set_tid_size", "cgroup"),
        )
    ]


def fork_into(cgroup: int) -> int:
    """As fork(2), but the new process is in the cgroup whose directory is open as `cgroup`.  Raises OSError.

    For a process of one thread.
    """
    holding = ctypes.PyDLL(None, use_errno=True)
    holding.syscall.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t)
    holding.syscall.restype = ctypes.c_long
    args = _CloneArgs(flags=CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=cgroup)
    pid: int = holding.syscall(SYS_CLONE3, ctypes.byref(args), ctypes.sizeof(args))
    if pid < 0:
        raise oserror("clone3")
    return pid


class _Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def take_for_writing(pid: int, address: int, length: int) -> None:
    """Have these pages of a process be its own, as if it wrote to them; nothing is written.

    See kernel.pages.  Raises OSError where that cannot be.
    """
    nothing, there = _Part(None, length), _Part(address, length)
    ctypes.set_errno(0)
    _libc.process_vm_writev(pid, ctypes.byref(nothing), 1, ctypes.byref(there), 1, 0)
    if ctypes.get_errno() != errno.EFAULT:
        raise oserror("process_vm_writev")


def set_title(title: str) -> None:
    """Show `title` where ps, top, pgrep and pkill look, cut to the room that the command line had."""
    text = os.fsencode(title)
    name = ctypes.create_string_buffer(text[:15])  # TASK_COMM_LEN is 16
    prctl(PR_SET_NAME, ctypes.addressof(name))
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return
    start, end = int(fields[45]), int(fields[46])
    if 0 < start < end:
        ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)
