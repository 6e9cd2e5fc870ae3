"""A model over annotated images: COCO-WholeBody results out. Killed at any moment, it continues.

Every finished image is a line of `NAME.partial.jsonl`, whose first line says what made it; the same
call takes up what is there. The results get their name when all images are done.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hprnet_rt.errors import MediaError, OutputError, UsageError
from hprnet_rt.evaluation import PART_TYPES, Annotations, write_results
from hprnet_rt.files import output_errors, reason
from hprnet_rt.inference.crowd import CrowdWatch
from hprnet_rt.inference.model import AUTO, PoseModel
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.pipeline import Pipeline, Profiler
from hprnet_rt.spec import ModelSpec
from hprnet_rt.types import Frame, FramePoses
from hprnet_rt.types.coco import SINGLE_PARTS, to_results
from hprnet_rt.video import ImageSource

__all__ = ["Prediction", "known_parts", "predict"]

_FORMAT = "hprnet-rt-predictions/1"
_SHOWN = 3


@dataclass(frozen=True)
class Prediction:
    """The result of a run.

    Attributes:
        path: the results; the journal when the run was cancelled.
        images, detections: in all, those of earlier runs included.
        resumed: images that earlier runs had done.
        seconds: of this run.
        cancelled: it was stopped early.
        closer: images of this run that were looked at a second time, closer; None where that is not chosen.
    """

    path: Path
    images: int
    detections: int
    resumed: int
    seconds: float
    cancelled: bool = False
    closer: int | None = None


class _Images:
    """The images that are still to do, as frames; sequence numbers count from 0."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __iter__(self) -> Iterator[Frame]:
        for sequence, path in enumerate(self._paths):
            (frame,) = ImageSource(path)
            yield Frame(sequence, frame.image, time.perf_counter())

    def close(self) -> None:
        """Nothing is held open."""


def _paths(annotations: Annotations, folder: Path) -> dict[int, Path]:
    """Return each image's file.

    Raises:
        MediaError: some are missing, or cannot be looked at.
    """
    paths = {}
    for image_id, name in zip(annotations.image_ids.tolist(), annotations.file_names, strict=True):
        if not name:
            raise MediaError(f"{annotations.name}: image {image_id} has no file_name")
        paths[image_id] = folder / name
    try:
        missing = [path.name for path in paths.values() if not path.is_file()]
    except OSError as error:  # a name too long, a folder that may not be read
        raise MediaError(
            f"cannot look for the images of {annotations.name} in {folder}: {reason(error)}; correct their "
            "file_name, or the folder"
        ) from error
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise MediaError(
            f"{folder} lacks {len(missing)} of {len(paths)} images: {', '.join(missing[:_SHOWN])}{more}; "
            "is it the folder that belongs to these annotations?"
        )
    return paths


def known_parts(spec: ModelSpec) -> tuple[str, ...]:
    """Return the single parts of the evaluation that the weights know."""
    known = spec.trained_keypoints
    return tuple(part for part in SINGLE_PARTS if known[PART_TYPES[part].points.start])


def _settings(model: PoseModel, annotations: Annotations, folder: Path) -> dict[str, Any]:
    """Return all that the results depend on: only runs with the same settings may share a journal."""
    options = model.group.options
    pairs = list(zip(annotations.image_ids.tolist(), annotations.file_names, strict=True))
    return {
        "format": _FORMAT,
        "folder": str(folder.resolve()),
        "images": len(pairs),
        "images_sha256": hashlib.sha256(json.dumps(pairs).encode()).hexdigest(),
        "model": model.name,
        "model_sha256": model.model_file.sha256,
        "engine": model.description,
        "input_px": model.input_px,
        **({"closer_k": model.facts.closer_k} if model.input_px == AUTO else {}),
        "threshold": options.person_threshold,
        "peak_threshold": options.peak_threshold,
        "matching": options.matching,
    }


def _taken_up(journal: Path, settings: dict[str, Any]) -> set[int]:
    """Read which images the journal has; a line that a crash cut short is removed.

    Raises:
        UsageError: it was made of other images or with other settings.
        OutputError: it cannot be read or mended.
    """
    done: set[int] = set()
    try:
        if not journal.exists():
            return done
        with journal.open("r+b") as file:
            whole = 0
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                data = json.loads(line)
                if number == 0 and data != settings:
                    raise UsageError(
                        f"{journal} was made of other images or with other settings; delete it, or write to "
                        "another place"
                    )
                if number > 0:
                    done.add(data["image_id"])
                whole += len(line)
            file.truncate(whole)
    except UsageError:  # which is a ValueError
        raise
    except OSError as error:
        raise OutputError(f"cannot read {journal}: {reason(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{journal} is not a journal of predictions ({error}); delete it") from error
    return done


def _add_line(file: IO[str], data: dict[str, Any]) -> None:
    file.write(json.dumps(data, separators=(",", ":")) + "\n")
    file.flush()


def _detections(journal: Path) -> Iterator[dict[str, Any]]:
    with journal.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            yield from json.loads(line)["results"]


def predict(
    model: PoseModel,
    annotations: Annotations,
    folder: Path,
    out: Path,
    *,
    profiler: Profiler | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Prediction:
    """Find everyone in the images of an annotations file.

    Images of one input size come after each other, so that each size is compiled once.

    Args:
        model: the network.
        annotations: whose images; their people are not looked at.
        folder: of the images.
        out: the results file to write; its folder exists.
        profiler: gets the stages' times.
        progress: called with images done and images in all.
        cancelled: when set, what is done is kept, and the same call continues.

    Raises:
        UsageError: what an earlier run left was made of other images or with other settings.
        MediaError: an image is missing or cannot be read.
        OutputError: the results cannot be written.
        HprnetError: the network failed. What was done before is kept in each case.
    """
    begin_s = time.perf_counter()
    paths = _paths(annotations, folder)
    journal = out.with_name(f"{out.stem}.partial.jsonl")
    settings = _settings(model, annotations, folder)
    done = _taken_up(journal, settings)
    cancelled = cancelled or threading.Event()
    sizes = dict(zip(annotations.image_ids.tolist(), annotations.image_hw.tolist(), strict=True))

    def input_size(image_id: int) -> tuple[int, ...]:
        height, width = sizes[image_id]
        return model.letterbox((height, width)).input_hw if height > 0 and width > 0 else (0, 0)

    todo = sorted((image_id for image_id in paths if image_id not in done), key=input_size)
    parts = known_parts(model.model_file.spec)
    resumed = len(done)
    watch = CrowdWatch() if model.input_px == AUTO else None
    with output_errors(journal):
        with journal.open("a", encoding="utf-8") as file:
            if not resumed and not file.tell():
                _add_line(file, settings)
            with Pipeline[FramePoses](
                _Images([paths[image_id] for image_id in todo]),
                pose_stages(model, batch=model.batch, watch=watch, stills=True),
                profiler=profiler,
                cancelled=cancelled,
            ) as pipeline:
                for packet in pipeline:
                    image_id = todo[packet.sequence]
                    found = to_results(image_id, packet.payload.poses, parts)
                    _add_line(file, {"image_id": image_id, "results": found})
                    done.add(image_id)
                    if progress is not None:
                        progress(len(done), len(paths))
        if len(done) < len(paths):
            count = sum(1 for _ in _detections(journal))
            return Prediction(journal, len(done), count, resumed, time.perf_counter() - begin_s, True)
        count = write_results(out, _detections(journal))
        journal.unlink()
    took_s, closer = time.perf_counter() - begin_s, None if watch is None else watch.closer
    return Prediction(out, len(done), count, resumed, took_s, closer=closer)
