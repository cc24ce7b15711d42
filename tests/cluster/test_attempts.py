"""What the checker of attempts finds in logs, and what it does not take for a fault."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.cluster.attempts import Attempt, Logs, Plan, Told, examine, most_at_a_time

S = 1_000_000
SKIP = Plan(limit=2, bad=1, max_retries=2, recovery="skip", max_recoveries=3)
RERUN = replace(SKIP, recovery="rerun")


def attempt(number: int, begin: float, end: float, root: int = 1, pid: int = 1, due: int = 0) -> Attempt:
    return Attempt("job", root, number, due, pid, round(begin * S), round(end * S))


def told(number: int, what: str, root: int = 1) -> Told:
    return Told("job", root, number, what.rstrip("+"), what.endswith("+"))


def found(
    plan: Plan,
    attempts: Sequence[Attempt],
    outcomes: Sequence[str],
    lost: Mapping[int, int] | None = None,
    kills: Mapping[int, float] | None = None,
    asked: Mapping[int, str] | None = None,
    removed: float | None = None,
) -> list[str]:
    """What is wrong; `outcomes` are those of the attempts in their order, the empty text for none, "+" for one that another one follows."""
    said = [told(each.number, what, each.root) for each, what in zip(attempts, outcomes, strict=True) if what]
    logs = Logs(
        {"job": plan},
        attempts,
        said,
        lost or {},
        {pid: round(time * S) for pid, time in (kills or {}).items()},
        asked or {},
        {} if removed is None else {"job": round(removed * S)},
    )
    return examine(logs).wrong


FIRST, SECOND = attempt(1, 1, 2), attempt(2, 3, 4)


def test_what_is_right_passes() -> None:
    assert not found(SKIP, [FIRST, SECOND], ["error+", "executed"])
    assert not found(replace(SKIP, bad=9, max_retries=1), [FIRST, SECOND], ["error+", "error"])
    assert not found(replace(SKIP, bad=0), [FIRST], ["executed"])
    assert not found(
        replace(SKIP, timed=True), [FIRST, SECOND, attempt(3, 5, 6)], ["timeout+", "timeout+", "timeout"]
    )


@pytest.mark.parametrize(
    ("attempts", "outcomes", "says"),
    [
        ([FIRST], ["error+"], "there are [1]"),
        ([FIRST, SECOND], ["error", "executed"], "with 2 retries"),
        ([FIRST, attempt(3, 3, 4)], ["error+", "executed"], "has had the attempts [1, 3]"),
        ([FIRST, FIRST, SECOND], ["error+", "", "executed"], "started twice"),
        ([FIRST, SECOND], ["error+", ""], "schedulers have said []"),
        ([FIRST, SECOND], ["executed", "executed"], "went wrong, and was told of"),
        ([FIRST, SECOND, attempt(3, 5, 6)], ["error+", "error+", "executed"], "went well, and was told of"),
        ([FIRST, SECOND], ["error+", "executed+"], "has said"),
        ([FIRST, attempt(2, 3, 4, due=7)], ["error+", "executed"], "was due at"),
        ([FIRST, SECOND, attempt(1, 1, 2, 2), attempt(2, 3, 4, 2)], ["error+", "executed"] * 2, "two runs"),
    ],
)
def test_what_is_wrong_is_found(attempts: list[Attempt], outcomes: list[str], says: str) -> None:
    for plan in (SKIP, RERUN):
        wrong = found(plan, attempts, outcomes)
        assert any(says in each for each in wrong), (wrong, says)


# The process with the pid 1 is killed in its first attempt, at second 2; or in its second one, at second 4.
KILLED = {1: 2.0}
OTHER = attempt(2, 3, 4, pid=2)


def test_under_skip_a_run_ends_with_its_process_and_is_listed() -> None:
    assert not found(SKIP, [FIRST], [""], lost={1: 1}, kills=KILLED)
    assert not found(SKIP, [FIRST], ["error+"], lost={1: 2}, kills=KILLED), "the second one had not begun"
    assert not found(SKIP, [FIRST, OTHER], ["error+", "executed"], kills=KILLED), "its end was written"
    assert found(SKIP, [FIRST], [""], kills=KILLED) == [
        "job: run 1 has had the attempts [1], none follows the last one, and it is not listed as lost"
    ]
    assert "is listed as lost" in found(SKIP, [FIRST, OTHER], ["", "executed"], lost={1: 1}, kills=KILLED)[0]
    assert "not 1 to 2" in found(SKIP, [FIRST, attempt(3, 3, 4, pid=2)], ["", "executed"], kills=KILLED)[0]


def test_under_rerun_a_run_goes_on() -> None:
    assert not found(RERUN, [FIRST, OTHER], ["", "executed"], kills=KILLED)
    assert not found(RERUN, [FIRST, attempt(3, 3, 4, pid=2)], ["", "executed"], kills=KILLED), (
        "the second one had not begun when its process was killed"
    )
    assert "not listed as lost" in found(RERUN, [FIRST], [""], kills=KILLED)[0]
    assert not found(RERUN, [FIRST], [""], lost={1: 1}, kills=KILLED), "given up"
    later = [FIRST, attempt(3, 3, 4, pid=2)]
    assert "no process was killed with those" in found(RERUN, later, ["", "executed"], {1: 3}, {3: 9.0})[0]
    many = [attempt(number, number, number + 0.5, pid=2) for number in range(1, 8)]
    outcomes = [*["error+"] * 6, "executed"]
    assert "more than its retries" in found(RERUN, many, outcomes, kills={2: 7.6})[0]


def test_what_had_begun_long_before_the_kill_is_no_excuse() -> None:
    assert found(SKIP, [FIRST], ["error+"], kills={1: 9.0})


def test_limits() -> None:
    runs = [attempt(1, root, root + 1.5, root, due=root) for root in (1, 2, 3)]
    good = replace(SKIP, bad=0)
    assert not found(good, runs, ["executed"] * 3)
    assert found(replace(good, limit=1), runs, ["executed"] * 3) == [
        "job: 2 runs went on at a time, and not 1"
    ]
    assert most_at_a_time([attempt(1, 1, 2), attempt(1, 2, 3, 2)], {}) == 1
    assert most_at_a_time([attempt(1, 1, 2.1), attempt(1, 2, 3, 2)], {}) == 2
    assert most_at_a_time([attempt(1, 1, 2.1), attempt(1, 2, 3, 2, pid=2)], {1: 2 * S}) == 1


def test_what_was_asked_for_and_what_was_removed() -> None:
    assert found(SKIP, [], [], asked={5: "job"}) == ["job: run 5 was asked for, and did not begin"]
    assert not found(SKIP, [], [], asked={5: "job"}, lost={5: 1})
    assert not found(SKIP, [], [], asked={5: "job"}, removed=1)
    assert not found(SKIP, [FIRST, SECOND], ["error+", "error+"], removed=2.5), "it was claimed before"
    assert "after its job was removed" in found(SKIP, [FIRST, SECOND], ["error+", "error+"], removed=0.5)[0]
