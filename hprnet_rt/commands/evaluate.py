"""`hprnet-rt eval`: average precision of results, or of a model, against annotations."""

from __future__ import annotations

import argparse
import copy
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
from tqdm import tqdm

from hprnet_rt.commands.console import DONE, INTERRUPTED, AddParser, cancelled_by_signals, complain
from hprnet_rt.commands.options import add_model_options, load_model, size
from hprnet_rt.errors import MediaError, OutputError, UsageError
from hprnet_rt.evaluation import (
    FACE_BOXES,
    PAIR_BY,
    PART_TYPES,
    RANKINGS,
    Annotations,
    Evaluation,
    MeasureOptions,
    Results,
    compare,
    evaluate,
    measure,
    read_annotations,
    read_results,
    to_csv,
    to_json,
    to_markdown,
    to_text,
)
from hprnet_rt.evaluation.matching import library
from hprnet_rt.evaluation.report import Report, aligned, marked_down
from hprnet_rt.evaluation.tables import TABLES, table_rows
from hprnet_rt.evaluation.worst import draw_case, worst_people
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.grouping import MATCHINGS
from hprnet_rt.jobs.predict import known_parts, predict
from hprnet_rt.video import ImageSource

__all__ = ["add_parser"]

_FORMS: Final[dict[str, Callable[[Report], str]]] = {".md": to_markdown, ".csv": to_csv, ".json": to_json}
_YES: Final = ("1", "true", "yes")
_NO: Final = ("0", "false", "no")
_THRESHOLD: Final = 0.05  # average precision wants weak detections too
_MATCHED_SCORE: Final = 0.3  # least score of people whose points are measured: what `annotate` shows


def _yes(text: str) -> bool:
    """Whether a word says yes; ValueError when it is neither yes nor no."""
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


@dataclass(frozen=True)
class _Contender:
    """Something to be evaluated: its name, its results, and the parts that it can know."""

    name: str
    results: Results
    parts: tuple[str, ...] | None


class _Stopped(Exception):
    """Ctrl-C in the middle; what is done is kept."""


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Average precision and recall as COCO-WholeBody counts them, in percent: of a file of "
        "results, or of a model that is run over the images. A run that is interrupted continues when the "
        "same command is given again.",
    )
    job.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="FILE",
        help="the truth: COCO-WholeBody's JSON, or plain COCO keypoints",
    )
    job.add_argument("--results", type=Path, metavar="FILE", help="detections in COCO-WholeBody's format")
    job.add_argument("--images", type=Path, metavar="DIR", help="run a model over these images")
    job.add_argument(
        "--compare",
        metavar="OTHER",
        help="a second file of results; or, with --images, what is different in a second run, such as "
        "precision=fp32 or matching=released,backend=onnxruntime",
    )
    job.add_argument(
        "--parts",
        metavar="LIST",
        help=f"separated by commas: {', '.join((*PART_TYPES, *FACE_BOXES))} (default: the part types that "
        "the annotations have and the model knows)",
    )
    job.add_argument(
        "--rank-by",
        choices=RANKINGS,
        default=RANKINGS[0],
        help="what ranks feet, faces, hands and whole bodies: their own score where results have one, as "
        "COCO-WholeBody does, or the person's, as in the paper (default %(default)s)",
    )
    job.add_argument(
        "--table",
        type=int,
        action="append",
        choices=TABLES,
        default=[],
        metavar="N",
        help="also print the paper's table N (1 to 4) with the measured numbers in it",
    )
    job.add_argument(
        "--measures",
        action="store_true",
        help="also OKS, PCK and NME by part and size, which hands and faces are drawn, and how many points "
        "of a score are right; see below",
    )
    job.add_argument("--worst", type=int, default=0, metavar="N", help="pictures of the N worst people")
    job.add_argument("--out", type=Path, metavar="FOLDER", help="for results, reports and pictures")
    job.add_argument("--overwrite", action="store_true", help="replace the results of a finished run")
    job.add_argument("--flip", action="store_true", help="flip test (needs --backend torch)")
    job.add_argument(
        "--matching", default=MATCHINGS[0], help=f"{' or '.join(MATCHINGS)} (default %(default)s)"
    )
    add_model_options(job)
    _add_measure_options(job)
    job.add_argument("-q", "--quiet", action="store_true", help="print the numbers only")
    job.set_defaults(run=_evaluate, threshold=_THRESHOLD)


