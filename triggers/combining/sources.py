"""How a trigger that is made of others asks its parts: one way for ours, for a user's, and for those made of parts themselves.

All of them count into the `Steps` of the search that asks, so that a search through triggers inside of triggers is bounded as one.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final, Protocol

from ..base import BaseTrigger
from ..instants import FIRST_INSTANT, LAST_INSTANT, from_micros, to_micros

__all__ = ["MAX_LEAPS", "Instants", "Nested", "Plain", "Source", "Steps", "Walked"]

MAX_LEAPS: Final = 100_000
"""A search through several triggers takes at most so many steps before it gives up: some tenth of a second for triggers of ours."""


class Steps:
    """What is left of a search's steps: one for each question to a part or an exclusion. It may be overdrawn by the questions that are under way."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_LEAPS


class Instants(Protocol):
    """A set of instants, as `InstantTrigger` and `Progression` have it."""

    def next_after(self, instant: int) -> int | None: ...

    def previous_before(self, instant: int) -> int | None: ...

    def count_between(self, after: int, until: int) -> int: ...


class Source(Protocol):
    """A part as it is asked, within the steps of a search.

    Who asks says how far the answer matters. An answer up to there, inclusive, is exact; one that is beyond only says that there is no fire time before
    it, and None that there is none at all. So a part that never fires again does not hold up others that do.
    """

    def next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        """The first fire time later than *instant*."""

    def first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        """The first fire time not before *instant*, if it has not fired yet."""

    def previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        """The last fire time earlier than *instant*."""

    def count(self, after: int, until: int) -> int:
        """How many fire times are later than *after* and not later than *until*."""


class Plain:
    """A trigger of ours, or a progression: it answers at once, and always exactly."""

    __slots__ = ("_next", "_previous", "count", "instants")

    def __init__(self, instants: Instants) -> None:
        self.instants = instants
        self._next = instants.next_after
        self._previous = instants.previous_before
        self.count = instants.count_between

    def next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        steps.left -= 1
        return self._next(instant)

    def first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        steps.left -= 1
        return self._next(instant - 1)

    def previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        steps.left -= 1
        return self._previous(instant)


class Searching(Protocol):
    """A trigger that is made of parts, and searches."""

    holds_user_code: bool
    whole_seconds: bool

    def search_next(self, instant: int, steps: Steps, until: int) -> int | None: ...

    def search_first(self, instant: int, steps: Steps, until: int) -> int | None: ...

    def search_previous(self, instant: int, steps: Steps, since: int) -> int | None: ...

    def count_between(self, after: int, until: int) -> int: ...


class Nested:
    """A trigger that is made of parts itself. It may have searched far for an answer, so the last one is kept each way.

    Who asks from several moments before a distant fire time would have all the way to it searched each time. Safe to share between threads: what
    is kept is replaced as a whole.
    """

    __slots__ = ("_ahead", "_behind", "trigger")

    def __init__(self, trigger: Searching) -> None:
        self.trigger = trigger
        #: Later than the first instant there is no fire time before the second, which is one itself if the third says so; None: there is none at all.
        self._ahead: tuple[int, int | None, bool] = (1 << 62, None, True)
        #: The same backwards.
        self._behind: tuple[int, int | None, bool] = (-1 << 62, None, True)

    def next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        steps.left -= 1
        begin, fire, exact = self._ahead
        if begin <= instant and (fire is None or instant < fire):
            if fire is None or exact or fire > until:
                return fire
            # Goes on from there; but what a user's part answers may depend on the time that it is asked about.
            if self.trigger.holds_user_code:
                begin = instant
            else:
                instant = fire - 1
        else:
            begin = instant
        fire = self.trigger.search_next(instant, steps, until)
        self._ahead = (begin, fire, fire is None or fire <= until)
        return fire

    def first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        if not self.trigger.holds_user_code:
            return self.next(instant - 1, steps, until)
        steps.left -= 1
        return self.trigger.search_first(instant, steps, until)

    def previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        steps.left -= 1
        end, fire, exact = self._behind
        if instant <= end and (fire is None or fire < instant):
            if fire is None or exact or fire < since:
                return fire
            instant = fire + 1
        else:
            end = instant
        fire = self.trigger.search_previous(instant, steps, since)
        self._behind = (end, fire, fire is None or fire >= since)
        return fire

    def count(self, after: int, until: int) -> int:
        return self.trigger.count_between(after, until)


class Walked:
    """A user's trigger. It knows only its next fire time after a previous one, so there is no way back."""

    __slots__ = ("_trigger", "_zone")

    def __init__(self, trigger: BaseTrigger) -> None:
        self._trigger = trigger
        zone = getattr(trigger, "timezone", None)
        # A user's trigger may keep anything by that name: the name of a zone, say.
        self._zone = zone if isinstance(zone, tzinfo) else UTC

    def next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        """Asks with *instant* as the previous fire time and the present. Raises ValueError for an answer that is no fire time."""
        if instant >= LAST_INSTANT:
            return None
        previous = from_micros(max(instant, FIRST_INSTANT), self._zone)
        steps.left -= 1
        answer = self._ask(previous, previous)
        if answer is not None and answer <= instant:
            raise ValueError(
                f"{type(self._trigger).__name__}.get_next_fire_time() must return a time later than the previous fire time, "
                f"got {from_micros(answer, self._zone)} after {previous}"
            )
        return answer

    def first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        """Asks without a previous fire time, as the scheduler does for a new job."""
        steps.left -= 1
        answer = self._ask(None, from_micros(min(max(instant, FIRST_INSTANT), LAST_INSTANT), self._zone))
        # A single date answers with itself, past or not; that is no time of the combination.
        return answer if answer is None or answer >= instant else self.next(instant - 1, steps)

    def previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        raise one_way(self._trigger)

    def count(self, after: int, until: int) -> int:
        raise one_way(self._trigger)

    def _ask(self, previous: datetime | None, now: datetime) -> int | None:
        answer = self._trigger.get_next_fire_time(previous, now)
        if answer is None:
            return None
        if not isinstance(answer, datetime) or answer.tzinfo is None:
            raise ValueError(
                f"{type(self._trigger).__name__}.get_next_fire_time() must return None or a datetime with a timezone, got {answer!r}"
            )
        instant = to_micros(answer)
        return instant if instant <= LAST_INSTANT else None


def one_way(part: BaseTrigger) -> TypeError:
    """The error of a question that only triggers of ours can answer."""
    return TypeError(
        f"{part} is of a class of your own, {type(part).__name__}, which can only be asked for its next fire time: there is no "
        "previous_before() and no count_between() with such a part"
    )
