"""Gives a process that waits the pages of memory ahead of time that it would copy when it goes on.

Facts
- fork(2) copies no page: each is copied when one of the two writes to it, at a fault of 1 to 2 µs.  A run of
  Django writes to 4,700 pages until it serves, as Python counts references in what it reads: a quarter of the
  time.  A copy of it writes to the same pages again.
- /proc/PID/pagemap has 8 bytes a page, 0 where there is no memory: bit 63 says that the page is present, bit
  56 that nobody else has it (Linux 4.2), so that it was written to since the fork.  Both are told to anybody
  who may trace the process, as its parent may.
- process_vm_writev(2) takes the pages as for a write before it reads what is to be written.  Where that
  cannot be read it fails with EFAULT and has written nothing: so whatever the process does meanwhile, nothing
  in its memory is another afterwards.  1,024 pages at most are taken before it reads.
- In /proc/PID/maps private memory that can be written has `rw-p`.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress

from reloaderd.kernel import libc

MOST = 1 << 14
"""Pages that one process is given, 64 MB: what large programs write to until they serve is less."""

AT_ONCE = 512
"""Pages of one call."""

OWN = 1 << 63 | 1 << 56


class Habits:
    """Which pages the copies of a process write to, learnt from the first of them that went on."""

    def __init__(self) -> None:
        self._copies: dict[int, int] = {}  # the latest one, by what it is a copy of
        self._learnt: dict[int, list[tuple[int, int]]] = {}

    def give(self, of: int, copy: int, run: int) -> int:
        """Have `copy`, which is one of `of`, own what the copies write to; returns how many pages that is.

        `run` is the process that went on last, or 0: if it was asked about here before, it is learnt from.
        Nothing is done where the kernel has no such means.
        """
        if run and run == self._copies.get(of) and not self._learnt.get(of):
            with suppress(OSError):  # it has ended
                self._learnt[of] = list(_owned(run, _writable(copy)))
        self._copies[of] = copy
        try:
            return _take(copy, self._learnt.get(of, ()))
        except OSError:
            return 0

    def keep(self, known: Container[int]) -> None:
        """Forget the copies of all but these."""
        for of in [of for of in self._copies if of not in known]:
            del self._copies[of]
            self._learnt.pop(of, None)


def _writable(pid: int) -> Iterator[tuple[int, int]]:
    """Where it has private memory, from page to page."""
    with open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            place, mode, _ = line.split(b" ", 2)
            if mode == b"rw-p":
                start, end = (int(one, 16) // mmap.PAGESIZE for one in place.split(b"-"))
                yield start, end


def _owned(pid: int, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs of pages that it has and nobody else: the first, and how many."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        for start, end in places:
            file.seek(start * 8)
            pages = array("Q")
            pages.frombytes(file.read((end - start) * 8))
            count = 0
            for number, page in enumerate(pages, start):
                if page & OWN == OWN and count < AT_ONCE:
                    count += 1
                    continue
                if count:
                    yield number - count, count
                count = int(page & OWN == OWN)
            if count:
                yield start + len(pages) - count, count


def _take(pid: int, runs: Iterable[tuple[int, int]]) -> int:
    taken = 0
    for first, count in runs:
        if taken + count > MOST:
            break
        libc.take_for_writing(pid, first * mmap.PAGESIZE, count * mmap.PAGESIZE)
        taken += count
    return taken
