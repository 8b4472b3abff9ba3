"""Words of messages that several parts of the program say."""


def counted(number: int, singular: str) -> str:
    """A number with its noun: `1 picture`, `3 pictures`."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"
