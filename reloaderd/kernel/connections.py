"""The TCP connections of this network namespace, and when something was last sent over them: sock_diag(7).

Facts
- A request SOCK_DIAG_BY_FAMILY with NLM_F_DUMP is answered by a message for each socket of the family that is
  in one of the states asked for; NLMSG_DONE is the last.  Any user may ask.
- Without NLM_F_DUMP it is answered by the one socket that has these addresses, or else by the one that
  listens there; by ENOENT where there is neither.  A cookie of ones is not looked at.
- struct inet_diag_msg has the ports in network order, in idiag_rqueue the bytes that were received and not
  read, in idiag_wqueue those that were written and not acknowledged, and the inode: 0 for a connection that
  nobody has accepted yet, or has open any more.
- With TCP_DEFER_ACCEPT (tcp(7)) a connection is in SYN_RECV, and nobody can accept it, until data has come.
- struct tcp_info, which comes with it, counts milliseconds since data was sent last and since it was received
  last, from the making of the connection where there was none, in ticks of the kernel (CONFIG_HZ: 4 ms at
  250); and segments with data both ways (Linux 4.6).
"""

from __future__ import annotations

import _socket
import errno
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
INET_DIAG_INFO = 2
TCP_SYN_RECV, TCP_LISTEN = 3, 10
TCP_ESTABLISHED, TCP_CLOSE_WAIT = 1, 8
"""Ours to answer: the other side may have said all that it has to say, but has not been told all."""

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, pid
_REQUEST = struct.Struct("=BBBxI48s")  # struct inet_diag_req_v2: family, protocol, extensions, states, id
_ID = struct.Struct("!HH16s16sIQ")  # struct inet_diag_sockid: sport, dport, src, dst, if, cookie
_MESSAGE = struct.Struct("=xB2x2s50xIIII")  # struct inet_diag_msg: state, sport, rqueue, wqueue, uid, inode
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_TIMES = struct.Struct("=44xI4xI")  # struct tcp_info: tcpi_last_data_sent, tcpi_last_data_recv
_SEGMENTS = struct.Struct("=152xII")  # tcpi_data_segs_in, tcpi_data_segs_out


class Connection(NamedTuple):
    """One: our port, bytes that wait in it, segments with data, and the seconds since the last of them."""

    inode: int
    port: int
    unread: int
    unsent: int
    received: int
    sent: int
    since_received: float
    since_sent: float


def connections() -> list[Connection]:
    """All that are open on our side, by IPv4 and IPv6.  Raises OSError where the kernel does not tell."""
    found: list[Connection] = []
    with _Closing() as one:
        for family in (_socket.AF_INET, _socket.AF_INET6):
            states = 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT
            request = _REQUEST.pack(family, _socket.IPPROTO_TCP, 1 << INET_DIAG_INFO - 1, states, b"")
            one.ask(request, NLM_F_REQUEST | NLM_F_DUMP)
            found += _answers(one)
    return found


def far_end(ours: Any) -> tuple[int, int] | None:
    """The state and the inode of the other end of a connection of ours; None where it is not here any more.

    Raises OSError where ours is not connected, or the kernel does not tell.
    """
    there, here = ours.getpeername(), ours.getsockname()
    source, target = (_socket.inet_pton(ours.family, host).ljust(16, b"\0") for host, *_ in (there, here))
    name = _ID.pack(there[1], here[1], source, target, 0, 2**64 - 1)
    with _Closing() as one:
        one.ask(_REQUEST.pack(ours.family, _socket.IPPROTO_TCP, 0, 0, name), NLM_F_REQUEST)
        [(kind, data)] = _parts(one.recv(65536), _HEADER)
    if kind == NLMSG_ERROR:
        number = -int.from_bytes(data[:4], "little", signed=True)
        if number == errno.ENOENT:
            return None
        raise OSError(number, "sock_diag")
    state, _, _, _, _, inode = _MESSAGE.unpack_from(data)
    return None if state == TCP_LISTEN else (state, inode)


class _Closing(_socket.socket):
    def __init__(self) -> None:
        super().__init__(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)

    def ask(self, request: bytes, flags: int) -> None:
        """Send it: what comes back is to be read."""
        self.send(_HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, flags, 0, 0) + request)

    def __enter__(self) -> _Closing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _answers(one: _Closing) -> Iterator[Connection]:
    while True:
        for kind, data in _parts(one.recv(65536), _HEADER):
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise OSError(-int.from_bytes(data[:4], "little", signed=True), "sock_diag")
            if (connection := _connection(data)) is not None:
                yield connection


def _parts(data: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Kinds and contents of what comes one after the other, each from a multiple of four on."""
    at = 0
    while at + header.size <= len(data):
        length, kind = header.unpack_from(data, at)[:2]
        yield kind, data[at + header.size : at + length]
        at += max(length + 3 & ~3, header.size)


def _connection(message: bytes) -> Connection | None:
    _, port, unread, unsent, _, inode = _MESSAGE.unpack_from(message)
    for kind, info in _parts(message[_MESSAGE.size :], _ATTRIBUTE):
        if kind == INET_DIAG_INFO and len(info) >= _SEGMENTS.size:
            since_sent, since_received = (ms / 1000 for ms in _TIMES.unpack_from(info))
            received, sent = _SEGMENTS.unpack_from(info)
            port = int.from_bytes(port, "big")
            return Connection(inode, port, unread, unsent, received, sent, since_received, since_sent)
    return None
