"""Makes text fit to be shown: nothing in it is obeyed by a terminal or ends a line."""

from __future__ import annotations

import re

# C0, DEL, C1; line and paragraph separators; bidirectional controls, which reorder the rest of the
# line (Unicode TR 36, 2.5); surrogates, which stand for the bytes of a name that is not UTF-8
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str) -> str:
    """The text without anything that a terminal obeys: `\\x1b`, `\\u202e`, a foreign byte as `\\xff`."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape (PEP 383): the byte itself
        return f"\\x{code - 0xDC00:02x}"
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
