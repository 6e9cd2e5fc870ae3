"""What `hprnet-rt eval` evaluates: results of a file, or of a model that is run over images."""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from hprnet_rt.commands.console import cancelled_by_signals, complain
from hprnet_rt.commands.options import load_model, size
from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import PART_TYPES, Annotations, Results, read_results
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.jobs.predict import Prediction, known_parts, predict
from hprnet_rt.spec import ModelSpec
from hprnet_rt.words import counted, shown_backend

__all__ = [
    "Contender",
    "Stopped",
    "apply_changes",
    "first_contender",
    "require_no_results",
    "require_second_model",
    "second_contender",
]

_YES: Final = ("1", "true", "yes")
_NO: Final = ("0", "false", "no")


def _yes(text: str) -> bool:
    """Return whether a word means yes.

    Raises:
        ValueError: it means neither yes nor no.
    """
    if text.lower() not in (*_YES, *_NO):
        raise ValueError(text)
    return text.lower() in _YES


_CHANGEABLE: Final[dict[str, Callable[[str], Any]]] = {
    "model": str,
    "weights": Path,
    "backend": str,
    "precision": str,
    "size": size,
    "threshold": float,
    "matching": str,
    "flip": _yes,
}
"""Options that --compare can change, and the functions that read their values."""


@dataclass(frozen=True)
class Contender:
    """Results to be evaluated.

    Attributes:
        name: of the file, or of the network and what differs from the first run.
        results: the detections.
        parts: parts that the model knows and the annotations have; None when unknown.
    """

    name: str
    results: Results
    parts: tuple[str, ...] | None


class Stopped(Exception):
    """A run was stopped by Ctrl-C; its results so far are kept."""


def apply_changes(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options of the second run, as --compare changes them.

    Raises:
        UsageError: --compare does not name options and values.
    """
    other = copy.copy(options)
    for change in options.compare.split(","):
        key, equals, value = (text.strip() for text in change.partition("="))
        if not equals or key not in _CHANGEABLE:
            keys = ", ".join(_CHANGEABLE)
            raise UsageError(f"--compare takes KEY=VALUE with a key of: {keys}; got {change!r}")
        try:
            setattr(other, key, _CHANGEABLE[key](value))
        except ValueError as error:
            raise UsageError(f"--compare: {value!r} is no {key}") from error
    return other


def require_no_results(options: argparse.Namespace, change: str = "") -> Path:
    """Return the file for the results of a run, which must not exist.

    Args:
        options: with `out`, the folder.
        change: how the run differs from the first one.

    Raises:
        UsageError: the file exists, and --overwrite is not given.
    """
    stem = "-".join(["results", *filter(None, [change.replace("/", "-").replace(" ", "")])])
    out: Path = options.out / f"{stem}.json"
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: evaluate it with --results {out}, or make it again with --overwrite")
    return out


def require_second_model(options: argparse.Namespace) -> None:
    """Check, before the first run, that the second one can begin: open its model, and close it again.

    Raises:
        HprnetError: it cannot.
    """
    require_no_results(options, options.compare)
    changed = apply_changes(options)
    load_model(changed, flip=changed.flip, matching=changed.matching).close()


def first_contender(options: argparse.Namespace, annotations: Annotations) -> Contender:
    """Return the results of --results, or run the model over --images.

    Raises:
        Stopped: the run was stopped.
    """
    if options.images is None:
        return _read(options.results)
    return _run(options, annotations)


def second_contender(options: argparse.Namespace, annotations: Annotations) -> Contender:
    """Return the results that --compare names, or run the model with the changes that it names.

    Raises:
        Stopped: the run was stopped.
    """
    if options.images is None:
        return _read(Path(options.compare))
    return _run(apply_changes(options), annotations, options.compare)


def _read(path: Path) -> Contender:
    return Contender(path.name, read_results(path), None)


def _run(options: argparse.Namespace, annotations: Annotations, change: str = "") -> Contender:
    out = require_no_results(options, change)
    total = len(annotations.image_ids)
    with load_model(options, flip=options.flip, matching=options.matching) as model:
        chosen = " (auto)" if options.backend == "auto" else ""
        if not options.quiet:
            print(f"{model.name} on {shown_backend(model.description)}{chosen}", flush=True)
        prediction = _predict(model, annotations, options, out)
        name, spec = model.name, model.model_file.spec
    if prediction.cancelled:
        complain(
            f"stopped after {prediction.images} of {counted(total, 'image')}; the same command continues"
        )
        raise Stopped
    if not options.quiet:
        images, found = counted(prediction.images, "image"), counted(prediction.detections, "detection")
        earlier = f" ({prediction.resumed} of them earlier)" if prediction.resumed else ""
        closer = "" if prediction.closer is None else f" ({prediction.closer} looked at closer)"
        new = prediction.images - prediction.resumed
        rate = new / prediction.seconds if prediction.seconds else 0.0
        print(f"{images}{earlier}{closer}, {found}, {rate:.1f} images/s: wrote {out}")
    name = f"{name}, {change}" if change else name
    return Contender(name, read_results(out), _possible_parts(spec, annotations))


def _predict(
    model: PoseModel, annotations: Annotations, options: argparse.Namespace, out: Path
) -> Prediction:
    """Run the model over the images, with a progress bar."""
    bar: tqdm[None] = tqdm(
        total=len(annotations.image_ids),
        desc="images",
        unit=" images",
        file=sys.stderr,
        disable=options.quiet or None,  # None: only on a terminal
        dynamic_ncols=True,
        leave=False,
    )

    def progress(done: int, _all: int) -> None:
        bar.update(done - bar.n)

    with bar, cancelled_by_signals() as cancelled:
        return predict(model, annotations, options.images, out, progress=progress, cancelled=cancelled)


def _possible_parts(spec: ModelSpec, annotations: Annotations) -> tuple[str, ...]:
    """Return the parts that the model knows and the annotations have."""
    known = known_parts(spec)
    possible = [part for part in known if annotations.fields.issuperset(PART_TYPES[part].fields)]
    if known == tuple(part for part in PART_TYPES if part != "whole_body") == tuple(possible):
        possible.append("whole_body")
    return tuple(possible)
