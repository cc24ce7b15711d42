"""What becomes of a job's schedule when somebody adds, pauses, resumes or reschedules it: pure functions that answer a `Plan`.

They ask triggers, which may be a user's, and so are called outside of every lock and transaction.
"""

from __future__ import annotations

from random import Random
from typing import Final

from ..jobstores.record import SCHEDULE_OVER, ParkedReason, Plan, Record
from ..triggers import BaseTrigger
from .decision import dispatch_time, following_time


class Undefined:
    """The type of `undefined`, which stands for an argument that was not given where None means something."""

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


undefined: Final = Undefined()


def added(
    trigger: BaseTrigger, now: int, random: Random, next_run_time: int | Undefined | None = undefined
) -> Plan:
    """The schedule of a new job, or of one that gets another trigger. `trigger` is bound.

    With `next_run_time` given, that is the first fire time; None adds the job paused. A job whose trigger has no fire time left
    looks paused, too.
    """
    if isinstance(next_run_time, int):
        return Plan(next_run_time, next_run_time)
    first = following_time(trigger, None, now)
    if next_run_time is None or first is None:
        return Plan(None, first, "paused")
    return Plan(dispatch_time(trigger, first, random), first)


def rescheduled(record: Record, trigger: BaseTrigger, now: int, random: Random) -> Plan:
    """The schedule of a job that gets another trigger: from now on, and behind the fire times of its runs that go on or wait.

    So a job that reschedules itself is not run again for the very moment at which it runs, in whichever attempt.
    """
    plan = added(trigger, now, random)
    latest = max(
        (run.fire_times[-1] for run in record.runs if run.kind != "now" and run.state != "lost"),
        default=None,
    )
    if (
        latest is None
        or plan.fire_time is None
        or plan.fire_time > latest
        or getattr(trigger, "one_off", False)
    ):
        return plan
    following = following_time(trigger, latest, now)
    if following is None:
        return Plan(None, None, "paused")
    return Plan(dispatch_time(trigger, following, random), following)


def paused(record: Record) -> Plan | None:
    """Paused, keeping the fire time. None: nothing changes (a parked job is not running anyway, and stays parked).

    A job whose schedule is over, and which is there for a retry, say, is held with that, and has nothing beside it to resume.
    """
    if record.state in ("paused", "parked"):
        return None
    return Plan(None, record.fire_time, "paused", SCHEDULE_OVER if record.state == "ended" else None)


def with_other_trigger(record: Record, trigger: BaseTrigger, now: int, pause: bool) -> Plan | None:
    """Another trigger that is to leave the next run time. None: it stays as it is.

    A paused job (or one that the same edit pauses) has none: it keeps a fire time, which has to be the new trigger's when it is resumed.
    """
    if record.state == "parked" or (record.state != "paused" and not pause):
        return None
    return Plan(None, following_time(trigger, None, now), "paused")


def resumed(record: Record, trigger: BaseTrigger, now: int, random: Random) -> Plan | None:
    """The first fire time that is not before the later of now and the kept one, so that nothing runs twice. None: nothing changes.

    A one-off keeps its time, past or not, unless that run is over. A parked job needs a fire time strictly later than the one that failed or was lost, and stays
    parked without. A paused job that has no further fire time ends.
    """
    if record.state in ("active", "ended"):
        return None
    if record.reason == SCHEDULE_OVER:
        return Plan(None, None, "ended")
    kept, one_off = record.fire_time, getattr(trigger, "one_off", False)
    if record.state == "parked":
        # A one-off's time may still be ahead, or have passed since, when another run of it (run-now) was what failed. Not where it was parked
        # because its schedule was over, though that run may have been asked for before the one-off's time.
        was_over = (record.reason or "").startswith((ParkedReason.LOST, ParkedReason.FAILED))
        previous = now - 1 if kept is None else kept if one_off and not was_over else max(now - 1, kept)
        following = following_time(trigger, previous, now)
        return None if following is None else Plan(dispatch_time(trigger, following, random), following)
    if kept is not None and (kept >= now or one_off):
        following = kept
    else:
        following = following_time(trigger, None, now)
    if following is None:
        return Plan(None, None, "ended")
    return Plan(dispatch_time(trigger, following, random), following)


def moved(record: Record, next_run_time: int | None) -> Plan | None:
    """`next_run_time` set by a user: that is the next fire time, whatever the trigger's grid says. None pauses the job."""
    return paused(record) if next_run_time is None else Plan(next_run_time, next_run_time)
