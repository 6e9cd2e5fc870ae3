"""Writing the frames of a live run in a thread of its own, so that the viewer never waits for an encoder."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.jobs.outputs import Outputs
from hprnet_rt.pipeline import Profiler
from hprnet_rt.types import FramePoses
from hprnet_rt.video import MediaInfo, VideoSink

__all__ = ["WRITING", "FrameReceiver", "FrameWriter"]

_log = logging.getLogger(__name__)

WRITING: Final = "writing"
"""The name of the writer among the stages of a profile."""

_CAPACITY: Final = 4  # frames, the one being written included: 11 MB at 1280 x 720, 100 MB at 3840 x 2160
_POLL_S: Final = 0.1  # Windows handles a Ctrl-C between waits only
_STUCK_S: Final = 5.0


class FrameReceiver(Protocol):
    """Anything that takes frames, standard output perhaps."""

    def write(self, item: FramePoses) -> None:
        """Write one frame.

        Raises:
            OutputError: it cannot be written.
            BrokenPipeError: its reader has gone.
        """
        ...


class _Recording:
    """A video that begins and ends while the run goes on.

    Attributes:
        frames: given to the writer so far.
        failed: a frame could not be written; the file has been abandoned.
    """

    def __init__(self, path: Path, info: MediaInfo) -> None:
        self.path = path
        self.outputs = Outputs([VideoSink(path, info, from_zero=True)])
        self.frames = 0
        self.failed = False


@dataclass(frozen=True, eq=False)
class _Task:
    """One thing for the thread to do.

    Attributes:
        item: the frame to write; None completes the recording.
        recording: gets the frame too; None while there is none.
        added_s: `time.perf_counter()` when the task was queued.
    """

    item: FramePoses | None
    recording: _Recording | None
    added_s: float


class FrameWriter:
    """Writes frames to outputs, streams and a recording, in the order in which they are put.

    One thread puts; its calls return at once, but for those that are told to wait. An output or stream that
    fails ends the writing: the error rises once, from `wait_for_room` or `wait_until_written`. A recording
    that fails ends by itself, see `trouble`.

    Args:
        outputs: sinks for every frame, finished or abandoned by `close`.
        streams: other receivers of every frame.
        profiler: gets the times of the stage `WRITING`.
        notify: called from the writer's thread when a frame is written and when writing has failed.
    """

    def __init__(
        self,
        outputs: Outputs,
        streams: Sequence[FrameReceiver] = (),
        *,
        profiler: Profiler,
        notify: Callable[[], None],
    ) -> None:
        self._outputs, self._streams = outputs, streams
        self._profiler, self._notify = profiler, notify
        self._changed = threading.Condition()  # guards all below
        self._tasks: deque[_Task] = deque()  # the first one is being done
        self._thread: threading.Thread | None = None
        self._ending = False
        self._failed = False
        self._error: BaseException | None = None  # until it has risen
        self._recording: _Recording | None = None
        self._recorded: Path | None = None
        self._trouble = ""
        self._writing_files = threading.Lock()  # held while sinks are used, not while a stream is

    @property
    def recording(self) -> Path | None:
        """The file that is being recorded, None when none is."""
        recording = self._recording
        return None if recording is None else recording.path

    @property
    def recorded(self) -> Path | None:
        """The recording that was completed last, None before the first."""
        return self._recorded

    @property
    def trouble(self) -> str:
        """The reason why a recording has ended or is incomplete; "" when all is well."""
        return self._trouble

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until another frame can be put, and return whether it can.

        Raises:
            OutputError, BrokenPipeError: writing has failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._has_room(), timeout_s)
            self._raise_error()
            return self._has_room()

    def put(self, item: FramePoses) -> None:
        """Queue a frame. Nobody may change its image until it is written."""
        with self._changed:
            recording = self._recording
            if recording is None and not len(self._outputs) and not self._streams:
                return
            if recording is not None:
                recording.frames += 1
            self._add(_Task(item, recording, time.perf_counter()))

    def begin_recording(self, path: Path, info: MediaInfo) -> None:
        """Record every frame that is put from now on, the first one at the time 0.

        Args:
            path: the final name.
            info: of the source.

        Raises:
            OutputError: the file cannot be created.
        """
        recording = _Recording(path, info)
        with self._changed:
            self._recording, self._trouble = recording, ""

    def end_recording(self) -> Path | None:
        """End the recording and return its file, None when there is no recording.

        The thread completes the file behind the frames that are still queued.

        Raises:
            UsageError: no frame was put; there is no file.
        """
        with self._changed:
            recording, self._recording = self._recording, None
            if recording is None:
                return None
            if recording.frames:
                self._add(_Task(None, recording, time.perf_counter()))
                return recording.path
        recording.outputs.abandon()
        raise UsageError("nothing was recorded: no frame came")

    def wait_until_written(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is queued, for ever when `timeout_s` is None, and return whether that is so.

        Raises:
            OutputError, BrokenPipeError: writing has failed.
        """
        self._wait(timeout_s)
        with self._changed:
            self._raise_error()
            return not self._tasks

    def stop(self, timeout_s: float | None = None) -> None:
        """Write what is queued and end the thread; an error stays for `close`. Further calls do nothing."""
        self._wait(timeout_s)
        with self._changed:
            thread, stuck = self._thread, bool(self._tasks)
            self._ending = True
            self._changed.notify_all()
        if stuck:
            _log.warning("writing has not ended within %.0f s", timeout_s)
        elif thread is not None:
            thread.join()

    def close(self, *, whole: bool) -> tuple[Path, ...]:
        """Stop, and finish the files or abandon them.

        Args:
            whole: files get their final names; otherwise, and after an error that has not yet risen, they
                stay under partial ones.

        Returns:
            the files that were written.

        Raises:
            OutputError: one cannot be finished; the others are.
            OutputError, BrokenPipeError: a frame could not be written, which no call before has said.
        """
        self.stop(None if whole else _STUCK_S)
        with self._changed:
            error, self._error = self._error, None
            self._failed = True  # a thread that is stuck in a stream writes nothing more
        if not self._writing_files.acquire(timeout=_STUCK_S):
            return ()  # a sink cannot be closed while a frame is being written to it
        unfinished = [self._outputs] if len(self._outputs) else []
        if self._recording is not None:
            unfinished.insert(0, self._recording.outputs)
        complete = whole and error is None
        kept: list[Path] = []
        try:
            for outputs in unfinished:
                try:
                    finish = complete and outputs.frames
                    kept += outputs.finish() if finish else outputs.abandon()
                except OutputError as failure:
                    error = error or failure
        finally:
            self._writing_files.release()
        if error is not None and whole:
            raise error
        return tuple(kept)

    def _has_room(self) -> bool:
        return len(self._tasks) < _CAPACITY

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _wait(self, timeout_s: float | None) -> None:
        """Wait until nothing is queued."""
        end_s = None if timeout_s is None else time.perf_counter() + timeout_s
        with self._changed:
            while self._tasks:
                left_s = _POLL_S if end_s is None else min(_POLL_S, end_s - time.perf_counter())
                if left_s <= 0:
                    return
                self._changed.wait(left_s)

    def _add(self, task: _Task) -> None:
        """Queue a task, and start the thread at the first one; the lock is held."""
        self._tasks.append(task)
        self._changed.notify_all()
        if self._thread is None or self._ending:
            self._ending = False
            self._thread = threading.Thread(target=self._run, name=f"hprnet-{WRITING}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._ending)
                if not self._tasks:
                    return
                task = self._tasks[0]
            error: BaseException | None = None
            try:
                if task.item is not None:
                    self._write(task.item, task)
                elif task.recording is not None:
                    self._complete(task.recording)
            except BaseException as failure:
                error = failure
            with self._changed:
                self._tasks.popleft()
                if error is not None:
                    self._failed, self._error = True, self._error or error
                self._changed.notify_all()
            self._notify()

    def _write(self, item: FramePoses, task: _Task) -> None:
        if self._failed:
            return
        started_s = time.perf_counter()
        with self._writing_files:
            self._outputs.write(item)
        for stream in self._streams:
            stream.write(item)
        recording = task.recording
        with self._writing_files:
            if recording is not None and not recording.failed and not self._failed:
                self._write_recording(item, recording)
        ended_s = time.perf_counter()
        waited_s, took_s = started_s - task.added_s, ended_s - started_s
        self._profiler.record(WRITING, waited_s, took_s, item.frame.sequence, ended_s)

    def _write_recording(self, item: FramePoses, recording: _Recording) -> None:
        try:
            recording.outputs.write(item)
        except OutputError as error:
            recording.failed = True
            with self._changed:
                if self._recording is recording:
                    self._recording = None
                self._trouble = f"the recording has ended: {error}"
            recording.outputs.abandon()

    def _complete(self, recording: _Recording) -> None:
        """Finish a recording that was ended."""
        if recording.failed:
            return
        with self._writing_files:
            if not recording.outputs.frames:  # writing failed before its first frame
                recording.outputs.abandon()
                return
            try:
                recording.outputs.finish()
            except OutputError as error:
                self._trouble = f"the recording is incomplete: {error}"
            else:
                self._recorded = recording.path
