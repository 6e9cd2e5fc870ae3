"""Evaluations and comparisons as text: for the terminal, Markdown, CSV and JSON. Pure functions.

Tables are in percent with one decimal, as the papers print them; JSON has full precision, in [0, 1].
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from hprnet_rt.evaluation.compare import Comparison
from hprnet_rt.evaluation.evaluate import Evaluation
from hprnet_rt.evaluation.parts import BOX_METRICS, KEYPOINT_METRICS
from hprnet_rt.evaluation.parts import FACE_BOXES as _FACE_BOXES

__all__ = ["COMPARED_METRICS", "percent", "to_csv", "to_json", "to_markdown", "to_text"]

COMPARED_METRICS: Final = ("AP", "AR")
"""What a comparison prints of each part."""

Report = Evaluation | Comparison | Sequence[Evaluation]
_Rows = list[list[str]]
_UNKNOWN = "-"


def percent(value: float | None, *, sign: bool = False) -> str:
    """A score in [0, 1] with one decimal, "-" where there is none."""
    if value is None:
        return _UNKNOWN
    rounded = round(100 * value, 1) + 0.0  # never -0.0
    return f"{rounded:{'+' if sign else ''}.1f}"


def to_text(report: Report) -> str:
    """Aligned columns, a table for points and another for boxes."""
    return _joined(report, _text)


def to_markdown(report: Report) -> str:
    """Markdown tables, one for points and another for boxes."""
    return _joined(report, _markdown)


def to_csv(report: Report) -> str:
    """One table, with the columns of points and of boxes; what a row does not have is empty."""
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
    return rows[0].index("part") + 1
