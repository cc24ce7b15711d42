"""The file: how it is laid out, what is read as one, and that it appears as a whole or not at all."""

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mainspring.jobstores.transfer import JobImportError
from mainspring.jobstores.transfer.document import library_version, opened, write_document

ENTRIES = [b'{"id":"a","n":1}', '{"id":"é"}'.encode(), b'{"id":"c"}']
READ: list[dict[str, Any]] = [{"id": "a", "n": 1}, {"id": "é"}, {"id": "c"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.json"
    write_document(path, ENTRIES)
    return path


def read(file: Any) -> list[Any]:
    with opened(file) as document:
        entries = [*document]
        assert [*document] == entries  # as often as one likes
        return entries


def test_each_job_has_a_line_of_one_json_document(path: Path) -> None:
    text = path.read_text("utf-8")
    assert json.loads(text) == {"version": 1, "scheduler_version": library_version(), "jobs": READ}
    assert [line.strip(",") for line in text.splitlines()[1:-1]] == [entry.decode() for entry in ENTRIES]
    assert read(path) == READ
    assert read(str(path)) == READ


def test_a_file_without_jobs(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    assert write_document(path, []) == 0
    assert json.loads(path.read_text())["jobs"] == []
    assert read(path) == []


@pytest.mark.parametrize("indent", [None, 2])
def test_any_layout_of_the_same_document_is_read(path: Path, indent: int | None) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")), indent=indent))
    assert read(path) == READ


def test_windows_lines_and_a_byte_order_mark_are_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(path) == READ


@pytest.mark.parametrize("make", [io.BytesIO, io.StringIO])
def test_open_files_take_and_give_text_or_bytes(path: Path, make: type[Any]) -> None:
    file = make()
    assert write_document(file, ENTRIES) == 3
    written = file.getvalue()
    assert (written if isinstance(written, bytes) else written.encode()) == path.read_bytes()
    file.seek(0)
    assert read(file) == READ
    assert not file.closed


def test_a_pipe_is_read_though_it_can_be_read_once_only(path: Path) -> None:
    end, start = os.pipe()
    with open(start, "wb") as file:
        file.write(path.read_bytes())
    with open(end, "rb") as pipe:
        assert read(pipe) == READ


@pytest.mark.parametrize("file", [7, None, object()])
def test_what_is_no_file_is_refused(file: Any) -> None:
    with pytest.raises(TypeError, match="expected a path or a file that is open to write"):
        write_document(file, ENTRIES)
    with pytest.raises(TypeError, match="expected a path or a file that is open to read"):
        read(file)


def failing() -> Iterator[bytes]:
    yield ENTRIES[0]
    raise ZeroDivisionError


def test_nothing_appears_if_something_raises(tmp_path: Path, path: Path) -> None:
    before = path.read_bytes()
    for name in ("jobs.json", "new.json"):
        with pytest.raises(ZeroDivisionError):
            write_document(tmp_path / name, failing())
    buffer = io.StringIO()
    with pytest.raises(ZeroDivisionError):
        write_document(buffer, failing())
    assert buffer.getvalue() == ""
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == before


def test_only_its_owner_can_read_it(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_file_that_is_cut_off_is_noticed(path: Path) -> None:
    whole = path.read_bytes().rstrip()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(JobImportError, match="cannot be imported"):
            read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("[]", 'expected a JSON object with "version" and "jobs"'),
        ('{"jobs":{}}', 'expected a JSON object with "version" and "jobs"'),
        ('{"version":2,"scheduler_version":"9.0","jobs":[]}', "it has version 2 (of mainspring '9.0')"),
        ('{"version":2,"scheduler_version":"9.0","jobs":[\n]}', "it has version 2 (of mainspring '9.0')"),
        ('{"version":1,"jobs":[\n{"id":NaN}\n]}', "its line 2 is no JSON (NaN is not JSON)"),
        ('{"version":1,"jobs":[\n{"id":1}\n]}\n{}', "something follows its end, in line 4"),
        ("{" * 100_000, "is no JSON"),
        ("\xff", "is no JSON"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(path: Path, text: str, message: str) -> None:
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(JobImportError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path} cannot be imported: ")
    assert message in str(raised.value)


def test_the_digest_is_that_of_the_content(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(path.read_bytes())
    with opened(path) as one, opened(other) as two:
        assert one.digest == two.digest
    write_document(other, ENTRIES[:2])
    with opened(path) as one, opened(other) as two:
        assert one.digest != two.digest
