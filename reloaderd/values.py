"""Turns what a person wrote for one option into a checked value.

Every function takes the text and returns the value or raises `BadValue`; none knows which option,
file or line the text came from, so that whoever calls can name the place.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Container

from reloaderd.settings import AUTO, On, Probe

LONGEST_TIME = 2**31 // 1000
"""Seconds, 24.8 days: epoll_wait(2) takes its timeout as an int of milliseconds."""

SHORTEST_INTERVAL = 0.010
"""Seconds between two looks at everything: a look takes milliseconds itself."""

LONGEST_NAME = 64
"""Characters: NAME is a part of a socket's path, and unix(7) allows that 107 bytes in all."""

HIGHEST_PORT = 65535

ADDRESS_HINT = "for example 8000, 127.0.0.1:8000, [::1]:8000, localhost:8000, or a path: app.sock, /run/app"

PROBE_HINT = "for example http://127.0.0.1:8000/health or tcp://127.0.0.1:8000"

_URL = re.compile(r"([^:/]*)://(\[[^]/?]*\]|[^:/?]*)(:[^/?]*)?(.*)")
_TIME = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|min|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}
_TIME_HINT = "a TIME is 50ms, 1.5s, 2min, 1h or a number of seconds"


class BadValue(ValueError):
    """The text is not a value of its kind.  `message` says why, `hint` what would be one."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def time(text: str) -> float:
    """A TIME in seconds: `50ms`, `1.5s`, `2min`, `1h`, or a number of seconds."""
    if text.startswith("-"):
        raise BadValue("a time cannot be negative", _TIME_HINT)
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadValue("not a time", _TIME_HINT)
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST_TIME:
        raise BadValue("too long", f"the longest is {LONGEST_TIME} seconds")
    return seconds


def ready(text: str) -> float | str | Probe:
    """`serves`, `notify`, a time in seconds, or the URL to ask."""
    if text in ("serves", "notify"):
        return text
    if ":" in text or "/" in text:
        return _probe(text)
    try:
        return time(text)
    except BadValue as fault:
        raise BadValue(fault.message, f"{fault.hint}; or serves, notify, or a URL") from None


def _probe(text: str) -> Probe:
    """`http://HOST[:PORT]/PATH`, or `tcp://HOST:PORT`."""
    if not all("!" <= one <= "~" for one in text):
        raise BadValue("a URL has no spaces, and ASCII alone", "write other characters as in %20 or %C3%BC")
    if text.startswith(("unix:", "http+unix:", "http://unix:")) or text.endswith(".sock"):
        raise BadValue("a Unix socket is not asked", "serves and notify work there, too")
    match = _URL.fullmatch(text)
    if match is None:
        raise BadValue("not a URL", PROBE_HINT)
    scheme, host, port, path = match[1].lower(), match[2], match[3] or "", match[4]
    if scheme == "https":
        mend = "tcp://HOST:PORT wants a connection alone; or ask by http:// at a port without TLS"
        raise BadValue("TLS is not spoken here", mend)
    if scheme not in ("http", "tcp"):
        raise BadValue(f"no such scheme: {scheme or 'none'}", PROBE_HINT)
    if "@" in host + port:
        raise BadValue("nobody logs in there", "leave out what stands before the @, and the @")
    if "#" in path:
        raise BadValue("what follows a # is never asked for", "leave it out, and the #")
    if scheme == "tcp" and path:
        raise BadValue("tcp:// asks for nothing", f"leave out {path}, or ask for it by http://")
    if scheme == "tcp" and not port:
        raise BadValue("no port", f"name one: tcp://{host or '127.0.0.1'}:8000")
    address = f"{_probed_host(host)}:{_probed_port(port or ':80')}"
    path = path if path[:1] != "?" else f"/{path}"
    return Probe(text, address, host + port, path or "/" if scheme == "http" else "")


def _probed_host(text: str) -> str:
    if text.endswith(".localhost"):  # which is this machine, too (RFC 6761, 6.3)
        text = "localhost"
    try:
        return _host(text)
    except BadValue:
        mend = "localhost or an IP address, of IPv6 in brackets: other names are not looked up"
        raise BadValue(f"not a host: {text or 'none'}", mend) from None


def _probed_port(text: str) -> int:
    port = text[1:]
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 < int(port) <= HIGHEST_PORT:
        raise BadValue(f"no such port: {port or 'none'}", f"a port is a number from 1 to {HIGHEST_PORT}")
    return int(port)


def debounce(text: str) -> float | None:
    """`auto`, or a quiet time in seconds."""
    if text == "auto":
        return AUTO
    try:
        return time(text)
    except BadValue as fault:
        raise BadValue(fault.message, f"{fault.hint}; or auto") from None


def signal_number(text: str) -> int:
    """A signal by name with or without SIG, in any case, or by number."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if number in signal.valid_signals():
            return number
    else:
        name = text.upper()
        found = signal.Signals.__members__.get(name if name.startswith("SIG") else "SIG" + name)
        if found is not None:
            return int(found)
    raise BadValue("no such signal", "for example TERM, SIGINT, HUP, QUIT, USR1 or 15")


