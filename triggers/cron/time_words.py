"""The times of day of a cron schedule in plain words: "every 15 minutes between 09:00 and 17:45"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .fields import CronField
from .phrases import cycle, evenly, listed, runs, values_of

__all__ = ["time_words"]

# As many times of day are told one by one, if nothing shorter says the same.
_MOST_TIMES = 12


def time_words(hour: CronField, minute: CronField, second: CronField) -> str:
    """At which times of day the three fields match."""
    if any(field.hashed for field in (hour, minute, second)):
        return _by_field(hour, minute, second)
    times = _Times(hour.values, minute.values, second.values)
    total = len(hour.values) * len(minute.values) * len(second.values)
    if total <= 3:
        return f"at {listed(times.all())}"
    words = times.rhythm() or (times.hourly() if len(minute.values) == len(second.values) == 1 else None)
    if words is not None:
        return words
    return f"at {listed(times.all())}" if total <= _MOST_TIMES else _by_field(hour, minute, second)


class _Times(NamedTuple):
    """The times of day at which an hour, a minute and a second meet."""

    hours: Sequence[int]
    minutes: Sequence[int]
    seconds: Sequence[int]

    def rhythm(self) -> str | None:
        """In equal steps of seconds or minutes, all day or in up to three stretches of hours."""
        if len(self.seconds) > 1:
            unit, step = "second", cycle(self.seconds, 60) if len(self.minutes) == 60 else None
        else:
            unit, step = "minute", cycle(self.minutes, 60)
        stretches = runs(self.hours)
        if step is None or len(stretches) > 3:
            return None
        return f"{_every(step, unit)} {self._between(stretches, step, unit)}".rstrip()

    def hourly(self) -> str | None:
        """At one minute of more than three hours, if these come in equal steps."""
        step = cycle(self.hours, 24)
        if step == 1:
            minute, second = self.minutes[0], self.seconds[0]
            at = [f"minute {minute}"] if minute or second else []
            at += [f"second {second}"] if second else []
            return f"every hour at {listed(at)}" if at else "every hour"
        if step is not None:
            return f"{_every(step, 'hour')} {self._example(step, 'hour')}".rstrip()
        step = evenly(self.hours)
        if step is not None:
            return f"{_every(step, 'hour')} {self._between([(self.hours[0], self.hours[-1])], step, 'hour')}"
        stretches = runs(self.hours)
        if len(stretches) <= 3 and all(last - first >= 2 for first, last in stretches):
            return f"every hour {self._between(stretches, 1, 'hour')}"
        return None

    def all(self) -> list[str]:
        return [self._shown(h, m, s) for h in self.hours for m in self.minutes for s in self.seconds]

    def _between(self, stretches: Sequence[tuple[int, int]], step: int, unit: str) -> str:
        """``between 09:00 and 17:45``: the first and the last time in each stretch of hours; for all hours, where the steps begin."""
        if stretches == [(0, 23)]:
            return self._example(step, unit)
        return listed(
            [
                f"between {self._shown(first, self.minutes[0], self.seconds[0])}"
                f" and {self._shown(last, self.minutes[-1], self.seconds[-1])}"
                for first, last in stretches
            ]
        )

    def _example(self, step: int, unit: str) -> str:
        """The first two times of the day, unless the first is midnight."""
        first = [self.hours[0], self.minutes[0], self.seconds[0]]
        if not any(first):
            return ""
        second = [*first]
        second[("hour", "minute", "second").index(unit)] += step
        return f"({self._shown(*first)}, {self._shown(*second)}, …)"

    def _shown(self, hour: int, minute: int, second: int) -> str:
        return f"{hour:02}:{minute:02}" + (f":{second:02}" if any(self.seconds) else "")


def _by_field(hour: CronField, minute: CronField, second: CronField) -> str:
    """Plainly: seconds, minutes and hours, one after the other."""
    words = []
    if second.hashed or tuple(second.values) != (0,):
        words.append(_leading(second))
        if minute.hashed or len(minute.values) < 60:
            words.append(f"in {values_of(minute, 'minute')}")
        elif words[0].startswith("at "):
            words.append("of every minute")
    else:
        words.append(_leading(minute))
    if hour.hashed or len(hour.values) < 24:
        words.append(f"in {values_of(hour, 'hour')}")
    elif not words[-1].startswith("every ") and words[-1] != "of every minute":
        words.append("of every hour")
    return " ".join(words)


def _leading(field: CronField) -> str:
    step = None if field.hashed else cycle(field.values, 60)
    if step is None or field.values[0]:
        return f"at {values_of(field, field.name)}"
    return _every(step, field.name)


def _every(step: int, unit: str) -> str:
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"
