"""Keeps commands running and restarts them when the files they depend on change.

`on_change`, `run` and `python_reloader` are for Python programs: see docs/python.md.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's own costs milliseconds
if TYPE_CHECKING:
    from reloaderd.program.listening import on_change as on_change
    from reloaderd.program.running import python_reloader as python_reloader
    from reloaderd.program.running import run as run


def __getattr__(name: str) -> object:
    """What programs call is imported by those that do (PEP 562)."""
    if name == "on_change":
        from reloaderd.program.listening import on_change

        return on_change
    if name in ("run", "python_reloader"):
        from reloaderd.program import running

        return getattr(running, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
