"""What happens in one simulation: schedulers, weather, faults and jobs, all drawn from one seed before it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal, TypeAlias

from tests.simulation.care import NONE, Care, draw_asks, draw_care
from tests.simulation.store import Mode
from tests.simulation.timeline import MILLISECOND, SECOND

START: Final = 1_800_000_000 * SECOND
"""µs UTC: a Friday morning."""

MARGIN: Final = 5.0
"""Seconds by which clocks may differ without anybody's noticing: the margin of recovery, and the default of max_clock_offset."""

SPREAD: Final = 2.4
"""Seconds by which clocks that agree are off at most."""

FaultKind: TypeAlias = Literal[
    "crash", "freeze", "cut", "restart", "clock", "outage", "slow", "losses", "read only"
]

OF_ONE: Final[tuple[FaultKind, ...]] = ("crash", "freeze", "cut", "restart", "clock")
"""Befalls one scheduler; the others befall the server."""


def shown(time: int | None) -> str:
    """A time as seconds from the beginning."""
    return "never" if time is None else f"{(time - START) / SECOND:.6f}"


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One scheduler."""

    name: str
    workers: int
    offset: float
    """Seconds by which its clock is ahead."""
    paused: bool
    """Only adds and changes jobs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls whom, when and for how long (µs)."""

    kind: FaultKind
    time: int
    duration: int
    machine: int
    amount: float = 0.0
    """Of the offset of a clock, the share of lost messages, or how much slower; or, of a restart, whether it waits."""

    @property
    def until(self) -> int:
        return self.time + self.duration


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job that is added at some time."""

    id: str
    time: int
    kind: Literal["once", "every"]
    period: float
    """Seconds."""
    recovery: Literal["skip", "rerun"]
    coalesce: bool
    max_instances: int
    duration: float
    """Seconds that its runs take at most."""
    grace: float | None
    care: Care = NONE

    @property
    def max_recoveries(self) -> int:
        """How often a run may be recovered."""
        return int(self.care.options.get("max_recoveries", 2))


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that is decided before it begins."""

    seed: int
    mode: Mode
    machines: tuple[MachineSpec, ...]
    lease: float
    poll: float
    push: bool
    latency: int
    loss: float
    silent: bool
    same_host: bool
    length: int
    """µs for which there are fire times, edits and faults; then all is well for a while."""
    faults: tuple[Fault, ...]
    crowd_at: int | None
    """When all one-offs are due at once, in a scenario with more of them than there are workers."""
    jobs: tuple[JobSpec, ...]
    edits: tuple[tuple[int, str, int], ...]
    """When which job is changed, by how many people at once."""
    careful: bool = False
    """Runs fail, take too long and kill their processes, and people ask jobs to run."""
    asks: tuple[tuple[int, str, int], ...] = ()
    """When which job is asked to run now, by how many people at once."""

    @property
    def end(self) -> int:
        return START + self.length

    @property
    def offsets(self) -> list[float]:
        """By how many seconds clocks are ahead at one time or another."""
        offsets = [machine.offset for machine in self.machines]
        return offsets + [fault.amount for fault in self.faults if fault.kind == "clock"]

    @property
    def clocks_agree(self) -> bool:
        """Whether no two clocks ever differ by more than the margin: then no loss is told that is none."""
        return max(self.offsets) - min(self.offsets) <= 2 * SPREAD

    @property
    def clocks_are_right(self) -> bool:
        """Whether no clock is ever so far off that its scheduler claims nothing."""
        return all(abs(offset) <= SPREAD for offset in self.offsets)


def draw(seed: int, *, plain: bool = False) -> Scenario:
    """The scenario of a seed. A `plain` one is the same, but for runs that always succeed, and that nobody asks for."""
    scenario = _draw(seed)
    random = Random(f"care {seed}")
    if plain or random.random() < 0.2:
        return scenario
    jobs = tuple(_with_care(random, job) for job in scenario.jobs)
    ids = [job.id for job in jobs]
    return replace(
        scenario,
        careful=True,
        jobs=jobs,
        asks=tuple(draw_asks(random, START, scenario.length, ids)),
    )


def _with_care(random: Random, job: JobSpec) -> JobSpec:
    tight = random.random() < 0.4
    return replace(
        job,
        care=draw_care(random),
        max_instances=random.choice((1, 1, 2)) if tight else job.max_instances,
    )


def _draw(seed: int) -> Scenario:
    random = Random(f"scenario {seed}")
    length = random.choice((20, 30, 45, 60)) * SECOND
    wild_clocks = random.random() < 0.15
    spread = random.choice((4.0, 8.0, 60.0) if wild_clocks else (0.0, 0.05, SPREAD, SPREAD))
    count = random.choice((2, 2, 3, 3, 4, 5))
    machines = tuple(
        MachineSpec(
            f"m{number}",
            random.choice((1, 2, 4, 10)),
            round(spread * random.choice((-1, 1, random.uniform(-1, 1))), 3),
            number == count - 1 and count > 2 and random.random() < 0.25,
        )
        for number in range(count)
    )
    crowd_at = START + random.randrange(3 * SECOND, length // 2) if random.random() < 0.25 else None
    jobs = _jobs(random, length, crowd_at)
    return Scenario(
        seed,
        random.choice(("transaction", "reserve")),
        machines,
        lease=random.choice((3.0, 3.0, 6.0, 12.0)),
        poll=random.choice((1.0, 2.0, 4.0, 10.0)),
        push=random.random() < 0.4,
        latency=random.choice((MILLISECOND // 5, MILLISECOND, 10 * MILLISECOND, 50 * MILLISECOND)),
        loss=random.choice((0.0, 0.0, 0.002, 0.02)),
        silent=random.random() < 0.3,
        same_host=random.random() < 0.2,
        length=length,
        faults=_faults(random, machines, length, wild_clocks, crowd_at),
        crowd_at=crowd_at,
        jobs=jobs,
        edits=tuple(
            (START + random.randrange(length), random.choice(jobs).id, random.choice((1, 1, 2, 4)))
            for _ in range(random.choice((0, 5, 10, 20)))
        ),
    )


def _faults(
    random: Random, machines: tuple[MachineSpec, ...], length: int, wild_clocks: bool, crowd_at: int | None
) -> tuple[Fault, ...]:
    faults = []
    if crowd_at is not None:
        # What was claimed and waits for a worker is what a freeze is worst for.
        time = crowd_at + int(random.uniform(0, 3) * SECOND)
        kind: FaultKind = random.choice(("freeze", "freeze", "freeze", "cut", "outage", "crash"))
        place = random.randrange(len(machines))
        faults.append(Fault(kind, time, int(random.uniform(5, 20) * SECOND), place))
    for _ in range(random.choice((0, 1, 3, 5, 7, 10))):
        kind = random.choice(
            (
                *("crash", "crash", "freeze", "freeze", "freeze", "cut", "restart", "clock"),
                *("outage", "slow", "losses", "losses", "read only"),
            )
        )
        amount = 0.0
        if kind == "clock":
            spread = 60.0 if wild_clocks else SPREAD
            amount = round(random.uniform(-spread, spread), 3)
        elif kind == "slow":
            amount = random.choice((5, 50, 200))
        elif kind == "losses":
            amount = random.choice((0.05, 0.3))
        elif kind == "restart":
            amount = random.choice((0, 1))
        duration = int(random.choice((0.1, 1, 3, 8, 12, 20)) * (0.5 + random.random()) * SECOND)
        time = START + int(random.random() * 0.8 * length)
        faults.append(Fault(kind, time, duration, random.randrange(len(machines)), amount))
    end = START + length
    faults = [replace(fault, duration=min(fault.duration, end - fault.time)) for fault in faults]
    return tuple(sorted(faults, key=lambda fault: fault.time))


def _jobs(random: Random, length: int, crowd_at: int | None) -> tuple[JobSpec, ...]:
    jobs = []
    crowd = random.choice((10, 20, 30)) if crowd_at is not None else 0
    for number in range(crowd + random.choice((4, 6, 8, 12, 20))):
        kind: Literal["once", "every"] = "once" if number < crowd else random.choice(("once", "every"))
        period = random.choice((1.0, 2.5, 5.0, 10.0, 20.0))
        lengths = [0.0, 0.5, 1.5, 4.0]
        if number >= crowd and (kind == "once" or period >= 5):
            lengths += [12.0, 20.0]
        tame = random.random() < 0.8
        later = 0 if number < crowd or random.random() < 0.7 else random.randrange(length)
        jobs.append(
            JobSpec(
                f"job{number}",
                START + later,
                kind,
                period,
                random.choice(("skip", "rerun")),
                coalesce=not tame and random.random() < 0.5,
                max_instances=10 if tame else random.choice((1, 1, 2)),
                duration=random.choice(lengths) if tame or kind == "once" else min(6.0, period * 1.5),
                grace=None if tame or random.random() < 0.7 else 1.0,
            )
        )
    return tuple(jobs)
