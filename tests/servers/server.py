"""What all servers of the tests have in common: a folder of data, a port of 127.0.0.1, and the ways in which one ends."""

import os
import pwd
import random
import signal
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final

from tests.servers.kept import TIMEOUT, Process, keeper, wait_until_ready

USER: Final = "mainspring"
PASSWORD: Final = "a-password"
DATABASE: Final = "mainspring"

PORTS: Final = range(12_000, 32_000)
"""Below those that the system gives to clients (Linux: from 32,768): while a server is down, nobody is given its port."""
ATTEMPTS: Final = 20
"""How many ports are tried, should others take them just before our server does."""


class MissingProgramError(Exception):
    """The server's program is not installed. The message names it, and Debian's package."""


class Server(ABC):
    """A server with data of its own, which outlive a stop and a kill, but not the test session."""

    name: ClassVar[str]
    port: int

    def __init__(self) -> None:
        """Make the data; it does not run yet. MissingProgramError if it is not installed."""
        self._programs()
        self.port = 0
        self._keeper = keeper()
        self._folder = self._keeper.folder / self._keeper.new_name(self.name)
        self._log = self._folder.with_name(f"{self._folder.name}.log")
        self._process: Process | None = None
        self._make_data()

    @property
    @abstractmethod
    def url(self) -> str:
        """What a store connects to (SQLAlchemy's URL, or Redis's)."""

    def start(self) -> None:
        """Start it, and wait until it answers: on a free port, or the one that it had before."""
        assert not self.running, f"{self.name} runs already"
        if self.port:
            self._start()
            return
        for _ in range(ATTEMPTS):
            self.port = free_port()
            try:
                self._start()
                return
            except AssertionError:
                if is_free(self.port):
                    raise  # it was not for the port
                self.end()
        raise AssertionError(f"{self.name} was given none of {ATTEMPTS} ports: {self.log()[-5_000:]}")

    def stop(self) -> None:
        """Shut it down as an administrator does, and wait for the end."""
        assert self._process is not None
        self._process.send_all(signal.SIGCONT)
        self._process.send(self._stop_signal)
        assert self._process.wait(TIMEOUT), f"{self.name} does not stop: {self.log()[-5_000:]}"

    def kill(self) -> None:
        """End all of it at once, without its knowing (SIGKILL)."""
        assert self._process is not None
        assert self.running, f"{self.name} does not run"
        self._process.kill()

    def freeze(self) -> None:
        """Have it stand still (SIGSTOP): connections stay, new ones are accepted by the system, and nothing is answered."""
        assert self._process is not None
        self._process.freeze()

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_all(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """Of its (first) process."""
        assert self._process is not None
        return self._process.pid

    def end(self) -> None:
        """Whatever state it is in: it goes."""
        if self.running:
            self.kill()

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    def _start(self) -> None:
        argv = self._command()
        self._process = self._keeper.start(argv, user=self._user(), log=self._log, folder=self._folder)
        wait_until_ready(self._process, self._check, self._log, f"{self.name} on port {self.port}")

    _stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @classmethod
    @abstractmethod
    def _programs(cls) -> dict[str, Path]:
        """Where its programs are. MissingProgramError if one of them is not."""

    @abstractmethod
    def _make_data(self) -> None:
        """Make the folder, and what a server needs in it."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What to start."""

    def _check(self) -> None:
        """Raises something unless it answers a client with the driver that stores use."""
        folder = Path(self._data_folder())
        # Another's may have come first to the port, and ours not yet found out.
        assert folder == self._folder, f"port {self.port} is that of the server of {folder}"

    @abstractmethod
    def _data_folder(self) -> str:
        """Ask the server that answers where its data are."""

    @classmethod
    def _user(cls) -> str | None:
        """The user that it runs as; None: ours."""
        return None


class TemplateServer(Server):
    """A server whose first data take a program and a while: they are made once a session, and copied for each server."""

    _templates: ClassVar[dict[str, Path]] = {}

    def _make_data(self) -> None:
        if self.name not in self._templates:
            template = self._keeper.folder / f"{self.name}-template"
            self._make_folder(template)
            self._make_template(template)
            self._templates[self.name] = template
        self._make_folder(self._folder)
        self._run("cp", "-a", f"{self._templates[self.name]}/.", str(self._folder))

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        user = self._user()
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)

    def _run(self, *argv: str) -> None:
        self._keeper.run(argv, user=self._user(), log=self._log, folder=self._keeper.folder)

    @abstractmethod
    def _make_template(self, folder: Path) -> None:
        """Make the first data in this empty folder."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, so far."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))


def is_free(port: int) -> bool:
    """Whether a server could listen on it."""
    with socket.socket() as listener:
        # as servers do: connections of the last one that are still on record do not count
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def find_program(name: str, folders: list[Path], package: str) -> Path:
    """Where a program is: on the PATH, or in one of these folders. MissingProgramError."""
    for folder in [*map(Path, os.get_exec_path()), *folders]:
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise MissingProgramError(f"{name} is not installed (Debian: apt-get install {package})")
