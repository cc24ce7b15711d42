"""What an `ExcludingTrigger` leaves out less of than it seems to: exclusions that meet no fire time, and moments that are taken for days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .base import BaseTrigger
from .combining import OrTrigger
from .combining.parts import on_whole_seconds, source_of
from .combining.progressions import WHOLE_SECONDS, Progression, meet, progression_of
from .combining.sources import Source, Steps
from .cron import CronTrigger
from .cron.pitfalls import some
from .excluding import ExcludingTrigger
from .instants import from_micros
from .offsets import offsets_of

__all__ = ["idle_exclusions"]

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND
_DAY = 24 * _HOUR

# So many questions are put to the parts for all exclusions together: some hundredths of a second.
_MOST_STEPS = 20_000

# By how many of hour, minute and second a cron trigger leaves to their default of 0: how long what people mean by it is, the moment of it that it stands
# for, and what to write. (A day has 23 hours now and then.)
_LEFT_TO_DEFAULT = {
    3: (23 * _HOUR, "00:00:00 of its days", "for whole days give hour='*', minute='*', second='*', or dates"),
    2: (_HOUR, "the first second of its hours", "for whole hours give minute='*', second='*'"),
    1: (60 * _SECOND, "the first second of its minutes", "for whole minutes give second='*'"),
}


class _Undecided(Exception):
    """The steps are used up. *reached* is the instant up to which nothing was found."""

    def __init__(self, reached: int) -> None:
        super().__init__()
        self.reached = reached


def idle_exclusions(trigger: ExcludingTrigger, start: int, end: int) -> Iterator[str]:
    """A line for each exclusion of *trigger*, which is bound, that is idle from *start* until *end* (instants, both inclusive). None of its parts may be a user's."""
    base, *excluded = trigger.parts
    source, steps = source_of(base), Steps()
    steps.left = _MOST_STEPS
    yield from _moments(trigger, source, start, end, steps)
    for part in _flattened(excluded):
        try:
            line = _line(trigger, base, part, (start, end), steps)
        except ValueError:
            return  # the bound of a search in a part: what is looked for is not found, and nothing is said
        if line is not None:
            yield f"{part}: {line}"


def _line(
    trigger: ExcludingTrigger, base: BaseTrigger, part: BaseTrigger, period: tuple[int, int], steps: Steps
) -> str | None:
    source, other = source_of(base), source_of(part)
    start, end = period
    first = other.next(start - 1, steps)
    if first is None or first > end:
        return None  # it is not meant for this period
    found = source.next(start - 1, steps)
    if found is None or found > end:
        return None
    only, advice = _misread(source, part, other, period, steps)
    try:
        idle = not _meets(base, part, period, steps)
    except _Undecided as undecided:
        if undecided.reached < start + _DAY:
            return None  # too little was seen
        day = from_micros(undecided.reached, trigger.timezone).date()
        return f"leaves out nothing before {day}; later times were not looked at{only and f'. It is {only} only; {advice}'}"
    if idle:
        return f"leaves out nothing in this period{only and f': it is {only} only; {advice}'}"
    return f"leaves out {only} only; {advice}" if only else None


def _meets(base: BaseTrigger, part: BaseTrigger, period: tuple[int, int], steps: Steps) -> bool:
    """Whether *part* leaves out any fire time of *base*. Raises `_Undecided` if the steps do not suffice to know."""
    start, end = period
    whole = on_whole_seconds(part)
    one, two = _grid(base), _grid(part)
    if one is not None and two is not None and not whole and meet(one, two) is None:
        return False
    source, other, at = source_of(base), source_of(part), start
    while steps.left > 0:
        fire = source.next(at - 1, steps)
        if fire is None or fire > end:
            return False
        # What is on the wall clock leaves out the whole second.
        sought = fire - fire % _SECOND if whole else fire
        nearest = other.next(sought - 1, steps)
        if nearest is None or nearest > end:
            return False
        if nearest == sought:
            return True
        at = nearest
    raise _Undecided(at)


def _grid(part: BaseTrigger) -> Progression | None:
    """The arithmetic progression that all of its fire times are in, if one is known."""
    return WHOLE_SECONDS if on_whole_seconds(part) else progression_of(part)


def _misread(
    source: Source, part: BaseTrigger, other: Source, period: tuple[int, int], steps: Steps
) -> tuple[str, str]:
    """What *part* stands for and what to write, if it leaves its time of day to the default while *source* fires at other times then; else empty."""
    if type(part) is not CronTrigger:
        return "", ""
    number = 0
    for field in reversed(part.fields[-3:]):
        if not field.is_default or field.text != "0":
            break
        number += 1
    if number not in _LEFT_TO_DEFAULT:
        return "", ""
    length, only, advice = _LEFT_TO_DEFAULT[number]
    begin, end = period
    moment = other.next(begin - 1, steps)
    while moment is not None and moment <= end and steps.left > 0:
        # Not in the second that it leaves out.
        fire = source.next(moment + _SECOND - 1, steps)
        if fire is None:
            break
        if fire < moment + length:
            return only, advice
        moment = other.next(max(moment, fire - length), steps)
    return "", ""


def _moments(trigger: ExcludingTrigger, source: Source, start: int, end: int, steps: Steps) -> Iterator[str]:
    """Moments among the dates: those at midnight, beside which it fires at other times of their days; others at which it does not fire."""
    days: list[str] = []
    idle: list[str] = []
    offsets = offsets_of(trigger.timezone)
    for moment in trigger._moments:
        if not start <= moment <= end or steps.left <= 0:
            continue
        try:
            fires = source.next(moment - 1, steps) == moment
            fire = source.next(moment, steps)
        except ValueError:
            return
        shown = from_micros(moment, trigger.timezone).replace(tzinfo=None).isoformat(" ")
        if (moment + offsets.at(moment // _SECOND).offset * _SECOND) % _DAY == 0:
            if fire is not None and fire < moment + 23 * _HOUR:
                days.append(shown)
        elif not fires:
            idle.append(shown)
    if days:
        yield f"{some(days)} {_are(days, 'is a moment, not a day: for a whole day give a date', 'are moments, not days: for whole days give dates')}"
    if idle:
        yield f"{some(idle)} {_are(idle, 'leaves', 'leave')} out nothing: it does not fire then"


def _are(items: Sequence[str], one: str, many: str) -> str:
    return one if len(items) == 1 else many


def _flattened(parts: Iterable[BaseTrigger]) -> Iterator[BaseTrigger]:
    """The parts, with those of an "or" in place of it: each of them is left out."""
    for part in parts:
        if type(part) is OrTrigger:
            yield from _flattened(part.triggers)
        else:
            yield part
