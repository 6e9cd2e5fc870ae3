"""Which encoder writes videos, and how each is told how much to compress."""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.logging
import numpy as np

from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.files import reason

__all__ = [
    "AUTO",
    "DEFAULT_CRF",
    "DEFAULT_ENCODER",
    "ENCODERS",
    "Encoder",
    "choose_encoder",
    "require_crf",
    "require_encoder",
]

_log = logging.getLogger(__name__)

AUTO: Final = "auto"
DEFAULT_ENCODER: Final = "libx264"
DEFAULT_CRF: Final = 21
WORST_CRF: Final = 51
_TEST_SIDE_PX: Final = 256  # more than every encoder's least
_TEST_FRAMES: Final = 3


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's.
        quality: its options for a rate factor as libx264 has it, 0 (as it is, and large) to 51 (small).
        hardware: it is a device's, which this machine may not have.
        pix_fmt: 8-bit pixels that it takes.
        tag: what .mp4 calls its video, so that players take it; FFmpeg's choice when None.
    """

    name: str
    quality: Callable[[int], Mapping[str, str]]
    hardware: bool = True
    pix_fmt: str = "yuv420p"
    tag: str | None = None


def _percent(crf: int) -> int:
    """Quality of 1 to 100, best last."""
    return max(1, round(100 * (1 - crf / WORST_CRF)))


# libx264 on a 720p clip, one thread: 4.7 ms a frame, 42.0 dB; "veryfast" at 20 takes 8.2 ms for 42.6 dB and
# is a fifth smaller.
ENCODERS: Final[dict[str, Encoder]] = {
    each.name: each
    for each in (
        Encoder("libx264", lambda crf: {"preset": "superfast", "crf": str(crf)}, hardware=False),
        Encoder(
            "libx265",
            lambda crf: {"preset": "superfast", "crf": str(crf), "x265-params": "log-level=error"},
            hardware=False,
            tag="hvc1",
        ),
        # a cq of 0 means that it chooses
        Encoder("h264_nvenc", lambda crf: {"preset": "p4", "rc": "vbr", "cq": str(max(1, crf)), "b": "0"}),
        Encoder("h264_qsv", lambda crf: {"global_quality": str(max(1, crf))}, pix_fmt="nv12"),
        Encoder("h264_amf", lambda crf: {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)}),
        # 118 is FFmpeg's unit of quality
        Encoder(
            "h264_videotoolbox",
            lambda crf: {"flags": "+qscale", "global_quality": str(118 * _percent(crf))},
        ),
        Encoder(
            "h264_mf", lambda crf: {"rate_control": "quality", "quality": str(_percent(crf))}, pix_fmt="nv12"
        ),
    )
}


def require_crf(crf: int) -> None:
    """See that this is a rate factor.

    Raises:
        UsageError: it is none.
    """
    if not 0 <= crf <= WORST_CRF:
        raise UsageError(f"the rate factor (crf) is 0 to {WORST_CRF}, got {crf}")


def require_encoder(name: str) -> Encoder:
    """The encoder of this name, whether or not this machine has it.

    Raises:
        UsageError: there is none.
    """
    if name not in ENCODERS:
        raise UsageError(f"there is no encoder {name!r}; the encoders are {', '.join(ENCODERS)}")
    return ENCODERS[name]


def choose_encoder(name: str) -> str:
    """The encoder to use: the named one if it works here, or for "auto" the first of a device that does.

    Every answer comes of encoding a few frames. "auto" is libx264 where no device encodes.

    Raises:
        UsageError: there is no such encoder.
        BackendError: it does not work on this machine.
    """
    if name == AUTO:
        working = (each for each in ENCODERS if ENCODERS[each].hardware and _trouble(each) is None)
        return next(working, DEFAULT_ENCODER)
    require_encoder(name)
    trouble = _trouble(name)
    if trouble is not None:
        there = ", ".join(each for each in ENCODERS if _trouble(each) is None)
        raise BackendError(
            f"the encoder {name} does not work on this machine ({trouble}); those that do: {there}"
        )
    return name


@functools.cache
def _trouble(name: str) -> str | None:
    """Why an encoder does not encode here; None when it does."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)  # what a library says of itself names what is missing
    try:
        with av.logging.Capture() as said:
            _encode_test_frames(ENCODERS[name])
    except av.codec.codec.UnknownCodecError:
        return "this build of FFmpeg has no such encoder"
    except (av.FFmpegError, OSError, ValueError) as error:
        _log.debug("%s: %s", name, error)
        return said[0][2].strip() if said else reason(error)
    finally:
        av.logging.set_level(level)
    return None


def _encode_test_frames(encoder: Encoder) -> None:
    black = np.zeros((_TEST_SIDE_PX, _TEST_SIDE_PX, 3), np.uint8)
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        stream = container.add_stream(encoder.name, rate=25, options=dict(encoder.quality(DEFAULT_CRF)))
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = _TEST_SIDE_PX
        stream.pix_fmt = encoder.pix_fmt
        for number in range(_TEST_FRAMES):
            picture = av.VideoFrame.from_ndarray(black, format="bgr24").reformat(format=encoder.pix_fmt)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
