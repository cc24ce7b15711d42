"""MongoDB as the tests run it: `mongod` where it is installed, else a server in Java that speaks its protocol and comes from Maven's repository."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar, Final

from tests.servers.server import MissingProgramError, Server, find_program

SOURCE: Final = Path(__file__).with_name("mongodb")
FETCHING: Final = 240.0  # seconds: what has not come by then does not come


class MongoDB(Server):
    """What is written with `j: true`, as the store does, is in a file when it is answered."""

    name = "mongodb"
    _options: ClassVar[tuple[str, ...]] = ()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    @property
    def genuine(self) -> bool:
        """Whether it is MongoDB itself."""
        return "mongod" in self._programs()

    @classmethod
    def _programs(cls) -> dict[str, Path]:
        try:
            return {"mongod": find_program("mongod", [], "mongodb-server")}
        except MissingProgramError:
            return {"java": find_program("java", [], "default-jdk-headless"), "classes": classes()}

    def _make_data(self) -> None:
        self._folder.mkdir()

    def _command(self) -> list[str]:
        programs = self._programs()
        if "mongod" in programs:
            where = ["--dbpath", str(self._folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
            # Change streams, and majority writes that mean something, need a replica set: here one of one server.
            return [str(programs["mongod"]), *where, "--replSet", "tests", "--wiredTigerCacheSizeGB", "0.25"]
        return [
            str(programs["java"]),
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",  # a file outside of the folder
            "-cp",
            f"{programs['classes']}:{programs['classes']}/*",
            "Server",
            str(self._folder / "data"),
            str(self.port),
            *self._options,
        ]

    def _data_folder(self) -> str:
        import pymongo
        from pymongo.errors import OperationFailure

        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
            self.url, serverSelectionTimeoutMS=2_000, socketTimeoutMS=2_000
        )
        with client:
            if self.genuine and not client.admin.command("isMaster").get("ismaster"):
                members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
                try:
                    client.admin.command("replSetInitiate", {"_id": "tests", "members": members})
                except OperationFailure as error:
                    if error.code != 23:  # AlreadyInitialized: it was so before it was stopped
                        raise
                raise ConnectionError("it is not the primary yet")
            pid = client.admin.command("serverStatus")["pid"]
        # It does not tell its folder, but which process it is.
        return str(self._folder) if pid == self.pid else f"process {pid}"


class MongoDBWithChanges(MongoDB):
    """One that has change streams."""

    name = "mongodb-changes"
    _options = ("changes",)


def classes() -> Path:
    """The folder of the Java server and of what it needs, fetched when there is none. MissingProgramError if that is not possible."""
    sources = [SOURCE / "pom.xml", SOURCE / "Server.java"]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    folder = SOURCE / "lib" / digest[:12]
    if not folder.is_dir():
        maven, compiler = find_program("mvn", [], "maven"), find_program("javac", [], "default-jdk-headless")
        folder.parent.mkdir(exist_ok=True)
        # Beside it, and renamed when it is complete: another session may be at it, too, and one that is killed leaves no half of it.
        new = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
        try:
            _run(str(maven), "-B", "-q", "-f", str(sources[0]), _FETCH, f"-DoutputDirectory={new}")
            _run(str(compiler), "-cp", f"{new}/*", "-d", str(new), str(sources[1]))
            new.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


_FETCH: Final = "dependency:copy-dependencies"


def _run(*argv: str) -> None:
    try:
        subprocess.run(
            argv,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=FETCHING,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.CalledProcessError as error:
        raise _missing(str(error.stdout)[-1_000:]) from None
    except subprocess.TimeoutExpired:
        raise _missing(f"{argv[0]} has not ended in {FETCHING:g} s") from None


def _missing(reason: str) -> MissingProgramError:
    return MissingProgramError(
        f"there is no mongod, and the server that stands in for it could not be fetched from Maven's repository: {reason.strip()}"
    )
