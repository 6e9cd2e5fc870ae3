"""Whether `hprnet-rt bench ... --against` sees what it should, on this machine.

    python benchmarks/slowdown.py [SECONDS]

`bench stages` is measured twice, which should name no change, and then with drawing that takes 10% longer,
which should be named. On a machine that others use, either may fail: the intervals are those of these runs.
"""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context

from hprnet_rt.bench import stages
from hprnet_rt.bench.against import compare_reports
from hprnet_rt.bench.measure import Limits
from hprnet_rt.bench.report import Report
from hprnet_rt.bench.scenes import sample_video
from hprnet_rt.bench.subject import Running, subject
from hprnet_rt.inference.model import DEFAULT_MODEL
from hprnet_rt.render import Overlay

_SLOWER = 0.1


class SlowOverlay(Overlay):
    """Drawing that waits, busily, for a tenth of the time that it took."""

    def draw(self, image, poses):
        start_s = time.perf_counter()
        super().draw(image, poses)
        end_s = time.perf_counter()
        while time.perf_counter() < end_s + _SLOWER * (end_s - start_s):
            pass


def measured(seconds: float, slower: bool) -> Report:
    if slower:
        stages.Overlay = SlowOverlay
    with subject(DEFAULT_MODEL) as network:
        return stages.measure_stages(network, Running(), sample_video(), Limits(seconds))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    # a process for each: what a first run leaves behind makes a second one slower
    with get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        runs = ((seconds, False), (seconds, False), (seconds, True))
        first, second, slow = processes.starmap(measured, runs, chunksize=1)
    print("the same twice:", compare_reports(first, second).to_text(), sep="\n")
    print("drawing 10% slower:", compare_reports(first, slow).to_text(), sep="\n")


if __name__ == "__main__":
    main()
