"""A still image as a source of one frame, and as a sink."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import MediaError
from hprnet_rt.files import PartialFile, output_errors, reason
from hprnet_rt.types import Frame, FramePoses
from hprnet_rt.video.media import MediaInfo, refuse_an_unread_image
from hprnet_rt.video.opening import require_file
from hprnet_rt.video.photo import Metadata, Photo, decode_photo, encode_photo, photo_damage, with_drawing
from hprnet_rt.video.remote import open_remote

__all__ = ["ImageSink", "ImageSource", "decode_image", "of_size"]

_log = logging.getLogger(__name__)


def decode_image(data: bytes, name: str, advice: str) -> npt.NDArray[np.uint8]:
    """Decode an image file to (H, W, 3) BGR, upright by its EXIF orientation; what is transparent is white.

    Args:
        data: the bytes of the file.
        name: the file's name for messages.
        advice: what a message recommends for a file that is no image, beside checking it.

    Raises:
        MediaError: the file is empty, too large or no image.
        BackendError: the package for its kind is not installed.
    """
    return decode_photo(data, name, advice).image


def of_size(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the image (H, W, 3) scaled to a size, itself where it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class ImageSource:
    """Iterates the picture of an image file, upright by its EXIF orientation, on white where transparent.

    Of several pictures in a file only the first is read.

    Args:
        path: the file, or an address as a string.

    Attributes:
        path: as given.
        photo: the picture and what is written on it, of which a sink makes an output that is like it.
        info: size of the picture.
        damage: what could not be read; None when all was well.

    Raises:
        MediaError: the file cannot be read, or is no image.
        BackendError: the package for its kind is not installed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        if isinstance(path, Path):
            require_file(path)
        refuse_an_unread_image(path)
        try:
            data = path.read_bytes() if isinstance(path, Path) else open_remote(path).read()
        except MediaError:
            raise
        except OSError as error:
            raise MediaError(f"cannot read {path}: {reason(error)}") from error
        self.photo = decode_photo(data, str(path), "convert it to PNG")
        if self.photo.moves:
            _log.warning("%s moves: only its first picture is taken; make it a GIF or a video for all", path)
        if self.photo.others:
            _log.warning(
                "%s has more in it than one picture: only the first is taken; save the rest as other files",
                path,
            )
        self.damage = photo_damage(data, str(path))
        height, width = self.photo.image.shape[:2]
        self.info = MediaInfo(str(path), width=width, height=height, frames=1)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the picture as the only frame."""
        yield Frame(0, self.photo.image, time.perf_counter())

    def close(self) -> None:
        """Nothing is held open."""


class ImageSink:
    """Writes one frame to an image file; the type is that of its suffix.

    Args:
        path: the final name.
        photo: the one that is drawn on. The file has its transparency, and what is written on it; with None
            it is opaque and has nothing written on it.
        strip_metadata: leave out what is written on the photo: EXIF, XMP, comments, the colour profile.
        concealed: something in it was made unrecognisable: leave out all but the profile, since EXIF and
            others hold little pictures, or whole ones, that show it.
    """

    def __init__(
        self,
        path: Path,
        photo: Photo | None = None,
        *,
        strip_metadata: bool = False,
        concealed: bool = False,
    ) -> None:
        self._file = PartialFile(path)
        self.path = path
        self.partial_path = self._file.partial
        self._bgra = None if photo is None else photo.bgra
        self._metadata = Metadata() if photo is None or strip_metadata else photo.metadata
        if concealed:
            self._metadata = self._metadata.without_pictures()
        if concealed and photo is not None and photo.bgra is not None:  # transparent pixels have colours too
            self._bgra = np.dstack((photo.image, photo.bgra[..., 3]))

    def write(self, item: FramePoses) -> None:
        """Encode the frame and write the file.

        Raises:
            OutputError: the file cannot be written.
            BackendError: the package for its kind is not installed.
        """
        suffix = self.path.suffix.lower()
        picture = with_drawing(item.frame.image, self._bgra, suffix)
        data, lost = encode_photo(picture, suffix, self._metadata, self.path.name)
        if self._bgra is not None and picture.shape[2] == 3:
            lost = (*lost, "transparency")
        if lost:
            _log.warning("%s cannot hold all that its photo has: without %s", self.path, ", ".join(lost))
        with output_errors(self.path):
            self.partial_path.write_bytes(data)

    def close(self, *, all_audio: bool = False) -> None:
        """Nothing is held open."""

    def frames_kept(self) -> int:
        """Count the frames in the partial file: 1 when it exists."""
        return int(self.partial_path.exists())

    def commit(self) -> None:
        """Give the written file its final name."""
        self._file.commit()
