"""What holds for all tests of job stores."""

import pytest
from mainspring.jobstores import damage


@pytest.fixture(autouse=True)
def nothing_reported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged record is reported once in a process: another test may have had one of the same id."""
    monkeypatch.setattr(damage, "_reported", set())
