"""The process pool: processes that die, what cannot travel, how processes start and end."""

import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from mainspring.executors import UnpicklableError, WorkerDiedError, WorkerStartError, processes
from mainspring.executors.pool import ProcessPoolExecutor

from tests.executors import fakes
from tests.executors.fakes import FakeJob, FakeScheduler, FakeTicket, noon_clock, now, pid_in

Start = Callable[..., ProcessPoolExecutor]


def named_pipe(folder: Path) -> Path:
    """What `fakes.touch_and_wait` waits for: to open it for writing, and close it, lets that run end."""
    pipe = folder / "until"
    os.mkfifo(pipe)
    return pipe


def wait_until_gone(pid: int) -> None:
    """Until the process `pid` (which may not be our child) has ended."""
    for _ in range(int(fakes.TIMEOUT * 100)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"process {pid} lives on")


def submit(executor: ProcessPoolExecutor, func: Any, *args: Any) -> FakeTicket:
    ticket = FakeTicket()
    executor.submit_job(FakeJob(func, args), now(), ticket)
    return ticket


# Deaths


@pytest.mark.parametrize(
    ("func", "args", "code", "text"),
    [
        (fakes.die, (3,), 3, "exited with code 3"),
        (fakes.kill_myself, (), -9, r"killed by signal 9 \(SIGKILL\)"),
    ],
)
def test_a_process_that_dies_ends_its_run_alone_and_is_replaced(
    start: Start, scheduler: FakeScheduler, tmp_path: Path, func: Any, args: Any, code: int, text: str
) -> None:
    executor = start(2)
    until = named_pipe(tmp_path)
    neighbour = submit(executor, fakes.touch_and_wait, str(tmp_path / "runs"), str(until))
    pid_in(tmp_path / "runs")
    ticket = submit(executor, func, *args)
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_ERROR
    assert isinstance(outcome.exception, WorkerDiedError)
    assert outcome.exception.exitcode == code
    assert re.search(text, str(outcome.exception))
    assert 'while it ran job "job"' in str(outcome.exception)
    assert ticket.errors == [outcome.exception]
    submit(executor, fakes.pid)
    assert scheduler.outcome().retval not in (outcome.exception.pid, os.getpid())
    assert neighbour.errors == []
    until.open("w").close()
    assert scheduler.outcome().retval == "done"
    assert neighbour.errors == [None]


def test_a_death_is_the_outcome_of_the_run_times_that_are_left(
    start: Start, scheduler: FakeScheduler
) -> None:
    executor = start()
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.die, (3,)), now() * 3, ticket)
    outcomes = [scheduler.outcome() for _ in range(3)]
    assert {type(o.exception) for o in outcomes} == {WorkerDiedError}
    assert ticket.errors == [outcomes[-1].exception]


def test_a_process_killed_while_idle_costs_no_run(start: Start, scheduler: FakeScheduler) -> None:
    executor = start()
    submit(executor, fakes.pid)
    first = scheduler.outcome().retval
    os.kill(first, signal.SIGKILL)
    submit(executor, fakes.pid)
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_EXECUTED
    assert outcome.retval != first


def test_a_forked_process_that_holds_the_pipe_does_not_hide_a_death(
    start: Start, scheduler: FakeScheduler, tmp_path: Path
) -> None:
    submit(start(), fakes.fork_a_sleeper, str(tmp_path / "sleeper"))
    outcome = scheduler.outcome()
    assert isinstance(outcome.exception, WorkerDiedError)
    assert outcome.exception.exitcode == 4
    os.kill(pid_in(tmp_path / "sleeper"), signal.SIGKILL)


def test_a_job_that_closes_the_pipe_ends_its_run(start: Start, scheduler: FakeScheduler) -> None:
    executor = start()
    submit(executor, fakes.close_the_pipe)
    assert isinstance(scheduler.outcome().exception, WorkerDiedError)
    submit(executor, fakes.add, 1)
    assert scheduler.outcome().retval == 1


