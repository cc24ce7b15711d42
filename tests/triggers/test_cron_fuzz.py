"""Five thousand well-formed, mutated and random cron texts: each gives a trigger or CronExpressionError, soon."""

from __future__ import annotations

from tests.triggers.fuzz_cron import fuzz


def test_any_text_gives_a_trigger_or_the_one_error_in_bounded_time() -> None:
    figures = fuzz(5_000, seed=4)  # raises whatever else comes out
    assert figures.inputs == 5_000
    # The inputs are worth something: many are understood, and many are not.
    assert figures.triggers > 1_500
    assert figures.errors > 1_500
    # A hundred times what they take, for a busy machine; an input that hangs is stopped by the timeout of the test.
    assert figures.slowest[0] < 1, figures.slowest
    assert figures.slowest_search[0] < 2, figures.slowest_search