def _add_measure_options(job: argparse.ArgumentParser) -> None:
    """Add what --measures counts; the fields of `MeasureOptions`, None or False where nothing is said."""
    default = MeasureOptions()
    group = job.add_argument_group(
        "with --measures",
        f"Of detections that score {_MATCHED_SCORE} or more. Faces and hands of the shipped model are "
        "judged by --measures --threshold 0.3 --pair-by overlap --missing-wrong --whole-parts "
        "--least-hand-px 24 --alpha 0.2",
    )
    group.add_argument(
        "--alpha",
        type=float,
        metavar="SHARE",
        help="PCK is the share of points within this share of the part's own length: between the outer eye "
        "corners of a face, the longer side of a hand's or foot's labelled points, otherwise of the person's "
        f"box (default {default.alpha:g})",
    )
    group.add_argument(
        "--pair-by",
        choices=PAIR_BY,
        help="whom people are compared with: one to one by the body's OKS (oks) or by boxes (box), or all "
        "with the detection whose box overlaps theirs most, with an intersection over union above "
        f"{PAIR_BY['overlap']:g}, which two may share (overlap) (default {default.pair_by})",
    )
    group.add_argument(
        "--missing-wrong",
        action="store_true",
        help="people and points that were not found count as wrong, with an error (NME) of 1 and a PCK of 0; "
        "otherwise only those found count",
    )
    group.add_argument(
        "--whole-parts",
        action="store_true",
        help="only faces and hands that have every point labelled, and that the annotations call valid",
    )
    group.add_argument(
        "--least-hand-px",
        type=float,
        metavar="PX",
        help="only hands of which the longer side has so many pixels",
    )
    group.add_argument(
        "--drawn",
        type=float,
        nargs=2,
        metavar=("HANDS", "FACES"),
        help="least mean score of a drawn hand's and face's points (default "
        f"{default.hand_drawn:g} {default.face_drawn:g}, as they are drawn)",
    )


def _measuring(options: argparse.Namespace) -> MeasureOptions:
    """What --measures counts.

    Raises:
        UsageError: something is said of it without --measures, or makes no sense.
    """
    names = ("alpha", "pair_by", "missing_wrong", "whole_parts", "least_hand_px", "drawn")
    said = {
        name: value for name in names if (value := getattr(options, name)) is not None and value is not False
    }
    if said and not options.measures:
        raise UsageError(f"--{next(iter(said)).replace('_', '-')} says what --measures counts; give both")
    if "drawn" in said:
        said["hand_drawn"], said["face_drawn"] = said.pop("drawn")
    return MeasureOptions(least_score=_MATCHED_SCORE, **said)


