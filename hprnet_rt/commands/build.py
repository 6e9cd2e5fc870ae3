"""`hprnet-rt build`: build an engine for one library ahead of time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from hprnet_rt.backends.registry import INT8
from hprnet_rt.building import BUILD_BACKENDS, BUILD_PRECISIONS, BuildPlan, build
from hprnet_rt.commands.console import DONE, AddParser, show_progress_of
from hprnet_rt.commands.options import add_k_option
from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import KEEP
from hprnet_rt.zoo import model_file_for

__all__ = ["add_parser"]


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Build an engine from a model file. TensorRT-RTX builds for other machines' GPUs "
        "and needs none itself. A JSON beside the engine describes it.",
    )
    job.add_argument("model", metavar="MODEL", help="a name that `hprnet-rt models` lists, or an .onnx file")
    job.add_argument("--weights", type=Path, metavar="FILE", help="a checkpoint (.pth) of MODEL")
    add_k_option(job)
    job.add_argument("--backend", required=True, help=", ".join(BUILD_BACKENDS))
    job.add_argument(
        "--precision",
        help=f"of the network: {', '.join(BUILD_PRECISIONS)}; positions are always fp32 (default fp16; fp32 "
        "for openvino, which alone takes int8: calibrated with frames, refused if people or points move)",
    )
    job.add_argument(
        "--size",
        help=f"WIDTHxHEIGHT, a number of pixels for a square, or {KEEP} for pictures of any size (default: "
        "the network's own, square)",
    )
    job.add_argument(
        "--batch", default="1", help="images at a time, or 1:8 for a range (default %(default)s)"
    )
    job.add_argument(
        "--gpu", default="", metavar="KINDS", help="TensorRT-RTX: sm86,sm89,... (default: Ampere and later)"
    )
    job.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILES",
        help="for int8: a video or a folder of images, of many people and places like those that it will see",
    )
    job.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="(default: in the cache folder)")
    job.add_argument("--overwrite", action="store_true", help="build it again even if it exists")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    if not options.quiet:
        show_progress_of("hprnet_rt.zoo.weights")  # a conversion takes a while
    model_file = model_file_for(options.model, options.weights, k=options.k)
    usual = "fp32" if options.backend == "openvino" else BUILD_PRECISIONS[0]
    if options.calibrate is not None and options.precision != INT8:
        raise UsageError(f"--calibrate is for --precision {INT8}")
    plan = BuildPlan.parse(
        model_file.spec,
        backend=options.backend,
        precision=options.precision or usual,
        size=options.size,
        batch=options.batch,
        gpu=options.gpu,
    )
    bar: tqdm[None] = tqdm(
        unit=" steps",
        file=sys.stderr,
        disable=options.quiet or None,  # None: only on a terminal
        dynamic_ncols=True,
        leave=False,
    )

    def progress(phase: str, done: int, steps: int) -> None:
        bar.total = steps
        bar.set_description(phase, refresh=False)
        bar.update(done - bar.n)

    with bar:
        made = build(
            model_file,
            plan,
            options.out,
            calibrate=options.calibrate,
            overwrite=options.overwrite,
            progress=progress,
        )
    if not options.quiet:
        how = f"built in {made.seconds:.1f} s" if made.fresh else "already there"
        print(f"{made.path} ({made.path.stat().st_size / 1e6:.1f} MB, {how})")
    return DONE
