"""Who imports whom (DESIGN section 3), read from the sources; and what the idle path must not load."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import ForwardRef

import pytest

import reloaderd

PACKAGE = Path(reloaderd.__file__).parent

LAYERS: list[set[str]] = [
    {"", "events", "commands", "errors", "settings"},
    {"core"},
    {"kernel"},
    {"answers", "handover", "loop", "processes", "servicemanager"},
    {
        "assembly",
        "config",
        "console",
        "cli",
        "control",
        "doctor",
        "envfile",
        "excerpt",
        "journaling",
        "options",
        "parsers",
        "paths",
        "units",
        "values",
        "wording",
    },
    {"program", "contrib"},
    {"__main__"},
    {"agent"},
]
"""Lowest first, by the first part of the name below `reloaderd`; "" is the package itself.

The agent is not of our process: nothing imports it, and it imports nothing.
"""

FRONT = {"program", "program.listening", "program.running"}
"""What `reloaderd` itself hands to programs that ask for it, and imports no sooner."""

PURE = {
    *("__future__", "bisect", "collections", "enum", "errno", "functools", "heapq", "itertools"),
    *("math", "operator", "re", "signal", "stat", "string", "sys", "typing"),
    "pathspec",
}
"""What core may import from elsewhere: constants, containers, functions of their arguments alone."""

COMMON = {"kernel.frames", "kernel.libc", "kernel.proctree", "kernel.reach", "kernel.source"}
"""Kernel modules that any other one may use, and that use none."""

SIBLINGS = {
    "kernel.activation": {"kernel.sockets"},
    "kernel.agents": {"kernel.listeners", "kernel.packets", "kernel.runtime"},
    "kernel.stock": {"kernel.sockets"},
    "kernel.beside": {"kernel.poller"},
    "kernel.child": {"kernel.helpers", "kernel.keeper"},
    "kernel.choice": {"kernel.mounts"},
    "kernel.claim": {"kernel.runtime"},
    "kernel.compiler": {"kernel.spawn"},
    "kernel.control": {"kernel.claim", "kernel.runtime", "kernel.varlink"},
    "kernel.digests": {"kernel.files"},
    "kernel.dry": {"kernel.poller"},
    "kernel.filemounts": {"kernel.poller"},
    "kernel.inotify": {"kernel.masks"},
    "kernel.journal": {"kernel.runtime"},
    "kernel.keeper": {
        *("kernel.cgroups", "kernel.forking", "kernel.sockets", "kernel.spawn"),
        *("kernel.pages", "kernel.warm"),
    },
    "kernel.callers": {"kernel.runtime"},
    "kernel.staying": {"kernel.callers"},
    "kernel.checkpoints": {"kernel.copies", "kernel.runtime"},
    "kernel.interpreters": {"kernel.spawn"},
    "kernel.warm": {"kernel.checkpoints", "kernel.copies", "kernel.interpreters", "kernel.spawn"},
    "kernel.listeners": {"kernel.packets"},
    "kernel.opening": {"kernel.inotify", "kernel.pyinotify"},
    "kernel.poller": {"kernel.looks"},
    "kernel.pair": {"kernel.child"},
    "kernel.porter": {
        *("kernel.answering", "kernel.callers", "kernel.keeper", "kernel.openfiles", "kernel.probes"),
        *("kernel.readiness", "kernel.slots", "kernel.staying", "kernel.stock", "kernel.unheard"),
    },
    "kernel.probes": {
        *("kernel.connections", "kernel.openfiles", "kernel.questions", "kernel.readiness"),
    },
    "kernel.questions": {"kernel.connections"},
    "kernel.slots": {"kernel.answering", "kernel.openfiles", "kernel.probes", "kernel.readiness"},
    "kernel.readiness": {"kernel.openfiles"},
    "kernel.answering": {"kernel.connections", "kernel.openfiles", "kernel.readiness"},
    "kernel.porters": {"kernel.helpers", "kernel.porter", "kernel.runtime"},
    "kernel.notify": {"kernel.runtime"},
    "kernel.pulse": {"kernel.runtime"},
    "kernel.pyinotify": {"kernel.masks"},
    "kernel.repository": {"kernel.files"},
    "kernel.sources": {
        *("kernel.beside", "kernel.choice", "kernel.filemounts", "kernel.mounts", "kernel.opening"),
        "kernel.poller",
    },
}
"""The others that build on one another, each on purpose: the rest know nothing of each other."""

OF_EVERY_PYTHON = {
    *("marshal", "os", "posix", "sys", "time"),
    *("_json", "_signal", "_socket", "gc", "select"),
}
"""What the agent may import: it is loaded by then in every Python, but for the last three, which are in C."""

NOT_WHEN_IDLE = {
    *("asyncio", "logging", "dataclasses", "inspect", "rich"),
    *("hashlib", "json", "pathlib", "shutil", "socket", "subprocess", "tempfile", "threading", "tomllib"),
    *("reloaderd.control", "reloaderd.kernel.varlink"),
    *(
        "reloaderd.core.accounts",
        "reloaderd.core.control",
        "reloaderd.core.explanation",
        "reloaderd.core.interface",
    ),
    *(
        "reloaderd.config",
        "reloaderd.core.diagnosis",
        "reloaderd.program",
        "reloaderd.doctor",
        "reloaderd.excerpt",
        "reloaderd.units",
    ),
    *("reloaderd.kernel.beside", "reloaderd.kernel.compiler", "reloaderd.kernel.digests"),
    *("reloaderd.core.warm", "reloaderd.core.checkpoints", "reloaderd.kernel.warm"),
    *("reloaderd.kernel.checkpoints", "reloaderd.kernel.copies", "reloaderd.kernel.interpreters"),
    *("reloaderd.kernel.dry", "reloaderd.kernel.listeners"),
    *("reloaderd.handover", "reloaderd.kernel.activation", "reloaderd.kernel.forking"),
    *("reloaderd.kernel.cgroups", "reloaderd.kernel.sockets"),
    *("reloaderd.kernel.stock", "reloaderd.kernel.openfiles", "reloaderd.kernel.porter"),
    *("reloaderd.kernel.porters", "reloaderd.kernel.readiness", "reloaderd.kernel.pair"),
    *("reloaderd.kernel.answering", "reloaderd.kernel.connections"),
    *("reloaderd.kernel.probes", "reloaderd.kernel.questions", "reloaderd.kernel.slots"),
    *("reloaderd.kernel.callers", "reloaderd.kernel.staying", "reloaderd.kernel.unheard"),
    "reloaderd.core.overlap",
    *("reloaderd.core.manager", "reloaderd.core.pulse", "reloaderd.core.status", "reloaderd.servicemanager"),
    *("reloaderd.kernel.notify", "reloaderd.kernel.pulse"),
    *("reloaderd.journaling", "reloaderd.kernel.journal"),
    *("reloaderd.core.digests", "reloaderd.kernel.packets", "reloaderd.kernel.poller"),
}
"""Each costs milliseconds at start and memory all day; the first five are DESIGN's own list."""


