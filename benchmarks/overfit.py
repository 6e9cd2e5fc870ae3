"""Check that a network can learn: on two images every loss must vanish, and every point must be found.

python benchmarks/overfit.py MODEL ANNOTATIONS IMAGES [--input-px 128] [--steps 500] [--rate 0.001] [--save]

It takes the first two images with one person whose face and hands (and feet, if the network has such a part)
are labelled. It prints each loss before and after, above its least possible value. It also prints how far
decoded points are from their labels, in output cells, above the error that joints in one cell must have if
they share an offset. Batch norms use the statistics of the batch, as in training.

The larger a person, the wider the Gaussians, and the smaller the loss of a peak in a neighbouring cell: its
weight is (1 - 0.92)^4 for a person of 30 cells. hprnet-dla34-baseline, with 133 joints, has peaks there after
2,000 steps at 128 px, and none after 1,200 at 64 px.
"""

import argparse
import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from machine import heading, machine, save

from hprnet_rt.grouping import GroupingOptions, decode_dense
from hprnet_rt.model import create_model
from hprnet_rt.skeleton import KEYPOINT_NAMES, PARTS
from hprnet_rt.spec import SPECS, ModelSpec
from hprnet_rt.training.augment import Letterboxed
from hprnet_rt.training.dataset import WholeBodyDataset
from hprnet_rt.training.losses import HprLoss
from hprnet_rt.training.targets import make_targets

DROPS = (0.7, 0.9)  # shares of the steps after which the rate is divided by 5
FOUND = GroupingOptions(person_threshold=0.1, peak_threshold=0.1)
FALL, REACH = 20.0, 0.5
UNBOUND = ("_confidence", "local")  # their least possible values are above 0, and not known


def of_cells(target: Mapping[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the labelled joints of each cell, as their numbers and their offsets (n, 2) in it."""
    joints = np.argwhere(target["joint_mask"])
    cells, offsets = (target[name][tuple(joints.T)] for name in ("joint_cell", "hp_offset"))
    for cell in np.unique(cells):
        yield joints[cells == cell, 1], offsets[cells == cell]


def least_offset_loss(targets: Sequence[Mapping[str, np.ndarray]], spec: ModelSpec) -> float:
    """Return the least possible loss of hp_offset: in most networks the joints of a cell share one offset."""
    if spec.offset_per_joint:
        return 0.0
    offsets = [own for target in targets for _, own in of_cells(target)]
    left = sum(np.abs(own - np.median(own, axis=0)).sum() for own in offsets)
    return float(left / sum(own.size for own in offsets))


def shared_reach(target: Mapping[str, np.ndarray], spec: ModelSpec) -> np.ndarray:
    """Return the distance (133,) in cells of each label to the farthest label in the same cell.

    It bounds the error that a shared offset causes.
    """
    reach = np.zeros(len(KEYPOINT_NAMES))
    if not spec.offset_per_joint:
        keypoint = np.array(spec.keypoint_of_joint)
        for joints, own in of_cells(target):
            apart = np.hypot(*(own[:, None] - own).transpose(2, 0, 1)).max(axis=1)
            of_person = keypoint[joints] >= 0
            reach[keypoint[joints[of_person]]] = apart[of_person]
    return reach


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", choices=tuple(SPECS))
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--input-px", type=int, default=128)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--save", action="store_true", help="write results/overfit-MODEL.json")
    options = parser.parse_args()
    info = machine()
    heading(f"Over-fit of {options.model}, {options.input_px} px, {options.steps} steps", info)

    torch.manual_seed(0)
    network = create_model(options.model)
    spec = network.spec
    view = Letterboxed((options.input_px, options.input_px))
    samples = WholeBodyDataset.from_files(
        options.annotations, options.images, view, seed=0, with_people_only=True
    )
    every = map(samples.__getitem__, range(len(samples)))
    fitting = (s for s in every if (~s.ignore).sum() == 1 and s.part_valid.all(axis=1).any())
    asked = ((sample, make_targets(sample, spec)) for sample in fitting)
    whole = ((s, t) for s, t in asked if all(t[f"{part.name}_points_mask"].any() for part in spec.parts))
    batch, targets = zip(*itertools.islice(whole, 2), strict=True)
    stacked = {name: torch.from_numpy(np.stack([t[name] for t in targets])) for name in targets[0]}
    images = torch.from_numpy(np.stack([sample.image for sample in batch]))
    loss = HprLoss(spec)
    learning = [p for name, p in network.named_parameters() if not name.startswith(network.unread)]
    optimizer = torch.optim.Adam(learning, lr=options.rate)
    history = []
    started_s = time.perf_counter()
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.rate * 0.2 ** sum(step >= drop * options.steps for drop in DROPS)
        optimizer.zero_grad()
        total, terms = loss(network, images, stacked)
        total.backward()
        if step == 0:
            still = [name for name, p in network.named_parameters() if p.grad is None]
            assert all(name.startswith(network.unread) for name in still), f"no gradient: {still}"
        optimizer.step()
        history.append({name: float(value) for name, value in terms.items()})
    seconds = time.perf_counter() - started_s
    first, last = history[0], history[-1]
    least = dict.fromkeys(first, 0.0)
    least["hp_offset"] = least_offset_loss(targets, spec)
    falls = {name: (first[name] - least[name]) / max(last[name] - least[name], 1e-9) for name in first}
    for name, fall in falls.items():
        floor = f"   over {least[name]:.4f}" if least[name] else ""
        print(f"{name:12} {first[name]:9.4f} -> {last[name]:8.4f}   {fall:8.1f} times{floor}")

    with torch.no_grad():
        heads = {name: maps.numpy() for name, maps in network.dense(images).items()}
    everything = dataclasses.replace(spec, trained=tuple(PARTS))
    worst = 0.0
    found = decode_dense(heads, everything, options=FOUND)
    for sample, target, poses in zip(batch, targets, found, strict=True):
        person = int(np.flatnonzero(~sample.ignore)[0])
        true = sample.xy[person] / spec.stride_px
        error = np.full(len(true), np.inf)
        if len(poses):
            error = np.nan_to_num(np.hypot(*(poses.xy[0] - true).T), nan=np.inf)
        error = np.where(sample.labelled[person], error, 0.0)
        beyond = np.maximum(error - shared_reach(target, spec), 0.0)
        typical = np.median(error[sample.labelled[person]])
        print(
            f"{len(poses)} found; cells off: median {typical:.3f}, most {error.max():.3f} "
            f"({KEYPOINT_NAMES[int(error.argmax())]}); beyond what a shared offset costs: {beyond.max():.3f} "
            f"({KEYPOINT_NAMES[int(beyond.argmax())]})"
        )
        worst = max(worst, float(beyond.max()))
    judged = [fall for name, fall in falls.items() if not name.endswith(UNBOUND)]
    passed = min(judged) >= FALL and worst <= REACH
    print(f"{seconds:.0f} s; {'over-fits' if passed else 'does NOT over-fit'}")
    if options.save:
        how = {"input_px": options.input_px, "steps": options.steps, "rate": options.rate}
        figures = {"seconds": round(seconds), "falls": falls, "worst_cells": worst}
        save(f"overfit-{options.model}", {"machine": info, **how, **figures})
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()
