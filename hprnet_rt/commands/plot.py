"""`hprnet-rt plot`: how points of stored keypoints move, as a chart."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hprnet_rt.charts.figure import FIGURE_SUFFIXES, require_matplotlib
from hprnet_rt.charts.motion import Motion, read_motion
from hprnet_rt.charts.motion_chart import MOST_PEOPLE, MOST_POINTS, write_path, write_series
from hprnet_rt.commands.console import DONE, AddParser, complain, keep_inputs, say
from hprnet_rt.commands.options import add_drawing_option
from hprnet_rt.errors import UsageError
from hprnet_rt.files import make_folder_of
from hprnet_rt.formats import format_of, read_keypoints
from hprnet_rt.formats.recording import in_short
from hprnet_rt.render import OverlayStyle
from hprnet_rt.types import ImageArray
from hprnet_rt.video.file_source import open_source
from hprnet_rt.words import counted

__all__ = ["add_parser"]


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Draw how points move: x, y and speed over time, or their path over the picture. "
        "Keypoints are read in any format that `hprnet-rt convert` reads. Where a point is not sure enough "
        "to be drawn on a video, the line has a gap.",
    )
    job.add_argument("keypoints", type=Path, metavar="KEYPOINTS", help="file or folder of keypoints")
    job.add_argument(
        "--point",
        action="append",
        required=True,
        metavar="NAME",
        help=f"such as left_wrist, nose or right_big_toe; up to {MOST_POINTS}, each by an option of its own",
    )
    job.add_argument(
        "--person",
        action="append",
        type=int,
        default=[],
        metavar="ID",
        help="a person's id, as it is written on the video; may be given several times (default: all, or the "
        f"{MOST_PEOPLE} who are there longest)",
    )
    job.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the chart, .png or .svg")
    job.add_argument("--path", action="store_true", help="draw the path over the picture instead")
    job.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="for --path: a video, of which the first frame is taken, or an image (default: the source of "
        "the keypoints)",
    )
    add_drawing_option(job)
    job.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_plot)


def _plot(options: argparse.Namespace) -> int:
    require_matplotlib()
    _check(options)
    style = OverlayStyle.of_model(refined=True, point_threshold=options.point_threshold)
    recording = read_keypoints(options.keypoints)
    points = list(dict.fromkeys(options.point))
    motion = read_motion(
        recording,
        points,
        options.person,
        point_threshold=style.point_threshold,
        hand_threshold=style.hand_threshold,
        has_empty_frames="empty frames" not in format_of(options.keypoints).loses,
    )
    motion, notes = _fitting(motion)
    notes += _unseen(motion, points, options.person)
    title = f"{', '.join(points)} in {Path(str(recording.header.get('source') or options.keypoints)).name}"
    if options.path:
        picture = _picture(options, recording.header)
        make_folder_of(options.out)
        write_path(motion, picture, options.out, title, ["ring: begin, dot: end", *notes])
    else:
        make_folder_of(options.out)
        write_series(motion, options.out, title, notes)
    for note in notes:
        complain(note)
    if not options.quiet:
        people = len({track.person for track in motion.tracks})
        say(f"wrote {options.out}: {counted(people, 'person')}, {', '.join(points)}")
    return DONE


def _check(options: argparse.Namespace) -> None:
    """Check the arguments that need no file to be read.

    Raises:
        UsageError: one of them cannot be.
    """
    out = options.out
    if out.suffix.lower() not in FIGURE_SUFFIXES:
        raise UsageError(f"a chart is written to {' or '.join(FIGURE_SUFFIXES)}, not to {out}")
    for given, most, noun in (
        (options.point, MOST_POINTS, "points"),
        (options.person, MOST_PEOPLE, "people"),
    ):
        if len(set(given)) > most:
            raise UsageError(f"a chart shows {most} {noun} at most, got {len(set(given))}: make several")
    if options.picture is not None and not options.path:
        raise UsageError("--picture is for --path, which draws over it")
    keep_inputs(out, [path for path in (options.keypoints, options.picture) if path is not None])
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists; add --overwrite to replace it, or choose another -o")


def _fitting(motion: Motion) -> tuple[Motion, list[str]]:
    """Return the motion of as many people as a chart shows, and what is to be said of the others."""
    notes = []
    people = list(dict.fromkeys(track.person for track in motion.tracks))
    if len(people) > MOST_PEOPLE:
        kept = frozenset(people[:MOST_PEOPLE])
        tracks = tuple(track for track in motion.tracks if track.person in kept)
        notes.append(
            f"drawn are {MOST_PEOPLE} of {len(people)} people, who are there longest; --person chooses others"
        )
        motion = Motion(tracks, motion.unit, motion.nameless)
    if motion.nameless:
        notes.append(f"people without an id are not drawn: {motion.nameless} in single frames")
    return motion, notes


def _unseen(motion: Motion, points: Sequence[str], people: Sequence[int]) -> list[str]:
    """Return what is to be said of points and people who were asked for, and have nothing to show."""
    seen_points = {track.point for track in motion.tracks}
    seen_people = {track.person for track in motion.tracks}
    unseen = [name for name in points if name not in seen_points]
    unseen += [f"person {person}" for person in people if person not in seen_people]
    return [f"{what} is not sure enough in any frame, and not drawn" for what in unseen]


def _picture(options: argparse.Namespace, header: Mapping[str, Any]) -> ImageArray:
    """Return the picture for a path: of --picture, or of the file that the header names.

    The file is looked for where it was, and beside the keypoints.

    Raises:
        UsageError: there is none, it would be overwritten, or it is of another size than the keypoints.
        MediaError: it cannot be read.
    """
    source = str(header.get("source") or "")
    places = [Path(source), options.keypoints.parent / Path(source).name] if source else []
    file = options.picture or next((place for place in places if place.is_file()), None)
    if file is None:
        missing = f"{source} is not here" if source else f"{options.keypoints} does not say of what it is"
        raise UsageError(f"a path needs a picture, and {missing}: name the video or an image by --picture")
    keep_inputs(options.out, [file])
    opened = open_source(file)
    try:
        image = next(iter(opened)).image
    finally:
        opened.close()
    height, width = image.shape[:2]
    size = header.get("width", width), header.get("height", height)
    if size != (width, height):
        expected = " x ".join(map(in_short, size))
        raise UsageError(
            f"the keypoints are of a picture of {expected}, and {file} has {width} x {height}: name "
            "the right one by --picture"
        )
    return image
