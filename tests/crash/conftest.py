"""The place where the scheduler processes of a test are at work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, "sqlite")
    try:
        yield place
    finally:
        place.close()
