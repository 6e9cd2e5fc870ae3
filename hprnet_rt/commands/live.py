"""`hprnet-rt live`: show a camera, stream, screen or file with skeletons, as it comes."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TextIO

from hprnet_rt.commands.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    AddParser,
    cancelled_by_signals,
    complain,
    show_progress_of,
    stage_table,
)
from hprnet_rt.commands.live_outputs import closing, open_outputs, output_paths
from hprnet_rt.commands.options import (
    add_drawing_option,
    add_max_people_option,
    add_model_options,
    add_picture_options,
    load_model,
)
from hprnet_rt.commands.standard_streams import STANDARD_OUTPUT
from hprnet_rt.errors import UsageError
from hprnet_rt.files import require_writable
from hprnet_rt.formats import KeypointsStream
from hprnet_rt.jobs.fingerprint import make_header
from hprnet_rt.live.last_minute import LastMinute
from hprnet_rt.live.readings import Readings
from hprnet_rt.live.serve import PictureServer
from hprnet_rt.live.session import Session, SessionOptions
from hprnet_rt.pipeline import ChannelClosed, Profiler, write_trace
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.tracking import LIVE_SMOOTHINGS
from hprnet_rt.video import OUTPUT_VIDEO_SUFFIXES
from hprnet_rt.video.capture import LiveOptions, kind_of, live_help, open_live
from hprnet_rt.words import counted, duration, shown_backend

__all__ = ["add_parser"]

_SPANS: Final = 200_000  # in a profile: a quarter of an hour at 25 frames per second
_WAIT_S: Final = 0.1
_SAY_EVERY_S: Final = 1.0


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    defaults, run = LiveOptions(), SessionOptions()
    job = add(
        description="Show a live source with skeletons. When the machine is too slow for every frame, frames "
        "are dropped, so that the picture is never old.",
    )
    job.add_argument(
        "source",
        nargs="?",
        default="0",
        metavar="SOURCE",
        help=f"{live_help()} (default 0)",
    )
    picture = job.add_argument_group("output")
    picture.add_argument("--no-window", action="store_true", help="no window; Ctrl-C ends")
    picture.add_argument(
        "-o",
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help=f"also write a video ({' '.join(sorted(OUTPUT_VIDEO_SUFFIXES))}), keypoints (.jsonl), or "
        "keypoints to standard output (-); may be given several times",
    )
    picture.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    picture.add_argument(
        "--serve", type=int, metavar="PORT", help="show pictures in browsers, not in a window"
    )
    picture.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where --serve listens; viewers need a token for any other than the default (%(default)s)",
    )
    picture.add_argument(
        "--profile", type=Path, metavar="FILE", help="write the times of every frame, .json or .csv"
    )
    add_drawing_option(picture)
    add_picture_options(picture, of_photos=False)
    picture.add_argument("--full-screen", action="store_true", help="begin with a full screen")
    picture.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="swap left and right (default: cameras only)"
    )
    camera = job.add_argument_group("source")
    camera.add_argument("--width", type=int, help="requested from a camera")
    camera.add_argument("--height", type=int, help="requested from a camera")
    camera.add_argument("--fps", type=float, help="requested from a camera; of the screen (default 30)")
    camera.add_argument(
        "--mjpg", action="store_true", help="ask a camera for motion JPEG: more frames over USB"
    )
    camera.add_argument(
        "--realtime",
        action=argparse.BooleanOptionalAction,
        default=defaults.realtime,
        help="play a file by its own clock, or as fast as possible (default: by its clock)",
    )
    camera.add_argument("--loop", action="store_true", help="play a file again and again")
    camera.add_argument(
        "--timeout",
        type=float,
        default=defaults.timeout_s,
        metavar="S",
        help="seconds without a picture after which a camera or network has stalled (default %(default)s)",
    )
    camera.add_argument(
        "--give-up",
        type=float,
        default=defaults.give_up_s,
        metavar="S",
        help="seconds for which a lost network stream is tried again (default %(default)s)",
    )
    way = job.add_argument_group("processing")
    way.add_argument(
        "--in-flight",
        type=int,
        default=run.in_flight,
        metavar="N",
        help="most frames in the pipeline: 1 for the least lag, more for more FPS (default %(default)s)",
    )
    way.add_argument("--no-track", action="store_true", help="give people no ids; implies --smooth off")
    way.add_argument(
        "--smooth",
        choices=LIVE_SMOOTHINGS,
        default=run.smooth,
        help="steady the points; fast ones lag a little (default %(default)s)",
    )
    add_max_people_option(way)
    way.add_argument("--limit", type=int, metavar="N", help="end after N frames")
    way.add_argument("--duration", type=float, metavar="S", help="end after S seconds")
    add_model_options(job)
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_live)


def _live(options: argparse.Namespace) -> int:
    begin_s = time.perf_counter()
    paths = output_paths(options)

    def style_of_model(*, refined: bool) -> OverlayStyle:
        style = OverlayStyle.of_model(refined=refined, point_threshold=options.point_threshold)
        return style.without(options.hide)

    style_of_model(refined=True)  # a wrong threshold is reported before a model is opened
    live = LiveOptions(
        width=options.width,
        height=options.height,
        fps=options.fps,
        mjpg=options.mjpg,
        timeout_s=options.timeout,
        give_up_s=options.give_up,
        realtime=options.realtime,
        loop=options.loop,
    )
    run = SessionOptions(
        in_flight=options.in_flight,
        track=not options.no_track,
        smooth=LIVE_SMOOTHINGS[0] if options.no_track else options.smooth,
        limit=options.limit,
        duration_s=options.duration,
        max_people=options.max_people,
        blur=options.blur,
        only=options.only,
    )
    videos = [path for path in paths if path.suffix.lower() in OUTPUT_VIDEO_SUFFIXES]
    is_seen = not options.no_window or options.serve is not None or videos
    if not is_seen and (options.hide or options.blur or options.only):
        raise UsageError(
            "without a picture nothing is hidden, blurred or shown alone: leave out --no-window, or write a "
            "video with -o"
        )
    show = None if options.no_window or options.serve is not None else _window()
    if not options.quiet:
        show_progress_of("hprnet_rt.video")  # a camera that gives another size, a stream that is lost
    speaker = _Speaker(options.quiet, sys.stderr if STANDARD_OUTPUT in options.out else sys.stdout)
    if options.profile:
        require_writable(options.profile)
    profiler = Profiler(spans=_SPANS if options.profile else 0)
    with ExitStack() as stack:
        model = stack.enter_context(load_model(options))
        overlay = Overlay(style_of_model(refined=model.facts.refined))
        cancelled = stack.enter_context(cancelled_by_signals())
        source = open_live(options.source, live)
        stack.callback(source.close)
        chosen = " (auto)" if options.backend == "auto" else ""
        details = f"{model.name} on {shown_backend(model.description)}{chosen}"
        speaker.say(details)
        fewer: dict[str, Any] = {} if run.max_people is None else {"max_people": run.max_people}
        header = make_header(
            source.info, model.facts, in_flight=run.in_flight, track=run.track, smooth=run.smooth, **fewer
        )
        server, last_minute = None, LastMinute(header)
        if options.serve is not None:
            server = stack.enter_context(
                PictureServer(options.serve, host=options.host, keypoints=last_minute)
            )
            speaker.say(f"watch it at {server.url}")
        outputs = open_outputs(paths, run.told(source.info), header)
        streams = [KeypointsStream(sys.stdout, header)] if STANDARD_OUTPUT in options.out else []
        session = Session(
            source, model, run, overlay=overlay, profiler=profiler, outputs=outputs, streams=streams
        )
        kind = kind_of(options.source)
        is_mirrored = kind is not None and kind.is_mirrored
        session.mirror = is_mirrored if options.mirror is None else options.mirror
        with closing(session) as written:
            if show is None:
                _run_without_window(session, server, last_minute, speaker, cancelled)
            else:
                show(
                    session,
                    title=f"hprnet-rt: {source.info.source}",
                    details=details,
                    full_screen=options.full_screen,
                    cancelled=cancelled,
                )
        damage = getattr(source, "damage", None)
    _report(session, written, speaker)
    if options.profile:
        write_trace(options.profile, profiler)
        speaker.say(f"  wrote {options.profile}")
    speaker.say(f"total time {duration(time.perf_counter() - begin_s)}")
    if damage:
        complain(damage)
    if cancelled.is_set():
        return INTERRUPTED
    return FAILED if damage else DONE


def _window() -> Callable[..., None]:
    """Return the function that shows a session, after a check that a window can be opened."""
    from hprnet_rt.live.window import open_display, run_window

    open_display()
    return run_window


class _Speaker:
    """Prints messages, unless told to be quiet."""

    def __init__(self, quiet: bool, stream: TextIO) -> None:
        self._quiet, self._stream = quiet, stream

    def say(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            print(text, file=self._stream, flush=True)

    def say_state(self, text: str) -> None:
        """Replace the last line of stderr, on a terminal only."""
        if not self._quiet and sys.stderr.isatty():
            print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


def _run_without_window(
    session: Session,
    server: PictureServer | None,
    last_minute: LastMinute,
    speaker: _Speaker,
    cancelled: threading.Event,
) -> None:
    """Run a session to its end, and show its pictures to browsers if there is a server.

    Args:
        session: not yet started.
        server: for the browsers, None for none.
        last_minute: gets the keypoints, if there is a server.
        speaker: says the state.
        cancelled: when set, the run ends.
    """
    session.start()
    said_s = time.perf_counter()
    while not cancelled.is_set():
        try:
            item = session.take(_WAIT_S)
        except ChannelClosed:
            break
        if item is not None:
            if server is not None:
                server.show(item.picture, _status(session.readings()))
                last_minute.add(item.result)
            session.shown()
        if time.perf_counter() - said_s >= _SAY_EVERY_S:
            said_s = time.perf_counter()
            readings = session.readings()
            if server is not None:
                server.tell(_status(readings))  # also while no picture comes
            state = [
                f"{readings.fps:.1f} FPS",
                f"age {readings.age_ms:.0f} ms",
                counted(readings.people, "person"),
                f"{readings.dropped} dropped",
                *([readings.trouble] if readings.trouble else []),
            ]
            speaker.say_state(", ".join(state))
    speaker.say_state("")


def _status(readings: Readings) -> dict[str, float | int | str]:
    """Return the status that a browser shows."""
    return {
        "fps": round(readings.fps, 1),
        "age_ms": round(readings.age_ms, 1),
        "people": readings.people,
        "dropped": readings.dropped,
        "trouble": readings.trouble,
    }


def _report(session: Session, written: Sequence[Path], speaker: _Speaker) -> None:
    """Print the number of frames, their age, the files, and the time in each stage."""
    age = session.profiler.age()
    mean = session.people / session.count if session.count else 0.0
    lag = "" if age is None else f", age p50 {age.service_p50_ms:.0f} ms, p95 {age.service_p95_ms:.0f} ms"
    name = session.source.info.source
    dropped = session.pipeline.dropped
    shown, watch = counted(session.count, "frame"), session.watch
    closer = "" if watch is None else f" ({watch.closer} looked at closer)"
    speaker.say(f"{name}: {shown} shown{closer}, {dropped} dropped{lag}; {mean:.1f} people a frame")
    for path in written:
        speaker.say(f"  wrote {path}")
    if session.count:
        speaker.say(stage_table(session.profiler.summary()))
