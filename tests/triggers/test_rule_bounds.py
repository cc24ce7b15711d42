"""A rule's text that somebody else has written cannot keep a search busy for long."""

import pytest
from mainspring.triggers import RRuleTrigger


@pytest.mark.parametrize("name", ["RRULE", "EXRULE"])
def test_a_set_has_a_bounded_number_of_rules(name: str) -> None:
    rule = "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY\n"
    assert RRuleTrigger(rule + f"{name}:FREQ=YEARLY\n" * 199)
    with pytest.raises(ValueError, match=f"more than 200 lines of {name}"):
        RRuleTrigger(rule + f"{name}:FREQ=YEARLY\n" * 201)
