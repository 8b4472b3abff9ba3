"""Words of messages that several parts of the program say."""


def counted(number: int, singular: str) -> str:
    """A number with its noun: `1 picture`, `3 pictures`."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"


def chance(probability: float, digits: int = 1) -> str:
    """A probability, 0 to 1, in percent with so many digits behind the point; never 100% or 0% unless it is."""
    text, least = f"{probability:.{digits}%}", 10.0**-digits
    if probability < 1 and text == f"{1:.{digits}%}":
        return f">{100 - least:.{digits}f}%"
    if probability > 0 and text == f"{0:.{digits}%}":
        return f"<{least:.{digits}f}%"
    return text
