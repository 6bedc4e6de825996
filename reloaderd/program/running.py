"""`reloaderd.run`: a Python program that watches over itself, by the protocol of Django's autoreload.

- The first time it becomes a reloaderd (reloaderd.program.watching), which starts it again with RUN_MAIN=true
  in its environment: that one does the work.  Under any other reloaderd it does the work at once.
- Exit status 3 means "start me again"; with any other, and by any signal, reloaderd ends as the program did.
- An exception is shown, and the program then waits to be mended: to end would end reloaderd as well.
- Translations of Django are read anew in place of a restart, should it ever be loaded.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # a program that has no use for typing starts 5 ms sooner without
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn, TypeVar

    Result = TypeVar("Result")


def run(main: Callable[..., Result], *args: Any, paths: Any = (), **options: Any) -> Result:
    """Run `main(*args)` whenever a file of this program changes, from the start: restart the whole program.

    To be called last, as in `if __name__ == "__main__": reloaderd.run(main)`.  `paths` are watched (by
    default the current directory), `options` are the long options of `reloaderd watch`, `_` in place of `-`.
    Returns what `main` does, when it is the program's turn to run; else does not return.
    Raises TypeError for what is no option; what else is wrong is one line on stderr and SystemExit(2).
    """
    return _run(main, args, {}, paths, options, "run")


def python_reloader(
    main_func: Callable[..., Result], args: Iterable[Any], kwargs: Mapping[str, Any]
) -> Result:
    """The same for `main_func(*args, **kwargs)`, as Django's autoreload was called up to version 2.1."""
    return _run(main_func, args, kwargs, (), {}, "python_reloader")


def _run(
    main: Callable[..., Result],
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    paths: Any,
    options: Mapping[str, Any],
    who: str,
) -> Result:
    if not callable(main):
        raise TypeError(f"{who}(): the function to run is not callable: {main!r}")
    started = "RELOADERD_RUN" in os.environ
    ours = os.environ.get("RUN_MAIN") == "true"
    if not (started or ours):
        from reloaderd.program.watching import watch_over

        watch_over(paths, options, who)
    if started and ours:
        _follow_translations()
    try:
        return main(*args, **kwargs)
    except KeyboardInterrupt:
        _end_quietly()
        raise
    except Exception as error:
        if not (started and ours):  # whoever watches does not end with us
            raise
        trace = error.__traceback__.tb_next if error.__traceback__ is not None else None  # from `main` on
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        del trace
    _wait_for_a_change()


def _end_quietly() -> None:
    """Have Python end as Ctrl-C ends it, without the traceback."""
    hook = sys.excepthook

    def silent(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            hook(kind, error, trace)

    sys.excepthook = silent


def _wait_for_a_change() -> NoReturn:
    """Until reloaderd stops us."""
    import signal

    try:
        print("[reloaderd] waiting for a change", file=sys.stderr, flush=True)
        while True:
            signal.pause()
    except KeyboardInterrupt:
        _end_quietly()
        raise


class _Awaiting:
    """A finder (of sys.meta_path) that finds nothing, and tells when Django is looked for.

    Until then there is no thread: from Python 3.12 on os.fork warns of one, whoever started it.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Called for each import of something new."""
        if name == "django":
            sys.meta_path.remove(self)
            _read_translations_anew()


def _follow_translations() -> None:
    if "django" in sys.modules:
        _read_translations_anew()
    else:
        sys.meta_path.insert(0, _Awaiting())


def _read_translations_anew() -> None:
    from reloaderd.contrib.django import reset_translations
    from reloaderd.program.listener import listen

    listen(lambda path: path.endswith(".mo"), reset_translations)
