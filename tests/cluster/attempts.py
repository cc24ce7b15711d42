"""What must hold of runs that fail, and whether it does: pure functions over the logs of a cluster whose processes were killed.

What ran comes from the lines that the jobs themselves have left: each attempt has one as it begins, others as long as it goes on, and one as it
ends. So an attempt is known to have gone on from its first line to its last one, however it ended: by itself, by its time limit, or with its
process. What should have followed comes from the jobs' definitions, and, where a process was killed, from what is listed as lost.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

UNWRITTEN = 2_000_000
"""Microseconds: an attempt that has ended so shortly before its process was killed may not have been written as ended, on a busy machine."""


@dataclass(frozen=True)
class Plan:
    """What a job's attempts do, and what it wants to be done about that."""

    limit: int
    """Of runs at a time."""
    bad: int
    """So many attempts of each run go wrong."""
    max_retries: int
    recovery: str
    max_recoveries: int
    timed: bool = False
    """There is a time limit. On a busy machine, an attempt that should go well may be over it."""

    @property
    def most(self) -> int:
        """How many attempts a run has at most, if no process is killed."""
        return (self.max_retries if self.timed else min(self.bad, self.max_retries)) + 1


@dataclass(frozen=True)
class Attempt:
    """One, as its job has seen it. Microseconds since the epoch."""

    job: str
    root: int
    """Of the run, the same for all its attempts."""
    number: int
    due: int
    pid: int
    """Of its scheduler."""
    begin: int
    end: int
    """When it left its last line."""


@dataclass(frozen=True)
class Told:
    """What a scheduler has said of an attempt."""

    job: str
    root: int
    number: int
    what: str
    """"executed", "error" or "timeout"."""
    follows: bool
    """Another one is to follow."""


