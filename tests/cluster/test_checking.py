"""The checker of the cluster tests finds what it should: tables of logs, right ones and doctored ones."""

from collections.abc import Sequence

import pytest

from tests.cluster.checking import (
    MARGIN,
    Call,
    Expectation,
    Line,
    Report,
    Verdict,
    expect,
    judge,
    lateness_of,
)

S = 1_000_000


def check(
    due: Sequence[int],
    lines: Sequence[float],
    reports: Sequence[int],
    *,
    either: Sequence[int] = (),
    lost: Sequence[int] = (),
    at_most_once: bool = True,
    all_reported: bool = False,
) -> Verdict:
    """Of one job, in seconds."""
    return judge(
        {"job": Expectation({time * S for time in due}, {time * S for time in either})},
        [Line("job", round(time * S), 1) for time in lines],
        [Report("job", time * S, time * S, 1) for time in reports],
        {"job": [time * S for time in lost]},
        at_most_once=at_most_once,
        all_reported=all_reported,
    )


@pytest.mark.parametrize(
    ("due", "lines", "reports", "more"),
    [
        ([1, 2, 3], [1.1, 2.1, 3.1], [1, 2, 3], {"all_reported": True}),
        ([1, 2, 3], [3.1, 3.2, 3.3], [3, 1, 2], {"all_reported": True}),  # all late, in any order
        ([1, 2, 3], [1, 2, 3], [1, 2, 3], {}),  # on time to the microsecond
        ([1, 2, 3], [1.1, 2.1, 3.1], [1, 3], {}),  # killed between the run and its report
        ([1, 2, 3], [1.1, 3.1], [1, 3], {"lost": [2]}),  # killed before the run
        ([1, 2, 3], [1.1, 2.1, 3.1], [1, 3], {"lost": [2]}),  # killed after it began
        ([1, 2, 3], [1.1, 2.1, 3.1, 9], [1, 2, 3], {"at_most_once": False}),
        ([1, 2, 3], [1.1, 2.1, 3.1, 9], [1, 2, 3, 2], {"at_most_once": False}),
        ([1, 3], [1.1, 3.1], [1, 3], {"either": [2]}),
        ([1, 3], [1.1, 2.1, 3.1], [1, 2, 3], {"either": [2]}),
    ],
)
def test_what_is_right_is_found_right(
    due: list[int], lines: list[float], reports: list[int], more: dict[str, bool]
) -> None:
    verdict = check(due, lines, reports, **more)  # type: ignore[arg-type]
    assert verdict.good, verdict
    assert (verdict.due, verdict.ran) == (len(due), len(lines))


DOUBLE, MISSING, UNEXPECTED = "doubles", "missing", "unexpected"


@pytest.mark.parametrize(
    ("due", "lines", "reports", "more", "findings"),
    [
        ([1, 2], [1.1, 1.2, 2.1], [1, 2], {}, {DOUBLE: [1.2]}),  # a line too many, and no report of it
        ([1, 2], [1.1, 2.1, 2.2], [1, 2], {}, {DOUBLE: [2.2]}),
        ([1, 2], [1.1, 2.1, 2.2], [1, 2, 2], {}, {DOUBLE: [2.2, 2]}),
        ([1, 2], [1.1, 2.1, 9], [1, 2, 1], {}, {DOUBLE: [9, 1]}),
        # One that ran twice covers up for one that did not: only the reports tell.
        ([1, 2, 3], [1.1, 3.1, 3.2], [1, 3, 3], {}, {DOUBLE: [3], MISSING: [2]}),
        ([1, 2, 3], [1.1, 3.1, 3.2], [1, 3, 3], {"at_most_once": False}, {MISSING: [2]}),
        ([1, 2, 3], [1.1, 1.2, 3.1], [1, 3], {}, {DOUBLE: [1.2], MISSING: [2]}),
        ([1, 2], [1.1], [1], {}, {MISSING: [2]}),
        ([1, 2], [2.1], [2], {}, {MISSING: [1]}),
        ([1, 2], [], [], {"lost": [1]}, {MISSING: [2]}),
        ([1, 2], [2.1], [2], {"at_most_once": False, "lost": [1]}, {MISSING: [1]}),
        ([1, 2], [1.1, 1.9], [1], {"at_most_once": False}, {MISSING: [2]}),  # before it was due: the other's
        ([1, 2], [1.1, 2.1], [1], {"all_reported": True}, {MISSING: [2]}),
        ([1, 2], [1.1], [1, 2], {"all_reported": True}, {MISSING: [2]}),  # reported, and did not run
        ([1], [0.9, 1.1], [1], {}, {UNEXPECTED: [0.9]}),
        ([1], [1.1, 2.1], [1, 2], {}, {UNEXPECTED: [2], DOUBLE: [2.1]}),
        ([], [1.1], [1], {}, {UNEXPECTED: [1, 1.1]}),
        ([1], [1.1, 2.1, 2.2], [1, 2, 2], {"either": [2]}, {DOUBLE: [2.2, 2]}),  # either way is not twice
        ([], [], [], {"lost": [1]}, {}),  # of a run that counts either way, or of a job that is no more
    ],
)
def test_what_is_wrong_is_found(
    due: list[int],
    lines: list[float],
    reports: list[int],
    more: dict[str, bool],
    findings: dict[str, list[float]],
) -> None:
    verdict = check(due, lines, reports, **more)  # type: ignore[arg-type]
    for kind in (DOUBLE, MISSING, UNEXPECTED):
        found = [time for _, time in getattr(verdict, kind)]
        assert found == [round(time * S) for time in findings.get(kind, [])], kind
    assert verdict.good == (not findings)


