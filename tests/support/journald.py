"""A journald as far as a program speaks to it: what listens on its socket, and reads entries."""

from __future__ import annotations

import fcntl
import os
import select
import socket

from tests.support.waiting import LIMIT, wait_until

Entry = dict[str, list[bytes]]

SEALED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def parse(data: bytes) -> Entry:
    """Each name with all its values."""
    entry: Entry = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, assigned, value = line.partition(b"=")
        if not assigned:
            size = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + size], data[8 + size :]
            assert data[:1] == b"\n"
            data = data[1:]
        entry.setdefault(name.decode("ascii"), []).append(value)
    return entry


class Journald:
    """Listens at `path`; `entries` are those that came by now, `large` how many of them as a memfd."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(LIMIT)
        self.entries: list[Entry] = []
        self.large = 0

    def refresh(self) -> None:
        """Take in what has come."""
        while select.select([self.socket], [], [], 0)[0]:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 4)
            if descriptors:
                [memory] = descriptors
                assert not data, "with a descriptor there is no payload"
                assert fcntl.fcntl(memory, fcntl.F_GET_SEALS) == SEALED
                size = os.fstat(memory).st_size
                data = os.pread(memory, size, 0)
                assert len(data) == size
                os.close(memory)
                self.large += 1
            self.entries.append(parse(data))

    def messages(self) -> list[str]:
        """The text of each entry."""
        self.refresh()
        return [entry["MESSAGE"][0].decode() for entry in self.entries]

    def of(self, event: str) -> list[Entry]:
        """The entries of one event."""
        self.refresh()
        return [entry for entry in self.entries if entry["RELOADERD_EVENT"] == [event.encode()]]

    def wait(self, event: str, count: int = 1) -> Entry:
        """Wait until there were so many; the last of them."""
        wait_until(lambda: len(self.of(event)) >= count, f"{count} {event}", explain=self.entries.__repr__)
        return self.of(event)[count - 1]

    def close(self) -> None:
        self.socket.close()
