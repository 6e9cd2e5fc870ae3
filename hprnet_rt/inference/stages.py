"""The stages of a pose pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.formats import KeypointsFrame
from hprnet_rt.inference.crowd import CrowdWatch
from hprnet_rt.inference.looks import AUTO, Looks, watching_stages
from hprnet_rt.inference.model import KEEP, PoseModel
from hprnet_rt.inference.preparation import part_of
from hprnet_rt.inference.regions import Corners, Region, merged
from hprnet_rt.pipeline import BatchStage, Stage
from hprnet_rt.render import Drawing, draw_onto, draws_planes
from hprnet_rt.types import Frame, FramePoses, Inferred, Peaks, Poses, Prepared

__all__ = [
    "AnyStage",
    "OverTime",
    "Regions",
    "finding_stages",
    "following_stages",
    "pose_stages",
    "replay_stages",
]

AnyStage = Stage | BatchStage
"""What a pipeline takes."""

Regions = Sequence[Region] | str
"""Parts of a picture, or `AUTO`."""

OverTime = Callable[[Poses, float], Poses]
"""A temporal step: called with the people of each frame and its time in seconds. `Tracker`, `OneEuro`."""


def pose_stages(
    model: PoseModel,
    draw: Drawing | None = None,
    over_time: Sequence[OverTime] = (),
    *,
    batch: int = 1,
    regions: Regions = (),
    grouper: Callable[[Peaks], Poses] | None = None,
    watch: CrowdWatch | None = None,
    stills: bool = False,
    live: bool = False,
) -> list[AnyStage]:
    """Return the stages from a `Frame` to its `FramePoses`.

    Args:
        model: the network.
        draw: draws people onto the frame's own picture, such as an `Overlay`.
        over_time: temporal steps, applied in this order. They get every frame, in order, at its media
            time, or at its capture where the source has no clock.
        batch: frames that wait for each other before the network, so that it sees them together. Not for
            live sources.
        regions: what the network looks at, one after the other; the whole picture when empty; "auto" chooses,
            see `Looks`.
        grouper: turns peaks into people in place of the model's own.
        watch: where size or regions are chosen: what decides it; a new one when None.
        stills: frames have nothing to do with each other.
        live: no frame may wait for a network that is being opened.

    Raises:
        UsageError: the model and regions do not go together.

    Raises in its stage, as a stage does:
        UsageError: a region is not in the picture.
    """
    finding = finding_stages(model, batch, regions, grouper, watch, stills=stills, live=live)
    return [*finding, *following_stages(over_time, draw)]


def finding_stages(
    model: PoseModel,
    batch: int = 1,
    regions: Regions = (),
    grouper: Callable[[Peaks], Poses] | None = None,
    watch: CrowdWatch | None = None,
    *,
    stills: bool = False,
    live: bool = False,
    keeps_pictures: bool = True,
) -> list[AnyStage]:
    """Return the stages that find people; see `pose_stages`.

    Without `keeps_pictures` frames lose theirs when the network's input is made, and its memory is free.
    """
    if isinstance(regions, str) or model.input_px == AUTO:
        _require_choice(model, regions)
        looks = Looks(model, regions=regions == AUTO, wait=not live)
        return [*watching_stages(looks, watch, grouper, stills=stills)]

    def corners_in(frame: Frame) -> list[Corners]:
        height, width = frame.image_hw
        return [region.corners(width, height) for region in regions]

    def prepare(frame: Frame) -> list[Prepared]:
        planes = frame.planes
        if not regions:
            inputs = model.prepare(planes or frame.image)
            return [Prepared(frame if keeps_pictures else frame.unseen(), *inputs)]
        if planes is not None:
            return [Prepared(frame, *model.prepare(part_of(planes, each))) for each in corners_in(frame)]
        parts = [frame.image[top:bottom, left:right] for left, top, right, bottom in corners_in(frame)]
        return [Prepared(frame, *model.prepare(part)) for part in parts]

    def infer(items: list[Prepared]) -> list[Inferred]:
        return [Inferred(item.frame, model.infer(item.batch, item.letterbox)) for item in items]

    def begin(frames: list[list[Prepared]]) -> Callable[[], list[list[Inferred]]]:
        collect = model.begin([(item.batch, item.letterbox) for items in frames for item in items])

        def collected() -> list[list[Inferred]]:
            peaks = iter(collect())
            return [[Inferred(item.frame, next(peaks)) for item in items] for items in frames]

        return collected

    def group(items: list[Inferred]) -> FramePoses:
        frame = items[0].frame
        found = [(grouper or model.group)(item.peaks) for item in items]
        if not regions:
            return FramePoses(frame, found[0])
        height, width = frame.image_hw
        return FramePoses(frame, merged(found, corners_in(frame), width, height))

    engine: AnyStage = Stage("engine", infer)
    if batch > 1 or model.at_once > 1:
        engine = BatchStage("engine", begin, batch, at_once=model.at_once)
    return [Stage("preprocess", prepare), engine, Stage("grouping", group)]


def _require_choice(model: PoseModel, regions: Regions) -> None:
    """Check that size or regions can be chosen.

    Raises:
        UsageError: they cannot.
        ModelError, OutputError: see `PoseModel.require_closer`.
    """
    if regions and model.input_px == AUTO:
        raise UsageError("--size auto looks at the whole picture: leave --regions out, or give a size")
    if model.input_px == KEEP or model.model_file.spec.is_rival:
        raise UsageError(f"{model.name} at --size {model.input_px} has no regions of its own: give them")
    model.require_closer()


def following_stages(over_time: Sequence[OverTime] = (), draw: Drawing | None = None) -> list[AnyStage]:
    """Return the stages that take one frame after the other; see `pose_stages`."""
    stages: list[AnyStage] = []
    if over_time:
        stages.append(Stage("tracking", lambda item: _follow(over_time, item)))
    if draw is not None:
        stages.append(_render_stage(draw))
    return stages


def replay_stages(
    known: Iterator[KeypointsFrame], draw: Drawing | None = None, *, all_known: bool = True
) -> list[AnyStage]:
    """Return the stages from a `Frame` to its `FramePoses` for a source whose people are known.

    Args:
        known: frames with their people, in the source's order.
        draw: draws people onto the frame's own image, such as an `Overlay`.
        all_known: every frame is among them; otherwise there is nobody in the others.

    Raises in its stage, as a stage does:
        MediaError: a frame is not among them: the file has changed.
    """
    waiting = next(known, None)

    def look_up(frame: Frame) -> FramePoses:
        nonlocal waiting
        while waiting is not None and waiting.number < frame.sequence:
            waiting = next(known, None)
        if waiting is not None and waiting.number == frame.sequence:
            return FramePoses(frame, waiting.poses)
        if all_known:
            raise MediaError("the file is not as it was when its keypoints were found")
        return FramePoses(frame, Poses.empty())

    stages: list[AnyStage] = [Stage("keypoints", look_up)]
    if draw is not None:
        stages.append(_render_stage(draw))
    return stages


def _time_s(frame: Frame) -> float:
    """Return a frame's media time, or when it was captured where the source has no clock."""
    return frame.captured_s if frame.pts_s is None else frame.pts_s


def _follow(over_time: Sequence[OverTime], item: FramePoses) -> FramePoses:
    poses = item.poses
    for step in over_time:
        poses = step(poses, _time_s(item.frame))
    return replace(item, poses=poses)


def _render_stage(draw: Drawing) -> Stage:
    """Return the stage that draws on a frame's planes where it can, and else on its image."""

    def render(item: FramePoses) -> FramePoses:
        frame = item.frame
        if frame.planes is None or not draws_planes(draw):
            return draw_onto(item, draw)
        draw.draw_planes(frame.planes, _time_s(frame), item.poses)
        return item

    return Stage("render", render)
