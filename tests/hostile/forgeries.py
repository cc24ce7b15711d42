"""Payloads whose signature is right, and whose contents are not: what remains to be refused if a key is lost, or nobody signs."""

from collections.abc import Iterator
from typing import Any

from mainspring.jobstores.serialization.tags import to_text

from tests.hostile import malice
from tests.hostile.payloads import KEY, NOW, OLD_KEY, TRIGGER, NextId, sealed, state


def malicious(next_id: NextId) -> Iterator[bytes]:
    """Callables and classes that nobody allowed, signed with the right key, and not signed."""
    for keys in ([KEY], [OLD_KEY], []):
        for reference, args in malice.CALLS:
            yield sealed(next_id(), state(next_id(), func=reference, args=args), keys)
            for tag in malice.tagged(reference):
                yield sealed(next_id(), state(next_id(), args=[tag]), keys)
            yield sealed(next_id(), state(next_id(), trigger=tag), keys)
        for nothing in malice.NO_REFERENCES:
            if nothing != "\ud800:f":
                yield sealed(next_id(), state(next_id(), func=nothing), keys)
                for tag in malice.tagged(nothing):
                    yield sealed(next_id(), state(next_id(), kwargs={"x": tag}), keys)


def pickled(next_id: NextId) -> Iterator[bytes]:
    for data in malice.pickles():
        yield data or b"\0"
        yield sealed(next_id(), malice.as_body(data), [], "pickle")
        yield sealed(next_id(), malice.as_body(data), [KEY], "pickle")


def versions(next_id: NextId) -> Iterator[bytes]:
    numbers: list[Any] = [2, 3, 99, 2**40, 10**30, "2", None, 1.5, [], 1e300]
    for version in numbers:
        yield sealed(next_id(), state(next_id(), version=version))
        trigger = {"$trigger": [TRIGGER["$trigger"][0], TRIGGER["$trigger"][1] | {"version": version}]}
        yield sealed(next_id(), state(next_id(), trigger=trigger))
    for tag in ("$later", "$", "$$", "$import", "$eval", "$type", "$py/object", "$exec"):
        yield sealed(next_id(), state(next_id(), args=[{tag: "os:system"}]))


def options(next_id: NextId) -> Iterator[bytes]:
    """Options of wrong types and sizes, signed: an older key may have been lost."""
    junk: list[Any] = [
        None,
        "x",
        "",
        -1,
        1.5,
        [],
        {},
        [1],
        True,
        10**400,
        -(10**30),
        {"$float": "nan"},
        {"$float": "inf"},
    ]
    takes: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(("misfire_grace_time", "timeout", "max_delay"), (None, 1.5, True)),
        **dict.fromkeys(("retry_delay", "retry_jitter"), (1.5, True)),
        **dict.fromkeys(("coalesce", "keep_failed"), tuple(junk)),
        **dict.fromkeys(("max_recoveries", "max_retries", "max_instances"), (10**400, True)),
        "backoff": (1.5, True),
        "name": ("x", ""),
    }
    for name in (
        *("executor", "name", "misfire_grace_time", "max_instances", "recovery", "max_recoveries", "timeout"),
        *("max_retries", "retry_delay", "backoff", "max_delay", "retry_jitter", "while_running", "retry_on"),
    ):
        for value in junk:
            if value not in takes.get(name, ()) or (value in (1, 0) and type(value) is not bool):
                yield sealed(next_id(), state(next_id(), **{name: value}))
    for name in ("args", "kwargs", "trigger", "func", "id"):
        for value in ("x", 1, None, True, {"$set": []}, {"$bytes": "eA=="}):
            yield sealed(next_id(), state(next_id(), **{name: value}))
    for name in ("id", "func", "trigger", "executor", "args", "kwargs", "name", "coalesce", "max_instances"):
        whole = state(next_id())
        del whole[name]
        yield sealed(next_id(), whole)
    yield sealed(next_id(), state(next_id(), executor="another"))


def arguments(next_id: NextId) -> Iterator[bytes]:
    """Jobs that can be made, and whose function takes no such arguments."""
    for count in range(9, 12):
        yield sealed(next_id(), state(next_id(), func=f"{malice.GOOD}:Color", args=[*range(count)]))


