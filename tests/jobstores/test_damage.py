"""Records that no scheduler has written: found by their fields, and shown as far as they can be."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from mainspring.jobstores.damage import checked
from mainspring.jobstores.job import Job
from mainspring.jobstores.owner import Owner, is_gone
from mainspring.jobstores.record import UNREADABLE, Record
from mainspring.triggers.instants import FIRST_INSTANT, LAST_INSTANT, to_micros

from tests.jobstores.driving import NOW, every

SOUND = Record("id", 5, "default", NOW, NOW, NOW, "active", (), 7, "boot.1", b"payload", "a reason", 3)

LATER: Any = "snoozed"
NO_TIMES: list[Any] = ["x", 1.5, True, 2**62]
NO_STATES: list[Any] = ["evil", b"active", None, []]
NO_NUMBERS: list[Any] = ["x", None, -1, 1.5]
NO_SECONDS: list[Any] = ["x", -1, [], float("nan")]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"wake_at": None, "next_run_time": None, "fire_time": None, "reason": None},
        {"wake_at": FIRST_INSTANT, "next_run_time": LAST_INSTANT + 1},
        {"next_run_time": to_micros(datetime.max.replace(tzinfo=UTC))},  # "never", as people write it
        {"version": 2},
        {"version": UNREADABLE},
        {"incarnation": -1, "revision": 2**63 - 1},
    ],
)
def test_a_sound_one_is_left_alone(changed: dict[str, Any]) -> None:
    record = replace(SOUND, **changed)
    assert checked(record) is record


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        *(
            ({name: value}, {name: None})
            for name in ("wake_at", "next_run_time", "fire_time")
            for value in NO_TIMES
        ),
        ({"id": b"\xff"}, {"id": "\\xff"}),
        ({"executor": None}, {"executor": ""}),
        *(({"state": value}, {"state": "paused"}) for value in NO_STATES),
        *(({name: value}, {name: 0}) for name in ("incarnation", "revision") for value in ("x", None, 1.5)),
        ({"forgotten": -1}, {"forgotten": -1}),
        ({"stamp": b"\xff"}, {"stamp": b"\xff"}),  # it is what the next write compares
        ({"stamp": None}, {"stamp": ""}),
        ({"reason": 5}, {"reason": "5"}),
        *(({"version": value}, {}) for value in (0, -1, "x", None, True, 2**31)),
    ],
)
def test_of_a_damaged_one_the_rest_is_shown(changed: dict[str, Any], shown: dict[str, Any]) -> None:
    found = checked(replace(SOUND, **changed))
    assert found == replace(SOUND, version=UNREADABLE, **shown)


def test_a_damaged_one_of_a_later_version_stays_one() -> None:
    assert checked(replace(SOUND, version=2, state=LATER)) == replace(SOUND, version=2, state="paused")


@pytest.mark.parametrize("pid", ["²", "9" * 5_000, "-1", "", "1.5", "٣", "1" * 12])
def test_an_owner_that_nobody_is_may_be_alive(pid: str) -> None:
    host, _, start, boot = Owner().name.split("/")
    assert not is_gone("/".join((host, pid, start, boot)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in ("max_instances", "max_recoveries", "max_retries")
            for value in NO_NUMBERS
        ),
        *((name, value) for name in ("misfire_grace_time", "timeout", "backoff") for value in NO_SECONDS),
        *(("executor", value) for value in (None, 5, "")),
        *(("retry_on", value) for value in ("x", [], [5], None)),
        *((name, "evil") for name in ("recovery", "while_running", "coalesce", "keep_failed")),
    ],
)
def test_options_that_no_job_can_have_are_refused_when_it_is_restored(name: str, value: Any) -> None:
    state = Job(None, "id", func="operator:add", args=[1, 2], trigger=every()).__getstate__()
    restored = Job.__new__(Job)
    restored.__setstate__(state)
    with pytest.raises((TypeError, ValueError), match=name):
        restored.__setstate__(state | {name: value})


def test_nothing_is_imported_for_the_classes_that_are_worth_a_retry() -> None:
    state = Job(None, "id", func="operator:add", args=[1, 2], trigger=every()).__getstate__()
    restored = Job.__new__(Job)
    restored.__setstate__(state | {"max_retries": 1, "retry_on": ["no.such.module:Error"]})
    assert restored.retry_on == ("no.such.module:Error",)
