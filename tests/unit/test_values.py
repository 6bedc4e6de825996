"""Each kind of value: what is accepted, as what, and what is refused with which words."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from typing import Any

import pytest

from reloaderd import values
from reloaderd.settings import AUTO, On, Probe
from reloaderd.values import BadValue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("50ms", 0.05), ("1.5s", 1.5), ("2min", 120.0), ("1h", 3600.0)),
        *(("0", 0.0), ("0s", 0.0), ("3", 3.0), ("0.25", 0.25), (".5", 0.5), ("5.", 5.0), ("0.5ms", 0.0005)),
    ],
)
def test_time(text: str, seconds: float) -> None:
    assert math.isclose(values.time(text), seconds)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        *(("8000", "127.0.0.1:8000"), ("0", "127.0.0.1:0"), ("localhost:08000", "127.0.0.1:8000")),
        *(("127.0.0.1:80", "127.0.0.1:80"), ("0.0.0.0:65535", "0.0.0.0:65535")),
        *(("[::1]:8000", "[::1]:8000"), ("[0:0::0:1]:8000", "[::1]:8000"), ("[::]:0", "[::]:0")),
        *(("./app", "./app"), ("run/app.sock", "run/app.sock"), ("/run/x:1/y:0", "/run/x:1/y:0")),
        *(("app.sock", "./app.sock"), ("~/x", "~/x"), ("@a/b", "@a/b")),
    ],
)
def test_address(text: str, address: str) -> None:
    assert values.address(text) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *(("", "not an address"), ("localhost", "not an address"), ("app", "not an address")),
        *(("x:y", "not an address"), ("8000x", "not an address"), ("-1", "not an address")),
        *(("1e3", "not an address"), ("٣", "not an address"), ("8000\n", "not an address")),
        *(
            ("65536", "no such port"),
            ("127.0.0.1:99999999999", "no such port"),
            ("localhost:", "not an address"),
        ),
        *(
            (":8000", "not an IP address"),
            ("*:8000", "not an IP address"),
            ("example.org:80", "not an IP address"),
        ),
        *(
            ("::1:8000", "not an IP address"),
            ("[127.0.0.1]:80", "not an IP address"),
            ("1.2.3:4", "not an IP address"),
        ),
        *(("[::1%lo]:80", "not an IP address"), ("[]:80", "not an IP address"), (".sock", "not an address")),
        *(("run/", "neither"), ("http://127.0.0.1:8000", "neither"), ("http://localhost:8000/", "neither")),
    ],
)
def test_address_refuses(text: str, said: str) -> None:
    with pytest.raises(BadValue) as caught:
        values.address(text)
    assert caught.value.message.startswith(said)
    assert caught.value.hint


def test_an_ipv6_address_without_brackets_is_told_of_them() -> None:
    with pytest.raises(BadValue) as caught:
        values.address("::1:8000")
    assert "[::1]:8000" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "ms",
        ".",
        "-1",
        "-1s",
        "+1",
        "nan",
        "inf",
        "-inf",
        "1e3",
        "1 s",
        "1m",
        "1S",
        "1,5s",
        "٣",
        "1s\n",
    ],
)
def test_time_refuses(text: str) -> None:
    with pytest.raises(BadValue) as caught:
        values.time(text)
    assert "50ms" in caught.value.hint


def test_a_time_longer_than_a_loop_can_wait_is_refused() -> None:
    assert values.time(str(values.LONGEST_TIME)) == values.LONGEST_TIME
    for text in (str(values.LONGEST_TIME + 1), "600h", "9" * 400):
        with pytest.raises(BadValue, match="too long"):
            values.time(text)


def test_a_negative_time_is_called_so() -> None:
    with pytest.raises(BadValue, match="negative"):
        values.time("-5s")


def test_debounce() -> None:
    assert values.debounce("auto") is AUTO
    assert values.debounce("0") == 0.0
    with pytest.raises(BadValue) as caught:
        values.debounce("fast")
    assert "auto" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("TERM", signal.SIGTERM), ("SIGTERM", signal.SIGTERM), ("15", signal.SIGTERM)),
        *(("term", signal.SIGTERM), ("sigHup", signal.SIGHUP), ("RTMIN", signal.SIGRTMIN), ("40", 40)),
    ],
)
def test_signal_number(text: str, number: int) -> None:
    assert values.signal_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "-15", "65", "999", "SIG", "SIG_DFL", "SIGSIGTERM", "BOGUS", "15 ", "²"]
)
def test_signal_number_refuses(text: str) -> None:
    with pytest.raises(BadValue, match="no such signal"):
        values.signal_number(text)


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("*.css=ignore", On("*.css", "ignore")),
        ("a=b.py=restart", On("a=b.py", "restart")),
        ("/conf/*=signal:USR1", On("/conf/*", "signal", signal.SIGUSR1)),
        ("x=signal:1", On("x", "signal", signal.SIGHUP)),
        ("*.mo=notify", On("*.mo", "notify")),
    ],
)
def test_on(text: str, on: On) -> None:
    assert values.on(text) == on


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(("*.css", "GLOB=ACTION"), ("=ignore", "GLOB=ACTION"), ("x=", "no such action")),
        *(
            ("x=notify:TERM", "no such action: notify:TERM"),
            ("x=signal", "no such action"),
            ("x=ignore:TERM", "no such"),
        ),
        *(("x=signal:", "no such signal"), ("x=signal:NO", "no such signal"), ("/=ignore", "empty pattern")),
    ],
)
def test_on_refuses(text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        values.on(text)


@pytest.mark.parametrize("text", ["", "!", "/", " ", "//", "a\nb"])
def test_pattern_refuses(text: str) -> None:
    with pytest.raises(BadValue):
        values.pattern(text)


@pytest.mark.parametrize("text", ["*.py", "!keep.txt", "/docs/", "**/x", "-rf", "a b", "#x"])
def test_pattern(text: str) -> None:
    assert values.pattern(text) == text


@pytest.mark.parametrize(
    ("text", "endings"),
    [
        *(("py", ("py",)), ("py,html", ("py", "html")), (".py, *.html,", ("py", "html"))),
        *(("py,py", ("py",)), (".test.py", ("test.py",)), ("größe", ("größe",))),
    ],
)
def test_endings(text: str, endings: tuple[str, ...]) -> None:
    assert values.endings(text) == endings


@pytest.mark.parametrize("text", ["", ",", ".", "*", "src/*.py", "p*y"])
def test_endings_refuses(text: str) -> None:
    with pytest.raises(BadValue):
        values.endings(text)


def test_variable() -> None:
    assert values.variable("A=b=c") == ("A", "b=c")
    assert values.variable("A=") == ("A", "")
    for text in ("A", "=b", ""):
        with pytest.raises(BadValue, match="KEY=VALUE"):
            values.variable(text)


@pytest.mark.parametrize("text", ["web", "a.b-c_d@e", "_x", "9", "x" * values.LONGEST_NAME])
def test_name(text: str) -> None:
    assert values.name(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", ".x", "-x", "a/b", "a b", "ä", "a\n", "x" * 65])
def test_name_refuses(text: str) -> None:
    with pytest.raises(BadValue):
        values.name(text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("/home/me/web", "web"), ("/srv/My Project (2)", "My-Project-2"), ("/a/.hidden", "hidden")),
        *(
            ("/", "reloaderd"),
            ("/a/--", "reloaderd"),
            ("/a/\udcff\udcfe", "reloaderd"),
            ("/" + "y" * 99, "y" * 64),
        ),
    ],
)
def test_name_of_directory(path: str, name: str) -> None:
    assert values.name_of_directory(path) == name
    assert values.name(name) == name


def test_ready() -> None:
    assert [values.ready(text) for text in ("serves", "notify", "300ms", "2")] == [
        "serves",
        "notify",
        0.3,
        2.0,
    ]
    with pytest.raises(values.BadValue, match="not a time") as refused:
        values.ready("soon")
    assert refused.value.hint.endswith("or serves, notify, or a URL")


@pytest.mark.parametrize(
    ("text", "address", "host", "path"),
    [
        ("http://127.0.0.1:8000/health", "127.0.0.1:8000", "127.0.0.1:8000", "/health"),
        ("HTTP://localhost:8000", "127.0.0.1:8000", "localhost:8000", "/"),
        ("http://shop.localhost/a?b=c:d@e", "127.0.0.1:80", "shop.localhost", "/a?b=c:d@e"),
        ("http://[::1]:8000?x", "[::1]:8000", "[::1]:8000", "/?x"),
        ("http://[0::1]/%C3%BC", "[::1]:80", "[0::1]", "/%C3%BC"),
        ("http://0.0.0.0:8000//x://y", "0.0.0.0:8000", "0.0.0.0:8000", "//x://y"),
        ("tcp://localhost:8000", "127.0.0.1:8000", "localhost:8000", ""),
        ("tcp://[::]:1", "[::]:1", "[::]:1", ""),
    ],
)
def test_where_it_is_asked_whether_it_is_ready(text: str, address: str, host: str, path: str) -> None:
    assert values.ready(text) == Probe(text, address, host, path)


@pytest.mark.parametrize(
    ("text", "message", "mend"),
    [
        ("localhost:8000", "not a URL", "for example http://"),
        ("/health", "not a URL", "for example http://"),
        ("http:/", "not a URL", "for example http://"),
        ("ftp://127.0.0.1/", "no such scheme: ftp", "for example http://"),
        ("unix:/run/web.sock", "a Unix socket is not asked", "serves and notify"),
        ("http://unix:/run/web.sock:/health", "a Unix socket is not asked", "serves and notify"),
        ("./web.sock", "a Unix socket is not asked", "serves and notify"),
        ("://127.0.0.1/", "no such scheme: none", "for example http://"),
        ("https://127.0.0.1:8000/", "TLS is not spoken here", "tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "no port", "tcp://127.0.0.1:8000"),
        ("tcp://:8000", "not a host: none", "localhost or an IP address"),
        ("http:///health", "not a host: none", "localhost or an IP address"),
        ("http://example.org/", "not a host: example.org", "not looked up"),
        ("http://::1:8000/", "not a host: none", "of IPv6 in brackets"),
        ("http://[::1/", "not a host: [", "of IPv6 in brackets"),
        ("http://8000/", "not a host: 8000", "localhost or an IP address"),
        ("http://127.0.0.1:/", "no such port: none", "from 1 to 65535"),
        ("http://127.0.0.1:0/", "no such port: 0", "from 1 to 65535"),
        ("http://127.0.0.1:99999/", "no such port: 99999", "from 1 to 65535"),
        ("http://127.0.0.1:8000²/", "a URL has no spaces", "%20"),
        ("http://127.0.0.1:80x/", "no such port: 80x", "from 1 to 65535"),
        ("tcp://127.0.0.1:1/x", "tcp:// asks for nothing", "leave out /x"),
        ("http://127.0.0.1/a b", "a URL has no spaces", "%20"),
        ("http://127.0.0.1/a\r\nHost: b", "a URL has no spaces", "%20"),
        ("http://127.0.0.1/ü", "a URL has no spaces", "%C3%BC"),
        ("http://ada:secret@127.0.0.1/", "nobody logs in there", "before the @"),
        ("http://127.0.0.1/x#y", "what follows a #", "leave it out"),
    ],
)
def test_what_is_no_url_to_ask(text: str, message: str, mend: str) -> None:
    with pytest.raises(BadValue) as refused:
        values.ready(text)
    assert message in refused.value.message
    assert mend in refused.value.hint


def test_restart_status() -> None:
    assert values.restart_status("none") is None
    assert values.restart_status("3") == 3
    for text in ("256", "-1", "x", "", "3.0", "²"):
        with pytest.raises(BadValue):
            values.restart_status(text)


def test_an_interval_is_a_time_that_leaves_time_for_rest() -> None:
    assert values.interval("10ms") == 0.010
    assert values.interval("2s") == 2.0
    for text in ("0", "9ms", "soon"):
        with pytest.raises(BadValue):
            values.interval(text)


def test_choice_names_the_choices() -> None:
    check: Callable[[str], Any] = values.choice("tree", "group", "child")
    assert check("group") == "group"
    with pytest.raises(BadValue) as caught:
        check("TREE")
    assert caught.value.hint == "choose tree, group or child"
