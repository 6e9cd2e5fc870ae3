"""The stages and packets of a pipeline, and the execution of stages that take several frames at once."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hprnet_rt.errors import HprnetError, UsageError
from hprnet_rt.pipeline.channel import Channel, ChannelClosed

__all__ = ["BatchStage", "Packet", "Served", "Stage", "serve_batches"]

T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """A named function from one payload to the next, which runs in a thread of its own."""

    name: str
    run: Callable[[Any], Any]


@dataclass(frozen=True)
class BatchStage:
    """A stage that works on several frames at once, and passes them on one by one, in order.

    A batch starts when it is full or the source has ended. Batches of more than 1 frame are therefore not for
    live sources.

    Attributes:
        name: of the stage.
        begin: starts the work on the payloads of a batch, in order, and returns a function. That function is
            called once; it waits for the results, one per payload, and returns them.
        batch: number of frames, 1 or more.
        at_once: batches that are begun, if they are ready, before the results of the first are waited for.
    """

    name: str
    begin: Callable[[list[Any]], Callable[[], list[Any]]]
    batch: int
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.batch < 1 or self.at_once < 1:
            raise UsageError(
                f"a batch is 1 frame or more, and 1 or more are begun, got {self.batch} and {self.at_once}"
            )


@dataclass(frozen=True)
class Packet(Generic[T]):
    """One frame between stages.

    Attributes:
        sequence: number of the frame.
        payload: result of the last stage.
        sent_s: when it was put into its channel.
    """

    sequence: int
    payload: T
    sent_s: float


@dataclass(frozen=True)
class _Begun:
    packets: list[Packet[Any]]
    collect: Callable[[], list[Any]]
    started_s: float


Served = Callable[[Packet[Any], Any, float, float, float], None]
"""Called for each frame with its packet, its result, seconds of wait and of service, and its end time."""


def serve_batches(stage: BatchStage, inbox: Channel[Packet[Any]], served: Served) -> None:
    """Run a batch stage until its inbox is closed and empty; the last batch may be smaller.

    The service time of a frame is its share of the stage's work on the batch; the rest counts as wait. So the
    service times of all frames add up to the time that the stage worked.

    Args:
        stage: to run.
        inbox: packets to work on.
        served: called for each frame with its result.

    Raises:
        Exception: the error of the stage; batches begun before have been passed on by then.
    """
    begun: deque[_Begun] = deque()
    try:
        _serve(stage, inbox, served, begun)
    finally:
        for batch in begun:  # the backend expects that every batch begun is collected
            with contextlib.suppress(HprnetError):
                batch.collect()


def _serve(stage: BatchStage, inbox: Channel[Packet[Any]], served: Served, begun: deque[_Begun]) -> None:
    waiting: list[Packet[Any]] = []
    more, free_s = True, 0.0
    while True:
        while more and len(waiting) < stage.batch:
            try:
                waiting.append(inbox.get(0.0 if begun else None))
            except TimeoutError:
                break
            except ChannelClosed:
                more = False
        if waiting and (len(waiting) == stage.batch or not more):
            started_s = time.perf_counter()
            try:
                collect = stage.begin([packet.payload for packet in waiting])
            except Exception:
                while begun:
                    _pass_on(begun.popleft(), free_s, served)
                raise
            begun.append(_Begun(waiting, collect, started_s))
            waiting = []
            if len(begun) < stage.at_once:
                continue
        if begun:
            free_s = _pass_on(begun.popleft(), free_s, served)
        elif not more:
            return


def _pass_on(batch: _Begun, free_s: float, served: Served) -> float:
    """Wait for a batch's results, pass them on, and return the time at which they were complete.

    Args:
        batch: the oldest batch that was begun.
        free_s: when the results of the batch before were complete.
        served: see `Served`.
    """
    results = batch.collect()
    ended_s = time.perf_counter()
    share_s = (ended_s - max(batch.started_s, free_s)) / len(batch.packets)
    for packet, result in zip(batch.packets, results, strict=True):
        served(packet, result, ended_s - packet.sent_s - share_s, share_s, ended_s)
    return ended_s
