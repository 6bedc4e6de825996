"""A service manager as far as a service speaks to it: what listens behind NOTIFY_SOCKET."""

from __future__ import annotations

import select
import socket
import sys

from tests.support.waiting import LIMIT, wait_until


class Manager:
    """What listens as a service manager does."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(LIMIT)

    def hear(self) -> str:
        return self.socket.recv(1 << 16).decode()

    def hear_with(self) -> tuple[str, list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 16, 253)
        return data.decode(), descriptors

    def hears_nothing(self) -> bool:
        return not select.select([self.socket], [], [], 0)[0]

    def close(self) -> None:
        self.socket.close()


class Hearing(Manager):
    """One that keeps what it heard: a dictionary a message."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.messages: list[dict[str, str]] = []
        self.pids: set[int] = set()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def refresh(self) -> None:
        """Take in what was said by now."""
        while not self.hears_nothing():
            data, ancillary, _, _ = self.socket.recvmsg(1 << 16, 100)
            self.messages.append(dict(line.split("=", 1) for line in data.decode().splitlines()))
            for _, kind, credentials in ancillary:
                assert kind == socket.SCM_CREDENTIALS
                self.pids.add(int.from_bytes(credentials[:4], sys.byteorder))

    def said(self, name: str, after: int = 0) -> list[str]:
        """The values of one variable, from message `after` on."""
        self.refresh()
        return [one[name] for one in self.messages[after:] if name in one]

    def mark(self) -> int:
        """A place among what was heard, for `after=`."""
        self.refresh()
        return len(self.messages)

    def wait(self, name: str, wanted: str | None = None, after: int = 0, count: int = 1) -> str:
        """Wait until it was said so often, with this in its value."""

        def heard() -> str | None:
            found = [one for one in self.said(name, after) if wanted is None or wanted in one]
            return (found[count - 1] or "''") if len(found) >= count else None

        return wait_until(heard, f"{name}={wanted}", explain=lambda: "\n".join(map(str, self.messages)))
