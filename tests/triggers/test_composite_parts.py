"""Triggers made of triggers: binding, parts that a user wrote, states, equality, texts."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from mainspring.triggers import (
    BaseTrigger,
    CronTrigger,
    DateTrigger,
    InstantTrigger,
    IntervalTrigger,
    calls_user_code,
)
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.instants import to_micros

from tests.triggers.composites import (
    ANCHOR,
    NOW,
    EveryHour,
    every,
)
from tests.triggers.schedules import fires_between

# -- binding ----------------------------------------------------------------------------------------------------------------


def test_binding_binds_the_parts() -> None:
    trigger = OrTrigger(
        [IntervalTrigger(hours=2, timezone=UTC), DateTrigger(timezone=UTC), CronTrigger(hour=4, timezone=UTC)]
    )
    bound = trigger.bind(NOW, "job")
    assert (bound, hash(bound)) == (trigger, hash(trigger))
    assert bound.bind(NOW + timedelta(days=1), "other", NOW) is bound
    assert fires_between(bound, NOW, NOW + timedelta(hours=5)) == [
        NOW,
        NOW + timedelta(hours=2),
        NOW + timedelta(hours=4),
    ]
    anchored = trigger.bind(NOW, "job", ANCHOR)
    assert anchored.preview(2, ANCHOR) == [ANCHOR, ANCHOR + timedelta(hours=2)]
    # Asked before, it binds itself to the moment that it is asked about.
    assert trigger.get_next_fire_time(None, NOW) == NOW
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + timedelta(hours=2)
    settled = OrTrigger([every(60), CronTrigger(hour=4)])
    assert settled.bind(NOW, "job") is settled


def test_one_interval_settled_twice_is_two() -> None:
    """Equal, for what bind settled does not count, but not the same times."""
    one, other = (
        IntervalTrigger(hours=2, timezone=UTC).bind(at, "job") for at in (ANCHOR, ANCHOR + timedelta(hours=1))
    )
    assert one == other
    assert len(OrTrigger([one, other]).preview(9, ANCHOR)) == 9
    assert (
        OrTrigger([one, other]).count_between(to_micros(ANCHOR), to_micros(ANCHOR + timedelta(hours=8))) == 7
    )
    with pytest.raises(ValueError, match="never fire at the same moment"):
        AndTrigger([one, other])


# -- a user's own parts ------------------------------------------------------------------------------------------------------


class Derived(IntervalTrigger):
    """A subclass of ours is a user's, too."""


@pytest.mark.parametrize("mine", [EveryHour(), Derived(hours=1, start_date=ANCHOR, timezone=UTC)], ids=str)
def test_a_part_of_a_users_own_class(mine: BaseTrigger) -> None:
    daily = CronTrigger(hour="4,5", timezone="Europe/Berlin")
    both, either = AndTrigger([mine, daily]), OrTrigger([daily, mine])
    hours = [datetime(2026, 3, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (3, 4)]
    assert both.preview(6, datetime(2026, 3, 1, tzinfo=UTC)) == hours
    assert either.preview(3, NOW) == [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (13, 14, 15)]
    assert (both.holds_user_code, either.holds_user_code, OrTrigger([both]).holds_user_code) == (
        True,
        True,
        True,
    )
    assert not AndTrigger([daily]).holds_user_code
    assert (calls_user_code(OrTrigger([both])), calls_user_code(OrTrigger([AndTrigger([daily])]))) == (
        True,
        False,
    )
    for trigger in (both, either, AndTrigger([OrTrigger([either]), every(60)])):
        for ask in (partial(trigger.previous_before, 0), partial(trigger.count_between, 0, 1)):
            with pytest.raises(TypeError, match=f"class of your own, {type(mine).__name__}"):
                ask()


def test_a_users_part_is_asked_as_the_scheduler_would_ask_it() -> None:
    """With no previous fire time it is asked without one, so what it says of now is kept to the microsecond."""

    class Later(BaseTrigger):
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
            return (previous_fire_time or now) + timedelta(minutes=5)

    nested = ExcludingTrigger(OrTrigger([Later()]), ["2026-03-02"])
    assert nested.preview(2, NOW) == [NOW + timedelta(minutes=5), NOW + timedelta(minutes=10)]
    assert OrTrigger([Later()]).preview(2, NOW) == [NOW + timedelta(minutes=5), NOW + timedelta(minutes=10)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (ANCHOR, "later than the previous"),
        (5, "datetime with a timezone, got 5"),
        (ANCHOR.replace(tzinfo=None), "timezone"),
    ],
)
def test_a_users_wrong_answer_is_named(wrong: object, reason: str) -> None:
    for trigger in (AndTrigger([EveryHour(wrong), every(60)]), OrTrigger([every(60), EveryHour(wrong)])):
        with pytest.raises(ValueError, match=reason):
            trigger.get_next_fire_time(NOW, NOW)
    past = OrTrigger([every(60), EveryHour(ANCHOR)])
    if wrong is ANCHOR:
        with pytest.raises(ValueError, match=reason):
            past.get_next_fire_time(None, NOW)


