"""`hprnet-rt live`: a camera, stream, screen or file with skeletons, now."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from hprnet_rt.commands.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    AddParser,
    cancelled_by_signals,
    close_standard_output,
    complain,
    keep_inputs,
    stage_table,
    tell,
)
from hprnet_rt.commands.options import add_drawing_option, add_model_options, load_model
from hprnet_rt.errors import HprnetError, OutputError, UsageError
from hprnet_rt.files import make_folder_of, require_writable
from hprnet_rt.formats import KeypointsSink, KeypointsStream
from hprnet_rt.jobs.fingerprint import make_header
from hprnet_rt.jobs.outputs import Outputs
from hprnet_rt.jobs.plan import KEYPOINTS_SUFFIX
from hprnet_rt.live.serve import PictureServer
from hprnet_rt.live.session import Readings, Session, SessionOptions
from hprnet_rt.pipeline import ChannelClosed, Profiler, check_trace_name, write_trace
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.tracking import LIVE_SMOOTHINGS
from hprnet_rt.video import OUTPUT_VIDEO_SUFFIXES, MediaInfo, VideoSink
from hprnet_rt.video.capture import LiveOptions, open_live
from hprnet_rt.video.capture.open_live import names_camera

__all__ = ["add_parser"]

_STANDARD_OUTPUT: Final = "-"
_SPANS: Final = 200_000  # for a profile: a quarter of an hour at 25 frames a second
_WAIT_S: Final = 0.1
_SAY_EVERY_S: Final = 1.0


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    defaults, run = LiveOptions(), SessionOptions()
    job = add(
        description="Show a live source with skeletons. When the machine is too slow for every frame, frames "
        "are passed over, so that what is shown is never old.",
    )
    job.add_argument(
        "source",
        nargs="?",
        default="0",
        metavar="SOURCE",
        help="camera (0, 1, /dev/video0), file, rtsp://, http:// or udp:// address, or screen (default 0)",
    )
    picture = job.add_argument_group("what to do with it")
    picture.add_argument("--no-window", action="store_true", help="no window; Ctrl-C ends")
    picture.add_argument(
        "-o",
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help=f"also write video ({' '.join(sorted(OUTPUT_VIDEO_SUFFIXES))}), keypoints (.jsonl), or "
        "keypoints to standard output (-); may be given several times",
    )
    picture.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    picture.add_argument("--serve", type=int, metavar="PORT", help="no window, but pictures for a browser")
    picture.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where --serve listens; any but %(default)s asks viewers for a token (default %(default)s)",
    )
    picture.add_argument("--profile", type=Path, metavar="FILE", help="times of every frame, .json or .csv")
    add_drawing_option(picture)
    picture.add_argument("--full-screen", action="store_true", help="begin with a full screen")
    picture.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="as in a mirror (default: cameras only)"
    )
    camera = job.add_argument_group("the source")
    camera.add_argument("--width", type=int, help="asked of a camera")
    camera.add_argument("--height", type=int, help="asked of a camera")
    camera.add_argument("--fps", type=float, help="asked of a camera; of the screen (default 30)")
    camera.add_argument(
        "--mjpg", action="store_true", help="ask a camera for motion JPEG: more frames over USB"
    )
    camera.add_argument(
        "--realtime",
        action=argparse.BooleanOptionalAction,
        default=defaults.realtime,
        help="play a file by its own clock, or as fast as it goes (default: by its clock)",
    )
    camera.add_argument(
        "--timeout",
        type=float,
        default=defaults.timeout_s,
        metavar="S",
        help="a camera or network without a picture for so long has stalled (default %(default)s)",
    )
    camera.add_argument(
        "--give-up",
        type=float,
        default=defaults.give_up_s,
        metavar="S",
        help="a lost network stream is tried again for so long (default %(default)s)",
    )
    way = job.add_argument_group("how")
    way.add_argument(
        "--in-flight",
        type=int,
        default=run.in_flight,
        metavar="N",
        help="frames on their way at a time: 1 for the least lag, more for more FPS (default %(default)s)",
    )
    way.add_argument("--no-track", action="store_true", help="give people no ids; implies --smooth off")
    way.add_argument(
        "--smooth",
        choices=LIVE_SMOOTHINGS,
        default=run.smooth,
        help="against trembling points; fast ones lag a little (default %(default)s)",
    )
    way.add_argument("--limit", type=int, metavar="N", help="end after N frames")
    way.add_argument("--duration", type=float, metavar="S", help="end after S seconds")
    add_model_options(job)
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_live)


def _live(options: argparse.Namespace) -> int:
    places = _places(options)
    style_of_model = partial(OverlayStyle.of_model, point_threshold=options.point_threshold)
    style_of_model(refined=True)  # a threshold that is none is told before a model is opened
    live = LiveOptions(
        width=options.width,
        height=options.height,
        fps=options.fps,
        mjpg=options.mjpg,
        timeout_s=options.timeout,
        give_up_s=options.give_up,
        realtime=options.realtime,
    )
    run = SessionOptions(
        in_flight=options.in_flight,
        track=not options.no_track,
        smooth=LIVE_SMOOTHINGS[0] if options.no_track else options.smooth,
        limit=options.limit,
        duration_s=options.duration,
    )
    show = None if options.no_window or options.serve is not None else _window()
    if not options.quiet:
        tell("hprnet_rt.video")  # a camera that gives another size, a stream that is lost
    speak = _Speaker(options.quiet, sys.stderr if _STANDARD_OUTPUT in options.out else sys.stdout)
    if options.profile:
        require_writable(options.profile)
    profiler = Profiler(spans=_SPANS if options.profile else 0)
    with ExitStack() as stack:
        model = stack.enter_context(load_model(options))
        overlay = Overlay(style_of_model(refined=model.facts.refined))
        cancelled = stack.enter_context(cancelled_by_signals())
        source = open_live(options.source, live)
        stack.callback(source.close)
        details = f"{model.name} on {model.description}{' (auto)' if options.backend == 'auto' else ''}"
        speak(details)
        header = make_header(
            source.info, model.facts, in_flight=run.in_flight, track=run.track, smooth=run.smooth
        )
        server = None
        if options.serve is not None:
            server = stack.enter_context(PictureServer(options.serve, host=options.host))
            speak(f"watch it at {server.url}")
        outputs = _opened(places, source.info, header)
        streams = [KeypointsStream(sys.stdout, header)] if _STANDARD_OUTPUT in options.out else []
        session = Session(
            *(source, model, run), overlay=overlay, profiler=profiler, outputs=outputs, streams=streams
        )
        session.mirror = names_camera(options.source) if options.mirror is None else options.mirror
        with _finished(session) as written:
            if show is None:
                _headless(session, server, speak, cancelled)
            else:
                title = f"hprnet-rt: {source.info.source}"
                full = options.full_screen
                show(session, title=title, details=details, full_screen=full, cancelled=cancelled)
        damage = getattr(source, "damage", None)
    _report(session, written, speak)
    if options.profile:
        write_trace(options.profile, profiler)
        speak(f"  wrote {options.profile}")
    if damage:
        complain(damage)
    if cancelled.is_set():
        return INTERRUPTED
    return FAILED if damage else DONE


def _places(options: argparse.Namespace) -> list[Path]:
    """The files to write, which may all be written."""
    places = [Path(text) for text in options.out if text != _STANDARD_OUTPUT]
    resolved = [Path(text).resolve() for text in options.out]
    for text, place in zip(options.out, resolved, strict=True):
        if resolved.count(place) > 1:
            raise UsageError(f"-o {text} is given twice; give each output a place of its own")
    for path in places:
        if path.suffix.lower() not in OUTPUT_VIDEO_SUFFIXES | {KEYPOINTS_SUFFIX}:
            known = " ".join(sorted(OUTPUT_VIDEO_SUFFIXES))
            raise UsageError(
                f"cannot write {path}: give a video ({known}), keypoints ({KEYPOINTS_SUFFIX}), or -"
            )
    if options.profile:
        check_trace_name(options.profile)
        places = [*places, options.profile]
    for path in places:
        keep_inputs(path, [] if "://" in options.source else [Path(options.source)])
        if path.exists() and not options.overwrite:
            raise UsageError(f"{path} exists; add --overwrite to replace it, or choose another name")
    return [path for path in places if path != options.profile]


def _opened(places: Sequence[Path], info: MediaInfo, header: dict[str, Any]) -> Outputs:
    outputs = Outputs()
    try:
        for path in places:
            make_folder_of(path)
            keypoints = path.suffix.lower() == KEYPOINTS_SUFFIX
            outputs.add(KeypointsSink(path, header) if keypoints else VideoSink(path, info, threads=1))
    except OutputError:
        outputs.abandon()
        raise
    return outputs


@contextmanager
def _finished(session: Session) -> Iterator[list[Path]]:
    """Close a session, whatever happens; the list gets the files that were written."""
    written: list[Path] = []
    try:
        yield written
    except BrokenPipeError:  # the reader of our standard output wants no more
        close_standard_output()
    except BaseException as error:
        kept = session.close(whole=False)
        if kept and isinstance(error, HprnetError):
            names = ", ".join(map(str, kept))
            raise type(error)(f"{error} (what was done is kept in {names})") from error
        raise
    written.extend(session.close())


def _window() -> Callable[..., None]:
    """The function that shows a session. What it needs is looked for before anything is opened."""
    from hprnet_rt.live.window import open_display, run_window

    open_display()
    return run_window


class _Speaker:
    """Says things to the user unless told to be quiet."""

    def __init__(self, quiet: bool, stream: TextIO) -> None:
        self._quiet, self._stream = quiet, stream

    def __call__(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)

    def now(self, text: str) -> None:
        """Overwrite the last line, on a terminal only."""
        if not self._quiet and sys.stderr.isatty():
            print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


def _headless(
    session: Session, server: PictureServer | None, speak: _Speaker, cancelled: threading.Event
) -> None:
    """Run without a window."""
    session.start()
    told_s = time.perf_counter()
    while not cancelled.is_set():
        try:
            item = session.take(_WAIT_S)
        except ChannelClosed:
            break
        if item is not None:
            if server is not None:
                server.show(item.picture, _numbers(session.readings()))
            session.shown()
        if time.perf_counter() - told_s >= _SAY_EVERY_S:
            told_s = time.perf_counter()
            readings = session.readings()
            speak.now(
                f"{readings.fps:.1f} FPS, age {readings.age_ms:.0f} ms, {readings.people} people, "
                f"{readings.dropped} dropped {readings.trouble}"
            )
    speak.now("")


def _numbers(readings: Readings) -> dict[str, float | int | str]:
    """For a browser."""
    return {
        "fps": round(readings.fps, 1),
        "age_ms": round(readings.age_ms, 1),
        "people": readings.people,
        "dropped": readings.dropped,
        "trouble": readings.trouble,
    }


def _report(session: Session, written: Sequence[Path], speak: _Speaker) -> None:
    """What was shown, and where the time went."""
    age = session.profiler.age()
    mean = session.people / session.count if session.count else 0.0
    aged = "" if age is None else f", age p50 {age.service_p50_ms:.0f} ms, p95 {age.service_p95_ms:.0f} ms"
    name = session.source.info.source
    dropped = session.pipeline.dropped
    speak(f"{name}: {session.count} frames shown, {dropped} dropped{aged}; {mean:.1f} people a frame")
    for path in written:
        speak(f"  wrote {path}")
    if session.count:
        speak(stage_table(session.profiler.summary()))
