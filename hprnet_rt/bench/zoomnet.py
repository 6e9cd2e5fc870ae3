"""ZoomNet, the top-down pipeline of the paper's Table 3 and Figure 5, to compare running times with (torch).

Its layers follow the publications; the weights are random. A detector (Faster R-CNN with ResNet-50 and a
feature pyramid) finds people. FeatureNet and BodyNet (HRNet-W32) see a crop of 384 x 288 of each person.
FaceHead and HandHead (HRNetV2-W18) see 64 x 64 cells of FeatureNet's maps around the face and each hand. The
sizes of the crop and of the 64 cells are our interpretation. After the detector all people are one batch. On
a GPU it is treated as HPRNet is: half precision, CUDA graphs, the same joined layers, bytes sent, peaks
returned.

Random weights find nobody, so the crops are the places of the scene's people. Non-maximum suppression is left
out, in ZoomNet's favour. It is written in plain torch, and runs where HPRNet runs: the libraries that have
these networks (timm, torchvision) could not be loaded beside a torch built for CPUs only. The numbers of
parameters agree with the published ones: HRNet-W32 28.5 M, HRNetV2-W18 9.7 M, Faster R-CNN 41.8 M.

Source: Jin et al., "Whole-Body Human Pose Estimation in the Wild" (2020), section 4; Ren et al., "Faster
R-CNN" (2015); Lin et al., "Feature Pyramid Networks for Object Detection" (2017).
"""

from __future__ import annotations

import time
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.backends import Backend, runs_on_gpu
from hprnet_rt.bench.run_like import describe, run_like
from hprnet_rt.bench.scenes import cut_out
from hprnet_rt.model.hrnet import Bottleneck, HeatMapNet, HRNetShape, conv_bn

__all__ = ["FasterRcnn", "ZoomNet", "ZoomNetPipeline"]

_CROP_HW: Final = (384, 288)
_SHORTER_PX: Final = 800
_LONGER_PX: Final = 1333
_PROPOSALS: Final = 1000
_ROI: Final = 7
_CLASSES: Final = 91
_ANCHORS: Final = 3
_PYRAMID: Final = 256
_LAYERS: Final = (3, 4, 6, 3)
_BODY_POINTS: Final = 23
_FACE_POINTS: Final = 68
_HAND_POINTS: Final = 21
_PART_CELLS: Final = 64
_FEATURES: Final = 64
_ON_CPU, _ON_GPU = 16, 128  # people at once
_FACE_AT: Final = (-0.3, -1.0, 0.3, -0.6)  # xyxy in the crop, from -1 to 1
_HANDS_AT: Final = ((-0.9, -0.1, -0.4, 0.2), (0.4, -0.1, 0.9, 0.2))


def _sampled(maps: Tensor, grid: Tensor) -> Tensor:
    """Sample maps at positions of their own type: random weights need no exact positions."""
    return F.grid_sample(maps, grid.to(maps.dtype), align_corners=False)


def _cells(boxes: Tensor, side: int) -> Tensor:
    """Return a grid (N, side, side, 2) of positions in boxes (N, 4) xyxy, from -1 to 1, for `grid_sample`."""
    steps = (torch.arange(side, device=boxes.device) + 0.5) / side
    x = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * steps
    y = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps
    return torch.stack((x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)), dim=-1)


class FasterRcnn(nn.Module):
    """Faster R-CNN: ResNet-50 with a feature pyramid, proposals, and the box head on 1000 of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.levels, inputs = nn.ModuleList(), 64
        for n, blocks in enumerate(_LAYERS):
            width = 64 << n
            strides = [2 if n and not block else 1 for block in range(blocks)]
            level = [Bottleneck(inputs if not b else 4 * width, width, s) for b, s in enumerate(strides)]
            self.levels.append(nn.Sequential(*level))
            inputs = 4 * width
        self.lateral = nn.ModuleList(nn.Conv2d(256 << n, _PYRAMID, 1) for n in range(4))
        self.smooth = nn.ModuleList(nn.Conv2d(_PYRAMID, _PYRAMID, 3, padding=1) for _ in range(4))
        self.propose = nn.Sequential(nn.Conv2d(_PYRAMID, _PYRAMID, 3, padding=1), nn.ReLU(inplace=True))
        self.score = nn.Conv2d(_PYRAMID, _ANCHORS, 1)
        self.shift = nn.Conv2d(_PYRAMID, 4 * _ANCHORS, 1)
        self.box = nn.Sequential(
            nn.Linear(_PYRAMID * _ROI * _ROI, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU()
        )
        self.classes, self.corners = nn.Linear(1024, _CLASSES), nn.Linear(1024, 4 * _CLASSES)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map (1, 3, H, W) to class scores (1000, 91) and boxes (1000, 364)."""
        x, seen = self.stem(image), []
        for level in self.levels:
            x = level(x)
            seen.append(x)
        top = self.lateral[3](seen[3])
        pyramid = [self.smooth[3](top)]
        for n in (2, 1, 0):
            top = self.lateral[n](seen[n]) + F.interpolate(top, size=seen[n].shape[2:])
            pyramid.insert(0, self.smooth[n](top))
        pyramid.append(F.max_pool2d(pyramid[-1], 1, 2))
        scores, shifts = [], []
        for level_map in pyramid:
            hidden = self.propose(level_map)
            scores.append(self.score(hidden).flatten())
            shifts.append(self.shift(hidden).reshape(-1, 4))
        best = torch.cat(scores).topk(_PROPOSALS).indices
        raw = torch.cat(shifts)[best].tanh()
        middle, half = raw[:, :2] * 0.7, raw[:, 2:].abs() * 0.2 + 0.05
        rois = torch.cat((middle - half, middle + half), dim=1)
        chunks = rois.chunk(4)
        parts = [
            _sampled(pyramid[level], _cells(chunks[level], 2 * _ROI).reshape(1, -1, 2 * _ROI, 2))
            for level in range(4)
        ]
        sampled = [part.reshape(_PYRAMID, -1, 2 * _ROI, 2 * _ROI).transpose(0, 1) for part in parts]
        hidden = self.box(F.avg_pool2d(torch.cat(sampled), 2).flatten(1))
        return self.classes(hidden), self.corners(hidden)


