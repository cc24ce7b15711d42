"""`Reading`: the records of a store, read from their nodes, many requests under way together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from . import layout
from .calls import children, get
from .layout import RECORD_BUCKETS, Layout, Stored
from .link import IN_FLIGHT, Link

Settle = Callable[[str], bool]
"""Told the number of an addition, sees to it that it is complete or undone. Whether it is: False, while it goes on."""


class Reading:
    """Thread-safe."""

    def __init__(self, link: Link, paths: Layout, settle: Settle) -> None:
        self._link = link
        self._paths = paths
        self._settle = settle
        self._settled: set[str] = set()

    def by_id(self, job_ids: Sequence[str], payload: bool = False) -> dict[str, Stored]:
        """The records of these ids that there are."""
        names = [layout.name_of(job_id) for job_id in job_ids]
        return {stored.record.id: stored for stored in self.by_name(names, payload)}

    def by_name(self, names: Sequence[str], payload: bool = False) -> list[Stored]:
        """The records of the nodes of these names that there are."""
        found: list[Stored] = []
        page = IN_FLIGHT // 2 if payload else IN_FLIGHT
        for start in range(0, len(names), page):
            found += self._page(names[start : start + page], payload)
        return found

    def _page(self, names: Sequence[str], payload: bool) -> list[Stored]:
        found = self._read(names, payload)
        additions = {stored.addition for stored in found if stored.addition} - self._settled
        if not additions:
            return found
        settled = {number for number in additions if self._settle(number)}
        if len(self._settled) > 1_000:
            self._settled.clear()
        self._settled |= settled
        # What was being added is there by now, or it is not.
        return [stored for stored in self._read(names, payload) if stored.addition not in additions - settled]

    def _read(self, names: Sequence[str], payload: bool) -> list[Stored]:
        # The record first: should both change meanwhile, the payload is the later one, and no write compares with that.
        calls = [get(self._paths.record(name)) for name in names]
        if payload:
            calls += [get(self._paths.payload(name)) for name in names]
        answers = self._link.ask(calls)
        found = []
        for place, name in enumerate(names):
            if (
                answers[place] is None or not name
            ):  # no name: the server was asked for the bucket itself, which is no job
                continue
            data, stat = answers[place]
            stored = layout.load(name, data, stat.version)
            if payload:
                body = answers[len(names) + place]
                stored.record = replace(stored.record, payload=b"" if body is None else body[0])
            found.append(stored)
        return found

    def all(self, payload: bool = False) -> Iterator[Stored]:
        """All records."""
        names = self.names()
        page = 10 * IN_FLIGHT
        for start in range(0, len(names), page):
            yield from self.by_name(names[start : start + page], payload)

    def names(self) -> list[str]:
        """The names of all records."""
        lists = self._link.ask([children(self._paths.records_in(number)) for number in range(RECORD_BUCKETS)])
        return [name for names in lists for name in names or ()]

    def entries_of(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The entries that are in the index for the records of these names, as it is now."""
        buckets = sorted({layout.bucket_of(name) for name in names})
        lists = self._link.ask([children(self._paths.index_in(number)) for number in buckets])
        found: dict[str, list[str]] = {name: [] for name in names}
        for listed in lists:
            for entry in listed or ():
                name = layout.record_name_of(entry) if layout.is_entry(entry) else ""
                if name in found:
                    found[name].append(entry)
        return found
