"""The TensorRT library that is installed, and what it can do."""

from __future__ import annotations

import importlib
import re
from typing import Any

from hprnet_rt.backends.registry import backend_spec
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.machine import Gpu

__all__ = ["compute_capabilities", "error_log", "library_text", "load_library", "require_support"]

_INSTEAD = "--backend tensorrt or --backend torch-cuda"


def load_library(backend: str) -> Any:
    """Return the module `tensorrt` or `tensorrt_rtx`.

    Args:
        backend: "tensorrt" or "tensorrt-rtx".

    Raises:
        BackendError: it is not installed, or cannot be loaded here.
    """
    spec = backend_spec(backend)
    if not spec.installed:
        raise BackendError(f"{backend} needs the package {spec.package}: pip install '{spec.requirement}'")
    try:
        return importlib.import_module(spec.library)
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"{spec.library} is installed but cannot be loaded: {error}") from error


def compute_capabilities(library: Any, names: tuple[str, ...]) -> list[Any]:
    """Return the library's values for kinds of GPU, "sm89" and so on.

    Raises:
        UsageError: the library builds for no kind of GPU by name, or does not know one.
    """
    if not names:
        return []
    known = getattr(library, "ComputeCapability", None)
    if known is None:
        raise UsageError(
            f"{library.__name__} builds for the GPU of this machine only; leave --gpu out, or use "
            "--backend tensorrt-rtx"
        )
    missing = [name for name in names if not hasattr(known, name.upper())]
    if missing:
        usable = sorted(name.lower() for name in dir(known) if name.startswith("SM"))
        raise UsageError(
            f"{library.__name__} {library.__version__} does not build for {', '.join(missing)}; it does for: "
            f"{', '.join(usable)}; other GPUs run {_INSTEAD}"
        )
    return [getattr(known, name.upper()) for name in names]


def require_support(library: Any, gpu: Gpu) -> None:
    """Refuse a GPU that is not on the library's own list, before an engine is built for it.

    The list has gaps: TensorRT-RTX 1.7 runs on compute capabilities 8.9 and 12.0, and not on 9.0 between
    them. Later ones than the last are taken to be supported, as the library says itself. TensorRT has no
    list.

    Raises:
        BackendError: the GPU is not on the list.
    """
    listed = sorted(
        (int(found[1]), int(found[2]))
        for name in dir(getattr(library, "ComputeCapability", None))
        if (found := re.fullmatch(r"SM(\d+)(\d)", name))
    )
    major, _, minor = gpu.compute_capability.partition(".")
    if not listed or (int(major), int(minor)) in listed or (int(major), int(minor)) > listed[-1]:
        return
    usable = ", ".join(f"{major}.{minor}" for major, minor in listed)
    raise BackendError(
        f"{library_text(library)} does not run on {gpu.name}, whose compute capability is "
        f"{gpu.compute_capability}: it supports {usable} and later; use {_INSTEAD} there"
    )


def library_text(library: Any) -> str:
    """Return the library's name and version."""
    return f"{library.__name__} {library.__version__}"


def error_log(library: Any) -> Any:
    """Return a logger for the library that collects its errors in `message`, and prints nothing."""

    class Logger(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self._errors: list[str] = []

        @property
        def message(self) -> str:
            return "; ".join(dict.fromkeys(self._errors))

        def log(self, severity: Any, text: str) -> None:
            if severity in (library.ILogger.INTERNAL_ERROR, library.ILogger.ERROR):
                self._errors.append(" ".join(text.split()))

    return Logger()
