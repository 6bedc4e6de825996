"""Whose turn the terminal is, of all services' children.

Rules:
- One child has it at a time, until nothing of its run is left.
- Another that asks meanwhile stays stopped, as the kernel left it, and is told of; it is next.
"""

from __future__ import annotations

from reloaderd.commands import Command, LendTerminal, ReclaimTerminal, Report


class Foreground:
    """Who has the terminal, and who waits for it."""

    def __init__(self) -> None:
        self.holder: str | None = None
        """The service whose child it was lent to."""
        self._run = 0
        self._waiting: dict[str, int] = {}  # service -> run, in the order in which they asked

    def asked(self, service: str, run: int) -> list[Command]:
        """The child of this run was stopped because it wants the terminal."""
        if self.holder is None or self.has(service, run):
            self.holder, self._run = service, run
            return [LendTerminal(service, run)]
        told = self._waiting.get(service) == run
        self._waiting[service] = run
        text = f"it waits for the terminal, which {self.holder} has"
        return [] if told else [Report("warning", service, {"text": text})]

    def again(self) -> list[Command]:
        """reloaderd was away from the terminal: whoever had it has it again."""
        return [LendTerminal(self.holder, self._run)] if self.holder is not None else []

    def has(self, service: str, run: int) -> bool:
        """Whether this run has it."""
        return (self.holder, self._run) == (service, run)

    def gone(self, service: str, run: int) -> list[Command]:
        """Nothing is left of the service's run."""
        if self._waiting.get(service) == run:
            del self._waiting[service]
        if not self.has(service, run):
            return []
        commands = self.take_back()
        for name, run in self._waiting.items():
            del self._waiting[name]
            return commands + self.asked(name, run)
        return commands

    def take_back(self) -> list[Command]:
        """From whoever has it."""
        holder, self.holder = self.holder, None
        return [ReclaimTerminal()] if holder is not None else []
