"""Programs of benchmarks/ and engines/ as modules."""

import importlib.util
import sys
from pathlib import Path

__all__ = ["script"]

ROOT = Path(__file__).parents[1]


def script(path):
    """Load a program, such as "benchmarks/tables.py"; it finds those that lie beside it."""
    place = ROOT / path
    spec = importlib.util.spec_from_file_location(place.stem, place)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(place.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(place.parent))
    return module
