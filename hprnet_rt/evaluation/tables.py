"""The paper's tables, with measured numbers beside the published ones.

The published numbers are those of Samet and Akbas, "Hierarchical Point Regression for Whole-Body Human Pose
Estimation" (2021), tables 1 to 4: COCO-WholeBody's validation images, in percent, no test-time augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation.evaluate import Evaluation

__all__ = ["BY_USER", "MEASURED_HERE", "TABLES", "PaperTable", "table_rows"]

MEASURED_HERE: Final = "measured here"
"""The model was run on this machine, by the command that shows the table."""
BY_USER: Final = "measured by the user"
"""The results come from a file: who made it knows how."""
_PARTS: Final = ("body", "foot", "face", "hand", "whole_body", "wholebody_mean")
_Pairs = tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables.

    Attributes:
        title: what it compares.
        columns: parts, or face boxes.
        rows: by system, (AP, AR) of each column in percent; AR is None where it is not known.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str, _Pairs]


def _ap(*values: float) -> _Pairs:
    return tuple((value, None) for value in values)


_DLA: Final[_Pairs] = ((55.2, 63.1), (49.1, 60.9), (74.6, 83.7), (47.0, 60.8), (31.5, 44.6), (51.5, 62.6))
_HOURGLASS: Final[_Pairs] = (
    (59.4, 68.3),
    (53.0, 65.4),
    (75.4, 86.8),
    (50.4, 64.2),
    (34.8, 49.2),
    (54.6, 66.8),
)
_HM1: Final[_Pairs] = ((55.5, 63.4), (33.5, 55.3), (74.6, 83.5), (44.1, 57.8), (28.0, 40.5), (47.1, 60.1))
_BASELINE: Final[_Pairs] = (
    (46.7, 55.5),
    (33.6, 48.9),
    (52.0, 60.2),
    (26.4, 39.1),
    (33.3, 43.4),
    (38.4, 49.4),
)
_ZOOMNET: Final[_Pairs] = ((74.3, 80.2), (79.8, 86.9), (62.3, 70.1), (40.1, 49.8), (54.1, 65.8), (62.1, 70.6))

# the AR of these four: the dataset's repository, which has the same AP (COCO-WholeBody V0.5)
_PAF: Final[_Pairs] = ((26.6, 32.8), (10.0, 25.7), (30.9, 36.2), (13.3, 32.1), (14.1, 18.5), (19.0, None))
_SN: Final[_Pairs] = ((28.0, 33.6), (12.1, 27.7), (38.2, 44.0), (13.8, 33.6), (16.1, 20.9), (21.6, None))
_AE: Final[_Pairs] = ((40.5, 46.4), (7.7, 16.0), (47.7, 58.0), (34.1, 43.5), (27.4, 35.0), (31.5, None))
_OPENPOSE: Final[_Pairs] = (
    (56.3, 61.2),
    (53.2, 64.5),
    (48.2, 62.6),
    (19.8, 34.2),
    (33.8, 44.9),
    (42.3, None),
)

TABLES: Final[dict[int, PaperTable]] = {
    1: PaperTable(
        "feet from foot centres (HM-I) or as joints (HM-II)",
        _PARTS,
        {"HPRNet DLA, HM-I": _HM1, "HPRNet DLA, HM-II": _DLA},
    ),
    2: PaperTable(
        "the baseline (CenterNet, all points from the person's centre) and HPRNet",
        _PARTS,
        {"baseline DLA": _BASELINE, "HPRNet DLA": _DLA},
    ),
    3: PaperTable(
        "other systems",
        _PARTS,
        {
            "PAF": _PAF,
            "SN": _SN,
            "AE": _AE,
            "OpenPose": _OPENPOSE,
            "HRNet": _ap(65.9, 31.4, 52.3, 30.0, 43.2, 44.6),
            "ZoomNet (top-down)": _ZOOMNET,
            "HPRNet DLA": _DLA,
            "HPRNet Hourglass-104": _HOURGLASS,
        },
    ),
    4: PaperTable(
        "face boxes: from the extreme face points, and from the face's width and height branch",
        ("face_points_box", "face_box"),
        {
            "ZoomNet (top-down)": ((37.7, None),),
            "HPRNet DLA": ((46.2, None), (55.8, None)),
            "HPRNet Hourglass-104": ((46.1, None), (56.4, None)),
        },
    ),
}
"""The tables by their numbers in the paper."""


def _pair(ap: float | None, ar: float | None) -> str:
    if ap is None:
        return "-"
    return f"{ap:.1f}" if ar is None else f"{ap:.1f}/{ar:.1f}"


def table_rows(number: int, measured: Evaluation, how: str = MEASURED_HERE) -> list[list[str]]:
    """Return a table of text: a heading, the paper's rows marked "published", and one that was measured.

    A cell is AP/AR in percent, or "-" if there is no value.

    Args:
        number: of the table.
        measured: what is compared with it.
        how: `MEASURED_HERE` where the model was run by this command, `BY_USER` for a file of results.

    Raises:
        UsageError: the paper has no table of this number.
    """
    if number not in TABLES:
        raise UsageError(f"the paper has no table {number}; use one of: {', '.join(map(str, TABLES))}")
    table = TABLES[number]
    rows = [["system", "", *(name.replace("_", " ") for name in table.columns)]]
    for system, pairs in table.rows.items():
        cells = [_pair(*pair) for pair in pairs]
        rows.append([system, "published", *cells, *["-"] * (len(table.columns) - len(cells))])
    ours = []
    for column in table.columns:
        scores = measured.scores.get(column, {})
        ap, ar = (scores.get(metric) for metric in ("AP", "AR"))
        ours.append(_pair(None if ap is None else 100 * ap, None if ar is None else 100 * ar))
    rows.append([measured.name, how, *ours])
    return rows
