"""The paper's networks at a part of their size, where their size proves nothing."""

from hprnet_rt.model import dla, hourglass

__all__ = ["make_shallow", "make_thin"]


def make_thin(patch):
    """Let hourglasses be of the same build with few channels, at a hundredth of the size.

    Args:
        patch: pytest's `monkeypatch`, which takes it back.
    """
    patch.setattr(hourglass, "_CHANNELS", (16, 16, 24, 24, 24, 32))


def make_shallow(patch):
    """Let hourglasses have three scales, and DLA-34 five levels: what is deeper repeats what they do.

    Args:
        patch: pytest's `monkeypatch`, which takes it back.
    """
    patch.setattr(hourglass, "_CHANNELS", (16, 24, 32))
    patch.setattr(hourglass, "_BLOCKS", (2, 2, 4))
    patch.setattr(dla, "_CHANNELS", (16, 32, 64, 48, 32))
    patch.setattr(dla, "_DEPTHS", (1, 2, 1))
    patch.setattr(dla, "_LAST", 4)
