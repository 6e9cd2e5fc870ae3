"""People to and from NumPy and pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import BackendError, ShapeError, UsageError
from hprnet_rt.types.frame import Frame
from hprnet_rt.types.poses import Poses
from hprnet_rt.types.values import KEY_COLUMNS, VALUE_COLUMNS, from_values, to_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_numpy", "from_pandas", "to_pandas"]


def from_numpy(
    points: npt.ArrayLike,
    box_xyxy: npt.ArrayLike | None,
    face_xyxy: npt.ArrayLike | None,
    person_score: npt.ArrayLike | None,
    track_id: npt.ArrayLike | None,
) -> Poses:
    """Return the people of an array; see `Poses.from_numpy`."""
    given = np.array(points, np.float32)
    people = len(given) if given.ndim else 0
    if given.shape != (people, skeleton.NUM_KEYPOINTS, 3):
        raise ShapeError(f"people are points (N, {skeleton.NUM_KEYPOINTS}, 3), got {given.shape}")
    given[np.isnan(given[..., :2]).any(axis=2)] = (np.nan, np.nan, 0.0)
    xy, score = given[..., :2].copy(), given[..., 2].copy()
    score[np.isnan(score)] = 0.0
    xy[score == 0.0] = np.nan
    there = score > 0.0

    def each(values: npt.ArrayLike, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.asarray(values, kind)

    if box_xyxy is None:
        if not there.any(axis=1).all():
            nobody = int(np.flatnonzero(~there.any(axis=1))[0])
            raise ShapeError(f"person {nobody} has no point, from which a box could be made; give box_xyxy")
        low = np.where(there[..., None], xy, np.inf).min(axis=1, initial=np.inf)
        high = np.where(there[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
        box_xyxy = np.concatenate((low, high), axis=1)
    if person_score is None:
        person_score = score.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return Poses(
        xy,
        score,
        each(box_xyxy, np.float32),
        each(np.full((people, 4), np.nan) if face_xyxy is None else face_xyxy, np.float32),
        each(person_score, np.float32),
        each(np.full(people, -1) if track_id is None else track_id, np.int64),
    )


def to_pandas(poses: Poses, frame: Frame | None) -> pd.DataFrame:
    """Return a table with a row for each person; see `Poses.to_pandas`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise BackendError(
            f"a table of people needs pandas ({error}); install it: pip install 'hprnet-rt[pandas]'"
        ) from error
    ids = pd.array([None if each < 0 else each for each in poses.track_id.tolist()], "Int64")
    number = None if frame is None else frame.sequence
    keys = {
        "frame": pd.array([number] * len(poses), "Int64"),
        "pts_s": np.full(len(poses), np.nan if frame is None or frame.pts_s is None else frame.pts_s),
        "person": np.arange(len(poses)),
        "track_id": ids,
    }
    values = pd.DataFrame(to_values(poses), columns=list(VALUE_COLUMNS))
    return pd.concat([pd.DataFrame(keys, columns=list(KEY_COLUMNS)), values], axis=1)


def from_pandas(table: pd.DataFrame) -> Poses:
    """Return the people of one frame of a table; see `Poses.from_pandas`."""
    missing = [name for name in ("track_id", *VALUE_COLUMNS) if name not in table.columns]
    if missing:
        raise UsageError(f"a table of people has a column {missing[0]}; make it with Poses.to_pandas")
    if "frame" in table.columns and table["frame"].nunique(dropna=False) > 1:
        raise UsageError(
            "the table is of several frames: take one, as in table.groupby('frame'), and make poses of each"
        )
    ids = table["track_id"].astype("Float64").to_numpy(np.float64, na_value=-1)
    values = table[list(VALUE_COLUMNS)].to_numpy(np.float32)
    return from_values(values, [None if each < 0 else int(each) for each in ids.tolist()])