def sources() -> dict[str, ast.Module]:
    """Every module of the package, parsed, by its name below `reloaderd` ("core.engine", "core", "")."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


SOURCES = sources()


def imports(name: str) -> Iterator[str]:
    """The absolute names that a module imports, anywhere in it: `import a.b`, `from a import b` (a.b)."""
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import, line {node.lineno}"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own_imports(name: str) -> set[str]:
    """The modules of the package that a module imports, by their names below `reloaderd`."""
    own = set()
    for target in imports(name):
        head, _, rest = target.partition(".")
        if head != "reloaderd":
            continue
        while rest and rest not in SOURCES:  # the last part names a thing in the module
            rest = rest.rpartition(".")[0]
        own.add(rest)
    return own - {name} - (FRONT if not name else set())


def layer(name: str) -> int:
    """The index in LAYERS, or one past the last."""
    first = name.partition(".")[0]
    for index, names in enumerate(LAYERS):
        if first in names:
            return index
    return len(LAYERS)


def test_every_module_is_in_a_layer() -> None:
    lost = [name for name in SOURCES if layer(name) == len(LAYERS)]
    assert not lost, f"{lost}: LAYERS says where each module belongs"


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_downwards(name: str) -> None:
    above = {target for target in own_imports(name) if layer(target) > layer(name)}
    assert not above, f"reloaderd.{name} imports from a layer above its own: {above}"


def test_no_import_cycle() -> None:
    # A package's __init__ is run before its modules; it must not need one of them in turn.
    graph = {name: own_imports(name) for name in SOURCES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(f"reloaderd.{name}" for name in error.args[1]))


@pytest.mark.parametrize("name", [name for name in SOURCES if layer(name) <= 1])
def test_the_core_is_pure(name: str) -> None:
    effectful = {target for target in imports(name) if target.partition(".")[0] not in PURE | {"reloaderd"}}
    assert not effectful, f"reloaderd.{name} imports {effectful}: PURE lists what the core may use"


@pytest.mark.parametrize("name", [name for name in SOURCES if layer(name) <= 1])
def test_the_core_uses_signal_and_sys_for_their_constants(name: str) -> None:
    """No handler is set, nothing is sent and nothing is printed from the core."""
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "signal":
                assert node.attr.startswith("SIG") or node.attr == "Signals", f"{name}:{node.lineno}"
            if node.value.id == "sys":
                assert node.attr in {"maxsize", "byteorder"}, f"{name}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "signal":
            used = {alias.name for alias in node.names}
            assert all(name.startswith("SIG") or name == "Signals" for name in used), f"{name}: {used}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input", "__import__"}, f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("agent.")])
def test_the_agent_brings_nothing_along(name: str) -> None:
    """Of its own it imports the modules beside it, as the program sees them; `__future__` is a file, too."""
    beside = {own.partition(".")[2] for own in SOURCES if own.startswith("agent.")}
    for_mypy = {
        id(child)
        for node in ast.walk(SOURCES[name])
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = {
        target
        for node in ast.walk(SOURCES[name])
        if id(node) not in for_mypy and isinstance(node, ast.Import | ast.ImportFrom)
        for target in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    strange = {target for target in found if target.partition(".")[0] not in OF_EVERY_PYTHON | beside}
    assert not strange, f"reloaderd.{name} imports {strange}: OF_EVERY_PYTHON lists what it may"


def test_nothing_imports_the_agent() -> None:
    users = {name for name in SOURCES if any(one.startswith("agent") for one in own_imports(name))}
    assert not users, f"{users} import the agent, which is for another process"


def test_the_engine_is_the_last_of_the_core() -> None:
    users = {name for name in SOURCES if layer(name) == 1 and "core.engine" in own_imports(name)}
    assert not users, f"{users} import core.engine, which is the front of the core"


def test_kernel_modules_keep_to_their_own_kernel_object() -> None:
    siblings = {}
    for name in SOURCES:
        if name.startswith("kernel."):
            others = {target for target in own_imports(name) if target.startswith("kernel.")}
            assert not (others and name in COMMON), f"{name} is for all: it cannot need {others}"
            if others - COMMON:
                siblings[name] = others - COMMON
    assert siblings == SIBLINGS


@pytest.mark.parametrize(
    ("asked", "wanted"), [("", set()), ("reloaderd.run", {"reloaderd.program", "reloaderd.program.running"})]
)
def test_the_package_by_itself_loads_nothing(asked: str, wanted: set[str]) -> None:
    """A program that asks for something of it pays for that, and nobody else does."""
    code = (
        "import sys, os, __future__; before = {*sys.modules}\n"
        f"import reloaderd; {asked}\n"
        "print(*{*sys.modules} - before)"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(run.stdout.split()) == {"reloaderd", *wanted}


@pytest.mark.parametrize("name", ["commands", "events", "events.files", "events.runs", "settings"])
def test_no_annotation_of_a_record_is_text(name: str) -> None:
    """typing compiles each that is: reloaderd.events."""
    for record in vars(importlib.import_module(f"reloaderd.{name}")).values():
        for field, kind in getattr(record, "__annotations__", {}).items():
            assert not isinstance(kind, str | ForwardRef), f"{record.__name__}.{field}"


def test_the_idle_path_loads_nothing_heavy() -> None:
    """Import what `reloaderd watch` needs all day, in a bare interpreter.

    tests/daemon asks a running daemon the same; this one says so within the second.
    """
    wanted = [name for name in SOURCES if name and (layer(name) <= 5) and not name.startswith("control")]
    optional = {"kernel.pyinotify", "kernel.poller"}
    optional |= {
        name
        for name in wanted
        if name.startswith(("config", "doctor", "program", "contrib", "units"))
        or f"reloaderd.{name}" in NOT_WHEN_IDLE
    }
    code = "import sys\n" + "".join(f"import reloaderd.{name}\n" for name in wanted if name not in optional)
    run = subprocess.run(
        # -S: what a site's .pth files import is not this project's doing; the path is handed over.
        [sys.executable, "-S", "-c", code + "print(*sys.modules)"],
        env={"PYTHONPATH": ":".join([str(PACKAGE.parent), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split()) & NOT_WHEN_IDLE
    assert not loaded, f"{loaded}: import it where it is needed"
