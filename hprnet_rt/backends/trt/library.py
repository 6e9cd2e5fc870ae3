"""Which TensorRT library there is, and what it can do."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

from hprnet_rt.errors import BackendError, UsageError

__all__ = ["LIBRARIES", "compute_capabilities", "error_log", "library_installed", "load_library", "named"]

LIBRARIES: Final = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""The module of each backend."""
_EXTRAS: Final = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}


def library_installed(backend: str) -> bool:
    """Whether the module of a backend can be found; it is not imported."""
    return importlib.util.find_spec(LIBRARIES[backend]) is not None


def load_library(backend: str) -> Any:
    """The module `tensorrt` or `tensorrt_rtx`.

    Raises:
        BackendError: it is not installed, or cannot be loaded here.
    """
    module = LIBRARIES[backend]
    if not library_installed(backend):
        raise BackendError(
            f"{backend} needs the package {module.replace('_', '-')}: "
            f"pip install 'hprnet-rt[{_EXTRAS[backend]}]'"
        )
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"{module} is installed but cannot be loaded: {error}") from error


def compute_capabilities(library: Any, names: tuple[str, ...]) -> list[Any]:
    """The library's values for kinds of GPU, "sm89" and so on.

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


def named(library: Any) -> str:
    """The library's name and version."""
    return f"{library.__name__} {library.__version__}"


def error_log(library: Any) -> Any:
    """Keeps what the library says of errors, and prints nothing."""

    class Logger(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self._errors: list[str] = []

        @property
        def said(self) -> str:
            return "; ".join(dict.fromkeys(self._errors))

        def log(self, severity: Any, text: str) -> None:
            if severity in (library.ILogger.INTERNAL_ERROR, library.ILogger.ERROR):
                self._errors.append(" ".join(text.split()))

    return Logger()
