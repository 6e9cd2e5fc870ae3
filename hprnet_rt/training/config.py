"""The configuration of a training run, read from a TOML file. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import math
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS
from hprnet_rt.training.losses import POINT_LOSSES

__all__ = ["AUGMENTATIONS", "OPTIMIZERS", "PRECISIONS", "DataConfig", "TrainConfig", "read_config"]

AUGMENTATIONS = ("paper", "strong")
OPTIMIZERS = ("adam", "relative")
PRECISIONS = ("fp32", "bf16", "fp16")
_NOT_NEGATIVE = ("rate_batch", "warm_up", "clip_norm", "seed", "pictures")
_MOST_SEED = 2**40  # seed * 1,000,003 + epoch must still be a valid seed for PyTorch
_PLACES = ("train_annotations", "train_images", "val_annotations", "val_images")


@dataclass(frozen=True)
class DataConfig:
    """Where the images and labels are. Relative paths start at the folder of the TOML file.

    Attributes:
        train_annotations, val_annotations: COCO-WholeBody JSON, also as .gz; without `val_annotations` there
            is no validation.
        train_images, val_images: a folder of images, or of tar files with images.
        unlabelled_is_background: joints without a label count as background in the heat-maps (as in the
            paper, for sets that are labelled by hand).
        workers: number of loader processes.
    """

    train_annotations: str = ""
    train_images: str = ""
    val_annotations: str = ""
    val_images: str = ""
    unlabelled_is_background: bool = True
    workers: int = 4


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a run. The defaults are the paper's.

    Attributes:
        name: name of the run's folder.
        model: a key of `spec.SPECS`.
        weights: a checkpoint to start from, or hprnet-mobile.onnx; random weights when empty.
        input_px: side of the square input.
        augmentation: one of `AUGMENTATIONS`.
        epochs: number of epochs.
        batch: images a step, of all processes together.
        learning_rate: for a batch of `rate_batch` images; scaled in proportion for other batches (Goyal et
            al., 2017).
        rate_batch: 0 uses `learning_rate` for any batch.
        optimizer: one of `OPTIMIZERS`: Adam, or Adam with steps in units of each weight's own size, for
            weights whose batch norms are folded.
        rates: weights whose name starts with a key learn at that multiple of the rate; the longest matching
            key counts. Weights at 0 do not change. In the file, the table [rates].
        drops: epochs after which the rate is divided by 10.
        warm_up: steps over which the rate rises from 0.
        clip_norm: largest norm of the gradients, which are scaled down to it; 0 for no limit.
        precision: of the network's arithmetic, one of `PRECISIONS`.
        channels_last: use this memory order, which is faster on GPUs.
        spread: how far from the exact centres offsets are learned, see `displace_targets`; 0 as in the paper.
        part_spread: the same for the parts that are refined, see `displace_parts`.
        points: loss of a point's error, one of `POINT_LOSSES`.
        loss: weights of losses in the sum, by name, where they differ from the defaults of `HprLoss`. In the
            file, the table [loss].
        ema: decay per step of the moving average of the weights, which is validated and saved; 0 uses the
            weights themselves.
        seed: of all random numbers.
        save_every: steps between checkpoints, besides the one after each epoch.
        validate_every: epochs between validations.
        pictures: number of validation images that are drawn at each validation.
    """

    name: str = "run"
    model: str = "hprnet-dla34"
    weights: str = ""
    input_px: int = 512
    augmentation: str = "paper"
    epochs: int = 140
    batch: int = 32
    learning_rate: float = 1.25e-4
    rate_batch: int = 0
    optimizer: str = "adam"
    rates: dict[str, float] = field(default_factory=dict)
    drops: tuple[int, ...] = (90, 120)
    warm_up: int = 0
    clip_norm: float = 0.0
    precision: str = "fp32"
    channels_last: bool = False
    spread: float = 0.0
    part_spread: float = 0.15
    points: str = "l1"
    loss: dict[str, float] = field(default_factory=dict)
    ema: float = 0.0
    seed: int = 0
    save_every: int = 500
    validate_every: int = 5
    pictures: int = 8
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        for name, known in (
            ("model", tuple(SPECS)),
            ("augmentation", AUGMENTATIONS),
            ("optimizer", OPTIMIZERS),
            ("precision", PRECISIONS),
            ("points", POINT_LOSSES),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("input_px", "epochs", "batch", "learning_rate", "save_every", "validate_every"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is more than 0, got {getattr(self, name)}")
        counts = [(name, getattr(self, name)) for name in _NOT_NEGATIVE]
        for name, value in (*counts, ("data.workers", self.data.workers)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is at least 0, got {value}")
        if self.seed > _MOST_SEED:
            raise UsageError(f"seed is at most {_MOST_SEED}, got {self.seed}")
        if not all(drop >= 1 for drop in self.drops):
            raise UsageError(f"drops are epochs from 1 on, got {list(self.drops)}")
        multiple = SPECS[self.model].multiple_px
        if self.input_px % multiple:
            raise UsageError(f"input_px of {self.model} is a multiple of {multiple}, got {self.input_px}")
        wrong = [key for key, rate in self.rates.items() if not 0 <= rate < math.inf]
        if wrong:
            raise UsageError(f"a rate is at least 0, got {self.rates[wrong[0]]} for {wrong[0]}")
        wrong = [key for key, weight in self.loss.items() if not 0 <= weight < math.inf]
        if wrong:
            raise UsageError(f"a loss's weight is at least 0, got {self.loss[wrong[0]]} for {wrong[0]}")
        for name in ("spread", "part_spread"):
            if not 0.0 <= getattr(self, name) < 0.5:
                raise UsageError(f"{name} is at least 0 and less than 0.5, got {getattr(self, name)}")
        if not 0.0 <= self.ema < 1.0:
            raise UsageError(f"ema is at least 0 and less than 1, got {self.ema}")

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for a checkpoint."""
        return dataclasses.asdict(self) | {"drops": list(self.drops)}


def _parse_value(text: str) -> Any:
    """Parse a TOML value; text that is no TOML value is returned as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables into one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat.update(_flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def _from_table(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass from a table, checking keys and types."""
    known = {entry.name: entry for entry in dataclasses.fields(kind)}
    types = typing.get_type_hints(kind)
    result = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{where}: there is no key {key!r}; the keys are {', '.join(known)}")
        wanted = types[key]
        if dataclasses.is_dataclass(wanted):
            if not isinstance(value, Mapping):
                raise UsageError(f"{where}: {key} is a table, written [{key}]")
            result[key] = _from_table(typing.cast(type, wanted), value, f"{where} [{key}]")
            continue
        if typing.get_origin(wanted) is dict:
            table = _flatten(value) if isinstance(value, Mapping) else {}
            if not table or not all(type(item) in (int, float) for item in table.values()):
                raise UsageError(f"{where}: {key} is a table of numbers, written [{key}]")
            result[key] = {name: float(item) for name, item in table.items()}
            continue
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if typing.get_origin(wanted) is tuple and isinstance(value, list):
            value = tuple(value)
            fits = all(type(item) is int for item in value)
        else:
            fits = type(value) is wanted
        if not fits:
            raise UsageError(f"{where}: {key} cannot be {value!r}")
        result[key] = value
    return kind(**result)


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read the configuration of a run from a TOML file.

    Args:
        path: the file.
        changes: KEY=VALUE, which replace values of the file; data.KEY for a key of the table [data]. Values
            are written as in TOML. Relative paths start at the working folder.

    Raises:
        UsageError: the file is missing or not TOML, or a key or value is wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    for change in changes:
        key, equals, text = change.partition("=")
        table = values
        *parents, last = key.strip().split(".")
        if not equals or not last:
            raise UsageError(f"a change is KEY=VALUE, got {change!r}")
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise UsageError(f"{change!r}: {parent} is not a table")
        path_like = key.strip() in (*(f"data.{name}" for name in _PLACES), "weights")
        value = _parse_value(text.strip())
        if path_like:
            place = value if isinstance(value, str) else text.strip()
            value = str(Path(place).absolute()) if place else ""
        table[last] = value
    config: TrainConfig = _from_table(TrainConfig, values, path.name)
    folder = path.parent
    places: dict[str, Any] = {
        name: str(folder / getattr(config.data, name)) for name in _PLACES if getattr(config.data, name)
    }
    weights = str(folder / config.weights) if config.weights else ""
    return dataclasses.replace(config, weights=weights, data=dataclasses.replace(config.data, **places))
