"""Evaluations, comparisons and measures as text: for the terminal, Markdown, CSV and JSON. Pure functions.

Tables are in percent with one decimal, as in the papers (NME with two); JSON has values in [0, 1] with full
precision.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from hprnet_rt.evaluation.certainty import RIGHT_OF_SIZE
from hprnet_rt.evaluation.compare import Comparison
from hprnet_rt.evaluation.evaluate import Evaluation
from hprnet_rt.evaluation.measures import Measures
from hprnet_rt.evaluation.parts import BOX_METRICS, KEYPOINT_METRICS
from hprnet_rt.evaluation.parts import FACE_BOXES as _FACE_BOXES

__all__ = ["COMPARED_METRICS", "percent", "to_csv", "to_json", "to_markdown", "to_text"]

COMPARED_METRICS: Final = ("AP", "AR")
"""The metrics that a comparison prints for each part."""

EvaluationReport = Evaluation | Comparison | Measures | Sequence[Evaluation]
_Rows = list[list[str]]
_UNKNOWN = "-"
_WORDS = ("size", "score")  # columns that do not hold numbers


def percent(value: float | None, *, sign: bool = False, decimals: int = 1) -> str:
    """Format a score in [0, 1] in percent; None becomes "-"."""
    if value is None:
        return _UNKNOWN
    rounded = round(100 * value, decimals) + 0.0  # never -0.0
    return f"{rounded:{'+' if sign else ''}.{decimals}f}"


def to_text(report: EvaluationReport) -> str:
    """Format a report in aligned columns, one table for points and one for boxes; measures have captions."""
    if isinstance(report, Measures):
        return "\n".join(f"{title}\n{_to_text_table(rows)}" for title, rows in _measure_tables(report))
    return _join_tables(report, _to_text_table)


def to_markdown(report: EvaluationReport) -> str:
    """Format a report as Markdown tables, one for points and one for boxes; measures have captions."""
    if isinstance(report, Measures):
        return "\n".join(f"{title}\n\n{_to_markdown_table(rows)}" for title, rows in _measure_tables(report))
    return _join_tables(report, _to_markdown_table)


def to_csv(report: EvaluationReport) -> str:
    """Format a report as one CSV table with the columns of all its tables; missing values are empty."""
    tables = _tables(report)
    columns = list(dict.fromkeys(name for table in tables for name in table[0]))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for header, *rows in tables:
        for row in rows:
            cells = zip(header, row, strict=True)
            writer.writerow({name: "" if cell == _UNKNOWN else cell for name, cell in cells})
    return out.getvalue()


def to_json(report: EvaluationReport) -> str:
    """Format a report as JSON with full precision; null where there is no score."""
    if isinstance(report, Comparison):
        data: Any = {
            "first": _evaluation_data(report.first),
            "second": _evaluation_data(report.second),
            "change": {part: dict(values) for part, values in report.change.items()},
        }
    elif isinstance(report, Measures):
        data = dataclasses.asdict(report)
    else:
        data = (
            _evaluation_data(report)
            if isinstance(report, Evaluation)
            else [_evaluation_data(one) for one in report]
        )
    return json.dumps(data, indent=1) + "\n"


def _evaluation_data(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "name": evaluation.name,
        "images": evaluation.images,
        "people": evaluation.people,
        "detections": evaluation.detections,
        "ranking": evaluation.ranking,
        "scores": {part: dict(values) for part, values in evaluation.scores.items()},
    }


def _join_tables(report: EvaluationReport, form: Callable[[_Rows], str]) -> str:
    return "\n".join(form(table) for table in _tables(report))


def _tables(report: EvaluationReport) -> list[_Rows]:
    """Return the tables of points and of boxes, each a header and rows; a table without rows is left out."""
    if isinstance(report, Comparison):
        return [_comparison_table(report)]
    if isinstance(report, Measures):
        return [rows for _, rows in _measure_tables(report)]
    several = not isinstance(report, Evaluation)
    evaluations = list(report) if not isinstance(report, Evaluation) else [report]
    tables = []
    for boxes, metrics in ((False, KEYPOINT_METRICS), (True, BOX_METRICS)):
        rows = [
            [one.name, _part_title(part), *(percent(values[metric]) for metric in metrics)]
            for one in evaluations
            for part, values in one.scores.items()
            if (part in _FACE_BOXES) is boxes
        ]
        if rows:
            table = [["results", "part", *metrics], *rows]
            tables.append(table if several else [row[1:] for row in table])
    return tables


def _comparison_table(report: Comparison) -> _Rows:
    first, second = report.first, report.second
    names = ("first", "second") if first.name == second.name else (first.name, second.name)
    header = ["part"]
    for metric in COMPARED_METRICS:
        header += [f"{metric} {names[0]}", f"{metric} {names[1]}", f"{metric} change"]
    rows = []
    for part, change in report.change.items():
        row = [_part_title(part)]
        for metric in COMPARED_METRICS:
            key = metric if metric in change else "AR100"  # boxes have no plain AR
            row += [percent(first[part][key]), percent(second[part][key]), percent(change[key], sign=True)]
        rows.append(row)
    return [header, *rows]


def _measure_tables(measured: Measures) -> list[tuple[str, _Rows]]:
    """Return the tables of errors, of drawn parts and of the scores' reliability, each after its caption."""
    options = measured.options
    whose = "all, missing ones being wrong" if options.missing_wrong else "the found"
    errors: _Rows = [["part", "size", "people", "found", "missing", "OKS", "PCK", "NME", "median NME"]]
    for row in measured.rows:
        counts = (str(count) for count in (row.people, row.matched, row.missing))
        shares = (percent(row.oks), percent(row.pck))
        lengths = (percent(value, decimals=2) for value in (row.nme, row.nme_median))
        errors.append([_part_title(row.part), row.size, *counts, *shares, *lengths])
    captioned = [
        (
            f"Of {measured.people} people {measured.found} found; {measured.extra} other detections, those "
            f"of ignored people included (score at least {options.least_score:g}); of {whose}, by size, PCK "
            f"within {options.alpha:g} of a part's length:",
            errors,
        )
    ]
    if measured.drawn:
        drawn: _Rows = [["part", "least score", "labelled", "drawn", "not labelled", "drawn of these"]]
        for one in measured.drawn:
            known = (str(one.labelled), percent(one.of_labelled))
            others = (str(one.unlabelled), percent(one.of_unlabelled))
            drawn.append([_part_title(one.part), f"{one.least_score:g}", *known, *others])
        captioned.append(("Drawn, by the mean score of the part's points:", drawn))
    if measured.reliability:
        right: _Rows = [["part", "score", "points", "right"]]
        for step in measured.reliability:
            score = f"{step.low:.1f}-{step.high:.1f}"
            right.append([_part_title(step.part), score, str(step.points), percent(step.right)])
        captioned.append((f"Points within {RIGHT_OF_SIZE:g} of their part's size, by their score:", right))
    return captioned


def _part_title(part: str) -> str:
    return {"wholebody_mean": "wholebody-mean", "whole_body": "whole-body"}.get(part, part.replace("_", " "))


def text_table(rows: Sequence[Sequence[str]], words: int) -> str:
    """Format rows of text as a table for a terminal; the first `words` columns are aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if n < words else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


def _to_text_table(rows: _Rows) -> str:
    return text_table(rows, _word_columns(rows))


def _to_markdown_table(rows: _Rows) -> str:
    return markdown_table(rows, _word_columns(rows))


def markdown_table(rows: Sequence[Sequence[str]], words: int) -> str:
    """Format rows of text as a Markdown table; the first `words` columns are aligned to the left."""
    rule = ["---" if n < words else "---:" for n in range(len(rows[0]))]
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in (escaped[0], rule, *escaped[1:]))


def _word_columns(rows: _Rows) -> int:
    """Return the number of columns at the left that hold words."""
    part = rows[0].index("part")
    return part + (2 if rows[0][part + 1] in _WORDS else 1)
