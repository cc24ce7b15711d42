"""The jobs of the scheduler processes: each leaves one line in a file, and says so to the test that started the process."""

import fcntl
import os
import signal
from threading import Event

from tests.cluster.logbook import note_run

WORK = 0.05  # seconds
TRACED = 0.05


def say(*words: object) -> None:
    """Tell the test. Messages are 64 bytes, so that a pipe of 4,096 holds a process back which is 64 of them ahead."""
    os.write(1, (" ".join(map(str, words)).ljust(63) + "\n").encode())


def note(lines: str, name: str) -> None:
    """One line, in one write: whole, or not there at all, whoever else writes and whenever this process is killed."""
    file = os.open(lines, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, f"{name} {os.getpid()}\n".encode())
    finally:
        os.close(file)


def append(lines: str, name: str) -> None:
    """Nothing but the line."""
    note(lines, name)
    say("ran", name)


def work(lines: str, name: str) -> None:
    """Fifty milliseconds of work, and the line."""
    Event().wait(WORK)
    note(lines, name)


def hold(lines: str, name: str, gate: str) -> None:
    """The line, and then wait until the test opens the gate: a file that it keeps locked as long as it is closed."""
    note(lines, name)
    say("ran", name)
    with open(gate, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def leave_trace(folder: str, name: str) -> None:
    """A line in the log, and a little work, so that there is somebody to kill in the middle of it."""
    note_run(folder, name)
    Event().wait(TRACED)


def die(lines: str, name: str) -> None:
    """The line, and then the end of the whole process, as a bug in an extension module brings it about."""
    note(lines, name)
    os.kill(os.getpid(), signal.SIGKILL)
