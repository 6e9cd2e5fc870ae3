"""Every network of the project, and one that is made up: it has heads that no other network has."""

import dataclasses

from hprnet_rt.spec import HPRNET_MOBILE, SPECS, HeadSpec

_BAG = HeadSpec("bag", 8, "(dx, dy) of 4 corners of a bag from the integer person centre")
_HAND_SIZE = HeadSpec("wh_hand", 2, "hand box width, height")

MADE_UP = dataclasses.replace(
    HPRNET_MOBILE,  # whose name chooses the trunk
    heads=(*HPRNET_MOBILE.heads, _BAG, _HAND_SIZE),
    parts=tuple(
        dataclasses.replace(part, size_head=part.size_head or _HAND_SIZE.name) for part in HPRNET_MOBILE.parts
    ),
    refinement=None,
)
"""A head that is read at each person, and a second size head, which two parts share."""

ALL_SPECS = {**SPECS, "made-up": MADE_UP}
