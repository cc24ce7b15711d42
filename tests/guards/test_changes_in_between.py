"""A job that somebody else removes, changes or replaces between its claim and its submit, and between its submit and its end.

"Somebody else" is a user of the same scheduler, or another scheduler on the same file. Between claim and submit means right behind the
claim's step in the store; between submit and end: while the executor holds the run.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOBSTORE_FAILED,
)
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.record import ClaimResult
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES, HoldingExecutor
from tests.scheduler.watching import Heard, answer, at, nothing, other, started, virtual

MINUTE = timedelta(minutes=1)
FAILURES = (
    EVENT_JOB_ERROR
    | EVENT_JOB_MISSED
    | EVENT_JOB_MAX_INSTANCES
    | EVENT_JOB_SUBMIT_FAILED
    | EVENT_JOBSTORE_FAILED
)


class Stage:
    """A scheduler with one job, "x", every minute, that answers "old"; its first run, at 60 s, is held until 75 s."""

    def __init__(self, store: BaseJobStore, other_store: BaseJobStore | None) -> None:
        self.store = store
        self.executors = [HoldingExecutor(), HoldingExecutor()]
        self.scheduler = virtual(
            jobstores={"default": store},
            executors=dict(zip(("default", "more"), self.executors, strict=True)),
            job_defaults={"misfire_grace_time": None},
        )
        self.heard = Heard(self.scheduler)
        self.somebody = self.scheduler if other_store is None else virtual(jobstores={"default": other_store})

    def have_it_done(self, moment: str, change: Callable[[], object]) -> None:
        """Up to the 60th second, in which it is done."""
        if moment == "claim":
            claim, store = self.store.claim_due, self.store

            def claim_due(*arguments: Any) -> ClaimResult:
                result = claim(*arguments)
                if result.claims:
                    delattr(store, "claim_due")
                    change()
                return result

            vars(store)["claim_due"] = claim_due
            self.advance_to(60)
        else:
            self.advance_to(60)
            assert len(self.executors[0].held) == 1
            change()

    def advance_to(self, second: float) -> None:
        if self.somebody is not self.scheduler:
            self.somebody.advance_to(at(second))
        self.scheduler.advance_to(at(second))

    def play(self, until: int) -> None:
        """Let time pass, and every run end within a quarter of a minute."""
        while self.scheduler.now < at(until):
            self.scheduler.advance(MINUTE / 4)
            for executor in self.executors:
                executor.release()
        self.scheduler.advance(timedelta(seconds=1))  # in which ends are written


@pytest.fixture(params=["memory", "plain", "sqlite", "sqlite by another scheduler"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    make = partial(STORES[request.param.split()[0]], tmp_path)
    stage = Stage(make(), make() if "another" in request.param else None)
    with started(stage.scheduler):
        stage.scheduler.add_job(answer, "interval", minutes=1, id="x", args=["old"])
        if stage.somebody is stage.scheduler:
            yield stage
        else:
            with started(stage.somebody, paused=True):
                yield stage


def add_again(somebody: VirtualScheduler) -> None:
    somebody.remove_job("x")
    somebody.add_job(answer, "interval", minutes=1, id="x", args=["new"], start_date=at(90))


Change = tuple[Callable[[VirtualScheduler], object], list[float], Any]
"""What is done, when the job runs up to 300 s, and what the runs behind the first one answer."""

CHANGES: dict[str, Change] = {
    "removed": (lambda somebody: somebody.remove_job("x"), [60], None),
    "all removed": (lambda somebody: somebody.remove_all_jobs(), [60], None),
    "removed and added": (add_again, [60, 90, 150, 210, 270], "new"),
    "modified": (lambda somebody: somebody.modify_job("x", args=["new"]), [60, 120, 180, 240, 300], "new"),
    "given another function": (
        lambda somebody: somebody.modify_job("x", func=other),
        [60, 120, 180, 240, 300],
        None,
    ),
    "replaced by an equal trigger": (
        lambda somebody: somebody.add_job(
            answer, "interval", minutes=1, id="x", args=["new"], replace_existing=True
        ),
        [60, 120, 180, 240, 300],
        "new",
    ),
    "replaced by another trigger": (
        lambda somebody: somebody.add_job(
            answer, "interval", minutes=2, id="x", args=["new"], replace_existing=True
        ),
        [60, 180, 300],
        "new",
    ),
    "rescheduled": (
        lambda somebody: somebody.reschedule_job("x", trigger="interval", minutes=2),
        [60, 180, 300],
        "old",
    ),
    "given another interval": (
        lambda somebody: somebody.modify_job("x", minutes=2),
        [60, 180, 300],
        "old",
    ),
    "paused": (lambda somebody: somebody.pause_job("x"), [60], None),
    "moved": (
        lambda somebody: somebody.modify_job("x", next_run_time=at(90)),
        [60, 90, 120, 180, 240, 300],
        "old",
    ),
    "given to another executor": (
        lambda somebody: somebody.modify_job("x", executor="more"),
        [60, 120, 180, 240, 300],
        "old",
    ),
    "allowed more instances": (
        lambda somebody: somebody.modify_job("x", max_instances=2),
        [60, 120, 180, 240, 300],
        "old",
    ),
}


@pytest.mark.parametrize("moment", ["claim", "run"])
@pytest.mark.parametrize("change", CHANGES)
def test_the_run_that_was_won_runs_once_and_its_end_undoes_nothing(
    stage: Stage, change: str, moment: str
) -> None:
    call, times, value = CHANGES[change]
    stage.have_it_done(moment, partial(call, stage.somebody))
    stage.play(300)
    heard = stage.heard
    assert not heard.of(FAILURES)
    assert heard.seconds("x") == times
    # Whatever the first one was when it was started, the others are what the job is now.
    assert [event.retval for event in heard.of(EVENT_JOB_EXECUTED, "x")[1:]] == [value] * len(times[1:])
    record = stage.store.peek("x")
    assert (record is None) == (change in ("removed", "all removed"))
    assert record is None or record.runs == ()


@pytest.mark.parametrize("moment", ["claim", "run"])
def test_a_one_off_that_is_added_again_in_between(stage: Stage, moment: str) -> None:
    """Its id is free as soon as it is claimed; what is added by it is another job, which the old one's end does not touch."""
    stage.scheduler.add_job(answer, "date", run_date=at(60), id="once", args=["old"])
    stage.scheduler.remove_job("x")
    stage.have_it_done(
        moment,
        lambda: stage.somebody.add_job(
            answer, "date", run_date=at(120), id="once", args=["new"], misfire_grace_time=None
        ),
    )
    for second in (60, 75):
        stage.play(second)
        assert [job.next_run_time for job in stage.scheduler.get_jobs()] == [at(120)]
    stage.play(300)
    assert not stage.heard.of(FAILURES)
    runs = stage.heard.of(EVENT_JOB_EXECUTED, "once")
    assert [(event.scheduled_run_time, event.retval) for event in runs] == [(at(60), "old"), (at(120), "new")]
    assert stage.scheduler.get_jobs() == []


@pytest.mark.parametrize("moment", ["claim", "run"])
def test_a_job_that_is_removed_does_not_come_back_with_a_start(stage: Stage, moment: str) -> None:
    stage.have_it_done(moment, lambda: stage.somebody.remove_job("x"))
    stage.scheduler.shutdown(wait=False)
    for executor in stage.executors:
        executor.release()
    with started(stage.scheduler):
        stage.scheduler.add_job(nothing, "interval", minutes=1, id="y")
        stage.play(180)
        assert [job.id for job in stage.scheduler.get_jobs()] == ["y"]
    assert len(stage.heard.of(EVENT_JOB_EXECUTED, "x")) == 1
