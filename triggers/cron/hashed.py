"""Hashed cron fields: ``H`` in a field becomes a value that depends on the job, so that a thousand jobs "once an hour" do not all run at the same minute.

    H           one of the values of the field (day: 1 to 28, week: 1 to 52, so that every month and year has it)
    H(0-29)     one of these
    H/15        every 15, beginning with one of the first 15 values
    H(0-29)/10  every 10 within 0 to 29, beginning with one of the first 10

The value is a hash of the job's id and the name of the field: another job has others, the fields of one job are independent, and it stays the same for ever, in every process
and in every version of this library (`tests/triggers/test_hashed.py` pins it). As in Jenkins, where this notation comes from, all terms of a field draw the same number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from .days import any_date, never_fires
from .fields import FIELD_NAMES, MONTHS, WEEKDAYS, hashed_values, parse_fields

__all__ = ["job_seed", "settle"]

_DATE_FIELDS = FIELD_NAMES[:5]  # they say on which dates


def job_seed(job_id: str) -> int:
    """64 bits of the hash of a job's id."""
    # Any str may be an id, even one that UTF-8 does not take.
    return _hash(job_id.encode("utf-8", "surrogatepass"))


def settle(texts: Sequence[str | None], seed: int, either: bool = False) -> tuple[str | None, ...]:
    """*texts* (lower case, in the order of FIELD_NAMES) with every hashed term replaced by the value or values that *seed* gives it.

    *either*: day or day_of_week must match; else both. If no date would match the values that were drawn (``day=31, month="H"`` with a short month),
    the next ones are taken. Raises CronExpressionError for text that is not understood, and if no date matches any of them.
    """
    hashed = {
        name: terms
        for name, text in zip(FIELD_NAMES, texts, strict=True)
        if (terms := _hashed_terms(name, text))
    }
    if not hashed.keys().isdisjoint(_DATE_FIELDS):
        fields = parse_fields(texts)
        if not any_date(fields, either):
            raise never_fires(fields)
    settled = list(texts)
    for name, terms in hashed.items():
        i = FIELD_NAMES.index(name)
        drawn = _hash(seed.to_bytes(8, "big") + name.encode())
        for candidate in _candidates(name, (texts[i] or "").split(","), terms, drawn):
            settled[i] = candidate
            # Fields that are still to be settled stand for all that they may become. So one of the candidates passes, and then one of the next field.
            if name not in _DATE_FIELDS or any_date(parse_fields(settled), either):
                break
    return tuple(settled)


# The values of which a hashed term chooses, and its step, by its place in the field.
_Terms = dict[int, tuple[list[int], int | None]]


def _hashed_terms(name: str, text: str | None) -> _Terms:
    if text is None or "h" not in text:
        return {}
    found = {i: hashed_values(name, text, term) for i, term in enumerate(text.split(","))}
    return {i: choice for i, choice in found.items() if choice is not None}


def _candidates(name: str, parts: list[str], terms: _Terms, drawn: int) -> Iterator[str]:
    """What the field may become, beginning with what was drawn. Each value of each term is in one of them."""
    for further in range(max(len(values) if step is None else step for values, step in terms.values())):
        for i, (values, step) in terms.items():
            parts[i] = _settled(name, values, step, drawn + further)
        yield ",".join(parts)


def _settled(name: str, values: list[int], step: int | None, drawn: int) -> str:
    if step is None:
        return _shown(name, values[drawn % len(values)])
    chosen = values[drawn % step :: step]
    if len(chosen) > 1 and values == list(range(values[0], values[-1] + 1)):
        return f"{_shown(name, chosen[0])}-{_shown(name, values[-1])}/{step}"
    return ",".join(_shown(name, value) for value in chosen)


def _shown(name: str, value: int) -> str:
    if name == "month":
        return MONTHS[value - 1]
    return WEEKDAYS[value] if name == "day_of_week" else str(value)


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
