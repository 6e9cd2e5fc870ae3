"""Samples from annotations and image files: who counts, what is labelled, and faulty files."""

import dataclasses
import gc
import json
import tarfile

import cv2
import numpy as np
import pytest

DataLoader = pytest.importorskip("torch.utils.data", reason="the extra train is not installed").DataLoader

from hprnet_rt.errors import DataError, MediaError, UsageError  # noqa: E402
from hprnet_rt.evaluation import read_annotations  # noqa: E402
from hprnet_rt.skeleton import FACE, LEFT_HAND, RIGHT_HAND  # noqa: E402
from hprnet_rt.training.augment import Letterboxed, PaperAugmentation, StrongAugmentation  # noqa: E402
from hprnet_rt.training.dataset import WholeBodyDataset, loader_workers  # noqa: E402
from hprnet_rt.training.sample import Sample  # noqa: E402
from tests.evaluation.sets import annotations, person  # noqa: E402

HW = (60, 80)


def someone(image_id, number, visible=None, **more):
    xy = np.random.default_rng(number).uniform(20, 50, (133, 2)).round(1)
    visible = np.ones(133, bool) if visible is None else visible
    parts = {f"{part}_box": [20, 20, 30, 30] for part in ("face", "lefthand", "righthand")}
    parts |= {f"{part}_valid": True for part in ("face", "lefthand", "righthand")}
    return person(xy, visible, 900.0, [15, 16, 40, 41], image_id, number) | parts | more


def a_set(people, ids=None, suffix="png", hw=HW):
    data = annotations(people, ids)
    for image in data["images"]:
        image.update(file_name=f"{image['id']}.{suffix}", height=hw[0], width=hw[1])
    return data


def picture(seed, hw=HW):
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), np.uint8)


def write_images(folder, data):
    folder.mkdir(exist_ok=True)
    for image in data["images"]:
        assert cv2.imwrite(str(folder / image["file_name"]), picture(image["id"]))
    return folder


def pack(path, folder, names, prefix=""):
    with tarfile.open(path, "w") as tar:
        for name in names:
            tar.add(folder / name, arcname=f"{prefix}{name}")
    return path


def plain(sample, rng, draw=None):
    """Return the sample without any change."""
    return sample


def made(data, folder, transform=plain, **settings):
    return WholeBodyDataset(read_annotations(data), folder, transform, **{"seed": 0, **settings})


def content(sample):
    return [np.asarray(getattr(sample, f.name)).tobytes() for f in dataclasses.fields(Sample)]


