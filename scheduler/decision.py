"""`decide`: which runs of a job are due, which of them are started, and when the job is next. No clock, no store, no lock, no log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from random import Random
from typing import Final, cast

from ..jobstores.errors import as_reason, ends_program
from ..jobstores.job import Job
from ..jobstores.record import Decision, Due, ParkedReason, Plan, Record, Run
from ..triggers import BaseTrigger, calls_user_code
from ..triggers.base import InstantTrigger
from ..triggers.instants import from_micros, to_micros

MAX_FIRE_TIMES: Final = 1_000
"""At most so many fire times go into one claim; the rest of an uncoalesced backlog waits for that run to end."""

MAX_STEPS: Final = 10_000
"""A user's trigger is asked at most so often in one decision: it can only be walked, one fire time after the other."""


_BEGINNING: Final = -(1 << 62)
"""An instant before all dates: a one-off's fire time is its first one, past or not."""


class TriggerError(ValueError):
    """A trigger answered something that is no fire time."""


def decide(record: Record, job: Job, now: int, random: Random, due: Due | None = None) -> Decision:
    """What is to be done with a record at `now` (µs UTC): a pure function, apart from the random numbers it draws.

    In this order: waiting runs that are due, oldest first, while `max_instances` leaves room; then the schedule, if the job is active
    and its next run time has come: the fire times up to and including `now`, of which `coalesce` keeps the last. Without room they are
    skipped, or the last one waits (`while_running`). `due` is what `due_times` said before, where the trigger must not be asked here. Never raises: a trigger that
    fails parks the job, after the run that was due.
    """
    runs = record.runs
    room = job.max_instances
    starts = 0
    if runs:
        room -= sum(run.state == "claimed" for run in runs)
        runs, starts = _waiting_runs(record, job, now, room, random)
        room -= starts
    next_run_time = record.next_run_time
    if record.state != "active" or next_run_time is None or next_run_time > now or (runs and _is_held(runs)):
        return Decision(next_run_time, record.fire_time, record.state, runs, starts, (), record.reason)

    if due is None:
        first = next_run_time if record.fire_time is None else record.fire_time
        kept, plan, more = _outlook(job, first, now, random)
    else:
        first, kept, plan, more = due.fire_time, due.kept, due.plan, due.more
    # The first time of the list is dispatched when jitter (or the user) said, unless coalescing has moved on from it.
    at = next_run_time if kept[0] == first else kept[0]
    if room <= 0:
        skipped: tuple[int, ...] = (at, *kept[1:])
        if job.while_running == "queue":
            runs, skipped = _queued(runs, kept[-1], skipped, random)
        return Decision(plan.next_run_time, plan.fire_time, plan.state, runs, starts, skipped, plan.reason)
    run = Run(
        random.getrandbits(63),
        "schedule",
        kept,
        at,
        "claimed",
        1,
        0,
        False,
        None,
        None,
        None,
        job.recovery,
        job.max_recoveries,
        more,
        None,
        0,
        job._policy.keeps,
    )
    return Decision(plan.next_run_time, plan.fire_time, plan.state, (*runs, run), starts + 1, (), plan.reason)


def due_times(record: Record, job: Job, now: int, random: Random) -> Due:
    """What the job's trigger says of a record whose next run time has come. Calls the trigger; never raises."""
    fire_time = record.fire_time if record.fire_time is not None else record.next_run_time
    assert fire_time is not None  # its next run time has come
    return Due(fire_time, *_outlook(job, fire_time, now, random))


def _outlook(job: Job, fire_time: int, now: int, random: Random) -> tuple[tuple[int, ...], Plan, bool]:
    """The due fire times that are kept, the schedule behind them, and whether more are due there."""
    kept: tuple[int, ...] = (fire_time,)
    try:
        kept, following = _kept_times(job.trigger, fire_time, now, job.coalesce)
        more = following is not None and following <= now and not job.coalesce
        return kept, next_plan(job.trigger, following, random), more
    except BaseException as exc:  # a user's trigger may raise anything
        if ends_program(exc):
            raise
        return kept, Plan(None, fire_time, "parked", trigger_failure(exc)), False


def _is_held(runs: tuple[Run, ...]) -> bool:
    """Whether the rest of a backlog waits for a batch that is open: it is due, and no overlap that must be skipped."""
    return any(run.more and run.state != "lost" for run in runs)


def _waiting_runs(
    record: Record, job: Job, now: int, room: int, random: Random
) -> tuple[tuple[Run, ...], int]:
    """The runs with those waiting ones claimed that are due and have room; those that have none are marked blocked."""
    starts = 0
    after = list(record.runs)
    waiting = [place for place, run in enumerate(after) if run.state == "waiting" and run.due <= now]
    for place in sorted(waiting, key=lambda place: after[place].due):
        run = after[place]
        held = record.state == "importing" or (record.state == "paused" and run.kind != "now")
        fits = starts < room and not held
        if not fits and run.blocked:
            continue
        after[place] = Run(
            random.getrandbits(63) if fits else run.run,
            run.kind,
            run.fire_times,
            run.due,
            "claimed" if fits else "waiting",
            run.attempt,
            run.recovered,
            not fits,
            None,
            None,
            None,
            job.recovery if fits else run.recovery,
            job.max_recoveries if fits else run.max_recoveries,
            run.more,
            run.incarnation,
            run.retried,
            fits and job._policy.leaves_behind(run.retried),
            run.run_id if fits else run.root,
            None,
            run.extra,
        )
        starts += fits
    return tuple(after), starts


