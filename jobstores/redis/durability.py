"""What the server's settings may do to the jobs, asked once at start."""

from __future__ import annotations

from typing import Any

from ..errors import JobStoreError
from ..recordlines import to_text
from .link import Link


def warnings_about(link: Link, key: str) -> list[str]:
    """What is to be said of the settings of the client, and of the server that has the key.

    Of the server nothing where its settings may not be read, as with most managed services.
    """
    warnings = []
    if link.waits_forever:
        warnings.append(
            f"{link}: the client has no socket_timeout, so a server that stands still holds up the scheduler. Make the client with "
            "RedisCluster(..., socket_timeout=10)"
        )
    settings: dict[str, str] = {}
    for pattern in ("append*", "maxmemory*"):
        try:
            settings.update(_pairs(link.settings(key, pattern)))
        except JobStoreError:
            return warnings
    if settings.get("appendonly") == "no":
        warnings.append(
            f"{link}: the server writes no append-only file, so jobs are lost, and runs that were done are dispatched again, when it is "
            "restarted. Set appendonly to yes and appendfsync to always"
        )
    elif settings.get("appendfsync", "always") != "always":
        warnings.append(
            f"{link}: appendfsync is {settings['appendfsync']}, so a crash of the server's machine undoes the last writes: runs that were "
            "claimed or done then are dispatched again. Set it to always"
        )
    policy = settings.get("maxmemory-policy", "")
    if policy.startswith("allkeys") and settings.get("maxmemory", "0") != "0":
        warnings.append(
            f"{link}: maxmemory-policy is {policy}, so the server deletes jobs when its memory is full. Set it to noeviction"
        )
    return warnings


def _pairs(answer: Any) -> dict[str, str]:
    """The settings in an answer: a list of names and values, or what a client has made of it."""
    if isinstance(answer, dict):
        pairs = list(answer.items())
    else:
        pairs = list(zip(answer[::2], answer[1::2], strict=True))
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    return to_text(value) if isinstance(value, bytes) else str(value)
