"""Pictures of made-up bodies whose points are known, for scenes whose truth is certain.

    pip install anny
    python benchmarks/bodies.py bodies.npz --count 48

Bodies are those of `anny` (Brégier et al., 2025) in random shapes, clothes and poses, seen from the front,
the side and behind. Each is a picture with transparency, and its 17 joints and 6 points of the feet in the
order of COCO-WholeBody, in the picture's pixels.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.skeleton import KEYPOINT_NAMES

TALL = 640  # px of a picture
POINTS = 23
_MARGIN = 0.03  # of a picture's height, around the body
_FAR = 3.5  # heights of a body, from the camera
_SKINS = ((224, 184, 160), (198, 148, 112), (150, 104, 76), (92, 62, 48))  # RGB
_HAIR = ((40, 30, 26), (92, 64, 40), (170, 130, 80), (110, 110, 110))
_LIGHT = np.array((-0.4, -0.75, 0.5))


@dataclass(frozen=True)
class Body:
    """One person.

    Attributes:
        image: (H, W, 4) uint8 BGR and cover.
        xy: (23, 2) px, where pixel i covers [i, i + 1).
    """

    image: npt.NDArray[np.uint8]
    xy: npt.NDArray[np.float32]


def _turns(random: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Return a pose: rotations by bone, around the axes right, forward and up."""
    turns: dict[str, tuple[float, float, float]] = {}
    stride = random.uniform(-0.5, 0.5)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        lifted = random.random() < 0.2
        down = random.uniform(-1.2, 0.2) if lifted else random.uniform(0.35, 0.8)
        turns[f"upperarm01.{side}"] = (random.uniform(-0.7, 0.3) - sign * stride / 2, sign * down, 0.0)
        turns[f"lowerarm01.{side}"] = (-random.uniform(0.0, 1.6), 0.0, sign * random.uniform(-0.5, 0.2))
        turns[f"upperleg01.{side}"] = (sign * stride - random.uniform(0.0, 0.2), sign * 0.12, 0.0)
        turns[f"lowerleg01.{side}"] = (random.uniform(0.0, 0.6), 0.0, 0.0)
    turns["neck01"] = (random.uniform(-0.2, 0.2), 0.0, random.uniform(-0.5, 0.5))
    turns["spine03"] = (random.uniform(-0.2, 0.1), random.uniform(-0.1, 0.1), random.uniform(-0.2, 0.2))
    turns["root"] = (
        0.0,
        0.0,
        random.choice((0.0, 0.0, np.pi / 2, -np.pi / 2, np.pi)) + random.normal(0, 0.35),
    )
    return turns


