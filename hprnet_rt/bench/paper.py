"""What the paper says of its running times.

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
"""Milliseconds an image of COCO val; the first two do not depend on people, ZoomNet's grows linearly."""

PAPER_GROUPING_MS: Final = 11.0
"""Of HPRNet's, what follows the network."""