def values(next_id: NextId) -> Iterator[bytes]:
    """Tags whose contents are not what they say, and texts that are meant to break whoever reads them."""
    deep = "[" * 50_000
    for body in (
        deep,
        deep + "]" * 50_000,
        '{"args":' * 20_000,
        '{"a":[' * 20_000,
        "[" + "1" * 5_000 + "]",
        "1" * 10_000,
    ):
        yield sealed(next_id(), body)
    for zone in (
        "../../etc/passwd",
        "/etc/passwd",
        "posix/../../../etc/passwd",
        "..",
        ".",
        "",
        "\0",
        "Europe",
        "x" * 5_000,
        "CON",
        "é",
    ):
        yield sealed(next_id(), state(next_id(), args=[{"$zoneinfo": zone}]))
        trigger = TRIGGER["$trigger"][1] | {"timezone": zone}
        yield sealed(next_id(), state(next_id(), trigger={"$trigger": [TRIGGER["$trigger"][0], trigger]}))
    junk: list[Any] = [
        None,
        "x",
        -1,
        1.5,
        [],
        {},
        [[]],
        "9" * 5_000,
        ["x"] * 3,
        {"$int": "x"},
        {"$decimal": "x"},
        "1E+9999999999999999999999",
    ]
    tags = (
        "$int",
        "$range",
        "$datetime",
        "$date",
        "$time",
        "$timedelta",
        "$timezone",
        "$uuid",
        "$path",
        "$complex",
        "$decimal",
        "$float",
        "$str",
        "$dict",
    )
    for tag in tags:
        for value in junk:
            if (tag, repr(value)) not in _FINE:
                yield sealed(next_id(), state(next_id(), args=[{tag: value}]))
    for constant in ("NaN", "Infinity", "-Infinity", "1" * 4_400):
        yield sealed(next_id(), to_text(state(next_id()))[:-1] + f',"x":{constant}}}')
    for keys in ([[[], 1]], [[{"$set": []}, 1]], [1], ["abc"], [[1, 2, 3]]):
        yield sealed(next_id(), state(next_id(), kwargs={"$dict": keys}))


_FINE = {
    *((tag, repr("9" * 5_000)) for tag in ("$int", "$decimal", "$float", "$str")),
    *((tag, "[]") for tag in ("$dict", "$timedelta", "$complex")),
    *((tag, "{}") for tag in ("$dict", "$timedelta", "$complex")),
    *(("$timezone", "[[]]"), ("$float", repr("1E+9999999999999999999999"))),
}
"""What is a value after all."""


def triggers(next_id: NextId) -> Iterator[bytes]:
    ours = "mainspring.triggers"
    names = (
        "date:DateTrigger",
        "interval:IntervalTrigger",
        "cron:CronTrigger",
        "rrule:RRuleTrigger",
        "excluding:ExcludingTrigger",
        "combining:AndTrigger",
        "combining:OrTrigger",
        "calendarinterval:CalendarIntervalTrigger",
        "base:BaseTrigger",
        "base:InstantTrigger",
    )
    interval = {
        "version": 1,
        "interval": 1,
        "start": NOW,
        "settled": False,
        "end": None,
        "timezone": "UTC",
        "jitter": None,
    }
    states: list[Any] = [{}, {"version": 1}, {"version": 99}, None, [], "x", 5, {"version": None}]
    stored: Any
    wrong: dict[str, list[Any]] = {
        "interval": [0, -1, None, "x", 1.5, [], True],
        "start": [2**62, -(2**62), "x", 1.5, 10**400],
        "jitter": [-1, 1e10, "x", [], True, 10**400, {"$float": "nan"}],
        "settled": [None, 1, "x"],
        "timezone": [None, 5, "", "../../etc/passwd", "x" * 99],
    }
    for change in [{name: value} for name, values in wrong.items() for value in values]:
        yield sealed(
            next_id(),
            state(next_id(), trigger={"$trigger": [f"{ours}.interval:IntervalTrigger", interval | change]}),
        )
    for name in names:
        for stored in states:
            yield sealed(next_id(), state(next_id(), trigger={"$trigger": [f"{ours}.{name}", stored]}))
    for expression in (
        "*/0",
        "x",
        "1-",
        ",",
        "1" * 4_000,
        "*" * 9_999,
        "-" * 50_000,
        "1," * 50_000,
        "H(" * 9_999,
        "\0",
        "__import__('os')",
    ):
        cron = {
            "version": 1,
            "fields": {"second": expression},
            "days": "both",
            "start": None,
            "end": None,
            "timezone": "UTC",
            "jitter": None,
        }
        yield sealed(next_id(), state(next_id(), trigger={"$trigger": [f"{ours}.cron:CronTrigger", cron]}))
    for rule in (
        "x",
        "",
        "RRULE:",
        "FREQ=x",
        ";" * 9_999,
        "\n" * 9_999,
        "FREQ=DAILY;INTERVAL=" + "9" * 5_000,
        "RRULE:FREQ=DAILY\n" * 500,
        "DTSTART:" + "2" * 9_999,
    ):
        stored = {
            "version": 1,
            "rule": rule,
            "start": None,
            "settled": False,
            "end": None,
            "timezone": "UTC",
            "jitter": None,
        }
        yield sealed(
            next_id(), state(next_id(), trigger={"$trigger": [f"{ours}.rrule:RRuleTrigger", stored]})
        )
    nested: Any = {"trigger": "interval", "state": interval}
    for _ in range(60):
        nested = {
            "trigger": "and",
            "state": {"version": 1, "triggers": [nested], "settled": True, "jitter": None},
        }
    yield sealed(
        next_id(), state(next_id(), trigger={"$trigger": [f"{ours}.combining:AndTrigger", nested["state"]]})
    )
    for alias in ("os:system", "evil", None, 5, "", "mainspring.triggers.cron:CronTrigger"):
        stored = {
            "version": 1,
            "triggers": [{"trigger": alias, "state": interval}],
            "settled": True,
            "jitter": None,
        }
        yield sealed(
            next_id(), state(next_id(), trigger={"$trigger": [f"{ours}.combining:AndTrigger", stored]})
        )
