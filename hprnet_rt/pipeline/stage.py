"""What a pipeline is made of, and how a stage that takes several frames at once works."""

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
    """A named function from one payload to the next; it runs in a thread of its own."""

    name: str
    run: Callable[[Any], Any]


@dataclass(frozen=True)
class BatchStage:
    """A stage that works on several frames at once, and gives them on in their order, one by one.

    A batch waits until it is full, or the source has ended: not for live sources, unless it is 1.

    Attributes:
        name: of the stage.
        begin: payloads of a batch, in order -> what waits for the results, as many, and is called once.
        batch: frames, 1 or more.
        overlaps: the next batch, where it is there, is begun before this one's results are waited for.
    """

    name: str
    begin: Callable[[list[Any]], Callable[[], list[Any]]]
    batch: int
    overlaps: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"a batch is 1 frame or more, got {self.batch}")


@dataclass(frozen=True)
class Packet(Generic[T]):
    """One frame on its way.

    Attributes:
        sequence: of the frame.
        payload: what the last stage made.
        sent_s: when it was put into the channel it is in.
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
"""Called for each frame: its packet, its result, seconds of wait and of service, and when they ended."""


def serve_batches(stage: BatchStage, inbox: Channel[Packet[Any]], served: Served) -> None:
    """Run a batch stage until its inbox has ended; the last batch may be smaller.

    A frame's service is its share of the time in which the stage was at work on its batch; the rest, the
    company's share among it, is wait. So the services of all frames add up to the time at work.

    Raises:
        Exception: whatever the stage raised, after what was begun before has been given on.
    """
    begun: deque[_Begun] = deque()
    try:
        _serve(stage, inbox, served, begun)
    finally:
        for each in begun:  # whoever works on them gets them back
            with contextlib.suppress(HprnetError):
                each.collect()


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
                    _give_on(begun.popleft(), free_s, served)
                raise
            begun.append(_Begun(waiting, collect, started_s))
            waiting = []
            if stage.overlaps and len(begun) == 1:
                continue
        if begun:
            free_s = _give_on(begun.popleft(), free_s, served)
        elif not more:
            return


def _give_on(batch: _Begun, free_s: float, served: Served) -> float:
    """Wait for a batch's results and give them on; the time when the stage had them.

    Args:
        batch: the oldest that was begun.
        free_s: when the stage had the results of the one before.
        served: see `Served`.
    """
    results = batch.collect()
    ended_s = time.perf_counter()
    share_s = (ended_s - max(batch.started_s, free_s)) / len(batch.packets)
    for packet, result in zip(batch.packets, results, strict=True):
        served(packet, result, ended_s - packet.sent_s - share_s, share_s, ended_s)
    return ended_s
