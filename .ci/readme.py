"""Run the Python lines of the README, as they stand, in the folder where this is called."""

import argparse
import re
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readme", type=Path)
    page = parser.parse_args().readme
    found = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"{page} has no lines of Python")
    for block in found:
        exec(compile(block, str(page), "exec"), {})  # noqa: S102 - our own README
        print(f"ran {len(block.splitlines())} lines of {page.name}")


if __name__ == "__main__":
    main()
