"""Somebody holds the database's write lock for longer than leases last: what goes on is not taken for dead by those who only read."""

from threading import Event
from time import monotonic

import pytest
from mainspring.jobstores.transitions import RECOVERY_MARGIN

from tests.cluster.jobs import hold
from tests.cluster.processes import TIMEOUT, Place, wait_until

LEASE = 1.0  # seconds


# Where it takes one client only that does not go on: servers lock rows, and give up waiting.
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_runs_that_go_on_outlive_a_time_in_which_nobody_can_write(place: Place, recovery: str) -> None:
    place.close_gate()
    jobs = {f"job-{number}" for number in range(3)}
    with place.office() as office:
        for job_id in jobs:
            arguments = [str(place.lines), job_id, str(place.gate)]
            office.add_job(hold, args=arguments, id=job_id, misfire_grace_time=None, recovery=recovery)
    busy = place.start(["removed", "found"], lease=LEASE)
    busy.wait_for("ran", len(jobs))
    # Several, since it is a race: whoever comes first when the lock is free.
    idle = [place.start(["started", "removed", "lost"], lease=LEASE) for _ in range(3)]
    for process in idle:
        process.wait_for("started")

    with place.store.at_rest():
        # Until those find that the leases are over, and would account for the runs as soon as they can write.
        Event().wait(LEASE + RECOVERY_MARGIN / 1_000_000 + 3)
        left = place.records()
    deadline = monotonic() + TIMEOUT
    while any(record in left for record in place.records()):  # until somebody has written something of each
        assert monotonic() < deadline, "nobody has extended the leases"
    place.open_gate()
    processes = [busy, *idle]
    wait_until(
        processes,
        lambda: sum(each.count["removed"] for each in processes) == len(jobs),
        "the ends of the runs",
    )
    assert [process.end() for process in processes] == [0, 0, 0, 0]

    assert place.ran() == dict.fromkeys(jobs, 1)
    assert busy.count["found"] == 0
    assert not any(process.count["lost"] for process in idle)
