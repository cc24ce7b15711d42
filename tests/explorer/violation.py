"""`Violation`: what the explorer looks for."""


class Violation(AssertionError):
    """A guarantee does not hold."""


def require(holds: object, what: str) -> None:
    if not holds:
        raise Violation(what)