def test_a_users_subclass_keeps_its_attributes() -> None:
    class Named(OrTrigger):
        def __init__(self, name: str) -> None:
            super().__init__([IntervalTrigger(hours=1, timezone=UTC)])
            self.name = name

    bound = Named("mine").bind(NOW, "job")
    assert (type(bound), bound.name, bound.preview(1, NOW)) == (Named, "mine", [NOW + timedelta(hours=1)])


# -- values ----------------------------------------------------------------------------------------------------------------


def examples() -> list[InstantTrigger]:
    cron = CronTrigger(hour="9-17", timezone="Europe/Berlin")
    return [
        AndTrigger([cron, every(7200)]),
        AndTrigger([cron, IntervalTrigger(hours=2)], jitter=5),
        OrTrigger([cron, DateTrigger(NOW), AndTrigger([every(60), every(90)])], 1.5),
        OrTrigger([IntervalTrigger(hours=2), DateTrigger()]).bind(NOW, "job"),
        ExcludingTrigger(cron, ["2026-12-25", NOW], [every(7200)], 3),
        ExcludingTrigger(OrTrigger([cron, IntervalTrigger(hours=2)]), {datetime(2026, 12, 24).date(): "Eve"}),  # noqa: DTZ001
    ]


@pytest.mark.parametrize("trigger", examples(), ids=str)
def test_states_make_equal_triggers(trigger: InstantTrigger) -> None:
    state = trigger.get_state()
    assert state["version"] == 1
    for other in (
        type(trigger).from_state(json.loads(json.dumps(state))),
        pickle.loads(pickle.dumps(trigger)),
        copy.copy(trigger),
        copy.deepcopy(trigger),
        trigger.modified(),
    ):
        assert type(other) is type(trigger)
        assert (other, hash(other)) == (trigger, hash(trigger))
        assert other.get_state() == state
        assert (str(other), repr(other), other.jitter) == (str(trigger), repr(trigger), trigger.jitter)
        assert other.timezone is trigger.timezone
        whole = datetime(2026, 3, 1, tzinfo=UTC)
        assert other.preview(3, whole) == trigger.preview(3, whole)


@pytest.mark.parametrize("trigger", examples(), ids=str)
def test_states_that_are_not_understood_are_refused(trigger: InstantTrigger) -> None:
    kind, state = type(trigger), trigger.get_state()
    with pytest.raises(ValueError, match="version 2"):
        kind.from_state({**state, "version": 2})
    for name in state:
        with pytest.raises(ValueError, match=name):
            kind.from_state({key: value for key, value in state.items() if key != name})
        if name not in ("version", "settled"):
            with pytest.raises(ValueError, match="state of"):
                kind.from_state({**state, name: [5.5]})
    unknown = {"trigger": "lunar", "state": {}}
    with pytest.raises(ValueError, match="knows no trigger 'lunar'"):
        kind.from_state({**state, "triggers": [unknown]})
    broken = {"trigger": "interval", "state": {"version": 7}}
    with pytest.raises(ValueError, match="version 7"):
        kind.from_state({**state, "triggers": [broken]})


