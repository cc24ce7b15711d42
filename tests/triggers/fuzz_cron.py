"""A fuzz of the cron parsers: well-formed, mutated and random texts. Each must give a trigger or CronExpressionError, in bounded time.

python -m tests.triggers.fuzz_cron 1000000 [seed]
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mainspring.triggers import CronExpressionError, CronTrigger
from mainspring.triggers.cron.fields import FIELD_NAMES, MONTHS, WEEKDAYS

from tests.triggers.oracle import RANGES

ZONES = [
    ZoneInfo(key)
    for key in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo")
]
BEGIN, END = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for year in (1970, 2100))
NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)

LINES = {
    "unix": [["minute", "hour", "day", "month", "day_of_week"]] * 2
    + [["second", "minute", "hour", "day", "month", "day_of_week"]],
    "quartz": [["second", "minute", "hour", "day", "month", "day_of_week"]] * 2
    + [["second", "minute", "hour", "day", "month", "day_of_week", "year"]],
    "apscheduler": [["minute", "hour", "day", "month", "day_of_week"]],
}
MACROS = [
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
    "@reboot",
    "@every 5m",
]
PIECES: list[str] = [
    *"0123456789*/-,?#LWHlwh() @.:+_%",
    "**", "//", "--", ",,", "*/", "/0", "-1", "LW", "L-", "#5", "H(", "0-59)", "last", "2nd ", "5th fri", "mon", "jan", "sunday",
    "999999999", "9999999999999999999999", "1e3", "0x1f", "\t", "\n", "\x00", "é", "٣", "\N{KELVIN SIGN}", "ｆｒｉ", "\ud800", "1970-9999",
]  # fmt: skip


Slowest = tuple[float, str]  # seconds of processor time, so that a busy machine does not count; the input


@dataclass
class Figures:
    """What came of it."""

    inputs: int = 0
    triggers: int = 0
    errors: int = 0
    characters: int = 0
    slowest: Slowest = (0.0, "")  # to be made or refused
    slowest_search: Slowest = (
        0.0,
        "",
    )  # of those made: its next fire time, that one's predecessor, bound and stored


def fuzz(count: int, seed: int) -> Figures:
    """Try *count* inputs; whatever is neither a trigger nor CronExpressionError comes out as it is raised."""
    rng = random.Random(seed)
    figures = Figures()
    collects = gc.isenabled()
    gc.disable()
    try:
        _fuzz(rng, count, figures)
    finally:
        if collects:
            gc.enable()
    return figures


def _fuzz(rng: random.Random, count: int, figures: Figures) -> None:
    for zone in ZONES:
        CronTrigger(hour=5, timezone=zone).next_after(
            BEGIN
        )  # zones are read once, which is not what is timed
    for i in range(count):
        if i % 10_000 == 0:
            gc.collect()  # here, and not in the middle of what is timed
        shown, make = _input(rng)
        zone, instant = rng.choice(ZONES), rng.randrange(BEGIN, END)
        began = time.thread_time()
        try:
            trigger = make(zone)
        except CronExpressionError:
            made = time.thread_time()
            figures.errors += 1
        else:
            made = time.thread_time()
            figures.triggers += 1
            _use(trigger, instant)
            figures.slowest_search = max(figures.slowest_search, (time.thread_time() - made, shown))
        figures.slowest = max(figures.slowest, (made - began, shown))
        figures.inputs += 1
        figures.characters += len(shown)


def _use(trigger: CronTrigger, instant: int) -> None:
    """What a scheduler would do with it."""
    bound = trigger.bind(NOW, f"job {instant % 1000}")
    following = bound.next_after(instant)
    assert following is None or following > instant, trigger
    if following is not None:
        assert bound.previous_before(following + 1) == following, trigger
    if instant % 16 == 0:
        again = CronTrigger.from_state(trigger.get_state())
        assert (again, str(again)) == (trigger, str(trigger)), trigger


def _input(rng: random.Random) -> tuple[str, Callable[[ZoneInfo], CronTrigger]]:
    if rng.random() < 0.4:
        names = rng.sample(FIELD_NAMES, rng.choice((1, 1, 2, 2, 3, 5)))
        fields = {name: _mutated(rng, _field(rng, name)) for name in names}
        return repr(fields), lambda zone: CronTrigger(**fields, timezone=zone)  # type: ignore[arg-type]
    dialect = rng.choice(list(LINES))
    line = _mutated(rng, _line(rng, dialect))
    return repr((line, dialect)), lambda zone: CronTrigger.from_crontab(line, zone, dialect)


def _line(rng: random.Random, dialect: str) -> str:
    if rng.random() < 0.03:
        return rng.choice(MACROS)
    texts = {name: _field(rng, name) for name in rng.choice(LINES[dialect])}
    if dialect == "quartz" and rng.random() < 0.8:
        texts[rng.choice(("day", "day_of_week"))] = "?"
    return " ".join(texts.values())


def _mutated(rng: random.Random, text: str) -> str:
    """Most of them stay; others are cut, doubled, mixed up, or have something put in. A few are nothing like an expression."""
    kind = rng.random()
    if kind < 0.7:
        return text
    if kind < 0.72:
        return "".join(rng.choice(PIECES) for _ in range(rng.randrange(30)))
    if kind < 0.73:
        piece: str = rng.choice(PIECES)
        return piece * rng.randrange(3000)
    if kind < 0.74:
        return "".join(chr(rng.randrange(0x300)) for _ in range(rng.randrange(12)))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, to = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        change = rng.randrange(5)
        if change == 0:
            text = text[:at] + text[to:]
        elif change == 1:
            text = text[:to] + text[at:]
        elif change == 2:
            text = text[:at] + rng.choice(PIECES) + text[to:]
        elif change == 3:
            text = text.upper() if rng.random() < 0.5 else text[:at] + text[at:to].swapcase() + text[to:]
        else:
            text = text[:at] + rng.choice(PIECES) + text[at:]
    return text


def _field(rng: random.Random, name: str) -> str:
    if rng.random() < 0.25:
        return "*"
    return ",".join(_term(rng, name) for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 3, 12))))


def _term(rng: random.Random, name: str) -> str:
    first, last, step = _value(rng, name), _value(rng, name), _step(rng, name)
    shapes = [f"*/{step}", first, first, f"{first}-{last}", f"{first}-{last}/{step}", f"{first}/{step}"]
    shapes += ["H", f"H/{step}", f"H({first}-{last})", f"H({first}-{last})/{step}"]
    if name == "day":
        weekday = rng.choice(WEEKDAYS)
        shapes += [
            "L",
            "LW",
            f"L-{rng.randrange(32)}",
            f"{first}W",
            "last",
            f"{rng.choice(('2nd', '5th', 'last'))} {weekday}",
        ]
    elif name == "day_of_week":
        shapes += [f"{first}#{rng.randrange(7)}", f"{first}L", "L"]
    return rng.choice(shapes)


def _value(rng: random.Random, name: str) -> str:
    low, high = RANGES[name]
    if name == "month" and rng.random() < 0.4:
        return rng.choice(MONTHS)
    if name == "day_of_week" and rng.random() < 0.6:
        return rng.choice(WEEKDAYS)
    return str(rng.randint(low, high) if rng.random() < 0.99 else rng.randint(0, 100_000))


def _step(rng: random.Random, name: str) -> int:
    low, high = RANGES[name]
    return rng.randint(1, min(high - low, 20)) if rng.random() < 0.97 else rng.randint(0, 10_000)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    began = time.perf_counter()
    figures = fuzz(count, seed)
    print(
        f"{figures.inputs:,} inputs (seed {seed}), {figures.characters:,} characters, {time.perf_counter() - began:.0f} s"
    )
    print(f"{figures.triggers:,} triggers, {figures.errors:,} times CronExpressionError, nothing else")
    for what, (seconds, shown) in (("input", figures.slowest), ("search", figures.slowest_search)):
        print(f"slowest {what}: {seconds * 1000:.2f} ms, {shown[:200]}")


if __name__ == "__main__":
    main()
