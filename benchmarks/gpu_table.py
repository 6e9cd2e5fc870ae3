"""Write the tables of docs/gpu.md: what was measured on GPUs, and what each layer costs by arithmetic.

    python benchmarks/gpu_table.py

Each results/gpu*.json that `benchmarks/gpu.py --save` has written becomes a table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import page

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "gpu.md"
WAYS = {
    "ours": "ours: network and decode, then grouping of 20 people",
    "ours, two on their way": "ours, two batches on their way",
    "dense": "dense heads, on the GPU alone",
    "released": "released: dense maps to the host, decoded there",
}
GROUPS = "profile"


def measured(results: Path) -> str:
    """Return a table for every file of results of a GPU, in the order of their names."""
    found = [(path, json.loads(path.read_text())) for path in sorted(results.glob("gpu*.json"))]
    return "\n\n".join(table(path.name, data) for path, data in found if not data["settings"]["dry"])


def table(name: str, data: dict[str, Any]) -> str:
    facts, settings = data["machine"], data["settings"]
    title = (
        f"`{name}`: {settings['model']} at {settings['size']}, {settings['precision']}; "
        f"{', '.join(facts['gpu'])}, driver {facts['driver']}, {facts['processor']}, "
        f"PyTorch {facts['versions']['torch']}"
    )
    times = data.get("torch")
    if not isinstance(times, dict):
        return f"{title}\n\nNothing was measured: {times}"
    batches = list(times)
    lines = [title, "", page.row(["a frame, median (p95)", *(f"with {batch}" for batch in batches)])]
    lines.append(page.row(["---"] * (1 + len(batches))))
    for way, words in WAYS.items():
        wholes = [times[batch][way]["end to end"] for batch in batches]
        lines.append(page.row([words, *(f"{each['p50']:.2f} ms ({each['p95']:.2f})" for each in wholes)]))
    lines += [page.row([GROUPS, *cells]) for cells in profiled(data.get(GROUPS), batches)]
    return "\n".join(lines)


def profiled(profile: Any, batches: list[str]) -> list[list[str]]:
    """Return the cells of a row about kernels; nothing where none were counted."""
    if not isinstance(profile, dict):
        return []
    whole = [profile[batch]["all"] for batch in batches]
    return [[f"{each['ms a frame']:.2f} ms in {each['kernels a frame']:.0f} kernels" for each in whole]]


def arithmetic(_results: Path) -> str:
    """Return the table of the layers of DLA-34 for the first of the known chips."""
    from hprnet_rt.bench.arithmetic import CHIPS, layers_of, table_of

    chip = CHIPS[0]
    return f"hprnet-dla34 at 512, one image, {chip.name}\n\n{table_of(layers_of('hprnet-dla34', 512), chip)}"


BLOCKS = {"measured": measured, "arithmetic": arithmetic}


def rewritten(text: str, results: Path = RESULTS) -> str:
    """Return the page with its tables made anew."""
    return page.rewritten(text, {name: make(results) for name, make in BLOCKS.items()}, "docs/gpu.md")


def main() -> None:
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
