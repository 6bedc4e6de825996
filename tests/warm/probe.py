"""Tells what a Python program can see of the process it runs in, and of how it was started."""

from __future__ import annotations

import atexit
import builtins
import faulthandler
import gc
import io
import locale
import os
import resource
import signal
import sys
import threading
import time
import tracemalloc
import warnings
from typing import Any

from telling import tell  # type: ignore[import-not-found]


class Pickled:
    """A class of __main__."""


def stream(file: Any) -> list[Any]:
    return [
        type(file).__name__,
        file.encoding,
        file.errors,
        file.line_buffering,
        file.write_through,
        file.isatty(),
        file.mode,
    ]


def dispositions() -> list[str]:
    return [
        str(signal.getsignal(number)) for number in sorted(signal.valid_signals()) if number not in (32, 33)
    ]


def status(*names: str) -> dict[str, str]:
    with open("/proc/self/status") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {name: fields[name] for name in names}


def descriptors() -> list[str]:
    found = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            found.append(f"{name} {os.readlink('/proc/self/fd/' + name)}")
        except OSError:  # that of the listing
            pass
    return found


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("RELOADERD_")}


def main() -> None:
    import pickle
    import random
    import traceback

    main_module = sys.modules["__main__"]
    try:
        raise ValueError("a traceback")
    except ValueError:
        trace = traceback.format_exc()
    mask = os.umask(0)
    os.umask(mask)
    opened = descriptors()
    tell(
        {
            "argv": sys.argv,
            "asked for": [sys.warnoptions, sys._xoptions, [str(one) for one in warnings.filters]],
            "checks": [
                faulthandler.is_enabled(),
                tracemalloc.is_tracing(),
                tracemalloc.get_traceback_limit(),
            ],
            "scheduling": [os.nice(0), sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0)],
            "orig_argv": getattr(sys, "orig_argv", []),
            "flags": str(sys.flags),
            "path": sys.path,
            "path_hooks": [str(hook)[:40] for hook in sys.path_hooks],
            "meta_path": [getattr(one, "__name__", type(one).__name__) for one in sys.meta_path],
            "prefix": [sys.prefix, sys.exec_prefix, sys.executable],
            "main": {
                "names": sorted(name for name in vars(main_module) if name.startswith("__")),
                "file": getattr(main_module, "__file__", None),
                "name": main_module.__name__,
                "package": main_module.__package__,
                "spec": str(main_module.__spec__).partition(" object at ")[0],
                "loader": type(main_module.__loader__).__name__,
                "doc": main_module.__doc__,
            },
            "cwd": [os.getcwd(), os.environ.get("PWD")],
            "environ": environment(),
            "environ order": list(os.environ),
            "environ type": type(os.environ._data).__name__,  # type: ignore[attr-defined]
            "child's environ": os.popen("env | grep -v ^RELOADERD_ | grep -v ^_= | sort").read(),
            "descriptors": opened,
            "inheritable": [os.get_inheritable(fd) for fd in (0, 1, 2)],
            "signals": dispositions(),
            "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
            "kernel's": status("SigBlk", "SigIgn", "SigCgt", "Threads", "Seccomp", "Umask", "CapEff"),
            "group": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getsid(os.getppid())],
            "parent": open(f"/proc/{os.getppid()}/cmdline").read().split("\0")[0],
            "threads": [threading.active_count(), threading.main_thread() is threading.current_thread()],
            "idents": [
                threading.main_thread().ident == threading.get_ident(),
                threading.get_native_id() == os.getpid(),
                threading.main_thread().native_id == os.getpid(),
            ],
            "umask": mask,
            "streams": [stream(one) for one in (sys.stdin, sys.stdout, sys.stderr)],
            "same streams": [
                sys.stdout is sys.__stdout__,
                "write" in vars(sys.stdout),
                "write" in vars(sys.stdout.buffer),
            ],
            "locale": [
                locale.setlocale(locale.LC_ALL),
                locale.getpreferredencoding(False),
                sys.getfilesystemencoding(),
            ],
            "limits": [
                resource.getrlimit(one)
                for one in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK, resource.RLIMIT_CORE)
            ],
            "recursion": [sys.getrecursionlimit(), sys.getswitchinterval()],
            "hooks": [
                str(getattr(sys, name)).partition(" at ")[0]
                for name in ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
            ],
            "tracing": [sys.gettrace(), sys.getprofile()],
            "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), len(gc.garbage)],
            "traceback": trace,
            "pickle": pickle.dumps(Pickled()).hex(),
            "module files": [random.__file__, random.__spec__.origin, io.__name__],
            "builtins": sorted(vars(builtins)),
            "atexit": atexit._ncallbacks(),  # type: ignore[attr-defined]
            "cmdline": open("/proc/self/cmdline").read(),
            "comm": open("/proc/self/comm").read(),
            "cpu": time.process_time() < 5,
            "reloaderd's": sorted(name for name in sys.modules if "reloaderd" in name),
            "loaded": [name in sys.modules for name in ("sitecustomize", "usercustomize", "gc", "site")],
            "own": os.environ["RELOADERD_RUN"] == os.popen("echo $RELOADERD_RUN").read().strip(),
        }
    )


if __name__ == "__main__":
    main()
