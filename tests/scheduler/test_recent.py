"""`RecentRuns`: the short memory of how runs ended: what it keeps, in which order, of how many jobs, and from several threads at once."""

from datetime import UTC, timedelta
from threading import Barrier, Thread

from mainspring.events import ManualClock
from mainspring.jobstores.record import Run
from mainspring.scheduler.recent import KEPT_JOBS, KEPT_RUNS, RecentRun, RecentRuns
from mainspring.triggers.instants import to_micros

from tests.scheduler.watching import START, at


def run(seconds: float = 0, attempt: int = 1, number: int = 1) -> Run:
    instant = to_micros(at(seconds))
    return Run(number, "schedule", (instant, instant + 60_000_000), instant, "claimed", attempt)


def test_what_is_shown_of_a_run() -> None:
    clock = ManualClock(START)
    recent = RecentRuns(clock)
    clock.advance(timedelta(seconds=5))
    recent.note("x", run(3, attempt=2, number=7), "failed", "ValueError: no", 0)
    assert recent.of("x", UTC) == (RecentRun(at(5), "failed", "ValueError: no", at(3), 2, 7),)


def test_the_last_of_its_run_times_is_meant_where_none_is_named() -> None:
    recent = RecentRuns(ManualClock(START))
    recent.note("x", run(3), "executed")
    assert recent.of("x", UTC)[0].scheduled_run_time == at(63)


def test_a_run_that_was_skipped_has_no_number() -> None:
    recent = RecentRuns(ManualClock(START))
    recent.note("x", to_micros(at(-3)), "skipped", "1 of the job were running")
    assert recent.of("x", UTC) == (RecentRun(START, "skipped", "1 of the job were running", at(-3), 1, None),)


def test_the_last_ones_are_kept_the_latest_first() -> None:
    recent = RecentRuns(ManualClock(START))
    for number in range(KEPT_RUNS + 3):
        recent.note("x", run(number=number), "executed")
    assert [entry.run_id for entry in recent.of("x", UTC)] == [7, 6, 5, 4, 3]


def test_a_retry_is_scheduled_for_the_time_that_failed_and_not_for_when_it_is_due() -> None:
    recent = RecentRuns(ManualClock(START))
    instant = to_micros(START)
    recent.note("x", Run(1, "retry", (instant,), instant + 30_000_000, "claimed", 2), "executed")
    recent.note("x", Run(2, "schedule", (instant,), instant + 5_000_000), "executed")  # with jitter
    assert [entry.scheduled_run_time for entry in recent.of("x", UTC)] == [at(5), START]


def test_what_happens_at_one_moment_keeps_its_own_details() -> None:
    recent = RecentRuns(ManualClock(START))
    recent.note("x", run(number=1), "failed", "first")
    recent.note("x", run(number=2), "executed")
    recent.note("x", run(number=3), "failed", "second")
    assert [(entry.run_id, entry.details) for entry in recent.of("x", UTC)] == [
        (3, "second"),
        (2, ""),
        (1, "first"),
    ]


def test_who_is_heard_of_again_stays_and_the_others_go() -> None:
    """However many one-offs there are, memory is bounded, and a job that runs now and then is not pushed out by its own kind's number."""
    recent = RecentRuns(ManualClock(START))
    recent.note("old", run(), "executed")
    recent.note("regular", run(number=1), "executed")
    for number in range(3 * KEPT_JOBS):
        recent.note(f"once-{number}", run(), "executed")
        if number % (KEPT_JOBS // 2) == 0:
            recent.note("regular", run(number=number), "executed")
    assert recent.of("old", UTC) == ()
    assert len(recent.of("regular", UTC)) == KEPT_RUNS
    remembered = [number for number in range(3 * KEPT_JOBS) if recent.of(f"once-{number}", UTC)]
    assert KEPT_JOBS <= len(remembered) <= 2 * KEPT_JOBS
    assert remembered == list(range(3 * KEPT_JOBS - len(remembered), 3 * KEPT_JOBS))  # the last ones


def test_ends_of_one_job_in_several_threads() -> None:
    """An end may be left out, as one of five; but nothing is torn, nothing grows, and nobody fails, whoever reads meanwhile."""
    recent = RecentRuns(ManualClock(START))
    threads, times = 4, 3_000
    numbers = range(1, threads + 1)
    begin = Barrier(threads + 1)

    def work(number: int) -> None:
        begin.wait(10)
        for place in range(times):
            recent.note("x", run(number=number), "failed", str(number))
            recent.note(f"{number}-{place}", 0, "skipped")

    workers = [Thread(target=work, args=(number,)) for number in numbers]
    for worker in workers:
        worker.start()
    begin.wait(10)
    while any(worker.is_alive() for worker in workers):
        seen = recent.of("x", UTC)
        assert len(seen) <= KEPT_RUNS
        assert all(entry.outcome == "failed" and entry.run_id in numbers for entry in seen)
    assert 1 <= len(recent.of("x", UTC)) <= KEPT_RUNS
