"""All measurements that need a GPU, in one run of two minutes; `make gpu` runs it with everything else.

    python benchmarks/gpu.py [--profile] [--only SECTION]... [--model hprnet-dla34] [--save NAME]
    python benchmarks/gpu.py --dry     # a small run of every section on the CPU, to test the script

torch: a network with random weights, fp16, as CUDA graphs. "ours": sparse heads, decoding on the GPU, K peaks
    copied to the host, grouping. "dense": all heads on the whole map, on the GPU alone. "released": dense
    maps copied to the host, decoded and matched there as tensors, people assembled in Python. They take
    turns. The stages after the network run on 20 planted people, because the weights are random. Latency
    with one image, and seconds a frame with a batch; "ours" also with two batches in flight. No allocation
    per frame, by PyTorch's counters.
profile: (with --profile or --only) the time of a frame by groups of kernels, kernels a frame, and the
    distance to what the chip's limits allow; docs/gpu.md has the arithmetic by layer.
pipeline: `annotate` of a video in 1080p with torch-cuda, each stage's time beside the whole's.
pycuda, cuda.bindings: buffers, streams, events and graphs; the data that come back are compared.
tensorrt, tensorrt-rtx: whether an engine that is built here runs here, whether its peaks are those of PyTorch
    in float32, and its time.

Each section's figures are written as soon as it has ended (--save NAME), and one that fails leaves the
others alone. If a measurement is not possible here, a sentence says why. The exit code is 1 if a section
failed, or its result is wrong.
"""

import argparse
import functools
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from gpu_engines import by_annotate, by_driver, by_tensorrt
from gpu_torch import WHOLE, K, by_kernel, by_torch
from machine import heading, machine, save

from hprnet_rt.backends.registry import backend_specs
from hprnet_rt.backends.trt import device as devices
from hprnet_rt.bench import networks
from hprnet_rt.bench.arithmetic import CHIPS, chip_of, layers_of, table_of
from hprnet_rt.environment import CACHE_VARIABLE, cache_folder
from hprnet_rt.errors import HprnetError
from hprnet_rt.machine import nvidia

GOAL_MS = {"latency": 1.0, "a frame of a batch": 0.3}
PROFILE = "profile"
MOST_SECONDS = 120.0  # after the imports; a section that would begin later is left out

Outcome = dict[str, Any]
Sections = dict[str, Callable[[], Any]]


def sections_of(options: argparse.Namespace, device: torch.device, folder: Path) -> Sections:
    """Return what can be measured, by name, in order."""
    network = networks.random_network(options.model)
    export = functools.cache(lambda: networks.export_model_file(network, folder, k=K))
    sections: Sections = {
        "torch": lambda: by_torch(network, device, options),
        PROFILE: lambda: by_kernel(network, device, options),
        "pipeline": lambda: by_annotate(options),
    }
    for package in devices.BINDINGS:
        sections[package] = functools.partial(by_driver, package)
    for spec in backend_specs("gpu"):
        if spec.needs_engine("auto"):
            sections[spec.name] = functools.partial(by_tensorrt, spec.name, export, network, options)
    return sections


def result_or_reason(work: Callable[[], Any], wrong: list[str]) -> Any:
    """Return the result of `work`, or a sentence that says why there is none.

    What is wrong, or has failed, is added to `wrong`.
    """
    try:
        return work()
    except HprnetError as error:
        return f"not here: {error}"
    except AssertionError as error:
        wrong.append(str(error))
        return f"WRONG: {error}"
    except Exception as error:  # of any library: the other sections are not to suffer from it
        at = traceback.extract_tb(error.__traceback__)[-1]
        sentence = (
            f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(at.filename).name}:{at.lineno})"
        )
        wrong.append(sentence)
        return f"FAILED: {sentence}"


def measure(
    sections: Sections, keep: Callable[[Outcome], None], wrong: list[str], most_s: float = MOST_SECONDS
) -> Outcome:
    """Run the sections one after the other; `keep` gets all results after each."""
    result: Outcome = {}
    begin_s = time.perf_counter()
    for name, section in sections.items():
        late = time.perf_counter() - begin_s > most_s
        result[name] = f"left out: {most_s:.0f} s are over" if late else result_or_reason(section, wrong)
        show(name, result[name])
        keep(result)
    return result


