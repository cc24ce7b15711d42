"""The fire times that the cluster tests expect of a schedule."""

import pytest

from tests.cluster.population import Job


@pytest.mark.parametrize(
    ("job", "begin", "times"),
    [
        (Job(5), 0, (5,)),
        (Job(5), 9, (5,)),  # a date in the past runs at once
        (Job(5, 10, 35), 0, (5, 15, 25, 35)),
        (Job(5, 10, 34), 15, (15, 25)),
        (Job(5, 10, 35), 16, (25, 35)),
        (Job(5, 10, 35), 36, ()),
        (Job(5, 10, 35, first=7), 6, (7, 15, 25, 35)),
        (Job(5, 10, 35, first=25), 6, (25, 35)),
        (Job(5, 10, 35, first=27), 16, (27, 35)),
        (Job(5, 10, 35, first=27), 28, (35,)),
        (Job(50, 10, 65, first=7), 6, (7, 50, 60)),
    ],
)
def test_times_of_a_schedule_from_then_on(job: Job, begin: int, times: tuple[int, ...]) -> None:
    assert job.times(begin) == times
