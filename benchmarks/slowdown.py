"""Check that `hprnet-rt bench ... --against` finds a change of 10%, and no other, on this machine.

    python benchmarks/slowdown.py [SECONDS]

`bench stages` is measured twice, where no change should be found, and then with drawing that takes 10%
longer, which should be found. On a shared machine either may fail: the intervals follow from these runs.
"""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context

from hprnet_rt.bench import stages
from hprnet_rt.bench.against import compare_reports
from hprnet_rt.bench.measure import Limits
from hprnet_rt.bench.report import BenchReport
from hprnet_rt.bench.scenes import sample_video
from hprnet_rt.bench.subject import ModelOptions, open_subject
from hprnet_rt.inference.model import DEFAULT_MODEL
from hprnet_rt.render import Overlay

_SLOWER = 0.1


class SlowOverlay(Overlay):
    """An overlay that waits, busily, for a tenth of the time that it needed to draw."""

    def draw(self, image, poses):
        start_s = time.perf_counter()
        super().draw(image, poses)
        end_s = time.perf_counter()
        while time.perf_counter() < end_s + _SLOWER * (end_s - start_s):
            pass


def measured(seconds: float, slower: bool) -> BenchReport:
    if slower:
        stages.Overlay = SlowOverlay
    with open_subject(DEFAULT_MODEL) as network:
        return stages.measure_stages(network, ModelOptions(), sample_video(), Limits(seconds))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    # a new process for each, because a second run in the same process is slower
    with get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        runs = ((seconds, False), (seconds, False), (seconds, True))
        first, second, slow = processes.starmap(measured, runs, chunksize=1)
    print("the same twice:", compare_reports(first, second).to_text(), sep="\n")
    print("drawing 10% slower:", compare_reports(first, slow).to_text(), sep="\n")


if __name__ == "__main__":
    main()
