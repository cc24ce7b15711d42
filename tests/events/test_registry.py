"""The listener registry: who is called, in which order, and that nobody can harm the others."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from mainspring.events import (
    EVENT_ALL,
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_STARTED,
    PAYLOADS,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
    ListenerRegistry,
    Mask,
    SchedulerEvent,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

STARTED = SchedulerEvent(EVENT_SCHEDULER_STARTED)
ADDED = JobEvent(EVENT_JOB_ADDED, "j", "default")
SUBMITTED = JobSubmissionEvent(EVENT_JOB_SUBMITTED, "j", "default", [NOON])
EXECUTED = JobExecutionEvent(EVENT_JOB_EXECUTED, "j", "default", NOON)
FAILED = JobExecutionEvent(EVENT_JOB_ERROR, "j", "default", NOON)
ALL = [STARTED, ADDED, SUBMITTED, EXECUTED, FAILED]


@dataclass(frozen=True)
class ProgressEvent(JobExecutionEvent):
    """A class of a program's own that comes with one of our codes."""


@dataclass(frozen=True)
class ForeignEvent(SchedulerEvent):
    """A class of a program's own that comes with a code of its own."""


FOREIGN = ForeignEvent(2**40)


@pytest.fixture
def registry() -> ListenerRegistry:
    return ListenerRegistry()


@pytest.mark.parametrize(
    ("mask", "heard"),
    [
        (EVENT_ALL, ALL),
        (EVENT_JOB_EXECUTED, [EXECUTED]),
        (EVENT_JOB_ADDED | EVENT_JOB_ERROR, [ADDED, FAILED]),
        (EVENT_JOB_MISSED, []),
        (0, []),
        (-1, [*ALL, FOREIGN]),
        (SchedulerEvent, [*ALL, FOREIGN]),
        (JobEvent, [ADDED, SUBMITTED, EXECUTED, FAILED]),
        (JobExecutionEvent, [EXECUTED, FAILED]),
        ((JobExecutionEvent, JobSubmissionEvent), [SUBMITTED, EXECUTED, FAILED]),
        (ForeignEvent, [FOREIGN]),
        (2**40, [FOREIGN]),
    ],
)
def test_mask_selects(registry: ListenerRegistry, mask: Mask, heard: list[SchedulerEvent]) -> None:
    seen: list[SchedulerEvent] = []
    registry.add(seen.append, mask)
    for event in [*ALL, FOREIGN]:
        registry.publish(event)
    assert seen == heard
    # `wants` may say yes too often, for classes of a program's own; it must never say no to what is heard
    assert all(registry.wants(event.code) for event in heard)


def test_without_a_mask_every_code_is_heard(registry: ListenerRegistry) -> None:
    registry.add(print)
    assert all(registry.wants(code) for code in PAYLOADS)


def test_a_programs_own_subclass_of_an_event(registry: ListenerRegistry) -> None:
    seen: list[SchedulerEvent] = []
    registry.add(seen.append, ProgressEvent)
    progress = ProgressEvent(EVENT_JOB_EXECUTED, "j", "default", NOON)
    registry.publish(progress)
    registry.publish(EXECUTED)
    assert seen == [progress]
    assert type(seen[0]) is ProgressEvent


