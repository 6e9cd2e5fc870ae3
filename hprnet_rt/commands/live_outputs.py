"""What `hprnet-rt live` writes: the files that it may, and their end however a run ends."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hprnet_rt.commands.console import close_standard_output, keep_inputs
from hprnet_rt.commands.standard_streams import STANDARD_OUTPUT
from hprnet_rt.errors import HprnetError, OutputError, UsageError
from hprnet_rt.files import make_folder_of
from hprnet_rt.formats import KeypointsSink
from hprnet_rt.jobs.outputs import Outputs
from hprnet_rt.jobs.plan import KEYPOINTS_SUFFIX
from hprnet_rt.live.session import Session
from hprnet_rt.pipeline import check_trace_name
from hprnet_rt.video import OUTPUT_VIDEO_SUFFIXES, MediaInfo, VideoSink

__all__ = ["closing", "open_outputs", "output_paths"]


def output_paths(options: argparse.Namespace) -> list[Path]:
    """Return the files of -o, after a check that they and the profile may be written.

    Raises:
        UsageError: one of them may not.
    """
    paths = [Path(text) for text in options.out if text != STANDARD_OUTPUT]
    resolved = [Path(text).resolve() for text in options.out]
    for text, path in zip(options.out, resolved, strict=True):
        if resolved.count(path) > 1:
            raise UsageError(f"-o {text} is given twice; give each output a place of its own")
    for path in paths:
        if path.suffix.lower() not in OUTPUT_VIDEO_SUFFIXES | {KEYPOINTS_SUFFIX}:
            known = " ".join(sorted(OUTPUT_VIDEO_SUFFIXES))
            raise UsageError(
                f"cannot write {path}: give a video ({known}), keypoints ({KEYPOINTS_SUFFIX}), or -"
            )
    if options.profile:
        check_trace_name(options.profile)
        paths = [*paths, options.profile]
    for path in paths:
        keep_inputs(path, [] if "://" in options.source else [Path(options.source)])
        if path.exists() and not options.overwrite:
            raise UsageError(f"{path} exists; add --overwrite to replace it, or choose another name")
    return [path for path in paths if path != options.profile]


def open_outputs(paths: Sequence[Path], info: MediaInfo, header: dict[str, Any]) -> Outputs:
    """Open the sinks; when one cannot be opened, none is left behind."""
    outputs = Outputs()
    try:
        for path in paths:
            make_folder_of(path)
            keypoints = path.suffix.lower() == KEYPOINTS_SUFFIX
            outputs.add(KeypointsSink(path, header) if keypoints else VideoSink(path, info, threads=1))
    except OutputError:
        outputs.abandon()
        raise
    return outputs


@contextmanager
def closing(session: Session) -> Iterator[list[Path]]:
    """Close a session, however the block ends; the list gets the files that were written."""
    written: list[Path] = []
    try:
        yield written
        session.wait_until_written()
    except BrokenPipeError:  # the reader of standard output has gone
        close_standard_output()
    except BaseException as error:
        kept = session.close(whole=False)
        if kept and isinstance(error, HprnetError):
            names = ", ".join(map(str, kept))
            raise type(error)(f"{error} (what was done is kept in {names})") from error
        raise
    written.extend(session.close())
