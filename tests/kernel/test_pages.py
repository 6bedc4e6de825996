"""What a copy of a process owns of its memory before it goes on."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from reloaderd.kernel import libc, pages

PAGES = 64
SIZE = PAGES * mmap.PAGESIZE


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """Memory that a fork shares until it is written to."""
    with mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for page in range(PAGES):
            memory[page * mmap.PAGESIZE] = page
        yield memory


@pytest.fixture
def forked() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Forks a process that does this and waits for its end; returns its pid when that is done."""
    pids = []

    def fork(act: Callable[[], object]) -> int:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            act()
            os.write(write, b"x")
            while True:
                signal.pause()
        pids.append(pid)
        assert os.read(read, 1) == b"x"
        os.close(read)
        os.close(write)
        return pid

    yield fork
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def own(pid: int, memory: mmap.mmap) -> list[int]:
    """Which of the pages of `memory` a process has for itself."""
    address = address_of(memory) // mmap.PAGESIZE
    found = pages._owned(pid, [(address, address + PAGES)])
    return [first - address + number for first, count in found for number in range(count)]


def address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def write(memory: mmap.mmap, numbers: list[int]) -> None:
    for number in numbers:
        memory[number * mmap.PAGESIZE + 1] = 99


Fork = Callable[[Callable[[], object]], int]

ZYGOTE = 17
WRITTEN = [0, 1, 2, 7, 40, PAGES - 1]


def test_a_copy_owns_what_the_first_has_written_to(memory: mmap.mmap, forked: Fork) -> None:
    habits = pages.Habits()
    first = forked(lambda: write(memory, WRITTEN))
    assert habits.give(ZYGOTE, first, 0) == 0, "nothing is known yet"
    second, third = forked(lambda: None), forked(lambda: None)
    assert own(first, memory) == WRITTEN and own(second, memory) == []
    assert habits.give(ZYGOTE, second, first) >= len(WRITTEN)
    assert own(second, memory) == WRITTEN
    assert habits.give(ZYGOTE, third, 0) >= len(WRITTEN)
    assert own(third, memory) == WRITTEN
    habits.give(ZYGOTE + 1, fourth := forked(lambda: None), third)
    assert own(fourth, memory) == [], "it is a copy of another process"


def test_nothing_is_learnt_of_one_that_is_no_copy(memory: mmap.mmap, forked: Fork) -> None:
    habits = pages.Habits()
    first = forked(lambda: None)
    habits.give(ZYGOTE, first, 0)
    stranger, second = forked(lambda: write(memory, WRITTEN)), forked(lambda: None)
    habits.give(ZYGOTE, second, stranger)
    assert own(second, memory) == []


def test_no_more_than_that(memory: mmap.mmap, forked: Fork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST", 5)
    habits = pages.Habits()
    habits.give(ZYGOTE, first := forked(lambda: write(memory, list(range(4, 40, 2)))), 0)
    assert habits.give(ZYGOTE, forked(lambda: None), first) == 5


def test_nothing_in_its_memory_is_another_then(memory: mmap.mmap, forked: Fork) -> None:
    habits = pages.Habits()
    habits.give(ZYGOTE, first := forked(lambda: write(memory, WRITTEN)), 0)
    habits.give(ZYGOTE, copy := forked(lambda: None), first)
    assert own(copy, memory) == WRITTEN
    with open(f"/proc/{copy}/mem", "rb", buffering=0) as file:
        file.seek(address_of(memory))
        assert file.read(SIZE) == bytes(memory)


def test_those_that_are_gone(memory: mmap.mmap, forked: Fork) -> None:
    habits = pages.Habits()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    habits.give(ZYGOTE, pid, 0)
    assert habits.give(ZYGOTE, first := forked(lambda: write(memory, WRITTEN)), pid) == 0
    assert habits.give(ZYGOTE, forked(lambda: None), first) >= len(WRITTEN)
    assert habits.give(ZYGOTE, pid, 0) == 0
    with pytest.raises(OSError, match="process_vm_writev"):
        libc.take_for_writing(pid, 1 << 20, mmap.PAGESIZE)