def test_two_thousand_runs_with_random_deaths_have_one_outcome_each(
    start: Start, scheduler: FakeScheduler
) -> None:
    """Some die by themselves, some are killed from outside; whatever happens, one outcome and one `ended` for each."""
    executor = start(3, mp_context="forkserver")  # quicker to start than spawn
    dice = random.Random(20261122)
    fates = [dice.randrange(200) if dice.random() < 0.999 else 0 for _ in range(2000)]
    tickets = [FakeTicket() for _ in fates]
    for number, (fate, ticket) in enumerate(zip(fates, tickets, strict=True)):
        job = FakeJob(fakes.exit_or_not, (fate,), id=str(number))
        executor.submit_job(job, now(), ticket)
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(0.2):
            victims = [process._process.pid for process in tuple(processes._alive)]
            if victims:
                try:
                    os.kill(dice.choice(victims), signal.SIGKILL)
                except ProcessLookupError:
                    pass

    thread = threading.Thread(target=killer)
    thread.start()
    executor.shutdown()
    stop.set()
    thread.join(fakes.TIMEOUT)
    outcomes = [event for event in scheduler.events if event.code in (EVENT_JOB_ERROR, EVENT_JOB_EXECUTED)]
    assert Counter(int(event.job_id) for event in outcomes) == Counter(range(2000))
    assert [len(ticket.errors) for ticket in tickets] == [1] * 2000
    by_id = {int(event.job_id): event for event in outcomes}
    for number, fate in enumerate(fates):
        event = by_id[number]
        if fate < 2:
            assert isinstance(event.exception, WorkerDiedError)
        elif not isinstance(event.exception, WorkerDiedError):  # nobody killed it
            assert (event.retval, str(event.exception)) in ((fate, "None"), (None, str(fate)))
    assert executor._slots == {}


# What cannot travel


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "words"),
    [
        (lambda: 1, (), {}, ("its function", "lambda", "ThreadPoolExecutor")),
        (fakes.add, (1, threading.Lock()), {}, ("args[1]", "lock", "ThreadPoolExecutor")),
        (fakes.add, (1,), {"b": lambda: 1}, ("kwargs['b']", "function")),
        (fakes.unpicklable_result, (), {}, ("its result (function) cannot be sent back", "has run")),
        (
            fakes.result_that_cannot_be_restored,
            (),
            {},
            ("its result cannot be restored here", "cannot be loaded"),
        ),
        (fakes.raise_odd, (), {}, ("OddError: 1 and 2",)),
        (
            fakes.add,
            (fakes.Unloadable(),),
            {},
            ("cannot be restored in its worker process", "cannot be loaded"),
        ),
    ],
)
def test_what_cannot_travel_is_an_error_that_says_so(
    start: Start, scheduler: FakeScheduler, func: Any, args: Any, kwargs: Any, words: tuple[str, ...]
) -> None:
    executor = start()
    ticket = FakeTicket()
    executor.submit_job(FakeJob(func, args, kwargs), now(), ticket)
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_ERROR
    assert isinstance(outcome.exception, UnpicklableError)
    for word in words:
        assert word in str(outcome.exception)
    assert ticket.errors == [outcome.exception]
    submit(executor, fakes.add, 1)
    assert scheduler.outcome().retval == 1


