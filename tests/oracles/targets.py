"""Training targets in plain loops, one person, one joint, one cell at a time."""

import math

import numpy as np

from hprnet_rt.skeleton import FLIP_INDEX, KEYPOINT_NAMES
from hprnet_rt.training.sample import BOXED_PARTS, Sample


def radius(height, width, overlap=0.7):
    """Return CornerNet's radius as CenterNet computes it: the least of three quadratics' (b + root) / 2."""
    out = (
        height + width + math.sqrt((height + width) ** 2 - 4 * width * height * (1 - overlap) / (1 + overlap))
    ) / 2
    both_in = height + width + math.sqrt((height + width) ** 2 - 4 * (1 - overlap) * width * height)
    apart = math.sqrt((overlap * (height + width)) ** 2 + 4 * overlap * (1 - overlap) * width * height)
    return min(out, both_in, apart - overlap * (height + width))


def gaussian(dx, dy, r):
    if max(abs(dx), abs(dy)) > r:
        return 0.0
    return math.exp(-(dx**2 + dy**2) / (2 * ((2 * r + 1) / 6) ** 2))


def clipped(box, width, height):
    x0, y0, x1, y1 = (float(value) for value in box)
    return min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)


def joints_of(sample, spec, n):
    """Return (x, y) in cells of each joint of person n, None without a label."""
    found = []
    centers = {part.center: part for part in spec.parts}
    for name in spec.joints:
        if name in KEYPOINT_NAMES:
            i = KEYPOINT_NAMES.index(name)
            found.append(tuple(sample.xy[n, i] / 4) if sample.labelled[n, i] else None)
            continue
        part = centers[name]
        if "foot" in part.name:
            points = [
                sample.xy[n, i] / 4
                for i in range(part.keypoints.start, part.keypoints.stop)
                if sample.labelled[n, i]
            ]
            if not points:
                found.append(None)
                continue
            x, y = [p[0] for p in points], [p[1] for p in points]
            found.append(((min(x) + max(x)) / 2, (min(y) + max(y)) / 2))
        else:
            column = ("face", "left_hand", "right_hand").index(part.name)
            x0, y0, x1, y1 = sample.part_box_xyxy[n, column] / 4
            found.append(((x0 + x1) / 2, (y0 + y1) / 2) if sample.part_valid[n, column] else None)
    return found


