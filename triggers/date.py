"""`DateTrigger`: once, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Any, ClassVar, Self

from .base import (
    InstantTrigger,
    check_arguments,
    check_version,
    keep_own_attributes,
    put,
    state_flag,
    state_instant,
    state_zone,
)
from .instants import (
    FIRST_INSTANT,
    LAST_INSTANT,
    exact_instant,
    format_instant,
    from_micros,
    to_micros,
    zone_name,
    zone_of_dates,
)

__all__ = ["DateTrigger"]


class DateTrigger(InstantTrigger):
    """Fires once, at *run_date*; without one, at the moment at which its job is added (settled by `bind`).

    *run_date* is a datetime, a date or text (see `parse_date`); *timezone* is the zone of one that names none, and in which the fire time
    is given: by default that of *run_date*, else the local one. A run date that has passed is still a fire time: the job is overdue.
    """

    __slots__ = ("_run", "_settled", "timezone")

    one_off: ClassVar[bool] = True

    argument_names: ClassVar[frozenset[str]] = frozenset({"run_date", "timezone"})

    _run: int | None
    _settled: bool
    timezone: tzinfo

    def __init__(
        self, run_date: datetime | date | str | None = None, timezone: tzinfo | str | None = None
    ) -> None:
        zone = zone_of_dates(timezone, run_date)
        put(self, "timezone", zone)
        put(self, "_run", None if run_date is None else exact_instant(run_date, zone, "run_date"))
        put(self, "_settled", False)

    @property
    def run_date(self) -> datetime | None:
        """The fire time; None as long as "now" is not settled."""
        return None if self._run is None else from_micros(self._run, self.timezone)

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """Without a run date: one that fires at *anchor*, or else *now*. Otherwise itself."""
        if self._run is not None:
            return self
        bound = self.from_state(self.get_state())
        keep_own_attributes(self, bound)
        run = to_micros(now if anchor is None else anchor)
        put(bound, "_run", min(max(run, FIRST_INSTANT), LAST_INSTANT))
        put(bound, "_settled", True)
        return bound

    def next_after(self, instant: int) -> int | None:
        run = self._run
        return run if run is not None and run > instant else None

    def previous_before(self, instant: int) -> int | None:
        run = self._run
        return run if run is not None and run < instant else None

    def count_between(self, after: int, until: int) -> int:
        run = self._run
        return 1 if run is not None and after < run <= until else 0

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The run date, even one that has passed, unless *previous_fire_time* is not before it."""
        if previous_fire_time is not None:
            return super().get_next_fire_time(previous_fire_time, now)
        return from_micros(to_micros(now) if self._run is None else self._run, self.timezone)

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        changed = type(self)(**{"timezone": self.timezone, **trigger_args})
        if "run_date" not in trigger_args:
            put(changed, "_run", self._run)
            put(changed, "_settled", self._settled)
        return changed

    def get_state(self) -> dict[str, Any]:
        return {
            "version": 1,
            "run_date": self._run,
            "settled": self._settled,
            "timezone": zone_name(self.timezone),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        put(self, "_run", state_instant(state, "run_date"))
        put(self, "_settled", state_flag(state, "settled"))
        put(self, "timezone", state_zone(state))

    def _identity(self) -> tuple[object, ...]:
        return (None if self._settled else self._run, zone_name(self.timezone))

    def __str__(self) -> str:
        return f"date[{self._shown()}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (run_date='{self._shown()}')>"

    def _shown(self) -> str:
        return "now" if self._run is None else format_instant(self._run, self.timezone)
