"""Holds an answer to an interface description in varlink's language: only as much of that as is used here."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*|->|\[\]|[?(),:]")

Type = Any
"""("struct", {name: type}) ("enum", {words}) ("array", type) ("maybe", type), or the name of a type."""

_PLAIN = {"string": str, "int": int, "bool": bool, "object": dict}


class Interface:
    """One description, parsed."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(re.sub(r"#.*", "", text))
        self.types: dict[str, Type] = {}
        self.methods: dict[str, tuple[Type, Type]] = {}
        self.errors: dict[str, Type] = {}
        assert self._take() == "interface"
        self.name = self._take()
        while self._tokens:
            kind, name = self._take(), self._take()
            if kind == "type":
                self.types[name] = self._struct()
            elif kind == "error":
                self.errors[name] = self._struct()
            else:
                assert kind == "method", kind
                given = self._struct()
                assert self._take() == "->"
                self.methods[name] = given, self._struct()

    def _take(self) -> str:
        return self._tokens.pop(0)

    def _struct(self) -> Type:
        assert self._take() == "("
        fields: dict[str, Type] = {}
        while self._tokens[0] != ")":
            name = self._take()
            if self._tokens[0] == ":":
                self._take()
                fields[name] = self._type()
            else:
                fields[name] = None
            if self._tokens[0] == ",":
                self._take()
        self._take()
        if fields and all(one is None for one in fields.values()):
            return "enum", set(fields)
        return "struct", fields

    def _type(self) -> Type:
        if self._tokens[0] == "?":
            self._take()
            return "maybe", self._type()
        if self._tokens[0] == "[]":
            self._take()
            return "array", self._type()
        return self._struct() if self._tokens[0] == "(" else self._take()

    def faults(self, value: Any, wanted: Type, at: str = "") -> list[str]:
        """Where a value is not as it is described: nothing is missing, and nothing is there beside."""
        if isinstance(wanted, str):
            if wanted in self.types:
                return self.faults(value, self.types[wanted], at)
            if wanted == "float":
                return [] if type(value) in (int, float) else [f"{at}: {value!r} is no float"]
            return [] if type(value) is _PLAIN[wanted] else [f"{at}: {value!r} is no {wanted}"]
        kind, inner = wanted
        if kind == "maybe":
            return [] if value is None else self.faults(value, inner, at)
        if kind == "array":
            return [one for n, item in enumerate(value) for one in self.faults(item, inner, f"{at}[{n}]")]
        if kind == "enum":
            return [] if value in inner else [f"{at}: {value!r} is none of {sorted(inner)}"]
        found = [f"{at}: {name} is not described" for name in value.keys() - inner.keys()]
        found += [f"{at}: {name} is missing" for name in inner.keys() - value.keys()]
        for name in value.keys() & inner.keys():
            found += self.faults(value[name], inner[name], f"{at}.{name}")
        return found
