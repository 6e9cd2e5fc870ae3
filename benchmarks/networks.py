"""Every network: its cost, dense heads against sparse ones, and the forms of deformable convolution.

    python benchmarks/networks.py [NAME ...] [--size PX] [--rounds 7] [--torch] [--save]

Weights are random, offsets of deformable convolutions about a cell. "sparse" is what this project runs: two
heat-maps everywhere, all other heads at the peaks, decode in the graph. "dense" is what the released code
runs: every head everywhere, maps to the host, no decode counted. All variants of a network and backend take
turns in one run, so that the ratio stands where the machine drifts. Needs the extra `train`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from machine import heading, machine, percentiles_ms, save
from torch.utils.flop_counter import FlopCounterMode

from hprnet_rt.backends.openvino import reader
from hprnet_rt.heads import SPECS
from hprnet_rt.model import create_model, export_onnx
from hprnet_rt.model.deform import DeformConv, has_deform_conv
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import DenseNetwork, PeakNetwork

Run = Callable[[np.ndarray], Any]


def random_network(name: str) -> Network:
    """Random weights; a fresh network's offsets are all 0, which no trained one's are."""
    torch.manual_seed(0)
    network = create_model(name).eval()
    for module in network.modules():
        if isinstance(module, DeformConv):
            torch.nn.init.kaiming_normal_(module.conv_offset_mask.weight, nonlinearity="linear")
    return network


def gmac(module: torch.nn.Module, side: int) -> float:
    """1e9 multiply-accumulates of a square input."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        module(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    return counter.get_total_flops() / 2e9


def with_onnxruntime(path: Path, side: int, threads: int) -> Run:
    del side
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})


def with_openvino(precision: str) -> Callable[[Path, int, int], Run]:
    def load(path: Path, side: int, threads: int) -> Run:
        core = reader()
        model = core.read_model(path)
        model.reshape({0: [1, side, side, 3]})
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        compiled = core.compile_model(model, "CPU", options)
        return lambda images: compiled([images])

    return load


def with_torch(module: torch.nn.Module) -> Run:
    def run(images: np.ndarray) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(images))

    return run


def taking_turns(runs: dict[str, Run], images: np.ndarray, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each variant; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(images)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: percentiles_ms(values) for name, values in seconds.items()}


def show(backend: str, times: dict[str, dict[str, float]]) -> None:
    for variant, ms in times.items():
        ratio = ms["p50"] / times["sparse"]["p50"]
        print(
            f"  {backend:<14}{variant:<22}{ms['p50']:9.1f}{ms['p95']:9.1f}{ms['p99']:9.1f}{ratio:9.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(SPECS)} (default: all)")
    parser.add_argument("--size", type=int, help="side of the square input (default: the network's own)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--torch", action="store_true", help="also PyTorch itself, which is slow on a CPU")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/networks-cpu.json")
    options = parser.parse_args()
    unknown = set(options.names) - set(SPECS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; use: {', '.join(SPECS)}")
    info = machine()
    info["versions"]["torch"] = torch.__version__
    heading(f"Networks, {options.threads} threads", info)
    torch.set_num_threads(options.threads)
    loaders = {
        "onnxruntime": with_onnxruntime,
        "openvino fp32": with_openvino("f32"),
        "openvino bf16": with_openvino("bf16"),
    }
    results = []
    for name in options.names or SPECS:
        network = random_network(name)
        side = options.size or network.spec.input_px
        with torch.device("meta"):
            shadow = create_model(name).eval()
        costs = {"sparse": gmac(PeakNetwork(shadow), side), "dense": gmac(DenseNetwork(shadow), side)}
        parameters = sum(parameter.numel() for parameter in network.parameters())
        print(
            f"\n{name} at {side} x {side}: {parameters / 1e6:.2f} M parameters, {costs['sparse']:.2f} GMAC "
            f"sparse, {costs['dense']:.2f} dense\n"
            f"  {'backend':<14}{'variant':<22}{'p50 ms':>9}{'p95':>9}{'p99':>9}{'/ sparse':>9}"
        )
        images = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        times: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            files = {"sparse": Path(folder) / "sparse.onnx", "dense": Path(folder) / "dense.onnx"}
            export_onnx(network, files["sparse"])
            export_onnx(network, files["dense"], dense=True)
            if has_deform_conv(network):
                files["sparse, grid_sample"] = Path(folder) / "sampled.onnx"
                export_onnx(network, files["sparse, grid_sample"], deform="grid_sample")
            for backend, load in loaders.items():
                runs = {variant: load(path, side, options.threads) for variant, path in files.items()}
                times[backend] = taking_turns(runs, images, options.rounds)
                show(backend, times[backend])
                del runs
        if options.torch:
            modules = {"sparse": PeakNetwork(network), "dense": DenseNetwork(network)}
            runs = {variant: with_torch(module) for variant, module in modules.items()}
            times["torch"] = taking_turns(runs, images, options.rounds)
            show("torch", times["torch"])
        results.append(
            {
                "name": name,
                "side_px": side,
                "parameters": parameters,
                "gmac": {variant: round(value, 2) for variant, value in costs.items()},
                "threads": options.threads,
                "times_ms": times,
            }
        )
    if options.save:
        save("networks-cpu", {"machine": info, "networks": results})


if __name__ == "__main__":
    main()
