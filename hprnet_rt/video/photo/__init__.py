"""Photos: files of one picture, with what their owners and cameras have written on them."""

from hprnet_rt.video.photo.decode import Photo, decode_photo, photo_damage, suffix_of_content
from hprnet_rt.video.photo.encode import JPEG_SUFFIXES, encode_photo, with_drawing
from hprnet_rt.video.photo.heif import HEIF_SUFFIXES
from hprnet_rt.video.photo.metadata import Metadata

__all__ = [
    "HEIF_SUFFIXES",
    "JPEG_SUFFIXES",
    "Metadata",
    "Photo",
    "decode_photo",
    "encode_photo",
    "photo_damage",
    "suffix_of_content",
    "with_drawing",
]
