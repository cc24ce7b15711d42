"""Ctrl-C and SIGTERM in a `BlockingScheduler`, in processes of their own: it is shut down in order; a second signal does not wait."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_SCHEDULER_STARTED
from mainspring.scheduler.blocking import BlockingScheduler

from tests.scheduler.watching import Heard, nothing

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0  # seconds; on a loaded machine a process takes a while to start

BEGINNING = """
import os, signal, sys, threading
from mainspring.events import *
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.blocking import BlockingScheduler

def say(*words):
    print(*words, flush=True)

scheduler = BlockingScheduler()
scheduler.add_listener(lambda event: say("shut down"), EVENT_SCHEDULER_SHUTDOWN)

def until_it_stops():  # a job
    say("runs")
    while not scheduler._engine.stopping:
        threading.Event().wait(0.01)
    say("ends")

def for_ever():  # a job
    say("runs")
    threading.Event().wait()

def say_when_stopping():
    while scheduler._engine is None or not scheduler._engine.stopping:
        threading.Event().wait(0.01)
    say("stopping")

def handlers():
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return "handlers are back" if all(ours) else "handlers are not back"
"""


class Program:
    """A program in a process of its own, and what it says."""

    def __init__(self, text: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGINNING + text],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT / "tests" / "checkout")},
        )

    def says(self) -> str:
        """The next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ends(self) -> tuple[int, list[str], str]:
        """Its exit code, the lines that were left, and what it wrote to stderr."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # Not communicate(), which would pass over what says() has read ahead.
        said = self.process.stdout.read().splitlines()
        return self.process.wait(TIMEOUT), said, self.process.stderr.read()


@contextmanager
def program(text: str) -> Iterator[Program]:
    running = Program(text)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_it_waits_for_what_runs_and_start_returns(number: int) -> None:
    with program("""
scheduler.add_job(until_it_stops)
scheduler.start()
say("returned", scheduler.running)
say(handlers())
""") as running:
        assert running.says() == "runs"
        running.process.send_signal(number)
        assert running.ends() == (0, ["ends", "shut down", "returned False", "handlers are back"], "")


def test_a_job_in_the_main_thread_comes_to_its_end(number: int) -> None:
    with program("""
scheduler.add_executor("debug")
scheduler.add_job(until_it_stops)
scheduler.start()
say("returned")
""") as running:
        assert running.says() == "runs"
        running.process.send_signal(number)
        assert running.ends() == (0, ["ends", "shut down", "returned"], "")


def test_it_can_be_started_again(number: int) -> None:
    with program("""
for _ in range(2):
    scheduler.add_job(until_it_stops)
    scheduler.start()
say(handlers())
""") as running:
        for _ in range(2):
            assert running.says() == "runs"
            running.process.send_signal(number)
            assert (running.says(), running.says()) == ("ends", "shut down")
        assert running.ends() == (0, ["handlers are back"], "")


def test_a_second_signal_does_not_wait(number: int) -> None:
    with program("""
threading.Thread(target=say_when_stopping).start()
scheduler.add_job(for_ever)
scheduler.start()
say("never")
""") as running:
        assert running.says() == "runs"
        running.process.send_signal(number)
        assert running.says() == "stopping"
        running.process.send_signal(number)
        code, said, _ = running.ends()
        # Python turns the KeyboardInterrupt that nobody catches into death by that signal, too.
        assert (code, said) == (-number, [])


def test_a_second_ctrl_c_that_does_not_end_the_wait_is_heard_all_the_same() -> None:
    """As one that comes right before the main thread waits for what runs: Python notes it, and the main thread sleeps."""
    with program("""
from mainspring.executors import shutdown

def interrupts():  # a job
    os.kill(os.getpid(), signal.SIGINT)
    while not shutdown._waiting:  # the main thread waits for this job
        threading.Event().wait(0.01)
    threading.Event().wait(0.2)
    say("interrupts")
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Event().wait()

scheduler.add_job(interrupts)
scheduler.start()
say("never")
""") as running:
        code, said, error = running.ends()
        assert (code, said) == (-signal.SIGINT, ["interrupts"]), error


def test_one_that_comes_before_the_loop_has_begun(number: int) -> None:
    with program(f"""
class Early(BlockingScheduler):
    def _new_engine(self, paused):
        os.kill(os.getpid(), {number})
        return super()._new_engine(paused)

scheduler = Early()
scheduler.start()
say("returned", scheduler.running)
""") as running:
        assert running.ends() == (0, ["returned False"], "")


def test_a_programs_own_handler_is_left_alone(number: int) -> None:
    """`sys.exit()` in it comes out of `start()`, and the scheduler can be shut down then."""
    with program(f"""
def handler(number, frame):
    say("handler")
    sys.exit(3)

signal.signal({number}, handler)
scheduler.add_job(say, args=["runs"])
try:
    scheduler.start()
except SystemExit:
    scheduler.shutdown()
    say(signal.getsignal({number}) is handler, scheduler.running)
    raise
""") as running:
        assert running.says() == "runs"
        running.process.send_signal(number)
        assert running.ends() == (3, ["handler", "shut down", "True False"], "")


def test_in_another_thread_it_takes_no_signals() -> None:
    """Only the main thread can have handlers; there, Ctrl-C is the program's."""
    with program("""
scheduler.add_job(say, args=["runs"])
thread = threading.Thread(target=scheduler.start)
thread.start()
try:
    thread.join()
except KeyboardInterrupt:
    say("Ctrl-C", scheduler.running)
    scheduler.shutdown()
thread.join()
""") as running:
        assert running.says() == "runs"
        running.process.send_signal(signal.SIGINT)
        assert running.ends() == (0, ["Ctrl-C True", "shut down"], "")


def test_a_background_scheduler_lets_the_program_end_or_not() -> None:
    for daemon, said in ((True, []), (False, ["later"])):
        with program(f"""
from datetime import datetime, timedelta
scheduler = BackgroundScheduler(daemon={daemon})
scheduler.start()
def later():
    say("later")
    scheduler.shutdown()
scheduler.add_job(later, "date", run_date=datetime.now().astimezone() + timedelta(seconds=2), misfire_grace_time=None)
""") as running:
            assert running.ends() == (0, said, "")


def test_a_signal_that_does_not_end_the_wait_is_heard_soon_all_the_same() -> None:
    """One that comes right before the main thread waits: all that its handler could do by then is to set a flag."""
    scheduler = BlockingScheduler()
    engines: list[Any] = []
    ended = Event()

    def run() -> None:
        scheduler.start()
        ended.set()

    scheduler.add_listener(lambda event: engines.append(scheduler._engine), EVENT_SCHEDULER_STARTED)
    heard = Heard(scheduler)
    thread = Thread(target=run, daemon=True)
    thread.start()
    scheduler.add_job(nothing, id="x")
    heard.wait(EVENT_JOB_EXECUTED, "x")
    engines[0].stopping = True
    assert scheduler._ended.wait(5)  # and not MAX_WAIT, 10
    scheduler.shutdown()
    assert ended.wait(TIMEOUT)
