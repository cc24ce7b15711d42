"""Processes that are shut down in the middle of their work: nothing is lost, nothing runs twice, others go on with the rest."""

import signal

from tests.cluster.jobs import hold, work
from tests.cluster.processes import Place, wait_until

WORKERS = 2


def test_a_shutdown_that_does_not_wait_gives_back_what_is_queued_and_finishes_what_runs(place: Place) -> None:
    place.close_gate()
    jobs = {f"job-{number}" for number in range(8)}
    with place.office() as office:
        for job_id in jobs:
            arguments = [str(place.lines), job_id, str(place.gate)]
            office.add_job(hold, args=arguments, id=job_id, misfire_grace_time=None)
    leaving = place.start(["submitted", "removed", "stopped"], workers=WORKERS, lease=1.0)
    leaving.wait_for("ran", WORKERS)
    leaving.wait_for("submitted", WORKERS + 1)
    leaving.tell("leave")
    leaving.wait_for("stopped")
    assert place.claimed() == {*leaving.names("ran")}, "what is queued is given back at once"

    other = place.start(["removed", "lost"])
    other.wait_for("ran", len(jobs) - WORKERS)
    place.open_gate()
    wait_until(
        [leaving, other], lambda: leaving.count["removed"] + other.count["removed"] == len(jobs), "all jobs"
    )
    assert [leaving.end(), other.end()] == [0, 0]
    assert place.ran() == dict.fromkeys(jobs, 1)
    assert leaving.count["removed"] == WORKERS, "it has written the ends of its runs itself"
    assert other.count["lost"] == 0


def test_sigterm_in_the_middle_of_work_loses_nothing(place: Place) -> None:
    jobs = {f"job-{number}" for number in range(400)}
    with place.office() as office:
        office.add_jobs(
            {"func": work, "args": [str(place.lines), job_id], "id": job_id, "misfire_grace_time": None}
            for job_id in jobs
        )
    first = place.start(["executed"], blocking=True)
    first.wait_for("executed", 60)
    first.signal(signal.SIGTERM)
    assert first.ended() == 0
    done = place.ran()
    assert 60 <= len(done) < len(jobs)
    assert place.claimed() == set(), "it has finished all that it had claimed"
    assert place.unsettled() == jobs - done.keys()

    second = place.start(["removed", "lost"])
    wait_until([second], lambda: second.count["removed"] == len(jobs) - len(done), "the rest")
    assert second.end() == 0
    assert place.ran() == dict.fromkeys(jobs, 1)
    assert second.count["lost"] == 0
