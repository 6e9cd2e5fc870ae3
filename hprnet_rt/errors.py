"""The error tree.

Every error of this package is an `HprnetError` and also the matching builtin, so that both
`except HprnetError` and `except OSError` do what a reader expects. Messages are one sentence or two:
what happened, why, and what to do next.
"""

__all__ = [
    "BackendError",
    "DataError",
    "HprnetError",
    "MediaError",
    "ModelError",
    "OutputError",
    "PipelineError",
    "ShapeError",
    "UsageError",
]


class HprnetError(Exception):
    """Base class of every error raised by hprnet_rt."""


class UsageError(HprnetError, ValueError):
    """What was asked for cannot be asked for: an unknown name, a missing input, a taken output."""


class ShapeError(HprnetError, ValueError):
    """An array has not the shape or type that its docstring states."""


class ModelError(HprnetError, RuntimeError):
    """A model file is missing, damaged, or does not match its description."""


class BackendError(HprnetError, RuntimeError):
    """An inference backend cannot start or failed while running."""


class DataError(HprnetError, ValueError):
    """An annotations or results file is missing, damaged, or not what it must be."""


class MediaError(HprnetError, OSError):
    """An input video or image cannot be opened or read."""


class OutputError(HprnetError, OSError):
    """An output file cannot be created or written."""


class PipelineError(HprnetError, RuntimeError):
    """The pipeline itself was misused or could not stop."""
