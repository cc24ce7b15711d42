"""The engine in virtual time against a plain model of a scheduler: 10,000 random operations, over each kind of store.

The same steps in every run. Others: `MODEL_SEED=7 python -m pytest tests/model`; more: `MODEL_STEPS=200000`. What fails is shrunk to the
fewest steps, and printed as a program.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from mainspring.scheduler import decision

from tests.model.machine import SchedulerMachine
from tests.model.machines import (
    MariaDBMachine,
    MemoryMachine,
    MongoDBMachine,
    PostgreSQLMachine,
    RedisMachine,
    ServerMachine,
    SQLiteMachine,
    ZooKeeperMachine,
)
from tests.model.plain_scheduler import BACKLOG

SEED = int(os.environ.get("MODEL_SEED", "0"))
STEPS = int(os.environ.get("MODEL_STEPS", "10000"))
STEPS_IN_A_RUN = 60


@pytest.fixture(autouse=True)
def short_backlogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "MAX_FIRE_TIMES", BACKLOG)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The log tells of each of the many failures that are meant to be."""
    logger = logging.getLogger("mainspring")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize(("machine", "share"), [(MemoryMachine, 0.5), (SQLiteMachine, 0.2)])
def test_the_engine_does_what_the_model_predicts(machine: type[SchedulerMachine], share: float) -> None:
    walk(machine, share)


@pytest.mark.parametrize(
    ("machine", "server"),
    [
        (PostgreSQLMachine, "postgresql"),
        (MariaDBMachine, "mariadb"),
        (RedisMachine, "redis_server"),
        (MongoDBMachine, "mongodb_server"),
        (ZooKeeperMachine, "zookeeper"),
    ],
)
def test_the_engine_does_so_on_servers(
    machine: type[ServerMachine], server: str, request: pytest.FixtureRequest
) -> None:
    machine.url = request.getfixturevalue(server).url
    walk(machine, 0.1)


def walk(machine: type[SchedulerMachine], share: float) -> None:
    """Make this share of the steps on one kind of store."""
    print(f"seed {SEED}; MODEL_SEED=1, 2, 3 ... make other steps, MODEL_STEPS more of them")
    machine.steps = 0
    rounds = 0
    while machine.steps < STEPS * share:
        seed(SEED * 1000 + rounds)(machine)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=10,
                stateful_step_count=STEPS_IN_A_RUN,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
        rounds += 1
    print(f"{machine.__name__}: {machine.steps} steps in {rounds} rounds")
    assert machine.steps >= STEPS * share
