"""A module that no hostile record may have imported."""


def run(*args: object) -> None:
    """Nothing: that the module is imported is what is noticed."""
