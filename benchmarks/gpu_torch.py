"""What `gpu.py` measures in PyTorch: the ways from images to people, and where the time of a frame goes."""

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from machine import percentiles_ms

from hprnet_rt.backends.torch_cuda import Replayed, for_inference
from hprnet_rt.backends.torch_layers import peak_network
from hprnet_rt.bench import tensor_decode
from hprnet_rt.bench.arithmetic import chip_of, frame_us, layers_of
from hprnet_rt.bench.measure import Limits, take_turns, time_steps
from hprnet_rt.bench.scenes import planted_heads, planted_peaks
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import DenseNetwork

K, PEOPLE = 32, 20
THRESHOLD = GroupingOptions().person_threshold
WHOLE = "end to end"
COUNTED = 100  # frames over which allocations are counted
GROUPS = {
    "deformable": r"deform|sum_parts|grid_sampl",
    "offsets and heat-maps, exact": r"convolve_exactly",
    "NMS and top-K": r"local_peaks|best_peaks|top_?k|sort|radix|max_pool",
    "up-sampling and sums": r"raise_and_add|upsample|conv_transpose|dgrad|deconv",
    "gathers": r"index|gather",
    "copies": r"memcpy|memset|copy_|_to_copy|aten::to$",
    "convolutions and products": r"cudnn|xmma|cutlass|conv|winograd|gemm|sm\d\d_|nchw|nhwc|linear|matmul|mm$",
}
"""Groups of kernels by what is in their names (on a CPU: of PyTorch's operations); the first that fits."""
OTHERS = "small kernels"

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
    module, _ = peak_network(made, options.precision, device, K)
    after = After(network, options.size)
    found: Outcome = {}
    for batch in dict.fromkeys((1, options.batch)):
        shape = (batch, options.size, options.size, 3)
        images = [images_of(batch, options.size)]
        sparse = [Replayed(module, shape, device) for _ in range(2)]
        dense = Replayed(DenseNetwork(module.network), shape, device)
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
        steps = ("network and decode", network), ("grouping", lambda: after.ours(batch))
        return whole(time_steps(*steps), batch)

    def network() -> None:
        sparse[0].start(images)
        after.group.keep_warm()
        sparse[0].finish()

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


def by_kernel(network: Network, device: torch.device, options: argparse.Namespace) -> Outcome:
    """Run frames under PyTorch's profiler, and return the time and the kernels of each group."""
    made = for_inference(network, options.precision, device)
    module, layers = peak_network(made, options.precision, device, K)
    found: Outcome = {"layers": layers.removeprefix(", ") or "PyTorch's own"}
    for batch in dict.fromkeys((1, options.batch)):
        shape = (batch, options.size, options.size, 3)
        replayed, images = Replayed(module, shape, device), [images_of(batch, options.size)]
        frames = 20 if device.type == "cuda" else 1
        found[f"{batch} images"] = grouped(profiled(replayed, images, frames, device), frames * batch)
        busy_ms = found[f"{batch} images"]["all"]["ms a frame"]
        chip = chip_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
        if chip is not None:
            limit, expected = (
                each / batch for each in frame_us(layers_of(options.model, options.size, batch, K), chip)
            )
            found[f"{batch} images"]["by the chip's limits"] = (
                f"{limit / 1e3:.3f} ms a frame at best, {expected / 1e3:.3f} ms expected, "
                f"{busy_ms:.3f} ms measured: {busy_ms * 1e3 / limit:.1f} times the limit"
            )
        del replayed
    return found


def profiled(replayed: Replayed, images: list[np.ndarray], frames: int, device: torch.device) -> list[Any]:
    """Return the events of kernels over a number of runs; on a CPU those of operations."""
    on_gpu = device.type == "cuda"
    kind = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
    for _ in range(3 if on_gpu else 0):
        replayed.start(images)
        replayed.finish()
    with torch.profiler.profile(activities=[kind]) as profile:
        for _ in range(frames):
            replayed.start(images)
            replayed.finish()
    wanted = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
    return [
        each for each in profile.events() if each.device_type == wanted and (on_gpu or not each.cpu_parent)
    ]


def grouped(events: list[Any], frames: int) -> Outcome:
    """Return milliseconds and kernels a frame by group, the most first."""
    took_us: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for each in events:
        group = group_of(each.name)
        took_us[group] += each.time_range.elapsed_us()
        count[group] += 1
    rows = {name: row(us, count[name], frames) for name, us in took_us.most_common()}
    return {"all": row(took_us.total(), count.total(), frames), **rows}


def row(us: float, kernels: int, frames: int) -> Outcome:
    return {"ms a frame": round(us / frames / 1e3, 4), "kernels a frame": round(kernels / frames, 1)}


def group_of(name: str) -> str:
    return next((group for group, words in GROUPS.items() if re.search(words, name.lower())), OTHERS)
