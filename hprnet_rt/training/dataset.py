"""COCO-WholeBody as a torch data set of transformed samples, which do not depend on the number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.evaluation.coco import Annotations, read_annotations
from hprnet_rt.training.affine import PART_POINTS
from hprnet_rt.training.images import ImageFiles
from hprnet_rt.training.sample import FloatArray, Sample
from hprnet_rt.training.transform import Transform

__all__ = ["WholeBodyDataset", "loader_workers"]


_TURN = 2  # a stream of random numbers other than those of the first turn and of displacements


def _one_thread(_worker: int) -> None:
    """Limit OpenCV to one thread in a loader worker: the other cores have workers of their own."""
    cv2.setNumThreads(1)


def loader_workers(count: int) -> dict[str, Any]:
    """Return the arguments that give a torch DataLoader `count` worker processes.

    The workers are fresh processes, not forks: a fork inherits the locks of other libraries' threads
    (OpenCV's, for example) but not the threads, and may wait for them forever.
    """
    if count == 0:
        return {"num_workers": 0}
    methods = torch.multiprocessing.get_all_start_methods()
    return {
        "num_workers": count,
        "multiprocessing_context": "forkserver" if "forkserver" in methods else "spawn",
        "worker_init_fn": _one_thread,
        "persistent_workers": True,
    }


class WholeBodyDataset(Dataset[Sample]):
    """Transformed samples of all annotated images, in ascending order of image id.

    Everyone with a labelled point is a person. Crowds and people without a labelled point are ignored. Points
    of a face or hand that is not valid, or has no box, count as unlabelled (the paper, section 3.2).

    The random numbers of a sample depend on (seed, epoch, index) only: not on the workers, nor on what was
    read before. Collate with `collate_fn=list`, or with a function that stacks the targets.

    Args:
        annotations: with a file name for each image.
        folder: the images, or tar files of them; see `ImageFiles`.
        transform: applied to each sample.
        seed: of the random numbers, at least 0.
        with_people_only: leave out images in which nobody is labelled, as the released code does.

    Attributes:
        weights: (N,) float64, how often each image is to be shown, as the annotations say.

    Raises:
        DataError: images are missing or have no name, or nothing is left.
        UsageError: the seed is negative.
    """

    def __init__(
        self,
        annotations: Annotations,
        folder: Path | Sequence[Path],
        transform: Transform,
        *,
        seed: int,
        with_people_only: bool = False,
    ) -> None:
        if seed < 0:
            raise UsageError(f"the seed is at least 0, got {seed}")
        nameless = [n for n, name in enumerate(annotations.file_names) if not name]
        if nameless:
            image_id = annotations.image_ids[nameless[0]]
            raise DataError(f"{annotations.name}: image {image_id} has no file_name")
        box = np.concatenate((annotations.face_box_xywh[:, None], annotations.hand_box_xywh), axis=1)
        valid = annotations.part_valid & (box[..., 2:] > 0).all(axis=2)  # NaN is not above 0
        unusable = np.asarray(~valid @ PART_POINTS) | annotations.crowd[:, None]
        labelled = annotations.labelled & ~unusable
        self._ignore = np.asarray(~labelled.any(axis=1))
        self._valid = valid & ~self._ignore[:, None]
        self._absent = annotations.part_absent & ~valid & ~self._ignore[:, None]
        self._part_box = _xyxy(np.where(self._valid[..., None], box, 0.0))
        self._labelled = labelled
        self._xy = annotations.xy.astype(np.float32)
        self._box = _xyxy(annotations.box_xywh)
        self._first = np.searchsorted(annotations.image, np.arange(len(annotations.image_ids) + 1))
        self._images = np.arange(len(annotations.image_ids))
        if with_people_only:
            self._images = np.unique(annotations.image[~self._ignore])
        if not len(self._images):
            who = " with labelled people" if with_people_only else ""
            raise DataError(f"{annotations.name} has no images{who}")
        self._image_ids = annotations.image_ids
        self._image_hw = annotations.image_hw
        self._file_names = [annotations.file_names[n] for n in self._images]
        self._files = ImageFiles(self._file_names, folder)
        self._transform = transform
        self.weights = annotations.image_weight[self._images]
        self._seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # persistent workers see it change

    @classmethod
    def from_files(
        cls,
        annotations_path: Path,
        folder: Path | Sequence[Path],
        transform: Transform,
        *,
        seed: int,
        with_people_only: bool = False,
    ) -> WholeBodyDataset:
        """Make the data set from a JSON file, also as .gz; the other arguments are those of the class.

        Raises:
            DataError: as for the class, or the file does not hold annotations.
        """
        annotations = read_annotations(annotations_path)
        return cls(annotations, folder, transform, seed=seed, with_people_only=with_people_only)

    def __len__(self) -> int:
        return len(self._images)

    def set_epoch(self, epoch: int) -> None:
        """Use the random numbers of another epoch from now on. Call it between epochs; workers may persist.

        Raises:
            UsageError: the epoch is negative.
        """
        if epoch < 0:
            raise UsageError(f"the epoch is at least 0, got {epoch}")
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index)

    def sample(self, index: int, turn: int = 0) -> Sample:
        """Return the index-th transformed sample; each turn has random numbers of its own."""
        index = range(len(self))[index]
        rng = self.chance(index, _TURN, turn) if turn else self.chance(index)

        def draw() -> Sample:
            return self.read(int(rng.integers(len(self))))

        return self._transform(self.read(index), rng, draw)

    def chance(self, index: int, *use: int) -> np.random.Generator:
        """Return the random generator of the index-th sample in this epoch; each `use` has one of its own."""
        return np.random.default_rng((self._seed, int(self._epoch), index, *use))

    def read(self, index: int) -> Sample:
        """Return the index-th sample before any transform, in px of the image file.

        Raises:
            IndexError: the index is out of range.
            MediaError: the image cannot be read.
            DataError: the image's size is not the one in the annotations.
        """
        index = range(len(self))[index]
        image, n = self._files.read(index), int(self._images[index])
        expected = tuple(self._image_hw[n].tolist())
        if 0 not in expected and image.shape[:2] != expected:
            name, (height, width) = self._file_names[index], image.shape[:2]
            raise DataError(
                f"{name} is {width} x {height} px, the annotations say {expected[1]} x {expected[0]}; "
                "use the images that were annotated"
            )
        people = slice(self._first[n], self._first[n + 1])
        return Sample(
            image_id=int(self._image_ids[n]),
            image=image,
            xy=self._xy[people],
            labelled=self._labelled[people],
            box_xyxy=self._box[people],
            ignore=self._ignore[people],
            part_box_xyxy=self._part_box[people],
            part_valid=self._valid[people],
            part_absent=self._absent[people],
        )


def _xyxy(box_xywh: npt.NDArray[np.float64]) -> FloatArray:
    """Convert boxes (..., 4) from x, y, width, height to corners."""
    corner = box_xywh[..., :2]
    return np.concatenate((corner, corner + box_xywh[..., 2:]), axis=-1).astype(np.float32)