def test_runs_of_a_job_that_nobody_knows_are_unexpected() -> None:
    verdict = judge({}, [Line("job", 1, 1)], [], {}, at_most_once=True, all_reported=False)
    assert verdict.unexpected == [("job", 1)]


def test_what_was_lost_and_due_is_counted() -> None:
    assert check([1, 2], [1.1], [1], lost=[2, 7]).lost == 1


def call(begin: float, end: float, times: Sequence[float] = (), removed: bool = False) -> Call:
    return Call("job", round(begin * S), round(end * S), tuple(round(time * S) for time in times), removed)


@pytest.mark.parametrize(
    ("calls", "late", "due", "either"),
    [
        ([call(0, 1, [2, 3, 4])], 0, [2, 3, 4], []),
        ([call(0, 2, [1, 2, 3])], 0, [3], [1, 2]),  # up to its end, a fire time counts either way
        ([call(0, 1, [2, 4, 6, 8]), call(7, 7.5)], 0, [2, 4], [6]),  # 6 within the margin before 7
        ([call(0, 1, [2, 4, 6, 8]), call(7, 7.5)], 2.5, [2], [4, 6]),
        ([call(0, 1, [2, 4, 6, 8]), call(7, 8.5)], 0, [2, 4], [6, 8]),
        ([call(0, 1, [2, 8]), call(5, 6), call(9, 10, [10, 11])], 0, [2, 11], [10]),
        ([call(0, 1, [2, 5, 8]), call(7, 8.5, [8, 9])], 0, [2, 5, 9], [8]),  # the old and the new
        ([call(0, 1, [2, 8]), call(5, 6, removed=True), call(7, 7, [9])], 0, [2, 9], []),
    ],
)
def test_calls_say_what_is_due(calls: list[Call], late: float, due: list[int], either: list[int]) -> None:
    expected = expect(calls, lambda moment: round(late * S))["job"]
    assert expected.due == {time * S for time in due}
    assert expected.either == {time * S for time in either}


def test_what_was_lost_of_a_removed_job_is_forgotten_with_it() -> None:
    calls = [call(0, 1, [2, 8]), call(5, 6, removed=True), call(7, 7, [9])]
    expected = expect(calls, lambda moment: 0, losses_are_forgotten=True)["job"]
    assert expected.due == {9 * S}
    assert expected.either == {2 * S}


def test_calls_for_one_job_do_not_overlap() -> None:
    with pytest.raises(AssertionError, match="overlap"):
        expect([call(0, 2), call(1, 3)], lambda moment: 0)


def test_runs_are_as_late_as_the_one_that_waits_for_the_longest() -> None:
    lateness = lateness_of(
        [Report("a", 1 * S, 4 * S, 1), Report("b", 2 * S, 3 * S, 1), Report("c", 6 * S, 7 * S, 1)]
    )
    assert [lateness(round(time * S)) / S for time in (0, 1, 2.5, 4, 5, 6.5, 8)] == [0, 0, 1.5, 3, 0, 0.5, 0]
    assert MARGIN > 0
