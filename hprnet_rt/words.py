"""Numbers in sentences: how many of what, and how long."""

from __future__ import annotations

from typing import Final

__all__ = ["counted", "duration", "shown_backend"]

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_PLURALS: Final = {"person": "people", "copy": "copies"}
"""Those that do not end in s, or not in s alone."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 frame", "0 frames", "2 people".

    Args:
        number: 0 or more.
        noun: in the singular, perhaps behind an adjective ("hidden file").
    """
    if number == 1:
        return f"1 {noun}"
    *before, last = noun.split(" ")
    return " ".join([f"{number}", *before, _PLURALS.get(last, f"{last}s")])


def shown_backend(description: str) -> str:
    """Return a backend's description as it is printed: one of a single thread, too, is kept in files as
    "1 threads", by which outputs are known again.
    """
    return description.replace(", 1 threads", ", 1 thread")


def duration(seconds: float) -> str:
    """Return a time as people say it: "0.4 s", "12.3 s", "2 min 5 s", "1 h 2 min"."""
    if round(seconds, 1) < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
