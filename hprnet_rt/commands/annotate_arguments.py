"""The arguments of `hprnet-rt annotate`, and what they mean."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from hprnet_rt.commands.options import (
    add_drawing_option,
    add_max_people_option,
    add_model_options,
    add_picture_options,
    add_video_options,
)
from hprnet_rt.errors import UsageError
from hprnet_rt.files import reason
from hprnet_rt.formats import FORMATS
from hprnet_rt.inference.looks import AUTO
from hprnet_rt.inference.regions import Region, parse_region
from hprnet_rt.jobs.inputs import STANDARD_INPUT, read_list
from hprnet_rt.jobs.options import SMOOTHINGS, AnnotateOptions
from hprnet_rt.video import DEFAULT_RATE, is_address
from hprnet_rt.video.deinterlace import DEINTERLACING
from hprnet_rt.video.encoders import DEFAULT_ENCODER, choose_encoder
from hprnet_rt.video.remote import is_remote, split_remote

__all__ = ["add_arguments", "listed_inputs", "output_place", "settings_of"]


def add_arguments(job: argparse.ArgumentParser) -> None:
    """Add the inputs, the outputs and the options."""
    job.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="video, image, folder, glob pattern, http(s) address, address that fsspec opens "
        "(s3://bucket/clips), numbered images as one video (frames/img_%%04d.png), or - for standard input",
    )
    job.add_argument(
        "--from",
        dest="list",
        metavar="FILE",
        help="a list of further inputs, one per line; - is standard input",
    )
    job.add_argument(
        "-o",
        "--out",
        help="folder, or a file for a single input; - writes its keypoints to standard output",
    )
    job.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="for an -o such as s3://bucket/out: local folder where outputs are written, and stay",
    )
    job.add_argument("--no-video", action="store_true", help="write keypoints only")
    job.add_argument("--no-keypoints", action="store_true", help="write videos and images only")
    job.add_argument(
        "--format",
        action="append",
        choices=FORMATS,
        metavar="FORMAT",
        help="format of the keypoints, see below; may be given several times (default jsonl)",
    )
    job.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    job.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip inputs whose outputs exist, even if those were made with other settings",
    )
    job.add_argument(
        "--start",
        type=_seconds,
        default=0.0,
        metavar="TIME",
        help="begin each video at this time: seconds, m:s or h:m:s",
    )
    job.add_argument("--end", type=_seconds, metavar="TIME", help="end each video before this time")
    job.add_argument(
        "--stride",
        type=int,
        default=1,
        metavar="N",
        help="only every N-th frame, also in the output video",
    )
    job.add_argument(
        "--rate",
        type=_rate,
        default=DEFAULT_RATE,
        metavar="FPS",
        help="frames per second of numbered images: 24, 29.97 or 30000/1001 (default %(default)s)",
    )
    job.add_argument("--limit", type=int, metavar="N", help="at most N frames of each file")
    add_video_options(job)
    job.add_argument(
        "--deinterlace",
        choices=DEINTERLACING,
        default=DEINTERLACING[0],
        help="make whole pictures of fields, as many as before: auto does it for pictures that are marked as "
        "interlaced (default %(default)s)",
    )
    job.add_argument(
        "--regions",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="search only this part of the picture, enlarged to the network's input: finds small people "
        "there; in pixels or percent (10%%,0,50%%,100%%); may be given several times; auto looks at wide "
        "pictures as a whole and in parts, and so at others while people are many and small",
    )
    add_drawing_option(job)
    add_picture_options(job)
    add_max_people_option(job)
    job.add_argument("--no-track", action="store_true", help="give people no ids")
    job.add_argument(
        "--smooth",
        choices=SMOOTHINGS,
        default=SMOOTHINGS[0],
        help="steady the points in videos: one-euro lags a little behind fast ones, zero-lag does not but "
        "reads a video twice (default %(default)s)",
    )
    add_model_options(job)
    job.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="frames per run of the network (default: the backend's best, which is 1 on a CPU)",
    )
    job.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="videos at once, which share one network (default 1; on a cluster enough for all workers)",
    )
    job.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="find people on a Ray cluster: ray://HOST:PORT, HOST:PORT, auto (the one that runs here), or "
        "local (a new one on this machine); all machines must find the inputs under the same path",
    )
    job.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="workers on the cluster (default: one per GPU, or one for every --threads of its CPUs)",
    )
    job.add_argument("--report", type=Path, metavar="FILE", help="write the outcome of every input, as JSON")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _seconds(text: str) -> float:
    """Read a time given as seconds, m:s or h:m:s.

    Raises:
        ValueError: it is not such a time.
    """
    first, *others = map(float, text.split(":"))
    if any(part < 0 for part in others):
        raise ValueError
    for part in others:
        first = 60.0 * first + part
    return first


def _rate(text: str) -> Fraction:
    """Read a number of frames per second, perhaps a fraction.

    Raises:
        ValueError: it is not a number.
    """
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError from None


def listed_inputs(name: str | None) -> list[str]:
    """Return the inputs that a list names.

    Args:
        name: of the file, `STANDARD_INPUT`, None for no list.

    Raises:
        UsageError: the list cannot be read.
    """
    if name is None:
        return []
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise UsageError("the list of inputs cannot be read: standard input is closed")
        return read_list(sys.stdin)
    try:
        with Path(name).open(encoding="utf-8") as file:
            return read_list(file)
    except OSError as error:
        raise UsageError(f"cannot read the list {name}: {reason(error)}") from error


def output_place(out: str, work: Path | None) -> tuple[Path, str | None]:
    """Return the local place of the outputs, and the address to send them to, None to keep them local.

    Raises:
        UsageError: only one of a remote place and a work folder is given, or a server's address.
    """
    if is_address(out):
        raise UsageError(
            f"outputs cannot be sent to {out}: give a folder, or what fsspec writes to, such as s3://"
        )
    if not is_remote(out):
        if work is not None:
            raise UsageError(f"--work goes with an -o such as s3://bucket/out, not with {out}")
        return Path(out), None
    if work is None:
        raise UsageError(
            f"{out} cannot be written to as a run goes on: name a local folder with --work, from which "
            "outputs are sent there when they are complete"
        )
    base, name = split_remote(out)
    return work / name, base


def _regions(texts: list[str]) -> tuple[Region, ...] | str:
    """Return the regions that were given, or `AUTO`.

    Raises:
        UsageError: one is no region, or auto is given among others.
    """
    if AUTO not in texts:
        return tuple(map(parse_region, texts))
    if len(texts) > 1:
        raise UsageError("--regions auto chooses all regions; leave the others out, or auto")
    return AUTO


def settings_of(options: argparse.Namespace) -> AnnotateOptions:
    """Return the options of the work itself.

    Raises:
        UsageError: a value is impossible, or two contradict each other.
    """
    return AnnotateOptions(
        video=not options.no_video,
        keypoints=not options.no_keypoints,
        overwrite=options.overwrite,
        limit=options.limit,
        track=not options.no_track,
        smooth=options.smooth,
        formats=tuple(options.format or ()),
        start_s=options.start,
        end_s=options.end,
        stride=options.stride,
        skip_existing=options.skip_existing,
        crf=options.crf,
        encoder=DEFAULT_ENCODER if options.no_video else choose_encoder(options.encoder),
        rate=options.rate,
        regions=_regions(options.regions),
        deinterlace=options.deinterlace,
        strip_metadata=options.strip_metadata,
        point_threshold=options.point_threshold,
        max_people=options.max_people,
        hide=tuple(options.hide),
        blur=options.blur,
        only=options.only,
    )
