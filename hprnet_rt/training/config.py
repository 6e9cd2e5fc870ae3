"""The configuration of a training run; `config_file` reads it from a TOML file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS
from hprnet_rt.training.losses import LABELS, POINT_LOSSES

__all__ = [
    "AUGMENTATIONS",
    "FEEDS",
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "DataConfig",
    "DataSet",
    "Phase",
    "Teacher",
    "TrainConfig",
]

AUGMENTATIONS = ("paper", "strong")
FEEDS = ("loader", "device")
OPTIMIZERS = ("adam", "relative")
PRECISIONS = ("fp32", "bf16", "fp16")
SCHEDULES = ("drops", "cosine")
_NOT_NEGATIVE = ("rate_batch", "clip_norm", "seed", "pictures", "epoch_images", "save_every_s")
_MOST_SEED = 2**40  # seed * 1,000,003 + epoch must still be a valid seed for PyTorch


def _check(found: Any, known: Mapping[str, tuple[str, ...]], positive: tuple[str, ...]) -> None:
    """Check the fields of a table.

    Raises:
        UsageError: a value is not one of the known ones, or a number is not above 0.
    """
    for name, values in known.items():
        if getattr(found, name) not in values:
            raise UsageError(f"{name} is one of {', '.join(values)}, got {getattr(found, name)!r}")
    for name in positive:
        if not 0 < getattr(found, name) < math.inf:
            raise UsageError(f"{name} is more than 0, got {getattr(found, name)}")


@dataclass(frozen=True)
class DataSet:
    """A training set, a table [[data.sets]]. Relative paths start at the folder of the TOML file.

    Attributes:
        annotations: COCO-WholeBody JSON, also as .gz. Parts without labels teach nothing, unless they are
            marked as absent (`face_absent`, `lefthand_absent`, `righthand_absent`). An image may have a
            `weight`.
        images: a folder of images, or of tar files with images.
        weight: how often an image of this set is shown, compared with an image of weight 1.
        unlabelled_is_background: joints without a label count as background in the heat-maps (as in the
            paper, for sets that are labelled by hand).
    """

    annotations: str = ""
    images: str = ""
    weight: float = 1.0
    unlabelled_is_background: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise UsageError(f"the weight of a set is more than 0, got {self.weight}")
        if not (self.annotations and self.images):
            raise UsageError("each of [[data.sets]] has annotations and images")


@dataclass(frozen=True)
class DataConfig:
    """Where the images and labels are. Relative paths start at the folder of the TOML file.

    Attributes:
        train_annotations, train_images, unlabelled_is_background: the training set, as in `DataSet`, where
            there is only one.
        val_annotations, val_images: of the validation set; without `val_annotations` there is no validation.
        workers: number of loader processes.
        sets: the training sets, where there are several. In the file, tables [[data.sets]].
    """

    train_annotations: str = ""
    train_images: str = ""
    val_annotations: str = ""
    val_images: str = ""
    unlabelled_is_background: bool = True
    workers: int = 4
    sets: tuple[DataSet, ...] = ()

    def __post_init__(self) -> None:
        if self.sets and (self.train_annotations or self.train_images):
            raise UsageError(
                "the training set is either train_annotations and train_images, or [[data.sets]]"
            )

    @property
    def training_sets(self) -> tuple[DataSet, ...]:
        """All training sets.

        Raises:
            UsageError: there is none.
        """
        if self.sets:
            return self.sets
        if not (self.train_annotations and self.train_images):
            raise UsageError(
                "[data] names no train_annotations and train_images, and there are no [[data.sets]]"
            )
        one = DataSet(
            self.train_annotations,
            self.train_images,
            unlabelled_is_background=self.unlabelled_is_background,
        )
        return (one,)


@dataclass(frozen=True)
class Teacher:
    """A network whose body the trained one keeps, a table [[teachers]]. See `hold.Hold`.

    Attributes:
        weights: a checkpoint or hprnet-mobile.onnx; of the architecture that is trained.
        features: weight of the distance from the teacher's body features.
        heat: weight of the distance from the teacher's heat-maps of people and body joints.
        least_person, most_person: it teaches the images whose largest person is at least and less than this
            share of the image's longer side, see `hold.largest_person`.
    """

    weights: str = ""
    features: float = 200.0
    heat: float = 4.0
    least_person: float = 0.0
    most_person: float = math.inf

    def __post_init__(self) -> None:
        if not self.weights:
            raise UsageError("each of [[teachers]] has weights")
        for name in ("features", "heat", "least_person"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} of a teacher is at least 0, got {getattr(self, name)}")
        if self.most_person <= self.least_person:
            raise UsageError("most_person of a teacher is more than its least_person")


@dataclass(frozen=True)
class Phase:
    """A part of a run, a table [[phases]]. What a phase does not say is as at the top of the file.

    Each phase begins with the averaged weights of the one before and with a fresh optimizer.

    Attributes:
        name: for messages.
        epochs, batch, learning_rate, drops, warm_up, schedule, rates, labels: see `TrainConfig`; drops and
            warm-up count from the phase's start.
        hold: whether the teachers hold the body.
    """

    name: str = "run"
    epochs: int = 140
    batch: int = 32
    learning_rate: float = 1.25e-4
    drops: tuple[int, ...] = (90, 120)
    warm_up: int = 0
    schedule: str = "drops"
    rates: dict[str, float] = field(default_factory=dict)
    labels: str = "all"
    hold: bool = False

    def __post_init__(self) -> None:
        _check(self, {"schedule": SCHEDULES, "labels": LABELS}, ("epochs", "batch", "learning_rate"))
        if self.warm_up < 0:
            raise UsageError(f"warm_up is at least 0, got {self.warm_up}")
        if not all(drop >= 1 for drop in self.drops):
            raise UsageError(f"drops are epochs from 1 on, got {list(self.drops)}")
        wrong = [key for key, rate in self.rates.items() if not 0 <= rate < math.inf]
        if wrong:
            raise UsageError(f"a rate is at least 0, got {self.rates[wrong[0]]} for {wrong[0]}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a run. The defaults are the paper's.

    Attributes:
        name: name of the run's folder.
        model: a key of `spec.SPECS`.
        weights: a checkpoint to start from, or hprnet-mobile.onnx; random weights when empty.
        input_px: side of the square input.
        feed: one of `FEEDS`: "loader" reads and augments images in processes of its own; "device" holds all
            images in the memory of the device, and augments them there, see `training.feed`.
        recorded: on a GPU, record the device's feed and a step as CUDA graphs: launching small kernels takes
            longer than running them. In one process, and not in fp16, which skips steps.
        augmentation: one of `AUGMENTATIONS`; the device's feed has the strong one only.
        epochs: number of epochs.
        epoch_images: images of an epoch, drawn at random by their weights; 0 for each image once.
        batch: images a step, of all processes together.
        learning_rate: for a batch of `rate_batch` images; scaled in proportion for other batches (Goyal et
            al., 2017).
        rate_batch: 0 uses `learning_rate` for any batch.
        optimizer: one of `OPTIMIZERS`: Adam, or Adam with steps in units of each weight's own size, for
            weights whose batch norms are folded.
        rates: weights whose name starts with a key learn at that multiple of the rate; the longest matching
            key counts. Weights at 0 do not change. In the file, the table [rates].
        schedule: one of `SCHEDULES`: "drops" divides the rate by 10 after the epochs in `drops`; "cosine"
            lets it fall along half a cosine, to 2% at the end.
        drops: epochs after which the rate is divided by 10.
        warm_up: steps over which the rate rises from 0.
        clip_norm: largest norm of the gradients, which are scaled down to it; 0 for no limit.
        precision: of the network's arithmetic, one of `PRECISIONS`.
        channels_last: use this memory order, which is faster on GPUs.
        spread: how far from the exact centres offsets are learned, see `displace_targets`; 0 as in the paper.
        part_spread: the same for the parts that are refined, see `displace_parts`.
        points: loss of a point's error, one of `POINT_LOSSES`.
        labels: what learns from labels, one of `LABELS`: everything, or feet, faces and hands only.
        loss: weights of losses in the sum, by name, where they differ from the defaults of `HprLoss`. In the
            file, the table [loss].
        ema: decay per step of the moving average of the weights, which is validated and saved; 0 uses the
            weights themselves.
        seed: of all random numbers.
        save_every: steps between checkpoints, besides the one after each epoch.
        save_every_s: seconds between checkpoints; 0 for none but those.
        validate_every: epochs between validations.
        pictures: number of validation images that are drawn at each validation.
        phases: the parts of the run. In the file, tables [[phases]]; without any, the whole run is one.
        teachers: see `Teacher`. In the file, tables [[teachers]].
    """

    name: str = "run"
    model: str = "hprnet-dla34"
    weights: str = ""
    input_px: int = 512
    feed: str = "loader"
    recorded: bool = False
    augmentation: str = "paper"
    epochs: int = 140
    epoch_images: int = 0
    batch: int = 32
    learning_rate: float = 1.25e-4
    rate_batch: int = 0
    optimizer: str = "adam"
    rates: dict[str, float] = field(default_factory=dict)
    schedule: str = "drops"
    drops: tuple[int, ...] = (90, 120)
    warm_up: int = 0
    clip_norm: float = 0.0
    precision: str = "fp32"
    channels_last: bool = False
    spread: float = 0.0
    part_spread: float = 0.15
    points: str = "l1"
    labels: str = "all"
    loss: dict[str, float] = field(default_factory=dict)
    ema: float = 0.0
    seed: int = 0
    save_every: int = 500
    save_every_s: float = 0.0
    validate_every: int = 5
    pictures: int = 8
    data: DataConfig = field(default_factory=DataConfig)
    phases: tuple[Phase, ...] = ()
    teachers: tuple[Teacher, ...] = ()

    def __post_init__(self) -> None:
        known = {
            "model": tuple(SPECS),
            "feed": FEEDS,
            "augmentation": AUGMENTATIONS,
            "optimizer": OPTIMIZERS,
            "precision": PRECISIONS,
            "points": POINT_LOSSES,
        }
        _check(self, known, ("input_px", "save_every", "validate_every"))
        counts = [(name, getattr(self, name)) for name in _NOT_NEGATIVE]
        for name, value in (*counts, ("data.workers", self.data.workers)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is at least 0, got {value}")
        if self.seed > _MOST_SEED:
            raise UsageError(f"seed is at most {_MOST_SEED}, got {self.seed}")
        multiple = SPECS[self.model].multiple_px
        if self.input_px % multiple:
            raise UsageError(f"input_px of {self.model} is a multiple of {multiple}, got {self.input_px}")
        wrong = [key for key, weight in self.loss.items() if not 0 <= weight < math.inf]
        if wrong:
            raise UsageError(f"a loss's weight is at least 0, got {self.loss[wrong[0]]} for {wrong[0]}")
        for name in ("spread", "part_spread"):
            if not 0.0 <= getattr(self, name) < 0.5:
                raise UsageError(f"{name} is at least 0 and less than 0.5, got {getattr(self, name)}")
        if not 0.0 <= self.ema < 1.0:
            raise UsageError(f"ema is at least 0 and less than 1, got {self.ema}")
        if self.feed == "device" and self.augmentation != "strong":
            raise UsageError('feed = "device" has the strong augmentation: write augmentation = "strong"')
        if self.recorded and (self.feed != "device" or self.precision == "fp16"):
            raise UsageError('recorded = true is for feed = "device", and not for precision = "fp16"')
        if any(phase.hold for phase in self.all_phases) and not self.teachers:
            raise UsageError("a phase holds the body, and there are no [[teachers]]")

    @property
    def all_phases(self) -> tuple[Phase, ...]:
        """The phases of the run; the whole run as one phase where the file has none."""
        if self.phases:
            return self.phases
        own = {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(Phase)
            if entry.name != "hold"
        }
        return (Phase(**own),)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for a checkpoint."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    """Turn tuples into lists, at any depth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
