"""What every trigger promises, over all of them: order, counting, values, states, binding."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any

import mainspring.triggers as room
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import (
    AndTrigger,
    BaseTrigger,
    CalendarIntervalTrigger,
    CronExpressionError,
    CronTrigger,
    DateTrigger,
    ExcludingTrigger,
    Gap,
    InstantTrigger,
    IntervalTrigger,
    OrTrigger,
    Overlap,
    RRuleTrigger,
    calls_user_code,
)
from mainspring.triggers.instants import LAST_INSTANT, from_micros, to_micros

from tests.triggers.schedules import cron, cron_fields

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "+05:45"])
MOMENTS = st.integers(4 * 86_400_000_000, 130 * 366 * 86_400_000_000).map(
    lambda instant: from_micros(instant, UTC)
)
ENDS = st.one_of(st.none(), MOMENTS)
BOUNDS = st.tuples(ENDS, ENDS).map(
    lambda ends: ends if None in ends else tuple(sorted(ends, key=lambda moment: moment or NOW))
)
JITTERS = st.one_of(st.none(), st.integers(0, 100), st.floats(0, 100))


@st.composite
def dates(draw: st.DrawFn) -> DateTrigger:
    trigger = DateTrigger(draw(st.one_of(st.none(), MOMENTS)), timezone=draw(ZONES))
    return trigger.bind(draw(MOMENTS), "job") if draw(st.booleans()) else trigger


@st.composite
def intervals(draw: st.DrawFn) -> IntervalTrigger:
    start, end = draw(BOUNDS)
    trigger = IntervalTrigger(
        days=draw(st.integers(0, 40)),
        seconds=draw(st.one_of(st.integers(1, 100_000), st.floats(1e-3, 1e6))),
        start_date=start,
        end_date=end,
        timezone=draw(ZONES),
        jitter=draw(JITTERS),
    )
    return trigger.bind(draw(MOMENTS), "job") if draw(st.booleans()) else trigger


POLICIES = st.fixed_dictionaries(
    {}, optional={"gap": st.sampled_from(Gap), "overlap": st.sampled_from(Overlap)}
)


@st.composite
def crons(draw: st.DrawFn) -> CronTrigger:
    fields: dict[str, Any] = draw(cron_fields())
    if draw(st.integers(0, 4)) == 0:
        fields["minute"] = draw(st.sampled_from(["H", "H/7", "H(10-19)"]))
    start, end = draw(BOUNDS)
    rest = {"start_date": start, "end_date": end, "jitter": draw(JITTERS), **draw(POLICIES)}
    try:
        trigger = cron({**fields, **rest}, draw(ZONES))
    except CronExpressionError:
        trigger = cron({"minute": "*/7", **rest}, draw(ZONES))
    return trigger.bind(draw(MOMENTS), "some job") if draw(st.booleans()) else trigger


@st.composite
def calendar_intervals(draw: st.DrawFn) -> CalendarIntervalTrigger:
    trigger = CalendarIntervalTrigger(
        years=draw(st.integers(0, 2)),
        months=draw(st.integers(0, 14)),
        days=draw(st.integers(1, 40)),
        hour=draw(st.integers(0, 23)),
        minute=draw(st.integers(0, 59)),
        start_date=draw(st.one_of(st.none(), st.dates(date(1970, 1, 5), date(2090, 1, 1)))),
        timezone=draw(ZONES),
        jitter=draw(JITTERS),
        **draw(POLICIES),
    )
    return trigger.bind(draw(MOMENTS), "job") if draw(st.booleans()) else trigger


@st.composite
def rules(draw: st.DrawFn) -> RRuleTrigger:
    rule = draw(
        st.sampled_from(
            [
                "FREQ=MINUTELY;INTERVAL=45",
                "FREQ=HOURLY;BYMINUTE=0,17;BYDAY=SU,MO",
                "FREQ=DAILY;INTERVAL=3;BYHOUR=2;BYMINUTE=30",
                "FREQ=WEEKLY;BYDAY=SU;BYHOUR=1,2,3",
                "FREQ=MONTHLY;BYDAY=-1SU",
                "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU;COUNT=30",
            ]
        )
    )
    start = draw(
        st.one_of(
            st.none(),
            st.integers(4, 40_000).map(lambda day: NOW.replace(microsecond=0) - timedelta(days=day - 20_000)),
        )
    )
    trigger = RRuleTrigger(
        rule, start_date=start, timezone=draw(ZONES), jitter=draw(JITTERS), **draw(POLICIES)
    )
    return trigger.bind(draw(MOMENTS), "job") if draw(st.booleans()) else trigger


SIMPLE: st.SearchStrategy[InstantTrigger] = st.one_of(
    dates(), intervals(), crons(), calendar_intervals(), rules()
)


@st.composite
def meeting(draw: st.DrawFn) -> AndTrigger:
    zone = draw(ZONES)
    texts = st.sampled_from(["*/10", "*/15", "*/20", "0-30/6"])
    return AndTrigger(
        [cron({"minute": draw(texts), "hour": "*/2"}, zone), cron({"minute": draw(texts)}, zone)]
    )


@st.composite
def excluding(draw: st.DrawFn) -> ExcludingTrigger:
    days = draw(st.lists(MOMENTS.map(lambda moment: moment.date()), max_size=3))
    triggers = draw(
        st.lists(st.just(cron({"month": "2-4", "minute": "*", "second": "*"}, "UTC")), max_size=1)
    )
    return ExcludingTrigger(draw(st.one_of(dates(), calendar_intervals(), rules())), days, triggers)


TRIGGERS: st.SearchStrategy[InstantTrigger] = st.one_of(
    SIMPLE, SIMPLE, meeting(), excluding(), st.builds(OrTrigger, st.lists(SIMPLE, min_size=1, max_size=3))
)


def unfold(trigger: InstantTrigger, after: int, n: int) -> list[int]:
    found: list[int] = []
    instant = trigger.next_after(after)
    while instant is not None and len(found) < n:
        found.append(instant)
        instant = trigger.next_after(instant)
    return found


@settings(max_examples=400, deadline=None)
@given(trigger=TRIGGERS, moment=MOMENTS)
def test_next_previous_and_count_agree(trigger: InstantTrigger, moment: datetime) -> None:
    asked = to_micros(moment)
    trigger = trigger.bind(moment, "job")
    fires = unfold(trigger, asked, 12)
    assert all(a < b for a, b in zip([asked, *fires], fires, strict=False))
    for i, fire in enumerate(fires):
        # Nothing is between one and the next, from wherever it is looked at.
        assert trigger.next_after(fire - 1) == fire
        assert trigger.previous_before(fire + 1) == fire
        if i:
            assert trigger.previous_before(fire) == fires[i - 1]
        assert trigger.count_between(asked, fire) == i + 1
        assert trigger.count_between(fire - 1, fire) == 1
        assert trigger.count_between(fire, fire) == 0
    if fires:
        before = trigger.previous_before(fires[0])
        assert before is None or (before <= asked and trigger.next_after(before) == fires[0])
    if len(fires) < 12:
        assert trigger.count_between(asked, LAST_INSTANT) == len(fires)


@settings(max_examples=300, deadline=None)
@given(trigger=TRIGGERS, a=MOMENTS, b=MOMENTS)
def test_monotone(trigger: InstantTrigger, a: datetime, b: datetime) -> None:
    trigger = trigger.bind(min(a, b), "job")
    first, second = sorted([to_micros(a), to_micros(b)])
    early, late = trigger.next_after(first), trigger.next_after(second)
    assert late is None or (early is not None and early <= late)
    early, late = trigger.previous_before(first), trigger.previous_before(second)
    assert early is None or (late is not None and early <= late)
    if early is not None:
        assert early < first
    assert trigger.count_between(second, first) == 0


@settings(max_examples=300, deadline=None)
@given(trigger=TRIGGERS, moment=MOMENTS)
def test_the_adapter_says_the_same_in_datetimes(trigger: InstantTrigger, moment: datetime) -> None:
    trigger = trigger.bind(moment, "job")
    following = trigger.get_next_fire_time(moment, moment)
    instant = trigger.next_after(to_micros(moment))
    assert (None if following is None else to_micros(following)) == instant
    assert following is None or following.tzinfo is trigger.timezone
    if not isinstance(trigger, DateTrigger):
        # With no previous fire time, now itself is one that may fire.
        following = trigger.get_next_fire_time(None, moment)
        assert (None if following is None else to_micros(following)) == trigger.next_after(
            to_micros(moment) - 1
        )


@settings(max_examples=300, deadline=None)
@given(trigger=TRIGGERS, moment=MOMENTS)
def test_states_make_equal_triggers(trigger: InstantTrigger, moment: datetime) -> None:
    state = trigger.get_state()
    assert state["version"] == 1
    copies = [
        type(trigger).from_state(state),
        type(trigger).from_state(json.loads(json.dumps(state))),
        *(
            pickle.loads(pickle.dumps(trigger, protocol))
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
        copy.copy(trigger),
        copy.deepcopy(trigger),
    ]
    for other in copies:
        assert type(other) is type(trigger)
        assert other == trigger
        assert hash(other) == hash(trigger)
        assert other.get_state() == state
        assert (str(other), repr(other), other.jitter) == (str(trigger), repr(trigger), trigger.jitter)
        assert other.timezone is trigger.timezone
        assert unfold(other, to_micros(moment), 3) == unfold(trigger, to_micros(moment), 3)


@settings(max_examples=200, deadline=None)
@given(trigger=TRIGGERS, moment=MOMENTS)
def test_binding_settles_once_and_does_not_count(trigger: InstantTrigger, moment: datetime) -> None:
    bound = trigger.bind(moment, "job")
    assert bound == trigger
    assert hash(bound) == hash(trigger)
    assert bound.bind(moment + timedelta(days=1), "other", moment) is bound


@settings(max_examples=200, deadline=None)
@given(trigger=TRIGGERS)
def test_modified_by_nothing_is_the_same(trigger: InstantTrigger) -> None:
    assert trigger.modified().get_state() == trigger.get_state()


EXAMPLES: list[InstantTrigger] = [
    DateTrigger(NOW),
    DateTrigger(timezone=UTC),
    IntervalTrigger(seconds=60, timezone=UTC),
    IntervalTrigger(seconds=60, start_date=NOW, timezone=UTC).bind(NOW, "job"),
    CronTrigger(hour=5, timezone=UTC),
    CronTrigger(hour=5, minute="H", timezone=UTC, gap="skip", overlap="both").bind(NOW, "job"),
    CalendarIntervalTrigger(months=1, start_date=NOW, timezone=UTC),
    RRuleTrigger("FREQ=DAILY", start_date=NOW.replace(microsecond=0), timezone=UTC),
    AndTrigger([CronTrigger(hour=5, timezone=UTC), CronTrigger(hour="*/5", timezone=UTC)]),
    OrTrigger([CronTrigger(hour=5, timezone=UTC), DateTrigger(NOW)]),
    ExcludingTrigger(CronTrigger(hour=5, timezone=UTC), [NOW]),
]


@pytest.mark.parametrize("trigger", EXAMPLES, ids=repr)
def test_a_trigger_never_changes(trigger: InstantTrigger) -> None:
    before = trigger.get_state()
    for name in ("timezone", "jitter", "start_date", "_start", "anything"):
        with pytest.raises(AttributeError, match=name):
            setattr(trigger, name, None)
        with pytest.raises(AttributeError, match=name):
            delattr(trigger, name)
    assert trigger.get_state() == before
    assert not hasattr(trigger, "__dict__")


@pytest.mark.parametrize("trigger", EXAMPLES, ids=repr)
def test_states_that_are_not_understood_are_refused(trigger: InstantTrigger) -> None:
    kind, state = type(trigger), trigger.get_state()
    with pytest.raises(ValueError, match="version 2"):
        kind.from_state({**state, "version": 2})
    if "timezone" in state:  # one that is made of others has theirs
        with pytest.raises(ValueError, match="no time zone named"):
            kind.from_state({**state, "timezone": "Europe/Nowhere"})
    with pytest.raises(ValueError, match="state of"):
        kind.from_state({name: [5.5] for name in state} | {"version": 1})
    for name in state.keys() - {"gap", "overlap", "seed"}:  # which few have
        with pytest.raises(ValueError, match=name):
            kind.from_state({key: value for key, value in state.items() if key != name})


@pytest.mark.parametrize("trigger", EXAMPLES, ids=repr)
def test_naive_datetimes_are_refused(trigger: InstantTrigger) -> None:
    naive = NOW.replace(tzinfo=None)
    if trigger != DateTrigger(NOW):  # which needs no present
        with pytest.raises(ValueError, match="with a time zone"):
            trigger.get_next_fire_time(None, naive)
    with pytest.raises(ValueError, match="with a time zone"):
        trigger.get_next_fire_time(naive, NOW)


@pytest.mark.parametrize("trigger", EXAMPLES, ids=repr)
def test_unknown_arguments_are_named_with_the_nearest_one(trigger: InstantTrigger) -> None:
    name = "timezone" if "timezone" in type(trigger).argument_names else "jitter"
    unknown: dict[str, Any] = {name[:-1]: "UTC"}
    with pytest.raises(TypeError, match=f"'{name[:-1]}'; did you mean '{name}'"):
        trigger.modified(**unknown)
    for name in type(trigger).argument_names:
        assert name in type(trigger).__init__.__annotations__


def test_unequal_by_each_part() -> None:
    variants: list[InstantTrigger] = [
        DateTrigger(timezone=UTC),
        DateTrigger(NOW, timezone=UTC),
        DateTrigger(NOW, timezone="Europe/Berlin"),
        IntervalTrigger(seconds=60, timezone=UTC),
        IntervalTrigger(seconds=61, timezone=UTC),
        IntervalTrigger(seconds=60, timezone="Europe/Berlin"),
        IntervalTrigger(seconds=60, start_date=NOW, timezone=UTC),
        IntervalTrigger(seconds=60, end_date=NOW, timezone=UTC),
        IntervalTrigger(seconds=60, timezone=UTC, jitter=1),
        CronTrigger(hour=5, timezone=UTC),
        CronTrigger(hour=6, timezone=UTC),
        CronTrigger(hour=5, timezone="Europe/Berlin"),
        CronTrigger(hour=5, start_date=NOW, timezone=UTC),
        CronTrigger(hour=5, end_date=NOW, timezone=UTC),
        CronTrigger(hour=5, timezone=UTC, jitter=1),
        CronTrigger.from_crontab("0 0 1 * 1", timezone=UTC),
        CronTrigger.from_crontab("0 0 1 * mon", timezone=UTC, dialect="apscheduler"),
    ]
    assert len(set(variants)) == len(variants)
    for i, a in enumerate(variants):
        assert [a == b for b in variants] == [i == j for j in range(len(variants))]
    assert IntervalTrigger(minutes=1, timezone=UTC) == IntervalTrigger(seconds=60.0, timezone="UTC")
    assert CronTrigger(hour="5", timezone=UTC) == CronTrigger(hour=5, minute=0, timezone=UTC)


def test_whose_code_it_is() -> None:
    class Mine(BaseTrigger):
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
            return None

    class Derived(IntervalTrigger):
        pass

    assert [calls_user_code(trigger) for trigger in EXAMPLES] == [False] * len(EXAMPLES)
    assert calls_user_code(Mine())
    assert calls_user_code(Derived(seconds=5))
    mine = Mine()
    assert mine.bind(NOW, "job") is mine
    assert mine.jitter is None


def test_a_subclass_may_keep_attributes_of_its_own() -> None:
    class Named(IntervalTrigger):
        def __init__(self, name: str, seconds: float) -> None:
            super().__init__(seconds=seconds, timezone=UTC)
            self.name = name

    trigger = Named("five", 5)
    bound = trigger.bind(NOW, "job")
    assert (bound.name, type(bound), bound.interval_length) == ("five", Named, 5)
    assert bound.get_next_fire_time(None, NOW) == NOW + timedelta(seconds=5)
    with pytest.raises(AttributeError, match="jitter"):
        bound.jitter = 5


@pytest.mark.parametrize("jitter", [-1, float("nan"), float("inf")])
def test_jitter_is_a_number_of_seconds(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        IntervalTrigger(seconds=5, jitter=jitter)
    with pytest.raises(ValueError, match="jitter"):
        CronTrigger(hour=5, jitter=jitter)
    for wrong in ("5", True):
        value: Any = wrong
        with pytest.raises(TypeError, match="jitter"):
            IntervalTrigger(seconds=5, jitter=value)


def test_the_end_of_the_calendar_is_the_end() -> None:
    last = from_micros(LAST_INSTANT, UTC)
    for trigger in (
        IntervalTrigger(days=1, start_date=NOW, timezone=UTC),
        CronTrigger(hour=5, timezone="Pacific/Apia"),
    ):
        assert trigger.next_after(LAST_INSTANT) is None
        assert trigger.get_next_fire_time(last, last) is None
        assert trigger.previous_before(LAST_INSTANT) is not None
        assert trigger.next_after(-(10**18)) is not None


def test_the_room_exports_what_it_defines() -> None:
    assert set(room.__all__) >= {
        "BaseTrigger",
        "DateTrigger",
        "IntervalTrigger",
        "CronTrigger",
        "calls_user_code",
    }
    assert all(hasattr(room, name) for name in room.__all__)
