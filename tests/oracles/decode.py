"""Peaks from dense heads, one cell at a time: the oracle of the sparse in-graph decode."""

import numpy as np

from hprnet_rt.spec import ModelSpec, PeakLayout


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.asarray(x, np.float64)))


def local_maxima(channel):
    """Return (logit, y, x) of the 3x3 local maxima, strongest first; equal neighbours both count."""
    height, width = channel.shape
    found = []
    for y in range(height):
        for x in range(width):
            around = channel[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            if channel[y, x] >= around.max():
                found.append((channel[y, x], y, x))
    return sorted(found, key=lambda item: -item[0])


def peaks_from_dense(dense: dict[str, np.ndarray], spec: ModelSpec, k: int) -> np.ndarray:
    """Decode dense heads (C, H, W) by name to (k, layout width); rows that do not exist stay 0."""
    layout = PeakLayout.of(spec)
    out = np.zeros((k, layout.width), np.float64)
    columns = layout.columns
    joints = spec.num_joints
    height, width = dense["hm"].shape[1:]

    def part_at(part, y, x):
        values = dense[part.head][part.first_channel : part.first_channel + 2 * part.num_keypoints, y, x]
        return (values.reshape(-1, 2) + np.array([x, y])).reshape(-1)

    for row, (logit, y, x) in enumerate(local_maxima(dense["hm"][0])[:k]):
        out[row, columns["person_score"]] = sigmoid(logit)
        out[row, columns["person_cell"]] = (x, y)
        for field, head in {"person_offset": "reg", "person_wh": "wh", "person_bag": "bag"}.items():
            if head in dense:
                out[row, columns[field]] = dense[head][:, y, x]
        regressed = dense["hps"][:, y, x].reshape(joints, 2) + np.array([x, y])
        out[row, columns["joint_regressed"]] = regressed.reshape(-1)
        for j, (jx, jy) in enumerate(np.floor(regressed).astype(int)):
            if 0 <= jx < width and 0 <= jy < height:
                score = sigmoid(dense["hm_hp"][j, jy, jx])
                out[row, columns["joint_regressed_score"].start + j] = score
        for part in spec.parts:
            jx, jy = np.floor(regressed[spec.joint(part.center)]).astype(int)
            jx, jy = np.clip(jx, 0, width - 1), np.clip(jy, 0, height - 1)
            out[row, columns[f"{part.name}_regressed"]] = part_at(part, jy, jx)
            if part.size_head:
                out[row, columns[f"{part.name}_regressed_wh"]] = dense[part.size_head][:, jy, jx]
    centers = {spec.joint(part.center): part for part in spec.parts}
    for j in range(joints):
        for row, (logit, y, x) in enumerate(local_maxima(dense["hm_hp"][j])[:k]):
            pair = slice(2 * j, 2 * j + 2) if spec.offset_per_joint else slice(0, 2)
            out[row, columns["peak_score"].start + j] = sigmoid(logit)
            first = columns["peak_xy"].start + 2 * j
            out[row, first : first + 2] = dense["hp_offset"][pair, y, x] + (x, y)
            if j in centers:
                part = centers[j]
                out[row, columns[f"{part.name}_peak"]] = part_at(part, y, x)
                if part.size_head:
                    out[row, columns[f"{part.name}_peak_wh"]] = dense[part.size_head][:, y, x]
    return out