@pytest.fixture
def crowd_set(tmp_path):
    """Write eight images with two people each."""
    data = a_set([someone(n // 2 + 1, n + 1) for n in range(16)])
    return data, write_images(tmp_path / "images", data)


@pytest.fixture
def no_loader_stays():
    """Collect used loaders: each is a reference cycle, and its workers end when it is collected."""
    gc.collect()
    yield
    gc.collect()


def test_a_sample_is_what_the_annotations_say(tmp_path):
    data = a_set([someone(5, 1), someone(3, 2), someone(5, 3)], [3, 4, 5])
    folder = write_images(tmp_path / "images", data)
    samples = made(data, folder)
    assert [sample.image_id for sample in samples] == [3, 4, 5]
    assert [len(sample) for sample in samples] == [1, 0, 2]
    sample = samples[2]
    assert (sample.image == picture(5)).all()
    triples = np.reshape(data["annotations"][2]["keypoints"], (17, 3))
    np.testing.assert_allclose(sample.xy[1, :17], triples[:, :2], rtol=1e-6)
    assert sample.box_xyxy.tolist() == [[15, 16, 55, 57]] * 2
    assert sample.part_box_xyxy.tolist() == [[[20, 20, 50, 50]] * 3] * 2
    assert sample.labelled.all()
    assert sample.part_valid.all()
    assert not sample.ignore.any()
    assert (sample.xy.dtype, sample.box_xyxy.dtype, sample.part_box_xyxy.dtype) == (np.float32,) * 3


def test_crowds_and_people_without_any_point_are_to_be_ignored(tmp_path):
    nothing = np.zeros(133, bool)
    toe = np.arange(133) == 17
    data = a_set(
        [someone(1, 1, iscrowd=1), someone(1, 2, nothing), someone(1, 3, toe), someone(2, 4, nothing)]
    )
    folder = write_images(tmp_path / "images", data)
    sample = made(data, folder)[0]
    assert sample.ignore.tolist() == [True, True, False]
    assert sample.labelled.sum(axis=1).tolist() == [0, 0, 1]
    assert sample.part_valid.any(axis=1).tolist() == [False, False, True]
    assert len(made(data, folder)) == 2
    only = made(data, folder, with_people_only=True)
    assert [s.image_id for s in only] == [1]


def test_points_of_an_invalid_part_are_not_labelled(tmp_path):
    people = [
        someone(1, 1, face_valid=False),
        someone(1, 2, lefthand_box=[20, 20, 0, 30]),
        someone(1, 3, righthand_box=None),
    ]
    data = a_set(people)
    sample = made(data, write_images(tmp_path / "images", data))[0]
    assert sample.part_valid.tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    for n, where in enumerate((FACE, LEFT_HAND, RIGHT_HAND)):
        assert not sample.labelled[n, where].any()
        assert sample.labelled[n].sum() == 133 - (where.stop - where.start)
        assert sample.part_box_xyxy[n, n].tolist() == [0, 0, 0, 0]
    assert np.isfinite(sample.part_box_xyxy).all()


def test_plain_coco_without_parts_has_no_valid_ones(tmp_path):
    fields = ("id", "image_id", "category_id", "iscrowd", "area", "bbox", "keypoints")
    data = a_set([{key: someone(1, 1)[key] for key in fields}])
    sample = made(data, write_images(tmp_path / "images", data))[0]
    assert not sample.part_valid.any()
    assert sample.labelled[0].nonzero()[0].tolist() == list(range(17))
    assert not sample.ignore.any()


def test_a_validity_that_is_neither_true_nor_false():
    with pytest.raises(
        DataError, match="annotation 1 has 'yes' in lefthand_valid; it must hold true or false"
    ):
        read_annotations(a_set([someone(1, 1, lefthand_valid="yes")]))


def test_hand_boxes_and_validity_are_read_in_the_order_of_images():
    read = read_annotations(
        a_set([someone(9, 1, lefthand_box=[1, 2, 3, 4]), someone(2, 2, righthand_valid=0, lefthand_box=[])])
    )
    assert np.isnan(read.hand_box_xywh[0, 0]).all()
    assert read.hand_box_xywh[1].tolist() == [[1, 2, 3, 4], [20, 20, 30, 30]]
    assert read.part_valid.tolist() == [[True, True, False], [True, True, True]]


def test_tars_and_folders_give_the_same(tmp_path, crowd_set):
    data, folder = crowd_set
    names = sorted(path.name for path in folder.iterdir())
    tars = tmp_path / "tars"
    tars.mkdir()
    one = pack(tars / "train-0.tar", folder, names[:3])
    two = pack(tars / "train-1.tar", folder, names[3:], prefix="./deep/er/")
    expected = [content(sample) for sample in made(data, folder)]
    for source in (tars, [one, two], [str(two), str(one)]):
        assert [content(sample) for sample in made(data, source)] == expected
    half = made(a_set([someone(n, n) for n in (1, 2)]), one)  # a single tar as the folder
    assert [content(sample)[1] for sample in half] == [c[1] for c in expected[:2]]
    some = write_images(tmp_path / "mixed", {"images": data["images"][3:]})
    pack(some / "rest.tar", folder, names[:3])
    assert [content(sample) for sample in made(data, some)] == expected


def test_from_files_reads_a_json(tmp_path, crowd_set):
    data, folder = crowd_set
    path = tmp_path / "train.json"
    path.write_text(json.dumps(data))
    samples = WholeBodyDataset.from_files(path, folder, plain, seed=0)
    assert [content(sample) for sample in samples] == [content(sample) for sample in made(data, folder)]


STRONG = StrongAugmentation((64, 64), mosaic=0.5, turn=0.5, dark=0.3, motion=0.3, jpeg=0.3, cut=0.5)


@pytest.mark.usefixtures("no_loader_stays")
@pytest.mark.parametrize("transform", [PaperAugmentation(64), STRONG])
def test_every_number_of_workers_gives_the_same_bytes(crowd_set, transform):
    samples = made(*crowd_set, transform, seed=3)

    def epoch(loader, number):
        samples.set_epoch(number)
        return [content(sample) for batch in loader for sample in batch]

    alone = DataLoader(samples, batch_size=3, collate_fn=list)
    workers = DataLoader(samples, batch_size=3, collate_fn=list, **loader_workers(2))
    first = epoch(alone, 0)
    assert len(first) == 8
    assert epoch(workers, 0) == first
    assert epoch(workers, 1) == epoch(alone, 1) != first
    assert content(samples[5]) == epoch(alone, 1)[5]  # whatever was read before
    assert [content(sample) for sample in made(*crowd_set, transform, seed=4)] != first


def test_a_mosaic_draws_from_the_whole_set(crowd_set):
    seen = set()

    def watch(sample, rng, draw):
        seen.update(draw().image_id for _ in range(8))
        return sample

    list(made(*crowd_set, watch))
    assert seen == set(range(1, 9))


def test_places_beyond_the_end_do_not_exist(crowd_set):
    samples = made(*crowd_set)
    assert content(samples[-1]) == content(samples[7])
    for index in (8, -9):
        with pytest.raises(IndexError):
            samples[index]


def test_images_are_upright_by_their_exif_orientation(tmp_path):
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40] = 255
    _, jpeg = cv2.imencode(".jpg", image)
    # A big-endian TIFF with one entry: orientation (0x0112) 6, to be turned clockwise.
    entry = b"\x01\x12" + b"\x00\x03" + b"\x00\x00\x00\x01" + b"\x00\x06\x00\x00"
    exif = b"Exif\x00\x00" + b"MM\x00\x2a\x00\x00\x00\x08" + b"\x00\x01" + entry + bytes(4)
    data = jpeg.tobytes()
    head = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "1.jpg").write_bytes(data[:2] + head + data[2:])
    sample = made(a_set([someone(1, 1)], suffix="jpg", hw=(80, 40)), tmp_path)[0]
    assert sample.image.shape == (80, 40, 3)
    assert sample.image[:30].mean() > 250 > 5 > sample.image[50:].mean()


def test_webp_is_read(tmp_path):
    data = a_set([someone(1, 1)], suffix="webp")
    sample = made(data, write_images(tmp_path / "images", data), Letterboxed((64, 64)))[0]
    assert sample.image.shape == (64, 64, 3)


def test_missing_images_are_named_at_the_start(tmp_path, crowd_set):
    data, folder = crowd_set
    for n in (2, 3, 5, 7):
        (folder / f"{n}.png").unlink()
    with pytest.raises(DataError, match=r"4 of 8 images are not in .*images: 2.png, 3.png, 5.png \.\.\."):
        made(data, folder)
    tar = pack(tmp_path / "some.tar", folder, ["1.png", "4.png", "6.png"])
    with pytest.raises(DataError, match=r"5 of 8 images are not in some.tar"):
        made(data, [tar])


def test_sources_that_are_not(tmp_path, crowd_set):
    data, folder = crowd_set
    with pytest.raises(DataError, match=r"there is no folder or tar file .*nowhere with the images"):
        made(data, tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"there is no tar file .*no.tar"):
        made(data, [tmp_path / "no.tar"])
    (tmp_path / "bad.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError, match=r"bad.tar is no tar file, or compressed; unpack it"):
        made(data, [tmp_path / "bad.tar"])
    one = pack(tmp_path / "a.tar", folder, ["1.png", "2.png"])
    two = pack(tmp_path / "b.tar", folder, ["2.png", "3.png"])
    with pytest.raises(DataError, match=r"2.png is in a.tar and again in b.tar"):
        made(data, [one, two])


def test_file_names_twice_in_a_tar_are_told_apart_by_their_folders(tmp_path):
    data = a_set([someone(1, 1), someone(2, 2)])
    for image, sub in zip(data["images"], ("x", "y"), strict=True):
        image["file_name"] = f"{sub}/same.png"
        write_images(tmp_path / sub, {"images": [image | {"file_name": "same.png"}]})
    pack(tmp_path / "all.tar", tmp_path, ["x/same.png", "y/same.png"])
    for source in (tmp_path, tmp_path / "all.tar"):
        assert [(sample.image == picture(sample.image_id)).all() for sample in made(data, source)] == [
            True
        ] * 2
    data["images"][0]["file_name"] = "same.png"
    with pytest.raises(DataError, match=r"1 of 2 images are not in .*all.tar: same.png"):
        made(data, tmp_path / "all.tar")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (b"", r"4.png is empty"),
        (b"not an image", r"4.png is not an image that can be read"),
        (None, "cannot read 4.png"),
    ],
)
def test_unreadable_images_are_named(crowd_set, damage, sentence):
    data, folder = crowd_set
    samples = made(data, folder)
    if damage is None:
        (folder / "4.png").unlink()
    else:
        (folder / "4.png").write_bytes(damage)
    with pytest.raises(MediaError, match=sentence):
        samples[3]


