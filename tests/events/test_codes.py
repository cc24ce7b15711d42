"""The event codes: one bit each, the values that programs written for APScheduler 3 rely on, and ours above them."""

import functools
import operator

import pytest
from mainspring import events

CODES = {
    name: value for name, value in vars(events).items() if name.startswith("EVENT_") and name != "EVENT_ALL"
}

VALUES = {
    "EVENT_SCHEDULER_STARTED": 1,
    "EVENT_SCHEDULER_START": 1,
    "EVENT_SCHEDULER_SHUTDOWN": 2,
    "EVENT_SCHEDULER_PAUSED": 4,
    "EVENT_SCHEDULER_RESUMED": 8,
    "EVENT_EXECUTOR_ADDED": 16,
    "EVENT_EXECUTOR_REMOVED": 32,
    "EVENT_JOBSTORE_ADDED": 64,
    "EVENT_JOBSTORE_REMOVED": 128,
    "EVENT_ALL_JOBS_REMOVED": 256,
    "EVENT_JOB_ADDED": 512,
    "EVENT_JOB_REMOVED": 1024,
    "EVENT_JOB_MODIFIED": 2048,
    "EVENT_JOB_EXECUTED": 4096,
    "EVENT_JOB_ERROR": 8192,
    "EVENT_JOB_MISSED": 16384,
    "EVENT_JOB_SUBMITTED": 32768,
    "EVENT_JOB_MAX_INSTANCES": 65536,
    "EVENT_JOB_SUBMIT_FAILED": 1 << 17,
    "EVENT_JOB_QUARANTINED": 1 << 18,
    "EVENT_JOB_PARKED": 1 << 19,
    "EVENT_JOB_LOST": 1 << 20,
    "EVENT_JOB_FOUND": 1 << 21,
    "EVENT_JOB_TIMEOUT": 1 << 22,
    "EVENT_JOBSTORE_FAILED": 1 << 23,
    "EVENT_JOBSTORE_RECOVERED": 1 << 24,
    "EVENT_EXECUTOR_UNKNOWN": 1 << 25,
    "EVENT_CLOCK_OFFSET": 1 << 26,
}


def test_names_and_values() -> None:
    assert CODES == VALUES


def test_all_is_every_code() -> None:
    assert functools.reduce(operator.or_, CODES.values()) == events.EVENT_ALL


@pytest.mark.parametrize("name", sorted(CODES))
def test_each_code_is_one_bit_and_has_an_event_class(name: str) -> None:
    assert CODES[name].bit_count() == 1
    assert issubclass(events.PAYLOADS[CODES[name]], events.SchedulerEvent)
