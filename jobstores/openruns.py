"""The open runs of a record as compact JSON text: how stores that keep text write them, and read them back."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, get_args

from ..triggers.instants import FIRST_INSTANT, LAST_INSTANT
from .record import Recovery, Run, RunKind, RunState

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode
_quoted = lru_cache(maxsize=64)(_encode)  # owners: a few for each scheduler that shares the store

_DEFAULTS = {
    "state": "claimed",
    "attempt": 1,
    "recovered": 0,
    "blocked": False,
    "owner": None,
    "lease_until": None,
    "claimed_at": None,
    "recovery": "skip",
    "max_recoveries": 3,
    "more": False,
    "incarnation": None,
    "retried": 0,
    "keeps": False,
    "root": None,
    "retry_at": None,
}
"""What is left out where it is the default; and `due`, where it is the first of the fire times."""

_KINDS: Final = frozenset(get_args(RunKind))
_STATES: Final = frozenset(get_args(RunState))
_RECOVERIES: Final = frozenset(get_args(Recovery))
_MOST: Final = 2**63 - 1
_LONGEST: Final = 4 << 20
"""Characters: some ten thousand open runs. A longer text is none of this library's, and would be read again and again."""
_MOST_FIRE_TIMES: Final = 1_000
"""So many fire times go into one claim (`scheduler.decision.MAX_FIRE_TIMES`)."""


def dump_runs(runs: tuple[Run, ...]) -> str | None:
    """The runs as JSON; None if there are none."""
    if not runs:
        return None
    if len(runs) == 1 and (text := _claimed_run(runs[0])) is not None:
        return text
    return _encode([_entry(run) for run in runs])


def load_runs(text: str | None) -> tuple[Run, ...]:
    """The runs of a text that `dump_runs` made. Raises ValueError for anything else: whoever can write to the store may have written it."""
    if text is None or text == "":
        return ()
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"these are no open runs: {len(text):,} characters")
        entries = _decode(text)
        if type(entries) is not list:
            raise ValueError(f"these are no open runs: {text[:200]!r}")
        runs = tuple([_run(entry) for entry in entries])
        for run in runs:
            if not _is_sound(run):
                raise ValueError(f"this is no open run: {str(run)[:200]}")
        return runs
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"these are no open runs: {text[:200]!r}") from error


def _is_sound(run: Run) -> bool:
    """Whether each field is of its kind, and a number that can be reckoned with."""
    times, due = run.fire_times, run.due
    owner, lease_until, claimed_at = run.owner, run.lease_until, run.claimed_at
    incarnation, root, retry_at = run.incarnation, run.root, run.retry_at
    return (
        run.kind in _KINDS
        and run.state in _STATES
        and run.recovery in _RECOVERIES
        and type(due) is int
        and FIRST_INSTANT <= due <= LAST_INSTANT
        and 0 < len(times) <= _MOST_FIRE_TIMES
        and all(type(time) is int and FIRST_INSTANT <= time <= LAST_INSTANT for time in times)
        and (owner is None or type(owner) is str)
        and (
            lease_until is None or (type(lease_until) is int and FIRST_INSTANT <= lease_until <= LAST_INSTANT)
        )
        and (claimed_at is None or (type(claimed_at) is int and FIRST_INSTANT <= claimed_at <= LAST_INSTANT))
        and (retry_at is None or (type(retry_at) is int and FIRST_INSTANT <= retry_at <= LAST_INSTANT))
        and (incarnation is None or type(incarnation) is int)
        and (root is None or (type(root) is int and 0 <= root <= _MOST))
        and type(run.run) is int
        and 0 <= run.run <= _MOST
        and type(run.attempt) is int
        and 0 <= run.attempt <= _MOST
        and type(run.recovered) is int
        and 0 <= run.recovered <= _MOST
        and type(run.retried) is int
        and 0 <= run.retried <= _MOST
        and type(run.max_recoveries) is int
        and run.max_recoveries >= 0
        and type(run.blocked) is bool
        and type(run.more) is bool
        and type(run.keeps) is bool
    )


def _claimed_run(run: Run) -> str | None:
    """The text of the one claimed run that nearly every record with open runs has; None if it is anything else.

    Written straight out, since building a dict for the encoder costs four times as much, on the way of every single run.
    """
    if (
        run.state != "claimed"
        or len(run.fire_times) != 1
        or run.owner is None
        or run.lease_until is None
        or run.claimed_at is None
        or run.attempt != 1
        or run.recovered
        or run.blocked
        or run.more
        or run.incarnation is not None
        or run.root is not None
        or run.retry_at is not None
        or run.extra
    ):
        return None
    time = run.fire_times[0]
    options = "" if run.due == time else f',"due":{run.due}'
    if run.recovery != "skip":
        options += f',"recovery":"{run.recovery}"'
    if run.max_recoveries != 3:
        options += f',"max_recoveries":{run.max_recoveries}'
    if run.keeps:
        options += ',"keeps":true'
    return (
        f'[{{"run":{run.run},"kind":"{run.kind}","fire_times":[{time}],"owner":{_quoted(run.owner)},'
        f'"lease_until":{run.lease_until},"claimed_at":{run.claimed_at}{options}}}]'
    )


def _entry(run: Run) -> dict[str, Any]:
    entry: dict[str, Any] = {"run": run.run, "kind": run.kind, "fire_times": run.fire_times}
    if run.fire_times[:1] != (run.due,):
        entry["due"] = run.due
    for name, default in _DEFAULTS.items():
        value = getattr(run, name)
        if value != default:
            entry[name] = value
    # What a later version wrote goes back as it came.
    entry.update(run.extra)
    return entry


def _run(entry: dict[str, Any]) -> Run:
    take = entry.pop
    fire_times = tuple(take("fire_times"))
    return Run(
        take("run"),
        take("kind"),
        fire_times,
        take("due") if "due" in entry else fire_times[0],
        take("state", "claimed"),
        take("attempt", 1),
        take("recovered", 0),
        take("blocked", False),
        take("owner", None),
        take("lease_until", None),
        take("claimed_at", None),
        take("recovery", "skip"),
        take("max_recoveries", 3),
        take("more", False),
        take("incarnation", None),
        take("retried", 0),
        take("keeps", False),
        take("root", None),
        take("retry_at", None),
        tuple(entry.items()),
    )