def test_the_traceback_comes_from_over_there(
    start: Start, scheduler: FakeScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    submit(start(), fakes.boom, "far away")
    outcome = scheduler.outcome()
    assert repr(outcome.exception) == "ValueError('far away')"
    assert outcome.traceback is not None
    assert "in boom" in outcome.traceback
    assert "portable.py" not in outcome.traceback
    assert "in boom" in caplog.text


def test_arguments_that_kill_the_process_are_not_tried_for_ever(
    start: Start, scheduler: FakeScheduler
) -> None:
    executor = start()
    ticket = submit(executor, fakes.add, fakes.Poison())
    outcome = scheduler.outcome()
    assert isinstance(outcome.exception, WorkerDiedError)
    assert outcome.exception.exitcode == 9
    assert 'before it began job "job"' in str(outcome.exception)
    assert ticket.errors == [outcome.exception]
    submit(executor, fakes.add, 1)
    assert scheduler.outcome().retval == 1


# Options, start and end


def test_initializer(start: Start, scheduler: FakeScheduler) -> None:
    submit(start(initializer=fakes.set_up, initargs=("set",)), fakes.setting)
    assert scheduler.outcome().retval == ["set"]
    assert fakes.SETTING == []


def test_an_initializer_that_raises(start: Start, scheduler: FakeScheduler) -> None:
    executor = start(initializer=fakes.boom, initargs=("not today",))
    for _ in range(2):
        ticket = submit(executor, fakes.pid)
        outcome = scheduler.outcome()
        assert isinstance(outcome.exception, WorkerStartError)
        assert "ValueError('not today')" in str(outcome.exception)
        assert outcome.traceback is not None
        assert "in boom" in outcome.traceback
        assert ticket.errors == [outcome.exception]


def test_an_initializer_that_kills_or_cannot_be_pickled(start: Start, scheduler: FakeScheduler) -> None:
    submit(start(initializer=fakes.die, initargs=(6,)), fakes.pid)
    outcome = scheduler.outcome()
    assert isinstance(outcome.exception, WorkerDiedError)
    assert "while it was starting" in str(outcome.exception)
    assert "__main__" in str(outcome.exception)
    submit(start(initializer=lambda: None), fakes.pid)
    outcome = scheduler.outcome()
    assert isinstance(outcome.exception, WorkerStartError)
    assert "could not be started" in str(outcome.exception)


def test_a_program_that_is_no_python_is_named(start: Start, scheduler: FakeScheduler) -> None:
    """Where a server embeds the interpreter, `sys.executable` is the server."""
    before = get_executable()
    multiprocessing.set_executable("/bin/false")
    try:
        submit(start(), fakes.pid)
        outcome = scheduler.outcome()
    finally:
        multiprocessing.set_executable(before)
    assert isinstance(outcome.exception, WorkerDiedError)
    assert "started as '/bin/false'" in str(outcome.exception)
    assert "multiprocessing.set_executable" in str(outcome.exception)


def test_max_tasks_per_child(start: Start, scheduler: FakeScheduler) -> None:
    executor = start(max_tasks_per_child="2")
    pids = []
    for _ in range(5):
        submit(executor, fakes.pid)
        pids.append(scheduler.outcome().retval)
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


@pytest.mark.parametrize("context", ["spawn", "forkserver", "fork"])
def test_mp_context(start: Start, scheduler: FakeScheduler, context: str) -> None:
    executor = start(2, mp_context=context)
    submit(executor, fakes.die, 3)
    assert isinstance(scheduler.outcome().exception, WorkerDiedError)
    submit(executor, fakes.add, 1)
    assert scheduler.outcome().retval == 1


def test_options_that_make_no_sense() -> None:
    with pytest.raises(TypeError, match="mp_context must be"):
        ProcessPoolExecutor(1, {"mp_context": 5})
    with pytest.raises(ValueError, match="max_tasks_per_child must be a positive integer"):
        ProcessPoolExecutor(1, {"max_tasks_per_child": 0})


def test_a_manual_clock_is_refused() -> None:
    executor = ProcessPoolExecutor(1)
    with pytest.raises(RuntimeError, match="ManualClock"):
        executor.start(FakeScheduler(noon_clock()), "test")


def test_processes_ignore_ctrl_c(start: Start, scheduler: FakeScheduler) -> None:
    submit(start(), fakes.sigint_disposition)
    assert scheduler.outcome().retval == (True, False)


def test_processes_leave_sigterm_to_their_parent(start: Start, scheduler: FakeScheduler) -> None:
    """A service manager sends it to every process of the service; a program that a job forks is ended by it all the same."""
    executor = start(1)
    submit(executor, fakes.sigterm_oneself)
    assert scheduler.outcome().retval == signal.SIGTERM, "how the forked child ended"
    submit(executor, fakes.add, 1)
    assert scheduler.outcome().retval == 1


def test_a_job_that_raises_keyboard_interrupt(start: Start, scheduler: FakeScheduler) -> None:
    executor = start()
    submit(executor, fakes.interrupt)
    assert isinstance(scheduler.outcome().exception, KeyboardInterrupt)
    submit(executor, fakes.add, 1)
    assert scheduler.outcome().retval == 1


def test_processes_are_gone_after_shutdown(start: Start, scheduler: FakeScheduler) -> None:
    executor = start(2)
    submit(executor, fakes.pid)
    pid = scheduler.outcome().retval
    executor.shutdown()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    executor.start(scheduler, "test")
    submit(executor, fakes.pid)
    assert scheduler.outcome().retval != pid


def test_shutdown_without_wait_lets_the_run_finish(
    start: Start, scheduler: FakeScheduler, tmp_path: Path
) -> None:
    executor = start(1)
    until = named_pipe(tmp_path)
    ticket = submit(executor, fakes.touch_and_wait, str(tmp_path / "runs"), str(until))
    pid = pid_in(tmp_path / "runs")
    executor.shutdown(wait=False)
    assert ticket.errors == []
    until.open("w").close()
    assert scheduler.outcome().retval == "done"
    wait_until_gone(pid)


# Programs of their own


PROGRAM = """
import sys, threading
from mainspring.executors.pool import ProcessPoolExecutor
from tests.executors import fakes

def here(path):
    fakes.touch(path)
    return __name__

def main():
    scheduler = fakes.FakeScheduler()
    executor = ProcessPoolExecutor(1)
    executor.start(scheduler, "test")
    {body}
"""

ROOT = Path(__file__).parents[2]


def program(tmp_path: Path, body: str, guard: str = 'if __name__ == "__main__":\n    main()\n') -> Path:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(body="\n    ".join(body.splitlines())) + guard)
    return script


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'checkout'}{os.pathsep}{ROOT}"}


