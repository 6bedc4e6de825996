"""The thread in which a Python program listens to reloaderd, by the protocol of reloaderd.kernel.listeners.

- A path that no callback is for, and one whose callback failed, is a restart: reloaderd is told of both.
- Where nobody can be told (no reloaderd, or one that has gone) nothing is remembered and nothing is raised.
- A forked process has the connection of its parent, and the parent answers: it lets go of it.
- It is a part of other people's programs: little is imported.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable

LONGEST = 65_536
"""Bytes of a packet: see reloaderd.kernel.listeners."""

PATIENCE = 5.0
"""Seconds until a reloaderd that was stopped, and so takes no connection, is taken for none."""

Match = Callable[[str], bool]
Callback = Callable[[str], object]


def listen(matches: Match, callback: Callback) -> None:
    """Have `callback(path)` called for changed paths that match.  The first call starts the thread."""
    with _state.lock:
        first = _state.listener is None
        listener = _connected() if _state.listener is None else _state.listener
        if listener is not None:
            listener.entries.append((matches, callback))
            _state.listener = listener
            if first:
                listener.start()


def told() -> list[str]:
    """What reloaderd has told: the path of its socket, then those that it watches."""
    parts = os.environ.get("RELOADERD_AGENT", "").split("\n")
    return [part.replace("%0A", "\n").replace("%25", "%") for part in parts if part]


class Listener(threading.Thread):
    """The thread that listens, and the callbacks it is for."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(name="reloaderd", daemon=True)
        self.connection = connection
        self.entries: list[tuple[Match, Callback]] = []

    def run(self) -> None:
        """Until reloaderd is gone."""
        import json

        try:
            while data := self.connection.recv(LONGEST + 1):
                notice = json.loads(data)
                unhandled: list[str] = []
                failed: list[str] = []
                for path in notice["paths"]:
                    {True: [], False: failed, None: unhandled}[self._call(path)].append(path)
                answer = {"notify": notice["notify"], "unhandled": unhandled, "failed": failed}
                self.connection.send(json.dumps(answer).encode("ascii"))
        except OSError:
            pass
        finally:
            self.connection.close()
            with _state.lock:
                if _state.listener is self:
                    _state.listener = None

    def _call(self, path: str) -> bool | None:
        """Whether the callbacks took `path` in; None where none of them is for it."""
        result = None
        for matches, callback in tuple(self.entries):
            if not matches(path):
                continue
            try:
                took = callback(path) is not NotImplemented
            except BaseException:
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self)))
                return False
            result = took or result
        return result


class _State:
    """Of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.listener: Listener | None = None


_state = _State()


def _connected() -> Listener | None:
    """Tell reloaderd that this process listens; None where there is none."""
    service, run, parts = os.environ.get("RELOADERD"), os.environ.get("RELOADERD_RUN", ""), told()
    if not (service and run.isdecimal() and parts):
        return None
    import json

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(parts[0])
        connection.send(json.dumps({"service": service, "run": int(run), "listen": True}).encode("ascii"))
        connection.settimeout(None)
    except OSError:
        connection.close()
        return None
    return Listener(connection)


def _after_fork() -> None:
    """In the new process: the thread is not there, and the connection is the parent's."""
    global _state
    former, _state = _state, _State()
    if former.listener is not None:
        former.listener.connection.close()


os.register_at_fork(after_in_child=_after_fork)
