"""A service manager as far as a service speaks to it: what listens behind NOTIFY_SOCKET."""

from __future__ import annotations

import select
import socket

from tests.support.waiting import LIMIT


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
