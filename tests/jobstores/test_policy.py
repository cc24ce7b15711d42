"""The arithmetic of retries, and the one object that all jobs with the same options share."""

import pickle
from dataclasses import FrozenInstanceError
from random import Random
from typing import Any

import pytest
from mainspring.executors.errors import error_classes
from mainspring.jobstores.job import Job
from mainspring.jobstores.policy import (
    DEFAULT,
    LONGEST_DELAY,
    POLICY_OPTIONS,
    RunPolicy,
    shared,
    stored_policy,
)

from tests.jobstores.driving import new_job
from tests.jobstores.options import OTHER_OPTIONS, TROUBLE, BigTrouble, Outer, Trouble

SECOND = 1_000_000


def made(**options: Any) -> RunPolicy:
    return DEFAULT.changed(options)


# -- the delay -----------------------------------------------------------------------------------------------------

# options -> seconds before the first retry, the second, and so on
DELAYS: dict[str, tuple[dict[str, Any], list[float]]] = {
    "ten seconds unless something is said": ({}, [10, 10, 10, 10]),
    "fixed": ({"retry_delay": 3}, [3, 3, 3, 3]),
    "at once": ({"retry_delay": 0}, [0, 0, 0]),
    "at once stays at once": ({"retry_delay": 0, "backoff": 1e300}, [0, 0, 0]),
    "no number at all": ({"retry_delay": 10**400, "backoff": 10**400, "max_delay": 5}, [5, 5]),
    "twice as long each time": ({"retry_delay": 1, "backoff": 2}, [1, 2, 4, 8, 16]),
    "half as much again": ({"retry_delay": 8, "backoff": 1.5}, [8, 12, 18, 27]),
    "never longer than that": ({"retry_delay": 1, "backoff": 3, "max_delay": 10}, [1, 3, 9, 10, 10]),
    "the first one, too": ({"retry_delay": 60, "max_delay": 10}, [10, 10]),
    "a fraction": ({"retry_delay": 0.000_001, "backoff": 10}, [0.000_001, 0.000_01, 0.000_1]),
}


@pytest.mark.parametrize("row", DELAYS.values(), ids=DELAYS)
def test_the_delay_before_each_retry(row: tuple[dict[str, Any], list[float]]) -> None:
    options, delays = row
    policy, random = made(**options), Random(1)
    state = random.getstate()
    found = [policy.delay(retried, random) for retried in range(len(delays))]
    assert found == [pytest.approx(seconds * SECOND, abs=1) for seconds in delays]
    assert random.getstate() == state, "without jitter, nothing is left to chance"


@pytest.mark.parametrize("retried", [10, 10_000, 10**9])
@pytest.mark.parametrize(
    "backoff", [2, 2.0, 1.5, 10**300], ids=["a whole number", "a float", "a fraction", "huge"]
)
def test_a_delay_that_grows_beyond_all_numbers_ends_somewhere(retried: int, backoff: float) -> None:
    """Whole numbers would grow to millions of digits, and floats overflow."""
    assert made(retry_delay=1e9, backoff=backoff).delay(retried, Random(1)) == LONGEST_DELAY * SECOND
    capped = made(retry_delay=30, backoff=backoff, max_delay=60).delay(retried, Random(1))
    assert capped == 60 * SECOND
    assert made(max_delay=1e300, retry_delay=1e300).delay(0, Random(1)) == LONGEST_DELAY * SECOND


def test_the_jitter_is_added_and_bounded() -> None:
    policy, random = made(retry_delay=10, max_delay=10, retry_jitter=4), Random(1)
    found = [policy.delay(0, random) for _ in range(1_000)]
    assert 10 * SECOND <= min(found) < 10.1 * SECOND
    assert 13.9 * SECOND < max(found) < 14 * SECOND, "0 to so many seconds beyond max_delay"
    assert len(set(found)) > 990
    assert made(retry_jitter=1e300).delay(0, Random(1)) < 2 * LONGEST_DELAY * SECOND, "still a date"


# -- which failures ------------------------------------------------------------------------------------------------

NAMED = "tests.jobstores.options:"

# retry_on, what was raised -> whether it is tried again
FAILURES: dict[str, tuple[Any, BaseException, bool]] = {
    "any exception": (None, Trouble(), True),
    "not what ends a program": (None, KeyboardInterrupt(), False),
    "nor a job that exits": (None, SystemExit(1), False),
    "unless that is asked for": (BaseException, SystemExit(1), True),
    "the class itself": (Trouble, Trouble(), True),
    "a subclass": (Trouble, BigTrouble(), True),
    "a base class": (BigTrouble, Trouble(), False),
    "another class": (OSError, Trouble(), False),
    "one of several": ([KeyError, Trouble], BigTrouble(), True),
    "none of several": ([KeyError, ValueError], BigTrouble(), False),
    "by its reference": (TROUBLE, BigTrouble(), True),
    "another class of the same name": (Trouble, Outer.Trouble(), False),
    "a class in a class": (f"{NAMED}Outer.Trouble", Outer.Trouble(), True),
    "by another name of it": ("builtins:IOError", FileNotFoundError(), True),
    "an abstract base of several": (LookupError, KeyError(), True),
    "a time limit is a TimeoutError": (TimeoutError, TimeoutError(), True),
}


