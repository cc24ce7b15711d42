"""The measurements of triggers.py, each in a process of its own: `python -m benchmarks.triggers_cases LIBRARY CASE ZONE SIZE` prints one JSON object.

It maps the rows to microseconds per call. LIBRARY is mainspring, apscheduler, croniter, cronsim or dateutil; rows that a library
cannot express are left out. Each library is used through its public API, in the way that is fastest for it.
"""

import gc
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain, islice, repeat
from typing import Any

from .triggers_libraries import (
    CRON_ROWS,
    FIRST_YEAR,
    INTERVALS,
    NEVER_ROWS,
    RULES,
    YEARS,
    ZONES,
    Row,
    Triggers,
    library_named,
    library_of_rules,
    start_in,
)

Result = dict[str, float]

SEED = 4


# --- instants, expressions, time -------------------------------------------------------------------------------------


def random_instants(row: str, zone: tzinfo, count: int) -> list[datetime]:
    """The same ones for every library."""
    chance = random.Random(f"{SEED} {row}")
    first = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    length = datetime(FIRST_YEAR + YEARS, 1, 1, tzinfo=UTC) - first
    return [(first + chance.random() * length).astimezone(zone) for _ in range(count)]


def different_lines(count: int, *, unseen: bool) -> list[str]:
    """That many different crontab lines: such as people write, or, if *unseen*, such that hardly a field has been there before."""
    chance = random.Random(SEED)

    def some(values: range, least: int, most: int) -> str:
        return ",".join(map(str, sorted(chance.sample(values, chance.randint(least, most)))))

    def usual() -> str:
        minute = chance.choice(
            ["*", f"*/{chance.choice((5, 10, 15, 20, 30))}", *(some(range(60), 1, 2) for _ in "1234")]
        )
        begin = chance.randrange(12)
        hour = chance.choice(
            ["*", f"*/{chance.choice((2, 3, 4, 6))}", f"{begin}-{begin + 8}", some(range(24), 1, 2)]
        )
        day, weekday = chance.choice(
            [("*", "*"), ("*", "mon-fri"), ("*", "sun"), (some(range(1, 29), 1, 1), "*"), ("1,15", "*")]
        )
        return f"{minute} {hour} {day} {chance.choice(('*', '*', '*', '1-6', '1,4,7,10'))} {weekday}"

    def rare() -> str:
        minute, hour, day = some(range(60), 4, 6), some(range(24), 4, 6), some(range(1, 29), 4, 6)
        return f"{minute} {hour} {day} {some(range(1, 13), 2, 6)} *"

    lines: dict[str, None] = {}
    while len(lines) < count:
        lines[rare() if unseen else usual()] = None
    return list(lines)


def timed(calls: int, action: Callable[..., object], *args: object) -> float:
    """Microseconds per call of an action that makes so many, in CPU time.

    What is measured waits for nothing, and some of it is over in a millisecond: on the clock, the time slice that another process is given in
    the middle of it would be several times as much.
    """
    gc.collect()
    begin = time.thread_time()
    action(*args)
    return (time.thread_time() - begin) * 1_000_000 / calls


# --- the cases -------------------------------------------------------------------------------------------------------


def cron_iterate(name: str, zone: tzinfo, size: int) -> Result:
    """*size* fire times one after the other, from the first of January on."""
    library = library_named(name)
    return {
        row.name: timed(size, library.walk, library.make(row, zone), start_in(zone), size)
        for row in filter(library.has, CRON_ROWS)
    }


def cron_single(name: str, zone: tzinfo, size: int) -> Result:
    """The first fire time at or after each of *size* random instants."""
    library = library_named(name)
    return {
        row.name: timed(size, library.ask, library.make(row, zone), random_instants(row.name, zone, size))
        for row in filter(library.has, CRON_ROWS)
    }


def cron_stored(name: str, zone: tzinfo, size: int) -> Result:
    """As `cron_iterate`, but the previous fire times are not the trigger's own answers: equal ones, as a program has read them from somewhere."""
    library, start = Triggers(name), start_in(zone)
    result = {}
    for row in filter(library.has, CRON_ROWS):
        made = library.make(row, zone)
        result[row.name] = timed(size, library.follow, made, stored(library.times(made, start), size))
    return result


def stored(times: Iterator[datetime], count: int) -> list[datetime]:
    """The first *count* of them, over and over if there are less, each another object."""
    own = list(islice(times, count))
    return [
        datetime.fromtimestamp(fire.timestamp(), fire.tzinfo)
        for fire in islice(chain.from_iterable(repeat(own)), count)
    ]


def cron_fresh(name: str, zone: tzinfo, size: int) -> Result:
    """The first trigger of a process, made and asked once: nothing is known of its zone, no cache is filled. *size* is not used."""
    library, row = library_named(name), Row("30 2 * * *")
    return {row.name: timed(1, lambda: library.ask(library.make(row, zone), [start_in(zone)]))}


def interval_iterate(name: str, zone: tzinfo, size: int) -> Result:
    """As `cron_iterate`, with intervals."""
    library, start = Triggers(name), start_in(zone)
    return {
        shown(lengths): timed(
            size, library.walk, library.interval(**lengths, start_date=start, timezone=zone), start, size
        )
        for lengths in INTERVALS
    }


def interval_single(name: str, zone: tzinfo, size: int) -> Result:
    """As `cron_single`, with intervals."""
    library, start = Triggers(name), start_in(zone)
    result = {}
    for lengths in INTERVALS:
        made, instants = (
            library.interval(**lengths, start_date=start, timezone=zone),
            random_instants("", zone, size),
        )
        result[shown(lengths)] = timed(size, library.ask, made, instants)
    return result


