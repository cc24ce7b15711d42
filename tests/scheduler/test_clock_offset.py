"""A server's clock beside this process's: what is measured, when it is said, and that nothing is claimed while they are too far apart."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_CLOCK_OFFSET,
    EVENT_JOB_EXECUTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    ClockOffsetEvent,
    ManualClock,
)
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.clockwatch import MEASURE_EVERY, ClockWatch, Verdict
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.instants import to_micros

from tests.guards.distant import DistantJobStore
from tests.guards.faults import HoldingExecutor
from tests.scheduler.watching import START, Heard, nothing, started

NOW = to_micros(START)
SECOND = timedelta(seconds=1)


class RealManualClock(ManualClock):
    """Moved by hand, and yet to be compared with the server's."""

    @property
    def is_real(self) -> bool:
        return True


# -- one measurement -----------------------------------------------------------------------------------------------


class Asked(MemoryJobStore):
    """A server that takes so long to be asked, and so long to answer."""

    def __init__(self, clock: ManualClock, offset: float | None, there: float, back: float) -> None:
        super().__init__()
        self.clock, self.offset = clock, offset
        self.there, self.back = timedelta(seconds=there), timedelta(seconds=back)

    def server_time(self) -> int | None:
        self.clock.advance(self.there)
        time = None if self.offset is None else self.clock.micros() - round(self.offset * 1_000_000)
        self.clock.advance(self.back)
        return time


@pytest.mark.parametrize(
    ("offset", "there", "back", "expected"),
    [
        pytest.param(3.0, 0, 0, 3.0, id="ahead"),
        pytest.param(-3.0, 0, 0, -3.0, id="behind"),
        pytest.param(0.0, 4, 4, 0.0, id="equal, however long it takes"),
        pytest.param(3.0, 2, 2, 1.0, id="ahead, less half of the round trip"),
        pytest.param(3.0, 0, 4, 3.0, id="ahead, and the answer was slow"),
        pytest.param(3.0, 4, 0, 0.0, id="ahead, as far as can be known not at all: the question was slow"),
        pytest.param(-3.0, 0, 4, 0.0, id="behind, as far as can be known not at all: the answer was slow"),
        pytest.param(-3.0, 4, 0, -3.0, id="behind, and the question was slow"),
        pytest.param(None, 1, 1, 0.0, id="it has no clock"),
    ],
)
def test_what_lies_within_the_round_trip_does_not_count(
    offset: float | None, there: float, back: float, expected: float
) -> None:
    clock = RealManualClock(START)
    assert ClockWatch(clock, 5).measure(Asked(clock, offset, there, back)) == pytest.approx(expected)


def test_it_is_measured_at_once_every_ten_seconds_and_after_a_failure() -> None:
    clock = RealManualClock(START)
    watch = ClockWatch(clock, 5)
    assert watch.must_measure(NOW)
    watch.measure(Asked(clock, 0.0, 0, 0))
    assert not watch.must_measure(NOW + MEASURE_EVERY - 1)
    assert watch.must_measure(NOW + MEASURE_EVERY)
    watch.soon()
    assert watch.must_measure(NOW)


def test_a_store_without_a_clock_is_asked_once() -> None:
    clock = RealManualClock(START)
    watch = ClockWatch(clock, 5)
    watch.measure(Asked(clock, None, 0, 0))
    assert not watch.must_measure(NOW + 1000 * MEASURE_EVERY)
    watch.soon()
    assert not watch.must_measure(NOW + 1000 * MEASURE_EVERY)


def test_a_clock_that_is_moved_by_hand_is_compared_with_nobodys() -> None:
    watch = ClockWatch(ManualClock(START), 5)
    watch.soon()
    assert not watch.must_measure(NOW)


def test_what_is_said_of_which_offset() -> None:
    watch = ClockWatch(RealManualClock(START), 5)
    told = [watch.judge(offset) for offset in (0.5, -1.0, 1.1, -4, 5.0, 5.1, 60, -60, 4, 1.5, 0, -1.1)]
    assert told == [
        Verdict.NOTHING,
        Verdict.NOTHING,
        Verdict.NOTICEABLE,
        Verdict.NOTHING,
        Verdict.NOTHING,
        Verdict.TOO_FAR,
        Verdict.NOTHING,
        Verdict.NOTHING,
        Verdict.AGREES_AGAIN,
        Verdict.NOTHING,
        Verdict.NOTHING,
        Verdict.NOTICEABLE,
    ]


# -- in a scheduler --------------------------------------------------------------------------------------------------