def _queued(
    runs: tuple[Run, ...], fire_time: int, run_times: tuple[int, ...], random: Random
) -> tuple[tuple[Run, ...], tuple[int, ...]]:
    """The runs with one that waits for room, once for all the fire times that found none; and the run times given up for it.

    It is run for the last of them, as with `coalesce`. One that waits already moves on to the new time.
    """
    *skipped, due = run_times
    for place, run in enumerate(runs):
        if run.kind == "queued" and run.state == "waiting" and run.incarnation is None:
            later = replace(run, fire_times=(fire_time,), due=due)
            return (*runs[:place], later, *runs[place + 1 :]), (*run.fire_times, *skipped)
    queued = Run(random.getrandbits(63), "queued", (fire_time,), due, "waiting", blocked=True)
    return (*runs, queued), tuple(skipped)


def _kept_times(
    trigger: BaseTrigger, fire_time: int, now: int, coalesce: bool
) -> tuple[tuple[int, ...], int | None]:
    """The fire times from `fire_time` to `now`, inclusive, that are kept, and the first one behind them."""
    if calls_user_code(trigger):
        return _walked_times(trigger, fire_time, now, coalesce)
    trigger = cast(InstantTrigger, trigger)  # all of ours are; isinstance() of an abstract class is slow
    if trigger.one_off:
        return (fire_time,), None
    following = trigger.next_after(fire_time)
    if following is None or following > now:
        return (fire_time,), following
    if coalesce:
        # However long the backlog, it is not listed: its last time is asked for.
        last = trigger.previous_before(now + 1)
        assert last is not None  # `following` is one
        return (last,), trigger.next_after(last)
    times = [fire_time]
    while following is not None and following <= now and len(times) < MAX_FIRE_TIMES:
        times.append(following)
        following = trigger.next_after(following)
    return tuple(times), following


def _walked_times(
    trigger: BaseTrigger, fire_time: int, now: int, coalesce: bool
) -> tuple[tuple[int, ...], int | None]:
    """The same for a trigger of a user's, which knows only its next fire time after a previous one."""
    times = [fire_time]
    following = following_time(trigger, fire_time, now)
    for _ in range(MAX_STEPS):
        if following is None or following > now or (not coalesce and len(times) >= MAX_FIRE_TIMES):
            break
        if coalesce:
            times[0] = following
        else:
            times.append(following)
        following = following_time(trigger, following, now)
    return tuple(times), following


def following_time(trigger: BaseTrigger, previous: int | None, now: int) -> int | None:
    """The trigger's fire time after `previous`; its first one if that is None. Raises TriggerError if the answer is none."""
    if not calls_user_code(trigger):
        trigger = cast(InstantTrigger, trigger)
        if previous is None:
            previous = _BEGINNING if trigger.one_off else now - 1
        return trigger.next_after(previous)
    zone = getattr(trigger, "timezone", None)
    # A user's trigger may keep anything by that name: the name of a zone, say.
    if not isinstance(zone, tzinfo):
        zone = UTC
    answer = trigger.get_next_fire_time(
        None if previous is None else from_micros(previous, zone), from_micros(now, zone)
    )
    if answer is None:
        return None
    if not isinstance(answer, datetime) or answer.tzinfo is None:
        raise TriggerError(
            f"{type(trigger).__name__}.get_next_fire_time() must return None or a datetime with a timezone, got {answer!r}"
        )
    following = to_micros(answer)
    if previous is not None and following <= previous:
        raise TriggerError(
            f"{type(trigger).__name__}.get_next_fire_time() must return a time later than the previous fire time, got {answer} "
            f"after {from_micros(previous, zone)}"
        )
    return following


def next_plan(trigger: BaseTrigger, fire_time: int | None, random: Random) -> Plan:
    """The schedule when `fire_time` is the next one: the dispatch with its jitter; the end of the job if there is none."""
    if fire_time is None:
        return Plan(None, None, "ended")
    return Plan(dispatch_time(trigger, fire_time, random) if trigger.jitter else fire_time, fire_time)


def dispatch_time(trigger: BaseTrigger, fire_time: int, random: Random) -> int:
    """When a fire time is dispatched: 0 to `jitter` seconds later, and before the trigger's next fire time.

    The grid stays exact: only the dispatch moves. (APScheduler 3.11 adds 0 to `jitter` seconds, too.)
    """
    jitter = trigger.jitter
    if not jitter:
        return fire_time
    delay = int(random.random() * jitter * 1_000_000)
    following = None if getattr(trigger, "one_off", False) else following_time(trigger, fire_time, fire_time)
    if following is not None:
        delay = min(delay, following - fire_time - 1)
    return fire_time + delay


def trigger_failure(exc: BaseException) -> str:
    """The reason of a job that is parked because its trigger failed."""
    return f"{ParkedReason.TRIGGER}: {as_reason(exc)}"
