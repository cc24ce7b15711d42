"""Rules taken out: whether the explorer notices, and how a rule is taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from mainspring.jobstores.record import Record

from tests.explorer.explorer import explore
from tests.explorer.world import Scenario

Patch: TypeAlias = "Callable[[pytest.MonkeyPatch], None]"


def is_needed(rule: Patch, scenario: Scenario, patch: pytest.MonkeyPatch) -> None:
    """Without the rule a promise is broken, and with it none is."""
    whole = explore(scenario, 3_000)
    assert whole.violation is None, f"\n{whole}"
    rule(patch)
    found = explore(scenario, 60_000)
    assert found.violation is not None, f"nobody notices: {found}"
    print(found)


def with_arguments(patch: pytest.MonkeyPatch, module: Any, name: str, **changes: Any) -> None:
    """The function is called with these arguments, whatever the caller says."""
    function = getattr(module, name)
    patch.setattr(module, name, lambda *given, **how: function(*given, **{**how, **changes}))


def with_runs_changed(patch: pytest.MonkeyPatch, module: Any, name: str, **changes: Any) -> None:
    """The function finds all runs of the record changed so."""
    function = getattr(module, name)

    def changed(record: Record, **how: Any) -> Any:
        return function(replace(record, runs=tuple(replace(run, **changes) for run in record.runs)), **how)

    patch.setattr(module, name, changed)
