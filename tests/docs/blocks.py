"""The pages, and the fenced blocks of code in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        place: page and line, as editors take it.
        language: what stands behind the fence.
        code: the lines between the fences.
        reason: why it is not run, as the comment before the fence says; empty where it is.
    """

    place: str
    language: str
    code: str
    reason: str


def blocks_of(page):
    """Return the blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            f"{page.name}:{text.count(chr(10), 0, found.start('code'))}",
            found["language"],
            found["code"],
            found["reason"] or "",
        )
        for found in _FENCE.finditer(text)
    ]


def indented_blocks_of(page):
    """Return the number of blocks that are marked as code by four spaces."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return len(re.findall(r"(?<=\n\n) {4}\S", text))


def commands_of(block):
    """Return the commands of a block of shell, each on one line."""
    lines = block.code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