@dataclass
class Findings:
    """What was found."""

    runs: int = 0
    attempts: int = 0
    hurt: int = 0
    """Runs whose process was killed."""
    lost: int = 0
    most: int = 0
    """Runs of a job at a time, of which none was over its job's limit."""
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Logs:
    """All that is known."""

    plans: Mapping[str, Plan]
    attempts: Sequence[Attempt]
    told: Sequence[Told]
    lost: Mapping[int, int]
    """The attempts that are listed as lost, by run."""
    kills: Mapping[int, int]
    """When which process was killed."""
    asked: Mapping[int, str] = field(default_factory=dict)
    """The runs that were asked for, and of which job."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """When the removal of which job had succeeded."""


def examine(logs: Logs) -> Findings:
    """Limits, and each run for itself."""
    findings = Findings(attempts=len(logs.attempts), lost=len(logs.lost))
    by_root: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in sorted(logs.attempts, key=lambda attempt: (attempt.number, attempt.begin)):
        by_root[attempt.root].append(attempt)
    told: dict[int, list[Told]] = defaultdict(list)
    for each in logs.told:
        told[each.root].append(each)
    findings.runs = len(by_root.keys() | logs.lost.keys())
    for root, those in by_root.items():
        job = those[0].job
        hurt = root in logs.lost or any(_may_be_unwritten(each, logs.kills) for each in those)
        findings.hurt += hurt
        if job in logs.removed:
            findings.wrong += _of_a_removed(job, those, logs.removed[job])
        elif hurt:
            findings.wrong += _of_a_hurt_one(logs, those, told[root])
        else:
            findings.wrong += _of_a_good_one(logs.plans[job], those, told[root], logs.kills)
    for root, job in logs.asked.items():
        if root not in by_root and root not in logs.lost and job not in logs.removed:
            findings.wrong.append(f"{job}: run {root} was asked for, and did not begin")
    findings.wrong += _fire_times(logs, by_root)
    for job, plan in logs.plans.items():
        most = most_at_a_time([each for each in logs.attempts if each.job == job], logs.kills)
        findings.most = max(findings.most, most)
        if most > plan.limit:
            findings.wrong.append(f"{job}: {most} runs went on at a time, and not {plan.limit}")
    return findings


def most_at_a_time(attempts: Iterable[Attempt], kills: Mapping[int, int]) -> int:
    """How many of these went on at the same time. A worker process that outlives its scheduler by a moment counts as long as that was there."""
    changes = []
    for attempt in attempts:
        end = min(attempt.end, kills.get(attempt.pid, attempt.end))
        changes += [(attempt.begin, 1), (max(end, attempt.begin), -1)]
    most = going_on = 0
    # At the same microsecond, one ends before the other begins.
    for _, change in sorted(changes):
        going_on += change
        most = max(most, going_on)
    return most


# -- parts ---------------------------------------------------------------------------------------------------------


def _may_be_unwritten(attempt: Attempt, kills: Mapping[int, int]) -> bool:
    return attempt.pid in kills and attempt.end > kills[attempt.pid] - UNWRITTEN


def _numbers(those: Sequence[Attempt], job: str) -> Iterator[str]:
    """Each attempt is there once."""
    for one, other in pairwise(those):
        if one.number == other.number:
            yield f"{job}: attempt {one.number} of run {one.root} was started twice: {one}, {other}"


def _of_a_good_one(
    plan: Plan, those: Sequence[Attempt], told: Sequence[Told], kills: Mapping[int, int]
) -> Iterator[str]:
    """No process of this run was killed as long as it mattered: all attempts are there, each has its outcome, and what follows from that."""
    job, root = those[0].job, those[0].root
    numbers = [each.number for each in those]
    yield from _numbers(those, job)
    gaps = {*range(1, numbers[-1])} - {*numbers}
    # Who was killed with a run that had not begun has left no line of it. Under skip, it would be listed as lost.
    recovered = _before_a_kill(gaps, those, kills) if plan.recovery == "rerun" else set()
    if gaps - recovered:
        yield f"{job}: run {root} has had the attempts {numbers}"
    for number in numbers:
        said = [each for each in told if each.number == number]
        if len(said) != 1:
            yield f"{job}: of attempt {number} of run {root}, schedulers have said {said}"
            continue
        failed = said[0].what != "executed"
        if failed != (number <= plan.bad) and not (plan.timed and said[0].what == "timeout"):
            yield f"{job}: attempt {number} of run {root} went {'wrong' if number <= plan.bad else 'well'}, and was told of as {said[0]}"
        retried = number - 1 - sum(gap < number for gap in recovered)
        if said[0].follows != (failed and retried < plan.max_retries):
            yield f"{job}: of attempt {number} of run {root}, with {plan.max_retries} retries, a scheduler has said {said[0]}"
        if said[0].follows != (number != numbers[-1]):
            yield f"{job}: attempt {number} of run {root} was told of as {said[0]}, and there are {numbers}"


def _before_a_kill(missing: Iterable[int], those: Sequence[Attempt], kills: Mapping[int, int]) -> set[int]:
    """The attempts that may have been claimed by a process which was killed before they began: between those before and behind them."""
    explained = set()
    for number in missing:
        begin = max((each.end for each in those if each.number < number), default=0)
        end = min((each.begin for each in those if each.number > number), default=0)
        if any(begin <= time <= end for time in kills.values()):
            explained.add(number)
    return explained


def _of_a_hurt_one(logs: Logs, those: Sequence[Attempt], told: Sequence[Told]) -> Iterator[str]:
    """A process with this run was killed: under skip it ends there, and is listed; under rerun it goes on."""
    job, root, last = those[0].job, those[0].root, those[-1]
    plan, numbers = logs.plans[job], [each.number for each in those]
    yield from _numbers(those, job)
    lost = logs.lost.get(root)
    if plan.recovery == "skip":
        if numbers != [*range(1, len(numbers) + 1)] or len(numbers) > plan.most:
            yield f"{job}: run {root} has had the attempts {numbers}, and not 1 to {plan.most}"
        if lost is not None and lost not in (last.number, last.number + 1):
            yield f"{job}: run {root} has had the attempts {numbers}, and {lost} is listed as lost"
    else:
        gaps = {*range(1, last.number)} - {*numbers}
        if gaps - _before_a_kill(gaps, those, logs.kills):
            yield f"{job}: run {root} has had the attempts {numbers}, and no process was killed with those between them"
        if last.number > plan.most + plan.max_recoveries:
            yield f"{job}: run {root} has had the attempts {numbers}, more than its retries and recoveries are"
    final = [each for each in told if each.number == last.number and not each.follows]
    if lost is None and not final:
        yield f"{job}: run {root} has had the attempts {numbers}, none follows the last one, and it is not listed as lost"


def _of_a_removed(job: str, those: Sequence[Attempt], removed: int) -> Iterator[str]:
    """What was claimed before may begin later; what would follow it does not."""
    yield from _numbers(those, job)
    later = [each.number for each in those if each.begin > removed]
    if len(later) > 1:
        yield f"{job}: run {those[0].root} has had the attempts {later} after its job was removed"


def _fire_times(logs: Logs, by_root: Mapping[int, Sequence[Attempt]]) -> Iterator[str]:
    """Each fire time has one run; and each attempt of a run has its fire time."""
    runs: dict[tuple[str, int], int] = {}
    for root, those in by_root.items():
        due = {each.due for each in those}
        if len(due) > 1:
            yield f"{those[0].job}: run {root} was due at {sorted(due)}"
        if root not in logs.asked and (other := runs.setdefault((those[0].job, those[0].due), root)) != root:
            yield f"{those[0].job}: two runs, {root} and {other}, were due at {those[0].due}"
