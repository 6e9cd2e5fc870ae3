"""The similarity of a person and a track, joint by joint."""

import math

from hprnet_rt.skeleton import SIGMAS


def area(box):
    return max(box[2] - box[0], 1) * max(box[3] - box[1], 1)


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / max(area(a) + area(b) - both, both) if both else 0.0


def similarity(xy, box, expected_xy, expected_box, away, least_joints):
    """Return the similarity of one person (17, 2), (4,) and one track; see the kernel of this name."""
    areas = area(box), area(expected_box)
    if max(areas) > 6 * min(areas):
        return 0.0
    scale = math.sqrt(areas[0] * areas[1])
    terms = []
    for sigma, (x, y), (other_x, other_y) in zip(SIGMAS[:17], xy, expected_xy, strict=True):
        if any(map(math.isnan, (x, y, other_x, other_y))):
            continue
        squared = (x - other_x) ** 2 + (y - other_y) ** 2
        terms.append(math.exp(-squared / (2 * scale * ((2 * sigma) ** 2 + away**2))))
    if len(terms) < least_joints:
        return overlap(box, expected_box)
    return max(0.4 * overlap(box, expected_box), sum(terms) / len(terms))
