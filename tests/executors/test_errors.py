"""The errors of executors: what they keep, and by which names they are known."""

import pickle

import pytest
from mainspring.executors import JobTimeoutError, UnpicklableError, error_classes
from mainspring.executors.portable import pack_error, unpack_error

from tests.executors import fakes


def test_the_names_of_an_errors_classes() -> None:
    assert error_classes(fakes.OddError(1, 2)) == (
        "tests.executors.fakes:OddError",
        "builtins:Exception",
        "builtins:BaseException",
        "builtins:object",
    )
    assert "builtins:OSError" in error_classes(JobTimeoutError("too long", 2.5))


def test_a_class_of_the_main_program_has_one_name_everywhere() -> None:
    over_there = type("Own", (ValueError,), {"__module__": "__mp_main__"})
    here = type("Own", (ValueError,), {"__module__": "__main__"})
    assert error_classes(over_there()) == error_classes(here())
    assert error_classes(here())[:2] == ("__main__:Own", "builtins:ValueError")


def test_an_error_that_cannot_travel_keeps_the_names_of_its_classes() -> None:
    original = fakes.OddError(1, 2)
    error, _ = unpack_error(pickle.loads(pickle.dumps(pack_error(original))))
    assert isinstance(error, UnpicklableError)
    assert error.classes == error_classes(error) == error_classes(original)


def test_other_errors_have_their_own_names() -> None:
    assert error_classes(UnpicklableError("its result cannot be sent back"))[:2] == (
        "mainspring.executors.errors:UnpicklableError",
        "builtins:TypeError",
    )


@pytest.mark.parametrize(
    "error", [JobTimeoutError("too long", 2.5), UnpicklableError("as text", ("builtins:ValueError",))]
)
def test_the_errors_travel_with_what_they_keep(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
