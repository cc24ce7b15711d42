"""The loop: the whole of a scheduler's work between `start()` and `shutdown()`, as a generator that fits one screen.

It owns no thread, reads no clock and never blocks. It yields what it needs and is sent the answer:

- `Call(step)`: a step on a store, which may block; the driver runs it where blocking is allowed (at once in a thread; in a worker
  thread under an event loop), sends its result back, or throws what it raised;
- `Aside(step)`: a step for which nobody waits; the driver runs it where it holds up nobody (in a thread of its own; under virtual time at
  once), and comes back without an answer. So are asked: a store that has failed, and where there are several, each one that others share;
- `Wait(seconds)`: nothing to do for so long; the driver comes back then, or sooner if it is woken.

Everything between two yields (submissions, listeners, log) happens on the driver's own thread. Blocking, background and virtual-time
schedulers are drivers of a few lines over this same generator (`drivers.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ..jobstores.errors import ends_program
from .look import Look

if TYPE_CHECKING:
    from .engine import Engine
    from .port import Port


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for so many seconds (0 or more; bounded by the engine, so that a clock step is noticed)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """A step that may block; its result is to be sent back."""

    step: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Aside:
    """A step that may block for long, and raises nothing; nothing is sent back. It wakes the loop when it has ended."""

    step: Callable[[], None]


Loop: TypeAlias = Generator[Wait | Call | Aside, Any, None]


def run(engine: Engine) -> Loop:
    """Look at each store that has something due, and wait until the next one has.

    Ends when the engine is told to stop, and all that is on its way by then has come to its end.
    """
    while not engine.stopping or engine.looking:  # this 'while' loop right here is the scheduler
        engine.begin_pass()
        for port in engine.ports():
            if not engine.begin_look(port):
                continue
            try:
                look = look_beside_others if engine.may_hold_up(port) else look_at
                yield from look(engine, port)
            except BaseException as exc:
                if ends_program(exc) or isinstance(exc, GeneratorExit):
                    raise
                # Whatever a store raises concerns that store: it is tried again later, and the others go on.
                engine.store_failed(port, exc)
            finally:
                engine.end_look(port)
        yield Wait(engine.seconds_to_wait())


def look_beside_others(engine: Engine, port: Port) -> Loop:
    """The same pass as below as far as it goes without waiting: its steps are carried out aside, and who has answered is gone on with."""
    look = port.look = port.look or Look(look_at(engine, port))
    while (command := look.advance()) is not None:
        yield Aside(look.aside(command.step, engine.answered)) if isinstance(command, Call) else command
        if look.waits:
            return


def look_at(engine: Engine, port: Port) -> Loop:
    """One pass over one store: recover, claim, finish. What is due does not wait for the ends of other runs to be written.

    In memory it is finish, claim: there writing takes no time, and a run that has ended makes room for the next.
    """
    now = engine.clock.micros()
    if port.must_try(now):
        # A store that failed: whether it answers by now is found out where it does not hold up the others.
        yield Aside(engine.outages.attempt(port))
    engine.outages.heard(port)
    if port.must_settle_first(now):
        engine.settled(port, (yield Call(port.settle)))
    if not engine.may_claim or not (port.must_look(now) or port.must_recover(now, alone=True)):
        return
    if port.watch.must_measure(now):
        engine.measured(port, (yield Call(port.measure)))
    if port.must_recover(now):
        engine.recovered(port, (yield Call(partial(port.recover, now))))
    if not port.must_look(now):
        return
    # Leases count from `now`, and the steps so far may have waited long.
    now, wanted = engine.clock.micros(), engine.wanted(port)
    result = yield Call(partial(port.claim, now, wanted))
    # From here to the end of submit() nothing is cancelled: each claim that was won is submitted.
    engine.submit(port, result)
    progress = False
    if result.deferred:
        # What only other people's code can decide is restored and decided out here, then claimed if that still holds.
        prepared = yield Call(partial(port.prepare, result.deferred, now))
        progress = engine.quarantined(port, prepared.failed)
        if not engine.may_claim:
            port.ask(0)
            return
        # What was submitted has taken room, and what was imported has taken time.
        now, wanted = engine.clock.micros(), engine.wanted(port)
        result = yield Call(partial(port.claim, now, wanted, prepared.decided))
        engine.submit(port, result)
    if result.error is not None:
        raise result.error
    engine.looked(port, now, wanted, result, progress)
    if port.must_settle(engine.clock.micros()):
        engine.settled(port, (yield Call(port.settle)))
