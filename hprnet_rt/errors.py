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
    """Base class of every error raised by hprnet_rt.

    Examples:
        >>> try:
        ...     hprnet_rt.stream("none.mp4")
        ... except hprnet_rt.HprnetError as error:
        ...     print(error)
        none.mp4 does not exist
    """


class UsageError(HprnetError, ValueError):
    """What was asked for cannot be asked for: an unknown name, a missing input, a taken output.

    Examples:
        >>> hprnet_rt.index("left_kne")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        hprnet_rt.errors.UsageError: there is no point 'left_kne'; did you mean ...?
    """


class ShapeError(HprnetError, ValueError):
    """An array has not the shape or type that its docstring states.

    Examples:
        >>> hprnet_rt.Poses.from_numpy(np.zeros((2, 17, 3)))
        Traceback (most recent call last):
        hprnet_rt.errors.ShapeError: people are points (N, 133, 3), got (2, 17, 3)
    """


class ModelError(HprnetError, RuntimeError):
    """A model file is missing, damaged, or does not match its description.

    Examples:
        >>> written = open("broken.json", "w").write("{}"), open("broken.onnx", "w").write("")
        >>> try:
        ...     hprnet_rt.load("broken.onnx")
        ... except hprnet_rt.ModelError as error:
        ...     print("does not describe a model file" in str(error))
        True
    """


class BackendError(HprnetError, RuntimeError):
    """An inference backend cannot start or failed while running."""


class DataError(HprnetError, ValueError):
    """An annotations or results file is missing, damaged, or not what it must be.

    Examples:
        >>> hprnet_rt.Poses.from_coco([{"image_id": 1}, {"image_id": 2}])
        Traceback (most recent call last):
        hprnet_rt.errors.DataError: the results are of several images; make poses of those of one image_id
    """


class MediaError(HprnetError, OSError):
    """An input video or image cannot be opened or read.

    Examples:
        >>> written = open("empty.mp4", "w").close()
        >>> hprnet_rt.stream("empty.mp4")
        Traceback (most recent call last):
        hprnet_rt.errors.MediaError: empty.mp4 is empty (0 bytes)
    """


class OutputError(HprnetError, OSError):
    """An output file cannot be created or written.

    Examples:
        >>> with hprnet_rt.stream("video.mp4") as video:
        ...     hprnet_rt.VideoWriter("none.mp4", like=video).close()
        Traceback (most recent call last):
        hprnet_rt.errors.OutputError: no frame was written to none.mp4: there is no such file
    """


class PipelineError(HprnetError, RuntimeError):
    """The pipeline itself was misused or could not stop."""
