"""What each room exports: its `__all__` is complete, and every name in it exists."""

import importlib
from types import ModuleType

import pytest

from tests.architecture.tree import MODULES, ROOMS


def belongs_to_the_library(value: object) -> bool:
    """Constants have no `__module__`; classes and functions that come from elsewhere are not ours to export."""
    return not isinstance(value, ModuleType) and str(getattr(value, "__module__", "mainspring")).startswith(
        "mainspring"
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_exports_are_complete(room: str) -> None:
    module = importlib.import_module(f"mainspring.{room}")
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and belongs_to_the_library(value)
    }
    assert public - set(module.__all__) == set()


@pytest.mark.parametrize("name", MODULES)
def test_what_is_exported_exists(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [entry for entry in exported if not hasattr(module, entry)] == []
    assert len(exported) == len(set(exported))


def test_the_errors_of_job_stores_are_where_people_look_for_them() -> None:
    rooms = [importlib.import_module(f"mainspring.jobstores{module}") for module in ("", ".base", ".errors")]
    for name in ("StaleJobError", "JobStoreError", "UnsupportedSerializationError"):
        assert len({getattr(room, name) for room in rooms}) == 1
