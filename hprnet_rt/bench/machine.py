"""The machine on which figures are measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.machine import cpu

__all__ = ["heading", "identity", "machine", "percentiles_ms", "rss_mib"]

_LIBRARIES: Final = (
    "hprnet-rt",
    "openvino",
    "onnxruntime",
    "numpy",
    "numba",
    "opencv-python-headless",
    "av",
    "torch",
)
_SAME: Final = ("processor", "cores", "system")


def machine() -> dict[str, Any]:
    """Return processor, number of cores, current clock (None if unknown), system, and library versions."""
    clocks = []
    info = Path("/proc/cpuinfo")
    if info.exists():
        pairs = [line.split(":", 1) for line in info.read_text().splitlines() if ":" in line]
        clocks = [float(value) for name, value in pairs if name.strip() == "cpu MHz"]
    return {
        "processor": cpu().name,
        "cores": os.cpu_count(),
        "clock_mhz": round(float(np.mean(clocks))) if clocks else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return those facts of `machine` that identify a machine: clocks and versions do not."""
    return {name: facts.get(name) for name in _SAME}


def heading(facts: Mapping[str, Any]) -> str:
    """Describe the machine in two lines of text."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}\n{versions}"


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    values = np.percentile(np.asarray(seconds) * 1e3, [50, 95, 99])
    return {name: round(float(v), 4) for name, v in zip(("p50", "p95", "p99"), values, strict=True)}


def rss_mib() -> float | None:
    """Return the memory that this process uses now, in MiB; None if unknown."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
