"""Triggers made of triggers: what a part that never fires does to the others, and what searches, counts and nesting may cost."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainspring.triggers import (
    BaseTrigger,
    CronTrigger,
    InstantTrigger,
    IntervalTrigger,
    NoFireTimeFoundError,
)
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.combining.exclusions import Seconds
from mainspring.triggers.combining.parts import MAX_DEPTH
from mainspring.triggers.combining.sources import MAX_LEAPS, Nested, Plain
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.instants import FIRST_INSTANT, LAST_INSTANT, from_micros, to_micros

from tests.triggers.composites import ANCHOR, NOW, SLOW, STRETCHES, Stretch, every, refused, shifted
from tests.triggers.schedules import count, fires_backwards, fires_between

BERLIN = "Europe/Berlin"
AT = to_micros(NOW)


def utc(**fields: Any) -> CronTrigger:
    return CronTrigger(**fields, timezone=UTC)


def vain() -> AndTrigger:
    """Nobody can prove it, but it never fires."""
    return AndTrigger([utc(hour=4), utc(hour=5)])


def seconds(**fields: Any) -> CronTrigger:
    return CronTrigger(**fields, minute="*", second="*", timezone=BERLIN)


# -- parts that never fire --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        [utc(hour=9), vain()],
        [vain(), utc(hour=9)],
        [vain(), AndTrigger([utc(hour="9,10"), utc(hour="9,11")])],
        [AndTrigger([utc(hour="9,10"), utc(hour="9,11")]), vain()],
        [OrTrigger([vain(), vain().modified(jitter=1)]), OrTrigger([vain(), ExcludingTrigger(utc(hour="9,10"), triggers=[utc(hour=10)])])],
    ],
    ids=str,
)  # fmt: skip
def test_a_part_in_vain_does_not_hold_up_the_others(parts: list[BaseTrigger]) -> None:
    trigger = OrTrigger(parts)
    begin, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 6, tzinfo=UTC)
    nines = [datetime(2026, 3, day, 9, tzinfo=UTC) for day in range(1, 6)]
    assert trigger.preview(5, begin) == nines
    assert fires_backwards(trigger, begin, end) == nines
    assert count(trigger, begin, end) == 5
    assert ExcludingTrigger(trigger, ["2026-03-02"]).preview(4, begin) == [nines[0], *nines[2:]]


def test_an_exclusion_in_vain_excludes_nothing() -> None:
    for excluded in (
        vain(),
        AndTrigger([every(7, end_date=shifted(9)), vain()]),
        OrTrigger([vain(), every(7200)]),
    ):
        trigger = ExcludingTrigger(every(3600, shifted(1800)), triggers=[excluded])
        assert trigger.preview(2, ANCHOR) == [shifted(1800), shifted(5400)]
        assert trigger.previous_before(to_micros(shifted(5400))) == to_micros(shifted(1800))
        assert count(trigger, ANCHOR, shifted(86_400)) == 24


def test_a_distant_fire_time_is_found_beside_parts_that_search() -> None:
    leap = AndTrigger([utc(month=2, day=29), utc(day_of_week="mon")])
    century = AndTrigger([utc(month=1, day=1), utc(year="2100")])
    assert [at.year for at in OrTrigger([century, leap]).preview(4, NOW)] == [2044, 2072, 2100, 2112]
    assert OrTrigger([century, leap]).previous_before(
        to_micros(datetime(2101, 1, 1, tzinfo=UTC))
    ) == to_micros(datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(NoFireTimeFoundError, match="100,000 steps"):
        OrTrigger([vain(), vain().modified(jitter=1)]).next_after(AT)
    ended = AndTrigger([utc(hour=4, end_date=ANCHOR), utc(minute=0)])
    assert OrTrigger([ended, ended.modified(jitter=1)]).next_after(AT) is None


def test_a_part_that_turns_out_never_to_fire_when_it_is_bound() -> None:
    """Beside others it does no harm; alone, or if all are so, it is refused. It is stored and read back like any other."""
    idle = AndTrigger([IntervalTrigger(hours=2, timezone=UTC), utc(minute=0)])
    covered = ExcludingTrigger(
        IntervalTrigger(hours=2, timezone=UTC), triggers=[IntervalTrigger(hours=1, timezone=UTC)]
    )
    for part, reason in ((idle, "never fires on a whole second"), (covered, "leaves nothing")):
        anchor = NOW if part is idle else NOW - timedelta(hours=1)
        either = OrTrigger([part, utc(hour=9)])
        bound = either.bind(NOW, "job", anchor)
        assert bound == either
        for other in (bound, pickle.loads(pickle.dumps(bound)), OrTrigger.from_state(bound.get_state())):
            assert [at.hour for at in other.preview(2, NOW)] == [9, 9]
            assert other.previous_before(AT) == to_micros(NOW.replace(hour=9, microsecond=0))
            assert (other.get_state(), other.bind(NOW, "job")) == (bound.get_state(), other)
        assert ExcludingTrigger(utc(hour=9), triggers=[part]).bind(NOW, "job", anchor).preview(1, NOW)
        for whole in (
            part,
            OrTrigger([part]),
            OrTrigger([part, part.modified(jitter=1)]),
            AndTrigger([utc(hour=9), part]),
            ExcludingTrigger(part),
        ):
            with pytest.raises(ValueError, match=reason):
                whole.bind(NOW, "job", anchor)


# -- a user's part, asked for the first time ---------------------------------------------------------------------------------


class Later(BaseTrigger):
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return (previous_fire_time or now) + timedelta(minutes=5)


class Once(BaseTrigger):
    """Only ever answers to a job that has not fired."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return self.at if previous_fire_time is None else None


