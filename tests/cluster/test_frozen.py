"""A process that is frozen for longer than its leases (SIGSTOP), and continued: what it has claimed runs no second time behind its back."""

from threading import Event

import pytest

from tests.cluster.jobs import hold
from tests.cluster.processes import Place, SchedulerProcess, wait_until

WORKERS = 2
LEASE = 1.0  # seconds
EVENTS = ["submitted", "removed", "lost", "found", "parked"]


def add_jobs(place: Place, recovery: str) -> set[str]:
    """Jobs that leave their line and hold until the gate is opened; more than there are workers."""
    ids = [f"job-{number}" for number in range(8)]
    with place.office() as office:
        for job_id in ids:
            arguments = [str(place.lines), job_id, str(place.gate)]
            office.add_job(hold, args=arguments, id=job_id, misfire_grace_time=None, recovery=recovery)
    return {*ids}


def start_and_freeze(place: Place) -> tuple[SchedulerProcess, set[str], set[str]]:
    """A process that is frozen while its workers are busy and its queue is not empty; what is in progress there, and what queued."""
    process = place.start(EVENTS, workers=WORKERS, lease=LEASE)
    process.wait_for("ran", WORKERS)
    process.wait_for("submitted", WORKERS + 1)
    process.freeze()
    running = {*place.ran()}
    assert len(running) == WORKERS
    return process, running, place.claimed() - running


@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_what_others_have_recovered_is_not_started_and_what_went_on_is_found(
    place: Place, recovery: str
) -> None:
    place.close_gate()
    jobs = add_jobs(place, recovery)
    frozen, running, queued = start_and_freeze(place)
    other = place.start(EVENTS)
    if recovery == "skip":
        other.wait_for("lost", len(running | queued))
        assert {*other.names("lost")} == running | queued
    else:
        other.wait_for("ran", len(jobs))  # all of them, those that were recovered too
    frozen.thaw()
    place.open_gate()
    if recovery == "skip":
        frozen.wait_for("found", WORKERS)
    # A shutdown that waits has the workers go through what is left in the queue.
    assert [frozen.end(), other.end()] == [0, 0]

    assert {*frozen.names("ran")} == running, "a run was started that another process had recovered"
    lost, parked = place.lost_and_parked()
    if recovery == "skip":
        assert place.ran() == dict.fromkeys(jobs - queued, 1), "nothing ran twice"
        assert {*frozen.names("found")} == running
        assert lost == dict.fromkeys(queued, 1)
        assert parked == queued
    else:
        assert place.ran() == dict.fromkeys(jobs, 1) | dict.fromkeys(running, 2)
        assert not lost
        assert not parked
    assert place.unsettled() == set()


def test_a_lease_that_is_over_and_that_nobody_has_recovered_is_taken_up_again(place: Place) -> None:
    place.close_gate()
    jobs = add_jobs(place, "skip")
    process, _, _ = start_and_freeze(place)
    Event().wait(LEASE * 1.5)  # a lease ends without a sign: its time is all there is to wait for
    process.thaw()
    place.open_gate()
    wait_until([process], lambda: process.count["removed"] == len(jobs), "all jobs")
    assert process.end() == 0
    assert place.ran() == dict.fromkeys(jobs, 1)
    assert process.count["lost"] == process.count["found"] == process.count["parked"] == 0
