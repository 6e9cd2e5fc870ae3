"""The TensorRT library that is installed, and what it can do."""

from __future__ import annotations

import importlib
from typing import Any

from hprnet_rt.backends.registry import backend_spec
from hprnet_rt.errors import BackendError, UsageError

__all__ = ["compute_capabilities", "error_log", "library_text", "load_library"]


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
            f"{', '.join(usable)}"
        )
    return [getattr(known, name.upper()) for name in names]


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
