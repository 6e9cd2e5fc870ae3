"""Drawing looks as it did when the golden pictures were made: `tests/golden/drawing.npz`.

They show people of all sizes, some tiny and some larger than the picture, some across its borders, some with
points that are absent, four in each picture, with ids.
"""

from pathlib import Path

import numpy as np

from hprnet_rt.render import Overlay
from hprnet_rt.types import Poses

PICTURES = Path(__file__).parents[1] / "golden" / "drawing.npz"
# of 255. Drawing placed each dot exactly then; small ones are now rounded to 1/16 px, which changes the cover
# of their edges by up to 0.044, and several may lie on each other
LARGEST, MEAN = 20, 1.0


def test_pictures_differ_from_the_golden_ones_by_what_anti_aliasing_differs_by():
    overlay = Overlay()
    with np.load(PICTURES) as file:
        data = dict(file)
    changed = 0
    for n, expected in enumerate(data["pictures"]):
        people = len(data["xy"][n])
        image = np.empty_like(expected)
        image[:] = (110, 120, 130)
        poses = Poses(
            data["xy"][n],
            data["score"][n],
            data["box"][n],
            np.full((people, 4), np.nan, np.float32),
            np.ones(people, np.float32),
            data["ids"][n].astype(np.int64),
        )
        overlay.draw(image, poses)
        drawn = (expected != (110, 120, 130)).any(axis=2)
        off = np.abs(image.astype(int) - expected)
        assert off.max() <= LARGEST
        assert off[drawn].mean() <= MEAN
        assert off[~drawn].max(initial=0) <= LARGEST / 2  # nothing is drawn where nothing was
        changed += drawn.sum()
    assert changed > 40_000
