"""The service manager that started us, if one did: the adapter of what is said to it.

Without one in the environment, nothing of this is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING

from reloaderd.core.escaping import escaped
from reloaderd.events import Event
from reloaderd.kernel.notify import Notifier, take

if TYPE_CHECKING:
    from reloaderd.core.engine import Engine
    from reloaderd.kernel.pulse import Pulse
    from reloaderd.kernel.source import Source

LONGEST_REASON = 600
"""Characters of what is said of a failure: as much as of all that goes well."""


class ServiceManager:
    """Who is told at `address`, and wants a sign of life within `watchdog` seconds, if that is not 0."""

    def __init__(self, address: str, watchdog: float = 0.0) -> None:
        self._notifier = Notifier(address)
        self._watchdog = watchdog
        self._pulse: Pulse | None = None

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> ServiceManager | None:
        """The one that the environment tells of, which it does not any more then."""
        given = take(environ)
        return None if given is None else cls(*given)

    def fileno(self) -> int:
        return self._notifier.fileno()

    def read(self) -> Sequence[Event]:
        """There may be room for what found none."""
        self._notifier.read()
        return ()

    def look_on(self, engine: Engine) -> None:
        """Have the manager told of what this one does."""
        from reloaderd.core.manager import Informant

        engine.informant = Informant(engine, self._watchdog)

    def say(self, variables: Mapping[str, str], descriptors: Sequence[int] = ()) -> bool:
        """One message; False where nobody hears it."""
        text = "\n".join(f"{name}={value}" for name, value in variables.items())
        return self._notifier.send(text, descriptors)

    def complain(self, lines: Sequence[str]) -> None:
        """Why we end before anything was begun."""
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        text = escaped(lines[0])
        text = text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
        self.say({"STATUS": text + more})

    def make_pulse(self, source: Source, late: float) -> Sequence[Event]:
        """A change that `source` has to tell of, `late` by so many seconds where it polls."""
        if self._pulse is None:
            from reloaderd.kernel.pulse import Pulse

            self._pulse = Pulse(source, late)
        return [self._pulse.make()]

    def close(self) -> None:
        """The end; what was said last may take a moment."""
        if self._pulse is not None:
            self._pulse.close()
        self._notifier.close()
