"""Changes are named; stages without a change are not."""

import numpy as np
import pytest

from hprnet_rt.bench.against import compare_reports
from hprnet_rt.bench.measure import Limits, take_turns
from hprnet_rt.bench.report import BenchReport, Series, series_of
from hprnet_rt.errors import UsageError
from tests.bench.figures import MACHINE, STAGES, figures


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(0, 20, 2))
def test_a_stage_that_is_10_percent_slower_is_named_and_only_that(stage, seed):
    comparison = compare_reports(figures(seed), figures(seed + 1, slower=stage))
    assert [change.name for change in comparison.named] == [f"clip.mp4: {stage}"]
    assert 1.05 < comparison.named[0].ratio < 1.15


def test_the_same_figures_twice_name_nothing():
    comparison = compare_reports(figures(0), figures(0))
    assert comparison.named == ()
    assert comparison.to_text() == "no change beyond noise in 6 figures"


@pytest.mark.parametrize("seed", range(0, 100, 2))
def test_another_run_of_the_same_names_nothing(seed):
    assert compare_reports(figures(seed), figures(seed + 1)).named == ()


def test_a_slower_machine_is_told_from_a_slower_stage():
    comparison = compare_reports(figures(0), figures(1, slower="engine", mood=1.3))
    assert [change.name for change in comparison.named] == ["clip.mp4: engine"]
    assert comparison.common == pytest.approx(1.3, abs=0.05)
    assert "everything takes 1.3" in comparison.to_text()


def test_a_sum_is_named_when_none_of_its_parts_is():
    def run(whole_ms):
        parts = [Series("a", name, (1.0,) * 20) for name in "bcde"]
        return BenchReport(
            "people", {}, (*parts, Series("a", "sum", (whole_ms,) * 20, whole=True)), {}, MACHINE
        )

    assert [change.name for change in compare_reports(run(4.0), run(5.0)).named] == ["a: sum"]


def test_few_rounds_are_no_evidence():
    old, new = (BenchReport("people", {}, (Series("a", "b", (ms,) * 3),), {}, MACHINE) for ms in (1.0, 2.0))
    assert compare_reports(old, new).named == ()


def test_figures_of_two_machines_settings_or_commands_are_not_compared():
    other = {**MACHINE, "processor": "another"}
    with pytest.raises(UsageError, match="two machines"):
        compare_reports(figures(0), figures(1, machine=other))
    with pytest.raises(UsageError, match="different settings cannot be compared: size 384 and 512"):
        compare_reports(figures(0, size=384), figures(1, size=512))
    with pytest.raises(UsageError, match="bench people"):
        compare_reports(figures(0, kind="people"), figures(1))


def test_figures_without_any_in_common_are_not_compared():
    one, other, zero = (
        BenchReport("people", {}, (Series("a", name, (ms,) * 20),), {}, MACHINE)
        for name, ms in (("b", 1.0), ("c", 1.0), ("b", 0.0))
    )
    for old in (other, zero):
        with pytest.raises(UsageError, match="none of the figures"):
            compare_reports(old, one)


def test_other_versions_and_clocks_are_compared():
    other = {**MACHINE, "clock_mhz": 3000, "versions": {"numpy": "9"}}
    assert compare_reports(figures(0), figures(1, machine=other)).named == ()


def measured(seed, slower=None):
    """Measure with `take_turns`, on clocks with noise of 2%; one stage may take 10% longer."""
    random = np.random.default_rng(seed)

    def task(people):
        def once():
            base = {"network": 0.011, "grouping": 2e-6 * people, "tracking": 3e-6 * people, "drawing": 1e-4}
            return {
                name: seconds * random.lognormal(0, 0.02) * (1.1 if name == slower else 1.0)
                for name, seconds in base.items()
            }

        return once

    limits = Limits(narrow=1e-6, least_rounds=60, most_rounds=60)
    tasks = {f"{people} people": task(people) for people in (1, 50)}
    return BenchReport("people", {}, series_of(take_turns(tasks, limits)), {}, MACHINE)


@pytest.mark.parametrize("seed", range(0, 10, 2))
def test_a_command_that_runs_twice_names_no_change_and_then_the_slowed_stage(seed):
    assert compare_reports(measured(seed), measured(seed + 1)).named == ()
    named = compare_reports(measured(seed), measured(seed + 1, slower="drawing")).named
    assert {change.name for change in named} == {"1 people: drawing", "50 people: drawing"}
