"""`explain_job`: what the job itself, its trigger and its executor tell; and why what is due was not taken yet."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.explaining.explanation import JobExplanation

from tests.guards.distant import DistantJobStore
from tests.guards.faults import SCRIPTS, InjectedFault, ScriptedTrigger, failing, from_another_thread, raising
from tests.guards.test_unrestorable_jobs import MODULE
from tests.guards.test_unrestorable_jobs import module as module  # a fixture
from tests.scheduler.test_explaining import MINUTE, MINUTELY, kinds, note_kinds, sqlite, the
from tests.scheduler.watching import at, boom, nothing, started, virtual

# -- the job ---------------------------------------------------------------------------------------------------------


def test_a_paused_job() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**MINUTELY)
        scheduler.pause_job("x")
        job = scheduler.explain_job("x")
        assert (job.state, job.next_run_time, job.next_fire_times) == ("paused", None, ())
        assert kinds(job) == ["paused"]
        assert "resume_job()" in the("paused", job).text


def test_a_job_that_was_added_without_a_time_left() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, "interval", minutes=1, start_date=at(-600), end_date=at(-60), id="x")
        job = scheduler.explain_job("x")
        assert kinds(job) == ["paused", "no_fire_time"]
        assert "reschedule_job()" in the("no_fire_time", job).text


def test_parked_because_its_trigger_failed() -> None:
    SCRIPTS["once"] = lambda previous, now: at(60) if previous is None else raising()()
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, ScriptedTrigger("once"), id="x")
        scheduler.advance(2 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, job.reason) == ("parked", "trigger: InjectedFault: the trigger fails")
        assert job.next_fire_times == ()
        assert kinds(job) == ["parked"]
        assert "resume_job()" in the("parked", job).text


def test_parked_because_it_failed() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(boom, id="x", keep_failed=True)
        scheduler.advance(MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job), note_kinds(job)) == ("parked", ["parked"], ["failed"])
        assert "failed: ArithmeticError: boom" in the("parked", job).text
        assert "run_job_now()" in the("parked", job).text
        assert "max_retries=0" in the("failed", job).text


def test_quarantined(tmp_path: Path, module: Callable[[str | None], None]) -> None:
    module("def work(): pass\n")
    with started(virtual(jobstores={"default": sqlite(tmp_path)})) as scheduler:
        scheduler.add_job(f"{MODULE}:work", "interval", minutes=1, id="x", start_date=at(60))
    module(None)
    with started(virtual(jobstores={"default": sqlite(tmp_path)})) as scheduler:
        job = scheduler.explain_job("x")  # not due yet
        assert (job.state, kinds(job), job.name, job.function, job.trigger) == (
            "quarantined",
            ["quarantined"],
            None,
            None,
            None,
        )
        assert the("quarantined", job).until is None
        assert (job.next_run_time, job.next_fire_times) == (at(60), ())
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert job.reason is not None
        assert MODULE in job.reason
        reason = the("quarantined", job)
        assert reason.until == at(120)
        assert "tried again at 2026-03-02 12:02:00 UTC (in 30 s)" in reason.text
        assert "retry_quarantined()" in reason.text
        module("def work(): pass\n")
        assert scheduler.explain_job("x").state == "active"


def test_quarantined_since_its_arguments_do_not_fit_any_more(
    tmp_path: Path, module: Callable[[str | None], None]
) -> None:
    """It can be shown, and not be run."""
    module("def work(): pass\n")
    with started(virtual(jobstores={"default": sqlite(tmp_path)})) as scheduler:
        scheduler.add_job(f"{MODULE}:work", "interval", minutes=1, id="x", start_date=at(60))
    module("def work(more): pass\n")
    with started(virtual(jobstores={"default": sqlite(tmp_path)})) as scheduler:
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, job.function) == ("quarantined", f"{MODULE}:work")
        assert "more" in the("quarantined", job).text


@pytest.mark.parametrize(
    ("column", "value", "words"), [("version", 99, "version 99"), ("runs", "'[{'", "damaged")]
)
def test_a_record_of_a_later_version_or_a_damaged_one(
    tmp_path: Path, column: str, value: Any, words: str
) -> None:
    with started(virtual(jobstores={"default": sqlite(tmp_path)})) as scheduler:
        scheduler.add_job("time:time", "interval", minutes=1, id="x")
        with connect(tmp_path / "jobs.sqlite") as database:
            database.execute(f"UPDATE mainspring_jobs SET {column} = {value}")
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job)) == ("quarantined", ["quarantined"])
        assert words in the("quarantined", job).text


# -- its trigger -------------------------------------------------------------------------------------------------------


def test_a_trigger_that_fails_is_told_of() -> None:
    SCRIPTS["later"] = lambda previous, now: at(60) if previous is None else raising()()
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, ScriptedTrigger("later"), id="x")
        job = scheduler.explain_job("x")
        assert (job.state, job.next_fire_times, kinds(job)) == ("active", (at(60),), ["trigger_fails"])
        assert "ScriptedTrigger" in the("trigger_fails", job).text


def test_a_trigger_that_raises_what_is_no_exception_and_cannot_describe_itself() -> None:
    class Rude(ScriptedTrigger):
        def describe(self) -> str:
            raise InjectedFault("no words")

        def __str__(self) -> str:
            return "rude"

    SCRIPTS["rude"] = lambda previous, now: at(60)
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, Rude("rude"), id="x")
        SCRIPTS["rude"] = raising(GeneratorExit())
        job = scheduler.explain_job("x")
        assert job.trigger is not None
        assert "Rude" in job.trigger
        assert "no words" in job.trigger
        assert kinds(job) == ["trigger_fails"]


def test_triggers_are_asked_under_no_lock() -> None:
    """One that waits for another thread, which asks the scheduler, does not stand still."""

    def ask(previous: datetime | None, now: datetime) -> datetime:
        from_another_thread(scheduler.get_jobs)
        from_another_thread(lambda: scheduler.explain_job("y"))
        return (now if previous is None else previous) + MINUTE

    SCRIPTS["asks"] = ask
    with started(virtual()) as scheduler:
        scheduler.add_job(**{**MINUTELY, "id": "y"})
        scheduler.add_job(nothing, ScriptedTrigger("asks"), id="x", next_run_time=at(60))
        assert scheduler.explain_job("x").next_fire_times == tuple(at(60 * n) for n in range(1, 6))


def minutely(previous: datetime | None, now: datetime) -> datetime:
    """Every minute from 12:01 on; asked for its first one, that which is not before now."""
    if previous is None:
        return at(60) + max(0, -((at(60) - now) // MINUTE)) * MINUTE
    return previous + MINUTE


def test_behind_an_overdue_time_come_those_that_are_still_to_come() -> None:
    SCRIPTS["minutely"] = minutely
    with started(virtual(), paused=True) as scheduler:
        scheduler.add_job(**MINUTELY)
        scheduler.add_job(nothing, ScriptedTrigger("minutely"), id="own")
        scheduler.add_job(nothing, "date", run_date=at(60), id="once")
        scheduler.advance(7.5 * MINUTE)
        times = (at(60), at(480), at(540), at(600), at(660))
        assert scheduler.explain_job("x").next_fire_times == times
        assert scheduler.explain_job("own").next_fire_times == times
        assert scheduler.explain_job("once").next_fire_times == (at(60),)


def test_the_last_run() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, "interval", minutes=1, end_date=at(150), id="x")
        assert note_kinds(scheduler.explain_job("x")) == []
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.next_fire_times, note_kinds(job)) == ((at(120),), ["last_run"])


def test_jitter() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**MINUTELY, jitter=30)
        job = scheduler.explain_job("x")
        assert job.next_fire_times[0] == at(60)
        assert job.next_run_time is not None
        assert job.next_run_time > at(60)
        assert the("jitter", job).until == job.next_run_time
        assert "12:01:00 UTC" in the("jitter", job).text


# -- its executor ------------------------------------------------------------------------------------------------------


def test_no_such_executor(tmp_path: Path) -> None:
    jobstores = {"default": MemoryJobStore(), "shared": sqlite(tmp_path)}
    with started(virtual(jobstores=jobstores)) as scheduler:
        scheduler.add_job(**MINUTELY, executor="gpu")
        scheduler.add_job("time:time", "interval", minutes=1, id="y", jobstore="shared", executor="gpu")
        job = scheduler.explain_job("x")
        assert kinds(job) == ["no_executor"]
        assert 'no executor "gpu" (it has "default")' in the("no_executor", job).text
        assert "start a scheduler" not in str(job)
        assert "start a scheduler" in str(scheduler.explain_job("y"))
        scheduler.advance(2 * MINUTE)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["no_executor", "overdue"]
        assert (job.next_run_time, job.next_fire_times[:2]) == (at(60), (at(60), at(180)))
        assert note_kinds(job) == []  # claimed now, it would run for 12:02:00, and that is now
        scheduler.advance(MINUTE / 2)
        assert "30 s late" in the("misfire", scheduler.explain_job("x")).text


class Full(DebugExecutor):
    """It has as many workers as a test says, all busy."""

    idle, queue = 0, 3

    def free_slots(self) -> int:
        return self.idle

    def waiting(self) -> int:
        return self.queue


def test_all_workers_are_busy(tmp_path: Path) -> None:
    executor = Full()
    scheduler = virtual(jobstores={"default": sqlite(tmp_path)}, executors={"default": executor})
    with started(scheduler):
        scheduler.add_job("time:time", "interval", minutes=1, id="x")
        assert kinds(scheduler.explain_job("x")) == []  # it is not due
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["executor_busy", "overdue"]
        assert "3 runs wait in its queue" in the("executor_busy", job).text
        assert "max_workers" in the("executor_busy", job).text
        with failing(executor, "free_slots"):
            assert "free_slots fails" in the("executor_silent", scheduler.explain_job("x")).text


# -- what is due, and nobody has taken it yet ----------------------------------------------------------------------------


def test_a_job_that_runs_inline_holds_up_the_others() -> None:
    seen: list[JobExplanation] = []

    def asks() -> None:
        scheduler.explain_job("b")
        seen.append(scheduler.explain_job("b"))

    scheduler = virtual(claim_window=1)
    with started(scheduler):
        scheduler.add_job(asks, "date", run_date=at(60), id="a")
        scheduler.add_job(nothing, "date", run_date=at(60), id="b")
        scheduler.advance(MINUTE)
    assert kinds(seen[0]) == ["overdue", "busy"]
    assert "inline" in the("busy", seen[0]).text


def test_a_store_that_is_being_asked(tmp_path: Path) -> None:
    seen: list[JobExplanation] = []

    class Watched(DistantJobStore):
        def overdue_executors(self, now: int) -> set[str]:
            seen.append(scheduler.explain_job("x"))
            return super().overdue_executors(now)

    scheduler = virtual(jobstores={"default": Watched(tmp_path)})
    with started(scheduler):
        scheduler.add_job("time:time", "interval", minutes=1, id="x", start_date=at(0))
        scheduler.advance(MINUTE / 2)
    assert kinds(seen[0]) == ["overdue", "asking"]


def test_a_job_that_was_added_by_somebody_else_a_moment_ago(tmp_path: Path) -> None:
    other = virtual(jobstores={"default": sqlite(tmp_path)})
    with started(virtual(jobstores={"default": sqlite(tmp_path)})) as scheduler, started(other):
        scheduler.advance(MINUTE)
        other.add_job("time:time", id="x", run_date=at(50), trigger="date")
        job = scheduler.explain_job("x")
        assert kinds(job) == ["overdue", "next_look"]
        assert "every 1 s" in the("next_look", job).text


def test_more_is_due_than_is_taken_at_a_time(tmp_path: Path) -> None:
    executor = Full()
    scheduler = virtual(jobstores={"default": sqlite(tmp_path)}, executors={"default": executor})
    with started(scheduler):
        scheduler.add_jobs(
            {"func": "time:time", "trigger": "date", "run_date": at(60), "id": str(n)} for n in range(9)
        )
        scheduler.advance(MINUTE)
        executor.idle = 1  # a worker has become idle, and the loop has not looked again
        assert kinds(scheduler.explain_job("8")) == ["overdue", "turn"]


@pytest.fixture(autouse=True)
def _forget_the_scripts() -> Iterator[None]:
    yield
    SCRIPTS.clear()
