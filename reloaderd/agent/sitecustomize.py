"""What `site` imports in the program: starts the agent, cleans up, runs the sitecustomize in its shadow.

Facts
- Any Python may be started below us: this file must be parsed by 2.7.  The agent itself needs audit hooks,
  CPython 3.8; elsewhere only the cleaning up and the shadowed sitecustomize are done.
- `site` passes over an ImportError that names sitecustomize, and reports other faults: what the import
  below raises is what it would have got without us.
- importlib takes the module out of sys.modules when it is done, whichever is there by then; the lock of a
  module that is being imported may be taken again by the same thread.  So the other one takes our place.
- Python 2.7 empties a module that nobody holds: it is held until the end.
- os.environ is a copy of the environment of C.  Only the copy is cleaned: a Python program that is started
  with env=None inherits that of C, is followed, and cleans its own copy.
"""

import os
import sys


def _clean(directory):
    # type: (str) -> None
    """Take our directory out of sys.path and out of PYTHONPATH as the program sees it."""
    if directory in sys.path:
        sys.path.remove(directory)
    sys.path_importer_cache.pop(directory, None)
    environ, encode = getattr(os.environ, "_data", None), getattr(os, "fsencode", str)
    if environ is None:  # Python 2.7
        environ = os.environ.data  # type: ignore[attr-defined]
    key, given, colon = encode("PYTHONPATH"), encode(directory), encode(":")
    first, found, rest = environ.get(key, given[:0]).partition(colon)
    if first == given and found:
        environ[key] = rest
    elif first == given:
        del environ[key]


def _end(paused):
    # type: (bool) -> None
    """What is to be paused must not run the program instead; whatever else goes on as it is."""
    if paused:
        os._exit(1)


def _start():
    # type: () -> None
    held = sys.modules.pop(__name__)
    directory = __file__.rpartition("/")[0]
    paused = " " in os.environ.get("RELOADERD_WARM", "")
    begin = None
    try:
        if hasattr(sys, "addaudithook") and sys.implementation.name == "cpython":
            import _reloaderd_agent  # type: ignore[import-not-found]

            begin = _reloaderd_agent.begin
            if "LISTEN_PID" in _reloaderd_agent.environ:
                import _reloaderd_sockets  # type: ignore[import-not-found]

                _reloaderd_sockets.mend()
    except Exception:
        _end(paused)
    for name in [name for name in sys.modules if name.startswith("_reloaderd_")]:
        sys.modules.pop(name, None)
    try:
        _clean(directory)
        if begin is not None:
            begin(directory)
        elif paused:
            line = int(os.environ["RELOADERD_WARM"].split()[1])
            os.write(line, b"aside this Python is not CPython 3.8 or later")
            _end(paused)
    except Exception:
        _end(paused)
    import sitecustomize  # type: ignore[import-not-found]

    del held, sitecustomize


_start()