def test_wants_only_what_somebody_asked_for(registry: ListenerRegistry) -> None:
    assert not registry.wants(EVENT_JOB_EXECUTED)
    registry.add(print, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
    registry.add(repr, JobSubmissionEvent)
    wanted = {code for code in PAYLOADS if registry.wants(code)}
    submissions = {code for code, payload in PAYLOADS.items() if payload is JobSubmissionEvent}
    assert wanted == {EVENT_JOB_ERROR, EVENT_JOB_MISSED} | submissions
    registry.remove(print)
    assert not registry.wants(EVENT_JOB_ERROR)
    assert registry.wants(EVENT_JOB_SUBMITTED)


def test_order_is_that_of_registration(registry: ListenerRegistry) -> None:
    seen: list[int] = []

    def recorder(number: int) -> Callable[[Any], None]:
        return lambda event: seen.append(number)

    for number in range(20):
        registry.add(recorder(number), EVENT_JOB_ADDED if number % 2 else JobEvent)
    registry.publish(ADDED)
    assert seen == list(range(20))


def test_a_callback_added_twice_is_called_twice_and_removed_once_for_all(registry: ListenerRegistry) -> None:
    seen: list[SchedulerEvent] = []
    registry.add(seen.append, EVENT_JOB_ADDED)
    registry.add(seen.append, JobEvent)
    registry.publish(ADDED)
    assert seen == [ADDED, ADDED]
    registry.remove(seen.append)  # another bound-method object than the one that was added
    registry.publish(ADDED)
    assert seen == [ADDED, ADDED]
    assert not registry.wants(EVENT_JOB_ADDED)


def test_removing_an_unknown_callback_changes_nothing(registry: ListenerRegistry) -> None:
    seen: list[SchedulerEvent] = []
    registry.add(seen.append)
    registry.remove(print)
    registry.publish(ADDED)
    assert seen == [ADDED]


def test_listeners_may_change_the_registry_while_it_publishes(registry: ListenerRegistry) -> None:
    seen: list[str] = []

    def first(event: SchedulerEvent) -> None:
        seen.append("first")
        registry.remove(first)
        registry.remove(second)
        registry.add(third)

    def second(event: SchedulerEvent) -> None:
        seen.append("second")

    def third(event: SchedulerEvent) -> None:
        seen.append("third")

    registry.add(first)
    registry.add(second)
    registry.publish(ADDED)
    assert seen == ["first", "second"]  # those who were registered when the publication began
    registry.publish(ADDED)
    assert seen == ["first", "second", "third"]


@pytest.mark.parametrize("error", [ValueError("boom"), GeneratorExit()], ids=repr)
def test_a_raising_listener_is_logged_and_the_next_is_called(
    registry: ListenerRegistry, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    seen: list[SchedulerEvent] = []

    def fail(event: SchedulerEvent) -> None:
        raise error

    registry.add(fail)
    registry.add(seen.append)
    registry.publish(ADDED)
    assert seen == [ADDED]
    [record] = caplog.records
    assert record.getMessage() == "Error notifying listener"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_the_log_is_that_of_the_registrys_owner(caplog: pytest.LogCaptureFixture) -> None:
    registry = ListenerRegistry(logging.getLogger("mainspring.scheduler"))
    registry.add(lambda event: 1 / 0)
    registry.publish(ADDED)
    assert [record.name for record in caplog.records] == ["mainspring.scheduler"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_signal_while_a_listener_runs_stops_the_program(
    registry: ListenerRegistry, stop: type[BaseException]
) -> None:
    def interrupted(event: SchedulerEvent) -> None:
        raise stop

    registry.add(interrupted)
    with pytest.raises(stop):
        registry.publish(ADDED)


def test_sys_exit_in_a_worker_thread_harms_nobody(registry: ListenerRegistry) -> None:
    seen: list[SchedulerEvent] = []

    def leave(event: SchedulerEvent) -> None:
        raise SystemExit(3)

    def work() -> None:
        registry.publish(ADDED)
        registry.publish(EXECUTED)

    registry.add(leave, EVENT_JOB_ADDED)
    registry.add(seen.append)
    worker = threading.Thread(target=work)
    worker.start()
    worker.join(10)
    assert seen == [ADDED, EXECUTED]


def test_publishing_while_other_threads_change_the_registry(registry: ListenerRegistry) -> None:
    seen: list[SchedulerEvent] = []
    registry.add(seen.append, EVENT_JOB_ADDED)

    def churn() -> None:
        for _ in range(300):

            def listener(event: SchedulerEvent) -> None:
                pass

            registry.add(listener)
            registry.remove(listener)

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        registry.publish(ADDED)
    for thread in threads:
        thread.join(30)
    assert len(seen) == 300
    # no change was lost in another's read-and-replace: only the first listener is left
    registry.remove(seen.append)
    assert not any(registry.wants(code) for code in PAYLOADS)


@pytest.mark.parametrize(
    "mask", ["EVENT_ALL", None, 1.0, int, (), (JobEvent, 3), [JobEvent], JobEvent(1, "j", "s")], ids=repr
)
def test_a_wrong_mask_is_refused_at_once(registry: ListenerRegistry, mask: Any) -> None:
    with pytest.raises(
        TypeError, match="event codes or-ed together, an event class or a tuple of event classes"
    ):
        registry.add(print, mask)
    assert not any(registry.wants(code) for code in PAYLOADS)


def test_a_callback_that_cannot_be_called_is_refused_at_once(registry: ListenerRegistry) -> None:
    with pytest.raises(TypeError, match="must be callable with one event, got 'print'"):
        registry.add("print")  # type: ignore[arg-type]
