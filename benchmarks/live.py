"""The age of live frames when they are shown, and whether it grows.

    python benchmarks/live.py lag [--seconds 600] [--camera 60] [--engine 25] [--display 20]
    python benchmarks/live.py run [VIDEO] [--seconds 10] [--precision P]

Both take --save NAME.

"lag" runs the live pipeline with stages that only wait: a camera, a network (the stage "engine") and a
display with these rates. The age may be at most in_flight / (rate of shown frames) + 1 / (rate of the
camera). "run" plays a video at its own speed through the default model, as `hprnet-rt live --no-window` does.
"""

import argparse
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import heading, machine, rss_mib, save

import hprnet_rt
from hprnet_rt.live.session import Session
from hprnet_rt.pipeline import Pipeline, Profiler, Stage
from hprnet_rt.types import Frame
from hprnet_rt.video.capture import LiveOptions, open_live

SAMPLE = Path(__file__).parents[1] / "demos" / "sample.mp4"
PART_S = 10.0


class Camera:
    """A source of frames at a steady rate, until it is interrupted."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        start_s = time.perf_counter()
        for n in itertools.count():
            due_s = start_s + n * self._period_s
            if self._ended.wait(max(0.0, due_s - time.perf_counter())):
                return
            yield Frame(n, np.zeros((720, 1280, 3), np.uint8), due_s)

    def close(self) -> None:
        self._ended.set()


def lag(options: argparse.Namespace) -> dict[str, Any]:
    def engine(frame: Frame) -> Frame:
        time.sleep(1 / options.engine)
        return frame

    camera, profiler = Camera(options.camera), Profiler()
    ages: list[tuple[float, float]] = []
    samples: list[tuple[float | None, int]] = []
    start_s = time.perf_counter()
    with Pipeline[Frame](
        camera,
        [Stage("preprocess", lambda frame: frame), Stage("engine", engine)],
        profiler=profiler,
        capacity=options.in_flight,
        in_flight=options.in_flight,
        interrupt=camera.close,
    ) as pipeline:
        for packet in pipeline:
            time.sleep(1 / options.display)
            now_s = time.perf_counter() - start_s
            ages.append((now_s, 1e3 * profiler.shown(packet.sequence, packet.payload.captured_s)))
            if len(samples) < now_s / PART_S:
                samples.append((rss_mib(), threading.active_count()))
            if now_s >= options.seconds:
                break
    rate_hz = len(ages) / ages[-1][0]
    allowed_ms = 1e3 * (options.in_flight / rate_hz + 1 / options.camera)
    parts = {
        "first": [age for at, age in ages if at < PART_S],
        "last": [age for at, age in ages if at >= ages[-1][0] - PART_S],
    }
    figures: dict[str, Any] = {
        "camera_hz": options.camera,
        "engine_hz": options.engine,
        "display_hz": options.display,
        "in_flight": options.in_flight,
        "seconds": round(ages[-1][0], 1),
        "shown": len(ages),
        "shown_hz": round(rate_hz, 2),
        "dropped": pipeline.dropped,
        "allowed_ms": round(allowed_ms, 1),
        "rss_mib": [samples[n][0] and round(samples[n][0]) for n in (0, len(samples) // 2, -1)],
        "threads": sorted({threads for _, threads in samples}),
    }
    for name, part in parts.items():
        figures[name] = {f"age_p{p}_ms": round(float(np.percentile(part, p)), 1) for p in (50, 95, 99)}
    return figures


def run(options: argparse.Namespace) -> dict[str, Any]:
    with hprnet_rt.load(precision=options.precision) as model:
        source = open_live(str(options.video), LiveOptions())
        profiler = Profiler()
        start_s = time.perf_counter()
        with Session(source, model, profiler=profiler) as session:
            for _ in session:
                if options.seconds and time.perf_counter() - start_s >= options.seconds:
                    break
        age = profiler.age()
        assert age is not None
        return {
            "video": options.video.name,
            "size": [source.info.width, source.info.height],
            "fps": None if source.info.rate is None else round(float(source.info.rate), 3),
            "engine": model.description,
            "shown": session.count,
            "dropped": session.pipeline.dropped,
            "age_p50_ms": round(age.service_p50_ms or 0.0, 1),
            "age_p95_ms": round(age.service_p95_ms or 0.0, 1),
            "age_p99_ms": round(age.service_p99_ms or 0.0, 1),
            "stages_p50_ms": {
                stage.name: [round(stage.wait_p50_ms or 0.0, 2), round(stage.service_p50_ms or 0.0, 2)]
                for stage in profiler.summary()
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    waits = kinds.add_parser("lag")
    waits.add_argument("--seconds", type=float, default=600)
    waits.add_argument("--camera", type=float, default=60)
    waits.add_argument("--engine", type=float, default=25)
    waits.add_argument("--display", type=float, default=20)
    waits.add_argument("--in-flight", type=int, default=2)
    plays = kinds.add_parser("run")
    plays.add_argument("video", type=Path, nargs="?", default=SAMPLE)
    plays.add_argument("--seconds", type=float, default=0)
    plays.add_argument("--precision", default="auto")
    for kind in (waits, plays):
        kind.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    where = machine()
    heading(f"live {options.kind}", where)
    figures = (lag if options.kind == "lag" else run)(options)
    for key, value in figures.items():
        print(f"{key:14} {value}")
    if options.save:
        save(options.save, {"machine": where, **figures})


if __name__ == "__main__":
    main()
