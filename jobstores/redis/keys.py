"""`Keys`: the names of what a store keeps on its server. They share one hash tag, so that in a cluster all of it lies on one node."""

from __future__ import annotations

import re
from typing import Final

from ..recordlines import escaped

DEFAULT_PREFIX: Final = "{mainspring}"

_TAG: Final = re.compile(r"\{[^{}]+\}")


class Keys:
    """The names that begin with one prefix."""

    def __init__(self, jobs_key: str | None) -> None:
        """`jobs_key`: what they begin with. A text without a `{hash tag}` becomes one as a whole; None: `{mainspring}`."""
        if jobs_key is None:
            prefix = DEFAULT_PREFIX
        elif not isinstance(jobs_key, str) or not jobs_key.strip():
            # Not a client's repr: depending on its version, a password may be in it.
            is_client = hasattr(jobs_key, "execute_command")
            got = "a client; give it as client=..." if is_client else repr(jobs_key)
            raise TypeError(f'jobs_key must be text, such as "team-a" or "{{team-a}}.jobs", got {got}')
        elif _TAG.search(jobs_key):
            prefix = jobs_key
        elif "{" in jobs_key or "}" in jobs_key:
            raise ValueError(f'jobs_key {jobs_key!r} has no hash tag in its braces: give "{{team-a}}.jobs"')
        else:
            prefix = f"{{{jobs_key}}}"
        self.prefix: Final = prefix
        self.records: Final = f"{prefix}.records"
        """A hash: a job's id to the fields that passes of the loop read and write, as a line of text (`codec.py`)."""
        self.payloads: Final = f"{prefix}.payloads"
        """A hash: a job's id to the envelope with its function, arguments and trigger."""
        self.leases: Final = f"{prefix}.leases"
        """A sorted set: the ids of the jobs with claimed runs, by the earliest end of a lease."""
        self.executors: Final = f"{prefix}.executors"
        """A set: the aliases of the executors that have an index."""
        self.version: Final = f"{prefix}.version"
        """The version of this layout."""
        self.channel: Final = f"{prefix}.push"
        """The channel on which is told that something is due sooner than was known."""
        self.index_prefix: Final = f"{prefix}.due:"

    def index(self, alias: str) -> str:
        """A sorted set: the ids of the jobs of an executor that have a time to wake at, by that time."""
        return self.index_prefix + escaped(alias)

    def marker(self, writing: str, slot: int) -> str:
        """What became of the latest write that one store has made under this number."""
        return f"{self.prefix}.write:{writing}:{slot}"


_KINDS: Final = {
    "records": "hash",
    "payloads": "hash",
    "leases": "zset",
    "executors": "set",
    "version": "string",
}


def kind_of(key: str) -> str:
    """What the server calls the type of what a store keeps under this name."""
    if ".due:" in key:
        return "zset"
    return _KINDS.get(key.rpartition(".")[2], "string")  # a write's marker
