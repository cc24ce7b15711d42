"""The place where the scheduler processes of a test are at work, on each kind of store that processes can share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import Place
from tests.cluster.stores import KINDS, SERVERS
from tests.servers.asking import own_server, shared_server


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On a server of the session's, or an SQLite file."""
    kind = request.param
    yield from at_work(Place(tmp_path, kind, shared_server(SERVERS[kind]) if kind in SERVERS else None))


@pytest.fixture(params=KINDS)
def own_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On a server of the test's own, which it may stop, or an SQLite file."""
    kind = request.param
    for server in own_server(SERVERS[kind]) if kind in SERVERS else [None]:
        yield from at_work(Place(tmp_path, kind, server))


def at_work(place: Place) -> Iterator[Place]:
    try:
        yield place
    finally:
        place.close()
