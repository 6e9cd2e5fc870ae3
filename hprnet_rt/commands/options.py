"""Options that commands share: the model, its backend, the drawing and the videos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hprnet_rt.backends import BACKENDS, PRECISIONS
from hprnet_rt.commands.console import show_progress_of
from hprnet_rt.geometry import KEEP
from hprnet_rt.grouping import MATCHINGS, GroupingOptions
from hprnet_rt.inference.model import AUTO as CHOSEN
from hprnet_rt.inference.model import DEFAULT_MODEL, PoseModel, load
from hprnet_rt.render import BLURS, HIDEABLE, ONLY, OverlayStyle
from hprnet_rt.spec import DEFAULT_K, SPECS
from hprnet_rt.video.encoders import AUTO, DEFAULT_CRF, DEFAULT_ENCODER, ENCODERS

__all__ = [
    "add_drawing_option",
    "add_k_option",
    "add_max_people_option",
    "add_model_options",
    "add_picture_options",
    "add_video_options",
    "load_model",
    "model_choice",
    "size",
]


def size(text: str) -> int | str:
    """Read an input size: a number of pixels, "keep" or "auto".

    Raises:
        ValueError: it is neither.
    """
    return text if text in (KEEP, CHOSEN) else int(text)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model, and the options of its backend and threshold."""
    parser.add_argument(
        "--threshold",
        type=float,
        help=f"least score of a person, 0 to 1 (default {GroupingOptions().person_threshold}; of openpose-* "
        "and ae-* what their own rules say)",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a name that `hprnet-rt models` lists, or the path of an .onnx file (default %(default)s)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="a checkpoint (.pth, .caffemodel) of --model, converted at the first use (default: those on "
        "this machine)",
    )
    add_k_option(parser)
    parser.add_argument(
        "--backend",
        default="auto",
        help=f"auto, {', '.join(BACKENDS)} (default %(default)s, which prints its choice; tensorrt and cuda "
        "need an NVIDIA GPU)",
    )
    parser.add_argument(
        "--precision",
        default="auto",
        help=f"{', '.join(PRECISIONS)} (default %(default)s, never int8, which needs --backend "
        "openvino and an engine of `hprnet-rt build`)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="CPU threads of the backend (default: all cores; beside an encoder half of them for onnxruntime "
        "and torch)",
    )
    parser.add_argument(
        "--size",
        type=size,
        metavar="PX",
        help="longer side of the network's input, a multiple of 32 (128 for hprnet-hourglass104; of "
        "openpose-* the height, of ae-* the shorter side: `hprnet-rt models info`); larger "
        f'finds smaller people and takes longer; "{KEEP}" takes images at their own size; "{CHOSEN}" is the '
        "network's own, and twice that while people are many and small, which is said (default: the "
        f"network's own, {SPECS[DEFAULT_MODEL].input_px} for {DEFAULT_MODEL}, 512 for the others)",
    )


def add_k_option(parser: argparse._ActionsContainer) -> None:
    """Add --k."""
    parser.add_argument(
        "--k",
        type=int,
        metavar="N",
        help=f"the most people that the network can find in a frame; more take longer (default: the model "
        f"file's own, usually {DEFAULT_K})",
    )


def add_drawing_option(parser: argparse._ActionsContainer) -> None:
    """Add --point-threshold."""
    usual = OverlayStyle()
    parser.add_argument(
        "--point-threshold",
        type=float,
        metavar="SCORE",
        help="least score of a point that is drawn, 0 to 1; keypoints files have all points (default "
        f"{usual.point_threshold}, and {usual.hand_threshold} for those of hands)",
    )


def add_max_people_option(parser: argparse._ActionsContainer) -> None:
    """Add --max-people."""
    parser.add_argument(
        "--max-people",
        type=int,
        metavar="N",
        help="at most N people in a frame, the largest; who was chosen stays so while they are seen",
    )


def add_picture_options(parser: argparse._ActionsContainer, *, of_photos: bool = True) -> None:
    """Add --hide, --blur and --only.

    Args:
        parser: of the command.
        of_photos: it draws on photos too, and says what is kept of what is written on them.
    """
    metadata = (
        ". Of what is written on a photo only the colour profile is kept, because EXIF and others may hold "
        "the picture as it was"
    )
    parser.add_argument(
        "--hide",
        action="append",
        choices=HIDEABLE,
        default=[],
        metavar="PART",
        help=f"do not draw {', '.join(HIDEABLE)}; may be given several times",
    )
    parser.add_argument(
        "--blur",
        choices=BLURS,
        help="make the faces of everyone who is found unrecognisable, heads that look away too; look at the "
        f"result before you show it: who is not found is not blurred{metadata if of_photos else ''}",
    )
    kept = "; photos keep what --blur keeps of them" if of_photos else ""
    parser.add_argument("--only", choices=ONLY, help=f"draw skeletons on black{kept}")


def add_video_options(parser: argparse.ArgumentParser) -> None:
    """Add --crf, --encoder and --strip-metadata."""
    parser.add_argument(
        "--crf",
        type=int,
        default=DEFAULT_CRF,
        metavar="N",
        help="compression of videos, from 0 (largest files) to 51 (smallest files) (default %(default)s)",
    )
    parser.add_argument(
        "--encoder",
        default=DEFAULT_ENCODER,
        choices=(AUTO, *ENCODERS),
        metavar="NAME",
        help=f"encoder of videos: {', '.join(ENCODERS)}; {AUTO} takes the first of a GPU that works here "
        "and prints its choice (default %(default)s)",
    )
    parser.add_argument(
        "--strip-metadata",
        action="store_true",
        help="leave out what is written on the source: where and when it was taken, its title, a photo's "
        "EXIF and colour profile (default: they are kept)",
    )


def load_model(
    options: argparse.Namespace,
    *,
    threads: int | None = None,
    batch: int | None = 1,
    flip: bool = False,
    matching: str = MATCHINGS[0],
) -> PoseModel:
    """Open the model that the options name.

    Args:
        options: with those of `add_model_options`.
        threads: of the backend, when --threads is not given.
        batch, flip, matching: see `load`.
    """
    if not options.quiet:
        # a conversion takes a while, and what is looked at may change
        show_progress_of("hprnet_rt.zoo.weights", "hprnet_rt.inference.looks")
    choice = model_choice(options, threads=threads, batch=batch)
    return load(choice.pop("model"), **choice, flip=flip, matching=matching)


def model_choice(
    options: argparse.Namespace, *, threads: int | None = None, batch: int | None = 1
) -> dict[str, Any]:
    """Return the options as arguments of `load`; see `load_model`."""
    return {
        "model": options.model,
        "weights": options.weights,
        "k": options.k,
        "backend": options.backend,
        "precision": options.precision,
        "threads": threads if options.threads is None else options.threads,
        "input_px": options.size,
        "batch": batch,
        "threshold": options.threshold,
    }
