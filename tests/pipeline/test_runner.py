import threading
import time

import numpy as np
import pytest

from hprnet_rt.errors import PipelineError
from hprnet_rt.pipeline import Pipeline, Stage
from hprnet_rt.types import Frame

IMAGE = np.zeros((2, 2, 3), np.uint8)


class Numbers:
    """A source of n frames that can fail, and records whether it was closed."""

    def __init__(self, n, fails_at=None):
        self.n, self.fails_at, self.closed = n, fails_at, threading.Event()
        self.given = 0

    def __iter__(self):
        for i in range(self.n):
            if i == self.fails_at:
                raise OSError(f"source broke at {i}")
            self.given += 1
            yield Frame(i, IMAGE, time.perf_counter(), i)

    def close(self):
        self.closed.set()


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("hprnet-")]


def number(frame):
    return frame.sequence


def failing_at(n):
    def run(value):
        if value == n:
            raise RuntimeError(f"stage broke at {n}")
        return value

    return run


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    assert threads() == []


def collect(pipeline):
    seen = []
    with pipeline:
        for packet in pipeline:
            seen.append(packet.payload)
    return seen


def test_every_frame_arrives_once_and_in_order():
    source = Numbers(500)
    stages = [Stage("number", number), Stage("double", lambda n: 2 * n)]
    assert collect(Pipeline(source, stages)) == list(range(0, 1000, 2))
    assert source.closed.is_set()


def test_an_empty_source_ends_at_once():
    assert collect(Pipeline(Numbers(0), [Stage("number", number)])) == []


@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_was_done_before_a_stage_failed_arrives_and_then_its_error(position):
    stages = [Stage(f"s{i}", lambda x: x) for i in range(3)]
    stages[position] = Stage("broken", failing_at(100))
    source, seen = Numbers(10_000), []
    with (
        pytest.raises(RuntimeError, match="broke at 100"),
        Pipeline(source, [Stage("number", number), *stages]) as pipeline,
    ):
        for packet in pipeline:
            seen.append(packet.payload)
    assert seen == list(range(100))
    assert source.closed.is_set()
    assert source.given < 200


def test_what_was_read_before_the_source_failed_arrives_and_then_its_error():
    seen = []
    with (
        pytest.raises(OSError, match="source broke at 40"),
        Pipeline(Numbers(100, fails_at=40), [Stage("number", number)]) as pipeline,
    ):
        for packet in pipeline:
            seen.append(packet.payload)
    assert seen == list(range(40))


def test_an_error_of_the_caller_leaves_no_thread():
    source = Numbers(10_000)
    with pytest.raises(ZeroDivisionError), Pipeline(source, [Stage("number", number)]) as pipeline:
        for packet in pipeline:
            1 / (5 - packet.payload)
    assert source.closed.wait(5)


def test_leaving_early_stops_the_source():
    source = Numbers(1_000_000)
    with Pipeline(source, [Stage("number", number)]) as pipeline:
        for packet in pipeline:
            if packet.payload == 10:
                break
    assert source.closed.is_set()
    assert source.given < 1000


def test_cancelling_ends_a_pipeline_whose_stage_is_slow():
    cancelled, busy = threading.Event(), threading.Event()

    def slow(frame):
        busy.set()
        assert cancelled.wait(5)
        return frame

    threading.Thread(target=lambda: busy.wait(5) and cancelled.set()).start()
    assert collect(Pipeline(Numbers(100), [Stage("slow", slow)], cancelled=cancelled)) == []


def test_a_slow_consumer_holds_the_source_back():
    source = Numbers(1000)
    with Pipeline(source, [Stage("number", number)], capacity=2) as pipeline:
        for packet in pipeline:
            assert source.given <= packet.payload + 2 * 2 + 3  # two channels and those in hand
            if packet.payload == 50:
                break


def test_times_of_every_stage_are_recorded():
    pipeline = Pipeline(Numbers(20), [Stage("number", number)])
    collect(pipeline)
    assert [(s.name, s.frames) for s in pipeline.profiler.summary()] == [("capture", 20), ("number", 20)]


def test_a_pipeline_runs_once():
    pipeline = Pipeline(Numbers(1), [Stage("number", number)])
    collect(pipeline)
    with pytest.raises(PipelineError, match="runs once"):
        collect(pipeline)
