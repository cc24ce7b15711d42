"""What must have run, and whether it has: pure functions over the logs of a cluster. The store is not asked, but for what it lists as lost.

What was expected comes from the calls that changed schedules, each with its begin and its end: a fire time between them counts either way.
What ran comes from the lines that the jobs themselves have left, and from the schedulers' reports of the runs that ended. A line has no due time;
a report has one, but is missing if its process was killed first. So lines are matched to due times by counting, and reports by name:
what one of them cannot see, a run too many that covers up for a missing one, the other does.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

MARGIN = 1_000_000
"""Microseconds: a due run may start so much later than others did at the same time."""


@dataclass(frozen=True)
class Call:
    """A call that gave a job these fire times, in place of those that it had. Microseconds UTC."""

    job: str
    begin: int
    end: int
    times: tuple[int, ...] = ()
    """Not before `begin`. None if it was paused, or removed."""
    removed: bool = False


@dataclass(frozen=True)
class Line:
    """A run began, says the job itself."""

    job: str
    time: int
    pid: int


@dataclass(frozen=True)
class Report:
    """A run ended, says the scheduler: the one that was due then."""

    job: str
    due: int
    time: int
    pid: int


@dataclass
class Expectation:
    """The fire times of one job."""

    due: set[int] = field(default_factory=set)
    either: set[int] = field(default_factory=set)
    """It may have run for them, once, or not."""


@dataclass
class Verdict:
    """What was found. Each finding is a job and a time: of a line, or when a run was due."""

    due: int = 0
    ran: int = 0
    lost: int = 0
    """Due runs that are listed as lost (whether they ran or not)."""
    doubles: list[tuple[str, int]] = field(default_factory=list)
    missing: list[tuple[str, int]] = field(default_factory=list)
    unexpected: list[tuple[str, int]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.doubles or self.missing or self.unexpected)


def expect(
    calls: Sequence[Call], lateness: Callable[[int], int], losses_are_forgotten: bool = False
) -> dict[str, Expectation]:
    """What each job should have run for, after these calls.

    A run that is due and that nobody has claimed yet when its job is paused, rescheduled or removed is not dispatched any more. So what was due shortly
    before counts either way, too: as long before as runs were late at that moment (`lateness`), and a margin.
    `losses_are_forgotten`: processes were killed or frozen, and what they had claimed of a job is in no list when it is removed.
    """
    expectations: dict[str, Expectation] = defaultdict(Expectation)
    ends: dict[str, int] = {}
    for call in sorted(calls, key=lambda call: call.begin):
        assert ends.get(call.job, call.begin) <= call.begin, f"calls for job {call.job!r} overlap"
        assert all(time >= call.begin for time in call.times)
        ends[call.job] = call.end
        expected = expectations[call.job]
        unsure = call.begin - lateness(call.begin) - MARGIN
        replaced = {time for time in expected.due if time >= unsure}
        if call.removed and losses_are_forgotten:
            replaced = expected.due
        expected.due = (expected.due - replaced) | {time for time in call.times if time > call.end}
        expected.either |= {time for time in (*replaced, *call.times) if time <= call.end}
    return dict(expectations)


def lateness_of(reports: Iterable[Report]) -> Callable[[int], int]:
    """How late runs were at a moment: for how long the one that had been due for the longest had not ended yet."""
    spans = sorted((report.due, report.time) for report in reports)

    def lateness(moment: int) -> int:
        return max((moment - due for due, ended in spans if due <= moment <= ended), default=0)

    return lateness


def judge(
    expectations: Mapping[str, Expectation],
    lines: Iterable[Line],
    reports: Iterable[Report],
    lost: Mapping[str, Sequence[int]],
    *,
    at_most_once: bool,
    all_reported: bool,
) -> Verdict:
    """Match what ran with what was due.

    `at_most_once`: no run may be there twice, and one that is listed as lost may be missing (recovery `skip`); else it is the other way round
    (`rerun`). `all_reported`: no process was killed, so that each run has its report.
    """
    verdict = Verdict(due=sum(len(expected.due) for expected in expectations.values()))
    began: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        began[line.job].append(line.time)
        verdict.ran += 1
    reported: dict[str, Counter[int]] = defaultdict(Counter)
    for report in reports:
        reported[report.job][report.due] += 1
    for job in expectations.keys() | began.keys() | reported.keys():
        expected = expectations.get(job, Expectation())
        times, ends = sorted(began[job]), reported[job]
        listed = expected.due & {*lost.get(job, ())}
        verdict.lost += len(listed)
        verdict.unexpected += [(job, due) for due in ends if due not in expected.due | expected.either]
        extra, unexpected = _extra(expected, times)
        verdict.unexpected += [(job, time) for time in unexpected]
        if at_most_once:
            verdict.doubles += [(job, time) for time in extra]
            verdict.doubles += [(job, due) for due, number in ends.items() if number > 1]
        required = expected.due - listed if at_most_once else expected.due
        missing = _missing(required, times, ends, all_reported)
        verdict.missing += [(job, due) for due in missing]
    return verdict


def _extra(expected: Expectation, times: Sequence[int]) -> tuple[list[int], list[int]]:
    """The lines that find no fire time of their own, none being later than its line; those before all fire times are apart.

    Each line can have any fire time before it, so giving the earliest line its turn first matches as many as possible.
    """
    extra, unexpected = [], []
    fire_times = sorted(expected.due | expected.either)
    matched = known = 0
    for time in times:
        while known < len(fire_times) and fire_times[known] <= time:
            known += 1
        if not known:
            unexpected.append(time)
        elif matched == known:
            extra.append(time)
        else:
            matched += 1
    return extra, unexpected


def _missing(required: set[int], times: Sequence[int], ends: Counter[int], all_reported: bool) -> list[int]:
    """The fire times that cannot have run: no line is left for them, or no report names them."""
    # A run that has begun and has no report, since its process was killed, leaves a line to spare.
    spare = 0 if all_reported else max(0, len(times) - sum(ends.values()))
    without_report = sorted(required - ends.keys(), reverse=True)[spare:]
    # And in time: the latest fire time needs a line that is not earlier, the two latest two, and so on.
    left = sorted(times)
    without_line = []
    for due in sorted(required, reverse=True):
        if left and left[-1] >= due:
            left.pop()
        else:
            without_line.append(due)
    return sorted({*without_report, *without_line})
