"""The options of annotate, each of which says which outputs it changes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

from hprnet_rt.errors import UsageError
from hprnet_rt.formats import require_format
from hprnet_rt.inference.looks import AUTO as CHOSEN
from hprnet_rt.inference.regions import Region
from hprnet_rt.render import OverlayStyle, require_drawing
from hprnet_rt.tracking import LIVE_SMOOTHINGS, require_max_people
from hprnet_rt.video import DEFAULT_RATE, Selection
from hprnet_rt.video.deinterlace import AUTO, require_deinterlacing
from hprnet_rt.video.encoders import DEFAULT_CRF, DEFAULT_ENCODER, require_crf, require_encoder
from hprnet_rt.video.sequence import require_rate

__all__ = ["AFFECTS", "SMOOTHINGS", "AnnotateOptions", "keypoint_settings", "option", "video_settings"]

SMOOTHINGS: Final = (*LIVE_SMOOTHINGS, "zero-lag")
"""Ways to smooth the points of a file, whose future is known too."""

Affects = Literal["keypoints", "video", "neither"]
AFFECTS: Final = ("keypoints", "video", "neither")
"""The outputs that an option can change: keypoints (and the video with them), the video alone, neither."""


def option(default: Any, affects: Affects, *, at_default: bool = True) -> Any:
    """Declare an option.

    Args:
        default: its default.
        affects: one of `AFFECTS`. Outputs whose settings differ from those of a run are made anew.
        at_default: False leaves it out of the settings at its default, so that outputs from before it
            existed stay valid.
    """
    return dataclasses.field(default=default, metadata={"affects": affects, "at_default": at_default})


@dataclass(frozen=True, kw_only=True)
class AnnotateOptions:
    """What annotate writes, and what it does to the people of a video over time.

    The order of the fields is that of the settings in a header of keypoints.

    Attributes:
        video: write annotated pictures.
        keypoints: write keypoints.
        overwrite: replace outputs that exist.
        limit: frames per file; None takes all.
        start_s, end_s, stride: which frames of a video, see `Selection`.
        track: people keep an id from frame to frame.
        smooth: against trembling points: "off"; "one-euro", which lags a little behind fast ones; or
            "zero-lag", which does not, reads the file twice and writes after the first time. The last two
            need the ids.
        formats: of the keypoints, names of `FORMATS`; when empty, the one that the output's name says, or
            JSON lines.
        deinterlace: which pictures of videos are deinterlaced, one of `DEINTERLACING`.
        crf, encoder: how videos are compressed, see `VideoSink`.
        skip_existing: leave files alone all of whose outputs exist, however they were made.
        rate: frames a second of numbered images.
        regions: parts of the picture that the network looks at, each on its own; the whole when empty; "auto"
            chooses them, see `Looks`.
        strip_metadata: leave out what is written on the source: where and when it was taken, its title, a
            photo's EXIF and colour profile.
        point_threshold: least score of a point that is drawn, hands included; None takes those of
            `OverlayStyle.of_model`.
        max_people: the most people of a frame, the largest, see `LargestPeople`; None takes all.
        hide: what is not drawn of people, of `HIDEABLE`.
        blur: "faces" makes them unrecognisable in the picture, see `FaceBlur`; keypoints stay as they are.
        only: "skeleton" draws on black.
        drawn_by: a name for a drawing of one's own, which tells its videos from others.

    Raises:
        UsageError: a value is impossible, or two contradict each other.
    """

    video: bool = option(True, "neither")
    keypoints: bool = option(True, "neither")
    overwrite: bool = option(False, "neither")
    formats: tuple[str, ...] = option((), "neither")
    skip_existing: bool = option(False, "neither")
    rate: Fraction = option(DEFAULT_RATE, "neither")  # noqa: RUF009 - the header has it, as fps
    limit: int | None = option(None, "keypoints")
    start_s: float = option(0.0, "keypoints")
    end_s: float | None = option(None, "keypoints")
    stride: int = option(1, "keypoints")
    track: bool = option(True, "keypoints")
    smooth: str = option(SMOOTHINGS[0], "keypoints")
    regions: tuple[Region, ...] | str = option((), "keypoints")
    deinterlace: str = option(AUTO, "keypoints", at_default=False)
    max_people: int | None = option(None, "keypoints", at_default=False)
    crf: int = option(DEFAULT_CRF, "video")
    encoder: str = option(DEFAULT_ENCODER, "video")
    strip_metadata: bool = option(False, "video", at_default=False)
    point_threshold: float | None = option(None, "video", at_default=False)
    hide: tuple[str, ...] = option((), "video", at_default=False)
    blur: str | None = option(None, "video", at_default=False)
    only: str | None = option(None, "video", at_default=False)
    drawn_by: str | None = option(None, "video", at_default=False)

    def __post_init__(self) -> None:
        if not (self.video or self.keypoints):
            raise UsageError("with neither video nor keypoints there is nothing to write")
        if self.formats and not self.keypoints:
            raise UsageError("a format of keypoints does not go with writing none")
        for form in map(require_format, self.formats):
            if form.needs_ids and not self.track:
                raise UsageError(f"{form.name} needs to know who is who: it does not go without tracking")
        if self.smooth not in SMOOTHINGS:
            raise UsageError(f"smooth is {' or '.join(map(repr, SMOOTHINGS))}, got {self.smooth!r}")
        if self.smooth != SMOOTHINGS[0] and not self.track:
            raise UsageError("smoothing needs to know who is who: it does not go without tracking")
        if self.overwrite and self.skip_existing:
            raise UsageError("outputs that exist are either replaced or left alone")
        if isinstance(self.regions, str) and self.regions != CHOSEN:
            raise UsageError(f"regions are given one by one, or {CHOSEN!r}, got {self.regions!r}")
        require_rate(self.rate)
        if self.end_s is not None and not math.isfinite(self.end_s):
            raise UsageError(f"the end is a time in seconds, got {self.end_s:g}; leave it out for all")
        require_deinterlacing(self.deinterlace)
        require_crf(self.crf)
        require_encoder(self.encoder)
        require_max_people(self.max_people)
        require_drawing(self.blur, self.only, self.max_people)
        if not self.video and (self.hide or self.blur or self.only):
            raise UsageError(
                "without a picture nothing is hidden, blurred or shown alone: leave out --no-video, or these"
            )
        _ = self.selection, self.style(refined=True)  # they check their own fields

    @property
    def given_regions(self) -> tuple[Region, ...]:
        """The regions that were given; none where they are chosen."""
        return () if isinstance(self.regions, str) else self.regions

    @property
    def selection(self) -> Selection:
        """The frames of a video that are looked at."""
        return Selection(self.start_s, self.end_s, self.stride, self.limit)

    def style(self, *, refined: bool) -> OverlayStyle:
        """Return the style of the skeletons, for a model whose points are refined or for another."""
        return OverlayStyle.of_model(refined=refined, point_threshold=self.point_threshold).without(self.hide)


def keypoint_settings(options: AnnotateOptions) -> dict[str, Any]:
    """Return the options that change the keypoints, as their header has them."""
    return _settings(options, "keypoints")


def video_settings(options: AnnotateOptions) -> dict[str, Any]:
    """Return the options that change a video beside its keypoints."""
    return _settings(options, "video")


def _settings(options: AnnotateOptions, affects: Affects) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.metadata["affects"] != affects or (
            value == field.default and not field.metadata["at_default"]
        ):
            continue
        is_regions = field.name == "regions" and not isinstance(value, str)
        values[field.name] = [region.text for region in value] if is_regions else value
    return values
