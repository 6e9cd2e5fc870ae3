"""Imaginary peaks of any network of the family."""

import dataclasses

import numpy as np
import pytest

from hprnet_rt.skeleton import PARTS
from hprnet_rt.spec import HPRNET_MOBILE, ModelSpec, PeakLayout
from tests.specs import ALL_SPECS

K = 32
CELLS = 96


def whole_body(spec: ModelSpec) -> ModelSpec:
    """Return the network with all of its parts trained."""
    return dataclasses.replace(spec, trained=tuple(PARTS))


ALL_TRAINED = whole_body(HPRNET_MOBILE)
BODY_ONLY = dataclasses.replace(HPRNET_MOBILE, trained=("body",))
WHOLE_BODY_SPECS = [whole_body(spec) for spec in ALL_SPECS.values()]
EVERY_NETWORK = pytest.mark.parametrize("spec", WHOLE_BODY_SPECS, ids=list(ALL_SPECS))


def random_peaks(people: int, seed: int, spec: ModelSpec = ALL_TRAINED) -> np.ndarray:
    """Return people anywhere, joints near where they are regressed, parts contested: (K, layout width)."""
    rng = np.random.default_rng(seed)
    layout = PeakLayout.of(spec)
    columns = layout.columns
    packed = np.zeros((K, layout.width), np.float32)
    joints = spec.num_joints
    grid = rng.permutation((CELLS // 4) ** 2)[:K]
    cells = np.stack((grid % (CELLS // 4), grid // (CELLS // 4)), axis=1) * 4
    packed[:people, columns["person_score"]] = np.sort(rng.uniform(0.3, 1, (people, 1)), axis=0)[::-1]
    packed[:, columns["person_cell"]] = cells
    packed[:, columns["person_offset"]] = rng.uniform(0, 1, (K, 2))
    packed[:, columns["person_wh"]] = rng.uniform(8, 60, (K, 2))
    regressed = cells[:, None] + rng.normal(0, 9, (K, joints, 2))
    packed[:, columns["joint_regressed"]] = regressed.reshape(K, -1)
    inside = ((regressed >= 0) & (regressed < CELLS)).all(axis=2)
    packed[:, columns["joint_regressed_score"]] = inside * rng.uniform(0.01, 0.2, (K, joints))
    order = np.array([rng.permutation(K) for _ in range(joints)]).T
    near = np.take_along_axis(regressed, order[..., None], axis=0) + rng.normal(0, 2, (K, joints, 2))
    packed[:, columns["peak_xy"]] = near.reshape(K, -1)
    scores = np.sort(rng.uniform(0, 1, (K, joints)), axis=0)[::-1]
    packed[:, columns["peak_score"]] = scores
    for part in spec.parts:
        for where in ("peak", "regressed"):
            at = columns[f"{part.name}_{where}"]
            packed[:, at] = rng.uniform(0, CELLS, (K, at.stop - at.start))
    for part in spec.parts:
        for where in ("peak", "regressed"):
            if part.size_head:
                packed[:, columns[f"{part.name}_{where}_wh"]] = rng.uniform(-2, 10, (K, 2))
    for field, head in spec.person_fields.items():
        if head not in ("reg", "wh"):
            packed[:, columns[field]] = rng.uniform(0, CELLS, (K, spec.head(head).channels))
    return packed
