"""The clocks: the system's, and the one that is moved by hand."""

import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from mainspring.events import Clock, ManualClock, SystemClock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class TestSystemClock:
    def test_tells_the_present_in_utc(self) -> None:
        before = datetime.now(UTC)
        now = SystemClock().now()
        assert before <= now <= datetime.now(UTC)
        assert now.tzinfo is UTC

    def test_micros_are_those_of_now(self) -> None:
        clock = SystemClock()
        before = (clock.now() - EPOCH) // timedelta(microseconds=1)
        micros = clock.micros()
        after = (clock.now() - EPOCH) // timedelta(microseconds=1)
        assert isinstance(micros, int)
        assert before <= micros <= after

    def test_monotonic_never_goes_back(self) -> None:
        clock = SystemClock()
        readings = [clock.monotonic() for _ in range(1000)]
        assert readings == sorted(readings)

    @pytest.mark.skipif(
        not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that counts suspended time"
    )
    def test_monotonic_counts_suspended_time(self) -> None:
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        reading = SystemClock().monotonic()
        assert before <= reading <= time.clock_gettime(time.CLOCK_BOOTTIME)

    def test_subscribers_are_accepted(self) -> None:
        clock = SystemClock()
        clock.subscribe(print)
        clock.unsubscribe(print)


def test_a_clock_of_ones_own_needs_two_methods() -> None:
    class Fixed(Clock):
        def now(self) -> datetime:
            return START + timedelta(microseconds=1)

        def monotonic(self) -> float:
            return 0.0

    assert Fixed().micros() == int(START.timestamp()) * 1_000_000 + 1


class TestManualClock:
    def test_stands_still_until_it_is_moved(self) -> None:
        clock = ManualClock(START)
        assert (clock.now(), clock.monotonic()) == (START, 0.0)
        clock.advance(timedelta(hours=1, microseconds=1))
        assert clock.now() == START + timedelta(hours=1, microseconds=1)
        assert clock.monotonic() == 3600.000001

    def test_micros_are_those_of_now(self) -> None:
        clock = ManualClock(START)
        clock.advance(timedelta(microseconds=7))
        assert EPOCH + timedelta(microseconds=clock.micros()) == clock.now()

    def test_starts_at_the_present_by_default(self) -> None:
        before = datetime.now(UTC)
        assert before <= ManualClock().now() <= datetime.now(UTC)

    def test_tells_utc_whatever_zone_it_was_given(self) -> None:
        clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5))))
        assert clock.now() == datetime(2026, 3, 1, 7, tzinfo=UTC)
        assert clock.now().tzinfo is UTC

    def test_before_the_epoch_and_far_ahead_to_the_microsecond(self) -> None:
        for moment in (
            datetime(1901, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ):
            assert ManualClock(moment).now() == moment

    def test_set_forward_lets_time_pass(self) -> None:
        clock = ManualClock(START)
        clock.set(START + timedelta(days=1))
        assert (clock.now(), clock.monotonic()) == (START + timedelta(days=1), 86400.0)

    def test_set_backward_steps_the_wall_clock_alone(self) -> None:
        clock = ManualClock(START)
        clock.advance(SECOND)
        clock.set(START - timedelta(hours=1))
        assert (clock.now(), clock.monotonic()) == (START - timedelta(hours=1), 1.0)
        clock.advance(SECOND)
        assert clock.monotonic() == 2.0

    def test_subscribers_are_called_in_order_after_each_move(self) -> None:
        clock = ManualClock(START)
        seen: list[tuple[str, datetime]] = []
        clock.subscribe(lambda: seen.append(("first", clock.now())))
        clock.subscribe(lambda: seen.append(("second", clock.now())))
        clock.advance(SECOND)
        clock.set(START)
        assert seen == [
            ("first", START + SECOND),
            ("second", START + SECOND),
            ("first", START),
            ("second", START),
        ]

    def test_unsubscribing_ends_one_subscription(self) -> None:
        clock = ManualClock(START)
        calls: list[int] = []

        def tell() -> None:
            calls.append(1)

        clock.subscribe(tell)
        clock.subscribe(tell)
        clock.unsubscribe(tell)
        clock.advance(SECOND)
        assert calls == [1]
        clock.unsubscribe(tell)
        clock.unsubscribe(tell)  # unknown by now: nothing happens
        clock.advance(SECOND)
        assert calls == [1]

    def test_a_subscriber_may_use_the_clock_and_so_may_its_threads(self) -> None:
        # with the clock's lock held around the call this would never return
        clock = ManualClock(START)
        done = threading.Event()

        def elsewhere() -> None:
            clock.subscribe(print)
            clock.unsubscribe(print)
            done.set()

        def told() -> None:
            clock.unsubscribe(told)
            clock.advance(SECOND)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join(10)

        clock.subscribe(told)
        clock.advance(SECOND)
        assert done.is_set()
        assert clock.now() == START + 2 * SECOND

    def test_moves_from_several_threads_add_up(self) -> None:
        clock = ManualClock(START)

        def move() -> None:
            for _ in range(500):
                clock.advance(SECOND)

        threads = [threading.Thread(target=move) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert clock.now() == START + 2000 * SECOND
        assert clock.monotonic() == 2000.0

    @pytest.mark.parametrize("delta", [-SECOND, timedelta(microseconds=-1)], ids=str)
    def test_time_does_not_pass_backwards(self, delta: timedelta) -> None:
        clock = ManualClock(START)
        with pytest.raises(ValueError, match=r"backwards.*call set\(\)"):
            clock.advance(delta)
        assert clock.now() == START

    def test_no_move_beyond_what_a_datetime_can_say(self) -> None:
        clock = ManualClock(START)
        with pytest.raises(OverflowError):
            clock.advance(timedelta(days=4_000_000))
        assert (clock.now(), clock.monotonic()) == (START, 0.0)

    @pytest.mark.parametrize("delta", [60, 1.5, None, START], ids=repr)
    def test_advance_takes_a_timedelta(self, delta: Any) -> None:
        with pytest.raises(TypeError, match=r"advance\(\) takes a timedelta, got"):
            ManualClock(START).advance(delta)

    def test_naive_datetimes_are_refused(self) -> None:
        naive = datetime(2026, 3, 1)  # noqa: DTZ001
        with pytest.raises(ValueError, match="start must be an aware datetime, got"):
            ManualClock(naive)
        with pytest.raises(ValueError, match="moment must be an aware datetime, got"):
            ManualClock(START).set(naive)

    @pytest.mark.parametrize("moment", [0, "2026-03-01", date(2026, 3, 1)], ids=repr)
    def test_anything_but_a_datetime_is_refused(self, moment: Any) -> None:
        with pytest.raises(TypeError, match="must be an aware datetime, got"):
            ManualClock(START).set(moment)

    def test_repr_tells_the_time(self) -> None:
        assert repr(ManualClock(START)) == "<ManualClock (now=2026-03-01T12:00:00+00:00)>"
