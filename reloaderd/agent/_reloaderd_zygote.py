"""Becomes a paused copy of the program's interpreter; and sees to what a run that comes of it needs.

Facts
- site imports sitecustomize before the interpreter looks at what it is to run, so before sys.path[0] is
  there; when this returns, the interpreter goes on with that by itself.
- The .pth files, and the sitecustomize that ours hides, have run once by then, for all copies.
- CPython 3.8 makes a lock anew in a forked process by another allocator than it frees it with at the end:
  where the allocators check that, whatever is forked is aborted then.
- `python -m NAME` imports a package of that name, as any import does, and then runs its `__main__`.  Of a
  module it warns that is in sys.modules already.
"""

import sys
from _socket import socket
from os import environ, fsdecode
from posix import _exit, getpid, stat

from _reloaderd_ahead import Ahead  # type: ignore[import-not-found]
from _reloaderd_fresh import Fresh  # type: ignore[import-not-found]
from _reloaderd_order import Order, append, content, is_native  # type: ignore[import-not-found]
from _reloaderd_pause import Pause, resume  # type: ignore[import-not-found]
from _reloaderd_plan import Plan  # type: ignore[import-not-found]
from _reloaderd_witness import Witness  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def become(path: str, number: int, agent: "Any", makes: "Callable[..., Any] | None") -> Order:
    """Import ahead what the order in `path` says, and wait; returns in each run, whose order that tells.

    `number` is the descriptor of the keeper's line, and the handlers of `agent` are heard already.  `makes`
    the checkpoints of a run, where it is to have any.
    """
    try:
        pause = Pause(socket(fileno=number))
    except BaseException:
        _exit(1)
    try:
        plan = Plan(path)
        witness = Witness(number) if plan.doubted else None
        trouble = _unfit() or _customize(agent.places)
        if trouble:
            pause.say(f"aside {trouble}")
            _exit(0)
        fresh = Fresh(agent.places)
        ahead = Ahead(plan, agent, number, _target(plan), fresh)
        ahead.run()
        findings = _findings(ahead, witness)
        if findings:
            append(path, findings)
            pause.say("again")
            _exit(0)
        ahead.stamps.settle(ahead.files, ahead.missing)
        fresh.settle()
        order = _tell(agent, plan, ahead)
        checkpoints = None if makes is None else makes(agent, plan, order, ahead, fresh)
        pause.say(f"paused {len(ahead.files)} {plan.size}")
    except BaseException as error:
        pause.say(f"aside {type(error).__name__}: {error}")
        _exit(1)
    edited = resume(*pause.wait(), ahead.stamps.changed)
    fresh.freshen()
    agent.post.of(environ["RELOADERD"], int(environ["RELOADERD_RUN"]))
    order.process = getpid()
    if checkpoints is not None:
        checkpoints.begin(edited)
    return order


def _findings(ahead: Ahead, witness: "Witness | None") -> "list[str]":
    """What the next attempt has to go by; nothing if this one was the last."""
    if witness is not None:
        ahead.traces.settle(witness)
        witness.dismiss()
    lines = [f"!{name}\t{why}" for name, why in ahead.blamed.items()]
    return [*lines, "?"] if ahead.traces.doubts else lines


def _tell(agent: "Any", plan: Plan, ahead: Ahead) -> Order:
    """Have the runs tell what was done ahead of them as what they did themselves."""
    agent.ahead = ahead.files
    agent.post.libraries += len(ahead.files)
    for place in plan.directories:
        for name in ahead.missing:
            agent.lacked_module(place + "/" + name)
    order = Order(plan.path, agent)
    order.know([*plan.modules, *plan.left, *plan.own], plan.directories, plan.variables)
    order.seen, order.all = ahead.looks.variables, ahead.looks.all
    order.native = any(is_native(file) for file in ahead.files.values())
    return order


def _unfit() -> str:
    """Why this interpreter cannot be copied, whatever it is to run."""
    if sys.flags.verbose or "importtime" in sys._xoptions or environ.get("PYTHONPROFILEIMPORTTIME"):
        return "the interpreter is to tell of each import"
    checks = sys.flags.dev_mode or environ.get("PYTHONMALLOC", "").endswith("debug")
    if sys.version_info < (3, 9) and checks:
        return "CPython 3.8 aborts what is forked where it checks its memory (-X dev, PYTHONMALLOC)"
    monitoring = getattr(sys, "monitoring", None)
    tools = monitoring is not None and any(monitoring.get_tool(number) for number in range(6))
    if sys.gettrace() is not None or sys.getprofile() is not None or tools:
        return "something traces the interpreter from its start"
    if stat("/proc/self/task").st_nlink > 3:
        return "a .pth file of the interpreter starts a thread"
    return ""


def _customize(places: "Any") -> str:
    """Run the sitecustomize that ours hides, once for all runs; why that must not be, if so."""
    try:
        import sitecustomize  # type: ignore[import-not-found]
    except ImportError as error:
        return "" if error.name == "sitecustomize" else f"sitecustomize: {error}"
    except Exception as error:
        return f"sitecustomize: {error}"
    file = getattr(sitecustomize, "__file__", None) or ""
    if not places.directory(file.rpartition("/")[0])[1] and not file.startswith(("/usr/", "/etc/")):
        return f"{file} is the project's own, and would run once for all runs"
    return _unfit()


def _target(plan: Plan) -> "list[str]":
    """The module that `python -m` is to run: it must not be imported before."""
    name = _named()
    main = name + ".__main__"
    is_package = plan.modules.get(name, "").rpartition("/")[2].startswith("__init__.")
    return [] if not name else [main] if is_package else [name, main]


def _named() -> str:
    """What follows `-m`, if that is how the interpreter was started."""
    words = [fsdecode(word) for word in content("/proc/self/cmdline").split(b"\0")][1:]
    while words:
        word = words.pop(0)
        if word[:1] != "-" or word == "-":
            break
        for index, letter in enumerate(word[1:], 2):
            if letter == "m":
                return word[index:] or (words[0] if words else "")
            if letter in "cWX":
                if letter == "c":
                    return ""
                if not word[index:]:
                    words[:1] = []
                break
            if letter == "-":  # --check-hash-based-pycs default
                words[:1] = []
                break
    return ""
