"""All measurements that need a GPU, in one run. It has not run on a GPU yet.

    python benchmarks/gpu.py [--model hprnet-dla34] [--size 512] [--batch 16] [--seconds 20] [--save NAME]
    python benchmarks/gpu.py --dry     # a small run of every path on the CPU, to test the script

1. PyTorch, a network with random weights, fp16, as CUDA graphs. "ours": sparse heads, decoding on the GPU,
   K peaks copied to the host, grouping. "dense": all heads on the whole map, on the GPU alone. "released":
   dense maps copied to the host, decoded and matched there as tensors, people assembled in Python. They take
   turns. The stages after the network run on 20 planted people, because the weights are random. Latency with
   one image, and seconds a frame with a batch; "ours" also with two batches in flight.
2. No allocation per frame, by PyTorch's counters.
3. PyCUDA and cuda-python: buffers, streams, events and graphs; the data that come back are compared.
4. TensorRT and TensorRT-RTX: whether an engine that is built here runs here, whether its peaks are those of
   PyTorch in float32, and its time.

If a measurement is not possible here, a sentence says why, and the others are done. The exit code is 1 if a
measurement was done and its result is wrong.
"""

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import heading, machine, percentiles_ms, save

from hprnet_rt.backends import Backend, BackendRequest, ModelFile
from hprnet_rt.backends.registry import backend_specs
from hprnet_rt.backends.torch_cuda import Replayed, for_inference
from hprnet_rt.backends.trt import device as devices
from hprnet_rt.backends.trt import load_library
from hprnet_rt.backends.trt.backend import create
from hprnet_rt.bench import networks, tensor_decode
from hprnet_rt.bench.measure import Limits, take_turns, time_steps
from hprnet_rt.bench.scenes import planted_heads, planted_peaks
from hprnet_rt.building import BuildPlan, build, find_engine
from hprnet_rt.environment import CACHE_VARIABLE
from hprnet_rt.errors import HprnetError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.machine import nvidia
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import DenseNetwork, PeakNetwork
from hprnet_rt.spec import PeakLayout

K, PEOPLE = 32, 20
THRESHOLD = GroupingOptions().person_threshold
WHOLE = "end to end"
COUNTED = 100  # frames over which allocations are counted
GOAL_MS = {"latency": 1.0, "a frame of a batch": 0.3}
NEAR_SCORE = 0.02  # largest difference of the strongest person's score in fp16 from that in float32

Outcome = dict[str, Any]


