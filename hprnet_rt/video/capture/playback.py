"""A video file as a live source: its frames come when they are due."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hprnet_rt.types import Frame
from hprnet_rt.video.capture.source import LiveOptions
from hprnet_rt.video.media import MediaInfo
from hprnet_rt.video.reader import VideoSource

__all__ = ["Playback"]

_FALLBACK_FPS = 25.0


class Playback:
    """Plays a video file by its own clock, which can be paused.

    A frame that is decoded too late is yielded at once, and the clock goes on: later stages can drop the
    frame, and the picture stays where the clock is. `captured_s` is the time at which a frame was due, or at
    which it was decoded when that is more than a frame later.

    With `loop` the file is opened again at its end. Numbers and times of frames go on, and so does the clock:
    the first picture of a round is due when the last one of the round before has been there for its time.

    Args:
        path: the file.
        options: with `realtime` off, frames come as fast as they are taken.

    Attributes:
        info: size, rate and labels of the file.
        status: always "".

    Raises:
        MediaError: the file cannot be opened, or has no frame that can be decoded.
    """

    info: MediaInfo
    status: str

    def __init__(self, path: Path, options: LiveOptions) -> None:
        self._path, self._loop = path, options.loop
        self._damage: str | None = None
        self._video = VideoSource(path)
        self.info = replace(self._video.info, chapters=())  # what is recorded may end earlier
        self.status = ""
        self._realtime = options.realtime
        self._late_s = 1 / float(self.info.rate or _FALLBACK_FPS)
        self._changed = threading.Condition()
        self._stopped = False
        self._paused_s: float | None = None  # since when
        self._start_s = 0.0  # when the first frame was due; moved by pauses

    @property
    def damage(self) -> str | None:
        """The parts that could not be read, known after the first round; None when all was well."""
        return self._damage or self._video.damage

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame of the file in order of presentation, once or in every round.

        Raises:
            MediaError: the file cannot be opened for another round.
        """
        first_s: float | None = None
        for frame in self._rounds() if self._loop else self._video:
            media_s = frame.pts_s or 0.0
            if first_s is None:
                first_s = media_s
                with self._changed:
                    self._start_s = time.perf_counter()
                    if self._paused_s is not None:
                        self._paused_s = self._start_s
            due_s = self._wait(media_s - first_s)
            if due_s is None:
                return
            yield replace(frame, captured_s=due_s) if self._realtime else frame

    def _rounds(self) -> Iterator[Frame]:
        """Yield the frames of one round after the other, numbered and timed onwards."""
        number, shift = 0, 0
        while True:
            first = last = None
            for last in self._video:
                first = last if first is None else first
                pts = None if last.pts is None else last.pts + shift
                yield replace(last, sequence=number, pts=pts)
                number += 1
            self._damage = self._damage or self._video.damage
            if first is None or last is None:
                return
            stays = last.duration or round(self._late_s / last.time_base)
            shift += max(1, (last.pts or 0) - (first.pts or 0) + stays)
            self._video.close()
            self._video = VideoSource(self._path)

    def _wait(self, offset_s: float) -> float | None:
        """Wait until the clock is at `offset_s`, and return `captured_s`, None when interrupted."""
        with self._changed:
            while not self._stopped:
                if self._paused_s is not None:
                    self._changed.wait()
                    continue
                now_s = time.perf_counter()
                due_s = self._start_s + offset_s
                if not self._realtime or now_s > due_s + self._late_s:
                    return now_s
                if now_s >= due_s:
                    return due_s
                self._changed.wait(due_s - now_s)
        return None

    def interrupt(self) -> None:
        """End the iteration without waiting for the next frame; callable from any thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def pause(self, paused: bool) -> None:
        """Stop the clock, or let it go on where it stopped; callable from any thread."""
        with self._changed:
            if paused and self._paused_s is None:
                self._paused_s = time.perf_counter()
            elif not paused and self._paused_s is not None:
                self._start_s += time.perf_counter() - self._paused_s
                self._paused_s = None
            self._changed.notify_all()

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        self._video.close()
