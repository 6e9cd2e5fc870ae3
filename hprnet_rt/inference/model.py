"""PoseModel: image in, poses out. The stages of the pipeline are its methods."""

from __future__ import annotations

import functools
import itertools
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends import AsyncBackend, Backend, GivesMaps, ModelFile, SideBySide, create_backend
from hprnet_rt.backends.registry import INT8, backend_spec
from hprnet_rt.building import find_engine
from hprnet_rt.errors import BackendError, HprnetError, UsageError
from hprnet_rt.geometry import KEEP, Letterbox, input_hw_for, require_image
from hprnet_rt.grouping import MATCHINGS, Grouper, GroupingOptions, GroupsPeaks
from hprnet_rt.inference.looks import AUTO, Looks, find_closely
from hprnet_rt.inference.preparation import prepared_planes
from hprnet_rt.spec import PeakLayout
from hprnet_rt.types import Maps, Peaks, Planes, Poses
from hprnet_rt.zoo.people import with_people
from hprnet_rt.zoo.weights import model_file_for

__all__ = ["AUTO", "DEFAULT_MODEL", "KEEP", "ModelFacts", "PoseModel", "load"]

_log = logging.getLogger(__name__)

DEFAULT_MODEL: Final = "hprnet-mobile"
_USUAL_HW = (720, 1280)
_CLOSER_K = 128
"""The most people of a frame where the network looks closer, unless it is told."""
_OPEN_BACKENDS = 6  # compiled input sizes kept; a folder of photographs has a few aspect ratios


@dataclass(frozen=True)
class ModelFacts:
    """What the header of keypoints says of the model that made them.

    Attributes:
        name: of the network.
        sha256: of its file.
        input_px: longer side of the input, "keep" or "auto".
        closer_k: the most people of a frame where it looks closer.
        threshold: least score of a person.
        peak_threshold: least score of a joint's peak.
        refined: points of faces and hands have been corrected, and have a confidence of their own.
        description: library, device, precision.
    """

    name: str
    sha256: str
    input_px: int | str
    closer_k: int
    threshold: float
    peak_threshold: float
    refined: bool
    description: str


