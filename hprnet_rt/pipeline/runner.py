"""The runner of a pipeline: it owns threads, clocks and errors; stages are plain functions.

    source -> channel -> stage -> channel -> ... -> the caller

The source and every stage run in a thread each. The end cascades: the source closes its channel, and then
each stage closes the next one. After a failure in a stage everything before it is aborted. Frames that have
already passed it still reach the caller; then the threads end, and the error is raised in the caller.

With files nothing is lost: a full channel makes its producer wait. Live sources must not lag: before the
first stage the newest frame replaces older ones, and only a few frames are in flight after that, including
the one that the caller works on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

from hprnet_rt.errors import PipelineError, UsageError
from hprnet_rt.pipeline.channel import Channel, ChannelClosed
from hprnet_rt.pipeline.profiler import Profiler
from hprnet_rt.pipeline.stage import BatchStage, Packet, Stage, serve_batches
from hprnet_rt.types import Frame

__all__ = ["Pipeline", "Source"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

_CAPACITY = 3
_JOIN_S = 5.0
_POLL_S = 0.1  # how often a waiting caller checks whether it was cancelled


class Source(Protocol):
    """An iterable of frames that can be closed."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Release all resources; further calls do nothing."""
        ...


class Pipeline(Generic[T]):
    """Runs the frames of a source through stages, in order.

    Iterate it once, in a `with` block, to get the packets that leave the last stage. A caller with an event
    loop of its own calls `start`, then `take` whenever `notify` was called, and `done` after each packet.

    Args:
        source: frames; iterated and closed in a thread of its own.
        stages: in order; at least one for a live source.
        profiler: receives a record per stage and frame; the source is the stage "capture".
        capacity: most frames that wait before each stage.
        in_flight: for live sources, the most frames between the first channel and the end of the caller's
            work on them. None lets every frame through.
        cancelled: when it is set, by a signal handler for example, the iteration ends early.
        notify: called from a stage's thread when a packet can be taken, and at the end.
        interrupt: called by `stop`, to wake a source that waits for a camera or a network.

    Raises:
        UsageError: `in_flight` is less than 1, or there is no first stage that takes single frames.
    """

    def __init__(
        self,
        source: Source,
        stages: Sequence[Stage | BatchStage],
        *,
        profiler: Profiler | None = None,
        capacity: int = _CAPACITY,
        in_flight: int | None = None,
        cancelled: threading.Event | None = None,
        notify: Callable[[], None] | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        if in_flight is not None and (in_flight < 1 or not stages or isinstance(stages[0], BatchStage)):
            raise UsageError(
                "in_flight is at least 1, for at least one stage, of which the first takes single frames; "
                f"got {in_flight}"
            )
        self.profiler = profiler or Profiler()
        self._error: BaseException | None = None
        self._error_lock = threading.Lock()
        self._stopping = threading.Event()
        self._started = False
        self._channels: list[Channel[Packet[Any]]] = [Channel(capacity) for _ in range(len(stages) + 1)]
        self._permits: Channel[None] | None = None  # each frame in flight holds one
        if in_flight is not None:
            self._channels[0] = Channel(1, newest_wins=True)
            self._permits = Channel(in_flight)
            for _ in range(in_flight):
                self._permits.put(None)
        self._holding = False  # the caller has taken a packet and not yet called `done`
        self._notify = notify
        self._interrupt = interrupt
        self._cancelled = cancelled or threading.Event()
        self._threads = [self._thread("capture", 0, lambda: self._capture(source))]
        for position, stage in enumerate(stages):
            if isinstance(stage, BatchStage):
                work = functools.partial(self._work_batches, stage, position)
            else:
                work = functools.partial(self._work, stage, position)
            self._threads.append(self._thread(stage.name, position + 1, work))

    def _thread(self, name: str, outlet: int, run: Callable[[], None]) -> threading.Thread:
        """Make a thread whose output goes to the channel with the number `outlet`."""
        return threading.Thread(target=self._guard, args=(run, outlet), name=f"hprnet-{name}", daemon=True)

    def __enter__(self) -> Pipeline[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packet[T]]:
        """Start the pipeline, and yield packets until the source ends, `stop` is called, or a stage fails.

        Raises:
            PipelineError: the pipeline was started before.
            Exception: the first error of the source or a stage.
        """
        self.start()
        try:
            while not self._cancelled.is_set():
                try:
                    packet = self.take(_POLL_S)
                except ChannelClosed:
                    break
                if packet is not None and not self._cancelled.is_set():
                    yield packet
        finally:
            self.close()

    def start(self) -> None:
        """Start the threads.

        Raises:
            PipelineError: the pipeline was started before.
        """
        if self._started:
            raise PipelineError("a pipeline runs once; make another one")
        self._started = True
        for thread in self._threads:
            thread.start()

    def take(self, timeout_s: float = 0.0) -> Packet[T] | None:
        """Take the next packet, or None if none came in time; the packet before counts as done.

        Raises:
            ChannelClosed: no more packets will come; the threads have ended.
            Exception: the first error of the source or a stage.
        """
        self.done()
        try:
            packet = self._channels[-1].get(timeout_s)
        except TimeoutError:
            return None
        except ChannelClosed:
            self.close()
            if self._error is not None:
                raise self._error from None
            raise
        self._holding = True
        return cast(Packet[T], packet)

    def done(self) -> None:
        """Report that the packet taken last was shown or written, so that a live pipeline admits another."""
        if self._holding:
            self._holding = False
            if self._permits is not None:
                with contextlib.suppress(ChannelClosed):
                    self._permits.put(None)

    def pause(self, paused: bool) -> None:
        """Keep frames out of the first stage while `paused`; frames in flight still arrive.

        Without stages, no packet arrives while paused. The source continues until its channel is full.
        """
        self._channels[0].hold(paused)

    @property
    def dropped(self) -> int:
        """Number of frames of a live source that were replaced by newer ones before the first stage."""
        return self._channels[0].dropped

    def stop(self) -> None:
        """End early, from any thread; frames in flight are dropped."""
        self._stopping.set()
        if self._interrupt is not None:
            self._interrupt()
        if self._permits is not None:
            self._permits.abort()
        for channel in self._channels:
            channel.abort()

    def close(self) -> None:
        """Stop, and wait for the threads to end; further calls do nothing."""
        self.stop()
        deadline = time.perf_counter() + _JOIN_S
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.perf_counter()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck:
            _log.warning("these threads did not end within %.0f s: %s", _JOIN_S, ", ".join(stuck))

    def _guard(self, run: Callable[[], None], outlet: int) -> None:
        try:
            run()
        except ChannelClosed:
            pass  # a neighbour ended first, and recorded its error if it had one
        except BaseException as error:
            with self._error_lock:
                self._error = self._error or error
        finally:
            for channel in self._channels[:outlet]:
                channel.abort()
            self._channels[outlet].close()
            if self._notify is not None:
                self._notify()

    def _capture(self, source: Source) -> None:
        out = self._channels[0]
        try:
            frames = iter(cast(Iterable[Frame], source))
            while not self._stopping.is_set():
                started_s = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                ended_s = time.perf_counter()
                self.profiler.record("capture", 0.0, ended_s - started_s, frame.sequence, ended_s)
                out.put(Packet(frame.sequence, frame, ended_s))
        finally:
            source.close()

    def _work(self, stage: Stage, position: int) -> None:
        inbox, out = self._channels[position], self._channels[position + 1]
        last = out is self._channels[-1]
        while True:
            try:
                if position == 0 and self._permits is not None:
                    self._permits.get()  # before the frame, so that it is the newest one after the wait
                packet = inbox.get()
            except ChannelClosed:
                return
            started_s = time.perf_counter()
            payload = stage.run(packet.payload)
            ended_s = time.perf_counter()
            wait_s, service_s = started_s - packet.sent_s, ended_s - started_s
            self.profiler.record(stage.name, wait_s, service_s, packet.sequence, ended_s)
            out.put(replace(packet, payload=payload, sent_s=ended_s))
            if last and self._notify is not None:
                self._notify()

    def _work_batches(self, stage: BatchStage, position: int) -> None:
        out = self._channels[position + 1]
        last = out is self._channels[-1]

        def served(packet: Packet[Any], result: Any, wait_s: float, service_s: float, ended_s: float) -> None:
            self.profiler.record(stage.name, wait_s, service_s, packet.sequence, ended_s)
            out.put(replace(packet, payload=result, sent_s=ended_s))
            if last and self._notify is not None:
                self._notify()

        serve_batches(stage, self._channels[position], served)
