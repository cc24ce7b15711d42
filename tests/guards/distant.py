"""A job store on a server that a test takes away, freezes and brings back; and that has a clock of its own."""

from collections.abc import Callable
from pathlib import Path
from threading import Condition, Event
from typing import Any

from mainspring.jobstores.base import StoreUnreachableError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.scheduler.watching import TIMEOUT

EVERYTHING = "everything"


class Server:
    """What the stores of one test ask. Away: every question is refused. Frozen: questions wait until it is thawed, or away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.time: Callable[[], int | None] = lambda: None
        """What the server's clock says, µs UTC."""
        self._away = False
        self._frozen: str | None = None
        self._waiting: list[str] = []
        self._changed = Condition()

    def answer(self, question: str) -> None:
        with self._changed:
            self.asked.append(question)
            self._changed.notify_all()
            if self._frozen in (EVERYTHING, question):
                self._waiting.append(question)
                # Twice as long as a test waits for anything: then it has failed.
                self._changed.wait_for(lambda: self._frozen not in (EVERYTHING, question), 2 * TIMEOUT)
                self._waiting.remove(question)
            if self._away:
                raise StoreUnreachableError(f"connection refused ({question})")

    def go_away(self) -> None:
        """Refuse every question, those that wait included."""
        with self._changed:
            self._away, self._frozen = True, None
            self._changed.notify_all()

    def freeze(self, question: str = EVERYTHING) -> None:
        """Answer nobody, or nobody who asks this."""
        with self._changed:
            self._frozen = question

    def come_back(self) -> None:
        """Answer everybody, those that wait included."""
        with self._changed:
            self._away, self._frozen = False, None
            self._changed.notify_all()

    def wait_for_question(self, question: str) -> None:
        """Until somebody waits for the answer to this one."""
        with self._changed:
            came = self._changed.wait_for(lambda: question in self._waiting, TIMEOUT)
            assert came, f"nobody waits for {question}, only for {self._waiting}"

    def wait_until_asked(self, question: str, count: int = 1) -> None:
        """Until this was asked so often, answered or not."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.asked.count(question) >= count, TIMEOUT)
            assert came, f"{question} was asked {self.asked.count(question)} times, and not {count}"

    @property
    def waiting(self) -> int:
        """How many wait for an answer."""
        with self._changed:
            return len(self._waiting)


class DistantJobStore(SQLAlchemyJobStore):
    """A shared store (an SQLite file) behind such a server."""

    def __init__(self, folder: Path, server: Server | None = None, **options: Any) -> None:
        super().__init__(f"sqlite:///{folder / 'jobs.sqlite'}", **options)
        self.server = server or Server()
        self.open = False
        self.closed = Event()
        """Set when it is shut down."""

    def start(self, scheduler: Any, alias: str) -> None:
        assert not self.open, "started twice"
        self.server.answer("start")
        super().start(scheduler, alias)
        self.open = True

    def shutdown(self) -> None:
        self.open = False
        super().shutdown()
        self.closed.set()

    def server_time(self) -> int | None:
        self.server.answer("server_time")
        return self.server.time()


def _asks_the_server(method: str) -> Callable[..., Any]:
    def ask(self: DistantJobStore, *args: Any, **kwargs: Any) -> Any:
        self.server.answer(method)
        return getattr(super(DistantJobStore, self), method)(*args, **kwargs)

    return ask


for method in (
    "claim_due",
    "extend_leases",
    "find_job",
    "find_jobs",
    "finish_runs",
    "give_back",
    "insert",
    "overdue_executors",
    "peek",
    "read",
    "read_all",
    "recover",
    "remove",
    "remove_all_jobs",
    "restore",
    "write",
):
    setattr(DistantJobStore, method, _asks_the_server(method))
