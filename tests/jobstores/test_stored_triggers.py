"""Triggers in a payload: ours, subclasses of ours, and those that people write."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.triggers import BaseTrigger, DateTrigger, IntervalTrigger

from tests.jobstores.stored_values import ID, TRIGGER, identical, refused, state


class Simple(BaseTrigger):
    """As people write them: attributes, nothing else."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return self.at if previous_fire_time is None else None


class Versioned(Simple):
    def __getstate__(self) -> Any:
        return {"version": 1, "when": self.at, "inner": TRIGGER}

    def __setstate__(self, stored: Any) -> None:
        self.at = stored["when"]


class Slotted(Simple):
    __slots__ = ("more",)

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.more = (1, 2)


class Forgetful(Simple):
    def __getstate__(self) -> Any:
        return {"at": self.at}

    def __setstate__(self, stored: Any) -> None:
        self.at = stored["at"] + timedelta(1)


class Raising(Simple):
    def __getstate__(self) -> Any:
        raise RuntimeError("no")


class Weekdays(IntervalTrigger):
    __slots__ = ()


class Labelled(IntervalTrigger):
    """A subclass of ours with an attribute that the inherited state knows nothing of."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.label = "x"


AT = datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "trigger",
    [TRIGGER, IntervalTrigger(seconds=1.5, jitter=3), DateTrigger(AT), Weekdays(days=1, start_date=AT)],
    ids=str,
)
@pytest.mark.parametrize("how", ["json", "pickle"])
def test_our_triggers_and_subclasses_of_them_come_back(trigger: BaseTrigger, how: str) -> None:
    serializer = Serializer(how)
    back = serializer.loads(ID, serializer.dumps(ID, state(trigger, trigger=trigger)))
    assert identical(back["trigger"], trigger)
    assert identical(back["args"], (trigger,))


@pytest.mark.parametrize("kind", [Simple, Versioned, Slotted])
@pytest.mark.parametrize("how", ["json", "pickle"])
def test_a_users_trigger_comes_back(kind: type[Simple], how: str) -> None:
    serializer = Serializer(how)
    trigger = kind(AT)
    back = serializer.loads(ID, serializer.dumps(ID, state(trigger=trigger)))["trigger"]
    assert type(back) is kind
    assert back.at == AT
    assert getattr(back, "more", None) == getattr(trigger, "more", None)


def test_a_users_trigger_that_does_not_come_back_is_refused() -> None:
    for trigger, says in (
        (Forgetful(AT), "has another state"),
        (Raising(AT), "__getstate__ and __setstate__ fail: RuntimeError"),
        (Labelled(days=1), "leaves out ['label']"),
    ):
        error = refused(1, trigger=trigger)
        assert error.path == "trigger"
        assert says in error.reason
    assert refused(1, trigger=Simple(object())).path == "trigger['at']"  # type: ignore[arg-type]
