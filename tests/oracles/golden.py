"""The synthetic scenes that the released code was run on, and its results.

`tests/golden/decode.npz` holds the released decode (nerminsamet/HPRNet, commit 3ffba94, on CPU) of five
scenes at K = 25 and K = 100. Its maps are rebuilt here: a background from a seed, overwritten at a few cells.
Columns of a detection: 0:4 box, 4 score, 5:51 body and feet, 51:55 face box, 55 face score, 56:192 face,
192 class, 193 left-hand score, 194:236 left hand, 236 right-hand score, 237:279 right hand.
"""

from pathlib import Path

import numpy as np

SCENES = (1, 2, 3, 5, 9)
"""1, 2, 2 (overlapping), 5 and 2 people; in 9 the faces rank the other way round than the people do."""

CELLS = 128
_CHANNELS = {
    "hm": 1,
    "wh": 2,
    "hps": 52,
    "wh_face": 2,
    "face_lms": 136,
    "hand_lms": 84,
    "reg": 2,
    "hm_hp": 26,
    "hp_offset": 2,
}
_FILE = np.load(Path(__file__).parents[1] / "golden" / "decode.npz")


def golden(scene: int, name: str) -> np.ndarray:
    """Return one array of a scene, e.g. "gt_kp" (N, 133, 2) in cells or "dets25" (25, 279)."""
    return _FILE[f"s{scene}/{name}"]


def dense_heads(scene: int) -> dict[str, np.ndarray]:
    """Return the heads (1, C, 128, 128) of a scene; hm and hm_hp are probabilities, no two of them equal."""
    heads = {}
    for i, (name, channels) in enumerate(_CHANNELS.items()):
        random = np.random.RandomState(1000 * scene + i)
        if name in ("hm", "hm_hp"):
            ranks = [random.permutation(CELLS**2) + 1 for _ in range(channels)]
            maps = (np.stack(ranks) / CELLS**2 * 0.05).astype(np.float32)
        else:
            maps = (0.5 * random.standard_normal((channels, CELLS, CELLS))).astype(np.float32)
        maps = maps.reshape(-1)
        maps[golden(scene, f"{name}/idx")] = golden(scene, f"{name}/val")
        heads[name] = maps.reshape(1, channels, CELLS, CELLS)
    return heads
