"""`Peers`: the schedulers that claim from a store at the same time: each begins with buckets of its own, so that few claims are in vain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kazoo.exceptions import NodeExistsError, NoNodeError
from kazoo.protocol.states import EventType

from .calls import children, create, delete, set_data
from .layout import Layout
from .link import Link


class Peers:
    """This scheduler's place among all. Nothing depends on it but speed: that a run is won once, the comparison sees to. Thread-safe."""

    def __init__(self, link: Link, paths: Layout, boot: str) -> None:
        self._link = link
        self._paths = paths
        self._boot = boot
        self._connection = -1
        self._stale = True
        self._place, self._number = 0, 1
        self._node: str | None = None

    def node(self) -> str:
        """The node that is there as long as this scheduler's session is. Raises JobStoreError."""
        client = self._link.client()
        if self._connection != self._link.connection or self._node is None:
            # A session of its own each: the node of one that has expired goes by itself, some time.
            connection = self._link.connection
            session = client.client_id
            node = f"{self._paths.schedulers}/{self._boot}-{session[0] if session else 0:x}"
            (made,) = self._link.wait(self._link.begin([create(node, ephemeral=True)])[1])
            if isinstance(made, Exception) and not isinstance(made, NodeExistsError):
                raise self._link.translated(made) from made
            self._node, self._connection, self._stale = node, connection, True
        return self._node

    def leave(self) -> None:
        """Have the node go, where the session does not end with the store."""
        node, self._node = self._node, None
        if node is not None and self._link.opened_here:
            try:
                self._link.ask([delete(node)])
            except Exception:
                pass  # it goes with the session

    def look(self) -> None:
        """Find out who else is there. No round trip, as long as nobody comes or goes."""
        node = self.node()
        if not self._stale:
            return
        self._stale = False
        connection = self._connection

        def changed(event: Any) -> None:
            if event.type != EventType.NONE or connection == self._connection:
                self._stale = True

        (names,) = self._link.ask([children(self._paths.schedulers, changed)])
        everybody = sorted(names or ())
        own = node.rpartition("/")[2]
        self._number = max(len(everybody), 1)
        self._place = everybody.index(own) if own in everybody else 0

    @property
    def is_mine(self) -> Callable[[int], bool] | None:
        """Whether a bucket is one to begin with; None if there is nobody else."""
        place, number = self._place, self._number
        return None if number == 1 else lambda bucket: bucket % number == place

    def write(self) -> Any:
        """Write to the servers, nothing that matters. The stat that they answer: in it is the time of the one that leads, in milliseconds.

        ZooKeeper tells the time by what is written, and by nothing else.
        """
        for _ in range(2):
            node = self.node()
            (stat,) = self._link.wait(self._link.begin([set_data(node, b"")])[1])
            if not isinstance(stat, NoNodeError):
                break
            self._node = None  # its session has expired, or somebody has deleted it
        if isinstance(stat, Exception):
            raise self._link.translated(stat) from stat
        return stat
