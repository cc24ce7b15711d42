"""Every run that was due takes place exactly once, while jobs are edited, processes die or freeze, and the server goes down and comes back."""

import pytest

from tests.cluster.processes import Place
from tests.cluster.scenario import Cluster, Scenario


def quick(recovery: str, faults: tuple[str, ...]) -> Scenario:
    """A scenario of some seconds."""
    return Scenario(
        recovery, faults, one_offs=400, intervals=20, workers=3, preparation=3.0, seconds=6.0, down=2.0
    )


@pytest.mark.parametrize(
    ("recovery", "faults"),
    [("skip", ()), ("skip", ("kill", "freeze", "outage")), ("rerun", ("kill", "freeze", "outage"))],
    ids=lambda value: value if isinstance(value, str) else "+".join(value) or "undisturbed",
)
def test_every_due_run_takes_place(own_place: Place, recovery: str, faults: tuple[str, ...]) -> None:
    if own_place.server is None:
        faults = tuple(fault for fault in faults if fault != "outage")  # a file has none
    result = Cluster(own_place, quick(recovery, faults)).run()
    print(result)
    assert result.verdict.good, "\n".join([str(result.verdict), *result.evidence])
