import numpy as np
import pytest

from hprnet_rt.pipeline import Profiler
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
