"""A slow, plain OKS of two people, with the names of the COCO keypoint evaluation."""

import math

import numpy as np


def plain_oks(found, true, labelled, area, box_xywh, sigmas):
    """Return the OKS of a found person (P, 2) and a true one.

    Where nothing is labelled, distances are to the box widened by its own size on each side.
    """
    x, y, width, height = box_xywh
    values = []
    for p, sigma in enumerate(sigmas):
        if any(labelled):
            if not labelled[p]:
                continue
            dx, dy = found[p][0] - true[p][0], found[p][1] - true[p][1]
        else:
            dx = max(0, x - width - found[p][0]) + max(0, found[p][0] - (x + 2 * width))
            dy = max(0, y - height - found[p][1]) + max(0, found[p][1] - (y + 2 * height))
        k = 2 * sigma
        values.append(math.exp(-(dx**2 + dy**2) / (2 * (area + np.spacing(1)) * k**2)))
    return sum(values) / len(values)
