"""`kill -9` in the middle of 2,000 one-off jobs, ten times over: at most once under "skip", at least once under "rerun", nothing unsaid."""

from collections import Counter
from dataclasses import dataclass

import pytest
from mainspring.scheduler.port import MANY

from tests.cluster.jobs import append
from tests.cluster.processes import SMALL_PIPE, Place, SchedulerProcess, wait_until

JOBS = 2_000
KILLS = 10
WORKERS = 10
WINDOW = 50

NOT_ENDED = WINDOW + WORKERS
"""At most so many runs wait in the executor's queue or are in its workers."""

OPEN = NOT_ENDED + WINDOW + MANY
"""At most so many runs are claimed and not written as ended.

The loop writes the ends there are before each claim, unless they are fewer than `MANY`. Until it writes the next ones, only those runs can end
that were in the queue or in a worker then, or came with that one claim.
"""


@dataclass
class Survey:
    """What the file of lines and the job store say together."""

    ran: Counter[str]
    lost: Counter[str]
    parked: set[str]


def add_jobs(place: Place, prefix: str, recovery: str, max_recoveries: int = 3) -> set[str]:
    """Two thousand jobs that are due now; their ids."""
    ids = [f"{prefix}-{number}" for number in range(JOBS)]
    with place.office() as office:
        office.add_jobs(
            {
                "func": append,
                "args": [str(place.lines), job_id],
                "id": job_id,
                "misfire_grace_time": None,
                "recovery": recovery,
                "max_recoveries": max_recoveries,
            }
            for job_id in ids
        )
    return {*ids}


def kill_after(place: Place, count: int) -> None:
    """Start a scheduler, and kill it when its jobs have left so many lines, or a few more: it cannot run ahead of the test."""
    process = place.start(workers=WORKERS, claim_window=WINDOW, pipe_size=SMALL_PIPE)
    process.wait_for("ran", count)
    process.kill()


def run_to_the_end(place: Place) -> SchedulerProcess:
    """Start a scheduler, and have it run or account for all that is left; what it has said of that."""
    left = place.unsettled()
    process = place.start(["removed", "parked", "lost"], workers=WORKERS, claim_window=WINDOW)
    wait_until([process], lambda: process.count["removed"] + process.count["parked"] >= len(left), "all jobs")
    assert process.end() == 0
    assert Counter([*process.names("removed"), *process.names("parked")]) == Counter(left)
    return process


def survey(place: Place, jobs: set[str]) -> Survey:
    lost, parked = place.lost_and_parked()
    ran = Counter({name: times for name, times in place.ran().items() if name in jobs})
    return Survey(ran, Counter({name: lost[name] for name in lost if name in jobs}), parked & jobs)


def at_most_once(found: Survey, jobs: set[str], kills: int = 1) -> None:
    """What "skip" promises, and how much of it is unsure after so many kills."""
    assert {*found.ran.values()} == {1}, "a job ran twice"
    assert {*found.ran, *found.lost} == jobs, "a job is neither run nor listed"
    assert {*found.lost} == found.parked
    assert {*found.lost.values()} <= {1}
    assert len({*found.lost} - {*found.ran}) <= kills * NOT_ENDED
    assert len(found.lost) <= kills * OPEN


def at_least_once(found: Survey, jobs: set[str], kills: int = 1) -> None:
    """What "rerun" promises, and how much is done again after so many kills."""
    assert {*found.ran} == jobs, "a job did not run"
    assert not found.lost
    assert not found.parked
    assert max(found.ran.values()) <= 1 + kills
    assert found.ran.total() - JOBS <= kills * OPEN


@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_killed_in_the_middle_and_started_again_ten_times_over(place: Place, recovery: str) -> None:
    unsure = 0
    for kill in range(KILLS):
        jobs = add_jobs(place, f"round{kill}", recovery)
        kill_after(place, 200 + kill * 160)
        done = survey(place, jobs).ran.total()
        assert JOBS * 0.1 <= done <= JOBS * 0.9
        final = run_to_the_end(place)
        found = survey(place, jobs)
        if recovery == "skip":
            at_most_once(found, jobs)
            assert Counter(final.names("lost")) == found.lost, "what was lost is not what was said"
            unsure += len(found.lost)
        else:
            at_least_once(found, jobs)
            assert final.count["lost"] == 0
            unsure += found.ran.total() - JOBS
        print(
            f"kill {kill}: {done} done; {len(found.lost)} lost, of them run {len({*found.lost} & {*found.ran})}; "
            f"{found.ran.total() - len(found.ran)} run again"
        )
    assert unsure, "no kill has hit anything: this test would not see a loss"


@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_killed_ten_times_on_the_way_through_the_same_jobs(place: Place, recovery: str) -> None:
    jobs = add_jobs(place, "job", recovery, max_recoveries=KILLS)
    for _ in range(KILLS):
        kill_after(place, 120)
    assert JOBS * 0.1 <= len(survey(place, jobs).ran) <= JOBS * 0.99
    run_to_the_end(place)
    found = survey(place, jobs)
    print(
        f"{len(found.lost)} lost, of them run {len({*found.lost} & {*found.ran})}; {found.ran.total() - len(found.ran)} run again"
    )
    (at_most_once if recovery == "skip" else at_least_once)(found, jobs, KILLS)