def on(text: str) -> On:
    """`GLOB=ACTION`; the last `=` divides, as an ACTION has none."""
    glob, equals, action = text.rpartition("=")
    if not equals or not glob:
        raise BadValue("not GLOB=ACTION", "for example '*.css=ignore' or 'app.conf=signal:HUP'")
    verb, colon, name = action.partition(":")
    if verb == "signal" and colon:
        return On(pattern(glob), verb, signal_number(name))
    if action in ("restart", "ignore", "notify"):
        return On(pattern(glob), action)
    raise BadValue(f"no such action: {action}", "an ACTION is restart, ignore, notify or signal:NAME")


def pattern(text: str) -> str:
    """A gitignore pattern that can match something."""
    if not text.strip("/! "):
        raise BadValue("an empty pattern", "for example '*.py', 'build/' or '/docs/**/*.md'")
    if "\n" in text or "\0" in text:
        raise BadValue("a pattern cannot hold a newline", "repeat the option for each pattern")
    return text


def endings(text: str) -> tuple[str, ...]:
    """Comma-separated endings, without the leading `.` or `*.` that they may be written with."""
    found = []
    for part in text.split(","):
        ending = part.strip().removeprefix("*").removeprefix(".")
        if not ending or ending in found:
            continue
        if "/" in ending or "*" in ending:
            raise BadValue(f"not an ending: {part.strip()}", "a pattern goes with --filter")
        found.append(ending)
    if not found:
        raise BadValue("no endings", "for example py,html")
    return tuple(found)


def variable(text: str) -> tuple[str, str]:
    """`KEY=VALUE`.  A fault never repeats the value: it may be a secret."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadValue("not KEY=VALUE", "for example PORT=8000")
    return key, value


def name(text: str) -> str:
    """A NAME: what a directory may be called, without surprises for a shell or a socket's path."""
    if not re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9_.@-]*", text):
        raise BadValue("not a NAME", "letters, digits and _ . @ - in it, no . or - in front")
    if len(text) > LONGEST_NAME:
        raise BadValue("too long", f"a NAME has at most {LONGEST_NAME} characters")
    return text


def name_of_directory(path: str) -> str:
    """The NAME that a service in this directory gets: its last component, cleaned."""
    cleaned = re.sub(r"[^A-Za-z0-9_.@-]+", "-", path.rpartition("/")[2])
    return cleaned.lstrip(".-")[:LONGEST_NAME].rstrip("-") or "reloaderd"


def name_of_file(path: str, usual: Container[str]) -> str:
    """The NAME of a reloaderd with this configuration file: its own, or its directory's."""
    directory, _, name = path.rpartition("/")
    return name_of_directory(directory if name in usual else name.removesuffix(".toml"))


def restart_status(text: str) -> int | None:
    """An exit status from 0 to 255, or `none`."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= 255):
        raise BadValue("not an exit status", "a number from 0 to 255, or none")
    return int(text)


def address(text: str) -> str:
    """Where to listen, written in one way: `IP:PORT`, `[IPV6]:PORT`, or a path, which has a / in it."""
    host, colon, port = text.rpartition(":")
    if "/" in text:
        if text.endswith("/") or "://" in text:
            raise BadValue("neither an address nor the path of a socket", ADDRESS_HINT)
        return text
    if text.endswith(".sock") and text != ".sock":
        return f"./{text}"
    if not colon:
        host = "localhost"
    if not (port.isascii() and port.isdigit()):
        raise BadValue("not an address", ADDRESS_HINT)
    if len(port) > 5 or int(port) > HIGHEST_PORT:
        raise BadValue("no such port", f"a port is a number from 0 (a free one) to {HIGHEST_PORT}")
    return f"{_host(host)}:{int(port)}"


def _host(text: str) -> str:
    """An IP address in the way that the kernel's are written."""
    import _socket

    if text == "localhost":
        return "127.0.0.1"
    v6 = text.startswith("[") and text.endswith("]")
    family = _socket.AF_INET6 if v6 else _socket.AF_INET
    try:
        packed = _socket.inet_pton(family, text[1:-1] if v6 else text)
    except OSError:
        mend = "an IPv6 address is in brackets: [::1]:8000" if ":" in text else ADDRESS_HINT
        raise BadValue("not an IP address", mend) from None
    shown = _socket.inet_ntop(family, packed)
    return f"[{shown}]" if v6 else shown


def count(text: str) -> int:
    """A number from 1 on."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
        raise BadValue("not a number", "for example 10")
    return int(text)


def interval(text: str) -> float:
    """A TIME between two looks: what does not wait at all would never rest."""
    seconds = time(text)
    if seconds < SHORTEST_INTERVAL:
        raise BadValue("too short", f"the shortest is {SHORTEST_INTERVAL * 1000:.0f}ms")
    return seconds


class Choice:
    """A check for one of `words`."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words

    def __call__(self, text: str) -> str:
        """The word, if it is one of them."""
        if text not in self.words:
            most = ", ".join(self.words[:-1])
            raise BadValue("no such choice", f"choose {' or '.join(filter(None, (most, self.words[-1])))}")
        return text


def choice(*words: str) -> Choice:
    """A check for one of `words`."""
    return Choice(words)
