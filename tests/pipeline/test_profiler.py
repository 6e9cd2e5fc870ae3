import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.pipeline import Profiler, Span
from hprnet_rt.pipeline.profiler import LatencyHistogram


def test_percentiles_are_within_two_percent_of_the_exact_ones():
    seconds = np.random.default_rng(0).lognormal(-5, 1, 5000)
    histogram = LatencyHistogram()
    for value in seconds:
        histogram.add(value)
    for percent in (50, 95, 99):
        exact = np.percentile(seconds, percent, method="inverted_cdf")
        assert histogram.percentile_s(percent) == pytest.approx(exact, rel=0.02)
    assert histogram.total_s == pytest.approx(seconds.sum())


def test_an_empty_histogram_has_no_percentile():
    assert LatencyHistogram().percentile_s(50) is None


def test_times_beyond_the_scale_are_counted_at_its_ends():
    histogram = LatencyHistogram()
    for value in (0.0, 1e9):
        histogram.add(value)
    assert histogram.count == 2
    assert histogram.percentile_s(99) == pytest.approx(1e3, rel=0.03)


def test_stages_are_summed_up_in_the_order_of_their_first_record():
    profiler = Profiler()
    for stage, wait, service in (("capture", 0.0, 0.002), ("engine", 0.001, 0.010), ("capture", 0.0, 0.002)):
        profiler.record(stage, wait, service)
    capture, engine = profiler.summary()
    assert (capture.name, capture.frames, engine.name) == ("capture", 2, "engine")
    assert engine.service_p50_ms == pytest.approx(10, rel=0.02)
    assert engine.wait_p50_ms == pytest.approx(1, rel=0.02)


def at_rate(profiler, rate_hz, frames):
    """Record frames at even intervals from 100 s on, and return the end of the last one."""
    for i in range(frames):
        profiler.record("engine", 0.001, 0.004, i, ended_s=100 + i / rate_hz)
    return 100 + (frames - 1) / rate_hz


def test_the_recent_rate_is_that_of_the_gaps_between_frames():
    profiler = Profiler(window_s=2.0)
    last_s = at_rate(profiler, 25, 20)
    engine = profiler.recent(last_s)["engine"]
    assert engine.rate_hz == pytest.approx(25)
    assert (engine.wait_ms, engine.service_ms) == pytest.approx((1, 4))


def test_the_recent_rate_falls_on_a_stall_and_reaches_zero():
    profiler = Profiler(window_s=2.0)
    last_s = at_rate(profiler, 25, 100)
    rates = [profiler.recent(last_s + stall_s)["engine"].rate_hz for stall_s in np.arange(0, 2.2, 0.05)]
    assert rates[0] == pytest.approx(25)
    assert (np.diff(rates) <= 1e-6).all()
    assert rates[10] < 20
    assert rates[-1] == 0
    assert profiler.recent(last_s + 2.2)["engine"].service_ms == 0


def test_the_recent_rate_follows_a_change_of_pace():
    profiler = Profiler(window_s=1.0)
    for ended_s in (*np.arange(0, 5, 0.02), *np.arange(5, 8, 0.1)):
        profiler.record("engine", 0.0, 0.001, ended_s=ended_s)
    assert profiler.recent(7.9)["engine"].rate_hz == pytest.approx(10)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_rate_needs_two_frames(frames):
    profiler = Profiler()
    at_rate(profiler, 25, frames)
    assert [recent.rate_hz for recent in profiler.recent(100.0).values()] == [0.0] * frames


def test_a_long_run_keeps_as_much_as_a_short_one():
    profiler = Profiler(window_s=10.0, spans=50)
    last_s = at_rate(profiler, 1000, 10_000)
    (kept,) = profiler._stages.values()
    assert len(kept.recent) == kept.recent.maxlen < 10_000
    assert profiler.recent(last_s)["engine"].rate_hz == pytest.approx(1000)
    assert [span.sequence for span in profiler.spans()] == list(range(9950, 10_000))


def test_a_shown_frame_has_an_age_that_is_no_stage():
    profiler = Profiler(spans=10)
    assert profiler.age() is None
    profiler.record("engine", 0.0, 0.01, 7, ended_s=5.02)
    assert profiler.shown(7, 5.0, now_s=5.05) == pytest.approx(0.05)
    assert [stage.name for stage in profiler.summary()] == ["engine"]
    age = profiler.age()
    assert (age.name, age.frames) == (Profiler.AGE, 1)
    assert age.service_p50_ms == pytest.approx(50, rel=0.02)
    assert profiler.recent(5.05)[Profiler.AGE].service_ms == pytest.approx(50)
    assert profiler.spans()[-1] == Span(Profiler.AGE, 7, 0.0, pytest.approx(5.0), 5.05)


def test_no_spans_are_kept_unless_they_are_asked_for():
    profiler = Profiler()
    at_rate(profiler, 25, 10)
    assert profiler.spans() == []


@pytest.mark.parametrize("settings", [{"window_s": 0.0}, {"window_s": -1.0}, {"spans": -1}])
def test_a_profiler_without_a_window_or_with_negative_spans_is_refused(settings):
    with pytest.raises(UsageError, match="looks back on some time"):
        Profiler(**settings)
