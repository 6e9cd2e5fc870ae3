"""The stages of a pose pipeline, and `stream`, the pipeline as an iterator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hprnet_rt.errors import UsageError
from hprnet_rt.estimator import PoseModel, load
from hprnet_rt.pipeline import Pipeline, Stage
from hprnet_rt.pipeline.runner import Source
from hprnet_rt.render import Overlay
from hprnet_rt.types import Estimated, Frame, Inferred, Poses, Prepared
from hprnet_rt.video import ImageSource, VideoSource, is_image

__all__ = ["open_source", "pose_stages", "stream"]


def open_source(path: Path) -> ImageSource | VideoSource:
    """Open a video or an image.

    Raises:
        UsageError: there is no such file.
        MediaError: it cannot be read.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a video or an image")
    return ImageSource(path) if is_image(path) else VideoSource(path)


def pose_stages(model: PoseModel, overlay: Overlay | None) -> list[Stage]:
    """Frame -> Estimated, in stages; with an overlay, skeletons are drawn onto the frame's own image."""

    def prepare(frame: Frame) -> Prepared:
        return Prepared(frame, *model.prepare(frame.image))

    def infer(item: Prepared) -> Inferred:
        return Inferred(item.frame, model.infer(item.batch, item.letterbox))

    def group(item: Inferred) -> Estimated:
        return Estimated(item.frame, model.group(item.peaks))

    stages = [Stage("preprocess", prepare), Stage("engine", infer), Stage("grouping", group)]
    if overlay is not None:
        stages.append(Stage("render", lambda item: _render(overlay, item)))
    return stages


def _render(overlay: Overlay, item: Estimated) -> Estimated:
    overlay.draw(item.frame.image, item.poses)
    return item


def stream(source: str | Path | Source, model: PoseModel | None = None) -> Iterator[tuple[Frame, Poses]]:
    """Yield every frame of a video with everyone in it, in order; decoding runs ahead on threads.

    Args:
        source: a video or image file, or any iterable of `Frame` with a `close` method.
        model: from `load`; the default model, closed at the end, when None.

    Raises:
        UsageError: there is no such file.
        MediaError: it cannot be read.
    """
    opened = open_source(Path(source)) if isinstance(source, str | Path) else source
    own = model or load()
    try:
        with Pipeline[Estimated](opened, pose_stages(own, overlay=None)) as pipeline:
            for parcel in pipeline:
                yield parcel.payload.frame, parcel.payload.poses
    finally:
        if model is None:
            own.close()
