"""Numbers as words, where more than one package says them."""


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def roughly(seconds: float) -> str:
    """`40 s`, `5 min`, `3 h`: an estimate, which is not known more precisely."""
    if seconds < 55:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{round(minutes / 60)} h"
