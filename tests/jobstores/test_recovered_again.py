"""When a run is due that is recovered again: not together with those that were beside it, one of which may kill each process."""

from dataclasses import replace
from random import Random

import pytest
from mainspring.jobstores.record import Record, Run
from mainspring.jobstores.transitions import RERUN_SPREAD, recover, seal

NOW = 1_800_000_000_000_000


def due_again(bits: int, recovered: int) -> int:
    """How long after its recovery a run of an owner that is gone is due again, in µs."""
    run = Run(
        bits,
        "rerun",
        (NOW,),
        NOW,
        owner="o",
        lease_until=NOW,
        recovered=recovered,
        recovery="rerun",
        max_recoveries=9,
    )
    record = Record("a", 1, "default", None, None, None, "ended", (run,), 1, "s")
    after, (found,) = recover(record, now=NOW, boot_owner="me", is_gone=lambda owner: True, stamp="t")
    assert found.run.state == "waiting"
    waiting = replace(run, kind="rerun", state="waiting", due=found.run.due, owner=None, lease_until=None)
    assert after == seal(
        replace(record, runs=(replace(waiting, attempt=2, recovered=recovered + 1, root=bits),)), "t"
    )
    return found.run.due - NOW


def test_the_first_time_it_is_due_at_once() -> None:
    assert {due_again(bits, 0) for bits in (1, 2**40 + 17, 2**63 - 1)} == {0}


@pytest.mark.parametrize("recovered", [1, 2, 5])
def test_later_each_run_is_due_at_a_moment_of_its_own(recovered: int) -> None:
    random = Random(recovered)
    moments = sorted(due_again(random.getrandbits(63), recovered) for _ in range(200))
    assert moments[0] >= 0
    assert moments[-1] < recovered * RERUN_SPREAD
    assert moments[100] - moments[0] > recovered * RERUN_SPREAD / 4, "they are spread"
    assert moments[-1] - moments[100] > recovered * RERUN_SPREAD / 4
