"""The small training set that the tests of runs share."""

import json
import multiprocessing

import cv2
import numpy as np
import pytest

# Processes that read images or are to be killed are forked from one that has loaded all this once.
multiprocessing.set_forkserver_preload(["hprnet_rt.commands.train", "hprnet_rt.training.report"])

IMAGES = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write eight pictures of coloured boxes, each with one labelled person, and a configuration of a run."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    images, people = [], []
    for number in range(IMAGES):
        image = rng.integers(0, 60, (96, 96, 3), np.uint8)
        x, y = rng.integers(10, 30, 2).tolist()
        width, height = rng.integers(40, 56, 2).tolist()
        image[y : y + height, x : x + width] = rng.integers(120, 255, 3)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 96})

        def points(count, box=(x, y, width, height)):
            xy = np.array(box[:2]) + rng.uniform(0.1, 0.9, (count, 2)) * box[2:]
            return [value for one in xy.tolist() for value in (*one, 2)]

        face = [x + width * 0.3, y + 2.0, width * 0.4, height * 0.3]
        people.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [x, y, width, height],
                "area": 0.6 * width * height,
                "keypoints": points(17),
                "num_keypoints": 17,
                "foot_kpts": points(6),
                "face_kpts": points(68, tuple(face)),
                "lefthand_kpts": points(21, (x, y + height / 2, 12, 12)),
                "righthand_kpts": points(21, (x + width - 12, y + height / 2, 12, 12)),
                "face_box": face,
                "face_valid": True,
                "lefthand_box": [x, y + height / 2, 12, 12],
                "lefthand_valid": True,
                "righthand_box": [x + width - 12, y + height / 2, 12, 12],
                "righthand_valid": True,
                "foot_valid": True,
            }
        )
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": people}))
    (folder / "run.toml").write_text(
        'model = "hprnet-mobile"\ninput_px = 64\nepochs = 2\nbatch = 2\nsave_every = 3\nema = 0.9\n'
        '[data]\ntrain_annotations = "truth.json"\ntrain_images = "."\nworkers = 0\n'
    )
    return folder
