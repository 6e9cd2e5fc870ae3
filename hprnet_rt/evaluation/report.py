"""Evaluations, comparisons and measures as text: for the terminal, Markdown, CSV and JSON. Pure functions.

Tables are in percent with one decimal, as the papers print them (NME with two); JSON has full precision, in
[0, 1].
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
"""What a comparison prints of each part."""

Report = Evaluation | Comparison | Measures | Sequence[Evaluation]
_Rows = list[list[str]]
_UNKNOWN = "-"
_WORDS = ("size", "score")  # columns that are no numbers


def percent(value: float | None, *, sign: bool = False, decimals: int = 1) -> str:
    """A score in [0, 1] in percent, "-" where there is none."""
    if value is None:
        return _UNKNOWN
    rounded = round(100 * value, decimals) + 0.0  # never -0.0
    return f"{rounded:{'+' if sign else ''}.{decimals}f}"


def to_text(report: Report) -> str:
    """Aligned columns, a table for points and another for boxes; of measures each under a sentence."""
    if isinstance(report, Measures):
        return "\n".join(f"{title}\n{_text(rows)}" for title, rows in _captioned(report))
    return _joined(report, _text)


def to_markdown(report: Report) -> str:
    """Markdown tables, one for points and another for boxes; of measures each under a sentence."""
    if isinstance(report, Measures):
        return "\n".join(f"{title}\n\n{_markdown(rows)}" for title, rows in _captioned(report))
    return _joined(report, _markdown)


def to_csv(report: Report) -> str:
    """One table, with the columns of points and of boxes, or of all measures; what a row lacks is empty."""
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


def to_json(report: Report) -> str:
    """Everything, with full precision; null where there is no score."""
    if isinstance(report, Comparison):
        data: Any = {
            "first": _facts(report.first),
            "second": _facts(report.second),
            "change": {part: dict(values) for part, values in report.change.items()},
        }
    elif isinstance(report, Measures):
        data = dataclasses.asdict(report)
    else:
        data = _facts(report) if isinstance(report, Evaluation) else [_facts(one) for one in report]
    return json.dumps(data, indent=1) + "\n"


def _facts(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "name": evaluation.name,
        "images": evaluation.images,
        "people": evaluation.people,
        "detections": evaluation.detections,
        "ranking": evaluation.ranking,
        "scores": {part: dict(values) for part, values in evaluation.scores.items()},
    }


def _joined(report: Report, form: Callable[[_Rows], str]) -> str:
    return "\n".join(form(table) for table in _tables(report))


def _tables(report: Report) -> list[_Rows]:
    """Header and rows, of points and of boxes; what has no rows is left out."""
    if isinstance(report, Comparison):
        return [_compared(report)]
    if isinstance(report, Measures):
        return [rows for _, rows in _captioned(report)]
    several = not isinstance(report, Evaluation)
    evaluations = list(report) if not isinstance(report, Evaluation) else [report]
    tables = []
    for boxes, metrics in ((False, KEYPOINT_METRICS), (True, BOX_METRICS)):
        rows = [
            [
                *([one.name] if several else []),
                _spoken(part),
                *(percent(values[metric]) for metric in metrics),
            ]
            for one in evaluations
            for part, values in one.scores.items()
            if (part in _FACE_BOXES) is boxes
        ]
        if rows:
            tables.append([[*(["results"] if several else []), "part", *metrics], *rows])
    return tables


def _compared(report: Comparison) -> _Rows:
    first, second = report.first, report.second
    names = ("first", "second") if first.name == second.name else (first.name, second.name)
    header = ["part"]
    for metric in COMPARED_METRICS:
        header += [f"{metric} {names[0]}", f"{metric} {names[1]}", f"{metric} change"]
    rows = []
    for part, change in report.change.items():
        row = [_spoken(part)]
        for metric in COMPARED_METRICS:
            key = metric if metric in change else "AR100"  # boxes have no plain AR
            row += [percent(first[part][key]), percent(second[part][key]), percent(change[key], sign=True)]
        rows.append(row)
    return [header, *rows]


def _captioned(measured: Measures) -> list[tuple[str, _Rows]]:
    """Tables of errors, of what is drawn and of how reliable scores are, with a sentence for each."""
    options = measured.options
    whose = "all, missing ones being wrong" if options.missing_wrong else "the found"
    errors: _Rows = [["part", "size", "people", "found", "missing", "OKS", "PCK", "NME", "median NME"]]
    for row in measured.rows:
        counts = (str(count) for count in (row.people, row.matched, row.missing))
        shares = (percent(row.oks), percent(row.pck))
        lengths = (percent(value, decimals=2) for value in (row.nme, row.nme_median))
        errors.append([_spoken(row.part), row.size, *counts, *shares, *lengths])
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
            drawn.append([_spoken(one.part), f"{one.least_score:g}", *known, *others])
        captioned.append(("Drawn, by the mean score of the part's points:", drawn))
    if measured.reliability:
        right: _Rows = [["part", "score", "points", "right"]]
        for step in measured.reliability:
            score = f"{step.low:.1f}-{step.high:.1f}"
            right.append([_spoken(step.part), score, str(step.points), percent(step.right)])
        captioned.append((f"Points within {RIGHT_OF_SIZE:g} of their part's size, by their score:", right))
    return captioned


def _spoken(part: str) -> str:
    return {"wholebody_mean": "wholebody-mean", "whole_body": "whole-body"}.get(part, part.replace("_", " "))


def aligned(rows: Sequence[Sequence[str]], words: int) -> str:
    """Rows of text as a table for a terminal; the first `words` columns start at the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if n < words else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


def _text(rows: _Rows) -> str:
    return aligned(rows, _words(rows))


def _markdown(rows: _Rows) -> str:
    return marked_down(rows, _words(rows))


def marked_down(rows: Sequence[Sequence[str]], words: int) -> str:
    """The same in Markdown."""
    rule = ["---" if n < words else "---:" for n in range(len(rows[0]))]
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in (escaped[0], rule, *escaped[1:]))


def _words(rows: _Rows) -> int:
    """How many columns at the left hold words."""
    part = rows[0].index("part")
    return part + (2 if rows[0][part + 1] in _WORDS else 1)
