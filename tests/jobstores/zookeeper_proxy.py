"""A port that passes on to a ZooKeeper server, until it is told to lose something; and counts what is asked."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Literal

MULTI, GET, CHILDREN, PING, SYNC, SET = 14, 4, 8, 11, 9, 5
"""The numbers of requests."""

Loss = Literal["request", "reply", "late"]
"""What gets lost: the request; the answer to it; or the request is held back, until `deliver` has it arrive on its old connection."""


class Proxy:
    """Passes on whole messages; each loss ends the connection that it happens on."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._lock = Lock()
        self._losses: list[tuple[int, Loss]] = []
        self._late: list[tuple[socket.socket, bytes]] = []
        self.asked: list[int] = []
        """The numbers of the requests that were passed on, but for pings."""
        self.lost = Event()
        """All that was to get lost has got lost."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.port}"

    def lose(self, *losses: tuple[int, Loss]) -> None:
        """What gets lost of the next requests of these numbers, in this order."""
        with self._lock:
            self.lost.clear()
            self._losses += losses

    def deliver(self) -> bool:
        """Have the server get what is late. Whether it has answered it, instead of ending the connection."""
        answered = False
        for server, request in self._late:
            server.settimeout(10)
            with suppress(OSError):
                server.sendall(request)
                answered = any(True for _ in _messages(server))
            server.close()
        self._late.clear()
        return answered

    def close(self) -> None:
        """End all connections, and refuse new ones."""
        with suppress(OSError):  # accept() of another thread does not notice a close()
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
        swallowed: list[int] = []
        Thread(target=_answers, args=(server, client, swallowed), daemon=True).start()
        is_late = False
        try:
            for place, message in enumerate(_messages(client)):
                # The first one asks for a session; of others the number follows the one by which the answer is known.
                xid, number = struct.unpack_from("!ii", message, 4) if place else (0, 0)
                loss = self._loss(number)
                if loss == "request":
                    return
                if loss == "late":
                    is_late = True
                    self._ends.remove(server)
                    self._late.append((server, message))
                    return
                if loss == "reply":
                    swallowed.append(xid)
                server.sendall(message)
        except OSError:
            pass
        finally:
            _end(client)
            if not is_late:
                _end(server)

    def _loss(self, number: int) -> Loss | None:
        with self._lock:
            if number != PING and number > 0:
                self.asked.append(number)
            if not self._losses or self._losses[0][0] != number:
                return None
            loss = self._losses.pop(0)[1]
            if not self._losses:
                self.lost.set()
            return loss


def _answers(server: socket.socket, client: socket.socket, swallowed: list[int]) -> None:
    try:
        for place, message in enumerate(_messages(server)):
            if place and struct.unpack_from("!i", message, 4)[0] in swallowed:
                break
            client.sendall(message)
    except OSError:
        pass
    _end(client)


def _messages(source: socket.socket) -> Iterator[bytes]:
    """Whole messages, each with its length before it, until the connection ends."""
    data = b""
    while True:
        while len(data) < 4 or len(data) < 4 + struct.unpack_from("!i", data)[0]:
            more = source.recv(1 << 16)
            if not more:
                return
            data += more
        size = 4 + struct.unpack_from("!i", data)[0]
        yield data[:size]
        data = data[size:]


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
