"""Speaks with one reloaderd by its control socket.

Facts
- Who listens can be known without being asked: SO_PEERCRED of the connected socket (kernel.runtime).
- connect(2) waits for SO_SNDTIMEO while as many wait to be accepted as may; a socket that does not block, or
  that Python gave a timeout, is told EAGAIN at once.
- A process that is stopped (SIGSTOP) still has connections made to it by the kernel, and answers nothing.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reloaderd.errors import ReloaderdError
from reloaderd.kernel import claim, runtime

PATIENCE = 5.0
"""Seconds until one that does not answer is taken for stopped: it answers in milliseconds, and after a look
at a large tree in a second."""

MOMENT = 1.0
"""Seconds from the end of a connection to that of the process: it needs milliseconds."""

EX_FAILURE = 1
"""Exit status where it runs and does not do what it is asked."""

EX_NOT_RUNNING = 3
"""Exit status where none of that name runs: the one of `systemctl status`."""

Fields = dict[str, Any]


class Answer(Fields):
    """What the instance called `name` told, or a part of that.  What it lacks is of another version."""

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self._name = name

    def __missing__(self, key: str) -> Any:
        message = f"{self._name} is of another version: it does not tell {key}"
        raise ReloaderdError(message, "restart it", exit_code=EX_FAILURE)


class Failure(Exception):
    """The answer was an error: its name and parameters."""

    def __init__(self, error: str, parameters: Mapping[str, Any]) -> None:
        super().__init__(error)
        self.error = error
        self.parameters = parameters


class Connection:
    """One connection to the instance called `name`.

    Raises OSError where nobody listens, ReloaderdError where nobody answers.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._path = path
        self._rest = b""
        self.pid = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(PATIENCE), 0))
        try:
            self._socket.connect(path)
            self._socket.settimeout(PATIENCE)
            self.pid, uid = runtime.peer(self._socket)
            if uid not in (os.geteuid(), 0):
                raise PermissionError(f"{path} is another user's")
        except BlockingIOError:  # so many wait already
            self._socket.close()
            raise self._silent() from None
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, method: str, **parameters: Any) -> Fields:
        """The answer.  Raises Failure for an error, ReloaderdError where there is no answer."""
        try:
            self._say(method, parameters, more=False)
            answer = self._hear()
        except TimeoutError:
            raise self._silent() from None
        except OSError:
            answer = None
        if answer is None:
            why = "did it end, or was another version installed since it was started?"
            raise ReloaderdError(f"{self.name} hung up before it answered", why, exit_code=EX_FAILURE)
        return answer

    def follow(self, method: str) -> Iterator[Fields]:
        """The answers to a method that has many, until it ends."""
        try:
            self._say(method, {}, more=True)
            self._socket.settimeout(None)
            while (answer := self._hear()) is not None:
                yield answer
        except TimeoutError:
            raise self._silent() from None
        except OSError:  # it was killed
            return

    def still_runs(self) -> bool:
        """Whether it goes on, though it hung up on us."""
        return not self._ends_within(MOMENT) and claim.listener(self._path) == self.pid

    def wait_for_end(self) -> None:
        """Until the process is gone."""
        self._socket.settimeout(None)
        try:
            while self._socket.recv(4096):
                pass
        except OSError:
            pass
        self._ends_within(None)

    def _ends_within(self, seconds: float | None) -> bool:
        """Whether it is gone by then: its end of the connection closes a moment before."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except (OSError, ValueError):  # it is already, or it is in a namespace that we do not see
            return True
        try:
            poll = select.poll()  # select(2) knows no descriptor from 1,024 on
            poll.register(pidfd, select.POLLIN)
            return bool(poll.poll(None if seconds is None else seconds * 1000))
        finally:
            os.close(pidfd)

    def _say(self, method: str, parameters: Mapping[str, Any], more: bool) -> None:
        call: Fields = {"method": f"io.reloaderd.{method}", "parameters": parameters}
        if more:
            call["more"] = True
        self._socket.sendall(json.dumps(call).encode("ascii") + b"\0")

    def _hear(self) -> Fields | None:
        """The parameters of the next answer; None where it hung up."""
        while b"\0" not in self._rest:
            data = self._socket.recv(1 << 16)
            if not data:
                return None
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        try:
            said = dict(json.loads(text, object_hook=lambda fields: Answer(self.name, fields)))
            parameters, error = dict(said.get("parameters") or {}), str(said.get("error") or "")
        except (TypeError, ValueError):
            raise ReloaderdError(
                f"{self.name} says what is no answer",
                f"no reloaderd listens at {self._path}, but pid {self.pid}",
                exit_code=EX_FAILURE,
            ) from None
        if error:
            raise Failure(error, parameters)
        return Answer(self.name, parameters)

    def _silent(self) -> ReloaderdError:
        who = f"pid {self.pid} is busy, or stopped" if self.pid else "it is busy, or stopped"
        return ReloaderdError(f"{self.name} does not answer", who, exit_code=EX_FAILURE)


def connections(silent: list[ReloaderdError]) -> Iterator[Connection]:
    """One to each instance of this user's that runs; to `silent` goes which do not take one."""
    for name, path in claim.instances():
        try:
            connection = Connection(name, path)
        except OSError:  # it was killed, or has just ended
            continue
        except ReloaderdError as error:
            silent.append(error)
            continue
        yield connection


def each(
    running: Iterable[Connection], method: str, silent: list[ReloaderdError], **given: Any
) -> list[Fields]:
    """The answers, each with the `name` of who gave it; to `silent` goes why there is none."""
    answers: list[Fields] = []
    for one in running:
        try:
            answers.append(Answer(one.name, {"name": one.name, **one.call(method, **given)}))
        except Failure as failure:
            silent.append(in_words(failure))
        except ReloaderdError as error:
            silent.append(error)
    return answers


def in_words(failure: Failure) -> ReloaderdError:
    """For a person."""
    error, given = failure.error.rpartition(".")[2], failure.parameters
    if error == "DryRun":
        return ReloaderdError("there is nothing to restart: it is a --dry-run", "", EX_FAILURE)
    if error == "NoSuchService":  # it went since we asked
        return ReloaderdError(f"it has no service {given.get('service')} any more", "", EX_NOT_RUNNING)
    if error == "Failed":
        message = f"it cannot answer: {given.get('reason')}"
        return ReloaderdError(message, "was another version installed since it was started?", EX_FAILURE)
    if error in ("MethodNotFound", "InvalidParameter", "InterfaceNotFound"):
        return ReloaderdError("it is of another version and does not know that", "restart it", EX_FAILURE)
    return ReloaderdError(f"it says {failure.error}", "", EX_FAILURE)
