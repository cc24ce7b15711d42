"""Time limits in the process pool: the worker is killed and replaced, and nobody else notices."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_TIMEOUT
from mainspring.executors import JobTimeoutError, WorkerDiedError, processes
from mainspring.executors.pool import ProcessPoolExecutor

from tests.executors import fakes, overtime
from tests.executors.fakes import FakeJob, FakeScheduler, FakeTicket, now, pid_in

Start = Callable[..., ProcessPoolExecutor]


def gone(pid: int) -> bool:
    """Whether our child `pid` has ended and was waited for."""
    return not Path(f"/proc/{pid}").exists()


def test_the_process_is_killed_and_replaced_and_no_other_run_notices(
    start: Start, scheduler: FakeScheduler, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    executor = start(2)
    until = tmp_path / "until"
    os.mkfifo(until)
    neighbour = FakeTicket()
    executor.submit_job(
        FakeJob(fakes.touch_and_wait, (str(tmp_path / "neighbour"), str(until)), timeout=fakes.TIMEOUT),
        now(),
        neighbour,
    )
    pid_in(tmp_path / "neighbour")
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.sleep_for_ever, (str(tmp_path / "pid"),), timeout=0.2), now(), ticket)
    pid = pid_in(tmp_path / "pid")
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_TIMEOUT
    assert isinstance(outcome.exception, JobTimeoutError)
    assert str(outcome.exception).endswith(f": its worker process {pid} was killed")
    assert outcome.exception.__traceback__ is None
    assert str(outcome.exception) in caplog.text
    assert gone(pid)
    assert ticket.told == [("failed", 0, outcome.exception), ("ended", outcome.exception)]
    executor.submit_job(FakeJob(fakes.pid), now())
    assert scheduler.outcome().retval not in (pid, os.getpid())
    assert neighbour.told == []
    until.open("w").close()
    assert scheduler.outcome().retval == "done"
    assert neighbour.told == [("ended", None)]


@pytest.mark.parametrize("fate", [0, 1], ids=["at rest", "busy"])
def test_whatever_it_does(start: Start, scheduler: FakeScheduler, fate: int) -> None:
    start().submit_job(FakeJob(fakes.work_or_hang, (fate,), timeout=0.05), now())
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT


def test_a_process_that_was_stopped(start: Start, scheduler: FakeScheduler, tmp_path: Path) -> None:
    executor = start()
    executor.submit_job(FakeJob(fakes.sleep_for_ever, (str(tmp_path / "pid"),), timeout=0.5), now())
    pid = pid_in(tmp_path / "pid")
    os.kill(pid, signal.SIGSTOP)
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT
    assert gone(pid)


def test_one_that_dies_by_itself_has_died(start: Start, scheduler: FakeScheduler) -> None:
    executor = start()
    executor.submit_job(FakeJob(fakes.die, (3,), timeout=fakes.TIMEOUT), now())
    outcome = scheduler.outcome()
    assert (outcome.code, type(outcome.exception)) == (EVENT_JOB_ERROR, WorkerDiedError)


def test_the_start_of_a_process_does_not_count(start: Start, scheduler: FakeScheduler) -> None:
    """Nor does waiting in the queue: the limit is shorter than what a process needs to start."""
    executor = start(initializer=fakes.take, initargs=(0.6,))
    for number in range(3):
        executor.submit_job(FakeJob(fakes.add, (number,), timeout=0.5), now())
    outcomes = [scheduler.outcome() for _ in range(3)]
    assert [event.retval for event in outcomes] == [0, 1, 2], [event.exception for event in outcomes]


def test_several_of_a_submissions_run_times_take_too_long(start: Start, scheduler: FakeScheduler) -> None:
    """What is left goes on in a new process each time."""
    executor = start(max_tasks_per_child=2)
    first = now()[0]
    run_times = [first + timedelta(microseconds=place) for place in range(5)]
    ticket = FakeTicket()
    hung: list[Any] = [run_times[0], run_times[1], run_times[4]]
    executor.submit_job(FakeJob(fakes.pid_or_hang, (hung,), timeout=0.3), run_times, ticket)
    outcomes = [scheduler.outcome() for _ in run_times]
    assert [event.code for event in outcomes] == [
        EVENT_JOB_TIMEOUT,
        EVENT_JOB_TIMEOUT,
        EVENT_JOB_EXECUTED,
        EVENT_JOB_EXECUTED,
        EVENT_JOB_TIMEOUT,
    ]
    assert outcomes[2].retval == outcomes[3].retval
    assert [entry[:2] for entry in ticket.told[:-1]] == [("failed", 0), ("failed", 1), ("failed", 4)]
    assert ticket.errors == [outcomes[4].exception]


def test_a_cancelled_submission_stays_cancelled_in_the_next_process(
    start: Start, scheduler: FakeScheduler, tmp_path: Path
) -> None:
    executor = start()
    first = now()[0]
    run_times = [first, first + timedelta(seconds=1)]
    job = FakeJob(fakes.hang_at_or_until_cancelled, (str(tmp_path / "pid"), first), timeout=0.3)
    ticket = FakeTicket()
    executor.submit_job(job, run_times, ticket)
    pid_in(tmp_path / "pid")
    executor.cancel(ticket, "lost")
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT
    outcome = scheduler.outcome()
    assert (outcome.code, outcome.retval) == (EVENT_JOB_EXECUTED, "lost")


def test_a_forked_process_does_not_hold_up_the_event(
    start: Start, scheduler: FakeScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has inherited what tells that the worker has ended, and keeps it open."""
    monkeypatch.setattr(processes, "PATIENCE", 10 * fakes.TIMEOUT)
    job = FakeJob(fakes.fork_a_sleeper_and_hang, (str(tmp_path / "sleeper"),), timeout=0.5)
    start().submit_job(job, now())
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT
    os.kill(pid_in(tmp_path / "sleeper"), signal.SIGKILL)


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_a_pool_under_time_limits_leaves_nothing_behind(
    start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For two seconds; `python -m tests.executors.overtime` does it for longer. Other runs are unharmed."""
    overtime.Overtime(start_method).run(0.2)  # what multiprocessing starts once is there then
    before, files = overtime.descendants(), overtime.open_files()
    pool = overtime.Overtime(start_method)
    pool.run(float(os.environ.get("MAINSPRING_OVERTIME", "2")))
    assert pool.faults == []
    assert pool.sums["timeout"] > 0
    assert pool.sums["executed"] > pool.sums["timeout"]
    assert overtime.settled(before) == set()
    assert multiprocessing.active_children() == []
    assert processes._alive == set()
    assert overtime.open_files() == files
