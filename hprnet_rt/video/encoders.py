"""The encoders of videos: their options for a rate factor, and the choice of one that works here."""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
_TEST_SIDE_PX: Final = 256  # more than the least size of every encoder
_TEST_FRAMES: Final = 3


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name of it.
        quality: returns its options for a rate factor of libx264, 0 (lossless, and large) to 51 (small).
        always: its options whatever the quality: that a picture marked as a key frame begins anew, so that
            players can begin there.
        prompt: its options for few pictures a second, of which it may hold none back.
        hardware: it needs a device that this machine may not have.
        pix_fmt: the 8-bit pixel format that it takes.
        tag: the codec tag in .mp4 that players expect; FFmpeg's choice when None.
    """

    name: str
    quality: Callable[[int], Mapping[str, str]]
    always: Mapping[str, str] = field(default_factory=dict)
    prompt: Mapping[str, str] = field(default_factory=dict)
    hardware: bool = True
    pix_fmt: str = "yuv420p"
    tag: str | None = None


def _percent(crf: int) -> int:
    """Return the quality from 1 to 100 (best) of a rate factor."""
    return max(1, round(100 * (1 - crf / WORST_CRF)))


# libx264 on a 720p clip, one thread: 4.7 ms a frame, 42.0 dB; "veryfast" at 20 takes 8.2 ms for 42.6 dB and
# is a fifth smaller.
ENCODERS: Final[dict[str, Encoder]] = {
    encoder.name: encoder
    for encoder in (
        Encoder(
            "libx264",
            lambda crf: {"preset": "superfast", "crf": str(crf)},
            always={"forced-idr": "1"},
            prompt={"tune": "zerolatency"},
            hardware=False,
        ),
        Encoder(
            "libx265",
            lambda crf: {"preset": "superfast", "crf": str(crf), "x265-params": "log-level=error"},
            always={"forced-idr": "1"},
            prompt={"tune": "zerolatency"},
            hardware=False,
            tag="hvc1",
        ),
        # a cq of 0 would let it choose
        Encoder(
            "h264_nvenc",
            lambda crf: {"preset": "p4", "rc": "vbr", "cq": str(max(1, crf)), "b": "0"},
            always={"forced-idr": "1"},
            prompt={"delay": "0"},
        ),
        Encoder(
            "h264_qsv",
            lambda crf: {"global_quality": str(max(1, crf))},
            always={"forced_idr": "1"},
            prompt={"bf": "0", "async_depth": "1"},
            pix_fmt="nv12",
        ),
        Encoder(
            "h264_amf",
            lambda crf: {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)},
            always={"forced_idr": "1"},
            prompt={"bf": "0"},
        ),
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
    """Check that this is a rate factor.

    Raises:
        UsageError: it is out of range.
    """
    if not 0 <= crf <= WORST_CRF:
        raise UsageError(f"the rate factor (crf) is 0 to {WORST_CRF}, got {crf}")


def require_encoder(name: str) -> Encoder:
    """Return the encoder of this name, whether or not it works on this machine.

    Raises:
        UsageError: there is no such encoder.
    """
    if name not in ENCODERS:
        raise UsageError(f"there is no encoder {name!r}; the encoders are {', '.join(ENCODERS)}")
    return ENCODERS[name]


def choose_encoder(name: str) -> str:
    """Return the named encoder if it works here, and for "auto" the first hardware encoder that does.

    Encoders are tried by encoding a few frames. "auto" gives libx264 where no hardware encoder works.

    Raises:
        UsageError: there is no such encoder.
        BackendError: it does not work on this machine.
    """
    if name == AUTO:
        working = (other for other in ENCODERS if ENCODERS[other].hardware and _failure(other) is None)
        return next(working, DEFAULT_ENCODER)
    require_encoder(name)
    failure = _failure(name)
    if failure is not None:
        working_names = ", ".join(other for other in ENCODERS if _failure(other) is None)
        raise BackendError(
            f"the encoder {name} does not work on this machine ({failure}); those that do: {working_names}"
        )
    return name


@functools.cache
def _failure(name: str) -> str | None:
    """Return why an encoder does not work on this machine, None when it works."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)  # messages of a library name what is missing
    try:
        with av.logging.Capture() as messages:
            _encode_test_frames(ENCODERS[name])
    except av.codec.codec.UnknownCodecError:
        return "this build of FFmpeg has no such encoder"
    except (av.FFmpegError, OSError, ValueError) as error:
        _log.debug("%s: %s", name, error)
        return messages[0][2].strip() if messages else reason(error)
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
