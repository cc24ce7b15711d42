"""How a file of the library looks: it says what it is, has a telling name, and is not crowded."""

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import FILES, ROOMS, ROOT, short

CROWDED = 450
NAMES_THAT_SAY_NOTHING = {"util", "utils", "common", "helper", "helpers", "misc"}


def test_the_rooms_are_there() -> None:
    assert [room for room in ROOMS if not (ROOT / room / "__init__.py").is_file()] == []
    # Python would take a module in the root of the namespace for one of the library's own
    assert list(ROOT.glob("*.py")) == []


@pytest.mark.parametrize("path", FILES, ids=short)
def test_it_opens_with_one_line_that_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")), clean=False)
    assert docstring, "no docstring"
    first, _, rest = docstring.partition("\n")
    assert first.strip(), "the docstring begins with an empty line"
    assert not rest or rest.startswith("\n"), "the first line of the docstring must stand alone"


@pytest.mark.parametrize("path", FILES, ids=short)
def test_it_is_not_crowded(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= CROWDED


@pytest.mark.parametrize("path", FILES, ids=short)
def test_its_name_says_something(path: Path) -> None:
    assert path.stem.strip("_") not in NAMES_THAT_SAY_NOTHING
