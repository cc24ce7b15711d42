"""Who owns a run: a boot of a scheduler, named so that another process of the same host can tell that it is gone."""

from __future__ import annotations

import itertools
import os
from functools import cache
from random import Random
from typing import Final

_SEPARATOR: Final = "/"


class Owner:
    """One boot of a scheduler: its name as the owner of runs, and the stamps of its writes. Thread-safe.

    The name is `host/pid/start/boot`: `host` tells the machine, its kernel's boot and the process namespace apart (a
    pid means nothing outside them), `start` when the process started (pids are reused), `boot` which start of a scheduler
    in it (each has its own, so that what an earlier one left is recovered by the next).
    """

    def __init__(self, random: Random | None = None) -> None:
        self.random = Random() if random is None else random
        """Where incarnations, revisions and run ids are drawn from; seeded by the system unless given."""
        self.pid = os.getpid()
        self.boot = os.urandom(8).hex()
        self.name = _SEPARATOR.join((_host(), str(self.pid), _process_start(self.pid) or "?", self.boot))
        # next() of a count is one step under the interpreter lock, so that two threads never draw the same number.
        self._writes = itertools.count(1)

    def stamp(self) -> str:
        """A stamp that no other write has: this boot and the number of its write."""
        return f"{self.boot}.{next(self._writes)}"


def is_gone(owner: str) -> bool:
    """Whether the owner is surely gone: a process of this host that no longer exists. False where nobody can tell from here."""
    parts = owner.split(_SEPARATOR)
    if len(parts) != 4 or parts[0] != _host() or parts[2] == "?" or not _is_pid(parts[1]):
        return False
    return _process_start(int(parts[1])) != parts[2]


def _is_pid(text: str) -> bool:
    # Of str.isdigit alone, "²" is one, and a number may have more digits than int() takes.
    return text.isascii() and text.isdigit() and len(text) < 12


@cache
def _host() -> str:
    """This host as far as pids mean something in it. Without /proc only the name is left, and `is_gone` never says yes."""
    name = _node().replace(_SEPARATOR, "_")
    try:
        boot = _read("/proc/sys/kernel/random/boot_id").strip()[:8]
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return name
    return f"{name}-{boot}-{namespace}"


def _process_start(pid: int) -> str | None:
    """When the process started, in clock ticks since the kernel's boot (proc(5), field 22 of stat); None: it does not exist.

    A zombie does not count as existing: it runs nothing any more.
    """
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields[19]


def _node() -> str:
    """The name of this host."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket  # only where there is no uname: it takes longer to import than all of this package

    return socket.gethostname()


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
