"""Numbers as words, where more than one package says them."""


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.1 h`, `41 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours = seconds / 3600
    return f"{60 * hours:.0f} min" if seconds < 6000 else f"{hours:.{1 if hours < 10 else 0}f} h"
