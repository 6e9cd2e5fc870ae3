"""Real frames as inputs of a network, to calibrate an int8 engine and to compare it with float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.video import ImageSource, VideoSource, is_image
from hprnet_rt.video.folder import entry_kind

__all__ = ["calibration_inputs"]

ImageArray = npt.NDArray[np.uint8]


def calibration_inputs(source: Path, input_px: int, most: int) -> list[ImageArray]:
    """Return evenly spaced frames of a video, or images of a folder by name, as square inputs of a network.

    Args:
        source: a video, or a folder of images.
        input_px: side of the inputs.
        most: the largest number of inputs; there are more than half as many where the source has them.

    Returns:
        (1, input_px, input_px, 3) uint8 BGR each, in order.

    Raises:
        UsageError: there is no such file, or no image in the folder.
        MediaError: a file cannot be read.
    """
    inputs: list[ImageArray] = []
    step = 1
    for number, image in enumerate(_images(source, most)):
        if number % step:
            continue
        if len(inputs) == most:
            del inputs[1::2]
            step *= 2
            if number % step:
                continue
        inputs.append(Letterbox.fit(image.shape[:2], (input_px, input_px)).apply(image))
    return inputs


def _images(source: Path, most: int) -> Iterator[ImageArray]:
    """Yield all frames of a video, or at most `most` evenly spaced images of a folder."""
    if source.is_dir():
        entries = (path for path in source.iterdir() if entry_kind(Path(path.name)) == "media")
        paths = sorted(path for path in entries if is_image(path))
        if not paths:
            raise UsageError(f"the folder {source} has no images")
        for path in paths[:: -(-len(paths) // most)]:
            (frame,) = ImageSource(path)
            yield frame.image
        return
    if not source.is_file():
        raise UsageError(f"there is no video or folder {source}")
    video = VideoSource(source)
    try:
        for frame in video:
            yield frame.image
    finally:
        video.close()
