"""Asks a server over and over, each time over a new connection, and notes what became of it.

A request is begun every `INTERVAL` s whatever became of those before, as browsers and their users do.  It has
ended when the answer is whole.

Facts
- An answer is whole with the last byte of its Content-Length, and one without that when the connection is
  closed (RFC 9112, 6.3).  Flask's server closes it 10 ms later, as the other side may still have something to
  say: whoever waits for an answer does not wait for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

INTERVAL = 0.005
"""Seconds: 200 requests a second."""

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

LIMIT = 20.0
"""Seconds for one request: longer than any tool here takes to have the server up again."""


class Asked(NamedTuple):
    """One request: when it was begun and ended (CLOCK_MONOTONIC, s), and the body or what went wrong."""

    began: float
    ended: float
    body: str
    fault: str = ""


class Prober:
    """Asks 127.0.0.1:`port` as long as it is open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()  # one has, since it was looked at all that have
        self.asked: list[Asked] = []

    async def __aenter__(self) -> Prober:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def wait(self, wanted: Callable[[Asked], bool], limit: float) -> Asked | None:
        """The first request that ends and is wanted; None where there is none within `limit` s."""
        seen = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while True:
                    self._ended.clear()
                    for one in self.asked[seen:]:
                        if wanted(one):
                            return one
                    seen = len(self.asked)
                    await self._ended.wait()
        return None

    async def _tick(self) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(self._ask())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due = max(due + INTERVAL, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _ask(self) -> None:
        began = time.monotonic()
        ended, body, fault = 0.0, "", ""
        try:
            async with asyncio.timeout(LIMIT):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(REQUEST)
                answer = await _whole(reader)
                ended = time.monotonic()
                writer.close()
            head, _, text = answer.partition(b"\r\n\r\n")
            body = text.decode("utf-8", "replace")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                fault = "no answer" if not answer else "an error"
        except ConnectionRefusedError:
            fault = "refused"
        except (OSError, TimeoutError) as error:
            fault = type(error).__name__
        self.asked.append(Asked(began, ended or time.monotonic(), body, fault))
        self._ended.set()


async def _whole(reader: asyncio.StreamReader) -> bytes:
    """An answer, or what there was of it when the connection was closed."""
    answer = b""
    while data := await reader.read(65536):
        answer += data
        head, end, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
        length = headers.get(b"content-length")
        if end and length is not None and len(body) >= int(length):
            break
    return answer
