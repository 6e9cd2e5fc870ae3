"""Every stage of annotate by itself, one frame after the other, and grouping for many people.

python benchmarks/stages.py [VIDEO] [--frames 200] [--threads N] [--backend B] [--precision P] [--save]
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from machine import heading, machine, percentiles_ms, save

import hprnet_rt
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper
from hprnet_rt.heads import HPRNET_MOBILE, PeakLayout
from hprnet_rt.render import Overlay
from hprnet_rt.skeleton import PARTS
from hprnet_rt.types import Estimated, Peaks
from hprnet_rt.video import KeypointsSink, VideoSink, VideoSource

SAMPLE = Path(__file__).parents[1] / "demos" / "sample.mp4"
WARM_UP = 5


def timed(function: Callable[[Any], Any], items: Iterable[Any]) -> tuple[list[Any], list[float]]:
    """Results and seconds of each call, after a few that are not counted."""
    items = list(items)
    for item in items[:WARM_UP]:
        function(item)
    results, seconds = [], []
    for item in items:
        start = time.perf_counter()
        results.append(function(item))
        seconds.append(time.perf_counter() - start)
    return results, seconds


def crowd(people: int, seed: int) -> Peaks:
    """Peaks of `people` people on a 96 x 96 map, all 133 points trained, parts within each other's reach."""
    rng = np.random.default_rng(seed)
    layout, joints, k = PeakLayout.of(HPRNET_MOBILE), HPRNET_MOBILE.num_joints, 32
    columns = layout.columns
    packed = np.zeros((k, layout.width), np.float32)
    packed[:people, columns["person_score"]] = 0.9
    packed[:, columns["person_cell"]] = rng.integers(5, 91, (k, 2))
    packed[:, columns["person_wh"]] = rng.uniform(10, 50, (k, 2))
    regressed = packed[:, None, columns["person_cell"]] + rng.normal(0, 8, (k, joints, 2))
    packed[:, columns["joint_regressed"]] = regressed.reshape(k, -1)
    packed[:, columns["joint_regressed_score"]] = 0.1
    packed[:people, columns["peak_score"]] = 0.8
    packed[:, columns["peak_xy"]] = (regressed + rng.normal(0, 1, regressed.shape)).reshape(k, -1)
    return Peaks(packed, layout, Letterbox.fit((384, 384), (384, 384)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/stages-cpu.json")
    options = parser.parse_args()
    info = machine()
    heading("Stages by themselves, ms a frame", info)

    rows: dict[str, dict[str, float]] = {}
    source = VideoSource(options.video)
    frames_of = iter(source)
    frames, seconds = [], []
    for _ in range(min(options.frames, source.info.frames or options.frames)):
        start = time.perf_counter()
        frame = next(frames_of, None)
        if frame is None:
            break
        seconds.append(time.perf_counter() - start)
        frames.append(frame)
    rows["capture"] = percentiles_ms(seconds)
    with hprnet_rt.load(
        threads=options.threads, backend=options.backend, precision=options.precision
    ) as model:
        print(f"{options.video.name} {source.info.width}x{source.info.height}, {len(frames)} frames; "
              f"{model.name} on {model.description}")  # fmt: skip
        prepared, seconds = timed(lambda frame: model.prepare(frame.image), frames)
        rows["preprocess"] = percentiles_ms(seconds)
        peaks, seconds = timed(lambda item: model.infer(*item), prepared)
        rows["engine"] = percentiles_ms(seconds)
        poses, seconds = timed(model.group, peaks)
        rows["grouping"] = percentiles_ms(seconds)
        engine = model.description
    overlay = Overlay()
    pairs = [Estimated(frame, found) for frame, found in zip(frames, poses, strict=True)]
    _, seconds = timed(lambda item: overlay.draw(item.frame.image, item.poses), pairs)
    rows["render"] = percentiles_ms(seconds)
    with tempfile.TemporaryDirectory() as folder:
        keypoints = KeypointsSink(Path(folder) / "k.jsonl", {})
        _, seconds = timed(keypoints.write, pairs)
        rows["sink: keypoints"] = percentiles_ms(seconds)
        keypoints.close()
        video = VideoSink(Path(folder) / "v.mp4", source.info)
        seconds = []
        for item in pairs:  # timestamps must grow: no warm-up
            start = time.perf_counter()
            video.write(item)
            seconds.append(time.perf_counter() - start)
        rows["sink: video"] = percentiles_ms(seconds)
        video.close()
    source.close()
    whole_body = Grouper(dataclasses.replace(HPRNET_MOBILE, trained=tuple(PARTS)))
    for people in (1, 5, 20, 32):
        scenes = [crowd(people, seed) for seed in range(200)]
        _, seconds = timed(whole_body, scenes * 5)
        rows[f"grouping, 133 points, {people} people"] = percentiles_ms(seconds)

    print(f"{'stage':<34}{'p50':>9}{'p95':>9}{'p99':>9}")
    for name, row in rows.items():
        print(f"{name:<34}{row['p50']:9.3f}{row['p95']:9.3f}{row['p99']:9.3f}")
    print("the paper's grouping (HPRNet, 1080 Ti machine): 11 ms")
    if options.save:
        save("stages-cpu", {"machine": info, "video": options.video.name, "engine": engine, "ms": rows})


if __name__ == "__main__":
    main()
