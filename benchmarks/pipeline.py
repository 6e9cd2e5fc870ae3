"""The whole annotate against its slowest stage alone, and its memory over the length of a video.

    python benchmarks/pipeline.py [VIDEO] [--threads N] [--precision P] [--no-video] [--rounds 3] [--save]

Each round runs the whole, then every stage alone over the same frames: the pairs share the machine's mood.
"alone" is the mean time of a frame when nothing else runs; "cores" is the processor time that all stages
together take for a frame, divided by the cores: no pipeline on this machine can be much faster.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from machine import heading, machine, rss_mib, save

import hprnet_rt
from hprnet_rt.annotate import annotate, shared_threads
from hprnet_rt.estimator import PoseModel
from hprnet_rt.jobs import AnnotateOptions, plan
from hprnet_rt.pipeline import Profiler
from hprnet_rt.render import Overlay
from hprnet_rt.types import Estimated
from hprnet_rt.video import KeypointsSink, VideoSink, VideoSource

SAMPLE = Path(__file__).parents[1] / "demos" / "sample.mp4"
BATCH = 30  # frames held at once


class Alone:
    """Adds up wall and processor time of each stage."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def run(self, name: str, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Run one stage over some frames."""
        wall, cpu = time.perf_counter(), time.process_time()
        results = [function(item) for item in items]
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
        return results


def stages_alone(video: Path, model: PoseModel, options: AnnotateOptions) -> tuple[Alone, int]:
    """Every stage over the whole video, in batches, one stage at a time."""
    alone, overlay, count = Alone(), Overlay(), 0
    with tempfile.TemporaryDirectory() as folder:
        source = VideoSource(video)
        keypoints = KeypointsSink(Path(folder) / "k.jsonl", {})
        picture = (
            VideoSink(Path(folder) / "v.mp4", source.info, threads=shared_threads())
            if options.video
            else None
        )
        frames_of = iter(source)

        def sink(item: Estimated) -> None:
            keypoints.write(item)
            if picture is not None:
                picture.write(item)

        while True:
            frames = alone.run("capture", lambda _: next(frames_of, None), range(BATCH))
            frames = [frame for frame in frames if frame is not None]
            if not frames:
                break
            count += len(frames)
            prepared = alone.run("preprocess", lambda frame: model.prepare(frame.image), frames)
            peaks = alone.run("engine", lambda item: model.infer(*item), prepared)
            poses = alone.run("grouping", model.group, peaks)
            items = [Estimated(f, p) for f, p in zip(frames, poses, strict=True)]
            if options.video:
                alone.run("render", lambda item: overlay.draw(item.frame.image, item.poses), items)
            alone.run("sink", sink, items)
        if picture is not None:
            alone.run("sink", lambda _: picture.close(), [None])
        keypoints.close()
        source.close()
    return alone, count


def whole(video: Path, model: PoseModel, options: AnnotateOptions) -> tuple[float, list[tuple[int, float]]]:
    """Milliseconds a frame of the whole annotate, and (frame, MiB) along the way."""
    memory: list[tuple[int, float]] = []
    seen = 0

    def sample(_: Estimated) -> None:
        nonlocal seen
        seen += 1
        if seen % 100 == 0:
            memory.append((seen, rss_mib() or 0.0))

    with tempfile.TemporaryDirectory() as folder:
        (job,) = plan([str(video)], Path(folder) / "out", options)
        report = annotate(job, model, options, profiler=Profiler(), progress=sample)
    return 1e3 * report.seconds / report.frames, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--no-video", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/pipeline-cpu-*.json")
    options = parser.parse_args()
    wanted = AnnotateOptions(video=not options.no_video)
    threads = options.threads or (shared_threads() if wanted.video else None)
    info = machine()
    heading("The whole annotate against its slowest stage", info)
    rounds: list[dict[str, Any]] = []
    memory: list[tuple[int, float]] = []
    with hprnet_rt.load(threads=threads, precision=options.precision, input_px=options.size) as model:
        print(f"{options.video.name}; {model.name} on {model.description}; video out: {wanted.video}")
        print(f"{'round':<7}{'whole ms':>10}{'slowest alone ms':>24}{'cores ms':>10}{'ratio':>8}{'FPS':>8}")
        for number in range(options.rounds):
            whole_ms, seen = whole(options.video, model, wanted)
            memory = memory or seen
            alone, frames = stages_alone(options.video, model, wanted)
            means = {name: 1e3 * seconds / frames for name, seconds in alone.wall.items()}
            slowest = max(means, key=lambda name: means[name])
            bound = 1e3 * sum(alone.cpu.values()) / frames / (os.cpu_count() or 1)
            ratio = means[slowest] / whole_ms
            rounds.append({"whole_ms": whole_ms, "alone_ms": means, "cores_ms": bound, "ratio": ratio})
            label = f"{means[slowest]:.2f} {slowest}"
            print(f"{number + 1:<7}{whole_ms:10.2f}{label:>24}{bound:10.2f}{ratio:8.2f}{1e3 / whole_ms:8.1f}")
        description = model.description
    middle = statistics.median(entry["ratio"] for entry in rounds)
    busy = statistics.median(entry["cores_ms"] / entry["whole_ms"] for entry in rounds)
    print(
        f"whole against slowest stage alone, median: {middle:.2f}; against what the cores allow: {busy:.2f}"
    )
    if memory:
        half = [mib for frame, mib in memory if frame >= memory[-1][0] / 2]
        spread = max(half) - min(half)
        print(
            f"memory at {memory[-1][0]} frames: {memory[-1][1]:.0f} MiB, "
            f"within {spread:.1f} MiB over the second half"
        )
    if options.save:
        kind = "keypoints" if options.no_video else "video"
        name = f"pipeline-cpu-{options.video.stem}-{kind}"
        save(name, {"machine": info, "engine": description, "rounds": rounds, "rss_mib": memory})


if __name__ == "__main__":
    main()