def test_a_users_part_of_an_and_is_asked_for_its_first_fire_time() -> None:
    first = NOW + timedelta(minutes=5)
    for trigger in (
        AndTrigger([Later()]),
        AndTrigger([every(60, NOW), Later()]),
        AndTrigger([OrTrigger([AndTrigger([Later()])]), every(60, NOW)]),
    ):
        assert trigger.get_next_fire_time(None, NOW) == first
    # Nor does it matter how far the others are looked at before.
    beside = OrTrigger([AndTrigger([Later()]), ExcludingTrigger(utc(hour=9), ["2026-03-02"])])
    assert beside.preview(2, NOW) == [first, first + timedelta(minutes=5)]
    # It catches up with the others, from the time that they have.
    second = timedelta(seconds=1)
    assert AndTrigger([Later(), every(60, NOW + second)]).get_next_fire_time(None, NOW) == NOW + 601 * second
    for parts in ([Once(shifted(600)), every(60)], [every(60), Once(shifted(600))]):
        assert AndTrigger(parts).get_next_fire_time(None, shifted(1)) == shifted(600)
        assert AndTrigger(parts).get_next_fire_time(None, shifted(601)) is None
    assert AndTrigger([Once(shifted(601)), every(60)]).get_next_fire_time(None, shifted(1)) is None
    with pytest.raises(NoFireTimeFoundError, match="all of them fire"):
        AndTrigger([Later(), utc(minute=0)]).get_next_fire_time(None, NOW)


# -- the bound of a search ---------------------------------------------------------------------------------------------------


class Asked:
    """A trigger whose questions are counted together with those to others."""

    total = 0

    def __init__(self, trigger: InstantTrigger) -> None:
        self.trigger = trigger

    def next_after(self, instant: int) -> int | None:
        Asked.total += 1
        return self.trigger.next_after(instant)

    def previous_before(self, instant: int) -> int | None:
        Asked.total += 1
        return self.trigger.previous_before(instant)

    def count_between(self, after: int, until: int) -> int:
        return self.trigger.count_between(after, until)


def watched(trigger: Any) -> Any:
    """*trigger*, its parts that answer at once replaced by some that count what they are asked."""
    sources = [trigger._source] if isinstance(trigger, ExcludingTrigger) else trigger._sources
    for source in sources:
        watch(source)
    for exclusion in getattr(trigger, "_exclusions", ()):
        if isinstance(exclusion, Seconds):
            watch(exclusion._source)
    return trigger


def watch(source: Any) -> None:
    if isinstance(source, Nested):
        watched(source.trigger)
    else:
        asked = Plain(Asked(source.instants))
        for name in ("_next", "_previous"):
            setattr(source, name, getattr(asked, name))


