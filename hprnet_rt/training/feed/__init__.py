"""Batches made on the device on which the network learns."""

from hprnet_rt.training.feed.device_feed import DeviceFeed
from hprnet_rt.training.feed.store import Store

__all__ = ["DeviceFeed", "Store"]
