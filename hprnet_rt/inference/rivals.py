"""A rival's network as a `PoseModel`: its own preprocessing and decode, and for OpenPose crops of people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends import Backend, ModelFile, create_backend
from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import Letterbox, require_image
from hprnet_rt.grouping import GroupingOptions
from hprnet_rt.grouping.rivals import BodyAndCrops, Placement, RivalGrouper, peaks_of, place
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.types import Maps, Peaks, Planes
from hprnet_rt.video.conversion import bgr_of

__all__ = ["RivalModel"]

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]

_FLIPPING: Final = "associative"
_CROP: Final = "crop"


class RivalModel(PoseModel):
    """A network of `spec.RIVALS` with its preprocessing and decode. Several threads may call it.

    Args:
        model_file: the network; where it has `crops`, those look at each person's hands and face.
        input_px: height of the input, of AE the shorter side; the network's own when None.
        flip: average with the mirrored image (AE only).
        grouping: only the threshold of people is read.
        options: of the backend, see `PoseModel`.

    Raises:
        UsageError: the network sees crops only, or has not what is asked for.
        BackendError: a package is missing, or the network cannot run.
    """

    def __init__(
        self,
        model_file: ModelFile,
        *,
        input_px: int | str | None = None,
        flip: bool = False,
        grouping: GroupingOptions | None = None,
        **options: Any,
    ) -> None:
        spec = model_file.spec
        if spec.decoding == _CROP:
            raise UsageError(
                f"{spec.name} sees crops of people who were found; use --model openpose-wholebody, which "
                "runs it beside openpose-body18"
            )
        if flip and spec.decoding != _FLIPPING:
            raise UsageError(f"{spec.name} has no flip test; leave --flip out")
        self._flips = flip
        self._lookers: list[_Looker] = []
        super().__init__(model_file, input_px=input_px, grouping=grouping, **options)

    def _grouper(self, grouping: GroupingOptions | None, first: Backend) -> RivalGrouper:
        """Return the decode; with crops, it runs their networks."""
        if not self.model_file.crops:
            return RivalGrouper(self.model_file.spec, grouping)
        precision, threads, _ = self._choice
        settings = {"backend": first.name, "precision": precision, "threads": threads}
        self._lookers = [_Looker(each, settings) for each in self.model_file.crops]
        return BodyAndCrops(self.model_file.spec, grouping, *self._lookers)

    def letterbox(self, image_hw: tuple[int, int]) -> Placement:
        """Return how images of this size are placed in the input.

        Raises:
            UsageError: the input size is no multiple of the network's `multiple_px`, or "keep".
        """
        name = self.model_file.spec.name
        if not isinstance(self.input_px, int):
            raise UsageError(f"{name} has an input of a set size; give --size a number, or leave it out")
        return place(self.model_file.spec, image_hw, self.input_px)

    def prepare(self, picture: ImageArray | Planes) -> tuple[ImageArray, Letterbox]:
        """Scale an image (H, W, 3) BGR, or planes, to the network's input (1, h, w, 3) BGR.

        Raises:
            ShapeError: `picture` is no such array.
        """
        image = bgr_of(picture) if isinstance(picture, Planes) else picture
        require_image(image)
        placement = self.letterbox(image.shape[:2])
        if self._lookers:
            placement = replace(placement, image=image)
        return placement.apply(image), placement

    def infer(self, batch: ImageArray, letterbox: Letterbox) -> Peaks:
        """Run the network on a prepared image, and for the flip test on the mirrored one."""
        backend = self.backend_for(letterbox.input_hw)
        both = (batch, np.ascontiguousarray(batch[:, :, ::-1]))
        runs = [backend.run(each)[0] for each in both[: 1 + self._flips]]
        assert isinstance(letterbox, Placement)
        return peaks_of(self.model_file.spec, np.concatenate(runs), letterbox)

    def _peaks(
        self, found: FloatArray, letterboxes: Sequence[Letterbox], maps: Sequence[Maps | None] | None = None
    ) -> list[Peaks]:
        assert not any(maps or ())  # nothing of a rival is refined
        made = []
        for values, placement in zip(found, letterboxes, strict=True):
            assert isinstance(placement, Placement)
            made.append(peaks_of(self.model_file.spec, values, placement))
        return made

    def _begin_batch(self, group: Sequence[tuple[ImageArray, Letterbox]]) -> Callable[[], list[Peaks]]:
        if not self._flips:
            return super()._begin_batch(group)
        found = [self.infer(*each) for each in group]
        return lambda: found

    def close(self) -> None:
        """Free the backends; further calls do nothing."""
        super().close()
        for looker in self._lookers:
            looker.close()


class _Looker:
    """A network that sees square crops of one size."""

    def __init__(self, model_file: ModelFile, settings: dict[str, Any]) -> None:
        self._side = model_file.spec.input_px
        self._spec = model_file.spec
        self._backend = create_backend(model_file, (self._side, self._side), **settings)

    def __call__(self, square: ImageArray) -> FloatArray:
        """Return heat-maps (C, side / 8, side / 8) of a picture (side, side, 3)."""
        cells = self._side // self._spec.stride_px
        maps: FloatArray = self._backend.run(np.ascontiguousarray(square)[None])[0]
        return maps.reshape(-1, cells, cells)

    def close(self) -> None:
        self._backend.close()
