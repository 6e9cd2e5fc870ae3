"""A still image as a source of one frame, and as a sink."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.environment import LIMIT_VARIABLE, MOST_PIXELS
from hprnet_rt.errors import MediaError, OutputError
from hprnet_rt.files import PartialFile, output_errors, reason
from hprnet_rt.types import Frame, FramePoses
from hprnet_rt.video.media import MediaInfo
from hprnet_rt.video.opening import require_file
from hprnet_rt.video.remote import open_remote
from hprnet_rt.video.silence import quiet

__all__ = ["ImageSink", "ImageSource", "decode_image", "of_size"]

_log = logging.getLogger(__name__)

_TIFF = 42
_TIFF_ENTRY_BYTES = 12


def decode_image(data: bytes, name: str, advice: str) -> npt.NDArray[np.uint8]:
    """Decode an image file to (H, W, 3) BGR, upright by its EXIF orientation.

    Args:
        data: the bytes of the file.
        name: the file's name for messages.
        advice: what a message recommends for a file that is no image, beside checking it.

    Raises:
        MediaError: the file is empty, too large or no image.
    """
    if not data:
        raise MediaError(f"{name} is empty (0 bytes)")
    try:
        with quiet():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "MAX_IMAGE" in str(error.err):
            raise MediaError(
                f"{name} has more pixels than are read (usually {MOST_PIXELS // 1_000_000} million): scale "
                f"it down, or set {LIMIT_VARIABLE} to more"
            ) from error
        raise MediaError(f"{name} cannot be decoded as an image: {error.err}") from error
    if image is None:
        raise MediaError(f"{name} is not an image that can be read: check the file, or {advice}")
    return np.asarray(image, np.uint8)


def of_size(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the image (H, W, 3) scaled to a size, itself where it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _has_pages(data: bytes) -> bool:
    """Return whether a TIFF file has several pictures: its first directory points to a next one."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    try:
        if order is None or struct.unpack_from(order + "H", data, 2)[0] != _TIFF:
            return False
        (first,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, first)
        (following,) = struct.unpack_from(order + "I", data, first + 2 + entries * _TIFF_ENTRY_BYTES)
    except struct.error:
        return False
    return bool(following)


def _is_animated(data: bytes) -> bool:
    """Return whether a PNG or WebP file is an animation."""
    if data[8:16] == b"WEBPVP8X":
        return bool(data[20:21] and data[20] & 2)
    return data.startswith(b"\x89PNG") and b"acTL" in data[: data.find(b"IDAT")]


class ImageSource:
    """Iterates the picture of an image file, upright by its EXIF orientation.

    Of several pictures in a file only the first is read.

    Args:
        path: the file, or an address as a string.

    Attributes:
        path: as given.
        info: size of the picture.
        damage: always None.

    Raises:
        MediaError: the file cannot be read, or is no image.
    """

    damage: str | None = None

    def __init__(self, path: Path | str) -> None:
        self.path = path
        if isinstance(path, Path):
            require_file(path)
        try:
            data = path.read_bytes() if isinstance(path, Path) else open_remote(path).read()
        except MediaError:
            raise
        except OSError as error:
            raise MediaError(f"cannot read {path}: {reason(error)}") from error
        self._image = decode_image(data, str(path), "convert it to PNG")
        if _is_animated(data):
            _log.warning("%s moves: only its first picture is taken; make it a GIF or a video for all", path)
        if _has_pages(data):
            _log.warning(
                "%s has several pictures: only the first is taken; save the others as files of their own",
                path,
            )
        self.info = MediaInfo(str(path), width=self._image.shape[1], height=self._image.shape[0], frames=1)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the picture as the only frame."""
        yield Frame(0, self._image, time.perf_counter())

    def close(self) -> None:
        """Nothing is held open."""


class ImageSink:
    """Writes one frame to an image file; the type is that of its suffix.

    Args:
        path: the final name.
    """

    def __init__(self, path: Path) -> None:
        self._file = PartialFile(path)
        self.path = path
        self.partial_path = self._file.partial

    def write(self, item: FramePoses) -> None:
        """Encode the frame and write the file.

        Raises:
            OutputError: the file cannot be written.
        """
        with quiet():
            is_encoded, data = cv2.imencode(self._file.path.suffix, item.frame.image)
        if not is_encoded:
            raise OutputError(f"cannot encode {self._file.path.name}: use a .png or .jpg name")
        with output_errors(self.path):
            self.partial_path.write_bytes(data.tobytes())

    def close(self, *, all_audio: bool = False) -> None:
        """Nothing is held open."""

    def frames_kept(self) -> int:
        """Count the frames in the partial file: 1 when it exists."""
        return int(self.partial_path.exists())

    def commit(self) -> None:
        """Give the written file its final name."""
        self._file.commit()
