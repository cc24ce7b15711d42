"""PostgreSQL, MariaDB, Redis and ZooKeeper as the tests run them (MongoDB: `mongo.py`): nothing read from the machine's configuration, and what is committed is on disk."""

import os
import pwd
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.servers.mongo import MongoDB
from tests.servers.server import (
    DATABASE,
    PASSWORD,
    USER,
    MissingProgramError,
    Server,
    TemplateServer,
    find_program,
)


class PostgreSQL(TemplateServer):
    """It refuses to run as root, so for root it runs as the user that Debian's package makes."""

    name = "postgresql"
    # "fast": it ends its sessions; SIGTERM would wait for its clients to leave
    _stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    @classmethod
    def _programs(cls) -> dict[str, Path]:
        # Debian keeps those of each version in a folder of its own, beside the PATH.
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        if os.geteuid() == 0:
            try:
                pwd.getpwnam("postgres")
            except KeyError:
                raise MissingProgramError(
                    "PostgreSQL does not run as root, and there is no user `postgres`"
                ) from None
        return {name: find_program(name, versions, "postgresql") for name in ("initdb", "postgres")}

    @classmethod
    def _user(cls) -> str | None:
        return "postgres" if os.geteuid() == 0 else None

    def _make_template(self, folder: Path) -> None:
        programs = self._programs()
        password = self._keeper.folder / "password"
        password.write_text(f"{PASSWORD}\n")
        # Collation by ICU orders text as people do, and not by code points: no store may count on the latter.
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        self._run(
            str(programs["initdb"]),
            f"--pgdata={folder}",
            f"--username={USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--no-sync",  # it is thrown away after the tests
            *locale,
        )
        single = f"echo 'CREATE DATABASE {DATABASE}' | {programs['postgres']} --single -D {folder} postgres"
        self._run("/bin/sh", "-c", single)

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in the folder, and so gone with it, also after a kill
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
        }
        settings = [f"--{name}={value}" for name, value in options.items()]
        return [str(self._programs()["postgres"]), "-D", str(self._folder), *settings]

    def _data_folder(self) -> str:
        import psycopg

        with psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
            assert row is not None
            return str(row[0])


class MariaDB(TemplateServer):
    """With the character set that it has by default, which is not Unicode: a store names what it needs."""

    name = "mariadb"

    @property
    def url(self) -> str:
        return f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    @classmethod
    def _programs(cls) -> dict[str, Path]:
        folders = [Path("/usr/sbin"), Path("/usr/local/sbin")]
        names = ("mariadbd", "mariadb-install-db")
        return {name: find_program(name, folders, "mariadb-server") for name in names}

    def _make_template(self, folder: Path) -> None:
        self._run(
            str(self._programs()["mariadb-install-db"]),
            "--no-defaults",
            f"--datadir={folder}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *self._settings(),
        )

    def _settings(self) -> list[str]:
        return [*(["--user=root"] if os.geteuid() == 0 else []), "--innodb-log-file-size=16M"]

    def _command(self) -> list[str]:
        # Executed at each start.
        accounts = self._folder / "accounts.sql"
        accounts.write_text(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
            f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        return [
            str(self._programs()["mariadbd"]),
            "--no-defaults",
            f"--datadir={self._folder}",
            f"--tmpdir={self._folder}",
            f"--init-file={accounts}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--socket=socket",  # in the folder of data: the name of a socket is limited to some hundred characters
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=1",
            *self._settings(),
        ]

    def _data_folder(self) -> str:
        import pymysql

        with pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            database=DATABASE,
            connect_timeout=2,
            read_timeout=2,
        ) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT @@datadir")
            row = cursor.fetchone()
            assert row is not None
            return str(row[0])


class Redis(Server):
    """Each write is on disk before it is answered (`appendfsync always`)."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @classmethod
    def _programs(cls) -> dict[str, Path]:
        return {"redis-server": find_program("redis-server", [], "redis-server")}

    def _make_data(self) -> None:
        self._folder.mkdir()

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "databases": "16",
        }
        settings = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(self._programs()["redis-server"]), *settings]

    def _data_folder(self) -> str:
        import redis

        with redis.Redis.from_url(
            self.url, socket_timeout=2, socket_connect_timeout=2, decode_responses=True
        ) as client:
            return str(client.config_get("dir")["dir"])


class ZooKeeper(Server):
    """One server, and no ensemble. Each write is on disk before it is answered (`forceSync`)."""

    name = "zookeeper"

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @classmethod
    def _programs(cls) -> dict[str, Path]:
        jars = {name: Path(f"/usr/share/java/{name}.jar") for name in ("zookeeper", "slf4j-simple")}
        for jar in jars.values():
            if not jar.exists():
                raise MissingProgramError(f"{jar} is missing (Debian: apt-get install libzookeeper-java)")
        return {"java": find_program("java", [], "default-jre-headless"), **jars}

    def _make_data(self) -> None:
        self._folder.mkdir()

    def _command(self) -> list[str]:
        settings = {
            # Half the shortest session that a client may ask for, in ms: some tests wait until theirs has ended.
            "tickTime": "200",
            "maxSessionTimeout": "60000",
            "dataDir": str(self._folder),
            "clientPort": str(self.port),
            "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": "0",  # all tests come from one address
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "conf",
        }
        file = self._folder / "zoo.cfg"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        programs = self._programs()
        options = {
            "zookeeper.forceSync": "yes",
            "zookeeper.preAllocSize": "1024",  # KB of a log that are made at once; 64 MB otherwise
            "org.slf4j.simpleLogger.defaultLogLevel": "warn",
        }
        return [
            str(programs["java"]),
            # it starts sooner, and takes no more of the machine than it needs
            *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms16m", "-Xmx768m"),
            "-XX:-UsePerfData",  # a file in /tmp, which would stay behind it
            *(f"-D{name}={value}" for name, value in options.items()),
            "-classpath",
            f"{programs['zookeeper']}:{programs['slf4j-simple']}",
            "org.apache.zookeeper.server.ZooKeeperServerMain",
            str(file),
        ]

    def _data_folder(self) -> str:
        from kazoo.client import KazooClient

        client = KazooClient(self.url, timeout=2.0)
        try:
            client.start(timeout=2.0)
            answer = client.command(b"conf")
        finally:
            client.stop()
            client.close()
        settings = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
        return str(Path(settings["dataDir"]).parent)  # in a folder of its own there, named after their format


KINDS: Sequence[type[Server]] = (PostgreSQL, MariaDB, Redis, MongoDB, ZooKeeper)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdecimal())
