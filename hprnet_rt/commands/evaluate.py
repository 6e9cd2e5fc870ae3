"""`hprnet-rt eval`: average precision of results, or of a model, against annotations."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

from hprnet_rt.commands.console import DONE, INTERRUPTED, AddParser
from hprnet_rt.commands.contenders import (
    Contender,
    Stopped,
    apply_changes,
    first_contender,
    require_no_results,
    require_second_model,
    second_contender,
)
from hprnet_rt.commands.evaluation_files import draw_worst, make_folder, write_report
from hprnet_rt.commands.options import add_model_options
from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import (
    FACE_BOXES,
    PAIR_BY,
    PART_TYPES,
    RANKINGS,
    Annotations,
    Evaluation,
    MeasureOptions,
    compare,
    evaluate,
    measure,
    read_annotations,
    to_markdown,
    to_text,
)
from hprnet_rt.evaluation.matching import library
from hprnet_rt.evaluation.report import EvaluationReport, markdown_table, text_table
from hprnet_rt.evaluation.tables import BY_USER, MEASURED_HERE, TABLES, table_rows
from hprnet_rt.grouping import MATCHINGS
from hprnet_rt.words import counted, duration

__all__ = ["add_parser"]

_THRESHOLD: Final = 0.05  # average precision counts weak detections too
_MATCHED_SCORE: Final = 0.3  # least score of a person whose points are measured: as in `annotate`


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Average precision and recall as COCO-WholeBody counts them, in percent: of a file of "
        "results, or of a model that is run over the images. The same command continues an interrupted run.",
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
        help="a second file of results; or, with --images, the options that differ in a second run, such as "
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
        help="score that ranks feet, faces, hands and whole bodies: their own where results have one, as in "
        "COCO-WholeBody, or the person's, as in the paper (default %(default)s)",
    )
    job.add_argument(
        "--table",
        type=int,
        action="append",
        choices=TABLES,
        default=[],
        metavar="N",
        help="also print the paper's table N (1 to 4), with the measured numbers added",
    )
    job.add_argument(
        "--measures",
        action="store_true",
        help="also print OKS, PCK and NME by part and size, which hands and faces are drawn, and the share "
        "of right points by score; see below",
    )
    job.add_argument("--worst", type=int, default=0, metavar="N", help="draw the N worst people")
    job.add_argument("--out", type=Path, metavar="FOLDER", help="folder for results, reports and pictures")
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
    """Add the options of --measures: the fields of `MeasureOptions`, None or False when not given."""
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
        help="pair people with detections one to one by the body's OKS (oks) or by boxes (box), or each with "
        "the detection whose box overlaps theirs most, with an intersection over union above "
        f"{PAIR_BY['overlap']:g}, which two people may share (overlap) (default {default.pair_by})",
    )
    group.add_argument(
        "--missing-wrong",
        action="store_true",
        help="count people and points that were not found as wrong, with an error (NME) of 1 and a PCK of 0; "
        "otherwise they do not count",
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
        help="only hands whose longer side has at least PX pixels",
    )
    group.add_argument(
        "--drawn",
        type=float,
        nargs=2,
        metavar=("HANDS", "FACES"),
        help="least mean score of a drawn hand's and face's points (default "
        f"{default.hand_drawn:g} {default.face_drawn:g}, as they are drawn)",
    )


def _measure_options(options: argparse.Namespace) -> MeasureOptions:
    """Return the options of --measures.

    Raises:
        UsageError: one is given without --measures, or makes no sense.
    """
    names = ("alpha", "pair_by", "missing_wrong", "whole_parts", "least_hand_px", "drawn")
    values = {name: getattr(options, name) for name in names}
    given = {name: value for name, value in values.items() if value is not None and value is not False}
    if given and not options.measures:
        raise UsageError(f"--{next(iter(given)).replace('_', '-')} says what --measures counts; give both")
    if "drawn" in given:
        given["hand_drawn"], given["face_drawn"] = given.pop("drawn")
    return MeasureOptions(least_score=_MATCHED_SCORE, **given)


def _evaluate(options: argparse.Namespace) -> int:
    begin_s = time.perf_counter()
    _check(options)
    library()  # a missing package is reported before the work, not after it
    if options.out is not None:
        make_folder(options.out)  # before the work, too
    annotations = read_annotations(options.annotations)
    if options.images is not None:
        require_no_results(options)
        if options.compare is not None:
            require_second_model(options)
    try:
        contenders = [first_contender(options, annotations)]
        if options.compare is not None:
            contenders.append(second_contender(options, annotations))
    except Stopped:
        return INTERRUPTED
    evaluations = [_evaluate_one(options, annotations, contender) for contender in contenders]
    for evaluation in evaluations:
        print(f"{_heading(evaluation)}\n{to_text(evaluation)}", flush=True)
    reports: dict[str, EvaluationReport] = {
        "evaluation": evaluations[0] if len(evaluations) == 1 else evaluations
    }
    if len(evaluations) > 1:
        comparison = compare(*evaluations)
        print(to_text(comparison), flush=True)
        reports["comparison"] = comparison
    more_markdown = _print_tables(options, evaluations[0], annotations)
    if options.measures:
        measures = measure(annotations, contenders[0].results, options=_measure_options(options))
        print(to_text(measures), flush=True)
        more_markdown += f"\n{to_markdown(measures)}"
        reports["measures"] = measures
    if options.out is not None:
        for stem, report in reports.items():
            write_report(options.out, stem, report, more_markdown if stem == "evaluation" else "")
    if options.worst:
        draw_worst(
            options.out / "worst",
            options.images,
            annotations,
            contenders[0].results,
            count=options.worst,
            least_score=_MATCHED_SCORE,
        )
    if not options.quiet:
        print(f"total time {duration(time.perf_counter() - begin_s)}")
    return DONE


def _print_tables(options: argparse.Namespace, evaluation: Evaluation, annotations: Annotations) -> str:
    """Print the paper's tables that --table names, with measured numbers, and return them as Markdown."""
    markdown = ""
    for number in options.table:
        rows = table_rows(number, evaluation, BY_USER if options.images is None else MEASURED_HERE)
        title = (
            f"The paper's table {number}: {TABLES[number].title}; AP/AR. Published on COCO-WholeBody's "
            f"validation images, measured on {annotations.name}"
        )
        print(f"{title}\n{text_table(rows, 2)}", flush=True)
        markdown += f"\n{title}\n\n{markdown_table(rows, 2)}"
    return markdown


def _check(options: argparse.Namespace) -> None:
    """Check the options, before anything is read.

    Raises:
        UsageError: they do not go together.
    """
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
    _measure_options(options)
    if options.images is not None and not options.images.is_dir():
        raise UsageError(f"there is no folder {options.images}")
    if options.images is not None and options.compare is not None:
        apply_changes(options)


def _evaluate_one(options: argparse.Namespace, annotations: Annotations, contender: Contender) -> Evaluation:
    parts: list[str] | tuple[str, ...] | None = contender.parts
    if options.parts is not None:
        parts = [part.strip() for part in options.parts.split(",") if part.strip()]
    return evaluate(annotations, contender.results, parts, ranking=options.rank_by, name=contender.name)


def _heading(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.name}: {counted(evaluation.detections, 'detection')}, "
        f"{counted(evaluation.people, 'person')} in {counted(evaluation.images, 'image')}"
    )