def interval_stored(name: str, zone: tzinfo, size: int) -> Result:
    """As `cron_stored`, with intervals."""
    library, start = Triggers(name), start_in(zone)
    result = {}
    for lengths in INTERVALS:
        made = library.interval(**lengths, start_date=start, timezone=zone)
        result[shown(lengths)] = timed(size, library.follow, made, stored(library.times(made, start), size))
    return result


def shown(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in lengths.items())


def construct(name: str, zone: tzinfo, size: int) -> Result:
    """Triggers from crontab lines: *size* different ones, in the same order for every library, and one again and again."""
    make_all = library_named(name).make_all
    make_all(["30 2 * * *"], zone)  # what a library makes once, with its first trigger, is in `cron_fresh`
    lines = {
        "different, such as people write": different_lines(size, unseen=False),
        "different, every field a new list": different_lines(size, unseen=True),
        "the same again": ["*/15 9-17 * * mon-fri"] * size,
    }
    return {title: timed(size, make_all, given, zone) for title, given in lines.items()}


def never(name: str, zone: tzinfo, size: int) -> Result:
    """How long it takes to learn that there is no fire time: ours refuses to make the trigger, others are made and asked once.

    Each expression is seen for the first time. *size* is not used.
    """
    library, start = library_named(name), start_in(zone)
    library.make(Row("30 2 * * *"), zone)

    def learn(row: Row) -> None:
        try:
            made = library.make(row, zone)
            fire = library.ask(made, [start])
        except library.ends:
            return
        if fire is not None or name == "mainspring":
            raise RuntimeError(f"{row.name} was not refused by {name}: {made!r} fires at {fire}")

    return {row.name: timed(1, learn, row) for row in filter(library.has, NEVER_ROWS)}


def rule_iterate(name: str, zone: tzinfo, size: int) -> Result:
    """As `cron_iterate`, with recurrence rules."""
    library, start = library_of_rules(name), start_in(zone)
    return {f"`{rule}`": timed(size, library.walk, library.rule(rule, start), start, size) for rule in RULES}


def rule_single(name: str, zone: tzinfo, size: int) -> Result:
    """As `cron_single`, with recurrence rules, in the last tenth of so many days after their DTSTART."""
    library, start = library_of_rules(name), start_in(zone)
    result = {}
    for rule, days in RULES.items():
        chance, since = random.Random(f"{SEED} {rule}"), start.astimezone(UTC) + timedelta(days=days * 0.9)
        instants = [
            (since + chance.random() * timedelta(days=days / 10)).astimezone(zone) for _ in range(size)
        ]
        result[f"`{rule}`, {days:,} days on"] = timed(size, library.ask, library.rule(rule, start), instants)
    return result


CASES: dict[str, Callable[[str, tzinfo, int], Result]] = {
    "iterate": cron_iterate,
    "stored": cron_stored,
    "single": cron_single,
    "interval-iterate": interval_iterate,
    "interval-stored": interval_stored,
    "interval-single": interval_single,
    "construct": construct,
    "never": never,
    "fresh": cron_fresh,
    "rrule-iterate": rule_iterate,
    "rrule-single": rule_single,
}


# --- agreement -------------------------------------------------------------------------------------------------------


def agreement(name: str, zone: tzinfo, size: int) -> dict[str, Any]:
    """How the fire times of *name* compare to ours: of each cron row *size* one after the other, and as many from random instants.

    ``compared`` and ``differ`` count fire times, and ``changes`` those of the latter that are within a day of a clock change; ``plain`` tells of
    the others, row by row. One after the other, what only one of the two has is counted, as far as both have got.
    """
    ours, theirs = library_named("mainspring"), library_named(name)
    compared = differ = changes = 0
    plain: list[str] = []
    for row in filter(theirs.has, CRON_ROWS):
        mine, other = ours.make(row, zone), theirs.make(row, zone)
        walked = [
            [fire.timestamp() for fire in islice(library.times(made, start_in(zone)), size)]
            for library, made in ((ours, mine), (theirs, other))
        ]
        end = min(times[-1] for times in walked)
        compared += sum(stamp <= end for stamp in walked[0])
        # Each difference is the moments that it is about: one that only one of them has, or two that should be one.
        differences = [(stamp,) for stamp in set(walked[0]) ^ set(walked[1]) if stamp <= end]
        pairs: list[tuple[float, ...]] = []
        for instant in random_instants(row.name, zone, size):
            answers = ours.ask(mine, [instant]), theirs.ask(other, [instant])
            pairs.append(tuple(math.inf if answer is None else answer.timestamp() for answer in answers))
        compared += size
        found = [*differences, *(pair for pair in pairs if pair[0] != pair[1])]
        unexplained = [moments for moments in found if not near_change(moments, zone)]
        differ += len(found)
        changes += len(found) - len(unexplained)
        if unexplained:
            first = datetime.fromtimestamp(min(map(min, unexplained)), zone)
            plain.append(f"{row.name} in {zone}: {len(unexplained)} times, the first {first}")
    return {"compared": compared, "differ": differ, "changes": changes, "plain": plain}


def near_change(moments: Iterable[float], zone: tzinfo) -> bool:
    """Whether one of these moments is within a day of a change of the zone's clock."""
    day = timedelta(days=1)
    for stamp in filter(math.isfinite, moments):
        moment = datetime.fromtimestamp(stamp, UTC)
        if (moment - day).astimezone(zone).utcoffset() != (moment + day).astimezone(zone).utcoffset():
            return True
    return False


def main(name: str, case: str, zone: str, size: str) -> None:
    measurement: Callable[[str, tzinfo, int], object] = agreement if case == "agreement" else CASES[case]
    print(json.dumps(measurement(name, ZONES[zone], int(size))))


if __name__ == "__main__":
    main(*sys.argv[1:])
