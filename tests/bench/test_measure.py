"""Tasks that take turns, and when the measurement ends."""

import numpy as np
import pytest

from hprnet_rt.bench.measure import Limits, half_width, take_turns, theil_sen, time_steps
from hprnet_rt.errors import UsageError


def constant(calls, name):
    def task():
        calls.append(name)
        return {"stage": 1.0}

    return task


def test_every_task_runs_once_a_round_in_changing_order():
    calls = []
    limits = Limits(least_rounds=20, most_rounds=20, warm_up=0)
    measured = take_turns({name: constant(calls, name) for name in "abc"}, limits)
    rounds = ["".join(calls[n : n + 3]) for n in range(0, 60, 3)]
    assert all(sorted(one) == list("abc") for one in rounds)
    assert len(set(rounds)) > 3
    assert measured["a"]["stage"] == [1.0] * 20


def test_it_ends_when_the_medians_are_known():
    calls = []
    measured = take_turns({"a": constant(calls, "a")}, Limits(seconds=60, warm_up=2))
    assert len(measured["a"]["stage"]) == 10  # the first look at enough values
    assert len(calls) == 12


def test_it_ends_when_the_time_is_up_though_they_are_not():
    values = iter(np.random.default_rng(0).uniform(0, 1, 1000))
    limits = Limits(seconds=1e-9, least_rounds=7, warm_up=0)
    assert len(take_turns({"a": lambda: {"s": next(values)}}, limits)["a"]["s"]) == 7


def test_only_watched_stages_count():
    random = np.random.default_rng(0)

    def task():
        return {"steady": 1.0, "wild": random.uniform(0, 1)}

    measured = take_turns({"a": task}, Limits(warm_up=0), watched=("steady",))
    assert len(measured["a"]["wild"]) == 10


def test_the_interval_of_the_median_holds_it_95_times_in_100():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        values = random.lognormal(0, 0.3, 50)
        inside += abs(np.median(values) - 1.0) <= 1.3 * half_width(values) * np.median(values)
    assert inside > 350
    assert half_width([1.0] * 5) == np.inf
    assert half_width([2.0] * 10) == 0.0


def test_the_slope_bears_a_bad_point():
    people = [0, 1, 2, 5, 10, 20, 35, 50]
    ms = [10 + 0.002 * n for n in people]
    ms[3] = 30
    assert theil_sen(people, ms) == pytest.approx(0.002)
    with pytest.raises(UsageError, match="two different places"):
        theil_sen([1, 1], [2, 3])


def test_laps_add_up_in_order():
    done = []
    laps = time_steps(("first", lambda: done.append(1)), ("second", lambda: done.append(2)))
    assert list(laps) == ["first", "second"]
    assert done == [1, 2]


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"narrow": 1}, {"least_rounds": 0}, {"least_rounds": 9, "most_rounds": 8}]
)
def test_impossible_limits_are_sentences(wrong):
    with pytest.raises(UsageError):
        Limits(**wrong)
