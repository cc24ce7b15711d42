"""`CronTrigger`: at the times of a zone's wall clock that match a cron expression, right on the days when clocks change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Self

from ..base import (
    check_arguments,
    check_jitter,
    check_version,
    keep_own_attributes,
    put,
    state_instant,
    state_integer,
    state_zone,
)
from ..civil import CivilTrigger
from ..instants import FIRST_INSTANT, LAST_INSTANT, format_instant, optional_instant, zone_name, zone_of_dates
from ..policies import Gap, Overlap, as_gap, as_overlap
from .crontab import parse_crontab
from .days import never_fires
from .fields import FIELD_NAMES, LONGEST, CronExpressionError, CronField, parse_fields
from .hashed import job_seed, settle
from .schedule import WallSchedule

__all__ = ["CronExpressionError", "CronField", "CronTrigger"]

_Texts = tuple[str | None, ...]
_Policies = tuple[Gap | None, Overlap | None]


class CronTrigger(CivilTrigger):
    """Fires when all fields match the wall clock of *timezone*, from *start_date* until *end_date* (both inclusive).

    Fields are text or integers (`fields.py` has the grammar). Those left out are ``*`` if they are more significant than the least
    significant one given, else their minimum; `week` (ISO) and `day_of_week` (0 is Monday) are ``*``.

    Clock changes, by the rule of Vixie cron (its man page, "daylight saving time"). The trigger is *wildcard* if its minute or its hour begins with
    ``*``, else *fixed*. Berlin, ``2026-03-29``, 02:00 to 03:00 does not exist; and ``2026-10-25``, it exists twice::

        spring      01:30   01:59│03:00   03:30          autumn     02:00 ── 02:30 ── 02:59│02:00 ── 02:30 ── 02:59│03:00
        fixed, 02:30             ●  (once, at 03:00)     fixed, 02:30         ●
        wildcard, */30  ●        ●        ●              wildcard     ●       ●            ●        ●               ●

    A fixed trigger with several times in one gap, or one at its very end, runs once for all of them. Nothing else is affected: a schedule of hour 0 runs
    on the day after a change as on any other. *gap* and *overlap* choose another rule, each drawn in `Gap` and `Overlap`; those of the above are
    ``after`` and ``first`` for a fixed trigger, ``skip`` and ``both`` for a wildcard one.

    Fields with ``H`` (hashed) get their values from the id of the job, when it is added (`bind`): the same for a job for ever, spread over different jobs.

    *timezone* is by default that of *start_date*, else of *end_date*, else the local one. *jitter*: see `BaseTrigger.jitter`.
    Raises CronExpressionError (a ValueError) for text that is not understood, and for fields that no date matches.
    """

    __slots__ = ("_compiled", "_policies", "_seed")

    argument_names: ClassVar[frozenset[str]] = frozenset(
        {*FIELD_NAMES, "start_date", "end_date", "timezone", "jitter", "gap", "overlap"}
    )
    FIELD_NAMES: ClassVar[tuple[str, ...]] = FIELD_NAMES

    _compiled: _Compiled
    _policies: _Policies  # as they were given; None: by the kind of trigger
    _seed: int | None  # of the job that it is bound to, if it has hashed fields

    def __init__(
        self,
        year: int | str | None = None,
        month: int | str | None = None,
        day: int | str | None = None,
        week: int | str | None = None,
        day_of_week: int | str | None = None,
        hour: int | str | None = None,
        minute: int | str | None = None,
        second: int | str | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | None = None,
        gap: Gap | str | None = None,
        overlap: Overlap | str | None = None,
    ) -> None:
        given = (year, month, day, week, day_of_week, hour, minute, second)
        texts = tuple([None if value is None else _text(i, value) for i, value in enumerate(given)])
        try:
            compiled = _compile(texts, False)
        except CronExpressionError as error:
            text = "" if error.field is None else str(given[FIELD_NAMES.index(error.field)])
            if not 0 < len(text) <= LONGEST:
                raise
            raise error.as_given(text) from None
        self._fill(compiled, start_date, end_date, timezone, jitter, gap, overlap)

    @classmethod
    def from_crontab(
        cls,
        expr: str,
        timezone: tzinfo | str | None = None,
        dialect: str = "unix",
        *,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        jitter: float | None = None,
        gap: Gap | str | None = None,
        overlap: Overlap | str | None = None,
    ) -> Self:
        """The trigger of a line of cron fields, in the *dialect* that it is written in.

        ``"unix"``: five fields as in crontab(5), or six with the seconds first; or ``@hourly @daily @midnight @weekly @monthly @yearly @annually``. Weekdays
        0 and 7 are Sunday, and a date matches if day of month *or* weekday does, unless one of the two begins with ``*`` (Vixie's star rule).
        ``"quartz"``: six fields with the seconds first, or seven with the year last; 1 is Sunday, and one of the two days must be ``?``.
        ``"apscheduler"``: five fields as APScheduler 3 reads them: 0 is Monday, and both days must match.

        All other arguments are those of the constructor. The fields of the trigger have weekdays by name. Raises CronExpressionError.
        """
        texts, either = parse_crontab(expr, dialect)
        self = cls.__new__(cls)
        self._fill(_compile(texts, either), start_date, end_date, timezone, jitter, gap, overlap)
        return self

    @property
    def fields(self) -> tuple[CronField, ...]:
        """The eight fields in the order of FIELD_NAMES, each with `name`, `is_default` and `str()`."""
        return self._compiled.fields

    @property
    def settled_fields(self) -> tuple[CronField, ...]:
        """The fields with the values that hashed ones have got from the job's id; before that, and without any, as `fields`."""
        return self.fields if self._seed is None else self._compiled.settled(self._seed).fields

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """With hashed fields: one in which they have the values of this job. Otherwise itself."""
        if not self._compiled.hashed or self._seed is not None:
            return self
        bound = self.from_state(self.get_state())
        keep_own_attributes(self, bound)
        bound._seed_with(job_seed(job_id))
        return bound

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        gap, overlap = self._policies
        keep: dict[str, Any] = {
            "start_date": self.start_date,
            "end_date": self.end_date,
            "timezone": self.timezone,
            "jitter": self.jitter,
            "gap": gap,
            "overlap": overlap,
        }
        keep.update(trigger_args)
        if not trigger_args.keys().isdisjoint(FIELD_NAMES):
            return type(self)(**keep)
        changed = self.__class__.__new__(self.__class__)
        changed._fill(self._compiled, **keep)
        if self._seed is not None:
            changed._seed_with(self._seed)
        return changed

    def get_state(self) -> dict[str, Any]:
        gap, overlap = self._policies
        state = {
            "version": 1,
            "fields": {field.name: field.text for field in self.fields if not field.is_default},
            "days": "either" if self._compiled.either else "both",
            "start": None if self._start == FIRST_INSTANT else self._start,
            "end": None if self._end == LAST_INSTANT else self._end,
            "timezone": zone_name(self.timezone),
            "jitter": self.jitter,
        }
        # Few have these: what is not given takes no room in a store.
        if gap is not None:
            state["gap"] = gap.value
        if overlap is not None:
            state["overlap"] = overlap.value
        if self._seed is not None:
            state["seed"] = self._seed
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        fields, days = state["fields"], state["days"]
        unknown = set(fields).difference(FIELD_NAMES)
        if unknown or days not in ("both", "either"):
            raise ValueError(f"the state of a cron trigger is not understood: {unknown or days!r}")
        values = [fields.get(name) for name in FIELD_NAMES]
        texts = tuple([None if value is None else _text(i, value) for i, value in enumerate(values)])
        compiled = _compile(texts, days == "either")
        start, end = state_instant(state, "start"), state_instant(state, "end")
        zone, jitter = state_zone(state), check_jitter(state["jitter"])
        self._settle(compiled, start, end, zone, jitter, state.get("gap"), state.get("overlap"))
        if state.get("seed") is not None:
            seed = state_integer(state, "seed")
            assert seed is not None
            self._seed_with(seed)

    def _seed_with(self, seed: int) -> None:
        """Give the hashed fields of a new instance their values."""
        if not self._compiled.hashed or not 0 <= seed < 1 << 64:
            raise ValueError(
                f"the state of a cron trigger without hashed fields has a seed, or not a fit one: {seed}"
            )
        put(self, "_seed", seed)
        put(self, "_wall", self._compiled.settled(seed).wall)

    def _fill(
        self,
        compiled: _Compiled,
        start_date: datetime | date | str | None,
        end_date: datetime | date | str | None,
        timezone: tzinfo | str | None,
        jitter: float | None,
        gap: Gap | str | None,
        overlap: Overlap | str | None,
    ) -> None:
        """Fill a new instance from arguments as they were given."""
        zone = zone_of_dates(timezone, start_date, end_date)
        start = None if start_date is None else optional_instant(start_date, zone, "start_date")
        end = None if end_date is None else optional_instant(end_date, zone, "end_date")
        if start is not None and end is not None and end < start:
            raise ValueError(f"end_date: {end_date} is before start_date, {start_date}: it would never fire")
        self._settle(compiled, start, end, zone, check_jitter(jitter), gap, overlap)
        if self._policies[0] is Gap.SKIP:
            self._check_shown()

    def _check_shown(self) -> None:
        """Raise CronExpressionError if the clock skips every time that matches, so that none is left."""
        # From 1970 on, where years begin that a field can name.
        if self._wall.next(0) is not None and self._open and self.next_after(0) is None:
            fields = ", ".join(self._shown())
            raise CronExpressionError(
                f"the clock of {zone_name(self.timezone)} skips every time that matches {fields}: with gap='skip' it would never fire",
                None,
                fields,
            )

    def _settle(
        self,
        compiled: _Compiled,
        start: int | None,
        end: int | None,
        zone: tzinfo,
        jitter: float | None,
        gap: Gap | str | None,
        overlap: Overlap | str | None,
    ) -> None:
        wildcard = compiled.wildcard
        if gap is None and overlap is None:
            policies = _BY_KIND[wildcard]
            put(self, "_policies", _NOT_GIVEN)
        else:
            policies = as_gap(gap, _BY_KIND[wildcard][0]), as_overlap(overlap, _BY_KIND[wildcard][1])
            put(self, "_policies", (gap and policies[0], overlap and policies[1]))
        put(self, "_compiled", compiled)
        put(self, "_seed", None)
        self._set(compiled.wall, start, end, zone, *policies, jitter)

    def _identity(self) -> tuple[object, ...]:
        texts = tuple(field.text for field in self.fields)
        zone = zone_name(self.timezone)
        return (texts, self._compiled.either, self._start, self._end, zone, self.jitter, self._policies)

    def _shown(self) -> list[str]:
        parts = [f"{field.name}='{field}'" for field in self.fields if not field.is_default]
        return [*parts, "days='either'"] if self._compiled.either else parts

    def __str__(self) -> str:
        return f"cron[{', '.join(self._shown())}]"

    def __repr__(self) -> str:
        parts = self._shown()
        if self._start != FIRST_INSTANT:
            parts.append(f"start_date='{format_instant(self._start, self.timezone)}'")
        if self._end != LAST_INSTANT:
            parts.append(f"end_date='{format_instant(self._end, self.timezone)}'")
        parts.append(f"timezone='{zone_name(self.timezone)}'")
        if self.jitter is not None:
            parts.append(f"jitter={self.jitter!r}")
        for name, policy in zip(("gap", "overlap"), self._policies, strict=True):
            if policy is not None:
                parts.append(f"{name}='{policy}'")
        return f"<{type(self).__name__} ({', '.join(parts)})>"


_NO_JOB = job_seed("")
_NOT_GIVEN: _Policies = (None, None)
# By whether the trigger is wildcard.
_BY_KIND = {False: (Gap.AFTER, Overlap.FIRST), True: (Gap.SKIP, Overlap.BOTH)}


class _Compiled(NamedTuple):
    """What all triggers of one expression share."""

    texts: _Texts
    fields: tuple[CronField, ...]
    either: bool  # day or day_of_week must match, not both
    wildcard: bool
    hashed: bool
    wall: WallSchedule  # of hashed fields: that of a trigger which is asked without being bound to a job

    def settled(self, seed: int) -> _Compiled:
        """The expression in which the hashed fields are what *seed* makes of them."""
        return _compile(settle(self.texts, seed, self.either), self.either)


@lru_cache(maxsize=2048)
def _compile(texts: _Texts, either: bool) -> _Compiled:
    fields = parse_fields(texts)
    _, _, _, _, _, hour, minute, _ = fields
    wildcard = hour.star or minute.star
    if any(field.hashed for field in fields):
        wall = _compile(settle(texts, _NO_JOB, either), either).wall
        return _Compiled(texts, fields, either, wildcard, True, wall)
    wall = WallSchedule(fields, either)
    if not wall.has_dates():
        raise never_fires(fields)
    return _Compiled(texts, fields, either, wildcard, False, wall)


def _text(index: int, value: int | str) -> str:
    """A field's value as normal text."""
    name = FIELD_NAMES[index]
    if isinstance(value, str):
        # What is too long to be a field is not kept; it is refused soon.
        return _normal(value) if len(value) <= LONGEST else value.lower()
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > 64:
            raise CronExpressionError(
                f"cron field {name}: an integer of {value.bit_length()} bits is no value", name, ""
            )
        return str(value)
    raise TypeError(f"cron field {name}: expected text (of several: '5,6') or an integer, got {value!r}")


@lru_cache(maxsize=2048)
def _normal(text: str) -> str:
    """Lower case, single blanks, none around commas."""
    return ",".join([" ".join(term.split()) for term in text.lower().split(",")])
