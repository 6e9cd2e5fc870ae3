"""`hprnet-rt render`: draw stored keypoints onto their video, without a network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from hprnet_rt.commands.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    AddParser,
    cancelled_by_signals,
    complain,
    keep_inputs,
    say,
)
from hprnet_rt.commands.options import add_drawing_option, add_picture_options, add_video_options
from hprnet_rt.errors import UsageError
from hprnet_rt.formats import read_keypoints
from hprnet_rt.jobs.render import has_fewer_people, render
from hprnet_rt.render import Overlay, OverlayStyle, drawing_of
from hprnet_rt.video.encoders import AUTO, choose_encoder
from hprnet_rt.words import counted, duration

__all__ = ["add_parser"]


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Draw keypoints, in any format that `hprnet-rt convert` reads, onto their video or "
        "image. Every frame and the audio are kept.",
    )
    job.add_argument("source", type=Path, metavar="VIDEO", help="video or image")
    job.add_argument("keypoints", type=Path, metavar="KEYPOINTS", help="its keypoints")
    job.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the drawn video or image")
    add_drawing_option(job)
    add_picture_options(job)
    add_video_options(job)
    job.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_render)


def _render(options: argparse.Namespace) -> int:
    out = options.out
    style = OverlayStyle.of_model(refined=True, point_threshold=options.point_threshold)
    draw = drawing_of(Overlay(style.without(options.hide)), blur=options.blur, only=options.only)
    if out.is_dir():
        raise UsageError(f"{out} is a folder; give the name of a file")
    keep_inputs(out, (options.source, options.keypoints))
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists; add --overwrite to replace it, or choose another -o")
    encoder = choose_encoder(options.encoder)
    if options.encoder == AUTO and not options.quiet:
        say(f"videos by {encoder} (auto)")
    recording = read_keypoints(options.keypoints)
    if options.blur and has_fewer_people(recording.header):
        raise UsageError(
            f"{options.keypoints} has only the largest people, and the faces of others would not be blurred; "
            "take keypoints that were made without --max-people"
        )
    with (
        tqdm(
            desc=options.source.name,
            unit=" frames",
            file=sys.stderr,
            disable=options.quiet or None,  # None: only on a terminal
            dynamic_ncols=True,
        ) as bar,
        cancelled_by_signals() as cancelled,
    ):
        report = render(
            options.source,
            recording,
            out,
            draw=draw,
            crf=options.crf,
            encoder=encoder,
            strip_metadata=options.strip_metadata,
            started=lambda info: bar.reset(info.frames),
            progress=lambda _: bar.update(),
            cancelled=cancelled,
        )
    if report.cancelled:
        complain("stopped before the end")
        return INTERRUPTED
    if not options.quiet:
        rate = report.frames / report.seconds if report.seconds > 0 else 0.0
        frames = counted(report.frames, "frame")
        say(f"wrote {report.path}: {frames}, {rate:.1f} FPS, total time {duration(report.seconds)}")
    if report.damage:
        complain(report.damage)
        return FAILED
    return DONE
