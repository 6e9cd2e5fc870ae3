"""Helpers of the scripts in this folder: they print the machine and save the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hprnet_rt.bench import machine as facts
from hprnet_rt.bench.machine import machine, percentiles_ms, rss_mib

__all__ = ["RESULTS", "heading", "machine", "percentiles_ms", "rss_mib", "save"]

RESULTS = Path(__file__).parent / "results"


def heading(title: str, info: dict[str, Any]) -> None:
    """Print a title and the machine."""
    print(title)
    print(facts.heading(info))


def save(name: str, data: dict[str, Any]) -> None:
    """Write the data to results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    print(f"written to benchmarks/results/{path.name}")
