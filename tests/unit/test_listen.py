"""`--listen` and the key `listen`: which addresses a service ends up with, and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reloaderd import cli
from reloaderd.errors import ReloaderdError
from reloaderd.settings import Settings, is_any_port
from reloaderd.wording import Wording

WEB = '[service.web]\ncommand = "web"\n'
MAIL = '[service.mail]\ncommand = "mail"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    monkeypatch.chdir(project)
    return project


def listened(*words: str, file: str = "", at: str = "reloaderd.toml") -> dict[str, tuple[str, ...]]:
    if file:
        Path(at).write_text(file)
        Path(at).chmod(0o644)
        words = (*words, "--config", at) if "/" in at else words
    parsed = cli.parse(["watch", *words] if file else ["watch", *words, "--", "true"])
    assert isinstance(parsed, Settings)
    return {one.name: one.listen for one in parsed.services}


def refused(*words: str, file: str = "") -> tuple[int, list[str]]:
    with pytest.raises(ReloaderdError) as caught:
        listened(*words, file=file)
    return caught.value.exit_code, list(caught.value.lines)


def test_on_the_command_line(here: Path) -> None:
    words = (
        "--listen",
        "8000",
        "--listen=[::1]:8000",
        "--listen=a.sock",
        "--listen=../b",
        "--listen=/c/../d",
    )
    addresses = ("127.0.0.1:8000", "[::1]:8000", f"{here}/a.sock", f"{here.parent}/b", "/d")
    assert listened(*words) == {"project": addresses}
    assert listened() == {"project": ()}
    assert listened("--listen=0", "--listen=0") == {"project": ("127.0.0.1:0",) * 2}


def test_in_the_file(here: Path) -> None:
    assert listened(file=WEB + "listen = 8000\n") == {"web": ("127.0.0.1:8000",)}
    assert listened(file=WEB + "listen = [0, 'a.sock', '[::1]:1']\n" + MAIL) == {
        "web": ("127.0.0.1:0", f"{here}/a.sock", "[::1]:1"),
        "mail": (),
    }
    assert listened(file=WEB + "listen = 'a.sock'\n", at="conf/my.toml") == {"web": (f"{here}/conf/a.sock",)}
    assert listened(file=WEB + "listen = '~/a'\n") == {"web": (os.path.expanduser("~/a"),)}
    assert listened("--listen=b.sock", file=WEB + "listen = 'a.sock'\n", at="conf/my.toml") == {
        "web": (f"{here}/b.sock",)
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("true", "must be a string, not true or false"),
        ("1.5", "must be a string, not a number"),
        ("[8000, 'x y']", "x y: not an address"),
        ("70000", "70000: no such port"),
        ("[8000, 'localhost:8000']", "127.0.0.1:8000 is given twice (leave one of them out)"),
        (f"'/{'x' * 107}'", "too long"),
    ],
)
def test_faults_of_the_file(value: str, said: str) -> None:
    status, [line] = refused(file=f"{WEB}listen = {value}\n")
    assert status == 78
    assert line.startswith("reloaderd.toml:3: service.web.listen: ")
    assert said in line


def test_faults_of_the_command_line() -> None:
    assert refused("--listen=x") == (
        2,
        [
            "--listen x: not an address (for example 8000, 127.0.0.1:8000, [::1]:8000, localhost:8000, or a "
            "path: app.sock, /run/app)"
        ],
    )
    status, [line] = refused("--listen=8000", "--listen=localhost:8000")
    assert (status, line) == (2, "127.0.0.1:8000 is given twice (leave one of them out)")
    status, [line] = refused(f"--listen=/{'x' * 107}")
    assert status == 2 and "at most 107 bytes" in line
    assert listened(f"--listen=/{'x' * 106}")


def test_two_services_cannot_listen_at_one_place() -> None:
    file = f"{WEB}listen = 8000\n{MAIL}listen = 'localhost:8000'\n"
    status, [line] = refused(file=file)
    assert status == 78
    assert line == "reloaderd.toml: web and mail both listen on 127.0.0.1:8000 (leave it to one of them)"
    assert listened("mail", file=file) == {"mail": ("127.0.0.1:8000",)}  # as the other one is not run
    assert listened(file=file.replace("8000", "0"))


def test_port_0_is_any() -> None:
    assert is_any_port("127.0.0.1:0") and is_any_port("[::]:0")
    assert not is_any_port("127.0.0.1:80") and not is_any_port("/run/x:0")


def test_what_is_said() -> None:
    wording = Wording(False, "/p")
    fields = {"address": "127.0.0.1:8000", "inherited": False}
    assert wording.say("listening", "web", fields)[0] == "listening on 127.0.0.1:8000"
    text = wording.say("listening", "web", {**fields, "inherited": True})[0]
    assert text == "listening on 127.0.0.1:8000 (handed to us)"
