"""The live mode: the newest frame wins, and only a few frames are in flight."""

import itertools
import threading
import time

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.pipeline import ChannelClosed, Pipeline, Profiler, Stage
from hprnet_rt.types import Frame

IMAGE = np.zeros((2, 2, 3), np.uint8)
LONG_S = 5.0  # for what happens at once, unless something is broken


class ByHand:
    """A source that gives a frame when `give` is called."""

    def __init__(self):
        self._wishes = threading.Semaphore(0)
        self._asked = threading.Semaphore(0)
        self._last = threading.Event()
        self._error = None

    def __iter__(self):
        for sequence in itertools.count():
            self._asked.release()
            self._wishes.acquire()
            if self._error is not None:
                raise self._error
            if self._last.is_set():
                return
            yield Frame(sequence, IMAGE, time.perf_counter())

    def give(self, frames=1):
        """Give frames; on return they are in the pipeline's first channel, or beyond."""
        for _ in range(frames):
            assert self._asked.acquire(timeout=LONG_S)
            self._wishes.release()
        assert self._asked.acquire(timeout=LONG_S)  # the pipeline came back for more: it has put the last
        self._asked.release()

    def fail(self, error):
        self._error = error
        self._wishes.release()

    def end(self):
        """Wake the thread that waits for a frame, as a camera's interrupt does."""
        self._last.set()
        self._wishes.release()

    def close(self):
        pass


class Clocked:
    """A source of `n` frames at a steady rate, which does not wait for the pipeline."""

    def __init__(self, rate_hz, n):
        self._period_s, self._n = 1 / rate_hz, n

    def __iter__(self):
        start_s = time.perf_counter()
        for sequence in range(self._n):
            time.sleep(max(0.0, start_s + sequence * self._period_s - time.perf_counter()))
            yield Frame(sequence, IMAGE, time.perf_counter())

    def close(self):
        pass


class Held:
    """A stage that works on a frame until it is released, and records the frames that it got."""

    def __init__(self):
        self.got = []
        self._came = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def __call__(self, frame):
        self.got.append(frame.sequence)
        self._came.release()
        assert self._go.acquire(timeout=LONG_S)
        return frame

    def wait(self):
        assert self._came.acquire(timeout=LONG_S)

    def let_go(self, frames=1):
        self._go.release(frames)


@pytest.fixture
def source():
    return ByHand()


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    assert [thread for thread in threading.enumerate() if thread.name.startswith("hprnet-")] == []


def live(source, *runs, in_flight=2, **settings):
    """Start a live pipeline with these functions as stages; its `stop` wakes the source."""
    stages = [Stage(f"s{i}", run) for i, run in enumerate(runs)]
    settings.setdefault("interrupt", getattr(source, "end", None))
    pipeline = Pipeline(source, stages, in_flight=in_flight, **settings)
    pipeline.start()
    return pipeline


def same(frame):
    return frame


def test_the_newest_frame_wins_and_the_others_are_counted(source):
    held = Held()
    with live(source, held) as pipeline:
        source.give()
        held.wait()
        source.give(9)
        held.let_go(2)
        assert [pipeline.take(LONG_S).sequence for _ in range(2)] == [0, 9]
        assert held.got == [0, 9]
        assert pipeline.dropped == 8


def test_no_frame_enters_before_the_caller_is_done_with_one(source):
    entered = threading.Semaphore(0)

    def note(frame):
        entered.release()
        return frame

    with live(source, note, same, same, in_flight=2) as pipeline:
        for _ in range(2):
            source.give()
            assert entered.acquire(timeout=LONG_S)
        assert pipeline.take(LONG_S).sequence == 0
        source.give(5)
        assert not entered.acquire(timeout=0.1)  # one waits for the caller, who still works on another
        pipeline.done()
        assert entered.acquire(timeout=LONG_S)
        pipeline.done()  # of the same frame: counts once
        assert not entered.acquire(timeout=0.1)
        assert [pipeline.take(LONG_S).sequence for _ in range(2)] == [1, 6]


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_never_more_frames_are_on_their_way_than_in_flight(in_flight):
    lock, inside, most = threading.Lock(), 0, 0

    def change(by):
        nonlocal inside, most
        with lock:
            inside += by
            most = max(most, inside)

    def enter(frame):
        change(1)
        time.sleep(0.002)
        return frame

    def display(frame):
        time.sleep(0.003)
        return frame

    with live(Clocked(500, 100), enter, display, in_flight=in_flight) as pipeline:
        for _ in range(15):
            assert pipeline.take(LONG_S) is not None
            time.sleep(0.005)
            change(-1)
    assert 1 <= most <= in_flight