def images_of(batch: int, side: int) -> np.ndarray:
    coarse = np.random.default_rng(batch).integers(0, 256, (batch, side // 16, side // 16, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def turns(tasks: dict[str, Callable[[], dict[str, float]]], seconds: float) -> Outcome:
    """Let the tasks take turns, and return the percentiles of every task and stage."""
    limits = Limits(seconds=seconds, least_rounds=1, warm_up=2 if seconds >= 1 else 0)
    measured = take_turns(tasks, limits, watched=(WHOLE,))
    return {
        name: {stage: percentiles_ms(values) for stage, values in stages.items()}
        for name, stages in measured.items()
    }


def whole(times: dict[str, float], share: int = 1) -> dict[str, float]:
    """Return the seconds of each stage per frame of a batch of `share`, and their sum."""
    per_frame = {stage: seconds / share for stage, seconds in times.items()}
    return {**per_frame, WHOLE: sum(per_frame.values())}


class After:
    """The stages after the network for one image with planted people: ours, and the released code's."""

    def __init__(self, network: Network, side: int) -> None:
        self.spec = network.spec
        self.letterbox = Letterbox.fit((side, side), (side, side))
        self.group = Grouper(self.spec)
        self.peaks = planted_peaks(self.spec, PEOPLE, self.letterbox, K)
        self.maps = planted_heads(self.spec, PEOPLE, (side, side))

    def ours(self, count: int) -> None:
        for _ in range(count):
            self.group(self.peaks)

    def released(self, count: int) -> None:
        for _ in range(count):
            rows = tensor_decode.decode(self.maps, self.spec, K)
            tensor_decode.group(rows, self.spec, self.letterbox, THRESHOLD)


def by_torch(network: Network, device: torch.device, options: argparse.Namespace) -> Outcome:
    made = for_inference(network, options.precision, device)
    after = After(network, options.size)
    found: Outcome = {}
    for batch in dict.fromkeys((1, options.batch)):
        shape = (batch, options.size, options.size, 3)
        images = [images_of(batch, options.size)]
        sparse = [Replayed(PeakNetwork(made, K), shape, device) for _ in range(2)]
        dense = Replayed(DenseNetwork(made), shape, device)
        found[f"{batch} images"] = turns(paths(sparse, dense, after, images, batch), options.seconds)
        if device.type == "cuda":
            found[f"{batch} images"]["allocations in 100 frames"] = allocations(sparse, images)
        del sparse, dense
    return found


def paths(
    sparse: list[Replayed], dense: Replayed, after: After, images: list[np.ndarray], batch: int
) -> dict[str, Callable[[], dict[str, float]]]:
    """Return the ways from images to people, by name."""

    def run(network: Replayed, to_host: bool) -> None:
        network.start(images, to_host=to_host)
        network.finish()

    def ours() -> dict[str, float]:
        steps = ("network and decode", lambda: run(sparse[0], True)), ("grouping", lambda: after.ours(batch))
        return whole(time_steps(*steps), batch)

    def overlapped() -> dict[str, float]:
        begin_s = time.perf_counter()
        sparse[0].start(images)
        rounds = 4
        for turn in range(1, rounds):
            sparse[turn % 2].start(images)
            sparse[(turn - 1) % 2].finish()
            after.ours(batch)
        sparse[(rounds - 1) % 2].finish()
        after.ours(batch)
        return {WHOLE: (time.perf_counter() - begin_s) / (rounds * batch)}

    def dense_only() -> dict[str, float]:
        return whole(time_steps(("network, all heads everywhere", lambda: run(dense, False))), batch)

    def released() -> dict[str, float]:
        steps = (
            ("network, dense maps to the host", lambda: run(dense, True)),
            ("decode, match and group", lambda: after.released(batch)),
        )
        return whole(time_steps(*steps), batch)

    return {"ours": ours, "ours, two on their way": overlapped, "dense": dense_only, "released": released}


def allocations(networks_: list[Replayed], images: list[np.ndarray]) -> int:
    """Return how often PyTorch asked its allocator for GPU memory in 100 frames."""

    def count() -> int:
        return int(torch.cuda.memory_stats()["allocation.all.allocated"])

    before = count()
    for number in range(COUNTED):
        networks_[number % 2].start(images)
        networks_[number % 2].finish()
    return count() - before


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
    load_library(backend)
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


def result_or_reason(work: Callable[[], Any], wrong: list[str]) -> Any:
    """Return the result of `work`, or a sentence that says why there is none.

    A wrong result is added to `wrong`.
    """
    try:
        return work()
    except HprnetError as error:
        return f"not here: {error}"
    except AssertionError as error:
        wrong.append(str(error))
        return f"WRONG: {error}"


def show(name: str, value: Any, indent: int = 0) -> None:
    if isinstance(value, dict) and not set(value) <= {"p50", "p95", "p99"}:
        print(f"{'  ' * indent}{name}")
        for inner_name, inner_value in value.items():
            show(inner_name, inner_value, indent + 1)
    elif isinstance(value, dict):
        shown = "  ".join(f"{key} {ms:.3f} ms" for key, ms in value.items())
        print(f"{'  ' * indent}{name:44} {shown}")
    else:
        print(f"{'  ' * indent}{name}: {value}")


def judge(result: Outcome, batch: int) -> Outcome:
    """Compare the measured times with the goals."""
    one = result["torch"]["1 images"]["ours"][WHOLE]["p50"]
    many = result["torch"][f"{batch} images"]["ours, two on their way"][WHOLE]["p50"]
    measured = dict(zip(GOAL_MS, (one, many), strict=True))
    return {
        name: f"{measured[name]:.3f} ms, goal {goal} ms: {'reached' if measured[name] <= goal else 'missed'}"
        for name, goal in GOAL_MS.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="hprnet-dla34")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="fp16")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="for each batch size (default %(default)s)"
    )
    parser.add_argument("--dry", action="store_true", help="on the CPU, 64 x 64, batch 2, fp32, once")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    if options.dry:
        options.size, options.batch, options.precision, options.seconds = 64, 2, "fp32", 1e-3
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        print(
            f"PyTorch {torch.__version__} has no GPU here ({nvidia().why}); --dry runs on the CPU",
            file=sys.stderr,
        )
        return 1
    device = torch.device("cpu" if options.dry else "cuda")
    info = machine()
    gpus = nvidia()
    info["gpu"] = [gpu.name for gpu in gpus.gpus] or gpus.why
    info["driver"] = gpus.driver
    heading("GPU" if not options.dry else "A dry run on the CPU: no figure here says anything of a GPU", info)
    print(f"GPU: {info['gpu']}, driver {info['driver']}, PyTorch for CUDA {torch.version.cuda}")
    wrong: list[str] = []
    network = networks.random_network(options.model)
    result: Outcome = {"torch": result_or_reason(lambda: by_torch(network, device, options), wrong)}
    show("torch", result["torch"])
    for batch, figures in result["torch"].items() if isinstance(result["torch"], dict) else ():
        if figures.get("allocations in 100 frames"):
            wrong.append(f"{batch}: GPU memory was allocated while frames ran")
    for package in devices.BINDINGS:
        result[package] = result_or_reason(lambda package=package: by_driver(package), wrong)
        show(package, result[package])
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
        os.environ[CACHE_VARIABLE] = folder  # engines of random weights need not be kept
        export = functools.cache(lambda: networks.export_model_file(network, Path(folder), k=K))
        for backend in (spec.name for spec in backend_specs("gpu") if spec.needs_engine("auto")):
            result[backend] = result_or_reason(
                lambda backend=backend: by_tensorrt(backend, export, network, options), wrong
            )
            show(backend, result[backend])
    if device.type == "cuda" and isinstance(result["torch"], dict):
        result["goals"] = judge(result, options.batch)
        show("goals", result["goals"])
    if options.save:
        settings = {name: getattr(options, name) for name in ("model", "size", "batch", "precision", "dry")}
        save(options.save, {"machine": info, "settings": settings, **result})
    for sentence in wrong:
        print(f"WRONG: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