@pytest.mark.usefixtures("no_loader_stays")
def test_an_unreadable_image_is_named_from_a_worker_too(crowd_set):
    data, folder = crowd_set
    (folder / "4.png").write_bytes(b"not an image")
    loader = DataLoader(made(data, folder), batch_size=2, collate_fn=list, **loader_workers(1))
    with pytest.raises(MediaError, match=r"4.png is not an image that can be read"):
        list(loader)


def test_a_tar_that_became_shorter_is_named(tmp_path, crowd_set):
    data, folder = crowd_set
    tar = pack(tmp_path / "all.tar", folder, [f"{n}.png" for n in range(1, 9)])
    samples = made(data, tar)
    tar.write_bytes(tar.read_bytes()[:20_000])
    with pytest.raises(MediaError, match=r"all.tar breaks off in .*png; copy it again"):
        samples[7]


def test_images_of_another_size_than_annotated(tmp_path):
    data = a_set([someone(1, 1)], hw=(80, 60))
    folder = write_images(tmp_path / "images", data)
    with pytest.raises(
        DataError, match=r"1.png is 80 x 60 px, the annotations say 60 x 80; use the images that"
    ):
        made(data, folder)[0]
    for image in data["images"]:
        del image["height"], image["width"]
    assert len(made(data, folder)[0]) == 1


def test_sets_without_names_or_images(tmp_path):
    data = a_set([someone(1, 1)])
    del data["images"][0]["file_name"]
    with pytest.raises(DataError, match="image 1 has no file_name"):
        made(data, tmp_path)
    with pytest.raises(DataError, match="the set of annotations has no images"):
        made(a_set([]), tmp_path)
    nobody = a_set([someone(1, 1, np.zeros(133, bool))])
    with pytest.raises(DataError, match="has no images with labelled people"):
        made(nobody, tmp_path, with_people_only=True)


def test_seeds_and_epochs_are_not_negative(crowd_set):
    with pytest.raises(UsageError, match="the seed is at least 0, got -1"):
        made(*crowd_set, seed=-1)
    with pytest.raises(UsageError, match="the epoch is at least 0, got -1"):
        made(*crowd_set).set_epoch(-1)
