"""Absent parts are taught where the network believes to see them."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils.data import default_collate  # noqa: E402

from hprnet_rt.model import create_model  # noqa: E402
from hprnet_rt.spec import HPRNET_MOBILE as SPEC  # noqa: E402
from hprnet_rt.training.absence import absent_parts  # noqa: E402
from hprnet_rt.training.losses import HprLoss  # noqa: E402
from hprnet_rt.training.targets import make_targets  # noqa: E402
from tests.training.people import sample_of  # noqa: E402

WIDTH = 16
FACE = 0


def person(box=(8, 4, 40, 60), absent=True):
    sample = sample_of([box], size=(64, 64))
    sample = dataclasses.replace(
        sample, image=np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    )
    sample.part_valid[0, FACE] = False
    sample.part_absent[0, FACE] = absent
    return sample


def targets_of(*samples):
    return default_collate([make_targets(sample, SPEC, unlabelled_is_background=False) for sample in samples])


def test_the_strongest_place_in_the_box_is_taken_even_if_one_outside_is_stronger():
    heat = torch.full((1, SPEC.num_joints, WIDTH, WIDTH), -5.0)
    face = SPEC.joint("face_center")
    heat[0, face, 3, 4] = 1.0  # inside of the box: cells 2 to 10 and 1 to 15
    heat[0, face, 3, 14] = 3.0
    asked = {}

    def regressed(head, cells):
        asked.setdefault(head, cells)
        return torch.full((*cells.shape, SPEC.head(head).channels), 0.5)

    found = absent_parts(SPEC, heat, regressed, targets_of(person()))
    face_seen = found["face"]
    assert face_seen.mask[0].tolist() == [True, False, False, False]
    assert float(face_seen.center[0, 0]) == 1.0
    assert int(asked["face_lms"][0, 0]) == 3 * WIDTH + 4
    assert face_seen.points[0, 0].unique(dim=0).tolist() == [[4.5, 3.5]]
    assert not found["left_hand"].mask.any()


def test_absence_lowers_the_confidence_and_the_score_where_there_was_one():
    """Without a word about the face nothing is learned about it."""
    torch.manual_seed(0)
    network = create_model("hprnet-mobile")
    loss = HprLoss(SPEC, labels="parts")
    images = torch.from_numpy(person().image[None])
    face = SPEC.joint("face_center")
    with torch.no_grad():
        network.head("hm_hp").last[-1].bias[face - len(SPEC.joints)] = 1.0  # it sees faces everywhere
    _, unknown = loss(network, images, targets_of(person(absent=False)))
    assert float(unknown["face_absent"]) == 0
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    absent = targets_of(person())
    terms, scores = [], []
    for _ in range(12):
        optimizer.zero_grad()
        total, losses = loss(network, images, absent)
        total.backward()
        optimizer.step()
        terms.append(float(losses["face_absent"]))
        with torch.no_grad():
            scores.append(float(network.dense(images)["hm_hp"][0, face].sigmoid().max()))
    assert terms[-1] < 0.5 * terms[0]
    assert scores[-1] < 0.8 * scores[0]
