"""The time to evaluate many people: our OKS with faster-coco-eval's matching, and the libraries alone.

python benchmarks/evaluation.py [--images 5000] [--people 20] [--reference-images 100] [--save]

The set is random people and noisy guesses of them, with all 133 points, written to a temporary folder as
annotations and results in COCO-WholeBody's JSON. Our run is a separate process, and includes reading the
files. The libraries run on the first images only, from memory and with their own OKS; their time for all
images is extrapolated, without reading.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import heading, machine, save

from hprnet_rt.evaluation import PART_TYPES, evaluate, read_annotations, read_results
from hprnet_rt.evaluation.parts import FIELDS

LIBRARIES = ("faster-coco-eval", "pycocotools")


def people(image_id: int, count: int, first: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the true people of an image, each with a noisy guess."""
    rng = np.random.default_rng(image_id)
    for number in range(first, first + count):
        size = rng.uniform(20, 300, 2)
        corner = rng.uniform(0, 600, 2)
        xy = corner + size * rng.random((133, 2))
        labelled = np.where(rng.random((133, 1)) < 0.8, 2, 0)
        box = [*corner.round(1).tolist(), *size.round(1).tolist()]
        common = {"image_id": image_id, "category_id": 1, "bbox": box}
        true = np.concatenate((xy.round(1), labelled), axis=1)
        guess = xy + rng.normal(0, 0.02 * size.max() * rng.random(), xy.shape)
        found = np.concatenate((guess.round(1), rng.random((133, 1)).round(3)), axis=1)
        yield (
            {
                **common,
                "id": number,
                "iscrowd": 0,
                "area": float(0.6 * size.prod()),
                **{field: true[where].reshape(-1).tolist() for field, where in FIELDS.items()},
            },
            {
                **common,
                "score": float(rng.random()),
                **{field: found[where].reshape(-1).tolist() for field, where in FIELDS.items()},
            },
        )


def write_set(folder: Path, images: int, count: int) -> None:
    """Write annotations.json and results.json to the folder."""
    with (folder / "annotations.json").open("w") as truth, (folder / "results.json").open("w") as results:
        truth.write(
            json.dumps({"images": [{"id": i} for i in range(1, images + 1)]})[:-1] + ', "annotations": ['
        )
        results.write("[")
        comma = ""
        for image_id in range(1, images + 1):
            for true, found in people(image_id, count, (image_id - 1) * count + 1):
                truth.write(comma + json.dumps(true))
                results.write(comma + json.dumps(found))
                comma = ",\n"
        truth.write("]}")
        results.write("]")


def ours(folder: Path) -> dict[str, Any]:
    """Evaluate the set, and return the seconds of each step and the largest memory of this process."""
    times_s = [time.perf_counter()]
    truth = read_annotations(folder / "annotations.json")
    times_s.append(time.perf_counter())
    results = read_results(folder / "results.json")
    times_s.append(time.perf_counter())
    by_part = {}
    for part in PART_TYPES:
        start = time.perf_counter()
        evaluate(truth, results, [part])
        by_part[part] = round(time.perf_counter() - start, 2)
    times_s.append(time.perf_counter())
    spent_s = np.diff(times_s).round(2).tolist()
    steps = dict(zip(("annotations", "results", "evaluation"), spent_s, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kiB on Linux
    return {
        "seconds": {**steps, "all": round(times_s[-1] - times_s[0], 2)},
        "seconds_by_part": by_part,
        "peak_gib": round(peak, 2),
    }


def library(name: str) -> tuple[Callable[[], Any], Callable[..., Any]]:
    """Return the classes of a library's data set and evaluator."""
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        from faster_coco_eval.core.coco import COCO
        from faster_coco_eval.core.faster_eval_api import COCOeval_faster as COCOeval
    return COCO, COCOeval


def reference(name: str, images: int, count: int) -> tuple[float, float]:
    """Evaluate all parts of a few images with a library.

    Returns:
        seconds, and the largest difference of its metrics from ours.
    """
    pairs = [pair for i in range(1, images + 1) for pair in people(i, count, (i - 1) * count + 1)]
    listed = [{"id": i} for i in range(1, images + 1)]
    expected = evaluate(
        {"images": listed, "annotations": [true for true, _ in pairs]}, [found for _, found in pairs]
    )
    dataset, evaluator_of = library(name)
    seconds = apart = 0.0
    for part, kind in PART_TYPES.items():
        sides = []
        for side in range(2):
            entries = []
            for n, pair in enumerate(pairs, start=1):
                points = [value for field in kind.fields for value in pair[side][field]]
                labelled = sum(v > 0 for v in points[2::3])
                box = pair[side]["bbox"]
                area = pair[side].get("area", box[2] * box[3])
                entries.append(
                    {**pair[side], "id": n, "keypoints": points, "num_keypoints": labelled, "area": area}
                )
            sides.append(dataset())
            categories = [{"id": 1, "name": "person"}]
            sides[-1].dataset = {"images": listed, "categories": categories, "annotations": entries}
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            for one in sides:
                one.createIndex()
            evaluator = evaluator_of(*sides, "keypoints")
            evaluator.params.kpt_oks_sigmas = kind.sigmas
            evaluator.evaluate()
            evaluator.accumulate()
            seconds += time.perf_counter() - start
            evaluator.summarize()
        got = np.array([np.nan if v is None else v for v in expected[part].values()])
        theirs = np.array(evaluator.stats[:10])
        apart = max(apart, float(np.nanmax(np.abs(np.where(theirs < 0, np.nan, theirs) - got))))
    return seconds, apart


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--people", type=int, default=20, help="in each image")
    parser.add_argument("--reference-images", type=int, default=100, help="for the libraries by themselves")
    parser.add_argument("--save", action="store_true", help="write results/evaluation.json")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # our run, in its own process
    options = parser.parse_args()
    if options.folder is not None:
        print(json.dumps(ours(options.folder)))
        return

    info = machine()
    info["versions"] |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    heading(f"evaluation of {options.images} images with {options.people} people each, all parts", info)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder, options.images, options.people)
        megabytes = {path.name: round(path.stat().st_size / 1e6) for path in folder.iterdir()}
        done = subprocess.run(  # noqa: S603
            [sys.executable, __file__, "--folder", name], stdout=subprocess.PIPE, text=True, check=True
        )
    data: dict[str, Any] = {"machine": info, "images": options.images, "people": options.people}
    data |= {"files_mb": megabytes, "ours": json.loads(done.stdout), "libraries": {}}
    print(f"files          {megabytes}")
    for step, seconds in data["ours"]["seconds"].items():
        print(f"{step:<14} {seconds:8.2f} s")
    print(f"peak memory    {data['ours']['peak_gib']:8.2f} GiB")
    print("by part        " + ", ".join(f"{p} {s} s" for p, s in data["ours"]["seconds_by_part"].items()))
    for library_name in LIBRARIES:
        images = min(options.reference_images, options.images)
        seconds, apart = reference(library_name, images, options.people)
        whole = seconds * options.images / images
        print(
            f"{library_name} by itself: {seconds:.1f} s for {images} images, so about {whole:.0f} s for all; "
            f"numbers differ by at most {apart:.1g}"
        )
        data["libraries"][library_name] = {
            "images": images,
            "seconds": round(seconds, 2),
            "seconds_for_all": round(whole),
            "largest_difference": apart,
        }
    if options.save:
        save("evaluation", data)


if __name__ == "__main__":
    main()