def show(name: str, value: Any, indent: int = 0) -> None:
    if isinstance(value, dict) and not set(value) <= {"p50", "p95", "p99", "ms a frame", "kernels a frame"}:
        print(f"{'  ' * indent}{name}")
        for inner_name, inner_value in value.items():
            show(inner_name, inner_value, indent + 1)
    elif isinstance(value, dict):
        units = {"p50": " ms", "p95": " ms", "p99": " ms"}
        shown = "  ".join(f"{key} {number:.3f}{units.get(key, '')}" for key, number in value.items())
        print(f"{'  ' * indent}{name:44} {shown}")
    else:
        print(f"{'  ' * indent}{name}: {value}", flush=True)


def judge(measured: Mapping[str, Any], batch: int) -> Outcome:
    """Compare the measured times with the goals."""
    one = measured["1 images"]["ours"][WHOLE]["p50"]
    many = measured[f"{batch} images"]["ours, two on their way"][WHOLE]["p50"]
    found = dict(zip(GOAL_MS, (one, many), strict=True))
    return {
        name: f"{found[name]:.3f} ms, goal {goal} ms: {'reached' if found[name] <= goal else 'missed'}"
        for name, goal in GOAL_MS.items()
    }


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = ("torch", PROFILE, "pipeline", *devices.BINDINGS)
    names += tuple(spec.name for spec in backend_specs("gpu") if spec.needs_engine("auto"))
    parser.add_argument("--only", action="append", choices=names, metavar="SECTION", help=", ".join(names))
    parser.add_argument("--profile", action="store_true", help="the section profile too")
    parser.add_argument(
        "--arithmetic", action="store_true", help="print what each layer costs by the chip's limits, and end"
    )
    parser.add_argument("--model", default="hprnet-dla34")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="fp16")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="for each batch size (default %(default)s)"
    )
    parser.add_argument("--dry", action="store_true", help="on the CPU, 64 x 64, batch 2, fp32, once")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args(arguments)
    if options.dry:
        options.size, options.batch, options.precision, options.seconds = 64, 2, "fp32", 1e-3
    return options


def main(arguments: list[str] | None = None) -> int:
    options = options_of(arguments)
    if options.arithmetic:
        chip = (chip_of(torch.cuda.get_device_name()) if torch.cuda.is_available() else None) or CHIPS[0]
        print(f"{options.model} at {options.size}, one image, {chip.name}\n")
        print(table_of(layers_of(options.model, options.size, 1, K), chip))
        return 0
    if options.dry:
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        why = nvidia().why
        print(f"PyTorch {torch.__version__} has no GPU here ({why}); --dry runs on the CPU", file=sys.stderr)
        return 1
    device = torch.device("cpu" if options.dry else "cuda")
    info, gpus = machine(), nvidia()
    info["gpu"], info["driver"] = [gpu.name for gpu in gpus.gpus] or gpus.why, gpus.driver
    heading("GPU" if not options.dry else "A dry run on the CPU: no figure here says anything of a GPU", info)
    print(f"GPU: {info['gpu']}, driver {info['driver']}, PyTorch for CUDA {torch.version.cuda}")
    settings = {name: getattr(options, name) for name in ("model", "size", "batch", "precision", "dry")}
    wrong: list[str] = []

    def keep(result: Outcome) -> None:
        if options.save:
            save(options.save, {"machine": info, "settings": settings, **result})

    with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
        os.environ.setdefault("TRITON_CACHE_DIR", str(cache_folder() / "triton"))  # those kernels are kept
        os.environ[CACHE_VARIABLE] = folder  # engines of random weights need not be
        sections = sections_of(options, device, Path(folder))
        wanted = options.only or [
            name for name in sections if options.profile or options.dry or name != PROFILE
        ]
        most_s = math.inf if options.dry else MOST_SECONDS
        result = measure({name: sections[name] for name in sections if name in wanted}, keep, wrong, most_s)
    measured = result.get("torch")
    if isinstance(measured, dict):
        for batch, figures in measured.items():
            if figures.get("allocations in 100 frames"):
                wrong.append(f"{batch}: GPU memory was allocated while frames ran")
        if device.type == "cuda":
            result["goals"] = judge(measured, options.batch)
            show("goals", result["goals"])
            keep(result)
    for sentence in wrong:
        print(f"WRONG: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
