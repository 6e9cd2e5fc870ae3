"""Which parts OpenPose's networks have, which pairs it connects, and where they are among our 133 points.

Source: OpenPose's poseParameters.cpp; checked against its tables.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton

__all__ = [
    "BODY18_FIELDS",
    "BODY18_PAIRS",
    "BODY18_TO_133",
    "BODY25_FIELDS",
    "BODY25_PAIRS",
    "BODY25_TO_133",
    "BODY135_FIELDS",
    "BODY135_PAIRS",
    "BODY135_TO_133",
]

_Pairs = tuple[tuple[int, int], ...]

# fmt: off
_PAIRS_18: Final[_Pairs] = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)
_FIELDS_18: Final = (
    12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26,
)
_OURS_18: Final = (
    0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10, -1, -1, -1, -1, -1, -1,
)
_PAIRS_25: Final[_Pairs] = (
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13),
    (13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (2, 17), (5, 18), (14, 19), (19, 20), (14, 21),
    (11, 22), (22, 23), (11, 24),
)
_FIELDS_25: Final = (
    0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28, 40, 42, 44, 46, 48, 50,
)
_OURS_25: Final = (
    0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11, 19, 20, 21, 22, 23, 24,
)
_PAIRS_135: Final[_Pairs] = (
    (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (6, 8), (7, 9), (8, 10), (5, 11), (6, 12), (11,
    13), (12, 14), (13, 15), (14, 16), (15, 19), (19, 20), (15, 21), (16, 22), (22, 23), (16, 24), (5, 17),
    (17, 18), (6, 17), (3, 4), (3, 5), (4, 6), (5, 9), (6, 10), (9, 10), (9, 11), (10, 12), (11, 12), (15,
    16), (9, 25), (25, 26), (26, 27), (27, 28), (9, 29), (29, 30), (30, 31), (31, 32), (9, 33), (33, 34),
    (34, 35), (35, 36), (9, 37), (37, 38), (38, 39), (39, 40), (9, 41), (41, 42), (42, 43), (43, 44), (10,
    45), (45, 46), (46, 47), (47, 48), (10, 49), (49, 50), (50, 51), (51, 52), (10, 53), (53, 54), (54, 55),
    (55, 56), (10, 57), (57, 58), (58, 59), (59, 60), (10, 61), (61, 62), (62, 63), (63, 64), (0, 95), (2,
    104), (1, 107), (65, 66), (66, 67), (67, 68), (68, 69), (69, 70), (70, 71), (71, 72), (72, 73), (73,
    74), (74, 75), (75, 76), (76, 77), (77, 78), (78, 79), (79, 80), (80, 81), (65, 82), (81, 91), (82, 83),
    (83, 84), (84, 85), (85, 86), (86, 87), (87, 88), (88, 89), (89, 90), (90, 91), (86, 92), (87, 92), (92,
    93), (93, 94), (94, 95), (95, 98), (98, 97), (97, 96), (98, 99), (99, 100), (92, 104), (92, 107), (101,
    102), (102, 103), (103, 104), (104, 105), (105, 106), (107, 108), (108, 109), (109, 110), (110, 111),
    (111, 112), (98, 116), (113, 114), (114, 115), (115, 116), (116, 117), (117, 118), (118, 119), (119,
    120), (120, 121), (121, 122), (122, 123), (123, 124), (113, 125), (119, 129), (125, 126), (126, 127),
    (127, 128), (128, 129), (129, 130), (130, 131), (131, 132), (101, 133), (104, 133), (107, 134), (110,
    134),
)
# fmt: on


def _table(values: object) -> npt.NDArray[np.int64]:
    table = np.array(values, np.int64)
    table.setflags(write=False)
    return table


def _padded(ours: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return _table([*ours, *[-1] * (skeleton.NUM_KEYPOINTS - len(ours))])


BODY18_PAIRS: Final = _table(_PAIRS_18)
"""(pairs, 2): the parts that a pair connects."""
BODY18_FIELDS: Final = _table(_FIELDS_18)
"""(pairs,): the channel of a pair's field in x among the fields; that in y follows."""
BODY18_TO_133: Final = _padded(_OURS_18)
"""(133,): for each of our points the part, -1 where there is none."""
BODY25_PAIRS: Final = _table(_PAIRS_25)
BODY25_FIELDS: Final = _table(_FIELDS_25)
BODY25_TO_133: Final = _padded(_OURS_25)
BODY135_PAIRS: Final = _table(_PAIRS_135)
BODY135_FIELDS: Final = _table(range(0, 2 * len(_PAIRS_135), 2))
BODY135_TO_133: Final = _table(
    [*range(17), *range(19, 25), *range(65, 133), 9, *range(25, 45), 10, *range(45, 65)]
)
"""A wrist is its hand's root too."""
