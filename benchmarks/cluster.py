"""The time of workers on a local Ray cluster against one process, on this machine.

    python benchmarks/cluster.py [VIDEO] [--frames 600] [--threads 1]
    python benchmarks/cluster.py --kill           # kill a worker in the middle, compare the bytes

All runs process the same frames, with the same number of threads for each worker, and write keypoints only.
Their keypoints must be equal byte for byte. The default VIDEO is the sample, played forwards and backwards,
with a key frame a second.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from machine import heading, machine, save

import hprnet_rt
from hprnet_rt.bench.scenes import sample_video
from hprnet_rt.cluster import Cluster, ModelChoice, connect
from hprnet_rt.cluster.worker import Worker
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan

_GOP = 25


def to_and_fro(path: Path, frames: int) -> None:
    """Write a video that plays the sample forwards and backwards until it has this number of frames."""
    with av.open(str(sample_video())) as file:
        images = [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": str(_GOP)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(frames):
            turn, at = divmod(n, len(images))
            frame = av.VideoFrame.from_ndarray(images[at if turn % 2 == 0 else -1 - at], format="bgr24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def timed(finder: PoseModel | Cluster, video: Path, out: Path, kill: Any = None) -> tuple[float, int, bytes]:
    """Annotate, and return seconds, frames and keypoints; `kill` is called when a third is done."""
    options = AnnotateOptions(video=False, overwrite=True)
    (job,) = plan([str(video)], out, options)
    with av.open(str(video)) as file:
        third = (file.streams.video[0].frames or 300) // 3
    count = 0

    def progress(_item: object) -> None:
        nonlocal count
        count += 1
        if kill is not None and count == third:
            kill()

    report = annotate_file(job, finder, options, progress=progress)
    return report.seconds, report.frames, next(iter(job.keypoints.values())).read_bytes()


class Watch:
    """Measures the seconds that each call of a worker's `look` takes, from this process."""

    def __init__(self, cluster: Cluster) -> None:
        self.seconds: list[float] = []
        self._lock = threading.Lock()
        workers: Any = cluster._workers
        ask = workers._ask

        def watched(number: int, method: str, *arguments: Any) -> Any:
            start_s = time.perf_counter()
            answer = ask(number, method, *arguments)
            if method == Worker.look.__name__:
                with self._lock:
                    self.seconds.append(time.perf_counter() - start_s)
            return answer

        workers._ask = watched


def kill(pid: int) -> None:
    """Kill a worker, as if its machine were lost."""
    os.kill(pid, signal.SIGKILL)
    print(f"killed worker {pid}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    info = machine()
    heading("one process against workers on a local Ray cluster", info)
    load = os.getloadavg()[0]
    print(f"load of the machine before: {load:.2f}")
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-cluster-") as folder:
        video = options.video or Path(folder) / "sample.mp4"
        if options.video is None:
            to_and_fro(video, options.frames)
        runs = measure(video, Path(folder) / "out", options)
    if runs is None:
        return 1
    if not options.kill:
        facts = {"machine": info, "load_before": round(load, 2), "threads": options.threads, "runs": runs}
        save(
            "cluster-local", {"video": options.video.name if options.video else "sample to and fro", **facts}
        )
    return 0


def measure(video: Path, out: Path, options: argparse.Namespace) -> list[dict[str, Any]] | None:
    """Measure all runs, and return their figures; None if keypoints differ."""
    begin_s = time.perf_counter()
    with hprnet_rt.load(threads=options.threads) as model:
        start_s = time.perf_counter() - begin_s
        timed(model, video, out)  # once before, so that the file is in the page cache
        alone_s, frames, keypoints = timed(model, video, out)
    rate = frames / alone_s
    print(f"one process: {alone_s:.2f} s for {frames} frames ({rate:.1f} a second); start {start_s:.1f} s")
    runs: list[dict[str, Any]] = [{"workers": 0, "seconds": round(alone_s, 3), "frames": frames}]
    for count in (2,) if options.kill else (1, 2):
        begin_s = time.perf_counter()
        with connect("local", ModelChoice(threads=options.threads), count) as cluster:
            start_s = time.perf_counter() - begin_s
            watch = Watch(cluster)
            workers: Any = cluster._workers
            if not options.kill:
                timed(cluster, video, out)  # as above
                watch.seconds.clear()
            took_s, _, found = timed(
                cluster, video, out, functools.partial(kill, workers.pids()[0]) if options.kill else None
            )
        if found != keypoints:
            print(f"{count} workers: OTHER KEYPOINTS")
            return None
        p50_s = float(np.median(watch.seconds))
        overhead_s = took_s * count - alone_s
        print(
            f"{count} workers: {took_s:.2f} s, speed-up {alone_s / took_s:.2f}, overhead {overhead_s:+.2f} s "
            f"of worker time, {len(watch.seconds)} parts of {p50_s:.2f} s (p50); start {start_s:.1f} s; "
            "the same keypoints"
        )
        runs.append(
            {
                "workers": count,
                "seconds": round(took_s, 3),
                "speed_up": round(alone_s / took_s, 3),
                "overhead_worker_s": round(overhead_s, 3),
                "parts": len(watch.seconds),
                "part_p50_s": round(p50_s, 3),
                "start_s": round(start_s, 2),
            }
        )
    return runs


if __name__ == "__main__":
    sys.exit(main())