def _evaluate(options: argparse.Namespace) -> int:
    _check(options)
    library()  # a missing package is told before the work, not after it
    if options.out is not None:
        _folder(options.out)  # before the work, not after it
    annotations = read_annotations(options.annotations)
    if options.images is not None:
        _place(options)
        if options.compare is not None:
            _require_second(_changed(options), options.compare)
    try:
        contenders = [_contender(options, annotations)]
        if options.compare is not None:
            contenders.append(_second(options, annotations))
    except _Stopped:
        return INTERRUPTED
    evaluations = [_evaluated(options, annotations, one) for one in contenders]
    for evaluation in evaluations:
        print(f"{_about(evaluation)}\n{to_text(evaluation)}", flush=True)
    reports: dict[str, Report] = {"evaluation": evaluations[0] if len(evaluations) == 1 else evaluations}
    if len(evaluations) > 1:
        comparison = compare(*evaluations)
        print(to_text(comparison), flush=True)
        reports["comparison"] = comparison
    extra = ""
    for number in options.table:
        rows = table_rows(number, evaluations[0])
        title = (
            f"The paper's table {number}: {TABLES[number].title}; AP/AR. Published on COCO-WholeBody's "
            f"validation images, measured on {annotations.name}"
        )
        print(f"{title}\n{aligned(rows, 2)}", flush=True)
        extra += f"\n{title}\n\n{marked_down(rows, 2)}"
    if options.measures:
        measured = measure(annotations, contenders[0].results, options=_measuring(options))
        print(to_text(measured), flush=True)
        extra += f"\n{to_markdown(measured)}"
        reports["measures"] = measured
    if options.out is not None:
        for stem, report in reports.items():
            _write_all(options.out, stem, report, extra if stem == "evaluation" else "")
    if options.worst:
        _draw_worst(options, annotations, contenders[0].results)
    return DONE


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be done, before anything is read."""
    if (options.results is None) == (options.images is None):
        raise UsageError(
            "give either --results FILE to evaluate a file, or --images DIR to run a model over images"
        )
    if options.images is not None and options.out is None:
        raise UsageError(
            "--images needs --out FOLDER: the results are written there, and continued from there"
        )
    if options.worst < 0:
        raise UsageError(f"--worst is a number of people, got {options.worst}")
    if options.worst and options.out is None:
        raise UsageError("--worst needs --out FOLDER for its pictures")
    if options.worst and options.images is None:
        raise UsageError("--worst needs --images DIR to cut people out of")
    _measuring(options)
    if options.images is not None and not options.images.is_dir():
        raise UsageError(f"there is no folder {options.images}")
    if options.images is not None and options.compare is not None:
        _changed(options)


def _place(options: argparse.Namespace, change: str = "") -> Path:
    """Where the results of a run go; `change` says how it differs from the first.

    Raises:
        UsageError: there are some.
    """
    stem = "-".join(["results", *filter(None, [change.replace("/", "-").replace(" ", "")])])
    out: Path = options.out / f"{stem}.json"
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: evaluate it with --results {out}, or make it again with --overwrite")
    return out


def _require_second(options: argparse.Namespace, change: str) -> None:
    """See, before the first run, that the second one can begin: its model is opened, and closed again."""
    _place(options, change)
    load_model(options, flip=options.flip, matching=options.matching).close()


def _contender(options: argparse.Namespace, annotations: Annotations, change: str = "") -> _Contender:
    """Results from a file, or from running a model; `change` says how it differs from the first."""
    if options.images is None:
        return _Contender(options.results.name, read_results(options.results), None)
    out = _place(options, change)
    with load_model(options, flip=options.flip, matching=options.matching) as model:
        chosen = " (auto)" if options.backend == "auto" else ""
        if not options.quiet:
            print(f"{model.name} on {model.description}{chosen}", flush=True)
        known = known_parts(model.model_file.spec)
        with _bar(options, len(annotations.image_ids)) as bar, cancelled_by_signals() as cancelled:
            made = _predicted(model, annotations, options, out, bar, cancelled)
    if made.cancelled:
        complain(
            f"stopped after {made.images} of {len(annotations.image_ids)} images; the same command continues"
        )
        raise _Stopped
    if not options.quiet:
        again = f" ({made.resumed} of them earlier)" if made.resumed else ""
        rate = (made.images - made.resumed) / made.seconds if made.seconds else 0.0
        print(f"{made.images} images{again}, {made.detections} detections, {rate:.1f} images/s: wrote {out}")
    possible = [part for part in known if annotations.fields.issuperset(PART_TYPES[part].fields)]
    if known == tuple(part for part in PART_TYPES if part != "whole_body") == tuple(possible):
        possible.append("whole_body")
    name = ", ".join([model.name, *filter(None, [change])])
    return _Contender(name, read_results(out), tuple(possible))


def _predicted(
    model: Any,
    annotations: Annotations,
    options: argparse.Namespace,
    out: Path,
    bar: tqdm[None],
    cancelled: threading.Event,
) -> Any:
    def progress(done: int, _all: int) -> None:
        bar.update(done - bar.n)

    return predict(model, annotations, options.images, out, progress=progress, cancelled=cancelled)


def _bar(options: argparse.Namespace, total: int) -> tqdm[None]:
    return tqdm(
        total=total,
        desc="images",
        unit=" images",
        file=sys.stderr,
        disable=options.quiet or None,  # None: only on a terminal
        dynamic_ncols=True,
        leave=False,
    )


def _second(options: argparse.Namespace, annotations: Annotations) -> _Contender:
    """What --compare asks for."""
    if options.images is None:
        path = Path(options.compare)
        return _Contender(path.name, read_results(path), None)
    return _contender(_changed(options), annotations, options.compare)


def _changed(options: argparse.Namespace) -> argparse.Namespace:
    """The options of the second run."""
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


def _evaluated(options: argparse.Namespace, annotations: Annotations, one: _Contender) -> Evaluation:
    parts: list[str] | tuple[str, ...] | None = one.parts
    if options.parts is not None:
        parts = [part.strip() for part in options.parts.split(",") if part.strip()]
    return evaluate(annotations, one.results, parts, ranking=options.rank_by, name=one.name)


def _about(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.name}: {evaluation.detections} detections, {evaluation.people} people in "
        f"{evaluation.images} images"
    )


def _draw_worst(options: argparse.Namespace, annotations: Annotations, results: Results) -> None:
    folder = options.out / "worst"
    _folder(folder)
    cases = worst_people(annotations, results, options.worst, least_score=_MATCHED_SCORE)
    for number, case in enumerate(cases, start=1):
        (frame,) = ImageSource(options.images / case.file_name)
        picture = draw_case(frame.image, case, annotations, results)
        path = folder / f"{number:03d}-{Path(case.file_name).stem}.jpg"
        try:
            written = cv2.imwrite(str(path), picture)
        except cv2.error as error:
            raise MediaError(f"cannot draw {case.file_name}: {error.err}") from error
        if not written:
            raise OutputError(f"cannot write {path}: is there room?")
    print(f"wrote {len(cases)} pictures to {folder}: truth in white, what was found in colours")


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {reason(error)}") from error


def _write_all(folder: Path, stem: str, report: Report, extra: str) -> None:
    """A file in each form, and a line that says so; `extra` Markdown goes to the end of the .md."""
    for suffix, form in _FORMS.items():
        file = PartialFile(folder / f"{stem}{suffix}")
        file.create()
        try:
            file.partial.write_text(form(report) + (extra if suffix == ".md" else ""), encoding="utf-8")
        except OSError as error:
            file.partial.unlink(missing_ok=True)
            raise OutputError(f"cannot write {file.path}: {reason(error)}") from error
        file.commit()
    print(f"wrote {', '.join(str(folder / f'{stem}{suffix}') for suffix in _FORMS)}")
