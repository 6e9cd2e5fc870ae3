"""What figures were measured on."""

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
    *("hprnet-rt", "openvino", "onnxruntime", "numpy", "numba", "opencv-python-headless", "av"),
    "torch",
)
_SAME: Final = ("processor", "cores", "system")


def machine() -> dict[str, Any]:
    """Processor, cores, its clock now (None where the system does not say), system and library versions."""
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
    """Of what `machine` said, what makes it another machine when it differs: not clocks and versions."""
    return {name: facts.get(name) for name in _SAME}


def heading(facts: Mapping[str, Any]) -> str:
    """The machine in two lines."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}\n{versions}"


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
