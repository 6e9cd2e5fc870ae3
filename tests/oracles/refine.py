"""Points refined one at a time, in float64: the oracle of `model.refine` and `grouping.refine`."""

import numpy as np

LEAST_SIZE, LEAST_REACH, SIDE = 2.0, 1.5, 7


def read(channel_last, x, y):
    """Sample maps (H, W, C) at a place; cell k spans k to k + 1, and the maps are 0 outside."""
    height, width, channels = channel_last.shape
    column, row = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    right, low = x - 0.5 - column, y - 0.5 - row
    total = np.zeros(channels)
    for j, share_y in ((row, 1 - low), (row + 1, low)):
        for i, share_x in ((column, 1 - right), (column + 1, right)):
            if 0 <= j < height and 0 <= i < width:
                total += share_x * share_y * channel_last[j, i]
    return total


def evidence(local, point, x, y, size, reach):
    """Return how far a point should move, in sizes and times 4, and a quarter of the strongest logit."""
    radius = max(reach * size, LEAST_REACH)
    places = [(a, b) for a in np.linspace(-1, 1, SIDE) for b in np.linspace(-1, 1, SIDE)]
    found = np.array([read(local, x + b * radius, y + a * radius)[point] for a, b in places])
    logits = found - np.array([a * a + b * b for a, b in places])
    weight = np.exp(logits - logits.max())
    weight /= weight.sum()
    shift = sum(w * np.array([b, a]) * radius for w, (a, b) in zip(weight, places, strict=True)) / size
    return np.array([*(4 * shift), found.max() / 4])


def refine(part, weights, features, local, points):
    """Return one part's points (n, 2) after its steps, and the confidence of each (n,).

    `weights` is a refiner's state dict as arrays; the maps have their channels last.
    """
    p = np.asarray(points, np.float64)
    size = max(*(p.max(0) - p.min(0)), LEAST_SIZE)
    for t in range(part.steps):
        at = f"parts.{part.name}.{t}."
        w = {k.removeprefix(at): v.astype(np.float64) for k, v in weights.items() if k.startswith(at)}
        rows = []
        for i, (x, y) in enumerate(p):
            f = read(features, x, y) * weights["norm"]
            z = np.maximum(w["read.weight"] @ f + w["read.bias"] + w["who"][i], 0)
            rows += [*z, *(evidence(local, i, x, y, size, part.reach[t]) if part.reach else ())]
        shape = (p - p.mean(0)) / size
        hidden = np.maximum(w["mix.weight"] @ np.array([*rows, *shape.ravel()]) + w["mix.bias"], 0)
        out = (w["out.weight"] @ hidden + w["out.bias"]).reshape(-1, 3)
        p = p + out[:, :2] * size
    return p, 1 / (1 + np.exp(-out[:, 2]))
