"""Run the Python lines of the README, as they stand, in the folder where this is called.

Blocks that need torch are compiled only. `image_bgr` and `image` are pictures, "video.mp4" is there, and the
camera is that file too, for there is none.
"""

import argparse
import re
from pathlib import Path

import numpy as np

import hprnet_rt


def blocks(text: str) -> list[str]:
    """The indented blocks that begin with an import."""
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", text, flags=re.MULTILINE)
    code = [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip() for block in found]
    return [block for block in code if block.startswith("import ")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readme", type=Path)
    parser.add_argument("--list", action="store_true", help="print them only")
    options = parser.parse_args()
    given = {"image_bgr": np.zeros((240, 320, 3), np.uint8), "image": np.zeros((240, 320, 3), np.uint8)}
    stream = hprnet_rt.stream
    hprnet_rt.stream = lambda source, **more: stream("video.mp4" if source == "0" else source, **more)
    found = blocks(options.readme.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"{options.readme} has no lines of Python")
    for block in found:
        code = compile(block, str(options.readme), "exec")
        if options.list or "import torch" in block:
            print(block)
            continue
        exec(code, dict(given))  # noqa: S102 - our own README
        print(f"ran {len(block.splitlines())} lines of {options.readme.name}")


if __name__ == "__main__":
    main()
