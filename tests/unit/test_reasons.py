from __future__ import annotations

import errno
import signal

import pytest

from reloaderd.core.reasons import signal_name, start_failure, watch_failure

UNNAMED = 9999
"""No errno of any kernel."""


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "no such file"),
        (errno.ENOTDIR, "not a directory"),
        (errno.EACCES, "executable"),
        (errno.ENOEXEC, "#!/bin/sh"),
        (errno.ETXTBSY, "being written"),
        (errno.E2BIG, "too long"),
        (errno.EAGAIN, "no more processes"),
        (errno.ENOMEM, "out of memory"),
        (errno.EMFILE, "open files in reloaderd"),
        (errno.ENFILE, "open files on this machine"),
    ],
)
def test_a_failed_start_is_told_in_words(number: int, words: str) -> None:
    assert words in start_failure(number)


@pytest.mark.parametrize(
    ("what", "mend"),
    [
        ("python app.py", " (it is one word, quoted: write several without the quotes, or add --shell)"),
        ("make&&./server", " (it is one word, quoted: write several without the quotes, or add --shell)"),
        ("cd", " (the shell alone knows it: add --shell)"),
        ("/bin/sh\r", " (the first line of the script ends in CR LF: save it with the line ends of Linux)"),
        ("pyhton", ""),
    ],
)
def test_a_command_that_is_not_there_is_told_with_the_mend(what: str, mend: str) -> None:
    assert start_failure(errno.ENOENT, what) == f"no such file or command{mend}"
    assert start_failure(errno.ENOTDIR, what) == start_failure(errno.ENOTDIR)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "once it is readable"),
        (errno.ENAMETOOLONG, "too long"),
    ],
)
def test_a_directory_that_cannot_be_watched_is_told_in_words(number: int, words: str) -> None:
    assert words in watch_failure(number)


@pytest.mark.parametrize(("number", "text"), [(errno.ELOOP, "error ELOOP"), (UNNAMED, f"error {UNNAMED}")])
def test_an_error_without_words_is_told_by_its_name_or_number(number: int, text: str) -> None:
    assert start_failure(number) == watch_failure(number) == text


@pytest.mark.parametrize(
    ("signum", "name"),
    [
        (signal.SIGTERM, "SIGTERM"),
        (15, "SIGTERM"),
        (signal.SIGRTMIN, "SIGRTMIN"),
        (signal.SIGRTMAX, "SIGRTMAX"),
        (signal.SIGRTMIN + 1, f"signal {signal.SIGRTMIN + 1}"),
        (0, "signal 0"),
    ],
)
def test_a_signal_is_told_by_its_name_where_it_has_one(signum: int, name: str) -> None:
    assert signal_name(signum) == name