@pytest.mark.parametrize("trigger", examples(), ids=str)
def test_a_trigger_never_changes(trigger: InstantTrigger) -> None:
    for name in ("triggers", "jitter", "timezone", "_bound", "anything"):
        with pytest.raises(AttributeError, match=name):
            setattr(trigger, name, None)
    assert not hasattr(trigger, "__dict__")
    for name in type(trigger).argument_names:
        assert name in type(trigger).__init__.__annotations__
    wrong: dict[str, Any] = {"jiter": 5}
    with pytest.raises(TypeError, match="did you mean 'jitter'"):
        trigger.modified(**wrong)
    with pytest.raises(ValueError, match="with a time zone"):
        trigger.get_next_fire_time(None, NOW.replace(tzinfo=None))


def test_modified() -> None:
    trigger = OrTrigger([IntervalTrigger(hours=2, timezone=UTC), every(60)], jitter=5).bind(NOW, "job")
    changed = trigger.modified(jitter=7)
    assert (changed.jitter, changed.triggers, changed.get_state()["settled"]) == (7, trigger.triggers, True)
    assert changed.preview(1, NOW) == trigger.preview(1, NOW)
    again = trigger.modified(triggers=[every(5)])
    assert (again.jitter, again.triggers) == (5, (every(5),))


def test_unequal_by_each_part() -> None:
    parts = [every(60), CronTrigger(hour=4, timezone=UTC)]
    variants = [
        OrTrigger(parts),
        AndTrigger(parts),
        OrTrigger(parts[:1]),
        OrTrigger(parts, jitter=1),
        OrTrigger(parts[::-1]),
    ]
    assert len(set(variants)) == len(variants)
    assert OrTrigger(tuple(parts)) == OrTrigger(iter(parts))


def test_texts_and_what_programs_read() -> None:
    trigger = AndTrigger([every(7200), CronTrigger(hour=4, timezone="Europe/Berlin")])
    assert str(trigger) == "and[interval[2:00:00], cron[hour='4']]"
    assert repr(trigger) == (
        "<AndTrigger([<IntervalTrigger (interval=datetime.timedelta(seconds=7200), start_date='2026-01-01 00:00:00 UTC', timezone='UTC')>, "
        "<CronTrigger (hour='4', timezone='Europe/Berlin')>])>"
    )
    assert repr(OrTrigger([every(5)], jitter=5)).endswith("timezone='UTC')>], jitter=5)>")
    assert trigger.triggers == (every(7200), CronTrigger(hour=4, timezone="Europe/Berlin"))
    assert (trigger.timezone, trigger.jitter) == (UTC, None)
    assert str(OrTrigger([EveryHour(), every(5)]).timezone) == "UTC"
    assert (
        str(OrTrigger([EveryHour(), CronTrigger(hour=1, timezone="Europe/Berlin")]).timezone)
        == "Europe/Berlin"
    )


@pytest.mark.parametrize(
    ("triggers", "error", "reason"),
    [
        ([], ValueError, "needs at least one"),
        (None, TypeError, "a list of triggers, got None"),
        (every(5), TypeError, "a list of triggers"),
        ("interval", TypeError, "a list of triggers, got 'interval'"),
        ([every(5), "cron"], TypeError, r"triggers\[1\]: expected a trigger, got 'cron' of type str"),
    ],
)
@pytest.mark.parametrize("kind", [AndTrigger, OrTrigger])
def test_what_is_no_list_of_triggers(
    kind: Any, triggers: object, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        kind(triggers)
    with pytest.raises(ValueError, match="jitter"):
        kind([every(5)], jitter=-1)
