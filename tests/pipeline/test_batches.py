"""Stages that take several frames at once: order, the last batch, errors, and times."""

import threading
import time

import pytest

from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.pipeline import BatchStage, Pipeline, Stage
from tests.pipeline.test_runner import Numbers, collect, failing_at, no_thread_left, number

__all__ = ["no_thread_left"]


class Worker:
    """Begins batches, and records which were begun and collected."""

    def __init__(self, fails_at=None):
        self.fails_at, self.sizes, self.events = fails_at, [], []

    def begin(self, numbers):
        self.sizes.append(len(numbers))
        if self.fails_at in numbers:
            raise BackendError(f"broke at {self.fails_at}")
        self.events.append(("begin", numbers[0]))

        def wait():
            self.events.append(("collect", numbers[0]))
            return [10 * n for n in numbers]

        return wait


def stages(worker, batch, *, at_once=1):
    return [Stage("number", number), BatchStage("engine", worker.begin, batch, at_once=at_once)]


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("frames", [0, 1, 4, 8, 10])
def test_every_frame_arrives_in_order_and_the_last_batch_is_what_is_left(frames, at_once):
    worker = Worker()
    assert collect(Pipeline(Numbers(frames), stages(worker, 4, at_once=at_once))) == [
        10 * n for n in range(frames)
    ]
    assert worker.sizes == [4] * (frames // 4) + [frames % 4] * (frames % 4 > 0)


def test_a_batch_may_be_larger_than_what_waits_before_a_stage():
    worker = Worker()
    assert len(collect(Pipeline(Numbers(100), stages(worker, 32), capacity=1))) == 100
    assert worker.sizes == [32, 32, 32, 4]


def test_the_next_batch_is_begun_before_the_one_at_work_is_waited_for():
    worker, second = Worker(), threading.Event()

    def begin(numbers):
        if numbers[0] == 2:
            second.set()
        while numbers[0] == 0 and len(pipeline._channels[1]) < 2:
            time.sleep(0.001)  # until the second batch is there
        waits = worker.begin(numbers)

        def wait():
            assert second.wait(5)
            return waits()

        return wait

    both = [Stage("number", number), BatchStage("engine", begin, 2, at_once=2)]
    pipeline = Pipeline(Numbers(4), both)
    assert collect(pipeline) == [0, 10, 20, 30]
    assert [what for what, _ in worker.events] == ["begin", "begin", "collect", "collect"]


def test_a_frame_that_has_no_follower_is_not_held_back():
    """A live batch of 1 that is one of two at once gives its result even if no frame follows."""
    more = threading.Event()

    class Slow(Numbers):
        def __iter__(self):
            for frame in super().__iter__():
                yield frame
                assert more.wait(5)

    with Pipeline(Slow(2), stages(Worker(), 1, at_once=2)) as pipeline:
        seen = []
        for packet in pipeline:
            seen.append(packet.payload)
            more.set()
    assert seen == [0, 10]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_what_was_done_before_a_batch_failed_arrives_and_then_its_error(at_once):
    worker, seen = Worker(fails_at=9), []
    with (
        pytest.raises(BackendError, match="broke at 9"),
        Pipeline(Numbers(1000), stages(worker, 4, at_once=at_once)) as pipeline,
    ):
        for packet in pipeline:
            seen.append(packet.payload)
    assert seen == [10 * n for n in range(8)]


def test_what_a_stage_before_gave_reaches_the_network_though_it_failed_in_the_middle_of_a_batch():
    worker, seen = Worker(), []
    before = Stage("broken", failing_at(6))
    with (
        pytest.raises(RuntimeError, match="broke at 6"),
        Pipeline(Numbers(100), [Stage("number", number), before, stages(worker, 4)[1]]) as pipeline,
    ):
        for packet in pipeline:
            seen.append(packet.payload)
    assert seen == [10 * n for n in range(6)]
    assert worker.sizes == [4, 2]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_whoever_leaves_early_leaves_no_batch_at_work(at_once):
    worker = Worker()
    with Pipeline(Numbers(1000), stages(worker, 4, at_once=at_once)) as pipeline:
        for packet in pipeline:
            if packet.payload == 50:
                break
    begun = [first for what, first in worker.events if what == "begin"]
    assert sorted(begun) == sorted(first for what, first in worker.events if what == "collect")


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_services_add_up_to_the_time_at_work(at_once):
    def begin(numbers):
        def wait():
            time.sleep(0.02)
            return numbers

        return wait

    both = [Stage("number", number), BatchStage("engine", begin, 4, at_once=at_once)]
    pipeline = Pipeline(Numbers(10), both)
    start = time.perf_counter()
    collect(pipeline)
    whole = time.perf_counter() - start
    kept = pipeline.profiler._stages["engine"]
    assert kept.services.count == kept.waits.count == 10  # a record for each frame
    assert 3 * 0.02 <= kept.services.total_s <= whole
    assert pipeline.profiler.summary()[-1].wait_p50_ms >= 0


def test_a_batch_of_no_frames_and_a_live_batch_stage_at_the_front_are_refused():
    with pytest.raises(UsageError, match="1 frame or more"):
        BatchStage("engine", list, 0)
    with pytest.raises(UsageError, match="takes single frames"):
        Pipeline(Numbers(1), [BatchStage("engine", list, 1)], in_flight=2)
