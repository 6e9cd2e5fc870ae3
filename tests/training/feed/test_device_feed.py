"""The feed of a device: batches of one shape that depend on the seed only."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.spec import HPRNET_MOBILE  # noqa: E402
from hprnet_rt.training.augment import Letterboxed  # noqa: E402
from hprnet_rt.training.dataset import WholeBodyDataset  # noqa: E402
from hprnet_rt.training.feed import DeviceFeed, Store  # noqa: E402
from hprnet_rt.training.feed.device_feed import _Draws  # noqa: E402
from hprnet_rt.training.targets import make_targets  # noqa: E402
from tests.training.conftest import IMAGES  # noqa: E402
from tests.training.people import sample_of  # noqa: E402

SIDE, BATCH = 64, 12
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(data):
    samples = WholeBodyDataset.from_files(data / "truth.json", data, Letterboxed((SIDE, SIDE)), seed=0)
    return Store.load([(samples, True)], SIDE, CPU)


def feed(store, **options):
    weights = options.pop("weights", torch.ones(len(store)))
    return DeviceFeed(store, weights, HPRNET_MOBILE, side=SIDE, batch=BATCH, **options)


def test_a_store_holds_all_images_shrunk_to_the_networks_side(store, data):
    assert len(store) == IMAGES
    assert store.images.shape == (IMAGES, SIDE, SIDE, 3)
    assert (store.image_hw == SIDE).all()  # of 96 px
    raw = WholeBodyDataset.from_files(data / "truth.json", data, Letterboxed((SIDE, SIDE)), seed=0).read(3)
    np.testing.assert_allclose(store.labels.box_xyxy[3, 0], raw.box_xyxy[0] * SIDE / 96, rtol=1e-5)
    np.testing.assert_allclose(store.labels.xy[3, 0], raw.xy[0] * SIDE / 96, rtol=1e-5)


def test_a_batch_has_the_names_and_types_of_make_targets(store):
    batch = feed(store).make(0)
    wanted = make_targets(sample_of([(2, 3, 50, 60)], size=(SIDE, SIDE)), HPRNET_MOBILE, max_people=12)
    assert batch.keys() - {"image"} == wanted.keys()
    for name, array in wanted.items():
        assert batch[name].shape == (BATCH, *array.shape), name
        assert batch[name].numpy().dtype == array.dtype, name
    assert batch["image"].shape == (BATCH, SIDE, SIDE, 3)
    assert batch["image"].dtype == torch.uint8
    rows = batch["person_mask"].int()
    assert (rows.diff(dim=1) <= 0).all(), "people come first"
    assert rows.any()


def test_a_batch_depends_on_its_seed_only(store):
    first, again, other = feed(store).make(7), feed(store).make(7), feed(store).make(8)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
    assert not torch.equal(first["image"], other["image"])


def test_images_are_shown_as_often_as_their_weights_say(store):
    """With one image of weight 1 and the others at 0, every view is of this image."""
    weights = torch.zeros(len(store))
    weights[5] = 1
    only = DeviceFeed(store, weights, HPRNET_MOBILE, side=SIDE, batch=BATCH)
    assert {int(image) for images in only._drawn(0).images for image in images} == {5}


def test_shapes_that_do_not_depend_on_labels_give_the_same_batch(store):
    """This is the code that runs on a GPU."""
    plain, fixed = feed(store), feed(store)
    fixed._fixed = True
    for name, tensor in plain.make(3).items():
        torch.testing.assert_close(fixed.make(3)[name], tensor, atol=1e-6, rtol=1e-6, msg=name)


def test_what_is_drawn_survives_being_named(store):
    """A recorded feed gets its random numbers by name."""
    made = feed(store)
    draws = made._drawn(3)
    again = _Draws.of(draws.tensors())
    for name, tensor in made._made(draws).items():
        assert torch.equal(made._made(again)[name], tensor), name


def test_mosaics_show_the_people_of_all_views(store):
    """A batch of 12 has two mosaics of 2 x 2 and one of 3 x 3."""
    most = [int(feed(store).make(seed)["person_mask"].sum(dim=1).max()) for seed in range(4)]
    assert max(most) > 4
