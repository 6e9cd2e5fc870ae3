"""What `gpu.py` measures outside PyTorch: the packages that reach a GPU, TensorRT, and a whole video."""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from gpu_torch import COUNTED, K, images_of
from machine import percentiles_ms

from hprnet_rt.backends import Backend, BackendRequest, ModelFile
from hprnet_rt.backends.trt import device as devices
from hprnet_rt.backends.trt import load_library, require_support
from hprnet_rt.backends.trt.backend import create
from hprnet_rt.bench.measure import Limits
from hprnet_rt.bench.pipeline import measure_pipeline
from hprnet_rt.bench.scenes import sample_video
from hprnet_rt.bench.subject import ModelOptions, open_subject
from hprnet_rt.building import BuildPlan, build, find_engine
from hprnet_rt.errors import BackendError
from hprnet_rt.machine import nvidia
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import PeakNetwork
from hprnet_rt.spec import PeakLayout

FRAME_S = Fraction(1, 30)
NEAR_SCORE = 0.02  # largest difference of the strongest person's score in fp16 from that in float32

Outcome = dict[str, Any]


def by_driver(package: str) -> str:
    """Use buffers, a stream, events and a graph of a package, in a thread of their own."""
    with ThreadPoolExecutor(1) as owner:
        return owner.submit(lambda: _round_trips(package)).result()


def _round_trips(package: str) -> str:
    device = devices.open_device(package, (package,))
    try:
        stream, event = device.stream(), device.event()
        there, back = (device.pinned((64, 1024), np.uint8) for _ in range(2))
        address = device.memory(there.nbytes)

        def copies() -> None:
            device.upload(address, there, stream)
            device.download(back, address, stream)

        graph = device.capture(stream, copies)
        free = device.free_bytes()[0]
        for number in range(1000):
            there[...] = number % 251
            device.launch(graph, stream)
            device.record(event, stream)
            device.wait(event)
            if not (back == there).all():
                raise AssertionError(f"{device.name}: launch {number} brought back something else")
        if device.free_bytes()[0] != free:
            raise AssertionError(f"{device.name}: free memory changed over 1000 launches")
        return f"{device.name}: 1000 graph launches brought back what was sent, free memory unchanged"
    finally:
        device.close()


def strongest(packed: np.ndarray, layout: PeakLayout) -> tuple[np.ndarray, np.ndarray]:
    """Return the score (N,) and cell (N, 2) of the strongest person of each image."""
    columns = layout.columns
    return packed[:, 0, columns["person_score"]][:, 0], packed[:, 0, columns["person_cell"]]


def by_tensorrt(
    backend: str, export: Callable[[], ModelFile], network: Network, options: argparse.Namespace
) -> Outcome:
    """Build an engine on this machine, and run it."""
    library, found_gpus = load_library(backend), nvidia()
    if not found_gpus.gpus:
        raise BackendError(
            f"{backend} engines run on an NVIDIA GPU, and there is none here: {found_gpus.why}"
        )
    require_support(library, found_gpus.gpus[0])
    found: Outcome = {}
    model_file = export()
    layout, hw = PeakLayout.of(network.spec), (options.size, options.size)
    for batch in dict.fromkeys((1, options.batch)):
        plan = BuildPlan.parse(
            network.spec, backend=backend, precision="fp16", size=str(options.size), batch=str(batch)
        )
        start_s = time.perf_counter()
        built = build(model_file, plan)
        found[f"{batch} images, build"] = f"{time.perf_counter() - start_s:.1f} s, {built.path.name}"
        engine = find_engine(model_file, backend, precision="fp16", input_hw=hw, batch=batch, may_build=False)
        running = create(BackendRequest(model_file=model_file, input_hw=hw, batch=batch, engine=engine))
        try:
            images = images_of(batch, options.size)
            with torch.inference_mode():
                expected = PeakNetwork(network, K)(torch.from_numpy(images)).numpy()
            ours, full = (strongest(packed, layout) for packed in (running.run(images), expected))
            if np.abs(ours[0] - full[0]).max() > NEAR_SCORE:
                raise AssertionError(f"{backend}: the strongest score is {ours[0]}, not {full[0]}")
            times = [_seconds_of(running, images) for _ in range(COUNTED)]
            found[f"{batch} images"] = {
                "engine": running.description,
                "a frame": percentiles_ms([seconds / batch for seconds in times]),
                "strongest people in the same cell": float(np.mean((ours[1] == full[1]).all(axis=1))),
            }
        finally:
            running.close()
    return found


def _seconds_of(running: Backend, images: np.ndarray) -> float:
    start_s = time.perf_counter()
    running.run(images)
    return time.perf_counter() - start_s


def by_annotate(options: argparse.Namespace) -> Outcome:
    """Annotate a video in 1080p, and return each stage's time beside the whole's."""
    with open_subject(options.model) as subject:
        video = subject.folder / "clip.mp4"
        larger_video(video, *((192, 108, 8) if options.dry else (1920, 1080, 120)))
        how = ModelOptions(
            "openvino" if options.dry else "torch-cuda",
            "fp32" if options.dry else options.precision,
            input_px=options.size,
        )
        limits = Limits(min(options.seconds, 10.0), least_rounds=1, warm_up=0 if options.dry else 1)
        report = measure_pipeline(subject, how, video, limits)
    stages = {series.name: dict(series.percentiles) for series in report.series}
    limit = (
        f"{report.summary['slowest_stage']}, {100 * report.summary['slowest_against_whole']:.0f}% of a frame"
    )
    return {
        "engine": report.summary["engine"],
        "frames a second": report.summary["frames_a_second"],
        "slowest stage": limit,
        "all cores together": f"{100 * report.summary['cores_against_whole']:.0f}% of a frame",
        **stages,
    }


def larger_video(path: Path, width: int, height: int, most: int) -> None:
    """Write the frames of the sample clip in another size, again and again until there are enough."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mpeg4", rate=round(1 / FRAME_S), options={"qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        count = 0
        while count < most:
            with av.open(str(sample_video())) as source:
                for frame in source.decode(video=0):
                    larger = frame.reformat(width, height, "yuv420p")
                    larger.pts, larger.time_base = count, FRAME_S
                    target.mux(stream.encode(larger))
                    count += 1
                    if count == most:
                        break
        target.mux(stream.encode())
