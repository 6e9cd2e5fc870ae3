"""Validation during training: average precision and pictures, with the weights that would be saved."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from hprnet_rt.errors import OutputError
from hprnet_rt.evaluation import PART_TYPES, Annotations, Evaluation, evaluate
from hprnet_rt.evaluation.matching import library
from hprnet_rt.geometry import Letterbox, input_hw_for
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import PeakNetwork
from hprnet_rt.render import Overlay
from hprnet_rt.spec import PeakLayout
from hprnet_rt.training.images import ImageFiles
from hprnet_rt.types import Peaks, Poses
from hprnet_rt.types.coco import SINGLE_PARTS, to_results

__all__ = ["Validator"]

_LEAST_SCORE = 0.05  # low, because average precision counts weak detections too
_DRAWN_SCORE = 0.3


class Validator:
    """Runs a network over a validation set.

    Args:
        annotations: the true people.
        images: of the annotations, in their order.
        input_px: longer side of the input.
        device: to run the network on.
        stop: when it is set, a validation ends after the current image.

    Raises:
        BackendError: faster-coco-eval is not installed.
    """

    def __init__(
        self,
        annotations: Annotations,
        images: ImageFiles,
        input_px: int,
        device: torch.device,
        stop: threading.Event,
    ) -> None:
        library()  # fail now, not after an epoch whose weights cannot be scored
        self.annotations, self._images = annotations, images
        self._input_px, self._device, self._stop = input_px, device, stop

    def _predict(
        self, network: Network, weights: Mapping[str, Tensor], threshold: float, limit: int | None
    ) -> Iterator[tuple[int, np.ndarray[Any, np.dtype[np.uint8]], Poses]]:
        """Yield the index of each image, the image, and the people found in it with the given weights.

        The network itself does not change. `limit` is the number of images; None for all.
        """
        used = copy.deepcopy(network).eval()
        used.load_state_dict(dict(weights))
        peaks = PeakNetwork(used)  # refines inside
        spec = network.spec
        layout = PeakLayout.of(spec, refined=True)
        group = Grouper(spec, GroupingOptions(person_threshold=threshold))
        count = len(self.annotations.image_ids)
        for index in range(count if limit is None else min(limit, count)):
            if self._stop.is_set():
                return
            image = self._images.read(index)
            hw = image.shape[0], image.shape[1]
            letterbox = Letterbox.fit(hw, input_hw_for(hw, self._input_px, spec.multiple_px))
            with torch.inference_mode():
                batch = torch.from_numpy(letterbox.apply(image)).to(self._device)
                packed = peaks(batch)[0].float().cpu().numpy()
            yield index, image, group(Peaks(packed, layout, letterbox))

    def evaluate(self, network: Network, weights: Mapping[str, Tensor]) -> Evaluation | None:
        """Return the AP of every part that both the annotations and the network have; None if it was stopped.

        Args:
            network: its architecture is used, its weights are not.
            weights: a state dict.
        """
        known = network.spec.trained_keypoints
        parts = [
            part
            for part in SINGLE_PARTS
            if known[PART_TYPES[part].points.start]
            and self.annotations.fields.issuperset(PART_TYPES[part].fields)
        ]
        results = [
            result
            for index, _, poses in self._predict(network, weights, _LEAST_SCORE, None)
            for result in to_results(int(self.annotations.image_ids[index]), poses, parts)
        ]
        if self._stop.is_set():
            return None
        evaluated = [*parts, "whole_body"] if len(parts) == len(SINGLE_PARTS) else parts
        return evaluate(self.annotations, results, evaluated, name="validation")

    def draw(self, network: Network, weights: Mapping[str, Tensor], folder: Path, count: int) -> None:
        """Write the first `count` images into `folder`, which exists, with the people found drawn on them.

        Raises:
            OutputError: an image cannot be written.
        """
        overlay = Overlay()
        for index, image, poses in self._predict(network, weights, _DRAWN_SCORE, count):
            overlay.draw(image, poses)
            stem = Path(self.annotations.file_names[index]).stem
            path = folder / f"{index:03d}-{stem}.jpg"
            if not cv2.imwrite(str(path), image):
                raise OutputError(f"cannot write {path}: is there room on the disk?")