EACH_SECOND = [utc(hour="*", minute="*", second=k) for k in range(60)]
ALL_SECONDS = utc(hour="*", minute="*", second="*")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExcludingTrigger(ALL_SECONDS, triggers=EACH_SECOND),
        lambda: ExcludingTrigger(ALL_SECONDS, triggers=[OrTrigger([OrTrigger(EACH_SECOND), vain()])]),
        lambda: AndTrigger([OrTrigger(EACH_SECOND[:59]), EACH_SECOND[59]]),
        lambda: OrTrigger([AndTrigger([OrTrigger(EACH_SECOND[:59]), EACH_SECOND[59]]), vain()]),
        lambda: ExcludingTrigger(seconds(hour=2), triggers=[seconds(hour="1-3")]),
    ],
    ids=["exclusions", "or excluded", "or in and", "and in or", "clock changes"],
)
def test_every_question_is_a_step(make: Callable[[], Any]) -> None:
    trigger = watched(make())
    for ask in (trigger.next_after, trigger.previous_before):
        Asked.total = 0
        with pytest.raises(NoFireTimeFoundError, match="100,000 steps"):
            ask(AT)
        # Looking for the end of a run of seconds takes steps, too.
        assert 1000 < Asked.total < MAX_LEAPS + 200


def test_runs_of_seconds_at_a_clock_change_are_leaps() -> None:
    """An hour that comes twice, and one that is skipped: a leap or two each, not a question for each second."""
    trigger = watched(ExcludingTrigger(every(1), triggers=[seconds(hour="1-3", overlap="both")]))
    for day, hours in ((date(2026, 10, 25), 4), (date(2026, 3, 29), 2)):
        begin = to_micros(datetime(day.year, day.month, day.day, 1, tzinfo=ZoneInfo(BERLIN)))
        Asked.total = 0
        assert trigger.next_after(begin - 1) == begin + hours * 3_600_000_000
        assert trigger.previous_before(begin + hours * 3_600_000_000) == begin - 1_000_000
        assert Asked.total < 40


# -- counting ----------------------------------------------------------------------------------------------------------------

YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
WEEKEND, WEEKDAYS = seconds(day_of_week="sat,sun", hour="*"), seconds(day_of_week="mon-fri", hour="*")
WEEKEND_SECONDS = 104 * 86_400  # the clock changes of a year make up for each other


