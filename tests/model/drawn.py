"""What the machine draws at random: jobs, their options, edits, and times; and how it gives them to the real scheduler."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.model import held
from tests.model.plain_jobs import Definition, Pending
from tests.model.plain_triggers import SECOND, PlainCron, PlainDate, PlainInterval, moment

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND

ids = st.sampled_from(["a", "b", "c"])
known_ids = st.runner().flatmap(lambda machine: st.sampled_from(sorted(machine.known_ids()) * 4 + ["a"]))
"""Mostly of jobs that there are."""
offsets = st.sampled_from([-3 * HOUR, -HOUR - 1, -5 * MINUTE, -1, 0, SECOND, 5 * MINUTE, HOUR, 3 * HOUR])
"""Times that a user gives, from now."""

passing = st.one_of(
    st.sampled_from([0, 10_000, 20_000, SECOND, MINUTE, 2 * MINUTE, HOUR]),
    st.integers(0, 4 * HOUR // SECOND).map(SECOND.__mul__),
)
"""How long time passes while jobs run."""

crons = st.sampled_from(
    [
        PlainCron(None, None, (0, 30)),
        PlainCron(None, (6, 18), (15,)),
        PlainCron((0, 2, 4), (9, 10, 11), (0, 20)),
        PlainCron((6,), None, (59,)),
    ]
)


triggers = st.one_of(
    st.builds(PlainDate, st.none() | offsets),
    st.builds(
        PlainInterval,
        step=st.sampled_from([MINUTE, 5 * MINUTE, 7 * MINUTE + 500_000, HOUR, 25 * HOUR]),
        start=st.none() | offsets,
        end=st.sampled_from([None, None, 0, 30 * MINUTE, 6 * HOUR]),
    ).filter(lambda plain: plain.start is None or plain.end is None or plain.start <= plain.end),
    crons,
)


failing = st.sampled_from([0, 0, 1, 2, 99])
"""How many attempts of each run fail."""

definitions = st.builds(
    Definition,
    tag=st.integers(0, 999),
    fails=failing,
    executor=st.sampled_from(["default", "held"]),
    grace=st.sampled_from([None, 1, 60, 120, 7200.5]),
    coalesce=st.booleans(),
    max_instances=st.integers(1, 2),
    max_retries=st.sampled_from([0, 1, 2]),
    retry_delay=st.sampled_from([0, 1, 90, 1800]),
    backoff=st.sampled_from([1, 3]),
    keep_failed=st.booleans(),
    while_running=st.sampled_from(["skip", "queue"]),
)


news = st.builds(
    Pending,
    id=ids,
    definition=definitions,
    trigger=triggers,
    next=st.just("first") | st.just("first") | st.none() | offsets,
    replace=st.booleans(),
)

edits = st.one_of(
    st.tuples(
        st.just("modify"),
        st.one_of(
            st.fixed_dictionaries({"tag": st.integers(0, 999), "fails": failing}),
            st.fixed_dictionaries({"executor": st.sampled_from(["default", "held"])}),
            st.fixed_dictionaries({"grace": st.sampled_from([None, 1, 60]), "coalesce": st.booleans()}),
            st.fixed_dictionaries({"max_instances": st.integers(1, 3)}),
            st.fixed_dictionaries({"max_retries": st.integers(0, 2), "keep_failed": st.booleans()}),
            st.fixed_dictionaries({"while_running": st.sampled_from(["skip", "queue"])}),
        ),
    ),
    st.tuples(st.sampled_from(["set_trigger", "reschedule"]), triggers),
    st.tuples(st.just("modify_interval"), st.sampled_from([MINUTE, 90 * SECOND, HOUR])),
    st.tuples(st.just("set_next_run_time"), offsets),
    st.tuples(st.sampled_from(["pause", "resume", "remove"])),
    st.tuples(st.just("resume")),
    st.tuples(st.just("run_now")),
)
"""A method of the machine, and what it takes beside the job's id."""


def job_options(job_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Parts of a definition as `add_job` and `modify_job` take them."""
    options = dict(values)
    if "tag" in options:
        options["args"] = [job_id, options.pop("tag"), options.pop("fails")]
    if "grace" in options:
        options["misfire_grace_time"] = options.pop("grace")
    return options


def add_options(new: Pending) -> dict[str, Any]:
    """A job as `add_job` and `add_jobs` take it."""
    options = {
        "func": held.work,
        "trigger": new.trigger.real(),
        "id": new.id,
        "replace_existing": new.replace,
        **job_options(new.id, vars(new.definition)),
    }
    if new.next != "first":
        options["next_run_time"] = moment(new.next) if isinstance(new.next, int) else None
    return options
