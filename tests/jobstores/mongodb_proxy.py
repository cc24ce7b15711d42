"""A port that passes on to a MongoDB server, until it is told to lose something."""

import socket

from tests.jobstores.redis_proxy import Loss, Proxy


class MongoProxy(Proxy):
    """As for Redis; what gets lost is named by its command: "update", "insert", "delete", "find"."""

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def lose_commands(self, *losses: tuple[str, Loss]) -> None:
        """What gets lost of the next requests of these commands, in this order."""
        with self._lock:
            self._losses += [(b"\x02" + name.encode() + b"\0", loss) for name, loss in losses]

    @staticmethod
    def _read(client: socket.socket) -> bytes:
        data = b""
        size = 4
        while len(data) < size:
            more = client.recv(size - len(data))
            if not more:
                return b""
            data += more
            if len(data) == 4:
                size = int.from_bytes(data, "little")
        return data
