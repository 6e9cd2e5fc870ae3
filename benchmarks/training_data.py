"""The rate of training samples (read, decode, augment, targets), in one process and with loader workers.

    python benchmarks/training_data.py ANNOTATIONS IMAGES [--input 512] [--workers 1 2] [--seconds 5] [--save]

"targets" is what feed = "loader" gives a network: strong samples and their targets. "device" is
feed = "device", which makes the same in batches of 32 with all cores, or on a GPU where there is one.

IMAGES is a folder of images or of tar files, or one tar file. Each figure is the best of three runs.
"""

import argparse
import importlib.metadata
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import torch
from torch.utils.data import DataLoader

from hprnet_rt.evaluation import read_annotations
from hprnet_rt.spec import HPRNET_MOBILE
from hprnet_rt.training.augment import Letterboxed, PaperAugmentation, StrongAugmentation, Transform
from hprnet_rt.training.batches import TargetSets
from hprnet_rt.training.config import TrainConfig
from hprnet_rt.training.dataset import WholeBodyDataset, loader_workers
from hprnet_rt.training.feed import DeviceFeed, Store
from hprnet_rt.training.sample import Sample

RUNS = 3
BATCH = 32


def unchanged(sample, rng, draw=None):  # noqa: ARG001
    return sample


def images_per_s(samples: Iterator[Any], seconds: float) -> float:
    """Return the rate of an endless iterator, the best of some runs; the first sample is not timed."""
    next(samples)
    best = 0.0
    for _ in range(RUNS):
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            next(samples)
            count += 1
        best = max(best, count / (time.perf_counter() - start))
    return round(best, 1)


def alone(dataset: WholeBodyDataset | TargetSets) -> Iterator[Any]:
    while True:
        for index in range(len(dataset)):
            yield dataset[index]


def loaded(dataset: WholeBodyDataset, workers: int) -> Iterator[Sample]:
    loader = DataLoader(dataset, batch_size=16, collate_fn=list, shuffle=True, **loader_workers(workers))
    while True:
        for batch in loader:
            yield from batch


def of_device(config: TrainConfig, samples: WholeBodyDataset) -> Iterator[None]:
    """Make batches on the device, and yield once for each image in them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    store = Store.load([(samples, False)], config.input_px, device)
    feed = DeviceFeed(
        store, torch.ones(len(store)), HPRNET_MOBILE, side=config.input_px, batch=BATCH, labels="parts"
    )
    seed = 0
    while True:
        batch = feed.make(seed)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seed += 1
        yield from [None] * len(batch["image"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--input", type=int, default=512, help="side of the network's input in px")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="numbers of loader processes")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of three runs")
    parser.add_argument("--save", action="store_true", help="write results/training-data.json")
    options = parser.parse_args()
    hw = (options.input, options.input)
    transforms: dict[str, Transform] = {
        "decoded": unchanged,
        "letterboxed": Letterboxed(hw),
        "paper": PaperAugmentation(options.input),
        "strong": StrongAugmentation(hw),
    }
    info = machine.machine()
    info["versions"]["torch"] = importlib.metadata.version("torch")
    machine.heading("Training samples, images/s", info)
    start = time.perf_counter()
    annotations = read_annotations(options.annotations)
    opened = time.perf_counter()
    WholeBodyDataset(annotations, options.images, unchanged, seed=0)
    indexed = time.perf_counter()
    read_s, index_s = opened - start, indexed - opened
    print(f"{len(annotations.image_ids)} images: annotations {read_s:.2f} s, files {index_s:.2f} s")
    columns = ["one process", *(f"{n} worker{'s' * (n > 1)}" for n in options.workers)]
    print(f"{'':12}", *(f"{name:>12}" for name in columns))
    rates: dict[str, dict[str, float]] = {}
    for name, transform in transforms.items():
        dataset = WholeBodyDataset(annotations, options.images, transform, seed=0)
        ways = [alone(dataset), *(loaded(dataset, workers) for workers in options.workers)]
        rates[name] = {
            column: images_per_s(way, options.seconds) for column, way in zip(columns, ways, strict=True)
        }
        print(f"{name:12}", *(f"{rate:12.1f}" for rate in rates[name].values()), flush=True)
    config = TrainConfig(model=HPRNET_MOBILE.name, input_px=options.input)
    strong = WholeBodyDataset(
        annotations, options.images, StrongAugmentation(hw), seed=0, with_people_only=True
    )
    targets = TargetSets([strong], [False], config)
    rates["targets"] = {columns[0]: images_per_s(alone(targets), options.seconds)}
    rates["device"] = {columns[0]: images_per_s(of_device(config, strong), options.seconds)}
    for name in ("targets", "device"):
        print(f"{name:12} {rates[name][columns[0]]:12.1f}", flush=True)
    if options.save:
        data = {
            "machine": info,
            "images": len(annotations.image_ids),
            "input_px": options.input,
            "images_per_s": rates,
        }
        machine.save("training-data", data)


if __name__ == "__main__":
    main()