def _clothes(
    rest: npt.NDArray[np.float32], joints: dict[str, npt.NDArray[np.float32]], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return the colour (V, 3) RGB of each vertex of a body at rest, by where it lies."""
    x, y, z = rest.T
    side, head = np.abs(x), joints["left_ear"]
    colors = np.tile(np.array(_SKINS[random.integers(len(_SKINS))], np.float64), (len(rest), 1))
    shirt, trousers = random.integers(20, 235, (2, 3))
    sleeve = joints["left_elbow"] if random.random() < 0.5 else joints["left_wrist"]
    worn = (z < joints["left_shoulder"][2] + 0.05) & (z > joints["left_hip"][2] + 0.02) & (side < sleeve[0])
    colors[worn] = shirt
    lowest = joints["left_knee"][2] if random.random() < 0.3 else joints["left_ankle"][2]
    colors[(z <= joints["left_hip"][2] + 0.02) & (z > lowest) & (side < joints["left_elbow"][0] - 0.08)] = (
        trousers
    )
    colors[z < joints["left_ankle"][2]] = random.integers(20, 235, 3)
    hair = (z > head[2] - 0.03) & ((y > head[1] - 0.02) | (z > joints["nose"][2] + 0.1))
    colors[hair] = _HAIR[random.integers(len(_HAIR))]
    for name in ("left_eye", "right_eye"):
        off = rest - joints[name]
        colors[np.hypot(off[:, 0], off[:, 2]) < 0.009] = (30, 25, 25)
        colors[(np.abs(off[:, 0]) < 0.02) & (np.abs(off[:, 2] - 0.02) < 0.005) & (y < head[1] - 0.03)] *= 0.4
    mouth = rest - joints["nose"]
    lips = (np.abs(mouth[:, 0]) < 0.022) & (np.abs(mouth[:, 2] + 0.045) < 0.009) & (y < head[1] - 0.03)
    colors[lips] = colors[lips] * 0.7 + (40, 0, 0)
    return colors


def _drawn(
    vertices: npt.NDArray[np.float32], points: npt.NDArray[np.float32], faces: npt.NDArray[np.int64],
    colors: npt.NDArray[np.float64],
) -> Body:  # fmt: skip
    """Draw a body that faces along -y, seen from there; the nearest faces come last."""
    height = np.ptp(vertices[:, 2])
    middle = (vertices.max(axis=0) + vertices.min(axis=0)) / 2

    def seen(places: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        off = places - middle
        depth = 1.0 + off[:, 1] / (_FAR * height)
        return np.stack((off[:, 0], -off[:, 2]), axis=1) / (depth[:, None] * height)

    on_plane, of_points = seen(vertices), seen(points)
    corner = on_plane.min(axis=0) - _MARGIN
    scale = TALL / (np.ptp(on_plane[:, 1]) + 2 * _MARGIN)
    px, xy = scale * (on_plane - corner), scale * (of_points - corner)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = 0.45 + 0.6 * np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)), 0.0, 1.0)
    shades = np.clip(colors[faces].mean(axis=1) * light[:, None], 0, 255)[:, ::-1]
    wide = int(np.ceil(scale * (np.ptp(on_plane[:, 0]) + 2 * _MARGIN)))
    image = np.zeros((TALL, wide, 4), np.uint8)
    order = np.argsort(-vertices[faces].mean(axis=1)[:, 1])
    fixed = np.rint(16 * (px[faces] - 0.5)).astype(np.int32)
    for n in order[normal[order, 1] < 0.2]:
        cv2.fillConvexPoly(image, fixed[n], (*shades[n], 255.0), cv2.LINE_8, 4)
    return Body(image, xy.astype(np.float32))


def make(count: int, seed: int = 0) -> list[Body]:
    """Draw bodies; they are the same every time."""
    import anny
    import torch

    model = anny.Anny().to(torch.float32)
    points_of = anny.KeypointsRegressor.coco(model, list(KEYPOINT_NAMES[:POINTS]))
    faces, random = model.faces.numpy(), np.random.default_rng(seed)
    still = torch.eye(4)[None, None].repeat(1, model.bone_count, 1, 1)
    bodies = []
    for _ in range(count):
        shape = {name: float(random.uniform(0.2, 0.8)) for name in model.phenotype_labels}
        shape |= {"age": float(random.uniform(0.55, 0.85)), "gender": float(random.random())}
        with torch.no_grad():
            rest = model(pose_parameters=still, phenotype_kwargs=shape)
            pose = still.clone()
            for bone, turn in _turns(random).items():
                turned = torch.tensor(cv2.Rodrigues(np.array(turn))[0])
                pose[0, model.bone_labels.index(bone), :3, :3] = turned
            posed = model(pose_parameters=pose, phenotype_kwargs=shape)
            joints = dict(zip(KEYPOINT_NAMES, points_of(rest)[0].numpy(), strict=False))
            colors = _clothes(rest["vertices"][0].numpy(), joints, random)
            bodies.append(_drawn(posed["vertices"][0].numpy(), points_of(posed)[0].numpy(), faces, colors))
    return bodies


def save(path: Path, bodies: list[Body]) -> None:
    """Write bodies into one file."""
    arrays = {f"image{n}": body.image for n, body in enumerate(bodies)}
    np.savez_compressed(path, xy=np.array([body.xy for body in bodies]), **arrays)


def load(path: Path) -> list[Body]:
    """Read the bodies of a file."""
    with np.load(path) as data:
        return [Body(data[f"image{n}"], xy) for n, xy in enumerate(data["xy"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=48)
    options = parser.parse_args()
    save(options.out, make(options.count))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
