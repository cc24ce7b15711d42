"""A port that passes on to a Redis server, until it is told to lose something."""

import socket
from contextlib import suppress
from threading import Lock, Thread
from typing import Literal

from mainspring.jobstores.redis.scripts import Script

Loss = Literal["request", "reply", "both"]
"""What gets lost: the request; the answer to it; or the answer, and the request arrives, but only when `deliver` is called."""


class Proxy:
    """Passes on whole connections; each loss ends the one that it happens on."""

    def __init__(self, port: int, path: str = "") -> None:
        """To this port, from a free port, or from the unix socket of that path."""
        self._server = port
        self._lock = Lock()
        self._losses: list[tuple[bytes, Loss]] = []
        self._late: list[tuple[socket.socket, bytes]] = []
        self.asked: list[bytes] = []
        """The requests that were passed on."""
        self.open = True
        if path:
            self._listener = socket.create_server(path, family=socket.AF_UNIX)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose(self, *losses: tuple[Script, Loss]) -> None:
        """What gets lost of the next requests that run these scripts, in this order."""
        with self._lock:
            self._losses += [(script.sha.encode(), loss) for script, loss in losses]

    def forgive(self) -> None:
        """Lose nothing more."""
        with self._lock:
            self._losses.clear()

    @property
    def has_lost(self) -> bool:
        """Whether all that was to get lost has got lost."""
        with self._lock:
            return not self._losses

    def deliver(self) -> None:
        """Have the server get the requests that are late, and wait until it has carried them out."""
        for server, request in self._late:
            server.settimeout(10)
            server.sendall(request)
            assert server.recv(65_536)
            server.close()
        self._late.clear()

    def close(self) -> None:
        """End all connections, and refuse new ones."""
        self.open = False
        # accept() of another thread does not notice a close()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections."""
        ends, self._ends = self._ends, []
        for end in ends:
            _end(end)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                client.close()
                continue
            self._ends += [client, server]
            Thread(target=self._requests, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        Thread(target=_pass_on, args=(server, client), daemon=True).start()
        try:
            while request := self._read(client):
                with self._lock:
                    loss = self._losses[0][1] if self._losses and self._losses[0][0] in request else None
                    if loss:
                        self._losses.pop(0)
                    else:
                        self.asked.append(request)
                if loss is None:
                    server.sendall(request)
                    continue
                self._lose(loss, request, client, server)
                return
        except OSError:
            pass
        finally:
            _end(client)
            _end(server)

    @staticmethod
    def _read(client: socket.socket) -> bytes:
        """One request; nothing if the client has gone."""
        return _request(client)

    def _lose(self, loss: Loss, request: bytes, client: socket.socket, server: socket.socket) -> None:
        late = socket.create_connection(("127.0.0.1", self._server), timeout=10)
        if loss == "both":
            self._late.append((late, request))
            return
        if loss == "reply":
            # On a connection of its own, so that it surely is done before the client notices anything.
            late.sendall(request)
            assert late.recv(65_536)
        late.close()


def _request(client: socket.socket) -> bytes:
    """One request: an array of texts, each with its length before it. Nothing if the client has gone."""
    data = client.recv(1 << 16)
    while data and not _is_whole(data):
        more = client.recv(1 << 16)
        if not more:
            return b""
        data += more
    return data


def _is_whole(data: bytes) -> bool:
    """Whether the requests in it are (several, when a connection is made)."""
    place = 0
    while place < len(data):
        end = data.find(b"\r\n", place)
        if end < 0:
            return False
        count, place = int(data[place + 1 : end]), end + 2
        for _ in range(count):
            end = data.find(b"\r\n", place)
            if end < 0:
                return False
            place = end + 2 + int(data[place + 1 : end]) + 2
    return place == len(data)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    _end(target)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
