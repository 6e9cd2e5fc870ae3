"""The running times that the paper reports.

Source: Samet and Akbas, "HPRNet: Hierarchical Point Regression for Whole-Body Human Pose Estimation" (2021),
Table 3 and Figure 5, measured on a GTX 1080 Ti machine.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PAPER_GROUPING_MS", "PAPER_MS"]

PAPER_MS: Final = {
    "HPRNet, DLA-34": 37.0,
    "HPRNet, Hourglass-104": 101.0,
    "ZoomNet": 174.7,
}
"""Milliseconds per image of COCO val. HPRNet's do not depend on the number of people, ZoomNet's grow."""

PAPER_GROUPING_MS: Final = 11.0
"""The part of HPRNet's time after the network."""
