"""A process that is killed: another one of the same host accounts for its runs at once, and a job that kills its process is given up."""

import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.jobs import die, hold
from tests.cluster.processes import Place, wait_until

WORKERS = 2
LEASE = 600.0  # seconds: nobody here waits for that
MAX_RECOVERIES = 3


@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_the_runs_of_a_dead_process_are_recovered_long_before_their_leases_end(
    place: Place, recovery: str
) -> None:
    place.close_gate()
    jobs = {f"job-{number}" for number in range(4)}
    with place.office() as office:
        for job_id in jobs:
            arguments = [str(place.lines), job_id, str(place.gate)]
            office.add_job(hold, args=arguments, id=job_id, misfire_grace_time=None, recovery=recovery)
    survivor = place.start(["started", "removed", "lost", "parked"], lease=LEASE, paused=True)
    survivor.wait_for("started")
    victim = place.start(["submitted"], workers=WORKERS, lease=LEASE)
    victim.wait_for("ran", WORKERS)
    victim.wait_for("submitted", WORKERS + 1)
    victim.kill()
    claimed = place.claimed()
    place.open_gate()
    survivor.tell("resume")
    wait_until(
        [survivor],
        lambda: survivor.count["removed"] + survivor.count["parked"] == len(jobs),
        "an account of all jobs",
    )
    assert survivor.end() == 0

    running = {*victim.names("ran")}
    lost, parked = place.lost_and_parked()
    if recovery == "skip":
        assert lost == dict.fromkeys(claimed, 1)
        assert parked == claimed == {*survivor.names("lost")}
        assert place.ran() == dict.fromkeys(running | (jobs - claimed), 1)
    else:
        assert not lost
        assert not parked
        assert place.ran() == dict.fromkeys(jobs, 1) | dict.fromkeys(running, 2)


# What a dead process has left is found in the same way in all stores; what is made of it is no matter of the store.
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        (
            {},
            f"lost: its only run was lost, and its fate is unknown (it was run again {MAX_RECOVERIES} times)",
        ),
        (
            {"trigger": "interval", "hours": 1, "next_run_time": datetime.now(UTC)},
            f"given up: a run was recovered {MAX_RECOVERIES} times, and its owner died again",
        ),
    ],
    ids=["one-off", "interval"],
)
def test_a_job_that_kills_its_process_is_given_up(place: Place, trigger: dict[str, Any], reason: str) -> None:
    job = {"func": die, "args": [str(place.lines), "deadly"], "id": "deadly", "misfire_grace_time": None}
    with place.office() as office:
        office.add_jobs([{**job, **trigger, "recovery": "rerun", "max_recoveries": MAX_RECOVERIES}])
    for _ in range(1 + MAX_RECOVERIES):
        assert place.start(lease=LEASE).ended() == -signal.SIGKILL
    process = place.start(["parked", "lost"], lease=LEASE)
    process.wait_for("parked")
    assert process.end() == 0

    assert place.ran() == {"deadly": 1 + MAX_RECOVERIES}
    with place.office() as office:
        assert [job.reason for job in office.get_parked_jobs()] == [reason]
        assert [run.attempt for run in office.get_lost_runs()] == [1 + MAX_RECOVERIES]
