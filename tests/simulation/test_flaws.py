"""The simulation finds faults: each one that is made on purpose violates a statement, within so many seeds."""

from __future__ import annotations

import pytest

from tests.simulation.flaws import FLAWS
from tests.simulation.flaws_of_care import FLAWS as OF_CARE
from tests.simulation.simulate import simulate

WITHIN = 1_000
"""Seeds. The rarest are found once in a hundred."""


@pytest.mark.parametrize("name", [name for name in FLAWS if name != "none"])
def test_what_is_wrong_is_found(name: str) -> None:
    plain = FLAWS[name] not in OF_CARE
    for seed in range(WITHIN):
        if simulate(seed, flaw=FLAWS[name], plain=plain).violations:
            return
    pytest.fail(f"{name}: {FLAWS[name].__doc__} In {WITHIN} seeds, nothing was found wrong")
