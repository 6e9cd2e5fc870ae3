"""Slow and plain decodes of OpenPose and associative embedding, in NumPy, from the same rules."""

import numpy as np


def enlarged(low, factor):
    """A map (h, w) enlarged by Catmull-Rom splines; cells beyond the border are those at it."""

    def matrix(side):
        rows = np.zeros((factor * side, side))
        for i, row in enumerate(rows):
            source = (i + 0.5) / factor - 0.5
            cell = int(np.clip(np.floor(source), 0, side - 1))
            t = source - cell
            powers = np.array((1, t, t**2, t**3))
            spline = 0.5 * np.array(((0, 2, 0, 0), (-1, 0, 1, 0), (2, -5, 4, -1), (-1, 3, -3, 1)))
            for offset, weight in zip((-1, 0, 1, 2), powers @ spline, strict=True):
                row[np.clip(cell + offset, 0, side - 1)] += weight
        return rows

    return matrix(low.shape[0]) @ low @ matrix(low.shape[1]).T


def peaks(heat, shift):
    """OpenPose's peaks (n, 3) of one enlarged map: x, y, value."""
    found = []
    for y in range(1, heat.shape[0] - 1):
        for x in range(1, heat.shape[1] - 1):
            around = heat[y - 1 : y + 2, x - 1 : x + 2].ravel()
            if heat[y, x] > 0.05 and (heat[y, x] > np.delete(around, 4)).all():
                top, left = max(y - 3, 0), max(x - 3, 0)
                window = np.maximum(heat[top : y + 4, left : x + 4], 0)
                v, u = np.mgrid[top : top + window.shape[0], left : left + window.shape[1]]
                total = window.sum()
                found.append(
                    ((u * window).sum() / total + shift, (v * window).sum() / total + shift, heat[y, x])
                )
    return np.reshape(found, (-1, 3))


def pair_score(field, a, b):
    """OpenPose's score of two peaks along a field (2, H, W), None where it does not connect them."""
    way = np.subtract(b, a)
    length = np.hypot(*way)
    if length <= 1e-6:
        return None
    count = int(np.clip(int(np.sqrt(5 * np.abs(way).max()) + 0.5), 5, 25))
    points = (np.add(a, 0.5) + np.arange(count)[:, None] * way / count).astype(int)
    x, y = np.clip(points, 0, np.array(field.shape[:0:-1]) - 1).T
    along = way @ field[:, y, x] / length
    over = along[along > 0.05]
    if len(over) / count > 0.95:
        return over.mean()
    return 0.05 + 1e-6 if length < np.sqrt(field.shape[1] * field.shape[2]) / 150 else None


def limbs(candidate, first, paf, pairs, channels):
    """The port's limbs: (pair, peak, peak, score)."""
    found = []
    for pair, (a, b) in enumerate(pairs):
        scored = []
        for i in range(first[a], first[a + 1]):
            for j in range(first[b], first[b + 1]):
                ends = candidate[[i, j], :2]
                way = ends[1] - ends[0]
                length = max(0.001, np.hypot(*way))
                x, y = np.round(np.linspace(*ends, 10)).astype(int).T
                value = (way / length) @ paf[channels[pair] : channels[pair] + 2, y, x]
                mean = value.mean() + min(0.5 * paf.shape[1] / length - 1, 0)
                if (value > 0.05).sum() > 8 and mean > 0:
                    scored.append((pair, i, j, mean))
        used = set()
        for limb in sorted(scored, key=lambda each: -each[3]):
            if not used & set(limb[1:3]):
                found.append(limb)
                used |= set(limb[1:3])
    return found


def refined(people, heat, tags):
    """People (N, points, 3 + L) with missing points from where a tag is like theirs."""
    people = people.copy()
    for person in people:
        there = person[:, 2] > 0
        mean = np.mean([tags[k, int(person[k, 1]), int(person[k, 0])] for k in np.flatnonzero(there)], axis=0)
        for k in np.flatnonzero(~there):
            away = np.sqrt(((tags[k] - mean) ** 2).sum(axis=2))
            y, x = np.unravel_index(np.argmax(heat[k] - np.round(away)), heat[k].shape)
            padded = np.pad(heat[k], 1, mode="edge")[y : y + 3, x : x + 3]
            if heat[k, y, x] > 0:
                person[k, 0] = x + (0.75 if padded[1, 2] > padded[1, 0] else 0.25)
                person[k, 1] = y + (0.75 if padded[2, 1] > padded[0, 1] else 0.25)
                person[k, 2] = heat[k, y, x]
    return people