class Offset(VirtualScheduler):
    """A scheduler in virtual time, whose clock is ahead of the server's by as much as a test says."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.ahead = 0.0
        self.store = DistantJobStore(folder)
        options = {"executors": {"default": DebugExecutor()}, **options}
        super().__init__(
            clock=RealManualClock(START),
            jobstores={"distant": self.store, "near": MemoryJobStore()},
            job_defaults={"misfire_grace_time": None},
            **options,
        )
        self.store.server.time = lambda: self.clock.micros() - round(self.ahead * 1_000_000)

    def look_every_second(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wakeup()
            self.advance(SECOND)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Offset]:
    return lambda **options: Offset(tmp_path, **options)


def test_above_a_second_there_is_one_warning_and_jobs_run(
    make: Callable[..., Offset], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = make()
    heard = Heard(scheduler)
    scheduler.ahead = 1.5
    with started(scheduler):
        scheduler.add_job("time:time", "interval", seconds=10, id="x", jobstore="distant")
        scheduler.look_every_second(60)
        scheduler.ahead = -2
        scheduler.look_every_second(60)
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.getMessage() for record in warnings] == [
            'The clock of this machine is 1.500 seconds ahead of that of the server of job store "distant": beyond 5 s, nothing would be claimed '
            "from it"
        ]
        scheduler.ahead = 0.9
        scheduler.look_every_second(20)
        scheduler.ahead = -1.2
        scheduler.look_every_second(20)
        assert caplog.text.count("The clock of this machine is 1.200 seconds behind that of") == 1
    assert heard.seconds("x") == [10 * number for number in range(1, 17)]
    assert not heard.of(EVENT_CLOCK_OFFSET)


@pytest.mark.parametrize("ahead", [6.0, -6.0])
def test_above_the_limit_nothing_is_claimed_or_recovered_until_the_clocks_agree(
    make: Callable[..., Offset], caplog: pytest.LogCaptureFixture, ahead: float
) -> None:
    scheduler = make()
    server = scheduler.store.server
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job("time:time", "interval", seconds=10, id="x", jobstore="distant")
        scheduler.add_job(nothing, "interval", seconds=10, id="near", jobstore="near")
        scheduler.look_every_second(30)
        assert heard.seconds("x") == [10, 20, 30]
        scheduler.ahead = ahead
        scheduler.look_every_second(11)
        server.asked.clear()
        scheduler.look_every_second(60)
        (event,) = heard.of(EVENT_CLOCK_OFFSET)
        assert event == ClockOffsetEvent(EVENT_CLOCK_OFFSET, "distant", ahead)
        (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert (
            f"6.000 seconds {'ahead of' if ahead > 0 else 'behind'} that of the server" in error.getMessage()
        )
        assert "more than max_clock_offset (5 s)" in error.getMessage()
        # It goes on measuring, and asks nothing else.
        assert 5 <= len(server.asked) <= 7
        assert set(server.asked) == {"server_time"}
        assert heard.seconds("near") == [10 * number for number in range(1, 11)]
        runs = len(heard.seconds("x"))
        scheduler.ahead = 4.5
        scheduler.look_every_second(11)
        assert [event.offset for event in heard.of(EVENT_CLOCK_OFFSET)] == [ahead, 4.5]
        assert "its jobs are claimed again" in caplog.text
        assert len(heard.seconds("x")) > runs
        scheduler.look_every_second(30)
        assert len(heard.of(EVENT_CLOCK_OFFSET)) == 2
        assert heard.seconds("x")[-2:] == [130, 140]


def test_from_the_start_on(make: Callable[..., Offset]) -> None:
    scheduler = make()
    scheduler.ahead = 3600
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job("time:time", id="x", jobstore="distant")
        scheduler.look_every_second(30)
        assert not heard.of(EVENT_JOB_EXECUTED)
        assert "claim_due" not in scheduler.store.server.asked
        assert [event.offset for event in heard.of(EVENT_CLOCK_OFFSET)] == [3600]
        # Edits go on: they are not about this machine's time.
        scheduler.pause_job("x")
        assert [job.next_run_time for job in scheduler.get_jobs("distant")] == [None]


def test_the_limit_is_an_option(make: Callable[..., Offset]) -> None:
    scheduler = make(max_clock_offset=0.5)
    scheduler.ahead = 0.6
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(SECOND)
    assert len(heard.of(EVENT_CLOCK_OFFSET)) == 1


def test_ends_of_runs_are_written_meanwhile(make: Callable[..., Offset]) -> None:
    executor = HoldingExecutor()
    scheduler = make(executors={"default": executor})
    with started(scheduler):
        scheduler.add_job("time:time", id="x", jobstore="distant")
        scheduler.look_every_second(2)
        scheduler.ahead = 100
        scheduler.look_every_second(11)
        assert len(scheduler.store.read_all()) == 1
        executor.release()
        scheduler.look_every_second(1)
        assert scheduler.store.read_all() == []


def test_it_is_measured_before_the_first_claim_behind_an_outage(make: Callable[..., Offset]) -> None:
    """A machine that was suspended comes back with another clock and broken connections."""
    scheduler = make()
    server = scheduler.store.server
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job("time:time", "interval", seconds=10, id="x", jobstore="distant")
        scheduler.look_every_second(11)
        assert server.asked.count("server_time") == 2  # the next time would be in nine seconds
        server.go_away()
        scheduler.look_every_second(2)
        scheduler.ahead = 60
        server.asked.clear()
        server.come_back()
        scheduler.look_every_second(5)
        assert "claim_due" not in server.asked
        assert len(heard.of(EVENT_CLOCK_OFFSET)) == 1
        assert len(heard.of(EVENT_JOBSTORE_FAILED)) == len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1


def test_a_server_that_does_not_tell_its_time_counts_as_one_that_fails(make: Callable[..., Offset]) -> None:
    scheduler = make()
    heard = Heard(scheduler)

    def fail() -> int:
        raise OSError("no time")

    tell, scheduler.store.server.time = scheduler.store.server.time, fail
    with started(scheduler):
        scheduler.advance(10 * SECOND)
        assert len(heard.of(EVENT_JOBSTORE_FAILED)) == 1
        scheduler.store.server.time = tell
        scheduler.advance(20 * SECOND)
        assert len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1


def test_on_a_real_clock(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    scheduler = BackgroundScheduler(jobstores={"default": store})
    store.server.time = lambda: scheduler.clock.micros() + 3_600_000_000
    heard = Heard(scheduler)
    with started(scheduler):
        event = heard.wait(EVENT_CLOCK_OFFSET)
        assert -3601 < event.offset < -3590
