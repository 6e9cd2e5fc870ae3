"""What the figures were measured on, and how they are written down."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
_LIBRARIES = ("hprnet-rt", "openvino", "onnxruntime", "numpy", "numba", "opencv-python-headless", "av")


def machine() -> dict[str, Any]:
    """Processor, cores, system and library versions."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    values = np.percentile(np.asarray(seconds) * 1e3, [50, 95, 99])
    return {name: round(float(v), 4) for name, v in zip(("p50", "p95", "p99"), values, strict=True)}


def rss_mib() -> float | None:
    """Memory of this process now, None where the system does not say."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def heading(title: str, info: dict[str, Any]) -> None:
    """Print the title and the machine."""
    print(title)
    print(f"{info['processor']}, {info['cores']} cores, Python {info['python']}")
    print(", ".join(f"{name} {version}" for name, version in info["versions"].items()))


def save(name: str, data: dict[str, Any]) -> None:
    """Write results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    print(f"written to benchmarks/results/{path.name}")