def test_the_age_stays_bounded_when_engine_and_display_are_slower_than_the_source():
    def engine(frame):
        time.sleep(0.02)
        return frame

    profiler = Profiler()
    display_s, ages_s = 0.03, []
    with Pipeline(Clocked(200, 200), [Stage("engine", engine)], profiler=profiler, in_flight=2) as pipeline:
        for packet in pipeline:
            time.sleep(display_s)
            ages_s.append(profiler.shown(packet.sequence, packet.payload.captured_s))
    assert 15 <= len(ages_s) < 50  # the display's rate for a second, on a busy machine too
    assert pipeline.dropped > 100
    # Two frames in flight: at worst one capture period, the engine, the frame before on the display, its own.
    expected_s = 0.005 + 0.02 + 2 * display_s
    assert np.median(ages_s) < 1.5 * expected_s
    assert np.median(ages_s[-10:]) < 2 * np.median(ages_s[2:12])  # it does not grow


def test_taking_returns_nothing_until_a_frame_has_arrived(source):
    with live(source, same) as pipeline:
        assert pipeline.take() is None
        assert pipeline.take(0.01) is None
        source.give()
        assert pipeline.take(LONG_S).sequence == 0


def test_notify_says_when_there_is_something_to_take_and_when_the_end_has_come(source):
    notified = threading.Event()
    with live(source, same, notify=notified.set) as pipeline:
        for sequence in range(3):
            source.give()
            assert notified.wait(LONG_S)
            notified.clear()
            assert pipeline.take().sequence == sequence
        source.end()
        with pytest.raises(ChannelClosed):
            for _ in range(10):  # each of the threads tells of its end
                assert notified.wait(LONG_S)
                notified.clear()
                assert pipeline.take() is None


def test_a_pause_lets_nothing_in_and_frames_on_their_way_arrive(source):
    held = Held()
    with live(source, held) as pipeline:
        source.give()
        held.wait()
        pipeline.pause(True)
        source.give(3)
        held.let_go()
        assert pipeline.take(LONG_S).sequence == 0
        assert pipeline.take(0.1) is None
        assert held.got == [0]
        pipeline.pause(False)
        held.let_go()
        assert pipeline.take(LONG_S).sequence == 3


def test_a_pause_while_the_engine_waits_for_a_frame_lets_none_in(source):
    with live(source, same) as pipeline:
        source.give()
        assert pipeline.take(LONG_S).sequence == 0
        assert pipeline.take(0.05) is None  # by now the first stage waits for a frame
        pipeline.pause(True)
        source.give(2)
        assert pipeline.take(0.1) is None
        pipeline.pause(False)
        assert pipeline.take(LONG_S).sequence == 2


def test_a_paused_pipeline_of_a_file_loses_nothing():
    with live(Clocked(10_000, 20), same, in_flight=None) as pipeline:
        pipeline.pause(True)
        pipeline.pause(False)
        assert [pipeline.take(LONG_S).sequence for _ in range(20)] == list(range(20))


def test_a_paused_pipeline_can_be_closed_and_paused_again(source):
    with live(source, same) as pipeline:
        pipeline.pause(True)
        source.give()
        pipeline.close()
        pipeline.pause(True)
    with pytest.raises(ChannelClosed):
        pipeline.take(LONG_S)


def test_stopping_interrupts_a_source_that_waits(source):
    interrupted = threading.Event()

    def interrupt():
        interrupted.set()
        source.end()

    with live(source, same, interrupt=interrupt) as pipeline:
        source.give()
        assert pipeline.take(LONG_S) is not None
        assert not interrupted.is_set()
        pipeline.stop()
        assert interrupted.is_set()
        with pytest.raises(ChannelClosed):
            pipeline.take(LONG_S)


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_an_error_in_a_stage_reaches_the_caller_of_take(source, broken):
    def fail(frame):
        raise RuntimeError("stage broke")

    runs = [same, same, same]
    runs[broken] = fail
    pipeline = live(source, *runs)
    source.give()
    for _ in range(2):  # and again, when it is asked again
        with pytest.raises(RuntimeError, match="stage broke"):
            pipeline.take(LONG_S)


def test_an_error_in_the_source_reaches_the_caller_of_take_after_the_frames_before_it(source):
    pipeline = live(source, same)
    source.give()
    source.fail(OSError("camera unplugged"))
    assert pipeline.take(LONG_S).sequence == 0
    with pytest.raises(OSError, match="camera unplugged"):
        pipeline.take(LONG_S)


def test_a_source_that_fails_during_a_pause_is_told_of_after_the_pause(source):
    pipeline = live(source, same)
    pipeline.pause(True)
    source.give()
    source.fail(OSError("camera unplugged"))
    assert pipeline.take(0.05) is None
    pipeline.pause(False)
    assert pipeline.take(LONG_S).sequence == 0
    with pytest.raises(OSError, match="camera unplugged"):
        pipeline.take(LONG_S)


@pytest.mark.parametrize("in_flight", [0, -1])
def test_less_than_one_frame_in_flight_is_refused(source, in_flight):
    with pytest.raises(UsageError, match="in_flight is at least 1"):
        Pipeline(source, [Stage("same", same)], in_flight=in_flight)


def test_a_live_pipeline_without_stages_is_refused(source):
    with pytest.raises(UsageError, match="at least one stage"):
        Pipeline(source, [], in_flight=1)
