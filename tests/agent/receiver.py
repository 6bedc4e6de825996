"""Hears what agents say: a socket as the daemon has it, and all messages as one."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

from tests.support.waiting import wait_until

PACKET = 65536
KEYS = {"service", "run", "modules", "data", "own", "missing", "absent", "libraries"}


class Heard:
    """What the messages of all processes come to."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.modules: dict[str, list[Any]] = {}
        self.data: dict[str, list[Any]] = {}
        self.own: list[str] = []
        self.missing: list[str] = []
        self.absent: list[str] = []
        self.pythons = [message["python"] for message in messages if "python" in message]
        self.libraries = sum(message["libraries"] for message in messages)
        self.full = sum(bool(message.get("full")) for message in messages)
        for message in messages:
            assert message.keys() - {"python", "full"} == KEYS
            assert message["service"] == "web" and message["run"] == 7
            for entry in message["modules"]:
                self.modules.setdefault(entry[0], entry)
            for entry in message["data"]:
                self.data.setdefault(entry[0], entry)
            self.own += message["own"]
            self.missing += message["missing"]
            self.absent += message["absent"]


class Receiver:
    """Accepts and reads in a thread; `listen=False` leaves what comes in the queue."""

    def __init__(self, address: str, backlog: int = 4096, listen: bool = True) -> None:
        self.address = address
        self.messages: list[dict[str, Any]] = []
        self.marks = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(address)
        self.socket.listen(backlog)
        self.thread: threading.Thread | None = None
        if listen:
            self.read()

    def read(self) -> None:
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                packet, _, flags, _ = connection.recvmsg(PACKET)
            if flags & socket.MSG_TRUNC:
                self.messages.append({"too long": packet[:100]})
            elif packet == b"mark":
                self.marks += 1
            elif packet:
                self.messages.append(json.loads(packet))

    def forget(self) -> None:
        """Pass over all that was said until now."""
        self.heard()
        self.messages.clear()

    def heard(self) -> Heard:
        """All that was said until now: what comes through last is a mark of our own."""
        wanted = self.marks + 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as mark:
            mark.connect(self.address)
            mark.send(b"mark")
        wait_until(lambda: self.marks >= wanted, "the receiver to have read all")
        return Heard(list(self.messages))

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        if self.thread is not None:
            self.thread.join()