@pytest.mark.parametrize("row", FAILURES.values(), ids=FAILURES)
def test_which_failures_are_tried_again(row: tuple[Any, BaseException, bool]) -> None:
    retry_on, error, again = row
    job = new_job("a", 0, max_retries=1, **({} if retry_on is None else {"retry_on": retry_on}))
    assert job._policy.retries_after(0, error_classes(error)) == again
    assert not job._policy.retries_after(1, error_classes(error)), "that was the last one"


# max_retries, keep_failed, retries so far -> whether another attempt may follow, and whether anything may be left behind
LEAVES: list[tuple[int, bool, int, bool, bool]] = [
    (0, False, 0, False, False),
    (0, True, 0, False, True),
    (2, False, 0, True, True),
    (2, False, 1, True, True),
    (2, False, 2, False, False),
    (2, True, 2, False, True),
    (1, False, 5, False, False),  # fewer than when they began
]


@pytest.mark.parametrize(("max_retries", "keep_failed", "retried", "again", "leaves"), LEAVES)
def test_what_a_run_may_leave_behind(
    max_retries: int, keep_failed: bool, retried: int, again: bool, leaves: bool
) -> None:
    policy = made(max_retries=max_retries, keep_failed=keep_failed)
    assert policy.retries_after(retried, error_classes(Trouble())) == again
    assert policy.leaves_behind(retried) == leaves


# -- the value -----------------------------------------------------------------------------------------------------


def test_jobs_with_the_same_options_share_one_object() -> None:
    plain, other = new_job("a", 0), new_job("b", 0)
    assert plain._policy is other._policy is DEFAULT
    plain._modify(**OTHER_OPTIONS)
    other._modify(**dict(reversed(OTHER_OPTIONS.items())))
    assert plain._policy is other._policy
    assert other._policy is not DEFAULT
    before = other._policy
    plain._modify(timeout=None)
    assert other._policy is before, "what one job changes is another value"
    assert plain._policy.timeout is None
    plain._modify(**{name: getattr(DEFAULT, name) for name in POLICY_OPTIONS})
    assert plain._policy is DEFAULT


def test_a_whole_number_is_one_however_it_is_given() -> None:
    """Else a job would show the kind of number that some other job was given first."""
    for number in (11, 11.0):
        policy = made(timeout=number, backoff=number)
        assert (policy.timeout, type(policy.timeout), type(policy.backoff)) == (11, int, int)
    assert made(timeout=11) is made(timeout=11.0)


def test_a_restored_job_shares_it_too() -> None:
    job, copy = new_job("a", 0, **OTHER_OPTIONS), Job.__new__(Job)
    copy.__setstate__(pickle.loads(pickle.dumps(job.__getstate__())))
    assert copy._policy is job._policy
    plain, copy = new_job("a", 0), Job.__new__(Job)
    copy.__setstate__(plain.__getstate__())
    assert copy._policy is DEFAULT


def test_it_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULT.timeout = 5  # type: ignore[misc]
    with pytest.raises(AttributeError):
        new_job("a", 0).timeout = 5  # type: ignore[misc]


def test_a_job_shows_each_of_its_options() -> None:
    job = new_job("a", 0, **OTHER_OPTIONS)
    assert OTHER_OPTIONS.keys() == {*POLICY_OPTIONS}, "each option has its place in these tests"
    for name, value in OTHER_OPTIONS.items():
        assert getattr(job, name) == getattr(job._policy, name) == value
        assert getattr(new_job("a", 0), name) == getattr(DEFAULT, name) != value


def test_only_what_is_not_the_default_is_stored() -> None:
    assert DEFAULT.options() == {}
    assert not new_job("a", 0).__getstate__().keys() & {*POLICY_OPTIONS}
    for name, value in OTHER_OPTIONS.items():
        assert made(**{name: value}).options() == {name: value}
    assert made(**OTHER_OPTIONS).options() == OTHER_OPTIONS


def test_options_as_they_were_stored() -> None:
    assert stored_policy({}) is DEFAULT
    assert stored_policy({"name": "x", "coalesce": True}) is DEFAULT
    assert stored_policy(OTHER_OPTIONS) is made(**OTHER_OPTIONS)
    # From a store that knows no tuples.
    assert stored_policy({"retry_on": ["builtins:OSError"]}).retry_on == ("builtins:OSError",)
    # The classes are not imported: they may be another deployment's.
    assert stored_policy({"retry_on": ("gone:Away",)}).retry_on == ("gone:Away",)


def test_the_default_is_shared_even_if_it_was_made_anew() -> None:
    assert shared(RunPolicy()) is DEFAULT
    assert made() is DEFAULT
