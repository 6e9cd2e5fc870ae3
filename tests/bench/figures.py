"""Made-up figures of a run."""

import numpy as np

from hprnet_rt.bench.report import BenchReport, Series

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "system": "Linux x86_64",
    "python": "3.11.7",
    "clock_mhz": 2000,
    "versions": {},
}
STAGES = {"capture": 3.0, "preprocess": 0.4, "engine": 7.0, "grouping": 0.02, "render": 1.3}


def figures(seed, *, slower=None, mood=1.0, kind="stages", machine=None, **settings):
    """Make a run of 60 rounds with noise of 2% and a drift of 1%; one stage may be `slower` by 10%."""
    random = np.random.default_rng(seed)
    drift = 1 + 0.01 * np.sin(np.linspace(0, 4, 60) + random.uniform(0, 6))
    series, whole = [], np.zeros(60)
    for name, ms in STAGES.items():
        rounds = mood * ms * drift * random.lognormal(0, 0.02, 60) * (1.1 if name == slower else 1.0)
        whole += rounds
        series.append(Series("clip.mp4", name, tuple(rounds)))
    series.append(Series("clip.mp4", "end to end", tuple(whole), whole=True))
    return BenchReport(kind, {"model": "hprnet-mobile", **settings}, tuple(series), {}, machine or MACHINE)
