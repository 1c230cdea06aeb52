"""Numbers with their nouns and units, written as a person would say them."""


def plural(noun: str) -> str:
    """Returns the plural of a noun, or of a group of words that ends in one."""
    if noun.endswith(("s", "x", "tch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def counted(number: float, noun: str) -> str:
    """Returns a number of things: `1 image`, `2 classes`, `1,234 images`, `0.5 minutes`.

    Args:
        number: Number of things.
        noun: Name of one thing.
    """
    how_many = f"{int(number):,}" if number == int(number) else f"{number:g}"
    return f"{how_many} {noun if number == 1 else plural(noun)}"


def percent(fraction: float, decimals: int = 1) -> str:
    """Returns a fraction in percent: `54.3 %`."""
    return f"{100 * fraction:.{decimals}f} %"


def pace(per_second: float) -> str:
    """Returns a rate as text: `4.6/s`, or `12.5 s each` below one per second."""
    if not per_second:
        return "?/s"
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"


def duration(seconds: float) -> str:
    """Returns a time span: `42 s`, `3 min 20 s`, `5 h 7 min` or `2 d 4 h`."""
    seconds = round(seconds)
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // part:.0f} {part_unit}"
    return f"{seconds:.0f} s"