def plain_targets(sample: Sample, spec, max_people, unlabelled_is_background):
    """Return the arrays of `make_targets`, in float64."""
    height, width = sample.image.shape[0] // 4, sample.image.shape[1] // 4
    joints = spec.num_joints

    def on_map(point):
        return point is not None and 0 <= point[0] < width and 0 <= point[1] < height

    boxes = [clipped(box / 4, width, height) for box in sample.box_xyxy]
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]
    people = sorted(
        (n for n in range(len(sample)) if not sample.ignore[n] and areas[n] > 0), key=lambda n: -areas[n]
    )
    people, left_over = sorted(people[:max_people]), people[max_people:]
    ignored = [n for n in range(len(sample)) if sample.ignore[n]] + left_over

    out = {
        "hm": np.zeros((1, height, width)),
        "hm_known": np.ones((1, height, width), bool),
        "hm_hp": np.zeros((joints, height, width)),
        "hm_hp_known": np.ones((joints, height, width), bool),
        "person_cell": np.zeros(max_people, int),
        "person_mask": np.zeros(max_people, bool),
        "wh": np.zeros((max_people, 2)),
        "reg": np.zeros((max_people, 2)),
        "joint_cell": np.zeros((max_people, joints), int),
        "joint_mask": np.zeros((max_people, joints), bool),
        "part_cell": np.zeros((max_people, len(spec.parts)), int),
        "part_absent": np.zeros((max_people, len(spec.parts)), bool),
        "hps": np.zeros((max_people, joints, 2)),
        "hp_offset": np.zeros((max_people, joints, 2)),
    }
    for part in spec.parts:
        out[f"{part.name}_points"] = np.zeros((max_people, part.num_keypoints, 2))
        out[f"{part.name}_points_mask"] = np.zeros((max_people, part.num_keypoints), bool)
        if part.size_head:
            out[part.size_head] = np.zeros((max_people, 2))

    def splat(heat, x, y, r):
        for row in range(height):
            for column in range(width):
                heat[row, column] = max(heat[row, column], gaussian(column - x, row - y, r))

    def forget(known, heat, box):
        for row in range(math.floor(box[1]), math.ceil(box[3])):
            for column in range(math.floor(box[0]), math.ceil(box[2])):
                known[row, column] &= heat[row, column] > 0

    missing = []
    for row, n in enumerate(people):
        x0, y0, x1, y1 = boxes[n]
        r = max(0, int(radius(math.ceil(y1 - y0), math.ceil(x1 - x0))))
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        cx, cy = math.floor(x), math.floor(y)
        out["person_cell"][row], out["person_mask"][row] = cy * width + cx, True
        out["wh"][row], out["reg"][row] = (x1 - x0, y1 - y0), (x - cx, y - cy)
        splat(out["hm"][0], cx, cy, r)
        points = joints_of(sample, spec, n)
        absent = {
            spec.joint(part.center): i
            for i, part in enumerate(spec.parts)
            if part.name in BOXED_PARTS and sample.part_absent[n, BOXED_PARTS.index(part.name)]
        }
        for j, point in enumerate(points):
            if point is None and j not in absent:
                missing.append((j, boxes[n]))
            if point is None and j in absent:
                out["part_absent"][row, absent[j]] = True
            if not on_map(point):
                continue
            jx, jy = math.floor(point[0]), math.floor(point[1])
            out["joint_cell"][row, j], out["joint_mask"][row, j] = jy * width + jx, True
            out["hps"][row, j] = point[0] - cx, point[1] - cy
            out["hp_offset"][row, j] = point[0] - jx, point[1] - jy
            for i, part in enumerate(spec.parts):
                if spec.joint(part.center) == j:
                    out["part_cell"][row, i] = jy * width + jx
            splat(out["hm_hp"][j], jx, jy, r)
        for part in spec.parts:
            middle = points[spec.joint(part.center)]
            if not on_map(middle):
                continue
            mx, my = math.floor(middle[0]), math.floor(middle[1])
            for i in range(part.num_keypoints):
                point = sample.xy[n, part.keypoints.start + i] / 4
                if sample.labelled[n, part.keypoints.start + i] and on_map(point):
                    out[f"{part.name}_points"][row, i] = point[0] - mx, point[1] - my
                    out[f"{part.name}_points_mask"][row, i] = True
            if part.size_head:
                fx0, fy0, fx1, fy1 = clipped(sample.part_box_xyxy[n, 0] / 4, width, height)
                out[part.size_head][row] = fx1 - fx0, fy1 - fy0
    for n in ignored:
        forget(out["hm_known"][0], out["hm"][0], boxes[n])
        for j in range(joints):
            forget(out["hm_hp_known"][j], out["hm_hp"][j], boxes[n])
    if not unlabelled_is_background:
        for j, box in missing:
            forget(out["hm_hp_known"][j], out["hm_hp"][j], box)
    return out


def flipped(sample: Sample) -> Sample:
    """Return the mirror image of a sample."""
    width = sample.image.shape[1]
    swap = list(FLIP_INDEX)

    def mirror_box(box):
        return np.stack((width - box[..., 2], box[..., 1], width - box[..., 0], box[..., 3]), axis=-1)

    xy = sample.xy[:, swap].copy()
    xy[..., 0] = width - xy[..., 0]
    return Sample(
        sample.image_id,
        sample.image[:, ::-1],
        xy,
        sample.labelled[:, swap],
        mirror_box(sample.box_xyxy),
        sample.ignore,
        mirror_box(sample.part_box_xyxy)[:, [0, 2, 1]],
        sample.part_valid[:, [0, 2, 1]],
        sample.part_absent[:, [0, 2, 1]],
    )
