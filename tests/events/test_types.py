"""The event classes: positional arguments as in APScheduler 3, frozen, and the same attributes on every job event."""

import dataclasses
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from mainspring.events import (
    EVENT_CLOCK_OFFSET,
    EVENT_EXECUTOR_UNKNOWN,
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_PARKED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOBSTORE_FAILED,
    EVENT_SCHEDULER_STARTED,
    PAYLOADS,
    ClockOffsetEvent,
    ExecutorUnknownEvent,
    JobEvent,
    JobExecutionEvent,
    JobReasonEvent,
    JobStoreEvent,
    JobSubmissionEvent,
    RunEvent,
    SchedulerEvent,
)
from mainspring.events.types import FreshExecutionEvent

FIRST = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
LAST = datetime(2026, 3, 1, 5, 1, tzinfo=UTC)
BOOM = ValueError("boom")

EVENTS: list[SchedulerEvent] = [
    SchedulerEvent(EVENT_SCHEDULER_STARTED),
    JobStoreEvent(EVENT_JOBSTORE_FAILED, "default"),
    ExecutorUnknownEvent(EVENT_EXECUTOR_UNKNOWN, "gpu", "default"),
    ClockOffsetEvent(EVENT_CLOCK_OFFSET, "default", -6.5),
    JobEvent(EVENT_JOB_ADDED, "j", "default"),
    JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, "j", "default", [FIRST, LAST]),
    JobExecutionEvent(EVENT_JOB_EXECUTED, "j", "default", LAST, retval=3),
    JobReasonEvent(EVENT_JOB_PARKED, "j", "default", "its trigger fails"),
    RunEvent(EVENT_JOB_LOST, "j", "default", 2**62, LAST, "host:1:2"),
]
JOB_EVENTS = [event for event in EVENTS if isinstance(event, JobEvent)]


def kind(event: SchedulerEvent) -> str:
    return type(event).__name__


def test_every_class_is_covered_here() -> None:
    assert {type(event) for event in EVENTS} == set(PAYLOADS.values())


def test_positional_arguments() -> None:
    event = JobExecutionEvent(
        EVENT_JOB_ERROR, "j", "s", LAST, None, BOOM, "Traceback …", timedelta(seconds=2)
    )
    assert (event.code, event.job_id, event.jobstore, event.scheduled_run_time) == (
        EVENT_JOB_ERROR,
        "j",
        "s",
        LAST,
    )
    assert (event.retval, event.exception, event.traceback) == (None, BOOM, "Traceback …")
    assert (event.late, event.queued) == (timedelta(seconds=2), None)
    assert SchedulerEvent(EVENT_SCHEDULER_STARTED).alias is None
    assert SchedulerEvent(EVENT_SCHEDULER_STARTED, "default").alias == "default"


def test_an_execution_event_needs_its_run_time() -> None:
    # the property of the base class must not become the field's default
    with pytest.raises(TypeError, match="scheduled_run_time"):
        JobExecutionEvent(EVENT_JOB_EXECUTED, "j", "default")  # type: ignore[call-arg]


@pytest.mark.parametrize("event", JOB_EVENTS, ids=kind)
def test_job_events_answer_what_a_listener_on_several_codes_reads(event: JobEvent) -> None:
    assert event.job_id == "j"
    assert event.jobstore == "default"
    assert event.alias is None
    assert event.exception is None
    assert event.traceback is None
    expected = LAST if isinstance(event, JobSubmissionEvent | JobExecutionEvent | RunEvent) else None
    assert event.scheduled_run_time == expected


def test_a_refused_submission_tells_the_run_and_the_cause() -> None:
    event = JobReasonEvent(
        EVENT_JOB_SUBMIT_FAILED, "j", "default", "pool is shut down", BOOM, "Traceback …", [FIRST, LAST]
    )
    assert (event.scheduled_run_time, event.exception, event.traceback) == (LAST, BOOM, "Traceback …")


def test_a_submission_of_nothing_has_no_run_time() -> None:
    assert JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, "j", "default", []).scheduled_run_time is None


@pytest.mark.parametrize("event", EVENTS, ids=kind)
def test_events_are_frozen(event: SchedulerEvent) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.code = 0  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        event.surplus = 1  # type: ignore[attr-defined]


def test_one_that_is_made_quickly_is_like_any_other() -> None:
    late, queued = timedelta(seconds=2), timedelta(seconds=1)
    fresh = FreshExecutionEvent(
        EVENT_JOB_EXECUTED, "j", "s", LAST, 3, BOOM, "Traceback …", late, queued, 2, 7
    )
    assert type(fresh) is JobExecutionEvent
    assert fresh == JobExecutionEvent(
        EVENT_JOB_EXECUTED, "j", "s", LAST, 3, BOOM, "Traceback …", late, queued, 2, None, 7
    )
    assert fresh.alias is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        fresh.code = 0  # type: ignore[misc]


@pytest.mark.parametrize("event", EVENTS, ids=kind)
def test_events_survive_pickling(event: SchedulerEvent) -> None:
    # a process pool's child sends them to its parent
    copy = pickle.loads(pickle.dumps(event))
    assert copy == event
    assert type(copy) is type(event)
    assert copy is not event


def test_an_attempt_that_is_followed_by_another() -> None:
    event = JobExecutionEvent(
        EVENT_JOB_ERROR, "j", "s", FIRST, exception=BOOM, attempt=2, retry_at=LAST, run_id=7
    )
    assert (event.attempt, event.retry_at, event.run_id) == (2, LAST, 7)
    assert not event.is_last_attempt
    last = JobExecutionEvent(EVENT_JOB_ERROR, "j", "s", FIRST, exception=BOOM)
    assert (last.attempt, last.retry_at, last.run_id) == (1, None, None)
    assert last.is_last_attempt
    assert event != last
