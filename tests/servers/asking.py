"""How a test asks for a server, and what becomes of a test that asks for one that is not installed."""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests import servers
from tests.servers import Server


def shared_server(kind: type[Server]) -> Server:
    """The session's server of this kind, running. Where it is not installed the test is skipped, or fails if nothing may be (`CI=true`)."""
    try:
        server = servers.shared(kind)
    except servers.MissingProgramError as missing:
        _give_up(missing)
    assert server.running, f"a test has ended the session's {server.name}: it needs one of its own"
    return server


def own_server(kind: type[Server]) -> Iterator[Server]:
    """A server of this kind for one test."""
    try:
        server = kind()
    except servers.MissingProgramError as missing:
        _give_up(missing)
    try:
        server.start()
        yield server
    finally:
        server.end()


def _give_up(missing: servers.MissingProgramError) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{missing}: under CI=true no test is skipped for that", pytrace=False)
    pytest.skip(str(missing))
