"""The files of a run, which are complete together or kept under partial names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from hprnet_rt.errors import OutputError
from hprnet_rt.estimator import ModelFacts
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.types import Estimated
from hprnet_rt.version import __version__
from hprnet_rt.video import ImageSink, KeypointsSink, MediaInfo, VideoSink
from hprnet_rt.video.identity import source_check
from hprnet_rt.video.media import size_bytes
from hprnet_rt.video.remote import is_remote

__all__ = ["Outputs", "header", "make_folder_of", "only_run", "require_room"]

Sink = VideoSink | ImageSink | KeypointsSink


@dataclass
class Outputs:
    """Open sinks that are finished or abandoned together.

    Attributes:
        sinks: get every frame, in this order.
        frames: written to all of them.
        whole: no sink has failed.
    """

    sinks: list[Sink] = field(default_factory=list)
    frames: int = 0
    whole: bool = True

    def write(self, item: Estimated) -> None:
        """Write one frame to every sink.

        Raises:
            OutputError: one cannot be written.
        """
        self.whole = False
        for sink in self.sinks:
            sink.write(item)
        self.whole = True
        self.frames += 1

    def finish(self, *, all_audio: bool = True) -> tuple[Path, ...]:
        """Complete every file and give it its name."""
        self.close(all_audio=all_audio)
        for sink in self.sinks:
            sink.commit()
        return tuple(sink.path for sink in self.sinks)

    def close(self, *, all_audio: bool = True) -> None:
        """Complete every file under its partial name."""
        self.whole = False
        for sink in self.sinks:
            if isinstance(sink, VideoSink):
                sink.close(all_audio=all_audio)
            else:
                sink.close()

    def abandon(self) -> tuple[Path, ...]:
        """Close what was done under its partial name; without a frame, leave nothing."""
        kept = []
        for sink in self.sinks:
            try:
                sink.close()
            except OutputError:  # the first error is the one to report
                self.whole = False
            frames = self.frames if self.whole else min(self.frames, sink.frames_kept())
            if frames:
                kept.append((frames, sink.partial_path))
            else:
                sink.partial_path.unlink(missing_ok=True)
        self.frames = min((frames for frames, _ in kept), default=0)
        return tuple(path for _, path in kept)


def make_folder_of(path: Path) -> None:
    """Make the folder that an output goes into.

    Raises:
        OutputError: the system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the output folder {path.parent}: {reason(error)}") from error


def require_room(path: Path) -> None:
    """Make the folder of a file that is written after the work, and see before it that it can be.

    Raises:
        OutputError: it cannot.
    """
    make_folder_of(path)
    file = PartialFile(path)
    file.create()
    file.partial.unlink()


@contextmanager
def only_run(path: Path) -> Iterator[None]:
    """Keep other processes from making an output.

    Args:
        path: its final name.

    Raises:
        OutputError: another one makes it, or the system refuses the lock.
    """
    make_folder_of(path)
    lock_path = PartialFile(path).partial.with_suffix(".lock")
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"another run is writing {path}: let it end, or stop it") from error
    except OSError as error:
        raise OutputError(f"cannot write {lock_path}: {reason(error)}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no file that is open
            lock_path.unlink()
        lock.release()


def header(info: MediaInfo, model: ModelFacts, **options: Any) -> dict[str, Any]:
    """What a file of keypoints says first: where they come from, and how they were made.

    Args:
        info: the source: a file with its size and its `source_check`, so that another one of that name is
            known as such.
        model: the network.
        options: of the run, beside those of the model.
    """
    source = info.source if is_remote(info.source) else Path(info.source)
    size = size_bytes(source)
    return {
        "source": info.source,
        "source_bytes": size,
        "source_check": source_check(source, size),
        "width": info.width,
        "height": info.height,
        "fps": None if info.rate is None else round(float(info.rate), 6),
        "model": model.name,
        "model_sha256": model.sha256,
        "options": {
            "input_px": model.input_px,
            "threshold": model.threshold,
            "peak_threshold": model.peak_threshold,
            "engine": model.description,
            **options,
        },
        "versions": {"hprnet_rt": __version__, "numpy": np.__version__},
    }
