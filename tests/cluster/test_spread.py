"""Two and four scheduler processes on one store: each due run runs exactly once, and the work is spread."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.jobs import work
from tests.cluster.processes import Place, wait_until
from tests.cluster.stores import KINDS

ONE_OFFS = 3_000
INTERVALS = 20
FIRES = 8
ALWAYS: dict[str, Any] = {"misfire_grace_time": None, "coalesce": False, "max_instances": 100}


def add_one_offs(place: Place) -> set[str]:
    """Jobs that are due now."""
    ids = [f"once-{number}" for number in range(ONE_OFFS)]
    with place.office() as office:
        office.add_jobs(
            {"func": work, "args": [str(place.lines), job_id], "id": job_id, **ALWAYS} for job_id in ids
        )
    return {*ids}


def add_intervals(place: Place) -> dict[str, list[int]]:
    """Jobs that are due each second, beginning when all of them have been added; when, in microseconds since the epoch."""
    # Those that are added after the start would miss its first fire time, and a busy machine takes more than a second for them.
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    times = [start + timedelta(seconds=second) for second in range(FIRES)]
    instants = [round(time.timestamp()) * 1_000_000 for time in times]
    ids = [f"tick-{number}" for number in range(INTERVALS)]
    with place.office() as office:
        for job_id in ids:
            arguments: dict[str, Any] = {"args": [str(place.lines), job_id], "id": job_id, **ALWAYS}
            office.add_job(work, "interval", seconds=1, start_date=start, end_date=times[-1], **arguments)
    return dict.fromkeys(ids, instants)


@pytest.mark.parametrize(
    ("place", "number"), [("sqlite", 2), *((kind, 4) for kind in KINDS)], indirect=["place"]
)
def test_each_due_run_runs_exactly_once_and_the_work_is_spread(place: Place, number: int) -> None:
    hear = ["started", "executed", "missed", "skipped", "error", "removed", "lost", "parked"]
    processes = [place.start(hear, claim_window=1_000, paused=True) for _ in range(number)]
    for process in processes:
        process.wait_for("started")
    one_offs = add_one_offs(place)
    intervals = add_intervals(place)
    jobs = one_offs | intervals.keys()
    for process in processes:
        process.tell("resume")
    wait_until(
        processes, lambda: sum(process.count["removed"] for process in processes) == len(jobs), "all jobs"
    )
    assert [process.end() for process in processes] == [0] * number

    said = [message for process in processes for message in process.said]
    assert {message[0] for message in said} == {"started", "executed", "removed"}
    expected = dict.fromkeys(one_offs, 1) | dict.fromkeys(intervals, FIRES)
    assert place.ran() == expected, "each due run has left one line"
    for job_id, instants in intervals.items():
        times = [
            int(time) for word, name, *more in said if word == "executed" and name == job_id for time in more
        ]
        assert sorted(times) == instants, "one run for each due time"

    shares = place.ran_by_process()
    print(f"shares: {sorted(shares.values())}")
    share = sum(expected.values()) / number
    assert all(shares[process.pid] >= share / 2 for process in processes), f"of {share} each: {shares}"
