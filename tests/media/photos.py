"""Photos of every kind, written by Pillow: with a profile, EXIF and XMP, turned, transparent."""

import functools
import io
import struct

import av
import numpy as np
import pytest

from tests import clips

Image = pytest.importorskip("PIL.Image")
ImageCms = pytest.importorskip("PIL.ImageCms")
pillow_heif = pytest.importorskip("pillow_heif")

MAKER, DESCRIPTION, ORIENTATION = 271, 270, 274
EXIF_DIRECTORY, TAKEN, PIXEL_WIDTH, PIXEL_HEIGHT = 0x8769, 0x9003, 0xA002, 0xA003
KINDS = ("jpg", "jfif", "png", "webp", "tif", "heic", "avif")
TURNED_KINDS = ("jpg", "png", "webp", "tif")
"""Whose pixels are stored turned, as EXIF says."""


def people(size=(480, 270)):
    """The first picture of the sample clip, three people, RGB."""
    with av.open(str(clips.SAMPLE)) as file:
        frame = next(file.decode(video=0))
    return Image.fromarray(frame.to_ndarray(format="rgb24")).resize(size)


def corner(size=(160, 96)):
    """A white square in the upper left corner, RGB."""
    return Image.fromarray(clips.corner(0, *size))


@functools.cache
def profile():
    """A colour profile; it bears the time at which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(*, orientation=1, size=(160, 96)):
    """EXIF with a maker, a description, the time and the size of the pixels."""
    said = Image.Exif()
    said[MAKER], said[DESCRIPTION], said[ORIENTATION] = "Maker", "on the bridge", orientation
    details = said.get_ifd(EXIF_DIRECTORY)
    details[TAKEN], details[PIXEL_WIDTH], details[PIXEL_HEIGHT] = "2024:05:06 07:08:09", *size
    return said.tobytes().removeprefix(b"Exif\0\0")


def xmp(orientation=1):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def save(path, image, **said):
    """Write an image in the kind of its suffix, and return the path."""
    kind = {"jpg": "JPEG", "jfif": "JPEG", "tif": "TIFF"}.get(
        path.suffix[1:].lower(), path.suffix[1:].upper()
    )
    if kind == "JPEG" and "exif" in said:
        said["exif"] = b"Exif\0\0" + said["exif"]
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(path, quality=95, **said)
    else:
        exact = {"quality": 95} if kind in ("JPEG", "AVIF") else {"lossless": True} if kind == "WEBP" else {}
        image.save(path, kind, **exact, **said)
    return path


def written_on(path):
    """Return (EXIF by tags, the details of EXIF, profile) of an image file, as Pillow reads them."""
    pillow_heif.register_heif_opener()
    with Image.open(path) as image:
        image.load()
        said = image.getexif()
        return dict(said), dict(said.get_ifd(EXIF_DIRECTORY)), image.info.get("icc_profile")


def pixels(path, mode="RGB"):
    """Return the pixels of an image file as they are stored, (H, W, C)."""
    pillow_heif.register_heif_opener()
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def turned(image, orientation):
    """Return the image stored so that this orientation brings it upright."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of Image.Transpose
    return image if orientation == 1 else image.transpose(Image.Transpose(undo[orientation]))


def jpeg_with_segments(path, image, *segments):
    """Write a JPEG with segments of (marker, bytes) behind its beginning."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=95)
    data = packed.getvalue()
    more = b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(part) + 2) + part for marker, part in segments
    )
    path.write_bytes(data[:2] + more + data[2:])
    return path