class ZoomNet(nn.Module):
    """The networks that run on each person's crop."""

    face_at: Tensor
    hands_at: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = conv_bn(3, _FEATURES, 3, 2), conv_bn(_FEATURES, _FEATURES, 3, 2)
        points = _BODY_POINTS + 3  # and the centres of face and hands
        self.body = HeatMapNet(HRNetShape(32), _FEATURES, points)
        self.face = HeatMapNet(HRNetShape(18), 2 * _FEATURES, _FACE_POINTS, every=True)
        self.register_buffer("face_at", torch.tensor([_FACE_AT]))
        self.register_buffer("hands_at", torch.tensor(_HANDS_AT))
        self.hand = HeatMapNet(HRNetShape(18), 2 * _FEATURES, _HAND_POINTS, every=True)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, 384, 288) to body (N, 26, 96, 72), face (N, 68, 64, 64), hands (2N, 21, 64, 64)."""
        fine = self.fine(crops)
        coarse = self.coarse(fine)
        body = self.body(coarse)
        face = self.face(self._around(fine, coarse, self.face_at, 1))
        hands = self.hand(self._around(fine, coarse, self.hands_at, 2))
        return body, face, hands

    def _around(self, fine: Tensor, coarse: Tensor, boxes: Tensor, count: int) -> Tensor:
        cut = []
        for n in range(count):
            of_everyone = fine.new_zeros(fine.shape[0], 1) + boxes[n : n + 1]
            grid = _cells(of_everyone, _PART_CELLS)
            cut.append(torch.cat([_sampled(feature, grid) for feature in (fine, coarse)], dim=1))
        return torch.cat(cut)


class _Highest(nn.Module):
    """The numbers of the highest cells of a module's heat-maps, found where it runs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        return tuple(maps.flatten(2).argmax(dim=2) for maps in self.module(crops))


class ZoomNetPipeline:
    """Detector, crops, pose networks, and the peaks of the heat-maps.

    Args:
        backend: gives library, device and precision, see `run_like`.
        threads: CPU threads; all cores when None.
        batch: most people at once, to limit the memory; None for 16, or everyone on a GPU.

    Attributes:
        description, note: see `Peer`.
    """

    note = "published shapes"

    def __init__(self, backend: Backend, threads: int | None = None, batch: int | None = None) -> None:
        torch.manual_seed(0)
        self.description = f"{describe(backend)}, random weights"
        self._batch = batch or (_ON_GPU if runs_on_gpu(backend.name) else _ON_CPU)
        self._detector = run_like(FasterRcnn().eval(), backend, threads)
        self._pose = run_like(_Highest(ZoomNet().eval()), backend, threads)

    def __call__(self, image: npt.NDArray[np.uint8], people: int) -> dict[str, float]:
        """Return the seconds by stage for an image (H, W, 3) with this number of people at their `places`."""
        height, width = image.shape[:2]
        started_s = time.perf_counter()
        scale = min(_SHORTER_PX / min(height, width), _LONGER_PX / max(height, width))
        larger = cv2.resize(image, (round(scale * width), round(scale * height)))
        self._detector(np.asarray(larger[None], np.uint8))
        detected_s = time.perf_counter()
        crops = [cv2.resize(crop, _CROP_HW[::-1]) for crop in cut_out(image, people)]
        for first in range(0, len(crops), self._batch):
            self._pose(np.stack(crops[first : first + self._batch]))
        ended_s = time.perf_counter()
        return {
            "detector": detected_s - started_s,
            "pose": ended_s - detected_s,
            "end to end": ended_s - started_s,
        }
