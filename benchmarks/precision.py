"""The accuracy and the time of each precision.

python benchmarks/precision.py ANNOTATIONS IMAGES --calibrate FILES [--model NAME] [--save]

If the network has weights on this machine: average precision against the annotations, and how far people and
points move from those in fp32, in pixels of the network's input. The precisions are OpenVINO's fp32, bf16 and
int8, and the fp16 and bf16 graphs that `hprnet-rt build` makes for GPUs. The latter run in ONNX Runtime,
rounded as on a GPU; their times are not measured. If it has no weights, or with --untrained: how its peaks
move, on a few images. (Fresh weights give flat maps, in which rounding chooses among equal peaks.) Images are
placed in a square. Int8 is calibrated with a video or folder of images that are not among IMAGES.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from machine import heading, machine, percentiles_ms, save
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

from hprnet_rt import graph
from hprnet_rt.backends import ModelFile, create_backend
from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.bench.measure import Limits, take_turns
from hprnet_rt.bench.subject import open_subject
from hprnet_rt.building import BuildPlan
from hprnet_rt.building.calibration import calibration_inputs
from hprnet_rt.building.int8 import INT8_BOUND, quantise
from hprnet_rt.building.make import recipe_of
from hprnet_rt.evaluation import Annotations, evaluate, movement, read_annotations, to_results
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.spec import PeakLayout
from hprnet_rt.types import Peaks, Poses

LEAST_SCORE = 0.05  # of people; low, because average precision counts weak detections too
PARTS = ("body", "foot", "face", "hand", "whole_body")
FEW = 8  # number of images if weights are not trained
STRONG = 10  # number of a joint's strongest peaks that are compared

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


def openvino_runs(model_file: ModelFile, int8: BuiltEngine, side: int, threads: int | None) -> dict[str, Run]:
    """Return the network on OpenVINO in each precision; "int8, fp32" is what a CPU without bf16 computes."""
    sure = {
        "bf16": dataclasses.replace(model_file, bf16=True),
        "fp32": dataclasses.replace(model_file, bf16=False),
    }

    def made(precision: str, rest: str) -> Run:
        return create_backend(
            sure[rest],
            (side, side),
            backend="openvino",
            precision=precision,
            threads=threads,
            find_engine=lambda *_, **__: int8,
        ).run

    return {
        "openvino fp32": made("fp32", "fp32"),
        "openvino bf16": made("bf16", "bf16"),
        "openvino int8, bf16": made("int8", "bf16"),
        "openvino int8, fp32": made("int8", "fp32"),
    }


def timing(run: Run, images: npt.NDArray[np.uint8]) -> Callable[[], dict[str, float]]:
    """Return a task that measures the wall time of a run, and the processor time of all cores.

    On a shared machine the processor time is the more reliable one.
    """

    def task() -> dict[str, float]:
        wall, cores = time.perf_counter(), time.process_time()
        run(images)
        return {"wall": time.perf_counter() - wall, "cores": time.process_time() - cores}

    return task


def rounded_run(model_file: ModelFile, precision: str) -> Run:
    """Return a run of the graph for GPUs, with rounding as on a GPU."""
    options = SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC
    model = graph.rounded(graph.engine_graph(model_file.path, precision)).SerializeToString()
    session = InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def accuracy(truth: Annotations, people: list[Poses]) -> dict[str, float]:
    """Return the average precision of each part, in percent."""
    results = [
        found
        for image, poses in zip(truth.image_ids, people, strict=True)
        for found in to_results(int(image), poses)
    ]
    scores = evaluate(truth, results).scores
    return {part: round(100 * scores[part]["AP"], 1) for part in PARTS if part in scores}


def peaks_moved(
    expected: list[npt.NDArray[np.float32]], found: list[npt.NDArray[np.float32]], layout: PeakLayout
) -> dict[str, float]:
    """Return how many of the strongest peaks are the same, and how far the regressed joints move."""
    columns = layout.columns
    same_joint, same_person, away = [], [], []
    for first, second in zip(expected, found, strict=True):
        strong = [each[:, columns["peak_xy"]].reshape(len(each), -1, 2)[:STRONG] for each in (first, second)]
        near = np.abs(strong[0][:, None] - strong[1][None]).max(axis=3) < 1  # (first, second, joint)
        same_joint.append(near.any(axis=1).mean())
        cells = [each[:STRONG, columns["person_cell"]] for each in (first, second)]
        same = (cells[0][:, None] == cells[1][None]).all(axis=2)
        same_person.append(same.any(axis=1).mean())
        rows, others = np.nonzero(same)
        regressed = columns["joint_regressed"]
        away.append(np.abs(first[rows][:, regressed] - second[others][:, regressed]).ravel())
    cells_away = np.concatenate(away)
    return {
        "same_joint_peaks": round(float(np.mean(same_joint)), 4),
        "same_person_cells": round(float(np.mean(same_person)), 4),
        "regressed_median_cells": round(float(np.median(cells_away)), 4) if len(cells_away) else float("nan"),
        "regressed_p99_cells": round(float(np.quantile(cells_away, 0.99)), 4)
        if len(cells_away)
        else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path, help="their folder")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="FILES")
    parser.add_argument("--frames", type=int, default=96, help="to calibrate with (default %(default)s)")
    parser.add_argument("--model", default="hprnet-mobile")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, help="side of the input (default: the network's own)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="for the times (default %(default)s)")
    parser.add_argument("--untrained", action="store_true", help="MODEL's weights find nobody")
    parser.add_argument("--no-graphs", action="store_true", help="OpenVINO only")
    parser.add_argument("--save", action="store_true", help="write results/precision-MODEL.json")
    options = parser.parse_args()
    info = machine()
    heading(f"precisions of {options.model}", info)
    with open_subject(options.model, options.weights) as network, tempfile.TemporaryDirectory() as folder:
        model_file, untrained = network.model_file, network.random or options.untrained
        side = options.size or model_file.spec.input_px
        made = quantise(model_file, calibration_inputs(options.calibrate, side, options.frames))
        int8 = Path(folder) / "int8.xml"
        import openvino  # after hprnet_rt

        openvino.save_model(made.model, int8, compress_to_fp16=False)
        print(f"int8: {made.int8} of {made.layers} convolutions before the decode", flush=True)
        plan = BuildPlan.parse(model_file.spec, backend="openvino", precision="int8")
        timed = openvino_runs(
            model_file, BuiltEngine(int8, recipe_of(model_file, plan, None)), side, options.threads
        )
        runs = dict(timed)
        if not options.no_graphs:
            runs |= {f"graph {each}": rounded_run(model_file, each) for each in ("fp16", "bf16")}
        truth = read_annotations(options.annotations)
        names = truth.file_names[:FEW] if untrained else truth.file_names
        letterboxes, inputs = [], []
        for name in names:
            image = cv2.imread(str(options.images / name))
            letterboxes.append(Letterbox.fit(image.shape[:2], (side, side)))
            inputs.append(letterboxes[-1].apply(image))
        turns = take_turns(
            {name: timing(run, inputs[0]) for name, run in timed.items()}, Limits(seconds=options.seconds)
        )
        data: dict[str, Any] = {
            "machine": info,
            "model": model_file.spec.name,
            "untrained": untrained,
            "size": side,
            "images": len(inputs),
            "int8": {"layers": made.int8, "of": made.layers, "frames": options.frames},
            "bound": dataclasses.asdict(INT8_BOUND),
            "precisions": {},
        }
        layout = PeakLayout.of(model_file.spec)
        group = Grouper(model_file.spec, GroupingOptions(person_threshold=LEAST_SCORE))
        reference: list[Any] = []
        for name, run in runs.items():
            row: dict[str, Any] = {}
            if name in timed:
                row["ms"] = percentiles_ms(turns[name]["wall"])
                row["core_ms"] = percentiles_ms(turns[name]["cores"])
            packed = [run(each)[0] for each in inputs]
            if untrained:
                reference = reference or packed
                row["moved"] = peaks_moved(reference, packed, layout)
            else:
                pairs = zip(packed, letterboxes, strict=True)
                people = [group(Peaks(each, layout, letterbox)) for each, letterbox in pairs]
                reference = reference or people
                scales = [each.inner_hw[1] / each.image_hw[1] for each in letterboxes]
                row |= {
                    "AP": accuracy(truth, people),
                    "moved": movement(reference, people, scales).to_dict(),
                }
            data["precisions"][name] = row
            print(name, row, flush=True)
    if options.save:
        save(f"precision-{model_file.spec.name}", data)


if __name__ == "__main__":
    main()
