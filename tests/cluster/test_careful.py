"""Jobs that fail, take too long, wait for room and are asked to run, while processes are killed: attempts, successors and limits."""

from tests.cluster.careful import Careful, CarefulCluster
from tests.cluster.processes import Place


def test_attempts_are_followed_and_limits_hold(place: Place) -> None:
    cluster = CarefulCluster(place, Careful(jobs=4, seconds=5.0, preparation=2.0, kills=2))
    findings = cluster.run()
    print(findings, cluster.parked_again)
    assert not findings.wrong, "\n".join(findings.wrong)
    # A run that has to wait for a busy machine stands for those that are due meanwhile: it is a half of what there may be.
    assert findings.attempts > findings.runs > 50
    assert cluster.parked_again > 0
