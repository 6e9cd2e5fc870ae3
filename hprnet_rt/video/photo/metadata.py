"""What is written on a photo beside its pixels, in whatever kind of file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hprnet_rt.video.photo.exif import reset_orientation, reset_xmp_orientation

__all__ = ["Metadata"]

_RGB: Final = b"RGB "
_SPACE: Final = slice(16, 20)  # of an ICC profile: the colours that it is for


@dataclass(frozen=True)
class Metadata:
    """What is written on a photo beside its pixels; b"" is nothing.

    Attributes:
        exif: EXIF, a TIFF structure.
        xmp: XMP, a document in XML.
        icc: the colour profile of RGB pixels.
        own: parts that only a file of the same kind can hold, as they are: segments of a JPEG (IPTC,
            comments), chunks of a PNG (texts, resolution).
        kind: of that file, as `own` needs it.
    """

    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    own: tuple[bytes, ...] = ()
    kind: str = ""

    def of_rgb(self) -> Metadata:
        """Return it without a profile that is not one of RGB: pixels of CMYK and grey become RGB."""
        return self if self.icc[_SPACE] == _RGB else replace(self, icc=b"")

    def without_pictures(self) -> Metadata:
        """Return the colour profile alone: all else may hold the photo, small or whole, as it was taken."""
        return Metadata(icc=self.icc)

    def upright(self, *, on_its_side: bool) -> Metadata:
        """Return it for pixels that have been turned as its orientation says, which becomes "upright"."""
        return replace(
            self,
            exif=reset_orientation(self.exif, swap=on_its_side),
            xmp=reset_xmp_orientation(self.xmp),
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of what is written, for messages."""
        named = (("EXIF", self.exif), ("XMP", self.xmp), ("colour profile", self.icc))
        return tuple(name for name, part in named if part)
