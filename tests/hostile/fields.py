"""Plain fields and open runs that no scheduler writes."""

import json
from collections.abc import Iterator
from typing import Any

FAR = 2**62
"""µs: beyond every calendar."""

NUMBERS = ("wake_at", "next_run_time", "fire_time")

ANYWHERE: list[dict[str, Any]] = [
    *({name: value} for name in ("next_run_time", "fire_time") for value in (FAR, -FAR, 2**63 - 1, -(2**63))),
    *({"state": value} for value in ("", "evil", "ACTIVE", "active ", "claimed", "None", "os:system")),
    *({"version": value} for value in (2, 3, 17, 2**31 - 2, 2**31 - 1)),
    *({"version": value} for value in (0, -1, -(2**31))),
    *({"forgotten": -1}, {"forgotten": -(2**31)}),
]
"""Values that each store can keep, and which are no record's (or a later version's)."""

UNTYPED: list[dict[str, Any]] = [
    *(
        {name: value}
        for name in (*NUMBERS, "incarnation", "revision", "forgotten", "version")
        for value in ("text", "", b"\xff\x00", 1.5, 1e300, float("inf"), "12abc", "٣")
    ),
    *(
        {name: value}
        for name in ("state", "stamp", "executor", "reason", "runs")
        for value in (b"\xff", b"", b"x" * 99)
    ),
]
"""Values that only a store without types keeps."""


def hostile_runs(now: int) -> Iterator[str]:
    """Texts in place of open runs."""
    sound = {"run": 5, "kind": "now", "fire_times": [now], "due": now, "state": "waiting"}
    yield from (
        "x",
        "{}",
        "5",
        "null ",
        "[1]",
        "[null]",
        '["a"]',
        "[[]]",
        "[{}]",
        '{"run": 1}',
        "true",
        '"text"',
        "[" * 50_000,
    )
    yield from (
        "[{" * 20_000,
        '[{"a":' * 20_000,
        "[" + "1" * 5_000 + "]",
        "[NaN]",
        "[1e999]",
        "\0",
        "[]]",
        "é",
        "[" + " " * (5 << 20),
    )
    wrong: dict[str, list[Any]] = {
        "run": [None, "5", -1, 2**64, 1.5, True, [], {}, 10**400],
        "kind": [None, "evil", 5, "", "os:system", "NOW"],
        "fire_times": [
            None,
            [],
            "x",
            {},
            [None],
            ["x"],
            [1.5],
            [FAR],
            [-FAR],
            [True],
            [[now]],
            [now] * 1_001,
            now,
        ],
        "due": [None, "x", FAR, -FAR, 1.5, True, [], float("nan"), 10**400],
        "state": [None, "evil", 5, "", "active"],
        "attempt": [None, "x", -1, 1.5, 10**400, True],
        "recovered": [None, "x", -1, 1.5],
        "blocked": [None, 0, 1, "x"],
        "owner": [5, [], {}, True, 1.5],
        "lease_until": ["x", FAR, -FAR, 1.5, True],
        "claimed_at": ["x", FAR, 1.5, []],
        "recovery": [None, "evil", 5, ""],
        "max_recoveries": [None, "x", -1, 1.5],
        "more": [None, 1, "x"],
        "incarnation": ["x", 1.5, []],
        "retried": [None, -1, "x", 1.5],
        "keeps": [None, 1, "x"],
        "root": ["x", -1, 1.5, 2**64],
        "retry_at": ["x", FAR, 1.5, -FAR],
    }
    for name, values in wrong.items():
        for value in values:
            yield json.dumps([sound | {name: value}])
            yield json.dumps([sound, sound | {name: value}])
    for name in ("run", "kind", "fire_times"):
        yield json.dumps([{key: value for key, value in sound.items() if key != name}])


def harmless_runs(now: int) -> Iterator[str]:
    """Open runs that a scheduler might have written: they are reckoned with, and hold up their own job only."""
    host = "h-00000000-4026531836"
    for owner in (
        f"{host}/²/1/x",
        f"{host}/{'9' * 5_000}/1/x",
        "////",
        "",
        "/",
        "a/b",
        f"{host}/1/?/x",
        "\u202e",
        "x" * 99_999,
    ):
        run = {"run": 5, "kind": "schedule", "fire_times": [now], "owner": owner, "claimed_at": now}
        yield json.dumps([run | {"lease_until": now + 3_600_000_000}])
        yield json.dumps([run])
    run = {"run": 5, "kind": "now", "fire_times": [now], "state": "waiting", "blocked": True}
    yield json.dumps(
        [run | {"due": now + 3_600_000_000, "attempt": 2**62, "retried": 2**62, "max_recoveries": 10**30}]
    )
    yield json.dumps([run | {"x": {"y": [1, {"z": None}]}, "": 1, "__class__": "os:system"}])


def no_records() -> Iterator[bytes]:
    """Lines in place of a record, where a store keeps it as one."""
    yield from (
        b"",
        b"\t",
        b"\t" * 11,
        b"\t" * 12,
        b"\t" * 100,
        b"x",
        b"\n",
        b"\n\n\n",
        b"\xff\xfe",
        b"\x00" * 50,
        b"%",
        b"%!",
        b"{}",
    )
    good = [b"x.1", b"active", b"default", b"1", b"1", b"1", b"5", b"5", b"1", b"0", b"", b""]
    hostile = [
        b"\xff",
        b"a\nb",
        b"x\ty",
        b"9" * 5_000,
        b"-",
        b"1.5",
        b"inf",
        b"nan",
        b"1e5",
        b"0x1",
        b"\xc2\xb2",
        b"%zz",
    ]
    for place in (1, *range(3, 10)):
        for value in hostile:
            yield b"\t".join([*good[:place], value, *good[place + 1 :]])
    for place in (0, 2, 10, 11):
        for value in (b"\xff", b"a\nb", b"\xed\xa0"):
            yield b"\t".join([*good[:place], value, *good[place + 1 :]])
    for length in range(1, 12):
        yield b"\t".join(good[:length])
        yield b"\t".join([*good, *good[:length]])
