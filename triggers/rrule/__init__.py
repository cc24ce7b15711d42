"""`RRuleTrigger`: the recurrence rules of calendars (RFC 5545), on the wall clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, ClassVar, Self

from ..base import (
    check_arguments,
    check_jitter,
    check_version,
    keep_own_attributes,
    put,
    state_flag,
    state_instant,
    state_zone,
)
from ..civil import CivilTrigger, Gap, Overlap, as_gap, as_overlap
from ..instants import (
    FIRST_INSTANT,
    LAST_INSTANT,
    format_instant,
    from_micros,
    optional_instant,
    parse_date,
    to_micros,
    zone_of_dates,
)
from ..offsets import offsets_of
from ..zones import zone_name
from .day_times import DayTimes
from .rule import Rule
from .schedule import Start, in_second_pass, schedule_of
from .text import Parts, RuleText, read_rule, to_wall
from .timeline import Timeline

__all__ = ["RRuleTrigger"]

_SECOND = 1_000_000
_TWO_DAYS = 172_800
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (wall times have no zone)


class RRuleTrigger(CivilTrigger):
    """Fires at the times of a recurrence rule: ``FREQ=…;…``, or lines with DTSTART, RRULE, EXRULE, RDATE and EXDATE (RFC 5545, sections 3.3.10, 3.8.5).

    ::

        RRuleTrigger("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", start_date="2026-01-05 09:30:00", timezone="Europe/Berlin")
        RRuleTrigger("DTSTART;TZID=Europe/Berlin:20260105T093000\\nRRULE:FREQ=MONTHLY;BYDAY=-1FR\\nEXDATE:20261225T093000")

    The start is the text's DTSTART or *start_date*. From it the rule counts its INTERVAL and its COUNT and takes what it does not say: ``FREQ=DAILY`` runs at the start's
    time of day, ``FREQ=DAILY;BYHOUR=9`` at its minute and second of that hour. It is a whole second, and itself a fire time only if the rule says so. If
    none is given, it is the first whole second not before the moment at which the job is added, or the `next_run_time` given with the job (settled by `bind`).
    No rule fires before its start, which may be the second pass of a time that the clock shows twice (``fold=1``); COUNT counts from there.

    Rules and dates are wall times: in the zone of DTSTART (its TZID; UTC, if it ends in Z), and if that names none in *timezone*, by default that of
    *start_date*, else of *end_date*, else the local one. RDATE and EXDATE may have a TZID or a Z of their own: if that is not the
    rule's zone, they are instants, add or take away a fire time at just that moment, and neither *gap* nor *overlap* is asked. UNTIL is inclusive, and a wall time
    unless it ends in Z, an instant; one without a time of day is its midnight. The options *gap* and *overlap* (`Gap`, `Overlap`) say what becomes of times that the clock skips or
    shows twice; "first" means that a rule of hours or minutes pauses for the second pass: give ``overlap="both"`` if it is to go on.

    *end_date* is inclusive. *jitter*: see `BaseTrigger.jitter`. Raises ValueError, with the piece of text, for what is not understood, and for a rule that never fires.

    Whoever asks for a fire time gets NoFireTimeFoundError if exclusions leave none of the times of 36,525 days in a row. That they never will is known, and no error,
    if one EXRULE alone has all times of the rule (the same rule; or one without BYSETPOS that is as frequent, in all its parts); its UNTIL or COUNT is leapt to.
    """

    __slots__ = (
        "_last",
        "_plain",
        "_read",
        "_second_pass",
        "_settled",
        "_start_wall",
        "_timeline",
        "_unbound",
    )

    argument_names: ClassVar[frozenset[str]] = frozenset(
        {"rule", "start_date", "timezone", "gap", "overlap", "end_date", "jitter"}
    )

    _read: RuleText
    _start_wall: int | None
    _second_pass: bool  # the start is the second time that the clock shows it
    _timeline: Timeline | None  # what fires, if wall times are not enough to say it
    _plain: bool  # bound, and without a timeline
    _unbound: bool  # there are rules, and nothing says yet from when they count
    _settled: bool  # the start was settled by bind, not given
    _last: int  # the end that was given; LAST_INSTANT: none

    def __init__(
        self,
        rule: str,
        start_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        gap: Gap | str | None = "after",
        overlap: Overlap | str | None = "first",
        end_date: datetime | date | str | None = None,
        jitter: float | None = None,
    ) -> None:
        read = _rule(rule)
        if read.start is not None and read.start.zone is not None:
            timezone = read.start.zone
        zone = zone_of_dates(timezone, start_date, end_date)
        start = _start(read, start_date, zone)
        end = optional_instant(end_date, zone, "end_date")
        policies = as_gap(gap, Gap.AFTER), as_overlap(overlap, Overlap.FIRST)
        self._fill(
            read, start, False, LAST_INSTANT if end is None else end, zone, policies, check_jitter(jitter)
        )
        self._check_fires()

    @property
    def rule(self) -> str:
        """The text of the rule in normal form: one property a line; that of a single RRULE without its name."""
        return self._read.text

    @property
    def start_date(self) -> datetime | None:
        """The start, given or settled by `bind`; None before. It need not be a fire time."""
        if self._start_wall is None:
            return None
        start = optional_instant(self._given_start(), self.timezone, "start_date")
        return None if start is None else from_micros(start, self.timezone)

    @property
    def end_date(self) -> datetime | None:
        return None if self._last == LAST_INSTANT else from_micros(self._last, self.timezone)

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """Without a start: one that starts at *anchor*, or else *now*, rounded up to the whole second. Otherwise itself."""
        if not self._unbound:
            return self
        return self._started_at(to_micros(now if anchor is None else anchor))

    def next_after(self, instant: int) -> int | None:
        if self._plain:
            return super().next_after(instant)
        if self._timeline is None:
            return self._started_at(instant).next_after(instant)
        second = self._timeline.next(max(instant, FIRST_INSTANT - 1) // _SECOND + 1)
        return None if second is None or second * _SECOND > self._end else second * _SECOND

    def previous_before(self, instant: int) -> int | None:
        if self._plain:
            return super().previous_before(instant)
        if self._timeline is None:
            return None
        second = self._timeline.previous((min(instant, self._end + 1) - 1) // _SECOND)
        return None if second is None else second * _SECOND

    def count_between(self, after: int, until: int) -> int:
        if self._unbound:
            return self._started_at(after).count_between(after, until)
        if self._timeline is not None:
            return self._timeline.count(after // _SECOND + 1, min(until, self._end) // _SECOND)
        # Clock changes of years in which it does not fire are not gone through: no zone is as far from UTC as two days.
        after = max(after, (self._wall.begin - _TWO_DAYS) * _SECOND)
        return super().count_between(after, min(until, (self._wall.end + _TWO_DAYS) * _SECOND))

    def silent_from(self, instant: int) -> int:
        if self._plain:
            return super().silent_from(instant)
        if self._timeline is None:
            return self._started_at(instant).silent_from(instant)
        second = -(-instant // _SECOND)
        if not FIRST_INSTANT <= second * _SECOND <= self._end:
            return second * _SECOND
        return min(self._timeline.silent_from(second), self._end // _SECOND + 1) * _SECOND

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """As `CivilTrigger` has it; unbound, as if it started at the previous fire time, or else *now*."""
        if not self._unbound:
            return super().get_next_fire_time(previous_fire_time, now)
        asked = now if previous_fire_time is None else previous_fire_time
        return self.bind(asked, "").get_next_fire_time(previous_fire_time, now)

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        keep: dict[str, Any] = {
            "rule": self.rule,
            "end_date": self.end_date,
            "timezone": self.timezone,
            "gap": self._gap,
            "overlap": self._overlap,
            "jitter": self.jitter,
        }
        args = {**keep, **trigger_args}
        kept = self._kept_start()
        if kept is None or "start_date" in args or _rule(args["rule"]).start is not None:
            return type(self)(**args)
        if self._settled:
            return type(self)(**args)._started(kept)
        return type(self)(**args, start_date=self._given_start())

    def get_state(self) -> dict[str, Any]:
        given = self._start_wall is not None and self._read.start is None
        state = {
            "version": 1,
            "rule": self.rule,
            "start": self._given_start().isoformat() if given else None,
            "settled": self._settled,
            "end": None if self._last == LAST_INSTANT else self._last,
            "timezone": zone_name(self.timezone),
            "jitter": self.jitter,
        }
        if self._second_pass:
            state["second_pass"] = True
        return {**state, **self._unusual_policies()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        read, zone, text = _rule(state["rule"]), state_zone(state), state["start"]
        try:
            start = _start(read, None if text is None else datetime.fromisoformat(text), zone)
        except ValueError as error:
            raise ValueError(f"the state of a rule's trigger is not understood: {error}") from None
        if start is not None and "second_pass" in state:
            start = Start(start.wall, state_flag(state, "second_pass"))
        end = state_instant(state, "end")
        policies = as_gap(state.get("gap"), Gap.AFTER), as_overlap(state.get("overlap"), Overlap.FIRST)
        jitter = check_jitter(state["jitter"])
        settled = state_flag(state, "settled")
        self._fill(read, start, settled, LAST_INSTANT if end is None else end, zone, policies, jitter)

    _wall: DayTimes

    def _fill(
        self,
        read: RuleText,
        start: Start | None,
        settled: bool,
        last: int,
        zone: tzinfo,
        policies: tuple[Gap, Overlap],
        jitter: float | None,
    ) -> None:
        put(self, "_read", read)
        if start is not None and start.second_pass and in_second_pass(start.wall, zone) is None:
            start = Start(start.wall)
        put(self, "_start_wall", None if start is None else start.wall)
        put(self, "_second_pass", start is not None and start.second_pass)
        put(self, "_settled", settled)
        put(self, "_unbound", start is None and bool(read.rules or read.exrules))
        put(self, "_last", last)
        schedule = schedule_of(read.text, Start(0) if start is None else start, zone, *policies)
        first = None if schedule.first is None else schedule.first * _SECOND
        end = last if schedule.last is None else min(last, schedule.last * _SECOND)
        self._set(schedule.wall, first, None if end == LAST_INSTANT else end, zone, *policies, jitter)
        put(self, "_timeline", None if self._unbound else schedule.timeline)
        put(self, "_plain", not self._unbound and self._timeline is None)
        if self._timeline is not None:
            put(self, "_open", False)  # wall times are not all that matters on any day

    def _kept_start(self) -> Start | None:
        return None if self._start_wall is None else Start(self._start_wall, self._second_pass)

    def _given_start(self) -> datetime:
        """The start as a wall time, of which there must be one."""
        return (_EPOCH + timedelta(seconds=self._start_wall or 0)).replace(fold=self._second_pass)

    def _check_fires(self) -> None:
        """Raise ValueError if there is no fire time at all; without a start, if there would be none from any start."""
        text, read, wall = " ".join(self.rule.splitlines()), self._read, self._wall
        if self._unbound:
            if not read.rdates and not any(_ever(parts) for parts in read.rules):
                raise ValueError(f"rule: no date ever matches {text!r}: it would never fire")
            return
        first = FIRST_INSTANT // _SECOND if self._timeline is not None else wall.next(wall.begin)
        if first is None:
            raise ValueError(
                f"rule: no time ever matches {text!r}, counted from its start: it would never fire"
            )
        if self._open and self._gap is not Gap.SKIP:
            return
        if self.next_after((first - _TWO_DAYS) * _SECOND) is None:
            raise ValueError(
                f"no time ever comes of {text!r}: all of its times are after the end ({self.end_date or 'UNTIL'}), excluded, or skipped by the clock "
                f"of {zone_name(self.timezone)}"
            )

    def _started_at(self, instant: int) -> Self:
        """This trigger with a settled start: the first whole second not before *instant*."""
        second = -(-instant // _SECOND)
        span = offsets_of(self.timezone).at(second)
        return self._started(Start(second + span.offset, span.before > span.offset and second < span.calm))

    def _started(self, start: Start) -> Self:
        started = object.__new__(type(self))
        policies = self._gap, self._overlap
        started._fill(self._read, start, True, self._last, self.timezone, policies, self.jitter)
        keep_own_attributes(self, started)
        return started

    def _identity(self) -> tuple[object, ...]:
        start = None if self._settled else self._kept_start()
        zone = zone_name(self.timezone)
        return (self.rule, start, self._last, zone, self.jitter, self._gap, self._overlap)

    def __str__(self) -> str:
        return f"rrule[{' '.join(self.rule.splitlines())}]"

    def __repr__(self) -> str:
        parts = [f"rule={self.rule!r}"]
        if self.start_date is not None and self._read.start is None:
            parts.append(f"start_date='{format_instant(to_micros(self.start_date), self.timezone)}'")
        if self._last != LAST_INSTANT:
            parts.append(f"end_date='{format_instant(self._last, self.timezone)}'")
        return f"<{type(self).__name__} ({', '.join(parts + self._shown_options())})>"


def _rule(text: str) -> RuleText:
    if not isinstance(text, str):
        raise TypeError(f"rule: expected a text such as 'FREQ=DAILY;BYHOUR=9', got {text!r}")
    return read_rule(text)


def _start(read: RuleText, start_date: datetime | date | str | None, zone: tzinfo) -> Start | None:
    """When the rules of the text start in *zone*; None if nothing says so."""
    given = None
    if start_date is not None:
        try:
            moment = parse_date(start_date, zone)
            # What is in the zone already stays as it was written, even if the clock skips that time.
            moment = moment if moment.tzinfo is zone else moment.astimezone(zone)
        except (TypeError, ValueError) as error:
            raise type(error)(f"start_date: {error}") from None
        except OverflowError:
            raise ValueError(
                f"start_date: {start_date} is beyond the calendar in {zone_name(zone)}"
            ) from None
        wall = to_wall(moment)
        given = Start(wall, moment.fold == 1 and in_second_pass(wall, zone) is not None)
    if read.start is None:
        return given
    if given is not None and given != Start(read.start.wall):
        raise ValueError(
            f"start_date: got {start_date}, and the rule has a DTSTART, {_EPOCH + timedelta(seconds=read.start.wall)}: give one of the two"
        )
    return Start(read.start.wall)


@lru_cache(maxsize=256)
def _ever(parts: Parts) -> bool:
    """Whether a rule has any time, from whatever start. Intervals are left out: they depend on the start."""
    rule = Rule(replace(parts, interval=1, count=None), 0, None)
    return rule.next(rule.begin) is not None
