"""The wire format of the control socket: varlink, one JSON object and a NUL for each message.

    a call    {"method": "INTERFACE.METHOD", "parameters": {...}, "more": true, "oneway": true}
    a reply   {"parameters": {...}, "continues": true}, or {"error": "INTERFACE.ERROR", "parameters": {...}}

The specification is at https://varlink.org/Wire-Format.  All but `method` may be missing.  Whoever never
asks does not have this loaded.

Replies are pure ASCII: a byte of a name that is not UTF-8 comes as a lone surrogate, `\\udcff` for 0xff
(PEP 383).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

LONGEST = 65_536
"""Bytes of a call."""


class Call(NamedTuple):
    """What is asked."""

    method: str
    parameters: Mapping[str, Any]
    more: bool
    oneway: bool


def parse(data: bytes) -> Call | None:
    """One call, without the NUL; None for what is none."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if type(said) is not dict or type(said.get("method")) is not str or said.get("upgrade"):
        return None
    parameters = said.get("parameters")
    parameters = {} if parameters is None else parameters
    if type(parameters) is not dict:
        return None
    return Call(said["method"], parameters, said.get("more") is True, said.get("oneway") is True)


def reply(parameters: Mapping[str, Any], error: str = "", continues: bool = False) -> bytes:
    """One reply, with the NUL."""
    message: dict[str, Any] = {"error": error} if error else {}
    message["parameters"] = parameters
    if continues:
        message["continues"] = True
    return json.dumps(message, default=str).encode("ascii") + b"\0"
