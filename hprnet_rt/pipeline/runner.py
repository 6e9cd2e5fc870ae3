"""The runner: owns threads, clocks and errors; stages are plain functions.

    source -> channel -> stage -> channel -> ... -> the caller

The source and every stage have a thread. The end cascades: the source closes its channel, each stage
closes the next one. A failure is recorded and aborts what comes before it; what has already passed still
reaches the caller, and then the error rises there, once the threads are gone.

Files lose nothing: a full channel makes its producer wait. Live sources must not lag: the newest frame wins
before the first stage, and no more than a few frames are on their way behind it, the one that the caller
works on included.
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
_POLL_S = 0.1  # a waiting caller looks this often whether it was cancelled


class Source(Protocol):
    """Anything that gives frames and can be closed."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Free what is open; further calls do nothing."""
        ...


class Pipeline(Generic[T]):
    """Runs a source through stages, in order.

    Iterate it once, in a `with` block, to get the packets that leave the last stage. A caller with an event
    loop of its own calls `start`, then `take` when `notify` says so, and `done` after each packet.

    Args:
        source: frames; iterated and closed in its own thread.
        stages: in order, at least one for a live source.
        profiler: gets a record per stage and frame; the source is "capture".
        capacity: frames waiting before each stage.
        in_flight: for live sources: the most frames that have left the first channel and that the caller is
            not yet done with. None lets every frame through.
        cancelled: when set, by a signal handler perhaps, the iteration ends early.
        notify: called from a stage's thread when there is something to take, and when the end has come.
        interrupt: called by `stop`, to end the waiting of a source that waits for a camera or a network.

    Raises:
        UsageError: `in_flight` is less than 1, or there is no first stage to limit that takes single frames.
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
        self._permits: Channel[None] | None = None  # one is taken for each frame on its way
        if in_flight is not None:
            self._channels[0] = Channel(1, newest_wins=True)
            self._permits = Channel(in_flight)
            for _ in range(in_flight):
                self._permits.put(None)
        self._holding = False  # the caller has not yet said that it is done
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
        """A thread that puts into the channel numbered `outlet`."""
        return threading.Thread(target=self._guard, args=(run, outlet), name=f"hprnet-{name}", daemon=True)

    def __enter__(self) -> Pipeline[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packet[T]]:
        """Start, and yield packets until the source ends, `stop` is called, or a stage fails.

        Raises:
            PipelineError: the pipeline was started before.
            Exception: whatever the source or a stage raised first.
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
        """The next packet, or None when none came in time; the one before is done with.

        Raises:
            ChannelClosed: nothing more will come; the threads have ended.
            Exception: whatever the source or a stage raised first.
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
        """The packet taken last is shown or written: another frame may enter a live pipeline."""
        if self._holding:
            self._holding = False
            if self._permits is not None:
                with contextlib.suppress(ChannelClosed):
                    self._permits.put(None)

    def pause(self, paused: bool) -> None:
        """Let no frame enter the first stage, or let them again; those on their way arrive.

        Without a stage, nothing arrives while paused. The source goes on until its channel is full.
        """
        self._channels[0].hold(paused)

    @property
    def dropped(self) -> int:
        """Frames of a live source that newer ones replaced before the first stage."""
        return self._channels[0].dropped

    def stop(self) -> None:
        """End early, from any thread: frames on their way are dropped."""
        self._stopping.set()
        if self._interrupt is not None:
            self._interrupt()
        if self._permits is not None:
            self._permits.abort()
        for channel in self._channels:
            channel.abort()

    def close(self) -> None:
        """Stop and wait for the threads; further calls do nothing."""
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
            pass  # a neighbour ended first; its own error, if any, is recorded
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
                    self._permits.get()  # first: the frame is chosen after the wait, and is the newest
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
