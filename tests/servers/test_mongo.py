"""Where the tests' MongoDB comes from, when there is none on the machine."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers import MissingProgramError, mongo

MAVEN = """#!/bin/sh
for argument; do
    case $argument in -DoutputDirectory=*) touch "${argument#*=}/some.jar" ;; esac
done
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, the first on the PATH; and nothing has been fetched so far."""
    source = tmp_path / "mongodb"
    source.mkdir()
    for name in ("pom.xml", "Server.java"):
        (source / name).write_bytes((mongo.SOURCE / name).read_bytes())
    monkeypatch.setattr(mongo, "SOURCE", source)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")
    for name in ("java", "javac"):
        add(folder, name, "#!/bin/sh\n")
    return folder


def add(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def fetched() -> list[str]:
    return sorted(path.name for path in (mongo.SOURCE / "lib").iterdir())


def test_it_is_fetched_once_and_again_when_its_sources_change(programs: Path) -> None:
    add(programs, "mvn", MAVEN)
    first = mongo.classes()
    assert [path.name for path in first.iterdir()] == ["some.jar"]
    add(programs, "mvn", "#!/bin/sh\nexit 1\n")
    assert mongo.classes() == first
    add(programs, "mvn", MAVEN)
    (mongo.SOURCE / "Server.java").write_text("class Server {}")
    assert mongo.classes() != first
    assert len(fetched()) == 2


def test_sessions_that_fetch_it_at_once_do_not_spoil_each_other(programs: Path, tmp_path: Path) -> None:
    # Each waits until both are at it.
    pipes = [tmp_path / "one", tmp_path / "two"]
    for pipe in pipes:
        os.mkfifo(pipe)
    one, two = pipes
    add(
        programs,
        "mvn",
        f"{MAVEN}if mkdir {tmp_path}/first 2>/dev/null; then echo >{one}; read x <{two}; else read x <{one}; echo >{two}; fi\n",
    )
    with ThreadPoolExecutor(2) as pool:
        found = {pool.submit(mongo.classes).result for _ in range(2)}
        [folder] = {result() for result in found}
    assert fetched() == [folder.name]


def test_what_cannot_be_fetched_is_missing_and_leaves_nothing(programs: Path) -> None:
    add(programs, "mvn", "#!/bin/sh\necho 'Could not resolve the host'\nexit 1\n")
    with pytest.raises(
        MissingProgramError, match="could not be fetched from Maven's repository: Could not res"
    ):
        mongo.classes()
    assert not fetched()


def test_it_needs_maven_and_a_compiler(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(MissingProgramError, match=r"mvn is not installed \(Debian: apt-get install maven\)"):
        mongo.classes()
    add(programs, "mvn", MAVEN)
    (programs / "javac").unlink()
    with pytest.raises(MissingProgramError, match="apt-get install default-jdk-headless"):
        mongo.classes()
