"""And, or: against sets of fire times, proofs that nothing is left, and bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import (
    CronTrigger,
    DateTrigger,
    InstantTrigger,
    IntervalTrigger,
    NoFireTimeFoundError,
)
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.combining.exclusions import Times
from mainspring.triggers.combining.progressions import Progression, meet
from mainspring.triggers.combining.sources import MAX_LEAPS, Plain
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.instants import LAST_INSTANT, from_micros, to_micros

from tests.triggers.composites import (
    ANCHOR,
    NOW,
    SLOW,
    STRETCHES,
    Expected,
    Stretch,
    check,
    composites,
    every,
    expected,
    shifted,
)
from tests.triggers.schedules import fires_between


@SLOW
@given(expected(OrTrigger))
def test_or_is_the_union(case: tuple[Stretch, Expected]) -> None:
    check(case[1].trigger, case[0], case[1].fires)


@SLOW
@given(expected(AndTrigger))
def test_and_is_the_intersection(case: tuple[Stretch, Expected]) -> None:
    check(case[1].trigger, case[0], case[1].fires)


PROGRESSIONS = st.builds(
    lambda first, step, length: Progression(first, step, first + length),
    st.integers(-500, 500),
    st.integers(1, 60),
    st.integers(0, 3000),
)


@settings(deadline=None)
@given(PROGRESSIONS, PROGRESSIONS)
def test_where_two_progressions_meet(one: Progression, other: Progression) -> None:
    both = set(range(one.first, one.last + 1, one.step)) & set(range(other.first, other.last + 1, other.step))
    met = meet(one, other)
    if met is None:
        assert not both
    else:
        assert set(range(met.first, met.last + 1, met.step)) == both
    turned = meet(other, one)
    assert turned == met


@settings(deadline=None)
@given(PROGRESSIONS, st.integers(-1000, 5000), st.integers(-1000, 5000))
def test_a_progression_answers_as_its_list(progression: Progression, a: int, b: int) -> None:
    listed = range(progression.first, progression.last + 1, progression.step)
    assert progression.next_after(a) == min((n for n in listed if n > a), default=None)
    assert progression.previous_before(a) == max((n for n in listed if n < a), default=None)
    assert progression.count_between(a, b) == sum(a < n <= b for n in listed)


def test_elapsed_time_of_three_intervals_is_one_grid() -> None:
    """Their steps have no common divisor: they meet every 2,431,000 seconds, and nobody walks there."""
    trigger = AndTrigger([every(1000), every(1100), every(2210)])
    first = trigger.get_next_fire_time(None, ANCHOR + timedelta(seconds=1))
    assert first == ANCHOR + timedelta(seconds=2_431_000)
    assert (
        trigger.count_between(to_micros(ANCHOR), LAST_INSTANT)
        == (LAST_INSTANT - to_micros(ANCHOR)) // 2_431_000_000_000
    )


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([every(7200), every(7200, shifted(3600))], r"from 2026-01-01 00:00:00 UTC and interval\[2:00:00\] from 2026-01-01 01:00:00 UTC never"),
        ([every(4), CronTrigger(hour=4, timezone=UTC), every(6, shifted(1))], "same start_date"),
        ([every(60, shifted(0.25)), CronTrigger(hour=4, timezone=UTC)], r"from 2026-01-01 00:00:00.250000 UTC never fires on a whole second"),
        ([every(60, shifted(0.25)), OrTrigger([CronTrigger(hour=4), CronTrigger(hour=5)])], "ExcludingTrigger"),
        ([AndTrigger([every(60, shifted(0.25)), every(30, shifted(0.25))]), CronTrigger(hour=4)], "whole second"),
        ([every(60), every(45, shifted(15), end_date=shifted(60))], r"first fire together at 2026-01-01 00:01:00 UTC, which"),
    ],
)  # fmt: skip
def test_what_can_be_shown_never_to_fire_is_refused(parts: list[InstantTrigger], reason: str) -> None:
    if "together at" in reason:
        assert AndTrigger(parts).preview(5, ANCHOR) == [shifted(60)]
        parts = [parts[0], parts[1].modified(end_date=shifted(59))]
    with pytest.raises(ValueError, match=reason):
        AndTrigger(parts)


def test_an_interval_off_the_whole_second_may_reach_it() -> None:
    trigger = AndTrigger(
        [every(timedelta(seconds=1.5), shifted(0.5)), CronTrigger(second="*/10", timezone=UTC)]
    )
    assert trigger.preview(2, ANCHOR) == [shifted(20), shifted(50)]


def test_the_apscheduler_manual_s_example_is_refused_when_its_start_is_known() -> None:
    """Every two hours from the moment at which it is added, to the microsecond: at weekends it hits no midnight. APScheduler searches for ever."""
    trigger = AndTrigger([IntervalTrigger(hours=2), CronTrigger(day_of_week="sat,sun")])
    with pytest.raises(ValueError, match="use ExcludingTrigger"):
        trigger.bind(NOW, "job")
    with pytest.raises(ValueError, match="use ExcludingTrigger"):
        trigger.get_next_fire_time(None, NOW)
    weekend = trigger.bind(NOW, "job", datetime(2026, 3, 7, tzinfo=UTC))
    assert weekend.triggers[0].bind(NOW, "job") is weekend.triggers[0]


class Counting:
    """Fires on the multiples of a second, moved by a phase, and counts the questions."""

    def __init__(self, phase: int) -> None:
        self.phase, self.asked = phase, 0

    def next_after(self, instant: int) -> int:
        self.asked += 1
        return instant + 1_000_000 - (instant - self.phase) % 1_000_000

    def previous_before(self, instant: int) -> int:
        self.asked += 1
        return instant - 1 - (instant - 1 - self.phase) % 1_000_000

    def count_between(self, after: int, until: int) -> int:
        return (until - self.phase) // 1_000_000 - (after - self.phase) // 1_000_000


def test_a_search_in_vain_ends_at_its_bound() -> None:
    trigger = AndTrigger([CronTrigger(hour=4, timezone=UTC), CronTrigger(hour=5, timezone=UTC)])
    one, other = Counting(0), Counting(500_000)
    object.__setattr__(trigger, "_sources", (Plain(one), Plain(other)))
    reason = "between .*2026-03-01 12:00:00 UTC.*, after 100,000 steps.*ExcludingTrigger"
    for ask in (trigger.next_after, trigger.previous_before):
        one.asked = other.asked = 0
        with pytest.raises(NoFireTimeFoundError, match=reason):
            ask(to_micros(NOW))
        assert one.asked + other.asked == MAX_LEAPS


def test_triggers_inside_of_triggers_are_bounded_as_one() -> None:
    """Each alone would find something within its bound; what they take counts together."""
    inner = AndTrigger([CronTrigger(hour=4, timezone=UTC), CronTrigger(hour="4,5", timezone=UTC)])
    one, other, gone = Counting(0), Counting(0), Counting(0)
    object.__setattr__(inner, "_sources", (Plain(one), Plain(other)))
    outer = ExcludingTrigger(OrTrigger([inner]))
    object.__setattr__(outer, "_exclusions", (Times(Plain(gone)),))
    for ask in (outer.next_after, outer.previous_before):
        one.asked = other.asked = gone.asked = 0
        with pytest.raises(NoFireTimeFoundError, match="after 100,000 steps"):
            ask(to_micros(NOW))
        assert one.asked + other.asked + gone.asked <= MAX_LEAPS + 1


def test_a_distant_fire_time_of_a_part_is_searched_for_once() -> None:
    """The 29th of February that is a Monday, beside an interval of a minute: not searched for again at each minute."""
    rare = AndTrigger(
        [CronTrigger(month=2, day=29, timezone=UTC), CronTrigger(day_of_week="mon", timezone=UTC)]
    )
    asked = Counting(0)
    object.__setattr__(rare, "_sources", (Plain(asked), *rare._sources))
    for trigger in (OrTrigger([every(60), rare]), ExcludingTrigger(every(60), triggers=[rare])):
        fires_between(trigger, NOW, NOW + timedelta(days=3))
        once, asked.asked = asked.asked, 0
        fires_between(trigger, NOW, NOW + timedelta(hours=1))
        assert once < 100
        assert asked.asked < 100


def test_two_cron_triggers_that_never_agree_end_in_the_error() -> None:
    trigger = AndTrigger([CronTrigger(hour=4, timezone=UTC), CronTrigger(hour=5, timezone=UTC)])
    with pytest.raises(NoFireTimeFoundError, match="all of them fire"):
        trigger.get_next_fire_time(None, NOW)
    # Each leap may be a long one, so that what is far away is found all the same.
    leap = AndTrigger(
        [CronTrigger(month=2, day=29, timezone=UTC), CronTrigger(day_of_week="mon", timezone=UTC), every(1)]
    )
    assert [fire.date().isoformat() for fire in leap.preview(3, NOW)] == [
        "2044-02-29",
        "2072-02-29",
        "2112-02-29",
    ]


def test_equal_parts_are_one_and_nested_ones_are_flat() -> None:
    daily = CronTrigger(hour=4, timezone=UTC)
    trigger = AndTrigger([daily, every(7200), AndTrigger([CronTrigger(hour=4, timezone=UTC), every(3600)])])
    assert len(trigger._sources) == 2
    assert trigger.preview(1, NOW) == [datetime(2026, 3, 2, 4, tzinfo=UTC)]


def test_an_end_ends() -> None:
    trigger = AndTrigger([every(60, end_date=shifted(120)), every(30)])
    assert trigger.preview(9, ANCHOR) == [shifted(0), shifted(60), shifted(120)]
    both = OrTrigger([DateTrigger(shifted(5)), every(60, end_date=shifted(60))])
    assert both.preview(9, ANCHOR) == [shifted(0), shifted(5), shifted(60)]
    assert (
        both.get_next_fire_time(None, NOW) is None
    )  # a date that has passed is no fire time of a combination
    assert AndTrigger([DateTrigger(shifted(5)), every(2)]).preview(9, ANCHOR) == []
    assert AndTrigger([DateTrigger(shifted(6)), every(2)]).preview(9, ANCHOR) == [shifted(6)]


def test_beyond_the_calendar() -> None:
    for trigger in (
        OrTrigger([every(60), CronTrigger(hour=4)]),
        AndTrigger([every(60), CronTrigger(hour=4, timezone=UTC)]),
    ):
        assert trigger.next_after(LAST_INSTANT) is None
        assert trigger.next_after(-(10**18)) is not None
        assert trigger.previous_before(LAST_INSTANT) is not None
        assert trigger.count_between(to_micros(NOW), -(10**18)) == 0
    assert OrTrigger([IntervalTrigger(hours=1)]).next_after(-(10**18)) is not None


def test_the_rest_of_a_union_is_counted_without_walking_the_busiest_part() -> None:
    trigger = OrTrigger([every(1), CronTrigger(hour="3,4", timezone=UTC), DateTrigger(shifted(10.5))])
    year = to_micros(ANCHOR + timedelta(days=365))
    assert trigger.count_between(to_micros(ANCHOR), year) == 365 * 86_400 + 1


@SLOW
@given(st.data())
def test_any_mixture(data: st.DataObject) -> None:
    """Deeper than the others, and only the way forward."""
    stretch = data.draw(STRETCHES)
    made = data.draw(composites(stretch, depth=3))
    assert fires_between(made.trigger, stretch.begin, stretch.end) == sorted(made.fires)
    assert from_micros(to_micros(stretch.begin), UTC) == stretch.begin
