"""Augmentations of the pixels of a batch equal those of one image, and hide what they cover."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.skeleton import FACE, LEFT_HAND  # noqa: E402
from hprnet_rt.training import colour  # noqa: E402
from hprnet_rt.training.feed import pixels  # noqa: E402
from hprnet_rt.training.feed.degrade import Degradation, cut_out, degrade, draw_degradation  # noqa: E402
from hprnet_rt.training.feed.labels import pack_labels  # noqa: E402
from tests.training.samples import sample_of  # noqa: E402

SIDE = 64
CPU = torch.device("cpu")


def pictures(count=2, side=SIDE):
    """Make smooth pictures with a little noise, (N, 3, side, side)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(6 * x + n) * np.cos(5 * y + channel) for n in range(count) for channel in range(3)]
    smooth = 127 + 90 * np.stack(waves).reshape(count, 3, side, side)
    return torch.from_numpy((smooth + rng.normal(0, 3, smooth.shape)).clip(0, 255).round().astype(np.float32))


def as_image(tensor):
    return tensor.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def test_blur_equals_the_plain_one():
    images = pictures()
    sigma = torch.tensor([0.7, 2.2])
    for got, image, width in zip(pixels.gaussian_blur(images, sigma), images, sigma, strict=True):
        wanted = colour.gaussian_blur(as_image(image), float(width))
        assert np.abs(as_image(got).astype(int) - wanted).max() <= 1


def test_motion_blur_is_along_its_line_and_shifts_nothing():
    images = torch.zeros(2, 3, SIDE, SIDE)
    images[:, :, 32, 32] = 255
    blurred = pixels.motion_blur(images, torch.tensor([10.0, 10.0]), torch.tensor([0.0, np.pi / 2]))
    assert blurred[0, 0, 32].count_nonzero() == 11  # a row
    assert blurred[0, 0].count_nonzero() == 11
    assert blurred[1, 0, :, 32].count_nonzero() == 11
    torch.testing.assert_close(blurred.sum(dim=(2, 3)), torch.full((2, 3), 255.0))
    rows = torch.arange(SIDE).float() + 0.5
    torch.testing.assert_close((blurred[0, 0].sum(dim=0) * rows).sum() / 255, torch.tensor(32.5))


def test_compression_is_about_as_bad_as_jpeg_and_gets_better_with_quality():
    image = pictures(1)
    off = {}
    for quality in (10, 50, 95):
        got = pixels.compress(image, torch.tensor([float(quality)])) - image
        jpeg = colour.compress_jpeg(as_image(image[0]), quality).astype(np.float32) - as_image(image[0])
        off[quality] = float(got.square().mean().sqrt())
        assert off[quality] < 1.3 * np.sqrt((jpeg**2).mean()) + 0.5
    assert off[10] > off[50] > off[95]
    assert off[95] < 2


def test_shades_are_those_that_were_asked_for():
    image, one = pictures(1), torch.ones(1)
    torch.testing.assert_close(pixels.shade(image, one, one, one, torch.ones(1, 3)), image)
    torch.testing.assert_close(pixels.shade(image, 0.5 * one, one, one, torch.ones(1, 3)), 0.5 * image)
    flat = pixels.shade(image, one, 0 * one, one, torch.ones(1, 3))
    torch.testing.assert_close(flat, image.mean().expand(image.shape))
    grey = pixels.shade(image, one, one, 0 * one, torch.ones(1, 3))
    weights = torch.tensor([0.114, 0.587, 0.299]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(grey, (image * weights).sum(1, keepdim=True).expand(image.shape))
    tinted = pixels.shade(image, one, one, one, torch.tensor([[1.0, 1.1, 0.9]]))
    torch.testing.assert_close(tinted, image * torch.tensor([1.0, 1.1, 0.9]).reshape(1, 3, 1, 1))


def test_low_light_is_dark_and_noisy():
    image, normal = torch.full((1, 3, SIDE, SIDE), 200.0), torch.randn(1, 3, SIDE, SIDE)
    dark = pixels.darken(image, torch.tensor([0.3]), torch.tensor([5.0]), normal)
    assert float(dark.mean()) == pytest.approx(60, abs=1)
    assert float(dark.std()) == pytest.approx(5, rel=0.1)


def test_a_degraded_batch_is_of_bytes_and_depends_on_the_seed_only():
    images = pictures(16)

    def made(seed):
        drawn = draw_degradation(16, SIDE, torch.Generator().manual_seed(seed), CPU)
        return degrade(images.clone(), drawn)

    first = made(1)
    assert torch.equal(first, made(1))
    assert not torch.equal(first, made(2))
    assert torch.equal(first, first.round().clamp(0, 255))
    assert (first != images).flatten(1).any(dim=1).sum() >= 10


def covering(box, count=4):
    """Draw one rectangle over a box (x0, y0, x1, y1), in the first image of `count`."""
    numbers = torch.full((count, 20), 0.99)
    low, high = torch.tensor(box[:2]), torch.tensor(box[2:])
    numbers[0, 12] = 0.0
    numbers[0, 13:15] = (low + high) / 2 / SIDE
    numbers[0, 15:17] = ((high - low) / SIDE - 0.05) / 0.15
    return Degradation(numbers, torch.zeros(0, 3, SIDE, SIDE))


def test_a_covered_face_loses_its_labels_and_the_hand_beside_it_does_not():
    sample = sample_of(hw=(SIDE, SIDE))
    sample.box_xyxy[0] = 0, 0, SIDE, SIDE
    sample.part_box_xyxy[0] = [(20, 20, 30, 30), (40, 40, 48, 48), (4, 50, 10, 60)]
    labels = pack_labels([sample] * 4, 3, background=True)
    images, hidden = cut_out(pictures(4), labels, covering((20.0, 20.0, 30.0, 30.0)))
    assert hidden.part_valid[0, 0].tolist() == [False, True, True]
    assert not hidden.labelled[0, 0, FACE].any()
    assert hidden.labelled[0, 0, LEFT_HAND].all()
    assert not hidden.part_box_xyxy[0, 0, 0].any()
    assert hidden.part_valid[1:, 0].all()
    assert (images[0, :, 20:30, 20:30] == images[0, :, 20:21, 20:21]).all()


def test_a_rectangle_that_would_hide_a_person_is_left_out():
    sample = sample_of(hw=(SIDE, SIDE))
    sample.box_xyxy[0] = 20, 20, 30, 30
    labels = pack_labels([sample] * 4, 3, background=True)
    before = pictures(4)
    images, hidden = cut_out(before.clone(), labels, covering((19.0, 19.0, 31.0, 31.0)))
    assert torch.equal(images, before)
    assert hidden.part_valid.equal(labels.part_valid)
