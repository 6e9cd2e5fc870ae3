"""Colours of the window, in HTML notation: calm, so that the picture stands out."""

from typing import Final

__all__ = [
    "ACCENT",
    "AGE",
    "AMBER",
    "BACKGROUND",
    "CARD",
    "EDGE",
    "MUTED",
    "RED",
    "STAGES",
    "TEXT",
    "WAITING",
]

BACKGROUND: Final = "#101318"
CARD: Final = "#181c23"
EDGE: Final = "#2a313c"
TEXT: Final = "#e3e7ed"
MUTED: Final = "#8d97a6"
ACCENT: Final = "#56c2b0"
AMBER: Final = "#e8b15c"
RED: Final = "#f0605a"

STAGES: Final = ("#4e8fd0", "#e59a4f", "#7fb069", "#a78bd4", "#d9768a", "#56c2b0", "#c9b458")
"""One per stage, in order; a longer pipeline begins again."""
WAITING: Final = "#4a5362"
AGE: Final = "#f4f6f9"
