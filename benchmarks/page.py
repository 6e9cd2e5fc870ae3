"""Tables that are written into pages: between markers, so that the words around them stay."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

__all__ = ["rewritten", "row"]


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def rewritten(text: str, blocks: Mapping[str, str], page: str) -> str:
    """Return a page with the text between the markers of each block replaced.

    Args:
        text: of the page.
        blocks: what stands between `<!-- figures: NAME -->` and `<!-- end of figures: NAME -->`, by name.
        page: its name, for the sentence with which the program ends where a marker is missing.
    """
    for name, body in blocks.items():
        first, last = f"<!-- figures: {name} -->", f"<!-- end of figures: {name} -->"
        before, found, rest = text.partition(first)
        _, ended, after = rest.partition(last)
        if not found or not ended:
            sys.exit(f"{page} lacks {first} or {last}")
        text = f"{before}{first}\n\n{body}\n\n{last}{after}" if body else f"{before}{first}\n{last}{after}"
    return text
