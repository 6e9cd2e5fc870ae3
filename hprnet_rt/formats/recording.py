"""Stored keypoints, whatever file they lie in: a header, and frames one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hprnet_rt.types import Poses

__all__ = ["KeypointsFrame", "Recording", "source_stem"]


@dataclass(frozen=True, eq=False)
class KeypointsFrame:
    """Everyone in one frame of a video.

    Attributes:
        number: of the frame in its source, from 0.
        pts_s: media time in seconds, None when unknown.
        poses: strongest first, in pixels of the source.
    """

    number: int
    pts_s: float | None
    poses: Poses


@dataclass(frozen=True, eq=False)
class Recording:
    """An opened file of keypoints.

    Attributes:
        header: what it says of itself beside the format: source, width, height, fps, model, options... Empty
            where the format has no place for it.
        frames: in ascending order, read as they are asked for; iterate once. A frame may raise `DataError`
            for damage in the middle of a file.
    """

    header: dict[str, Any]
    frames: Iterator[KeypointsFrame]


def source_stem(header: Mapping[str, Any]) -> str:
    """What files of a recording are called: as its video, "video" where that is unknown."""
    source = str(header.get("source") or "").split("?")[0]
    return PurePosixPath(source.replace("\\", "/")).stem or "video"