@pytest.mark.parametrize(
    ("trigger", "right"),
    [
        (ExcludingTrigger(every(1), triggers=[WEEKEND]), 365 * 86_400 - WEEKEND_SECONDS),
        (ExcludingTrigger(every(1, shifted(0.5)), ["2026-03-02"], [WEEKEND]), 364 * 86_400 - WEEKEND_SECONDS),
        (ExcludingTrigger(every(1), triggers=[every(2), every(3), WEEKEND]), (365 * 86_400 - WEEKEND_SECONDS) // 3),
        (ExcludingTrigger(ALL_SECONDS, triggers=[OrTrigger([WEEKEND, WEEKDAYS])]), 0),
        (OrTrigger([every(1), WEEKEND]), 365 * 86_400),
        (OrTrigger([WEEKEND, WEEKDAYS]), 365 * 86_400),
        (AndTrigger([every(1), WEEKEND]), WEEKEND_SECONDS),
        (AndTrigger([every(5), WEEKEND]), WEEKEND_SECONDS // 5),
        (AndTrigger([utc(minute="*/2"), WEEKDAYS]), (365 * 86_400 - WEEKEND_SECONDS) // 120),
    ],
    ids=str,
)  # fmt: skip
def test_a_year_of_seconds_is_counted_by_runs(trigger: Any, right: int) -> None:
    Asked.total = 0
    assert count(watched(trigger), *YEAR) == right
    assert Asked.total < 3000


INTERVALS = st.builds(lambda step, at: every(step, shifted(at)), st.integers(1, 90), st.integers(0, 90))


@SLOW
@given(
    STRETCHES,
    st.lists(st.one_of(INTERVALS, st.integers(0, 23)), min_size=2, max_size=5),
    st.sampled_from(["first", "both"]),
)
def test_counts_are_those_of_a_walk(stretch: Stretch, made: list[Any], overlap: str) -> None:
    """To the second around a clock change, in any combination of intervals and hours of seconds."""
    middle = stretch.begin + (stretch.end - stretch.begin) / 2
    parts: list[InstantTrigger] = [
        CronTrigger(hour=f"{part}-{min(part + 3, 23)}", minute="3-50/3,51-59", second="*/20,30-40", overlap=overlap, timezone=stretch.zone)
        if isinstance(part, int)
        else part.modified(start_date=stretch.begin + timedelta(seconds=part.start_date.second), timezone=stretch.zone)
        for part in made
    ]  # fmt: skip
    begin, end = middle - timedelta(minutes=35), middle + timedelta(minutes=5)
    fires = [set(fires_between(part, begin, end)) for part in parts]
    gone = {at for at in fires[0] if at.astimezone(ZoneInfo(stretch.zone)).date() == middle.date()} | {middle}
    cases: list[tuple[Callable[[], InstantTrigger], set[datetime]]] = [
        (lambda: OrTrigger(parts), set().union(*fires)),
        (lambda: AndTrigger(parts[:2]), fires[0] & fires[1]),
        (lambda: ExcludingTrigger(parts[0], [middle, middle.date()], parts[1:]), fires[0].difference(gone, *fires[1:])),
        (lambda: ExcludingTrigger(OrTrigger(parts[:2]), triggers=parts[1:]), fires[0].difference(*fires[1:])),
    ]  # fmt: skip
    for make, right in cases:
        try:
            trigger = make()
        except ValueError:
            refused(right)
        else:
            assert (trigger, count(trigger, begin, end)) == (trigger, len(right))


# -- nesting -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AndTrigger, OrTrigger])
def test_triggers_that_are_shared_cost_what_they_would_cost_once(kind: Any) -> None:
    trigger: Any = AndTrigger([IntervalTrigger(hours=1, timezone=UTC)])
    for _ in range(15):
        trigger = kind([trigger, trigger])
    bound = trigger.bind(NOW, "job")
    assert bound.next_after(AT) == to_micros(NOW + timedelta(hours=1))
    assert bound.previous_before(LAST_INSTANT) is not None
    assert bound.count_between(AT, to_micros(NOW + timedelta(days=1))) == 24
    with pytest.raises(ValueError, match=r"made of 196,607 triggers, .* at most 100,000"):
        kind([bound, bound])


def test_the_depth_of_nesting_is_limited() -> None:
    makers: list[Callable[[BaseTrigger], InstantTrigger]] = [
        lambda part: OrTrigger([part, utc(hour=3)]),
        lambda part: AndTrigger([part, utc(hour="3,4")]),
        lambda part: ExcludingTrigger(part, ["2026-03-02"]),
    ]
    for make in makers:
        trigger: InstantTrigger = utc(hour=4)
        for _ in range(MAX_DEPTH):
            trigger = make(trigger)
        again = type(trigger).from_state(trigger.get_state())
        assert (again, again.preview(1, NOW)) == (trigger, trigger.preview(1, NOW))
        assert str(pickle.loads(pickle.dumps(trigger))) == str(trigger)
        with pytest.raises(ValueError, match="nested 51 deep, and may be at most 50"):
            make(trigger)


# -- the ends of the calendar --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Pacific/Auckland", "UTC"])
@pytest.mark.parametrize("edge", [FIRST_INSTANT, LAST_INSTANT])
def test_days_at_both_ends_of_the_calendar(edge: int, zone: str) -> None:
    """Hour by hour. Nothing is left before the first of them, or after the last."""
    hour, plain = 3_600_000_000, CronTrigger(hour="*", timezone=zone)
    low, high = (edge, edge + 96 * hour) if edge == FIRST_INSTANT else (edge - 96 * hour, edge)
    fires, at = [], plain.next_after(low - 1)
    while at is not None and at <= high:
        fires.append(at)
        at = plain.next_after(at)
    days = {at: from_micros(at, ZoneInfo(zone)).date() for at in fires}
    everyday = sorted(set(days.values()))
    for gone in (everyday[:1], everyday[1:3], everyday[-2:], everyday[-1:], everyday):
        free = [at for at in fires if days[at] not in gone]
        trigger = ExcludingTrigger(plain, gone)
        for begin in range(low - hour, high + hour, 7 * hour):
            later, earlier = [at for at in free if at > begin], [at for at in free if at < begin]
            if edge == LAST_INSTANT or later:
                assert trigger.next_after(begin) == (later[0] if later else None)
            if edge == FIRST_INSTANT or earlier:
                assert trigger.previous_before(begin) == (earlier[-1] if earlier else None)
            assert trigger.count_between(begin, high) == len(later)
            assert trigger.count_between(low - 1, begin - 1) == len(earlier)
