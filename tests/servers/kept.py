"""The test session's side of the keeper: processes that do not outlive the session, and a folder that does not, either."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

from tests.servers.keeper import descendants

TIMEOUT = 60.0  # seconds: what has not happened by then does not happen, on a busy machine either


class Keeper:
    """The process that keeps the servers, see `keeper.py`. One for the session, made when the first server is."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        program = Path(__file__).with_name("keeper.py")
        # A session of its own: a Ctrl-C at the terminal is for the tests.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(self._owner)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self.folder = Path(self._answer())
        """A folder that is removed with the keeper."""
        self._files = 0
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        return self._process.pid

    def new_name(self, name: str) -> str:
        """A name that nothing in the folder has."""
        self._files += 1
        return f"{name}-{self._files}"

    def start(self, argv: Sequence[str], *, user: str | None, log: Path, folder: Path) -> "Process":
        """Start a process, as this user or as our own, that writes its output to the end of this file."""
        pid = self.ask(start=[*argv], user=user, log=str(log), folder=str(folder))
        return Process(pid)

    def run(self, argv: Sequence[str], *, user: str | None, log: Path, folder: Path) -> None:
        """Run a program to its end. AssertionError, with its output, if it fails."""
        process = self.start(argv, user=user, log=log, folder=folder)
        assert process.wait(TIMEOUT), f"{argv[0]} has not ended in {TIMEOUT:g} s: {log.read_text()[-5_000:]}"
        code = self.ask(code=process.pid)
        assert code == 0, f"{argv[0]} has ended with {code}: {log.read_text()[-5_000:]}"

    def ask(self, **request: Any) -> Any:
        """The answer to a request."""
        assert os.getpid() == self._owner, (
            "the servers are the test session's: a process forked from it has none"
        )
        self._requests.write(json.dumps(request).encode() + b"\n")
        self._requests.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._answers.readline()
        assert line, "the process that keeps the servers has ended"
        return json.loads(line)

    def close(self) -> None:
        """End all of it. Once more does nothing."""
        if os.getpid() != self._owner or self._process.poll() is not None:
            return
        with suppress(BrokenPipeError):  # it ends just now
            self._requests.write(b'"end"\n')
            self._requests.close()
        self._process.wait(TIMEOUT)
        self._answers.close()
        keeper.cache_clear()


@cache
def keeper() -> Keeper:
    """The session's keeper."""
    return Keeper()


class Process:
    """A process of the keeper's, with all that it starts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = os.pidfd_open(pid)

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds for its end. Whether it has come."""
        return _has_ended(self._ended, timeout)

    @property
    def running(self) -> bool:
        return not self.wait(0.0)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        signal.pidfd_send_signal(self._ended, number)

    def send_all(self, number: signal.Signals) -> list[int]:
        """Send a signal to this process and to all its descendants. Those that it was sent to."""
        pids = [self.pid, *descendants(self.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def freeze(self) -> None:
        """Stop it and all its descendants, those too that were being started meanwhile."""
        self.send(signal.SIGSTOP)
        seen: list[int] = []
        while seen != (seen := self.send_all(signal.SIGSTOP)):
            pass

    def kill(self) -> None:
        """End it and all its descendants at one blow, as the failure of a machine does, and wait until they are gone."""
        # A child that outlives its parent by an instant would notice and, say, write something: so all are stopped first.
        self.freeze()
        ends = []
        for pid in [self.pid, *descendants(self.pid)]:
            with suppress(ProcessLookupError):
                ends.append(os.pidfd_open(pid))
                signal.pidfd_send_signal(ends[-1], signal.SIGKILL)
        for end in ends:
            assert _has_ended(end, TIMEOUT), "a process that was killed goes on"
            os.close(end)

    def __del__(self) -> None:
        os.close(self._ended)


def _has_ended(pidfd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1_000))


def wait_until_ready(process: Process, ready: Callable[[], None], log: Path, what: str) -> None:
    """Call `ready` until it raises nothing. AssertionError, with the server's log, if its process ends or that takes too long."""
    deadline = monotonic() + TIMEOUT
    while True:
        try:
            ready()
            return
        except Exception as error:  # each driver has its own: all say that the server does not answer yet
            reason = error
        ended = process.wait(0.02)
        if ended or monotonic() > deadline:
            state = "has ended" if ended else "does not answer"
            raise AssertionError(f"{what} {state} ({reason}); its log: {log.read_text()[-5_000:]}")
