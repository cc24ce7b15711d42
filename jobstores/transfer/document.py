"""The file of exported jobs: one JSON document, with a line for each job, so that a large one can be written and read without holding it.

{"version":1,"scheduler_version":"0.1.0","jobs":[
{"id":…},
{"id":…}
]}

Any other layout of the same document is read as well, as a whole. A file that was cut off does not end, and is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from .errors import JobImportError

File: TypeAlias = "str | os.PathLike[str] | IO[str] | IO[bytes]"
"""A path, or an open file, text or binary."""

FORMAT: Final = 1
"""The version of the document that this library writes."""

_END: Final = b"]}"
_PIECE: Final = 1 << 20


def library_version() -> str:
    """The version of this library; "0" where it runs without being installed."""
    try:
        return version("mainspring")
    except PackageNotFoundError:
        return "0"


# -- writing -----------------------------------------------------------------------------------------------------------


def write_document(outfile: File, entries: Iterable[bytes]) -> int:
    """Write entries, each a JSON object in one line; answers how many they were. Nothing appears if one of them raises.

    A path gets a file that is complete and on the disk before it has that name, readable by its owner only. An open file gets everything at the end.
    """
    if isinstance(outfile, str | os.PathLike):
        path = Path(outfile)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                number = _write(file, entries)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        return number
    with tempfile.TemporaryFile() as file:
        number = _write(file, entries)
        file.seek(0)
        _copy(file, outfile)
    return number


def _write(file: IO[bytes], entries: Iterable[bytes]) -> int:
    header = json.dumps({"version": FORMAT, "scheduler_version": library_version()}, separators=(",", ":"))
    file.write(f'{header[:-1]},"jobs":['.encode())
    number = 0
    for entry in entries:
        file.write(b",\n" if number else b"\n")
        file.write(entry)
        number += 1
    file.write(b"\n" + _END + b"\n")
    return number


def _copy(file: IO[bytes], outfile: Any) -> None:
    if _is_text(outfile, "write"):
        with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            while piece := text.read(_PIECE):
                outfile.write(piece)
    else:
        while data := file.read(_PIECE):
            outfile.write(data)
    flush = getattr(outfile, "flush", None)
    if flush is not None:
        flush()


def _is_text(file: Any, method: str) -> bool:
    """Whether an open file takes, or gives, text."""
    if not hasattr(file, method):
        raise TypeError(
            f"expected a path or a file that is open to {method}, got {type(file).__name__}: {file!r}"
        )
    if method == "read":
        return isinstance(file.read(0), str)
    try:
        file.write("")
    except TypeError:
        return False
    return True


# -- reading -----------------------------------------------------------------------------------------------------------


class Document:
    """A file that can be read several times, from its beginning, and is closed behind the block that made it."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.digest: Final = self._digest()
        """What identifies its content."""

    def _digest(self) -> str:
        digest = hashlib.sha256()
        self._file.seek(0)
        while data := self._file.read(_PIECE):
            digest.update(data)
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Any]:
        """The entries. Raises `JobImportError` where the file is damaged, or is none of this kind."""
        self._file.seek(0)
        lines = _Lines(self._file)
        first = next(lines, b"")
        if not first.rstrip().endswith(b'"jobs":['):
            yield from self._whole()
            return
        self._check_header(self._parsed(first.rstrip() + _END, 1))
        for number, line in enumerate(lines, 2):
            text = line.strip()
            if text == _END:
                for rest in lines:
                    if rest.strip():
                        raise self._damaged(f"something follows its end, in line {number + 1}")
                return
            yield self._parsed(text.removesuffix(b","), number)
        raise self._damaged("it was cut off: its end is missing")

    def _whole(self) -> Iterator[Any]:
        self._file.seek(0)
        document = self._parsed(self._file.read(), None)
        self._check_header(document)
        yield from document["jobs"]

    def _parsed(self, text: bytes, number: int | None) -> Any:
        try:
            return json.loads(text.decode("utf-8-sig"), parse_constant=_refuse)
        except (ValueError, RecursionError) as exc:
            where = "it" if number is None else f"its line {number}"
            raise self._damaged(f"{where} is no JSON ({exc})") from exc

    def _check_header(self, document: Any) -> None:
        if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
            raise self._damaged(
                'expected a JSON object with "version" and "jobs", as export_jobs() writes it'
            )
        if document.get("version") != FORMAT:
            raise self._damaged(
                f"it has version {document.get('version')!r} (of mainspring {document.get('scheduler_version')!r}), and this library, "
                f"{library_version()}, knows version {FORMAT}: import it with a later one"
            )

    def _damaged(self, reason: str) -> JobImportError:
        return JobImportError([], f"{self._name} cannot be imported: {reason}")


class _Lines:
    """The lines of a file, as an iterator that may be asked again behind a loop over it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise StopIteration
        return line


@contextmanager
def opened(infile: File) -> Iterator[Document]:
    """The document in a file. An open file is read from where it stands, and left open."""
    if isinstance(infile, str | os.PathLike):
        with open(infile, "rb") as file:
            yield Document(file, os.fspath(infile))
        return
    source: Any = infile
    text = _is_text(source, "read")
    # Its own copy: it is read several times, and a pipe cannot be.
    with tempfile.TemporaryFile() as file:
        while piece := source.read(_PIECE):
            file.write(piece.encode("utf-8", "surrogatepass") if text else piece)
        yield Document(file, str(getattr(infile, "name", None) or "the file"))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
