"""What the tests start, kill, freeze and listen to: scheduler processes on one store, and a scheduler of the test's own to look in."""

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from mainspring.jobstores.record import Record
from mainspring.scheduler.background import BackgroundScheduler

from tests.cluster.stores import SharedStore
from tests.servers import Server

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0  # seconds: what has not happened by then does not happen, on a busy machine either
SMALL_PIPE = 4_096
"""Bytes: with such a pipe, a process that says something at each line is at most 64 of them ahead of the test."""
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class SchedulerProcess:
    """One process with a scheduler, and what it has said so far."""

    def __init__(self, place: "Place", program: str, options: dict[str, Any], pipe_size: int | None) -> None:
        self.said: list[list[str]] = []
        self.count: Counter[str] = Counter()
        """How many messages begin with a word."""
        self._rest = b""
        self._store = place.store
        self._errors = (place.folder / f"process-{len(place.processes)}.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.cluster.{program}", json.dumps(options)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'tests' / 'checkout'}{os.pathsep}{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            preexec_fn=_die_with_the_tests,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        if pipe_size is not None:
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, pipe_size)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._output.fileno()

    def tell(self, command: str) -> None:
        """Have the process do something, see `program.py`."""
        self._input.write(f"{command}\n".encode())
        self._input.flush()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def listen(self) -> bool:
        """Read what it has to say, waiting for it; False when it has ended."""
        heard = os.read(self.fileno(), SMALL_PIPE)
        *lines, self._rest = (self._rest + heard).split(b"\n")
        messages = [line.decode().split() for line in lines]
        self.said += messages
        self.count.update(message[0] for message in messages)
        return bool(heard)

    def names(self, word: str) -> list[str]:
        """The second words of all messages that begin with this one: which jobs it is about."""
        return [message[1] for message in self.said if message[0] == word]

    def log(self) -> str:
        """What it has logged."""
        return Path(self._errors.name).read_text()

    def wait_for(self, word: str, count: int = 1) -> None:
        """Listen until it has said this so many times."""
        wait_until([self], lambda: self.count[word] >= count, f"{count} times {word!r}")

    def end(self) -> int:
        """Have it shut down and end; its exit code."""
        self.begin_to_end()
        return self.ended()

    def begin_to_end(self) -> None:
        """Have it shut down and end, as it does when its input is closed."""
        self._input.close()

    def ended(self) -> int:
        """Its exit code (less than 0: of which signal it died), when it has ended."""
        wait_until([self], lambda: False, "the end", ends=True)
        return self._process.wait(TIMEOUT)

    def freeze(self) -> None:
        """Stop it between two of its writes: with SQLite, one that is stopped in the middle of a write holds the only write lock."""
        with self._store.at_rest():
            self.stop()

    def stop(self) -> None:
        """Stop it wherever it is (SIGSTOP)."""
        self.signal(signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def thaw(self) -> None:
        """Have it go on."""
        self.signal(signal.SIGCONT)

    def kill(self, hear: bool = True) -> None:
        """End it at once, without its knowing; and hear the last of it, for which processes that it has started have to end, too."""
        self.signal(signal.SIGKILL)
        self._process.wait(TIMEOUT)
        while hear and self.listen():
            pass

    def close(self) -> None:
        """Whatever state it is in: it goes."""
        self._process.kill()
        self._process.wait(TIMEOUT)
        for file in (self._output, self._errors):
            file.close()
        with suppress(BrokenPipeError):  # what it was told last, it has not read
            self._input.close()


def _die_with_the_tests() -> None:
    """The process ends when its input does; but one that is frozen would stay for ever if the tests were killed meanwhile."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_until(
    processes: Sequence[SchedulerProcess], condition: Callable[[], bool], what: str, ends: bool = False
) -> None:
    """Listen to these processes until the condition holds. Fails when that takes too long, or one of them ends (unless it should)."""
    deadline = monotonic() + TIMEOUT
    listening = list(processes)
    while not condition():
        ready, _, _ = select.select(listening, [], [], max(0.0, deadline - monotonic()))
        assert ready, (
            f"waited for {what}, and heard {[(process.said[-20:], process.log()[-3_000:]) for process in processes]}"
        )
        for process in ready:
            if not process.listen():
                assert ends, f"waited for {what}, and a process ended: {process.log()[-5_000:]}"
                listening.remove(process)
                if not listening:
                    return


def listen_until(processes: Sequence[SchedulerProcess], moment: float) -> None:
    """Listen to these processes until the (monotonic) clock shows this. Fails when one of them ends."""
    while (left := moment - monotonic()) > 0:
        for process in select.select(processes, [], [], left)[0]:
            assert process.listen(), f"a process ended: {process.log()[-5_000:]}"


class Place:
    """A folder, a store, a file of lines, a gate, and the processes at work there."""

    def __init__(self, folder: Path, kind: str, server: Server | None = None) -> None:
        """`kind`: of the store; its server, if it has one, runs."""
        self.folder = folder
        self.server = server
        url = f"sqlite:///{folder / 'jobs.sqlite'}" if server is None else server.url
        self.store = SharedStore(kind, url, f"cluster_{uuid4().hex[:12]}")
        self.lines = folder / "lines"
        self.lines.touch()
        self.gate = folder / "gate"
        self._lock = self.gate.open("wb")
        self.processes: list[SchedulerProcess] = []

    def start(
        self,
        hear: Sequence[str] = (),
        *,
        workers: int = 10,
        claim_window: int = 50,
        lease: float = 30.0,
        blocking: bool = False,
        paused: bool = False,
        pipe_size: int | None = None,
        log_folder: str | None = None,
        processes: int = 0,
        careful: bool = False,
    ) -> SchedulerProcess:
        """Start a process; it tells of the events that are named in `hear`, and notes ends of runs in the log of a folder.

        `processes`: those of its process pool; `careful`: the ends that it notes are those of attempts.
        """
        options = {
            "store": self.store.options(),
            "hear": list(hear),
            "workers": workers,
            "claim_window": claim_window,
            "lease": lease,
            "blocking": blocking,
            "paused": paused,
            "log_folder": log_folder,
            "processes": processes,
            "careful": careful,
        }
        return self._start("program", options, pipe_size)

    def start_editor(self, program: str = "editor") -> SchedulerProcess:
        """Start the process that edits, see `editor.py`, or that asks jobs to run, see `asker.py`; what, it has to be told."""
        return self._start(program, {"store": self.store.options()})

    def _start(self, program: str, options: dict[str, Any], pipe_size: int | None = None) -> SchedulerProcess:
        log_level = os.environ.get("MAINSPRING_TEST_LOG_LEVEL", "WARNING")
        process = SchedulerProcess(self, program, {**options, "log_level": log_level}, pipe_size)
        self.processes.append(process)
        return process

    def ran(self) -> Counter[str]:
        """How often each job has left its line."""
        return Counter(line.split()[0] for line in self.lines.read_text().splitlines())

    def ran_by_process(self) -> Counter[int]:
        """How many lines each process has left."""
        return Counter(int(line.split()[1]) for line in self.lines.read_text().splitlines())

    def close_gate(self) -> None:
        """Have the jobs that hold wait."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def open_gate(self) -> None:
        """Let them go on."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextmanager
    def office(self) -> Iterator[BackgroundScheduler]:
        """A scheduler of the test's own on the same store, to add jobs and to look them up. It is paused: it runs none, and recovers none."""
        scheduler = BackgroundScheduler(jobstores={"default": self.store.open()})
        scheduler.start(paused=True)
        try:
            yield scheduler
        finally:
            scheduler.shutdown()

    def records(self) -> list[Record]:
        """What the store says of all jobs."""
        store = self.store.open()
        store.start(None, "default")
        try:
            return store.read_all()
        finally:
            store.shutdown()

    def claimed(self) -> set[str]:
        """The jobs that a scheduler has claimed and not finished."""
        return {record.id for record in self.records() for run in record.runs if run.state == "claimed"}

    def unsettled(self) -> set[str]:
        """The jobs that are neither done nor parked."""
        return {record.id for record in self.records() if record.state != "parked"}

    def lost_and_parked(self) -> tuple[Counter[str], set[str]]:
        """The jobs of the runs that are listed as lost, and those that stand parked."""
        with self.office() as office:
            return (
                Counter(run.job_id for run in office.get_lost_runs()),
                {job.job_id for job in office.get_parked_jobs()},
            )

    def close(self) -> None:
        for process in self.processes:
            process.close()
        self._lock.close()
        self.store.clear()
