"""The fingerprint of a run: an output bears it, so that nothing is made twice and nothing stale is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats import format_of, read_keypoints
from hprnet_rt.formats.jsonl import header_line
from hprnet_rt.inference.looks import AUTO as CHOSEN
from hprnet_rt.inference.model import ModelFacts
from hprnet_rt.version import __version__
from hprnet_rt.video import MediaInfo, is_image
from hprnet_rt.video.identity import source_check
from hprnet_rt.video.media import size_bytes
from hprnet_rt.video.remote import is_remote
from hprnet_rt.video.writer import comment_of

__all__ = ["fingerprint", "fingerprint_of", "has_fingerprint", "make_header", "video_comment"]

_MAKER: Final = "hprnet-rt "
_DIGITS: Final = 16


def make_header(
    info: MediaInfo, model: ModelFacts, called: str | None = None, **options: Any
) -> dict[str, Any]:
    """Return the header of a file of keypoints: where they come from, and how they were made.

    Args:
        info: the source. A file's size and `source_check` tell it from another one of its name.
        model: the network.
        called: how the source is called, where that is not its own name.
        options: of the run, beside those of the model.
    """
    source = info.source if is_remote(info.source) else Path(info.source)
    size = size_bytes(source)
    chosen = CHOSEN in (model.input_px, options.get("regions"))
    return {
        "source": called or info.source,
        "source_bytes": size,
        "source_check": source_check(source, size),
        "width": info.width,
        "height": info.height,
        "fps": None if info.rate is None else round(float(info.rate), 6),
        "model": model.name,
        "model_sha256": model.sha256,
        "options": {
            "input_px": model.input_px,
            **({"closer_k": model.closer_k} if chosen else {}),
            "threshold": model.threshold,
            "peak_threshold": model.peak_threshold,
            "engine": model.description,
            **options,
        },
        "versions": {"hprnet_rt": __version__, "numpy": np.__version__},
    }


def fingerprint(header: dict[str, Any]) -> str:
    """Return a short hash of a run's input and settings, which are in the header of its keypoints."""
    return hashlib.sha256(header_line(header).encode()).hexdigest()[:_DIGITS]


def video_comment(header: dict[str, Any], **video_settings: Any) -> str:
    """Return the fingerprint as a video stores it; a video's own settings are part of it."""
    return f"{_MAKER}{__version__} {fingerprint({**header, **video_settings})}"


def has_fingerprint(path: Path, header: dict[str, Any], **video_settings: Any) -> bool | None:
    """Compare the fingerprint of an output with that of a run.

    Args:
        path: keypoints or a video.
        header: of the run.
        video_settings: of a video, as they were given to `video_comment`.

    Returns:
        None where files of this kind bear none.

    Older outputs were made without `source_check` and the video's settings; they count as well.
    """
    found = fingerprint_of(path)
    if found is None:
        return None
    older = {name: value for name, value in header.items() if name != "source_check"}
    return found in (fingerprint({**header, **video_settings}), fingerprint(older))


def fingerprint_of(path: Path) -> str | None:
    """Read the fingerprint of an output.

    Returns:
        "" when another program made the file; None where its kind bears none: an image, or a format without
        a header.
    """
    if is_image(path):
        return None
    try:
        form = format_of(path)
    except UsageError:
        own = comment_of(path).rpartition("\n")[2]  # behind the comment of the source
        return own.split()[-1] if own.startswith(_MAKER) else ""
    if "header" in form.loses:
        return None
    try:
        recording = read_keypoints(path)
    except (DataError, UsageError):
        return ""
    return fingerprint(recording.header) if recording.header else ""
