"""What is answered to those who ask by the control socket, and what they make happen (DESIGN 8).

Rules:
- Every call has one answer, in turn; only `Events` has more.
- What is not known, or not of the right type, is an error by name, and nothing is done.
- A service that is being replaced is spoken of as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reloaderd import __version__
from reloaderd.commands import Answer, Command, Follow
from reloaderd.core import interface
from reloaderd.core.accounts import Clock, account_of_run, account_of_service
from reloaderd.core.history import History
from reloaderd.core.service import Service
from reloaderd.events import Asked
from reloaderd.settings import Identity

STANDARD, OWN = "org.varlink.service", "io.reloaderd"

HOMEPAGE = ""
"""GetInfo has a URL; there is none yet."""

Fields = dict[str, Any]


class Refused(Exception):
    """The answer is an error: its name, and what goes with it."""

    def __init__(self, error: str, **parameters: Any) -> None:
        super().__init__(error)
        self.error = error
        self.parameters = parameters


class Control:
    """Answers for one reloaderd; `close` is what SIGTERM does."""

    def __init__(
        self,
        identity: Identity,
        services: Mapping[str, Service],
        history: History,
        close: Callable[[], list[Command]],
    ) -> None:
        self._identity = identity
        self._services = services
        self._history = history
        self._close = close

    def answer(self, asked: Asked, now: float) -> list[Command]:
        """The answer, and what else follows."""
        try:
            name, (wanted, method) = asked.method, self._find(asked.method)
            given = _checked(asked.parameters, wanted)
            if name == f"{OWN}.Events" and not asked.more:
                raise Refused(f"{STANDARD}.ExpectedMore")
            parameters, commands = method(self, given, asked, now)
        except Refused as refused:
            return [Answer(asked.client, refused.parameters, refused.error)]
        if parameters is None:
            return commands
        return [Answer(asked.client, parameters), *commands]

    def _find(self, method: str) -> tuple[Mapping[str, Callable[[Any], bool]], Method]:
        if method in METHODS:
            return METHODS[method]
        name = method.rpartition(".")[0]
        if name in interface.DESCRIPTIONS:
            raise Refused(f"{STANDARD}.MethodNotFound", method=method)
        raise Refused(f"{STANDARD}.InterfaceNotFound", interface=name)

    def _chosen(self, given: Fields) -> list[Service]:
        """The services that are named, each once; all, where none is."""
        names = given.get("services") or [*self._services]
        for name in names:
            if name not in self._services:
                raise Refused(f"{OWN}.NoSuchService", service=name, services=[*self._services])
        return [self._services[name] for name in dict.fromkeys(names)]

    # Each returns what is answered (None: nothing yet), and what else is to be done

    def info(self, given: Fields, asked: Asked, now: float) -> Result:
        """Who answers."""
        return {
            "vendor": "the reloaderd authors",
            "product": "reloaderd",
            "version": __version__,
            "url": HOMEPAGE,
            "interfaces": [*interface.DESCRIPTIONS],
        }, []

    def description(self, given: Fields, asked: Asked, now: float) -> Result:
        """What can be asked."""
        name = given["interface"]
        if name not in interface.DESCRIPTIONS:
            raise Refused(f"{STANDARD}.InterfaceNotFound", interface=name)
        return {"description": interface.DESCRIPTIONS[name]}, []

    def status(self, given: Fields, asked: Asked, now: float) -> Result:
        """All that is going on."""
        identity, clock = self._identity, Clock(asked.clock)
        services = [
            account_of_service(service, [*self._history.of(name)], clock, now)
            for name, service in self._services.items()
        ]
        return {
            "name": identity.name,
            "pid": identity.pid,
            "version": __version__,
            "seconds": round(now - identity.begun, 3),
            "directory": identity.directory,
            "config": identity.config or None,
            "services": services,
        }, []

    def why(self, given: Fields, asked: Asked, now: float) -> Result:
        """The latest runs."""
        clock = Clock(asked.clock)
        accounts = []
        for service in self._chosen(given):
            runs = [*self._history.of(service.settings.name)]
            most = given.get("count")
            first = 0 if most is None else max(len(runs) - max(most, 0), 0)
            for at in range(first, len(runs)):
                before = runs[at - 1] if at else None
                accounts.append(account_of_run(service.settings.name, runs[at], before, clock))
        return {"runs": sorted(accounts, key=lambda run: run["time"])}, []

    def events(self, given: Fields, asked: Asked, now: float) -> Result:
        """Every log line from now on."""
        return None, [Follow(asked.client)]

    def restart(self, given: Fields, asked: Asked, now: float) -> Result:
        """Restart services."""
        chosen = self._chosen(given)
        if any(service.settings.dry_run for service in chosen):
            raise Refused(f"{OWN}.DryRun")
        commands = [command for service in chosen for command in service.restart(now, "control")]
        return _named(chosen), commands

    def pause(self, given: Fields, asked: Asked, now: float) -> Result:
        """Hold what changes."""
        return self._set_paused(given, True, now)

    def resume(self, given: Fields, asked: Asked, now: float) -> Result:
        """Let go of it."""
        return self._set_paused(given, False, now)

    def _set_paused(self, given: Fields, on: bool, now: float) -> Result:
        chosen = self._chosen(given)
        commands = [command for service in chosen for command in service.set_paused(on, now)]
        return _named(chosen), commands

    def stop(self, given: Fields, asked: Asked, now: float) -> Result:
        """End."""
        return {}, self._close()

    def explain(self, given: Fields, asked: Asked, now: float) -> Result:
        """What a change would do."""
        from reloaderd.core.explanation import explain

        path, real = given["path"], given.get("real") or given["path"]
        is_dir = bool(given.get("directory"))
        services = [explain(service, path, real, is_dir, now) for service in self._services.values()]
        return {"services": services}, []


Result = tuple[Fields | None, list[Command]]

Method = Callable[[Control, Fields, Asked, float], Result]


def _named(services: Sequence[Service]) -> Fields:
    return {"services": [service.settings.name for service in services]}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _checked(parameters: Mapping[str, Any], wanted: Mapping[str, Callable[[Any], bool]]) -> Fields:
    """The parameters that are given, by name; those whose name ends in ? in `wanted` may be left out."""
    known = {name.rstrip("?"): check for name, check in wanted.items()}
    for name, value in parameters.items():
        optional = f"{name}?" in wanted
        if name not in known or not (known[name](value) or (value is None and optional)):
            raise Refused(f"{STANDARD}.InvalidParameter", parameter=name)
    for name in wanted:
        if not name.endswith("?") and name not in parameters:
            raise Refused(f"{STANDARD}.InvalidParameter", parameter=name)
    return {name: value for name, value in parameters.items() if value is not None}


_SERVICES = {"services?": _is_names}

METHODS: Mapping[str, tuple[Mapping[str, Callable[[Any], bool]], Method]] = {
    f"{STANDARD}.GetInfo": ({}, Control.info),
    f"{STANDARD}.GetInterfaceDescription": ({"interface": _is_text}, Control.description),
    f"{OWN}.Status": ({}, Control.status),
    f"{OWN}.Why": ({**_SERVICES, "count?": _is_number}, Control.why),
    f"{OWN}.Events": ({}, Control.events),
    f"{OWN}.Restart": (_SERVICES, Control.restart),
    f"{OWN}.Pause": (_SERVICES, Control.pause),
    f"{OWN}.Resume": (_SERVICES, Control.resume),
    f"{OWN}.Stop": ({}, Control.stop),
    f"{OWN}.Explain": ({"path": _is_path, "real?": _is_path, "directory?": _is_flag}, Control.explain),
}
"""Of each method its parameters with their checks, and what answers."""