class PoseModel:
    """A network on a backend, with its preprocessing and grouping.

    A backend is compiled for one input size; a new aspect ratio compiles another, and the least recently
    used are closed. Several threads may call it.

    Args:
        model_file: the network.
        backend, precision, threads: see `create_backend`.
        input_px: longer side of the input, a multiple of the network's `multiple_px`; its own when None.
            "keep" takes every image at its own size, as the paper does for its tests. "auto" is its own, and
            twice that where people are many and small, see `Looks`; a single image is then looked at twice.
        flip: average with the mirrored image (the flip test; the backend torch only).
        batch: images that `begin` gives to the backend at once; the backend's best when None.
        grouping: thresholds.
        closer_k: the most people of a frame where `closer` looks.

    Examples:
        >>> with hprnet_rt.load() as model:
        ...     poses = model(image)
        ...     print(model.name, len(poses))
        hprnet-mobile 3
    """

    def __init__(
        self,
        model_file: ModelFile,
        *,
        backend: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        input_px: int | str | None = None,
        flip: bool = False,
        batch: int | None = 1,
        grouping: GroupingOptions | None = None,
        closer_k: int | None = None,
    ) -> None:
        input_px = model_file.spec.input_px if input_px is None else input_px
        self.model_file = model_file
        self.input_px = input_px
        self._backend, self._may_build = backend, backend == "auto"
        self._choice = (precision, threads, flip)
        self._batch = batch
        self._backends: OrderedDict[tuple[int, int], Backend] = OrderedDict()
        self._lock = threading.Lock()
        self._closer_k = max(model_file.k, _CLOSER_K) if closer_k is None else closer_k
        self._closer: dict[int, PoseModel] = {}
        self._closer_lock = threading.Lock()
        self._closed = False
        first = self.backend_for(self.letterbox(_USUAL_HW).input_hw)
        self._backend = first.name  # "auto" chooses once, for all sizes
        self.description = first.description
        self.batch = first.max_batch
        self._side_by_side = isinstance(first, SideBySide) and first.at_once > 1
        self.at_once = first.at_once if isinstance(first, SideBySide) else 1 + isinstance(first, AsyncBackend)
        self.group: GroupsPeaks = self._grouper(grouping, first)
        self._looks = Looks(self) if input_px == AUTO else None

    def _grouper(self, grouping: GroupingOptions | None, first: Backend) -> GroupsPeaks:
        """Return what makes people of the peaks of a backend."""
        after = isinstance(first, GivesMaps) and first.gives_maps
        weights = self.model_file.refiner_weights() if after else None
        return Grouper(self.model_file.spec, grouping, weights)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.model_file.spec.name

    @property
    def facts(self) -> ModelFacts:
        """What keypoints say of it."""
        options = self.group.options
        return ModelFacts(
            name=self.name,
            sha256=self.model_file.sha256,
            input_px=self.input_px,
            closer_k=self._closer_k,
            threshold=options.person_threshold,
            peak_threshold=options.peak_threshold,
            refined=self.model_file.spec.refinement is not None,
            description=self.description,
        )

    def letterbox(self, image_hw: tuple[int, int]) -> Letterbox:
        """Return how images of this size are placed in the input.

        Raises:
            UsageError: the input size is neither "keep" nor "auto" nor a multiple of the network's
                `multiple_px`.
        """
        multiple_px = self.model_file.spec.multiple_px
        if self.input_px == KEEP:
            return Letterbox.keep(image_hw, multiple_px)
        if not isinstance(self.input_px, int) and self.input_px != AUTO:
            raise UsageError(
                f"the input size is a number of pixels, {KEEP!r} or {AUTO!r}, got {self.input_px!r}"
            )
        return Letterbox.fit(image_hw, input_hw_for(image_hw, self.usual_px, multiple_px))

    @property
    def usual_px(self) -> int:
        """The longer side of the input, where that is one size; the network's own with "keep" and "auto"."""
        return self.input_px if isinstance(self.input_px, int) else self.model_file.spec.input_px

    def require_closer(self) -> None:
        """Check that the network can look closer, before the first frame.

        Raises:
            UsageError: it needs an engine that was built for one number of people.
            ModelError: the model file does not say where its number of people is.
            OutputError: the cache cannot be written.
        """
        precision = self._choice[0]
        named = None if self._backend == "auto" else backend_spec(self._backend)
        if precision == INT8 or (named is not None and named.needs_engine(precision)):
            raise UsageError(
                "to look closer a network for more people is opened, for which no engine was built: "
                "leave out --size auto and --regions auto, or choose another --backend and --precision"
            )
        _ = self._closer_file

    @functools.cached_property
    def _closer_file(self) -> ModelFile:
        """The model file with which `closer` looks."""
        return with_people(self.model_file, self._closer_k)

    def closer(self, input_px: int) -> PoseModel:
        """Return the same network at another size, for more people; it is opened once and closed with this.

        Args:
            input_px: longer side of the input.

        Raises:
            ModelError: the model file does not say where its number of people is.
            BackendError: the library failed, or the model is closed.
            OutputError: the cache cannot be written.
        """
        precision, threads, flip = self._choice
        with self._closer_lock:
            if self._closed:
                raise BackendError("the model is closed")
            if input_px not in self._closer:
                self._closer[input_px] = PoseModel(
                    self._closer_file,
                    backend="auto" if self._may_build else self._backend,  # an engine may be missing there
                    precision=precision,
                    threads=threads,
                    input_px=input_px,
                    flip=flip,
                    batch=self._batch,
                    grouping=self.group.options,
                )
            return self._closer[input_px]

    def backend_for(self, input_hw: tuple[int, int]) -> Backend:
        """Return the backend for inputs of this size, compiled at the first use."""
        precision, threads, flip = self._choice
        with self._lock:
            if self._closed:
                raise BackendError("the model is closed")
            found = self._backends.pop(input_hw, None)
            made = found or create_backend(
                self.model_file,
                input_hw,
                backend=self._backend,
                precision=precision,
                threads=threads,
                flip=flip,
                batch=self._batch,
                find_engine=find_engine,
                may_build=self._may_build,
            )
            self._backends[input_hw] = made  # the last one is the most recently used
            while len(self._backends) > _OPEN_BACKENDS:
                _, oldest = self._backends.popitem(last=False)
                oldest.close()
            return made

    def prepare(self, picture: npt.NDArray[np.uint8] | Planes) -> tuple[npt.NDArray[np.uint8], Letterbox]:
        """Scale an image (H, W, 3) BGR, or planes, to the network's input (1, h, w, 3) BGR.

        Raises:
            ShapeError: `picture` is no such array.
        """
        if isinstance(picture, Planes):
            letterbox = self.letterbox(picture.image_hw)
            return prepared_planes(picture, letterbox), letterbox
        require_image(picture)
        letterbox = self.letterbox(picture.shape[:2])
        return letterbox.apply(picture), letterbox

    def infer(self, batch: npt.NDArray[np.uint8], letterbox: Letterbox) -> Peaks:
        """Run the network on a prepared image.

        Raises:
            BackendError: the library failed, or the model is closed.
        """
        return self._run(self.backend_for(letterbox.input_hw), batch, [letterbox])[0]

    def _run(
        self, backend: Backend, batch: npt.NDArray[np.uint8], letterboxes: Sequence[Letterbox]
    ) -> list[Peaks]:
        """Return the peaks of each image of a batch."""
        if not isinstance(backend, GivesMaps):
            return self._peaks(backend.run(batch), letterboxes)
        found, maps = backend.run_with_maps(batch)
        return self._peaks(found, letterboxes, maps)

    def _peaks(
        self,
        found: npt.NDArray[np.float32],
        letterboxes: Sequence[Letterbox],
        maps: Sequence[Maps | None] | None = None,
    ) -> list[Peaks]:
        layout = PeakLayout.matching(self.model_file.spec, found.shape[2])
        each = maps or [None] * len(found)
        return [Peaks(*one) for one in zip(found, [layout] * len(found), letterboxes, each, strict=True)]

    def begin(self, inputs: Sequence[tuple[npt.NDArray[np.uint8], Letterbox]]) -> Callable[[], list[Peaks]]:
        """Give prepared images to the network, `batch` at a time where they are of one size.

        Args:
            inputs: what `prepare` has returned, any number.

        Returns:
            A function that waits for their peaks, in the same order; it must be called once. Where `at_once`
            is more than 1 the network may still be working, and the next images can be given to it meanwhile.

        Raises:
            BackendError: the library failed, or the model is closed.
        """
        done: list[Peaks] = []
        begun: deque[Callable[[], list[Peaks]]] = deque()
        for group in _runs_of_one_size(inputs, self.batch):
            while begun and not self._side_by_side:
                done += begun.popleft()()
            begun.append(self._begin_batch(group))
        return lambda: done + [peaks for collect in begun for peaks in collect()]

    def _begin_batch(
        self, group: Sequence[tuple[npt.NDArray[np.uint8], Letterbox]]
    ) -> Callable[[], list[Peaks]]:
        """Begin with images of one size, at most as many as the backend takes."""
        backend = self.backend_for(group[0][1].input_hw)
        images, letterboxes = [image for image, _ in group], [letterbox for _, letterbox in group]
        if isinstance(backend, AsyncBackend):
            collect = backend.submit(images)
            return lambda: self._peaks(collect(), letterboxes)
        if self._side_by_side and isinstance(backend, SideBySide):
            finish = backend.begin(images[0])

            def collected() -> list[Peaks]:
                found, maps = finish()
                return self._peaks(found, letterboxes, maps)

            return collected
        found = self._run(backend, np.concatenate(images), letterboxes)
        return lambda: found

    def __call__(self, image: npt.NDArray[np.uint8]) -> Poses:
        """Find everyone in an image (H, W, 3) uint8 BGR; positions are in its pixels.

        Raises:
            ShapeError: `image` is no such array.
            BackendError: the library failed, or the model is closed.
        """
        if self._looks is not None:
            require_image(image)
            return find_closely(self._looks, image, self.group)
        if self.at_once == 1:
            return self.group(self.infer(*self.prepare(image)))
        collect = self.begin([self.prepare(image)])
        self.group.keep_warm()  # while the GPU works
        (peaks,) = collect()
        return self.group(peaks)

    def close(self) -> None:
        """Free the backends; further calls do nothing."""
        with self._lock:
            self._closed = True
            while self._backends:
                self._backends.popitem()[1].close()
        with self._closer_lock:
            for model in self._closer.values():
                model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _runs_of_one_size(
    inputs: Sequence[tuple[npt.NDArray[np.uint8], Letterbox]], most: int
) -> Iterator[Sequence[tuple[npt.NDArray[np.uint8], Letterbox]]]:
    """Yield runs of neighbours with one input size, at most `most` together, in their order."""
    for _, same in itertools.groupby(inputs, lambda pair: pair[1].input_hw):
        together = list(same)
        yield from (together[first : first + most] for first in range(0, len(together), most))


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    weights: str | Path | None = None,
    k: int | None = None,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    input_px: int | str | None = None,
    flip: bool = False,
    batch: int | None = 1,
    threshold: float | None = None,
    matching: str = MATCHINGS[0],
) -> PoseModel:
    """Open a model, ready to be called.

    Args:
        model: a network's name, or an .onnx file with its JSON beside it.
        weights: a checkpoint of the network, converted at the first use; None takes what is on this machine.
        k: the most people of a frame; the model file's own, 32 of the shipped one, when None. More take
            longer, see `hprnet_rt.zoo.with_people`.
        backend: "auto" (says in the log what it chose), "tensorrt", "tensorrt-rtx" or "torch-cuda" on a GPU,
            "openvino", "onnxruntime" or "torch" on the CPU. None of them takes another's place.
        precision: "auto", "fp32", "fp16", "bf16", or "int8" for an engine that `hprnet-rt build` made for
            OpenVINO.
        threads: CPU threads of the backend; all cores when None.
        input_px: longer side of the network's input, its own when None; larger finds smaller people and
            takes longer. "keep" takes every image at its own size, "auto" the network's own size, and twice
            that where people are many and small.
        flip: average with the mirrored image (the flip test; the backend torch only).
        batch: images that files give to the network at once; the backend's best when None. Live sources
            and single images are best off with 1.
        threshold: least person score; `GroupingOptions`' default when None, and for a rival's network what
            its own rules say.
        matching: "one-to-one", or "released" to repeat the released code; see `GroupingOptions`.

    Raises:
        UsageError: an unknown model, backend or setting, or no weights on this machine.
        ModelError: the model file is damaged.
        BackendError: the backend cannot load it, or a package or the GPU is missing.
        OutputError: a converted checkpoint cannot be written to the cache.

    Examples:
        >>> with hprnet_rt.load() as model:
        ...     wrists = [person["left_wrist"] for person in model(image).confident()]
    """
    model_file = model_file_for(model, weights, k=k)
    grouping, make = GroupingOptions(matching=matching), PoseModel
    if model_file.spec.is_rival:
        from hprnet_rt.inference.rivals import RivalModel  # others do without it

        make, grouping = RivalModel, replace(grouping, person_threshold=0.0)
    if threshold is not None:
        grouping = replace(grouping, person_threshold=threshold)
    if input_px == AUTO:
        if batch is not None and batch > 1:
            raise UsageError("with --size auto a frame depends on those before it: leave --batch out")
        batch = 1
    opened = make(
        model_file,
        backend=backend,
        precision=precision,
        threads=threads,
        input_px=input_px,
        flip=flip,
        batch=batch,
        grouping=grouping,
        closer_k=k,
    )
    if input_px == AUTO and not model_file.spec.is_rival:
        try:
            opened.require_closer()
        except HprnetError:
            opened.close()
            raise
    return opened