def run(script: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=fakes.TIMEOUT,
    )


def test_functions_of_a_script(tmp_path: Path) -> None:
    body = f"""executor.submit_job(fakes.FakeJob(here, ({str(tmp_path / "out")!r},)), fakes.now())
print(scheduler.outcome().retval)
executor.shutdown()"""
    done = run(program(tmp_path, body))
    assert (done.returncode, done.stdout, done.stderr) == (0, "__mp_main__\n", "")


def test_ctrl_c_is_blocked_while_a_process_starts(tmp_path: Path) -> None:
    """Until it ignores SIGINT, that is while it imports the main program, the signal would end it with a traceback."""
    body = """executor.submit_job(fakes.FakeJob(was_blocked), fakes.now())
print(scheduler.outcome().retval)
executor.shutdown()"""
    guard = """
import signal
blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

def was_blocked():
    return blocked

if __name__ == "__main__":
    main()
"""
    done = run(program(tmp_path, body, guard))
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_script_without_its_guard_is_told(tmp_path: Path) -> None:
    body = """executor.submit_job(fakes.FakeJob(fakes.nothing), fakes.now())
print(scheduler.outcome().exception)
executor.shutdown()"""
    done = run(program(tmp_path, body, guard="main()\n"))
    assert "while it was starting" in done.stdout
    assert '`if __name__ == "__main__":`' in done.stdout
    assert "a process pool was started while its own worker process imports the main program" in done.stderr


def test_a_run_that_never_ends_does_not_keep_the_program(tmp_path: Path) -> None:
    path = tmp_path / "out"
    body = f"""executor.submit_job(fakes.FakeJob(fakes.sleep_for_ever, ({str(path)!r},)), fakes.now())
import multiprocessing
import os
while not os.path.exists({str(path)!r}):
    threading.Event().wait(0.01)
executor.shutdown(wait=False)
print("leaving")"""
    done = run(program(tmp_path, body))
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
    wait_until_gone(pid_in(path))


def test_processes_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    body = f"""executor.submit_job(fakes.FakeJob(fakes.sleep_for_ever, ({str(path)!r},)), fakes.now())
threading.Event().wait()"""
    parent = subprocess.Popen([sys.executable, str(program(tmp_path, body))], env=environment())
    pid = pid_in(path)
    parent.kill()
    parent.wait(fakes.TIMEOUT)
    wait_until_gone(pid)


def test_ctrl_c_reaches_the_parent_alone(tmp_path: Path) -> None:
    """The whole process group gets it, as from a terminal; the parent lets the run finish, in order."""
    path, until = tmp_path / "out", named_pipe(tmp_path)
    body = f"""executor.submit_job(fakes.FakeJob(fakes.touch_and_wait, ({str(path)!r}, {str(until)!r})), fakes.now())
try:
    threading.Event().wait()
except KeyboardInterrupt:
    open({str(until)!r}, "w").close()
    executor.shutdown()
    print(scheduler.outcome().retval)"""
    parent = subprocess.Popen(
        [sys.executable, str(program(tmp_path, body))],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pid_in(path)
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.communicate(timeout=fakes.TIMEOUT) == ("done\n", "")
